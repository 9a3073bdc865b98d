"""What push tells of an alert's trace: when it was on a terminal's stream, and what the terminal answered."""

from __future__ import annotations

from opentelemetry.trace import SpanContext

from alerthub.domain.alert_trace import Place
from alerthub.tracing import Told, Traces, new_context, now_ms

_NAMES = {
    "receipt": "received",
    "accept": "accepted",
    "decline": "declined",
    "record_outcome": "outcome_recorded",
}
"""By the command of a terminal."""


class Deliveries:
    """The deliveries of one terminal's stream that have a trace: by assignment, the newest span."""

    def __init__(self, traces: Traces) -> None:
        self._traces = traces
        self._newest: dict[str, Told] = {}
        self._received: set[str] = set()

    def sent(self, assignment_id: str, after: SpanContext | None, occurred_at_ms: int) -> None:
        """The assignment was written to the stream. Only its first message counts, and only where the event
        came with a span."""
        if after is None or not assignment_id or assignment_id in self._newest:
            return
        told = Told(new_context(after.trace_id), now_ms())
        self._newest[assignment_id] = told
        self._traces.tell(
            "pushed",
            Place.PUSH,
            told.context,
            from_ms=occurred_at_ms,
            until_ms=told.at_ms,
            parent=after,
        )

    def forget(self, alert_id: str) -> None:
        """The alert left the screen: no answer is waited for."""
        for assignment_id in [each for each in self._newest if each.startswith(f"{alert_id}-")]:
            del self._newest[assignment_id]
            self._received.discard(assignment_id)

    def answered(self, command: str, assignment_id: str, time_ms: int) -> SpanContext | None:
        """The terminal answered, at `time_ms` by its own clock, which counts between what it was sent and
        now; gives the span that dispatch's work follows."""
        before = self._newest.get(assignment_id)
        if before is None or command not in _NAMES:
            return None
        if command == "receipt":
            # Terminals send one for every message; the first says that the alert is on the screen.
            if assignment_id in self._received:
                return None
            self._received.add(assignment_id)
        told = Told(new_context(before.context.trace_id), max(before.at_ms, min(time_ms, now_ms())))
        self._newest[assignment_id] = told
        self._traces.tell(
            _NAMES[command],
            Place.TERMINAL,
            told.context,
            from_ms=before.at_ms,
            until_ms=told.at_ms,
            parent=before.context,
        )
        return told.context
