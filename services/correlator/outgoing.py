"""What both agents send: alerts and letters; and in which order they are handed what they evaluate."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from prometheus_client import Counter

from alerthub.domain.correlation import RuleFailure
from alerthub.domain.rules.interface import Raised, WatchlistMatch
from alerthub.telemetry import logger
from alerthub.topics import TOPICS
from alerthub.tracing import Headers, Traces
from services.correlator import dead_letters, metrics, records, spans
from services.correlator.replicas import Gate, Reference
from services.correlator.state import Arrival, WorkingCopies

log = logger(__name__)

MAXIMUM_ALERT_BYTES = TOPICS["alerts"].max_message_bytes - 1_024
"""Of an alert's value, with room for what Kafka puts around it."""


class Send(Protocol):
    """Hands a key and a value to the producer and returns at once; the result says that the broker has it."""

    def __call__(self, key: bytes, value: bytes, headers: Headers = (), /) -> Awaitable[object]: ...


class MessageView(Protocol):
    """A record of `observations` or `passages`."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def timestamp(self) -> float: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes]] | Mapping[str, bytes] | None: ...


class EventView(Protocol):
    """Faust's event: the record, and its acknowledgement."""

    @property
    def message(self) -> MessageView: ...

    def ack(self) -> object: ...


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class Outgoing:
    """Sends alerts and letters."""

    def __init__(
        self,
        *,
        send_alert: Send,
        send_dead_letter: Send,
        reference: Reference,
        clock: Callable[[], int] = now_ms,
        traces: Traces | None = None,
    ) -> None:
        self._send_alert = send_alert
        self._send_dead_letter = send_dead_letter
        self._reference = reference
        self._clock = clock
        self._traces = traces

    def alert(
        self, raised: Raised, origin: records.BatchOrigin, message: MessageView, now: int
    ) -> Awaitable[object]:
        """The alert's delivery, or that of the letter which says why there is none."""
        alert = records.alert_of(raised, origin, correlated_ms=now)
        value = alert.SerializeToString()
        if len(value) <= MAXIMUM_ALERT_BYTES:
            key = raised.fold_key.encode()
            if self._traces is None:
                return self._send_alert(key, value)
            kind = raised.rule.value.kind.value
            return self._send_alert(
                key, value, spans.tell_raised(self._traces, alert, message, rule_kind=kind)
            )
        # Kafka would refuse it for ever, and the batch would never be acknowledged.
        log.error("alert_too_large", partition=message.partition, offset=message.offset, size=len(value))
        return self.letter(message, "an alert of more bytes than Kafka takes")

    def letter(self, message: MessageView, reason: str) -> Awaitable[object]:
        """The delivery of a letter that names the record and holds nothing of it."""
        letter = dead_letters.letter(
            topic=message.topic,
            partition=message.partition,
            offset=message.offset,
            payload=message.value or b"",
            reason=reason,
            time_ms=self._clock(),
        )
        return self._send_dead_letter(message.topic.encode(), letter)

    def count(self, raised: Raised, received_ms: int, now: int) -> None:
        """Counts an alert whose observation, or the later of two, was received then."""
        match = raised.match
        category = match.category if isinstance(match, WatchlistMatch) else ""
        metrics.RAISED.labels(raised.rule.value.kind.value, category).inc()
        metrics.READ_TO_ALERT.observe(max(0, now - received_ms) / 1_000)

    def suspended(self, failure: RuleFailure) -> None:
        """Tells of a rule that raised an error."""
        metrics.RULE_FAILURES.labels(failure.rule_kind).inc()
        metrics.SUSPENDED_RULES.set(len(self._reference.suspended))
        error = failure.error
        log.error(
            "rule_suspended",
            rule_id=failure.rule_id,
            rule_version=failure.rule_version,
            exc_info=(type(error), error, error.__traceback__),
        )


class InOrder:
    """Lets the records of a topic through one after the other, once what they need is known."""

    def __init__(
        self,
        *,
        gate: Gate,
        working: WorkingCopies[Any],
        read_again: Callable[[int, int], Awaitable[None]],
        counter: Counter,
    ) -> None:
        self._gate = gate
        self._working = working
        self._read_again = read_again
        self._counter = counter

    async def admits(self, message: MessageView, as_of_ms: int) -> bool:
        """Waits for the gate; whether the record is then to be applied: its partition has not been taken away
        by then, and it is the next one."""
        generation = self._working.generation
        if self._gate.closed_because(as_of_ms) is not None:
            await self._gate.wait(as_of_ms)
        if self._working.generation != generation or not self._working.holds(message.partition):
            # Its next owner applies it: it was not acknowledged.
            self._counter.labels("not_ours").inc()
            return False
        arrival = self._working.arrival(message.partition, message.offset)
        if arrival is Arrival.IN_ORDER:
            return True
        self._counter.labels("out_of_order").inc()
        if arrival is Arrival.AFTER_A_GAP:
            await self._read_again(message.partition, self._working.expected(message.partition))
        return False
