"""What the correlator tells: a batch that has a span, and the way of an observation that a rule fired for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from opentelemetry.trace import SpanContext, SpanKind

from alerthub.api.v1.alert_pb2 import AlertRaised
from alerthub.domain.alert_trace import CORRELATED, Place, observation_way
from alerthub.tracing import (
    Attribute,
    Headers,
    Traces,
    alert_context,
    context_of,
    derived_context,
    headers_of,
)
from services.correlator.consumer import OBSERVATIONS


class TracedMessage(Protocol):
    """A record with what its producer and the broker noted on it."""

    @property
    def topic(self) -> str: ...
    @property
    def timestamp(self) -> float: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes]] | Mapping[str, bytes] | None: ...


def _processing(sent: SpanContext) -> SpanContext:
    return derived_context(sent, "process")


def tell_batch(traces: Traces, message: TracedMessage, *, count: int, from_ms: int, until_ms: int) -> None:
    """The batch was applied. Nothing where its record carries no span."""
    sent = context_of(message.headers)
    if sent is None:
        return
    traces.tell(
        f"process {message.topic}",
        Place.CORRELATOR,
        _processing(sent),
        from_ms=from_ms,
        until_ms=until_ms,
        parent=sent,
        kind=SpanKind.CONSUMER,
        attributes={
            Attribute.SYSTEM: "kafka",
            Attribute.DESTINATION: message.topic,
            Attribute.MESSAGES: count,
        },
    )


def tell_raised(traces: Traces, alert: AlertRaised, message: TracedMessage, *, rule_kind: str) -> Headers:
    """The observation's way until here, told now that it is known to matter; for the record of `alerts`."""
    raised_id = alert.raised_id.hex()
    seen, sent = alert.observation, context_of(message.headers)
    # The second agent is not told when the observation was on Kafka: both agents' time is one hop then.
    first_hand = message.topic == OBSERVATIONS
    for hop in observation_way(
        corrected_ms=seen.corrected_time_ms,
        received_ms=seen.received_time_ms,
        on_kafka_ms=round(message.timestamp * 1_000) if first_hand else seen.received_time_ms,
        correlated_ms=alert.correlated_time_ms,
    ):
        last = hop.key == CORRELATED
        traces.tell_hop(
            raised_id,
            hop,
            attributes={Attribute.RULE_KIND: rule_kind} if last else None,
            links=[_processing(sent)] if last and sent is not None else (),
        )
    return headers_of(alert_context(raised_id, CORRELATED))
