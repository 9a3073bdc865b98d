"""Where Kafka stands: topic id, ends and starts of logs, committed offsets, asked over a connection of its
own.

The watchdog must not ask the consumer that it watches.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin._listoffsets import OffsetSpec

from alerthub import kafka
from alerthub.domain.errors import Retry
from alerthub.settings import KafkaSettings

_TIMEOUT_SECONDS = 15.0
_EARLIEST: OffsetSpec = OffsetSpec.earliest()  # type: ignore[no-untyped-call]
_LATEST: OffsetSpec = OffsetSpec.latest()  # type: ignore[no-untyped-call]


@dataclass(frozen=True, slots=True)
class Position:
    """One partition: the log's first and next offset, and the group's committed offset (None: none yet)."""

    start: int
    end: int
    committed: int | None


class Positions:
    """Questions about one topic and one group."""

    def __init__(self, settings: KafkaSettings, *, topic: str, group: str) -> None:
        self._admin = kafka.administrator(settings)
        self._topic = topic
        self._group = group
        self.partition_count = 0
        """Of the topic; 0 before `topic_id` was asked."""

    async def topic_id(self) -> bytes:
        """The id that Kafka gave the topic when it was created. Raises Retry."""
        return await asyncio.to_thread(self._topic_id)

    async def read(self, partitions: Iterable[int]) -> Mapping[int, Position]:
        """Where the partitions stand. Raises Retry."""
        return await asyncio.to_thread(self._read, list(partitions))

    def _topic_id(self) -> bytes:
        try:
            futures = self._admin.describe_topics(
                TopicCollection([self._topic]), request_timeout=_TIMEOUT_SECONDS
            )
            described = futures[self._topic].result(timeout=_TIMEOUT_SECONDS)
        except (KafkaException, TimeoutError) as error:
            raise Retry("Kafka did not describe the topic of observations") from error
        self.partition_count = len(described.partitions)
        return str(described.topic_id).encode()

    def _read(self, partitions: list[int]) -> dict[int, Position]:
        asked = [TopicPartition(self._topic, partition) for partition in partitions]
        try:
            starts = self._offsets(asked, _EARLIEST)
            ends = self._offsets(asked, _LATEST)
            group = self._admin.list_consumer_group_offsets(
                [ConsumerGroupTopicPartitions(self._group, asked)], request_timeout=_TIMEOUT_SECONDS
            )
            committed = group[self._group].result(timeout=_TIMEOUT_SECONDS).topic_partitions
        except (KafkaException, TimeoutError) as error:
            raise Retry("Kafka did not say where the partitions of observations stand") from error
        offsets = {one.partition: one.offset for one in committed}
        return {
            partition: Position(
                starts[partition],
                ends[partition],
                # librdkafka's mark for "none" is negative.
                offsets[partition] if offsets.get(partition, -1) >= 0 else None,
            )
            for partition in partitions
        }

    def _offsets(self, asked: list[TopicPartition], which: OffsetSpec) -> dict[int, int]:
        futures = self._admin.list_offsets(dict.fromkeys(asked, which), request_timeout=_TIMEOUT_SECONDS)
        return {
            partition.partition: future.result(timeout=_TIMEOUT_SECONDS).offset
            for partition, future in futures.items()
        }
