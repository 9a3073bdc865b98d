"""That Kafka forgets when the table of topics says so: what it was told, and what it does."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

# The package re-exports these without telling type checkers, so they come from where they are defined.
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.admin._resource import ResourceType

from alerthub import kafka, kafka_administration
from alerthub.embedded.kafka_node import KafkaNode
from alerthub.settings import KafkaSettings
from alerthub.topics import CHANGELOG, COMPACTED_TOPICS, TOPICS, Cleanup

Settings = Callable[[str], KafkaSettings]


@pytest.fixture(scope="module")
def configured(kafka_settings: Settings) -> dict[str, dict[str, str]]:
    """What the broker holds for each topic."""
    with kafka.administrator(kafka_settings("admin")) as admin:
        names = [name for name in admin.list_topics(timeout=10).topics if name in TOPICS]
        return {name: settings_of(admin, name) for name in names}


def settings_of(admin: AdminClient, topic: str) -> dict[str, str]:
    [future] = admin.describe_configs([ConfigResource(ResourceType.TOPIC, topic)]).values()
    return {name: str(entry.value) for name, entry in future.result(timeout=30).items()}


@pytest.mark.parametrize("topic", TOPICS)
def test_the_broker_was_told_what_the_table_says(topic: str, configured: dict[str, dict[str, str]]) -> None:
    told = TOPICS[topic].config()
    assert {name: configured[topic][name] for name in told} == told


@pytest.mark.parametrize("topic", [name for name in TOPICS if name not in COMPACTED_TOPICS])
def test_the_broker_deletes_a_streaming_topics_segments_in_time(
    topic: str, configured: dict[str, dict[str, str]]
) -> None:
    settings = configured[topic]
    assert "delete" in settings["cleanup.policy"].split(",")
    assert int(settings["retention.ms"]) == TOPICS[topic].retention_ms
    assert 0 < int(settings["segment.ms"]) * 6 <= int(settings["retention.ms"])
    assert settings["message.timestamp.type"] == "LogAppendTime"
    assert int(settings["file.delete.delay.ms"]) <= 1_000


def test_the_brokers_changelog_is_compacted_and_deleted(configured: dict[str, dict[str, str]]) -> None:
    assert configured[CHANGELOG]["cleanup.policy"] == "compact,delete"


@pytest.fixture
def short_lived(kafka_settings: Settings, unique: Callable[[str], str]) -> Iterator[str]:
    """A topic of the table's streaming kind that lives 6 s instead of an hour."""
    name = unique("short-lived")
    specification = replace(
        TOPICS["observations"], name=name, partitions=1, retention_ms=6_000, segment_ms=1_000
    )
    assert specification.cleanup is Cleanup.DELETE
    with kafka.administrator(kafka_settings("admin")) as admin:
        kafka_administration.create_topics(admin, {name: specification})
        yield name
        for future in admin.delete_topics([name]).values():
            future.result(timeout=30)


async def test_a_streaming_topic_that_nobody_writes_to_any_more_leaves_no_byte(
    short_lived: str, kafka_settings: Settings, kafka_broker: KafkaNode, unique: Callable[[str], str]
) -> None:
    # given a record, the last that ever comes
    canary = unique("observed").encode()
    producer = kafka.producer(kafka_settings("admin"), client_id="test")
    await producer.start()
    try:
        await producer.send_and_wait(short_lived, canary, partition=0)
    finally:
        await producer.stop()
    assert await asyncio.to_thread(files_with, canary, kafka_broker)

    # when its life is over and the broker has looked, which it does every half minute
    async with asyncio.timeout(90):
        while await asyncio.to_thread(files_with, canary, kafka_broker):  # noqa: ASYNC110 - files tell nobody
            await asyncio.sleep(0.5)

    # then the topic is there, and no file of the broker holds the record
    with kafka.administrator(kafka_settings("admin")) as admin:
        assert short_lived in admin.list_topics(timeout=10).topics


def files_with(content: bytes, broker: KafkaNode) -> list[str]:
    """The broker's files that hold these bytes, deleted ones that still lie there too."""
    found = []
    # Unlike rglob it goes on where the broker takes a folder away meanwhile.
    for folder, _, names in os.walk(broker.segments):
        for name in names:
            with suppress(FileNotFoundError):
                if content in Path(folder, name).read_bytes():
                    found.append(name)
    return found
