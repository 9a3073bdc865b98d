"""Where Kafka's logs begin and end, and how far a consumer group has committed, asked of the broker and never
of whoever consumes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from threading import Lock
from types import TracebackType
from typing import Self

from confluent_kafka import KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin._listoffsets import OffsetSpec
from confluent_kafka.admin._metadata import ClusterMetadata

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
    """`KafkaPositions.describe`, once and in a thread. Raises Retry."""

    def ask() -> tuple[str, list[int]]:
        with KafkaPositions(settings) as positions:
            return positions.describe(topic)

    return await asyncio.to_thread(ask)


@contextmanager
def _told(unanswered: str) -> Iterator[None]:
    """Retry with this sentence where Kafka does not answer."""
    try:
        yield
    except (KafkaException, TimeoutError) as error:
        raise Retry(unanswered) from error


class KafkaPositions:
    """Asks over connections of its own, one question at a time, until it is closed. `groups`: whose committed
    offsets may be asked for.

    Every question blocks, for 15 s at most, and raises Retry.
    """

    def __init__(self, settings: KafkaSettings, groups: Iterable[str] = ()) -> None:
        self._clients = ExitStack()
        self._admin = self._clients.enter_context(kafka.administrator(settings))
        self._readers = {
            group: self._clients.enter_context(kafka.offsets_reader(settings, group)) for group in groups
        }
        self._asking = Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connections, after the question that is on its way: librdkafka would answer it no more."""
        with self._asking:
            self._clients.close()

    def cluster(self) -> ClusterMetadata:
        """Brokers, topics and partitions, as far as the principal may describe them."""
        with _told("Kafka did not describe its cluster"), self._asking:
            return self._admin.list_topics(timeout=TIMEOUT_SECONDS)

    def describe(self, topic: str) -> tuple[str, list[int]]:
        """The id that Kafka gave the topic when it was created, and its partitions."""
        with _told(f"Kafka did not describe the topic {topic}"), self._asking:
            futures = self._admin.describe_topics(TopicCollection([topic]), request_timeout=TIMEOUT_SECONDS)
            described = futures[topic].result(timeout=TIMEOUT_SECONDS)
        return str(described.topic_id), [int(each.id) for each in described.partitions]

    def starts(self, places: Sequence[Place]) -> dict[Place, int]:
        """The first offset that each log still has."""
        return self._offsets(places, _EARLIEST)

    def ends(self, places: Sequence[Place]) -> dict[Place, int]:
        """The offset that each log's next record gets."""
        return self._offsets(places, _LATEST)

    def committed(self, group: str, places: Sequence[Place]) -> dict[Place, int]:
        """What the group has committed; a place where it has not is missing."""
        if not places:
            return {}
        asked = [TopicPartition(topic, partition) for topic, partition in places]
        deadline = time.monotonic() + TIMEOUT_SECONDS
        with _told(f"Kafka did not say what {group} has committed"):
            while True:
                try:
                    with self._asking:
                        found = self._readers[group].committed(asked, timeout=TIMEOUT_SECONDS)
                    break
                except KafkaException as error:
                    if error.args[0].code() not in _COORDINATOR_IS_SOUGHT or time.monotonic() > deadline:
                        raise
                    time.sleep(0.1)
        # librdkafka's mark for "none" is negative.
        return {(one.topic, one.partition): one.offset for one in found if one.offset >= 0}

    def _offsets(self, places: Sequence[Place], which: OffsetSpec) -> dict[Place, int]:
        asked = {TopicPartition(topic, partition): which for topic, partition in places}
        if not asked:
            return {}
        with _told("Kafka did not say where its logs begin and end"), self._asking:
            futures = self._admin.list_offsets(asked, request_timeout=TIMEOUT_SECONDS)
            return {
                (place.topic, place.partition): future.result(timeout=TIMEOUT_SECONDS).offset
                for place, future in futures.items()
            }
