"""What services tell Prometheus of Kafka and PostgreSQL is what these say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager

import pytest
from aiokafka import TopicPartition
from aiokafka.structs import OffsetAndMetadata
from prometheus_client import REGISTRY

from alerthub import kafka, kafka_positions, postgres
from alerthub.domain.errors import Retry
from alerthub.embedded.kafka_node import KafkaNode
from alerthub.embedded.processes import free_ports
from alerthub.kafka_watch import KafkaWatch, topics_of
from alerthub.postgres_watch import DatabaseWatch
from alerthub.settings import KafkaSettings, PostgresSettings
from alerthub.topics import TOPICS

GROUP = "dispatch-watched"


@asynccontextmanager
async def watching(
    settings: KafkaSettings, topics: Iterable[str], groups: Mapping[str, str]
) -> AsyncIterator[KafkaWatch]:
    watch = KafkaWatch(settings, topics=topics, groups=groups)
    await watch.start()
    try:
        yield watch
    finally:
        await watch.stop()


async def test_a_group_lags_by_what_it_has_not_committed(
    kafka_settings: Callable[[str], KafkaSettings], fresh_topics: None
) -> None:
    # given a topic with three records, of which a group has committed one
    producer = kafka.producer(kafka_settings("gateway"), client_id="test")
    await producer.start()
    for number in range(3):
        written = await producer.send_and_wait("calls", b"%d" % number, partition=0)
    await producer.stop()
    partition = TopicPartition("calls", 0)
    consumer = kafka.consumer(kafka_settings("dispatch"), group_id=GROUP, client_id="test")
    await consumer.start()
    consumer.assign([partition])
    await consumer.commit({partition: OffsetAndMetadata(written.offset - 1, "")})
    await consumer.stop()

    # when Kafka is asked with the rights that dispatch has
    async with watching(kafka_settings("dispatch"), topics_of("dispatch"), {GROUP: "calls"}) as watch:
        standing = await watch.ask()

    # then the lag is told, and every topic that dispatch may read or write
    assert standing.lags == {(GROUP, "calls"): 2}
    assert set(standing.partitions) == set(topics_of("dispatch"))
    assert standing.partitions["alerts"] == TOPICS["alerts"].partitions
    assert standing.ends["calls"] - standing.starts["calls"] == 3
    assert set(standing.without_leader.values()) == set(standing.under_replicated.values()) == {0}
    labels = {"group": GROUP, "topic": "calls"}
    assert REGISTRY.get_sample_value("alerthub_kafka_consumer_lag_records", labels) == 2


async def test_a_group_can_be_asked_for_while_its_coordinator_is_sought(
    kafka_settings: Callable[[str], KafkaSettings], kafka_broker: KafkaNode, unique: Callable[[str], str]
) -> None:
    # given a broker that has just come back, and a group that nobody has used
    kafka_broker.kill()
    kafka_broker.launch()
    group = unique("dispatch")

    # when it is asked at once, then Kafka answers, or asks to be asked again; and in the end it answers
    async with (
        watching(kafka_settings("dispatch"), topics_of("dispatch"), {group: "calls"}) as watch,
        asyncio.timeout(60),
    ):
        while True:
            try:
                standing = await watch.ask()
                break
            except Retry:
                await asyncio.sleep(0.1)

    # then nothing is committed, so everything that is kept lies before the group
    assert standing.lags == {(group, "calls"): standing.ends["calls"] - standing.starts["calls"]}


def test_correlator_and_dispatch_together_may_describe_every_topic() -> None:
    assert {*topics_of("correlator"), *topics_of("dispatch")} == set(TOPICS)


async def test_a_kafka_that_does_not_answer_is_asked_again_later(
    kafka_settings: Callable[[str], KafkaSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alerthub.kafka_positions.TIMEOUT_SECONDS", 0.5)
    nobody = kafka_settings("dispatch").model_copy(update={"bootstrap": f"127.0.0.1:{free_ports(1)[0]}"})
    async with watching(nobody, topics=(), groups={}) as watch:
        with pytest.raises(Retry):
            await watch.ask()


async def test_a_topic_that_kafka_does_not_describe_is_asked_for_again_later(
    kafka_settings: Callable[[str], KafkaSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alerthub.kafka_positions.TIMEOUT_SECONDS", 0.5)
    nobody = kafka_settings("dispatch").model_copy(update={"bootstrap": f"127.0.0.1:{free_ports(1)[0]}"})
    with pytest.raises(Retry):
        await kafka_positions.describe(nobody, "alert-events")


async def test_the_database_tells_a_service_of_itself(
    postgres_settings: Callable[[str], PostgresSettings], fresh_schemas: None
) -> None:
    # given a table with a row, as an ordinary role
    engine = postgres.engine(postgres_settings("registry"))
    async with postgres.transaction(engine) as connection:
        await connection.execute(postgres.sql("CREATE TABLE watched AS SELECT 1 AS number"))

    # when the database is asked with that role's rights
    await DatabaseWatch(engine).ask()
    await engine.dispose()

    # then it tells of the role's own tables and of the database
    told = {
        name: REGISTRY.get_sample_value(f"alerthub_postgres_{name}")
        for name in ("schema_bytes", "database_bytes", "connections", "connections_limit")
    }
    assert told["schema_bytes"] == 8192
    assert told["database_bytes"] is not None
    assert told["database_bytes"] > told["schema_bytes"]
    assert told["connections"]
    assert told["connections_limit"]
    assert told["connections_limit"] > told["connections"]
    committed = REGISTRY.get_sample_value("alerthub_postgres_transactions", {"outcome": "committed"})
    assert committed
