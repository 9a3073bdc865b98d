"""What the gateway tells of its own: batches, and direct calls. Never of one observation: nobody knows yet
whether it is looked for (S5)."""

from __future__ import annotations

from opentelemetry.trace import SpanContext, SpanKind

from alerthub.api.v1.observation_pb2 import DirectCall
from alerthub.domain.alert_trace import Place, call_way
from alerthub.tracing import Attribute, Traces


def tell_batch(
    traces: Traces,
    span: SpanContext,
    *,
    topic: str,
    count: int,
    lasted_seconds: float,
    now_ms: int,
) -> None:
    """A batch of `count` observations that the broker has, from its first observation on."""
    traces.tell(
        f"send {topic}",
        Place.GATEWAY,
        span,
        from_ms=now_ms - lasted_seconds * 1_000,
        until_ms=now_ms,
        kind=SpanKind.PRODUCER,
        attributes={
            Attribute.SYSTEM: "kafka",
            Attribute.DESTINATION: topic,
            Attribute.MESSAGES: count,
        },
    )


def tell_call(traces: Traces, call: DirectCall, *, now_ms: int) -> None:
    """A direct call that the broker has: it is an alert, under the call's id."""
    for hop in call_way(device_ms=call.device_time_ms, received_ms=call.received_time_ms, on_kafka_ms=now_ms):
        traces.tell_hop(call.call_id.hex(), hop)
