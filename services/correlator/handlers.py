"""Applies batches: decode, evaluate, raise, note. What fires is on its way before the next batch is looked
at."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from google.protobuf.message import DecodeError

from alerthub.domain import correlation
from alerthub.domain.correlation import Evaluation, Passing
from alerthub.domain.versions import ACTIVATION_LEAD_MS
from alerthub.observation_batches import ReadBatch
from alerthub.telemetry import logger
from alerthub.tracing import Traces
from services.correlator import metrics, spans
from services.correlator.checkpoint import Checkpoint
from services.correlator.outgoing import EventView, InOrder, MessageView, Outgoing, now_ms
from services.correlator.passage_sending import PassageSender, TooLargeError
from services.correlator.replicas import Gate, Reference
from services.correlator.state import Working

log = logger(__name__)

MAXIMUM_OBSERVATIONS = 1_024
"""Of a batch. Gateways pack 256; the state's bounds are computed with this."""


class BatchHandler:
    """Applies one batch after the other. `read_again` has a partition handed over from an offset on."""

    def __init__(
        self,
        *,
        gate: Gate,
        reference: Reference,
        working: Working,
        checkpoint: Checkpoint,
        outgoing: Outgoing,
        passages: PassageSender,
        read_again: Callable[[int, int], Awaitable[None]],
        clock: Callable[[], int] = now_ms,
        traces: Traces | None = None,
    ) -> None:
        self._reference = reference
        self._working = working
        self._checkpoint = checkpoint
        self._outgoing = outgoing
        self._passages = passages
        self._clock = clock
        self._traces = traces
        self._in_order = InOrder(gate=gate, working=working, read_again=read_again, counter=metrics.BATCHES)
        self.heard: dict[str, int] = {}
        """By gateway: when it received its newest batch, by its clock (C11)."""

    async def take(self, event: EventView) -> None:
        """Applies the event's batch once the gate is open, unless its partition has been taken away by
        then."""
        batch = _decoded(event.message)
        as_of_ms = 0 if batch is None else batch.received_time_ms - ACTIVATION_LEAD_MS
        if not await self._in_order.admits(event.message, as_of_ms):
            return
        # No await from here to the end: a checkpoint sees all of the batch or nothing of it (C2).
        if batch is None:
            self._put_aside(event, "not an ObservationBatch")
        else:
            self._apply(event, batch)

    def _apply(self, event: EventView, batch: ReadBatch) -> None:
        message = event.message
        if len(batch.observation_ids) > MAXIMUM_OBSERVATIONS:
            self._put_aside(event, f"more than {MAXIMUM_OBSERVATIONS} observations")
            return
        now = self._clock()
        knowledge = self._reference.knowledge(batch.received_time_ms, batch.matching_version)
        try:
            result = correlation.evaluate(
                batch,
                offset=message.offset,
                state=self._working.state(message.partition),
                knowledge=knowledge,
                now_ms=now,
            )
        except DecodeError:
            self._put_aside(event, "an observation that cannot be read")
            return
        sent = [self._outgoing.alert(raised, batch, message, now) for raised in result.raised]
        if result.passing:
            sent.extend(self._pass_on(result.passing, batch, message, knowledge.exact_index))
        self._checkpoint.note(event, sent)
        self.heard[batch.gateway_id] = batch.received_time_ms
        self._count(result, batch.received_time_ms, now)
        if self._traces is not None:
            spans.tell_batch(
                self._traces, message, count=result.received, from_ms=now, until_ms=self._clock()
            )

    def _pass_on(
        self, passing: list[Passing], batch: ReadBatch, message: MessageView, exact_index: int
    ) -> list[Awaitable[object]]:
        sent: list[Awaitable[object]] = []
        try:
            sent.extend(
                self._passages.send(
                    passing,
                    batch,
                    partition=message.partition,
                    offset=message.offset,
                    exact_index=exact_index,
                )
            )
        except TooLargeError:
            # Kafka would refuse it for ever, and the batch would never be acknowledged.
            log.exception("passages_too_large", partition=message.partition, offset=message.offset)
            sent.append(self._outgoing.letter(message, "passages of more bytes than Kafka takes"))
        return sent

    def _put_aside(self, event: EventView, reason: str) -> None:
        message = event.message
        sent: list[Awaitable[object]] = []
        if correlation.note_dead_letter(self._working.state(message.partition), message.offset):
            sent.append(self._outgoing.letter(message, reason))
            metrics.BATCHES.labels("dead_lettered").inc()
            log.error(
                "batch_dead_lettered", partition=message.partition, offset=message.offset, reason=reason
            )
        # Acknowledged by the checkpoint, after the write to `dead-letter` (C2).
        self._checkpoint.note(event, sent)

    def _count(self, result: Evaluation, received_ms: int, now: int) -> None:
        metrics.BATCHES.labels("skipped" if result.skipped else "applied").inc()
        if result.received:
            metrics.OBSERVATIONS.labels("received").inc(result.received)
        if result.repeats:
            metrics.OBSERVATIONS.labels("repeat").inc(result.repeats)
        if result.late:
            metrics.OBSERVATIONS.labels("late").inc(result.late)
        if result.without_identifiers:
            metrics.OBSERVATIONS.labels("without_identifiers").inc(result.without_identifiers)
        if result.not_covered:
            metrics.NOT_COVERED.inc(result.not_covered)
        if result.overflowed:
            metrics.STAYS_OVERFLOWED.inc(result.overflowed)
        for raised in result.raised:
            self._outgoing.count(raised, received_ms, now)
        for failure in result.failures:
            self._outgoing.suspended(failure)


def _decoded(message: MessageView) -> ReadBatch | None:
    """The batch of the record; None when it is none."""
    try:
        return ReadBatch(message.value or b"")
    except DecodeError:
        return None
