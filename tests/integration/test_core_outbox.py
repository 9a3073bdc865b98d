"""The outbox, its relay and its bookmarks, on real PostgreSQL and Kafka (C9)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest
from aiokafka import AIOKafkaProducer
from outbox_support import (
    TOPIC,
    Seen,
    Settings,
    database_fixture,  # noqa: F401 - pytest finds it by its name
    producer_fixture,  # noqa: F401 - pytest finds it by its name
    put,
    running,
    until,
)
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from alerthub import kafka, outbox, postgres
from alerthub.api.v1.registry_pb2 import Zone
from alerthub.domain.errors import Refuse
from alerthub.embedded.kafka_node import KafkaNode
from alerthub.outbox import BookmarkPublisher, OutboxRelay
from alerthub.replica import CompactedReplica, VersionedTable
from alerthub.settings import PostgresSettings


async def put_and_fail(database: AsyncEngine, key: str) -> None:
    async with postgres.transaction(database) as connection:
        await put(connection, key, 1)
        raise ZeroDivisionError


async def unsent(database: AsyncEngine) -> int:
    async with postgres.transaction(database) as connection:
        return int(await connection.scalar(text("SELECT count(*) FROM outbox")) or 0)


async def until_all_is_sent(database: AsyncEngine) -> None:
    """A relay's transaction ends a moment after Kafka has its rows."""
    async with asyncio.timeout(20):
        while True:
            if await unsent(database) == 0:
                return
            await asyncio.sleep(0.01)


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
        await until_all_is_sent(database)
    assert seen.of(rolled_back) == []


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
        await until_all_is_sent(database)


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

            def arrived(key: str = key) -> bool:
                return seen.of(key) == [1]

            await until(arrived)
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
        await until_all_is_sent(database)
    assert relay.passes >= 2


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
