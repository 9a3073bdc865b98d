"""Where Kafka stands: topic id, ends and starts of logs, committed offsets, asked over a connection of its
own.

The watchdog must not ask the consumer that it watches.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from alerthub.kafka_positions import KafkaPositions
from alerthub.settings import KafkaSettings


@dataclass(frozen=True, slots=True)
class Position:
    """One partition: the log's first and next offset, and the group's committed offset (None: none yet)."""

    start: int
    end: int
    committed: int | None


class Positions:
    """Questions about one topic and one group."""

    def __init__(self, settings: KafkaSettings, *, topic: str, group: str) -> None:
        self._positions = KafkaPositions(settings, [group])
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

    async def aclose(self) -> None:
        """Ends the connections, after the question that is on its way; nothing can be asked afterwards."""
        await asyncio.to_thread(self._positions.close)

    def _topic_id(self) -> bytes:
        topic_id, partitions = self._positions.describe(self._topic)
        self.partition_count = len(partitions)
        return topic_id.encode()

    def _read(self, partitions: list[int]) -> dict[int, Position]:
        places = [(self._topic, partition) for partition in partitions]
        starts = self._positions.starts(places)
        ends = self._positions.ends(places)
        committed = self._positions.committed(self._group, places)
        return {place[1]: Position(starts[place], ends[place], committed.get(place)) for place in places}
