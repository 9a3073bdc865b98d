"""Outbox, bookmarks, replica and republisher together, on real PostgreSQL and Kafka (C9)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import ClusterAuthorizationFailedError
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from alerthub import kafka, outbox, postgres
from alerthub.api.v1.registry_pb2 import Zone
from alerthub.domain.errors import Refuse
from alerthub.embedded.kafka_node import KafkaNode
from alerthub.outbox import BookmarkPublisher, Message, OutboxRelay
from alerthub.replica import CompactedReplica, VersionedTable
from alerthub.republisher import Republisher
from alerthub.settings import KafkaSettings, PostgresSettings

TOPIC = "zones"
Settings = Callable[[str], KafkaSettings]


@pytest.fixture
async def database(
    fresh_schemas: None, postgres_settings: Callable[[str], PostgresSettings]
) -> AsyncIterator[AsyncEngine]:
    settings = postgres_settings("registry")
    await postgres.migrate(settings, "core_service")
    engine = postgres.engine(settings)
    yield engine
    await engine.dispose()


@pytest.fixture
async def producer(kafka_settings: Settings) -> AsyncIterator[AIOKafkaProducer]:
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


async def put_and_fail(database: AsyncEngine, key: str) -> None:
    async with postgres.transaction(database) as connection:
        await put(connection, key, 1)
        raise ZeroDivisionError


def value_of(key: str, version: int) -> bytes:
    return Zone(zone_id=key, version=version).SerializeToString()


async def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while True:
            if condition():
                return
            await asyncio.sleep(0.01)


async def unsent(database: AsyncEngine) -> int:
    async with postgres.transaction(database) as connection:
        return int(await connection.scalar(text("SELECT count(*) FROM outbox")) or 0)


async def test_what_commits_reaches_kafka_and_what_rolls_back_does_not(
    database: AsyncEngine, producer: AIOKafkaProducer, kafka_settings: Settings, unique: Callable[[str], str]
) -> None:
    committed, rolled_back = unique("zone"), unique("zone")
    seen = Seen()
    replica = CompactedReplica(kafka_settings("registry"), TOPIC, client_id="test", apply=seen.apply)
    async with running(OutboxRelay(database, producer), replica):
        with pytest.raises(ZeroDivisionError):
            await put_and_fail(database, rolled_back)
        async with postgres.transaction(database) as connection:
            await put(connection, committed, 1)
        await until(lambda: seen.of(committed) == [1])
    assert seen.of(rolled_back) == []
    assert await unsent(database) == 0


async def test_more_than_a_batch_holds_is_sent_in_several(
    *,
    database: AsyncEngine,
    producer: AIOKafkaProducer,
    kafka_settings: Settings,
    unique: Callable[[str], str],
) -> None:
    keys = [unique("zone") for _ in range(40)]
    seen = Seen()
    replica = CompactedReplica(kafka_settings("registry"), TOPIC, client_id="test", apply=seen.apply)
    async with postgres.transaction(database) as connection:
        for key in keys:
            await put(connection, key, 1)
    relay = OutboxRelay(database, producer, batch_bytes=100)
    async with running(relay, replica):
        await until(lambda: all(seen.of(key) == [1] for key in keys))
        await until(lambda: relay.current_as_of_ms > 0)
    assert await unsent(database) == 0


async def test_a_value_that_no_topic_takes_is_refused_with_its_transaction(database: AsyncEngine) -> None:
    async def too_large() -> None:
        async with postgres.transaction(database) as connection:
            await outbox.enqueue(connection, topic=TOPIC, key="a", value=bytes(1_000_001), version=1)

    with pytest.raises(Refuse, match="at most 1000000 bytes"):
        await too_large()
    assert await unsent(database) == 0


class BreakingProducer:
    """Fails in a way that nobody foresaw, once, then sends."""

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self._producer = producer
        self.broke = False

    async def send(self, *arguments: object, **options: object) -> object:
        if not self.broke:
            self.broke = True
            raise RuntimeError
        return await self._producer.send(*arguments, **options)


async def test_a_relay_outlives_what_it_did_not_foresee_and_loses_nothing(
    database: AsyncEngine, producer: AIOKafkaProducer, kafka_settings: Settings, unique: Callable[[str], str]
) -> None:
    key = unique("zone")
    seen = Seen()
    breaking = BreakingProducer(producer)
    replica = CompactedReplica(kafka_settings("registry"), TOPIC, client_id="test", apply=seen.apply)
    async with postgres.transaction(database) as connection:
        await put(connection, key, 1)
    async with running(OutboxRelay(database, breaking), replica):
        await until(lambda: seen.of(key) == [1])
    assert breaking.broke


async def test_a_transaction_that_commits_late_is_sent_though_later_rows_were(
    database: AsyncEngine, producer: AIOKafkaProducer, kafka_settings: Settings, unique: Callable[[str], str]
) -> None:
    late, early = unique("zone"), unique("zone")
    seen = Seen()
    replica = CompactedReplica(kafka_settings("registry"), TOPIC, client_id="test", apply=seen.apply)
    async with running(OutboxRelay(database, producer), replica):
        async with postgres.transaction(database) as slow:
            await put(slow, late, 1)  # takes the lower number
            async with postgres.transaction(database) as fast:
                await put(fast, early, 1)
            await until(lambda: seen.of(early) == [1])
        await until(lambda: seen.of(late) == [1])


async def test_a_commit_is_on_its_way_within_milliseconds(
    database: AsyncEngine, producer: AIOKafkaProducer, kafka_settings: Settings, unique: Callable[[str], str]
) -> None:
    seen = Seen()
    replica = CompactedReplica(kafka_settings("registry"), TOPIC, client_id="test", apply=seen.apply)
    # A poll alone would take a minute.
    relay = OutboxRelay(database, producer, poll_seconds=60)
    async with running(relay, replica):
        await until(lambda: relay.listening and replica.caught_up)
        waits = []
        for _ in range(10):
            key = unique("zone")
            began = time.monotonic()
            async with postgres.transaction(database) as connection:
                await put(connection, key, 1)
            await until(lambda key=key: seen.of(key) == [1])
            waits.append(time.monotonic() - began)
    assert sorted(waits)[5] < 0.1


async def test_two_relays_keep_the_order_of_versions(
    database: AsyncEngine, producer: AIOKafkaProducer, kafka_settings: Settings, unique: Callable[[str], str]
) -> None:
    key = unique("zone")
    seen = Seen()
    other = kafka.producer(kafka_settings("registry"), client_id="test-2")
    replica = CompactedReplica(kafka_settings("registry"), TOPIC, client_id="test", apply=seen.apply)
    relays = OutboxRelay(database, producer), OutboxRelay(database, other)
    async with running(other, *relays, replica):
        for version in range(1, 101):
            async with postgres.transaction(database) as connection:
                await put(connection, key, version)
        await until(lambda: 100 in seen.of(key))
    assert seen.of(key) == list(range(1, 101))


async def test_nothing_is_lost_when_kafka_is_killed(
    database: AsyncEngine,
    producer: AIOKafkaProducer,
    kafka_settings: Settings,
    kafka_broker: KafkaNode,
    unique: Callable[[str], str],
) -> None:
    keys = [unique("zone") for _ in range(30)]
    table = VersionedTable(lambda value: ((zone := Zone.FromString(value)).version, zone))
    replica = CompactedReplica(kafka_settings("registry"), TOPIC, client_id="test", apply=table.apply)
    relay = OutboxRelay(database, producer)
    bookmarks = BookmarkPublisher(producer, [TOPIC], relay)
    async with running(relay, bookmarks, replica):
        await replica.wait_until_ready(20)
        for number, key in enumerate(keys):
            if number == 10:
                kafka_broker.kill()
            async with postgres.transaction(database) as connection:
                await put(connection, key, 1)
        kafka_broker.launch()
        await until(lambda: all(key in table for key in keys), 60)
        await replica.wait_until_ready(30)
    assert await unsent(database) == 0


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


async def test_no_bookmark_is_published_while_the_relay_cannot_send(
    database: AsyncEngine, producer: AIOKafkaProducer, unique: Callable[[str], str]
) -> None:
    relay = OutboxRelay(database, producer)
    bookmarks = BookmarkPublisher(producer, [TOPIC], relay)
    assert not await bookmarks.publish()
    async with running(relay):
        await until(lambda: relay.current_as_of_ms > 0)
    assert await bookmarks.publish()
    assert not await bookmarks.publish()


async def test_a_relay_does_not_wait_for_another_services(
    database: AsyncEngine,
    producer: AIOKafkaProducer,
    postgres_settings: Callable[[str], PostgresSettings],
) -> None:
    other = postgres.engine(postgres_settings("dispatch"))
    async with postgres.transaction(other) as connection:
        await connection.execute(select(func.pg_advisory_xact_lock(outbox.LOCK)))
        relay = OutboxRelay(database, producer)
        async with running(relay):
            await until(lambda: relay.current_as_of_ms > 0)
    await other.dispose()


async def test_a_value_larger_than_a_batch_goes_alone_and_stops_nothing(
    *,
    database: AsyncEngine,
    producer: AIOKafkaProducer,
    kafka_settings: Settings,
    unique: Callable[[str], str],
) -> None:
    large, small = unique("zone"), unique("zone")
    seen = Seen()
    replica = CompactedReplica(kafka_settings("registry"), TOPIC, client_id="test", apply=seen.apply)
    async with postgres.transaction(database) as connection:
        await put(connection, large, 1)
        await put(connection, small, 1)
    relay = OutboxRelay(database, producer, batch_bytes=1)
    async with running(relay, replica):
        await until(lambda: seen.of(large) == [1] and seen.of(small) == [1])
    assert relay.passes >= 2
    assert await unsent(database) == 0


async def test_another_services_transactions_wake_no_relay(
    database: AsyncEngine,
    producer: AIOKafkaProducer,
    postgres_settings: Callable[[str], PostgresSettings],
) -> None:
    own, other = database, postgres.engine(postgres_settings("dispatch"))
    relay = OutboxRelay(own, producer, poll_seconds=60)
    async with running(relay):
        await until(lambda: relay.listening and relay.current_as_of_ms > 0)
        passes = relay.passes
        async with postgres.transaction(other) as connection:
            await connection.execute(text("SELECT pg_notify('outbox of ' || current_schema(), '')"))
        # Notifications come in order: once its own is there, the other's would have been.
        async with postgres.transaction(own) as connection:
            await connection.execute(text("SELECT pg_notify('outbox of ' || current_schema(), '')"))
        await until(lambda: relay.passes > passes)
    assert relay.passes == passes + 1
    await other.dispose()


async def test_a_standby_publishes_no_bookmark(database: AsyncEngine, producer: AIOKafkaProducer) -> None:
    async with postgres.transaction(database) as connection:
        await connection.execute(select(func.pg_advisory_xact_lock(outbox.LOCK)))
        standby = OutboxRelay(database, producer, poll_seconds=0.05)
        async with running(standby):
            await until(lambda: standby.passes > 3)
            assert standby.current_as_of_ms == 0
            assert not await BookmarkPublisher(producer, [TOPIC], standby).publish()


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
