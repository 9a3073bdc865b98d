"""Kafka and PostgreSQL of the embedded hub: who may do what, and what a start promises."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import asyncpg
import confluent_kafka
import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from alerthub import kafka, kafka_administration
from alerthub.embedded.kafka_node import KafkaNode
from alerthub.embedded.postgres_node import PostgresNode
from alerthub.settings import KafkaSettings, PostgresSettings
from alerthub.topics import (
    PERMISSIONS,
    PRINCIPALS,
    READ,
    TOPICS,
    WRITE,
    Operation,
)

ALLOWED = {(permission.principal, permission.topic, permission.operation) for permission in PERMISSIONS}


def client_options(settings: KafkaSettings) -> dict[str, str]:
    """librdkafka, since aiokafka's clients stay useless after one topic that they may not see."""
    return {
        "bootstrap.servers": settings.bootstrap,
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "SCRAM-SHA-256",
        "sasl.username": settings.username,
        "sasl.password": settings.password(),
    }


def outcomes_of_writing(settings: KafkaSettings) -> dict[str, str]:
    """For each topic of the table, the name of Kafka's answer to one record."""
    outcomes: dict[str, str] = {}

    def delivered(error: confluent_kafka.KafkaError | None, message: confluent_kafka.Message) -> None:
        topic = message.topic()
        assert topic is not None
        outcomes[topic] = "accepted" if error is None else error.name()

    with confluent_kafka.Producer({**client_options(settings), "message.timeout.ms": "10000"}) as producer:
        for topic in TOPICS:
            producer.produce(topic, b"tried", key=b"tried", partition=0, on_delivery=delivered)
        producer.flush(20)
    return outcomes


def outcomes_of_reading(settings: KafkaSettings) -> dict[str, str]:
    """For each topic of the table, the name of Kafka's answer to describing it and to fetching."""
    consumer = confluent_kafka.Consumer(
        {**client_options(settings), "group.id": "nobody-commits-here", "enable.auto.commit": "false"}
    )
    try:
        described = {topic: consumer.list_topics(topic, timeout=10).topics[topic].error for topic in TOPICS}
        outcomes = {topic: error.name() for topic, error in described.items() if error is not None}
        consumer.assign(
            [
                confluent_kafka.TopicPartition(topic, 0, confluent_kafka.OFFSET_BEGINNING)
                for topic in TOPICS
                if topic not in outcomes
            ]
        )
        deadline = time.monotonic() + 10
        while outcomes.keys() != TOPICS.keys() and time.monotonic() < deadline:
            message = consumer.poll(0.1)
            if message is not None and (topic := message.topic()) is not None:
                error = message.error()
                outcomes[topic] = "accepted" if error is None else error.name()
    finally:
        consumer.close()
    return outcomes


def expected(principal: str, operation: Operation) -> dict[str, str]:
    return {
        topic: "accepted" if (principal, topic, operation) in ALLOWED else "TOPIC_AUTHORIZATION_FAILED"
        for topic in TOPICS
    }


@pytest.mark.parametrize("principal", PRINCIPALS)
def test_kafka_lets_a_principal_write_exactly_the_topics_of_the_table(
    principal: str, kafka_settings: Callable[[str], KafkaSettings]
) -> None:
    assert outcomes_of_writing(kafka_settings(principal)) == expected(principal, WRITE)


@pytest.mark.parametrize("principal", PRINCIPALS)
def test_kafka_lets_a_principal_read_exactly_the_topics_of_the_table(
    principal: str, kafka_settings: Callable[[str], KafkaSettings]
) -> None:
    outcomes_of_writing(kafka_settings("admin"))
    assert outcomes_of_reading(kafka_settings(principal)) == expected(principal, READ)


def test_only_the_gateway_may_write_observations_and_calls() -> None:
    writers = {
        (permission.topic, permission.principal)
        for permission in PERMISSIONS
        if permission.operation is WRITE
    }
    assert {pair for pair in writers if pair[0] in {"observations", "calls"}} == {
        ("observations", "gateway"),
        ("calls", "gateway"),
    }


async def test_a_wrong_password_is_refused_by_kafka(
    kafka_settings: Callable[[str], KafkaSettings],
) -> None:
    gateway, push = kafka_settings("gateway"), kafka_settings("push")
    impostor = gateway.model_copy(update={"password_file": push.password_file})
    producer = kafka.producer(impostor, client_id="test")
    try:
        with pytest.raises(KafkaError):
            await producer.start()
    finally:
        await producer.stop()


async def test_a_record_that_kafka_acknowledged_survives_kill_minus_nine(
    kafka_settings: Callable[[str], KafkaSettings], kafka_broker: KafkaNode, unique: Callable[[str], str]
) -> None:
    value = unique("acknowledged").encode()
    producer = kafka.producer(kafka_settings("gateway"), client_id="test")
    await producer.start()
    acknowledged = await producer.send_and_wait("calls", value, key=b"caller")
    await producer.stop()

    kafka_broker.kill()
    kafka_broker.launch()

    consumer = kafka.consumer(kafka_settings("dispatch"), group_id=None)
    await consumer.start()
    try:
        partition = TopicPartition("calls", acknowledged.partition)
        consumer.assign([partition])
        consumer.seek(partition, acknowledged.offset)
        async with asyncio.timeout(10):
            assert (await consumer.getone()).value == value
    finally:
        await consumer.stop()


