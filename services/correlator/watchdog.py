"""Ends the process when its consumer has stopped without a word.

Faust's consumer can stop silently after a rebalance (faust-streaming issues 166, 175, 629). Only the
broker's own figures count: a committed offset behind the log's end that has not moved. Every gateway writes
a batch a second to every partition, so a partition that is worked on always moves.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from services.correlator.positions import Position


@dataclass(frozen=True, slots=True)
class _Seen:
    committed: int | None
    since: float


class Watchdog:
    """Remembers since when each partition has not moved. `clock` is monotonic, in seconds."""

    def __init__(self, limit_seconds: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit_seconds
        self._clock = clock
        self._seen: dict[int, _Seen] = {}

    def stalled(self, positions: Mapping[int, Position]) -> list[int]:
        """The partitions of this worker that lag and have not moved for longer than the limit."""
        now = self._clock()
        for partition in set(self._seen) - positions.keys():
            del self._seen[partition]
        found = []
        for partition, position in positions.items():
            before = self._seen.get(partition)
            lags = (position.committed if position.committed is not None else position.start) < position.end
            if before is None or not lags or before.committed != position.committed:
                self._seen[partition] = _Seen(position.committed, now)
            elif now - before.since > self._limit:
                found.append(partition)
        return found

    def pause(self) -> None:
        """Nothing is expected to move (the gate is closed): begins again afterwards."""
        self._seen.clear()


class Waiting:
    """Remembers since when the same thing is waited for. `clock` is monotonic, in seconds."""

    def __init__(self, limit_seconds: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit_seconds
        self._clock = clock
        self._for: object = None
        self._since = clock()

    def too_long(self, waiting_for: object) -> bool:
        """Whether `waiting_for` has been the same for longer than the limit. None: nothing is waited for."""
        now = self._clock()
        if waiting_for is None or waiting_for != self._for:
            self._for, self._since = waiting_for, now
            return False
        return now - self._since > self._limit


def lost(positions: Mapping[int, Position]) -> dict[int, int]:
    """By partition, how many batches Kafka forgot before they were applied (C15)."""
    return {
        partition: position.start - position.committed
        for partition, position in positions.items()
        if position.committed is not None and position.committed < position.start
    }


def lag(positions: Iterable[Position]) -> int:
    """Batches in Kafka that are not committed."""
    return sum(
        max(0, one.end - (one.committed if one.committed is not None else one.start)) for one in positions
    )
