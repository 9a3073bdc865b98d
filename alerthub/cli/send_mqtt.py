"""`alerthub send --mqtt`: the payload is published as the device would publish it."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass, field
from pathlib import Path

import aiomqtt
from aiomqtt.exceptions import MqttConnectError
from paho.mqtt.reasoncodes import ReasonCode

from alerthub.domain.errors import NotAllowed, Refuse, Retry

_ANSWER_SECONDS = 20.0
"""The acknowledgement comes after Kafka's, through gateway and broker."""
_NOT_AUTHORISED = frozenset({4, 5, 134, 135})
"""Return codes of CONNACK: MQTT 3.1.1, and what paho makes of them."""


@dataclass(frozen=True, slots=True)
class Publication:
    """What is published, where and as whom."""

    address: str
    ca_file: Path
    device: str
    secret: str = field(repr=False)
    topic: str
    body: bytes = field(repr=False)


def topic_of(device: str, adapter: str, levels: str) -> str:
    """`DEVICE/ADAPTER` and the levels below it. Refuse where they hold wildcards."""
    if any(mark in levels for mark in "#+\x00"):
        raise Refuse("--topic", "levels without wildcards, such as events")
    return "/".join(part for part in (device, adapter, levels.strip("/")) if part)


def publish(publication: Publication) -> None:
    """Publishes at quality 1 and returns when the broker has acknowledged. NotAllowed, Refuse or Retry."""
    asyncio.run(_publish(publication))


async def _publish(publication: Publication) -> None:
    host, _, port = publication.address.rpartition(":")
    if not port.isascii() or not port.isdigit():
        raise Refuse("--url", "host:port of an MQTT broker")
    trust = ssl.create_default_context(cafile=str(publication.ca_file))
    try:
        async with aiomqtt.Client(
            host,
            int(port),
            username=publication.device,
            password=publication.secret,
            tls_context=trust,
            timeout=_ANSWER_SECONDS,
        ) as client:
            await client.publish(publication.topic, publication.body, qos=1)
    except MqttConnectError as error:
        if _code(error) in _NOT_AUTHORISED:
            raise NotAllowed("--device", "a registered device and its own secret") from None
        raise Retry("the MQTT broker takes no logins now") from None
    except aiomqtt.MqttError:
        raise Retry(
            f"the MQTT broker at {publication.address} did not acknowledge: it is away, the topic is not the"
            " device's, or the gateway takes nothing now"
        ) from None


def _code(error: MqttConnectError) -> int:
    return error.rc.value if isinstance(error.rc, ReasonCode) else int(error.rc or 0)
