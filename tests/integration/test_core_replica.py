"""Reading compacted topics, and publishing again what they lack, on real PostgreSQL and Kafka (C9)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest
from aiokafka import AIOKafkaProducer
from outbox_support import (
    TOPIC,
    Seen,
    Settings,
    database_fixture,  # noqa: F401 - pytest finds it by its name
    producer_fixture,  # noqa: F401 - pytest finds it by its name
    running,
    until,
    value_of,
)
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from alerthub import outbox
from alerthub.api.v1.registry_pb2 import Zone
from alerthub.outbox import BookmarkPublisher, Message, OutboxRelay
from alerthub.replica import CompactedReplica
from alerthub.republisher import Republisher
from alerthub.settings import KafkaSettings


async def test_the_gate_opens_only_on_a_fresh_bookmark(
    database: AsyncEngine, producer: AIOKafkaProducer, kafka_settings: Settings
) -> None:
    clock = [time.time_ns() // 1_000_000 + 60_000]  # every bookmark so far is a minute old
    replica = CompactedReplica(
        kafka_settings("registry"), TOPIC, client_id="test", apply=Seen().apply, now_ms=lambda: clock[0]
    )
    async with running(replica):
        await until(lambda: replica.caught_up)
        assert not replica.ready
        relay = OutboxRelay(database, producer, now_ms=lambda: clock[0])
        async with running(relay):
            await until(lambda: relay.current_as_of_ms > 0)
            assert await BookmarkPublisher(producer, [TOPIC], relay).publish()
        await until(lambda: replica.ready)

        clock[0] += 10_001
        assert not replica.ready
        assert "no bookmark younger" in str(replica.not_ready_because())


async def test_a_replica_reads_tombstones_and_never_hands_bookmarks_on(
    producer: AIOKafkaProducer, kafka_settings: Settings, unique: Callable[[str], str]
) -> None:
    key = unique("zone")
    seen = Seen()
    await outbox.send_in_order(
        producer, [Message(TOPIC, key, 1, value_of(key, 1)), Message(TOPIC, key, 2, None)]
    )
    await producer.send_and_wait(TOPIC, b"\x08\x01", key=b"\x00bookmark", partition=0)
    replica = CompactedReplica(kafka_settings("registry"), TOPIC, client_id="test", apply=seen.apply)
    async with running(replica):
        await until(lambda: replica.caught_up)
    assert seen.of(key) == [1, None]
    assert all("bookmark" not in name for name, _ in seen.values)


async def test_an_undecodable_value_is_skipped_and_the_rest_is_read(
    producer: AIOKafkaProducer, kafka_settings: Settings, unique: Callable[[str], str]
) -> None:
    key = unique("zone")
    seen = Seen()
    await outbox.send_in_order(
        producer, [Message(TOPIC, unique("zone"), 1, b"\xff\xff"), Message(TOPIC, key, 2, value_of(key, 2))]
    )
    replica = CompactedReplica(kafka_settings("registry"), TOPIC, client_id="test", apply=seen.apply)
    async with running(replica):
        await until(lambda: seen.of(key) == [2])


async def test_an_applier_that_breaks_ends_the_replica_loudly(
    producer: AIOKafkaProducer, kafka_settings: Settings, unique: Callable[[str], str]
) -> None:
    key = unique("zone")
    failures: list[BaseException] = []

    def broken(_: str, __: bytes | None) -> None:
        raise LookupError

    await outbox.send_in_order(producer, [Message(TOPIC, key, 1, value_of(key, 1))])
    replica = CompactedReplica(
        kafka_settings("registry"), TOPIC, client_id="test", apply=broken, on_failure=failures.append
    )
    async with running(replica):
        await until(lambda: bool(failures))
        assert not replica.ready
    assert isinstance(failures[0], LookupError)


@dataclass
class Owner:
    """The database's view of one key, for the republisher."""

    key: str
    version: int

    async def versions(self, connection: AsyncConnection) -> dict[str, int]:
        return {self.key: self.version}

    async def values(self, connection: AsyncConnection, keys: Sequence[str]) -> Sequence[Message]:
        return [Message(TOPIC, key, self.version, value_of(key, self.version)) for key in keys]

    def republisher(
        self, settings: KafkaSettings, database: AsyncEngine, producer: AIOKafkaProducer
    ) -> Republisher:
        return Republisher(
            settings,
            database,
            producer,
            TOPIC,
            client_id="test",
            version_of=lambda value: Zone.FromString(value).version,
            versions=self.versions,
            values=self.values,
            every_seconds=0.1,
            lag_seconds=0.2,
        )


@pytest.mark.parametrize("on_topic", [None, 1, 2], ids=["missing", "older", "older written after newer"])
async def test_the_owner_publishes_again_what_the_topic_lacks(
    database: AsyncEngine,
    producer: AIOKafkaProducer,
    kafka_settings: Settings,
    unique: Callable[[str], str],
    on_topic: int | None,
) -> None:
    key = unique("zone")
    if on_topic == 2:
        await producer.send_and_wait(TOPIC, value_of(key, 3), key=key.encode())
    if on_topic is not None:
        await producer.send_and_wait(TOPIC, value_of(key, on_topic), key=key.encode())
    seen = Seen()
    replica = CompactedReplica(kafka_settings("registry"), TOPIC, client_id="test", apply=seen.apply)
    owner = Owner(key, 3)
    async with running(replica, owner.republisher(kafka_settings("registry"), database, producer)):
        await until(lambda: seen.of(key)[-1:] == [3])


async def test_the_owner_never_publishes_below_the_topics_version(
    database: AsyncEngine, producer: AIOKafkaProducer, kafka_settings: Settings, unique: Callable[[str], str]
) -> None:
    key = unique("zone")
    await producer.send_and_wait(TOPIC, value_of(key, 7), key=key.encode())
    seen = Seen()
    replica = CompactedReplica(kafka_settings("registry"), TOPIC, client_id="test", apply=seen.apply)
    republisher = Owner(key, 3).republisher(kafka_settings("registry"), database, producer)
    async with running(replica, republisher):
        await until(lambda: republisher.check() is not None)
        await until(lambda: republisher.comparisons > 2)
    assert seen.of(key) == [7]
