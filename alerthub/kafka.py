"""Clients of Kafka with the hub's defaults.

Every client authenticates with SCRAM-SHA-256. An address off the loopback needs TLS: without an authority's
certificate it is refused before anything is sent (S1).
"""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from confluent_kafka import Consumer
from confluent_kafka.admin import AdminClient

from alerthub.domain.errors import Refuse
from alerthub.settings import KafkaSettings

_MECHANISM = "SCRAM-SHA-256"
_GOODBYE_SECONDS = 2.0
"""Four times what a broker holds a fetch back for when there is nothing."""


def is_loopback(host: str) -> bool:
    """Whether `host` can only be this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _checked(settings: KafkaSettings) -> KafkaSettings:
    if not settings.username:
        raise Refuse("kafka.username", "the SCRAM user of this service: Kafka is never used without one")
    if settings.password_file is None:
        raise Refuse("kafka.password_file", "a file that holds the SCRAM password")
    if settings.ca_file is None:
        for address in settings.bootstrap.split(","):
            if not is_loopback(address.strip().rpartition(":")[0]):
                raise Refuse(
                    "kafka.ca_file", "an authority's certificate: an address off the loopback needs TLS"
                )
    return settings


def _aiokafka_security(settings: KafkaSettings) -> dict[str, Any]:
    _checked(settings)
    context = None
    if settings.ca_file is not None:
        context = ssl.create_default_context(cafile=str(settings.ca_file))
    return {
        "bootstrap_servers": settings.bootstrap,
        "security_protocol": "SASL_PLAINTEXT" if context is None else "SASL_SSL",
        "sasl_mechanism": _MECHANISM,
        "sasl_plain_username": settings.username,
        "sasl_plain_password": settings.password(),
        "ssl_context": context,
        # A broker that came back on a restart is found within seconds.
        "retry_backoff_ms": 100,
        "metadata_max_age_ms": 60_000,
        "request_timeout_ms": 20_000,
    }


def producer(settings: KafkaSettings, *, client_id: str, **overrides: Any) -> AIOKafkaProducer:
    """A producer, not started: acks=all, idempotent, no compression (values are sealed or small), no linger.

    `await producer.send_and_wait(...)` returns only after the broker's acknowledgement. Overrides are
    aiokafka's own.
    """
    options: dict[str, Any] = {
        **_aiokafka_security(settings),
        "client_id": client_id,
        "acks": "all",
        "enable_idempotence": True,
        "compression_type": None,
        "linger_ms": 0,
        "max_batch_size": 256 * 1_024,
        "max_request_size": 3 * 1_024 * 1_024,
    }
    options.update(overrides)
    return AIOKafkaProducer(**options)


class _ShortGoodbye(AIOKafkaConsumer):  # type: ignore[misc]  # aiokafka has no types
    """A consumer whose `stop` does not wait for a broker that says no goodbye.

    With TLS a connection is closed once either side has said so. A busy broker can miss it while a fetch is
    on its way, and asyncio waits half a minute then: a service that reads several topics when it starts was
    that much later ready for each. The connection is aborted in the background.

    Only the connections' goodbye is bounded, which is the last of `stop`: what comes before it, such as
    leaving the group, ends as aiokafka ends it, and nothing stays open.
    """

    def __init__(self, *topics: str, **options: Any) -> None:
        super().__init__(*topics, **options)
        self._client.close = partial(_within_goodbye, self._client.close)


async def _within_goodbye(close: Callable[[], Awaitable[None]]) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(_GOODBYE_SECONDS):
            await close()


def consumer(
    settings: KafkaSettings, *topics: str, group_id: str | None, **overrides: Any
) -> AIOKafkaConsumer:
    """A consumer, not started: nothing is committed by itself, a member that died is noticed within 10 s.

    Without a group it reads every partition from wherever it is told (default: the beginning) and commits
    nothing. Memory is bounded by `fetch_max_bytes` and `max_partition_fetch_bytes`. Overrides are
    aiokafka's own.
    """
    options: dict[str, Any] = {
        **_aiokafka_security(settings),
        "group_id": group_id,
        "enable_auto_commit": False,
        "auto_offset_reset": "earliest",
        "session_timeout_ms": 10_000,
        "heartbeat_interval_ms": 3_000,
        "rebalance_timeout_ms": 30_000,
        "max_poll_interval_ms": 300_000,
        "fetch_max_bytes": 16 * 1_024 * 1_024,
        "max_partition_fetch_bytes": 4 * 1_024 * 1_024,
    }
    options.update(overrides)
    return _ShortGoodbye(*topics, **options)


def administrator(settings: KafkaSettings, **overrides: Any) -> AdminClient:
    """librdkafka's administration client (aiokafka's has no access rules). It connects when first used.

    A context manager, to be closed by whoever made it: its threads outlive the object for as long as anything
    refers to it, and one that is there when the process ends can take it down (librdkafka's OpenSSL clears
    up at exit without asking them).
    """
    return AdminClient({**_librdkafka_options(settings), **overrides})


def offsets_reader(settings: KafkaSettings, group: str) -> Consumer:
    """librdkafka's consumer, to ask what the group has committed. It never joins the group. To be closed like
    `administrator`.

    Its administration client must not be asked: it takes the whole process with it while the group has no
    coordinator, as after a broker's start (librdkafka's issue 5040).
    """
    return Consumer({**_librdkafka_options(settings), "group.id": group, "enable.auto.commit": False})


def _librdkafka_options(settings: KafkaSettings) -> dict[str, Any]:
    _checked(settings)
    options: dict[str, Any] = {
        "bootstrap.servers": settings.bootstrap,
        "security.protocol": "SASL_PLAINTEXT" if settings.ca_file is None else "SASL_SSL",
        "sasl.mechanism": _MECHANISM,
        "sasl.username": settings.username,
        "sasl.password": settings.password(),
        # Its chatter about a broker that is starting goes to standard error of whoever runs a command.
        "log_level": 0,
    }
    if settings.ca_file is not None:
        options["ssl.ca.location"] = str(settings.ca_file)
    return options
