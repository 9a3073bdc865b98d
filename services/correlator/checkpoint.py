"""The checkpoint: alerts, then state, then acknowledgements, each only after the broker has the one before
(C3)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from alerthub.telemetry import logger
from services.correlator import metrics
from services.correlator.snapshots import Captured, Snapshot

log = logger(__name__)


class Acknowledgeable(Protocol):
    """A batch's event."""

    def ack(self) -> object: ...


class Checkpoint:
    """Collects what applied batches leave behind, and writes it down.

    `capture` gives the changed states as bytes, `send` hands a record to the changelog's producer, `keep`
    is told of each record that the broker has, `generation` tells assignments apart.
    """

    def __init__(
        self,
        *,
        capture: Callable[[], Sequence[Captured]],
        send: Callable[[Snapshot], Awaitable[object]],
        keep: Callable[[Snapshot], None],
        generation: Callable[[], object],
    ) -> None:
        self._capture = capture
        self._send = send
        self._keep = keep
        self._generation = generation
        self._lock = asyncio.Lock()
        self._events: list[Acknowledgeable] = []
        self._sent: list[Awaitable[object]] = []
        self.completed_at = time.monotonic()

    def note(self, event: Acknowledgeable, sent: Sequence[Awaitable[object]] = ()) -> None:
        """A batch was applied; `sent` are the deliveries of what it raised. Called in the batches' order."""
        self._events.append(event)
        self._sent.extend(sent)

    def wait_for(self, *sent: Awaitable[object]) -> None:
        """Deliveries that no batch raised, and without which nothing more is to be acknowledged."""
        self._sent.extend(sent)

    def forget(self) -> None:
        """The assignment ended: whoever holds the partitions next applies the batches again."""
        self._events = []
        self._sent = []

    @property
    def waiting(self) -> int:
        """Batches that are applied and not acknowledged."""
        return len(self._events)

    async def run(self) -> bool:
        """Writes down everything noted so far. False when the assignment changed meanwhile: nothing more was
        acknowledged. Raises what a delivery failed with."""
        async with self._lock:
            started = time.monotonic()
            generation = self._generation()
            # One step, without an await: states, deliveries and events are of the same batches.
            captured = self._capture()
            sent, self._sent = self._sent, []
            events, self._events = self._events, []

            await asyncio.gather(*sent)
            if self._generation() != generation:
                return self._abandoned("alerts")
            await self._write([snapshot for one in captured for snapshot in one.pieces])
            if self._generation() != generation:
                return self._abandoned("districts")
            await self._write([one.ledger for one in captured if one.ledger is not None])
            if self._generation() != generation:
                return self._abandoned("ledgers")
            for event in events:
                event.ack()
            self.completed_at = time.monotonic()
            metrics.CHECKPOINT_SECONDS.observe(self.completed_at - started)
            return True

    async def _write(self, records: Sequence[Snapshot]) -> None:
        await asyncio.gather(*(self._send(record) for record in records))
        metrics.STATE_BYTES.inc(sum(len(record.value) for record in records))
        for record in records:
            self._keep(record)

    def _abandoned(self, after: str) -> bool:
        metrics.CHECKPOINTS_ABANDONED.inc()
        log.warning("checkpoint_abandoned", after=after)
        return False
