"""Where Kafka's logs begin and end, and how far a consumer group has committed, asked of the broker and never
of a consumer. Everything here blocks, for 15 s at most a question, and raises KafkaException or TimeoutError.
"""

from __future__ import annotations

from collections.abc import Sequence

from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec

TIMEOUT_SECONDS = 15.0
_EARLIEST: OffsetSpec = OffsetSpec.earliest()  # type: ignore[no-untyped-call]
_LATEST: OffsetSpec = OffsetSpec.latest()  # type: ignore[no-untyped-call]

Place = tuple[str, int]
"""Topic and partition."""


def starts(admin: AdminClient, places: Sequence[Place]) -> dict[Place, int]:
    """The first offset that each log still has."""
    return _offsets(admin, places, _EARLIEST)


def ends(admin: AdminClient, places: Sequence[Place]) -> dict[Place, int]:
    """The offset that each log's next record gets."""
    return _offsets(admin, places, _LATEST)


def committed(admin: AdminClient, group: str, places: Sequence[Place]) -> dict[Place, int]:
    """What the group has committed; a place where it has not is missing."""
    asked = [TopicPartition(topic, partition) for topic, partition in places]
    answers = admin.list_consumer_group_offsets(
        [ConsumerGroupTopicPartitions(group, asked)], request_timeout=TIMEOUT_SECONDS
    )
    found = answers[group].result(timeout=TIMEOUT_SECONDS).topic_partitions
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
