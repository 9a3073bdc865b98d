"""Where Kafka's logs begin and end, and how far a consumer group has committed, asked of the broker and never
of whoever consumes. What is not a coroutine blocks, for 15 s at most a question, and raises KafkaException or
TimeoutError.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec

from alerthub import kafka
from alerthub.domain.errors import Retry
from alerthub.settings import KafkaSettings

TIMEOUT_SECONDS = 15.0
_EARLIEST: OffsetSpec = OffsetSpec.earliest()  # type: ignore[no-untyped-call]
_LATEST: OffsetSpec = OffsetSpec.latest()  # type: ignore[no-untyped-call]

_COORDINATOR_IS_SOUGHT = (
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
)
"""What a group that nobody has used yet answers, and any group for a moment after a broker's start."""

Place = tuple[str, int]
"""Topic and partition."""


async def describe(settings: KafkaSettings, topic: str) -> tuple[str, list[int]]:
    """`topic_description`, asked over a connection of its own. Raises Retry."""

    def ask() -> tuple[str, list[int]]:
        with kafka.administrator(settings) as admin:
            return topic_description(admin, topic)

    try:
        return await asyncio.to_thread(ask)
    except (KafkaException, TimeoutError) as error:
        raise Retry(f"Kafka did not describe the topic {topic}") from error


def topic_description(admin: AdminClient, topic: str) -> tuple[str, list[int]]:
    """The id that Kafka gave the topic when it was created, and its partitions."""
    futures = admin.describe_topics(TopicCollection([topic]), request_timeout=TIMEOUT_SECONDS)
    description = futures[topic].result(timeout=TIMEOUT_SECONDS)
    return str(description.topic_id), [int(each.id) for each in description.partitions]


def starts(admin: AdminClient, places: Sequence[Place]) -> dict[Place, int]:
    """The first offset that each log still has."""
    return _offsets(admin, places, _EARLIEST)


def ends(admin: AdminClient, places: Sequence[Place]) -> dict[Place, int]:
    """The offset that each log's next record gets."""
    return _offsets(admin, places, _LATEST)


def committed(reader: Consumer, places: Sequence[Place]) -> dict[Place, int]:
    """What the reader's group (`kafka.offsets_reader`) has committed; a place where it has not is missing."""
    if not places:
        return {}
    asked = [TopicPartition(topic, partition) for topic, partition in places]
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while True:
        try:
            found = reader.committed(asked, timeout=TIMEOUT_SECONDS)
            break
        except KafkaException as error:
            if error.args[0].code() not in _COORDINATOR_IS_SOUGHT or time.monotonic() > deadline:
                raise
            time.sleep(0.1)
    # librdkafka's mark for "none" is negative.
    return {(one.topic, one.partition): one.offset for one in found if one.offset >= 0}


def _offsets(admin: AdminClient, places: Sequence[Place], which: OffsetSpec) -> dict[Place, int]:
    asked = {TopicPartition(topic, partition): which for topic, partition in places}
    if not asked:
        return {}
    futures = admin.list_offsets(asked, request_timeout=TIMEOUT_SECONDS)
    return {
        (place.topic, place.partition): future.result(timeout=TIMEOUT_SECONDS).offset
        for place, future in futures.items()
    }
