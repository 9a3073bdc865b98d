"""An owner's database and producer, and what a replica saw."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import ClusterAuthorizationFailedError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from alerthub import kafka, outbox, postgres
from alerthub.api.v1.registry_pb2 import Zone
from alerthub.settings import KafkaSettings, PostgresSettings

TOPIC = "zones"
Settings = Callable[[str], KafkaSettings]


@pytest.fixture(name="database")
async def database_fixture(
    fresh_schemas: None, postgres_settings: Callable[[str], PostgresSettings]
) -> AsyncIterator[AsyncEngine]:
    settings = postgres_settings("registry")
    await postgres.migrate(settings, "core_service")
    engine = postgres.engine(settings)
    yield engine
    await engine.dispose()


@pytest.fixture(name="producer")
async def producer_fixture(kafka_settings: Settings) -> AsyncIterator[AIOKafkaProducer]:
    created = await started_producer(kafka_settings("registry"))
    yield created
    await created.stop()


async def started_producer(settings: KafkaSettings) -> AIOKafkaProducer:
    """A broker that has just started takes a moment to know who may do what."""
    async with asyncio.timeout(20):
        while True:
            created = kafka.producer(settings, client_id="test")
            try:
                await created.start()
            except ClusterAuthorizationFailedError:
                await created.stop()
                await asyncio.sleep(0.1)
            else:
                return created


@dataclass
class Seen:
    """What a replica was given, in order."""

    values: list[tuple[str, int | None]] = field(default_factory=list)

    def apply(self, key: str, value: bytes | None) -> None:
        self.values.append((key, None if value is None else Zone.FromString(value).version))

    def of(self, key: str) -> list[int | None]:
        return [version for seen, version in self.values if seen == key]


@asynccontextmanager
async def running(*parts: object) -> AsyncIterator[None]:
    for part in parts:
        await part.start()  # type: ignore[attr-defined]
    try:
        yield
    finally:
        for part in reversed(parts):
            await part.stop()  # type: ignore[attr-defined]


async def put(connection: AsyncConnection, key: str, version: int) -> None:
    await outbox.enqueue(connection, topic=TOPIC, key=key, version=version, value=value_of(key, version))


def value_of(key: str, version: int) -> bytes:
    return Zone(zone_id=key, version=version).SerializeToString()


async def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while True:
            if condition():
                return
            await asyncio.sleep(0.01)
