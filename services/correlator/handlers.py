"""Applies batches: decode, evaluate, raise, note. What fires is on its way before the next batch is looked
at."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from google.protobuf.message import DecodeError

from alerthub.domain import correlation
from alerthub.domain.correlation import Evaluation, RuleFailure
from alerthub.domain.rules.interface import Raised, WatchlistMatch
from alerthub.domain.versions import ACTIVATION_LEAD_MS
from alerthub.observation_batches import ReadBatch
from alerthub.telemetry import logger
from alerthub.topics import TOPICS
from services.correlator import dead_letters, metrics, records
from services.correlator.checkpoint import Checkpoint
from services.correlator.replicas import Gate, Reference
from services.correlator.state import Arrival, Working

log = logger(__name__)

MAXIMUM_OBSERVATIONS = 1_024
"""Of a batch. Gateways pack 256; the state's bounds are computed with this."""

MAXIMUM_ALERT_BYTES = TOPICS["alerts"].max_message_bytes - 1_024
"""Of an alert's value, with room for what Kafka puts around it."""

Send = Callable[[bytes, bytes], Awaitable[object]]
"""Hands a key and a value to the producer and returns at once; the result says that the broker has it."""


class MessageView(Protocol):
    """A record of `observations`."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def value(self) -> bytes | None: ...


class EventView(Protocol):
    """Faust's event: the record, and its acknowledgement."""

    @property
    def message(self) -> MessageView: ...

    def ack(self) -> object: ...


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class BatchHandler:
    """Applies one batch after the other. `read_again` has a partition handed over from an offset on."""

    def __init__(
        self,
        *,
        gate: Gate,
        reference: Reference,
        working: Working,
        checkpoint: Checkpoint,
        send_alert: Send,
        send_dead_letter: Send,
        read_again: Callable[[int, int], Awaitable[None]],
        clock: Callable[[], int] = now_ms,
    ) -> None:
        self._gate = gate
        self._reference = reference
        self._working = working
        self._checkpoint = checkpoint
        self._send_alert = send_alert
        self._send_dead_letter = send_dead_letter
        self._read_again = read_again
        self._clock = clock
        self.heard: dict[str, int] = {}
        """By gateway: when it received its newest batch, by its clock (C11)."""

    async def take(self, event: EventView) -> None:
        """Applies the event's batch once the gate is open, unless its partition has been taken away by
        then."""
        generation = self._working.generation
        batch = _decoded(event.message)
        as_of_ms = 0 if batch is None else batch.received_time_ms - ACTIVATION_LEAD_MS
        if self._gate.closed_because(as_of_ms) is not None:
            await self._gate.wait(as_of_ms)
        if self._working.generation != generation or not self._working.holds(event.message.partition):
            # Its next owner applies it: it was not acknowledged.
            metrics.BATCHES.labels("not_ours").inc()
            return
        arrival = self._working.arrival(event.message.partition, event.message.offset)
        if arrival is not Arrival.IN_ORDER:
            metrics.BATCHES.labels("out_of_order").inc()
            if arrival is Arrival.AFTER_A_GAP:
                partition = event.message.partition
                await self._read_again(partition, self._working.expected(partition))
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
        try:
            result = correlation.evaluate(
                batch,
                offset=message.offset,
                state=self._working.state(message.partition),
                knowledge=self._reference.knowledge(batch.received_time_ms, batch.matching_version),
                now_ms=now,
            )
        except DecodeError:
            self._put_aside(event, "an observation that cannot be read")
            return
        sent = [self._raise(raised, batch, message, now) for raised in result.raised]
        self._checkpoint.note(event, sent)
        self.heard[batch.gateway_id] = batch.received_time_ms
        self._count(result, batch.received_time_ms, now)

    def _raise(self, raised: Raised, batch: ReadBatch, message: MessageView, now: int) -> Awaitable[object]:
        value = records.alert_of(raised, batch, correlated_ms=now).SerializeToString()
        if len(value) <= MAXIMUM_ALERT_BYTES:
            return self._send_alert(raised.fold_key.encode(), value)
        # Kafka would refuse it for ever, and the batch would never be acknowledged.
        log.error("alert_too_large", partition=message.partition, offset=message.offset, size=len(value))
        return self._send_letter(message, "an alert of more bytes than Kafka takes")

    def _put_aside(self, event: EventView, reason: str) -> None:
        message = event.message
        sent: list[Awaitable[object]] = []
        if correlation.note_dead_letter(self._working.state(message.partition), message.offset):
            sent.append(self._send_letter(message, reason))
            metrics.BATCHES.labels("dead_lettered").inc()
            log.error(
                "batch_dead_lettered", partition=message.partition, offset=message.offset, reason=reason
            )
        # Acknowledged by the checkpoint, after the write to `dead-letter` (C2).
        self._checkpoint.note(event, sent)

    def _send_letter(self, message: MessageView, reason: str) -> Awaitable[object]:
        letter = dead_letters.letter(
            topic=message.topic,
            partition=message.partition,
            offset=message.offset,
            payload=message.value or b"",
            reason=reason,
            time_ms=self._clock(),
        )
        return self._send_dead_letter(message.topic.encode(), letter)

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
            match = raised.match
            category = match.category if isinstance(match, WatchlistMatch) else ""
            metrics.RAISED.labels(raised.rule.value.kind.value, category).inc()
            metrics.READ_TO_ALERT.observe(max(0, now - received_ms) / 1_000)
        for failure in result.failures:
            self._suspended(failure)

    def _suspended(self, failure: RuleFailure) -> None:
        metrics.RULE_FAILURES.labels(failure.rule_kind).inc()
        metrics.SUSPENDED_RULES.set(len(self._reference.suspended))
        error = failure.error
        log.error(
            "rule_suspended",
            rule_id=failure.rule_id,
            rule_version=failure.rule_version,
            exc_info=(type(error), error, error.__traceback__),
        )


def _decoded(message: MessageView) -> ReadBatch | None:
    """The batch of the record; None when it is none."""
    try:
        return ReadBatch(message.value or b"")
    except DecodeError:
        return None