def test_creating_the_topics_again_changes_nothing(
    kafka_settings: Callable[[str], KafkaSettings],
) -> None:
    with kafka.administrator(kafka_settings("admin")) as admin:
        assert kafka_administration.create_topics(admin, TOPICS) == []


def test_kafka_has_the_topics_of_the_table_and_no_other(
    kafka_settings: Callable[[str], KafkaSettings],
) -> None:
    with kafka.administrator(kafka_settings("admin")) as admin:
        topics = admin.list_topics(timeout=10).topics
    # Kafka's own topic of committed offsets appears with the first consumer group.
    assert topics.keys() - {"__consumer_offsets"} == TOPICS.keys()


def test_nobody_can_create_a_topic_by_writing_to_it(
    kafka_settings: Callable[[str], KafkaSettings], unique: Callable[[str], str]
) -> None:
    outcomes: list[confluent_kafka.KafkaError | None] = []
    options = {**client_options(kafka_settings("admin")), "message.timeout.ms": "3000"}
    with confluent_kafka.Producer(options) as producer:
        producer.produce(unique("invented"), b"tried", on_delivery=lambda error, _: outcomes.append(error))
        producer.flush(10)
    assert [error is not None for error in outcomes] == [True]


def test_applying_the_permissions_again_changes_nothing(
    kafka_settings: Callable[[str], KafkaSettings],
) -> None:
    with kafka.administrator(kafka_settings("admin")) as admin:
        assert kafka_administration.apply_permissions(admin, PERMISSIONS) == (0, 0)


def test_an_access_rule_that_is_not_in_the_table_is_removed(
    kafka_settings: Callable[[str], KafkaSettings],
) -> None:
    table = tuple(permission for permission in PERMISSIONS if permission.principal != "console")
    surplus = len(kafka_administration.access_rules(PERMISSIONS) - kafka_administration.access_rules(table))
    with kafka.administrator(kafka_settings("admin")) as admin:
        try:
            # The console's only rule opens a topic of the table.
            assert kafka_administration.apply_permissions(admin, table) == (0, surplus)
        finally:
            assert kafka_administration.apply_permissions(admin, PERMISSIONS) == (surplus, 0)


def test_a_folder_of_an_older_version_gets_the_users_that_came_since(
    kafka_settings: Callable[[str], KafkaSettings], unique: Callable[[str], str], tmp_path: Path
) -> None:
    newcomer, password_file = unique("newcomer"), tmp_path / "password"
    password_file.write_text("a-long-random-password")
    passwords = {newcomer: "a-long-random-password", "gateway": "not the gateway's"}
    with kafka.administrator(kafka_settings("admin")) as admin:
        assert kafka_administration.add_users(admin, passwords) == [newcomer]
        assert kafka_administration.add_users(admin, passwords) == []
    known = kafka_settings("gateway")
    for settings in (
        known,
        known.model_copy(update={"username": newcomer, "password_file": password_file}),
    ):
        # Kafka answers nobody who has no user or another password; without rules there is no topic to see.
        with kafka.administrator(settings) as client:
            assert client.list_topics(timeout=10).brokers


async def connect(settings: PostgresSettings, password: str | None = None) -> asyncpg.Connection:
    return await asyncpg.connect(
        host=settings.host,
        port=settings.port,
        user=settings.role,
        password=settings.password() if password is None else password,
        database=settings.database,
    )


@pytest.mark.parametrize("role", ["registry", "watchlist", "dispatch"])
async def test_a_role_makes_tables_in_its_own_schema(
    role: str, postgres_settings: Callable[[str], PostgresSettings], fresh_schemas: None
) -> None:
    connection = await connect(postgres_settings(role))
    try:
        await connection.execute("CREATE TABLE mine (id int)")
        assert await connection.fetchval("SELECT schemaname FROM pg_tables WHERE tablename = 'mine'") == role
    finally:
        await connection.close()


@pytest.mark.parametrize(
    ("role", "other"),
    [
        (role, other)
        for role in ("registry", "watchlist", "dispatch")
        for other in ("registry", "watchlist", "dispatch", "public")
        if role != other
    ],
)
async def test_a_role_has_no_right_in_the_schema_of_another(
    role: str, other: str, postgres_settings: Callable[[str], PostgresSettings]
) -> None:
    connection = await connect(postgres_settings(role))
    try:
        rights = await connection.fetchrow(
            "SELECT has_schema_privilege($1, 'USAGE') , has_schema_privilege($1, 'CREATE')",
            other,
        )
    finally:
        await connection.close()
    assert tuple(rights) == (False, False)


async def test_a_wrong_password_is_refused_by_postgresql(
    postgres_settings: Callable[[str], PostgresSettings],
) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await connect(postgres_settings("registry"), password=postgres_settings("dispatch").password())


async def test_a_committed_row_survives_kill_minus_nine(
    postgres_settings: Callable[[str], PostgresSettings], postgres_server: PostgresNode, fresh_schemas: None
) -> None:
    connection = await connect(postgres_settings("dispatch"))
    await connection.execute("CREATE TABLE kept AS SELECT 7 AS number")

    postgres_server.kill()
    postgres_server.launch()

    connection = await connect(postgres_settings("dispatch"))
    try:
        assert await connection.fetchval("SELECT number FROM kept") == 7
    finally:
        await connection.close()
