"""What dispatch tells of an alert's trace: each event of its life, once it is committed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from opentelemetry.trace import SpanContext

from alerthub import outbox
from alerthub.alert_events import TOPIC
from alerthub.api.v1.alert_pb2 import AlertEvent, AlertRaised
from alerthub.domain import alert_trace
from alerthub.domain.alerts import Event, EventKind
from alerthub.tracing import Headers, Traces, alert_context, headers_of, now_ms


@dataclass(frozen=True, slots=True)
class Answered:
    """A terminal's command with the span that it came with, and when it came."""

    span: SpanContext
    came_at_ms: int


def answered(span: SpanContext | None) -> Answered | None:
    """A command that came just now; None: its sender has no span."""
    return None if span is None else Answered(span, now_ms())


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of one firing of a rule. `alert_id` is empty where it joined no alert."""

    raised: AlertRaised
    disposition: str
    alert_id: str
    at_ms: int
    parent: SpanContext | None


def tell(traces: Traces, taken: Sequence[Taken], events: Sequence[Event], answered: Answered | None) -> None:
    """What one transaction did. A firing that became no alert ends its own trace."""
    for each in taken:
        raised_id = each.raised.raised_id.hex()
        joined = bool(each.alert_id) and each.alert_id != raised_id
        hop = alert_trace.taken(each.disposition, raised_ms=each.raised.correlated_time_ms, at_ms=each.at_ms)
        traces.tell_hop(
            raised_id,
            # Nobody told of the way until here where the record did not say so.
            hop if each.parent is not None else hop.as_first(),
            parent=each.parent,
            links=[alert_context(each.alert_id, alert_trace.OPENED)] if joined else (),
        )
    for event in events:
        if event.kind is EventKind.OPENED:
            continue
        hop = alert_trace.life_hop(event)
        if answered is None:
            traces.tell_hop(event.alert.alert_id, hop)
        else:
            traces.tell_hop(event.alert.alert_id, hop.beginning_at(answered.came_at_ms), parent=answered.span)
            # What follows from a decline within the transaction is no answer of the terminal.
            answered = None


def headers_of_event(message: outbox.Message) -> Headers:
    """For a record of `alert-events`: where the alert stands, which is what a delivery follows."""
    if message.topic != TOPIC or message.value is None:
        return ()
    alert = AlertEvent.FromString(message.value).alert
    key = alert_trace.standing(assignments=len(alert.assignments), confirmed_at_ms=alert.confirmed_at_ms)
    return headers_of(alert_context(alert.alert_id, key))
