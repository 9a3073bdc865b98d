"""The state of the partitions that this worker holds: recovered from the changelog, worked on, captured.

Faust recovers a table by keeping the last record of each key. A worker that lost its partition can write
after the new owner did, so here the record with the highest offset is kept instead (C4), in a table of its
own class.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import Enum, auto
from typing import Any, Generic, Protocol, TypeVar

import faust
from faust.types import TP, EventT

from alerthub.domain.catalogue import Configuration
from alerthub.domain.correlation import forget_what_is_over
from alerthub.domain.partition_state import Counts, PartitionState
from alerthub.domain.passage_state import PassageState
from alerthub.telemetry import logger
from services.correlator import passage_snapshots, snapshots
from services.correlator.snapshots import Captured, Snapshot

log = logger(__name__)


class StateTable(faust.Table[bytes, bytes]):
    """The newest acknowledged record of each key of the partitions that this worker holds.

    Only recovery and `keep` write it. It does not use Faust's store: nothing reads a table by key here.
    """

    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self._records: dict[int, dict[bytes, bytes]] = {}
        self.failure: Exception | None = None
        """Faust logs what goes wrong while it recovers and goes on without the record: so it is kept here,
        and nothing is loaded from a table that has one."""

    def records(self, partition: int) -> Iterable[bytes]:
        """Every record of the partition."""
        return self._records.get(partition, {}).values()

    def keep(self, snapshot: Snapshot) -> None:
        """Takes a record in, unless one of a higher offset is known."""
        records = self._records.setdefault(snapshot.partition, {})
        records[snapshot.key] = snapshots.prefer(records.get(snapshot.key), snapshot.value)

    def apply_changelog_batch(self, batch: Iterable[EventT[Any]]) -> None:
        """Faust's hook: records of the changelog, in its order."""
        for event in batch:
            try:
                self._take(event.message.partition, event.key, event.value)
            except Exception as error:  # noqa: BLE001 - Faust would swallow it: see `failure`
                self.failure = error

    def _take(self, partition: int, key: object, value: object) -> None:
        if not isinstance(key, bytes) or not isinstance(value, bytes):
            raise TypeError("a record of the changelog is a key and a value in bytes")
        self.keep(Snapshot(partition, key, value))

    async def on_rebalance(
        self, assigned: set[TP], revoked: set[TP], newly_assigned: set[TP], generation_id: int = 0
    ) -> None:
        """Faust's hook: what was lost is forgotten, so that it is read again from the beginning when it
        returns."""
        await super().on_rebalance(assigned, revoked, newly_assigned, generation_id)
        held = {partition.partition for partition in assigned if partition.topic == self.changelog_topic_name}
        for partition in set(self._records) - held:
            del self._records[partition]


class Arrival(Enum):
    """How a batch comes in the order of its partition."""

    IN_ORDER = auto()
    AFTER_A_GAP = auto()
    """One before it did not come: it is to be read again from `Working.expected`."""
    AGAIN_LATER = auto()
    """It came before what is being read again, and will come again after it."""


class State(Protocol):
    """What is held of a partition, up to and including the record at `offset`."""

    @property
    def offset(self) -> int: ...


Held = TypeVar("Held", bound=State)


class WorkingCopies(Generic[Held]):
    """The working copies of the partitions' states. Closed: nothing may be loaded or applied.

    It is open from the end of a recovery until the partitions are revoked, and every opening begins with what
    was written down (C3).
    """

    def __init__(self, table: StateTable) -> None:
        self._table = table
        self._states: dict[int, Held] = {}
        self._partitions: frozenset[int] = frozenset()
        self._next: dict[int, int] = {}
        self._read_again: set[int] = set()
        self.topic_id = b""
        self.open = False
        self.generation = 0
        """Changes with every opening and closing."""

    def _begin(
        self,
        partitions: Mapping[int, int],
        topic_id: bytes,
        restore: Callable[[int, Iterable[bytes]], Held],
    ) -> None:
        """Raises what went wrong while the table was recovered, and what `restore` does."""
        if self._table.failure is not None:
            raise self._table.failure
        self._partitions = frozenset(partitions)
        self._next = dict(partitions)
        self._read_again = set()
        self.topic_id = topic_id
        self._states = {
            partition: restore(partition, self._table.records(partition)) for partition in self._partitions
        }
        self.open = True
        self.generation += 1

    def end(self) -> None:
        """Drops every working copy."""
        self._states = {}
        self._partitions = frozenset()
        self.open = False
        self.generation += 1

    def holds(self, partition: int) -> bool:
        return self.open and partition in self._partitions

    def arrival(self, partition: int, offset: int) -> Arrival:
        """How the record at `offset` comes, which is noted: one in order is to be applied, no other.

        Faust drops what it holds when the group's generation changes, and takes the gap for a compacted
        log's. These logs are never compacted and have no transactions, so their offsets have no gaps. A
        record that is in the state already need not come again.
        """
        if offset <= self.expected(partition):
            self._next[partition] = offset + 1
            self._read_again.discard(partition)
            return Arrival.IN_ORDER
        if partition in self._read_again:
            return Arrival.AGAIN_LATER
        self._read_again.add(partition)
        return Arrival.AFTER_A_GAP

    def expected(self, partition: int) -> int:
        """The lowest offset at which the partition goes on."""
        return max(self._next[partition], self._states[partition].offset + 1)

    def state(self, partition: int) -> Held:
        """The working copy. Raises KeyError for a partition that is not held."""
        return self._states[partition]

    @property
    def partitions(self) -> frozenset[int]:
        return self._partitions


class Working(WorkingCopies[PartitionState]):
    """The first agent's: of partitions of `observations`."""

    def begin(self, partitions: Mapping[int, int], topic_id: bytes) -> None:
        """Recovery is complete: these partitions are held, and batches may be applied, each partition's from
        the given offset on.

        Raises what went wrong while the table was recovered, UnknownSchemaError, DecodeError.
        """
        self._begin(
            partitions,
            topic_id,
            lambda partition, records: snapshots.restore(partition, records, topic_id),
        )
        log.info("state_recovered", partitions=sorted(self._partitions))

    def capture(self, configuration: Configuration, now_ms: int) -> list[Captured]:
        """What changed since the last capture, as bytes, without what is over by now (refusal 2)."""
        captured = []
        for partition, state in self._states.items():
            forget_what_is_over(state, configuration, now_ms)
            captured.append(snapshots.capture(partition, state, self.topic_id))
        return captured

    def totals(self) -> Mapping[int, Counts]:
        """What each held partition counted since its topic began."""
        return {partition: state.totals() for partition, state in self._states.items()}


class WorkingPassages(WorkingCopies[PassageState]):
    """The second agent's: of partitions of `passages`."""

    def begin(
        self,
        partitions: Mapping[int, int],
        topic_id: bytes,
        *,
        source_topic_id: bytes,
        incomplete: Iterable[int] = (),
    ) -> None:
        """As `Working.begin`. `source_topic_id` is of `observations`; of the `incomplete` partitions Kafka
        forgot records, so what their sources sent before is not known."""
        self._begin(
            partitions,
            topic_id,
            lambda partition, records: passage_snapshots.restore(
                partition, records, topic_id, source_topic_id
            ),
        )
        for partition in incomplete:
            self._states[partition].forget_sources()

    def capture(self, configuration: Configuration, now_ms: int) -> list[Captured]:
        """As `Working.capture`."""
        captured = []
        for partition, state in self._states.items():
            state.forget_what_is_over(configuration, now_ms)
            captured.append(passage_snapshots.capture(partition, state, self.topic_id))
        return captured
