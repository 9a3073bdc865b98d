"""Ends the process when what the correlator waits for has stood still for too long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import faust

from alerthub.domain.errors import Retry
from alerthub.telemetry import logger
from services.correlator.positions import Positions
from services.correlator.replicas import Gate
from services.correlator.state import Working, WorkingPassages
from services.correlator.watchdog import Waiting, Watchdog

log = logger(__name__)


class StalledError(Exception):
    """The consumer stopped without a word: only a restart mends it."""


class Progress:
    """Of one worker: its state's recovery, its replicas, and the partitions of both topics.

    `assigned` gives the partitions of observations that the group gave this worker.
    """

    def __init__(
        self,
        application: faust.App,
        *,
        assigned: Callable[[], list[int]],
        working: Working,
        working_passages: WorkingPassages,
        positions: Positions,
        passage_positions: Positions,
        gate: Gate,
        limit_seconds: float,
    ) -> None:
        self._application = application
        self._assigned = assigned
        self._working = working
        self._working_passages = working_passages
        self._positions = positions
        self._passage_positions = passage_positions
        self._gate = gate
        self._limit = limit_seconds

    async def watch(self) -> None:
        """Never returns. `StalledError`: something stood still for longer than the limit."""
        limit = self._limit
        dog, passages_dog = Watchdog(limit), Watchdog(limit)
        # A Faust that loses its broker while it reads the changelog can wait for the rest for ever, and so
        # can a replica: seen after Kafka was killed in the middle of a rebalance.
        recovery, gate = Waiting(limit), Waiting(2 * limit)
        while True:
            await asyncio.sleep(min(10.0, limit / 4))
            partitions = self._assigned()
            of_passages = self._working_passages.partitions
            try:
                positions = await self._positions.read(partitions) if partitions else {}
                passage_positions = await self._passage_positions.read(of_passages) if of_passages else {}
            except Retry:
                # Only what stands still while the broker answers counts.
                recovery.too_long(None)
                gate.too_long(None)
                continue
            if recovery.too_long(self._recovered_so_far() if partitions else None):
                log.error("recovery_stalled", partitions=partitions)
                raise StalledError(
                    f"the state of {len(partitions)} partitions was not recovered in {limit} s"
                )
            closed = self._gate.closed_because()
            if gate.too_long(None if closed is None else "closed"):
                log.error("replicas_stalled")
                raise StalledError(f"the replicas were not fresh for {2 * limit} s")
            if closed is not None:
                dog.pause()
                passages_dog.pause()
                continue
            stalled = dog.stalled(positions) + passages_dog.stalled(passage_positions)
            if stalled:
                log.error("consumer_stalled", partitions=stalled)
                raise StalledError(f"{len(stalled)} partitions lag and have not moved for {limit} s")

    def _recovered_so_far(self) -> int | None:
        """How far the changelog has been read, while the state is being recovered; None: it is."""
        if self._working.open:
            return None
        recovery = cast(Any, self._application.tables).recovery
        return int(sum(recovery.active_offsets.values()))
