"""What a gateway is sent by its benchmark, by each way in.

Pushes come over kept connections that do little more than write and read, and an edge server's events over
one stream, so that whoever sends takes little of the machine that it shares with the gateway.
"""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import time
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from http import HTTPStatus

import aiomqtt

from alerthub.api.v1 import ingest_pb2_grpc
from alerthub.api.v1.common_pb2 import IDENTIFIER_KIND_PLATE
from alerthub.api.v1.ingest_pb2 import DeviceEvent, ReadIdentifier, StreamEventsRequest
from alerthub.api.v1.observation_pb2 import OBSERVATION_KIND_IDENTIFIER_READ
from alerthub.grpc_client import certificate_channel
from alerthub.settings import TlsSettings
from alerthub.simulator.device import DeviceLogin
from alerthub.simulator.shapes import Payload, PlateRead, hikvision_anpr
from benchmarks._device import Device
from benchmarks._hub import random_plates

STREAMED = 20_000
PUSHED = 10_000
PICTURED = 2_000
PUBLISHED = 3_000
SENDERS = 64
"""Connections at once, as of so many cameras: enough that the gateway never waits for the next."""
CLIENTS = 16
"""Of the MQTT broker."""
PICTURE_BYTES = 200_000


async def stream(
    address: str, tls: TlsSettings, cameras: Sequence[str], *, events: int, events_a_message: int
) -> None:
    """An edge server's events of its cameras, over one stream; returns once all are acknowledged."""
    mark = uuid.uuid4().hex
    plates = random_plates(1_000)

    async def requests() -> AsyncIterator[StreamEventsRequest]:
        for first in range(0, events, events_a_message):
            now_ms = int(time.time() * 1000)
            made = [
                DeviceEvent(
                    device_id=cameras[number % len(cameras)],
                    event_id=f"{mark}-{number}",
                    kind=OBSERVATION_KIND_IDENTIFIER_READ,
                    device_time_ms=now_ms,
                    identifiers=[
                        ReadIdentifier(kind=IDENTIFIER_KIND_PLATE, text=plates[number % len(plates)])
                    ],
                    read_confidence=0.95,
                )
                for number in range(first, min(events, first + events_a_message))
            ]
            yield StreamEventsRequest(sequence=first + 1, event=made[0], further_events=made[1:])

    acknowledged = 0
    async with certificate_channel(tls, address) as channel:
        async for answer in ingest_pb2_grpc.IngestServiceStub(channel).StreamEvents(requests()):
            acknowledged = answer.acknowledged_sequence
            for refusal in answer.refusals:
                raise RuntimeError(f"refused: {refusal.field}: {refusal.expected}")
    if acknowledged != events:
        raise RuntimeError(f"{acknowledged} of {events} events were acknowledged")


def plain(plate: str) -> Payload:
    """A plate read as CloudEvents."""
    return Payload("application/cloudevents+json", _cloud_event(plate))


def _cloud_event(plate: str) -> bytes:
    return json.dumps(
        {
            "specversion": "1.0",
            "id": uuid.uuid4().hex,
            "source": "/benchmark",
            "type": "alerthub.identifier.read",
            "time": datetime.now(UTC).isoformat(),
            "data": {"plate": plate, "confidence": 0.95},
        }
    ).encode()


def pictured(plate: str) -> Payload:
    """A plate read of Hikvision's with its picture."""
    # Nobody decodes it: its first bytes say what it is.
    picture = b"\xff\xd8\xff\xe0" + os.urandom(PICTURE_BYTES - 4)
    return hikvision_anpr(PlateRead(plate, int(time.time() * 1000), uuid.uuid4().hex), picture)


async def push(
    url: str,
    trust: ssl.SSLContext,
    logins: Sequence[DeviceLogin],
    *,
    adapter: str,
    events: int,
    payload: Callable[[str], Payload],
) -> None:
    """Pushes of so many cameras at once, each over its kept connection."""
    plates = random_plates(1_000)
    numbers = iter(range(events))

    async def pushing(login: DeviceLogin) -> None:
        async with Device(url, trust, login) as device:
            for number in numbers:
                status = await device.post(f"/v1/ingest/{adapter}", payload(plates[number % len(plates)]))
                if status != HTTPStatus.OK:
                    raise RuntimeError(f"refused: {status}")

    await asyncio.gather(*(pushing(login) for login in logins[:SENDERS]))


async def publish(address: str, trust: ssl.SSLContext, logins: Sequence[DeviceLogin]) -> None:
    """Messages of so many devices at once, QoS 1."""
    plates = random_plates(1_000)
    host, _, port = address.rpartition(":")
    each_sends = PUBLISHED // CLIENTS

    async def publishing(login: DeviceLogin, count: int) -> None:
        async with aiomqtt.Client(
            host, int(port), username=login.device_id, password=login.secret, tls_context=trust, timeout=60
        ) as client:
            for number in range(count):
                await client.publish(
                    f"{login.device_id}/cloudevents/events", _cloud_event(plates[number % len(plates)]), qos=1
                )

    counts = [each_sends] * (CLIENTS - 1) + [PUBLISHED - each_sends * (CLIENTS - 1)]
    await asyncio.gather(
        *(publishing(login, count) for login, count in zip(logins[:CLIENTS], counts, strict=True))
    )
