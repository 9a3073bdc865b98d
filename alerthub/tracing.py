"""Traces by OTLP: a span a batch (sampled), and an alert's way from the device to the terminal.

Off unless a collector's address is set; then nothing here is called and the exporter is not even imported.
A span says which hop took how long. It has no identifier, token, device, unit or person: what it may say
beside its name and times are the few attributes below (S5). Spans wait in a queue that is bounded, are sent
by a thread of their own, and are dropped and counted where the collector does not take them.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    TraceFlags,
    set_span_in_context,
)
from opentelemetry.trace.propagation import get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from alerthub.domain.alert_trace import Hop, Place
from alerthub.domain.errors import Refuse
from alerthub.kafka import is_loopback
from alerthub.settings import ServiceSettings, TraceSettings

if TYPE_CHECKING:
    from alerthub.trace_export import SpanExport

HEADER = "traceparent"
"""Of Kafka's records and of gRPC's metadata: W3C Trace Context."""
_propagator = TraceContextTextMapPropagator()
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_random = random.SystemRandom()

Headers = Sequence[tuple[str, bytes]]


class Attribute(StrEnum):
    """All that a span may say beside its name and its times."""

    SYSTEM = "messaging.system"
    DESTINATION = "messaging.destination.name"
    MESSAGES = "messaging.batch.message_count"
    RULE_KIND = "alerthub.rule_kind"


Attributes = Mapping[Attribute, str | int]


def alert_context(alert_id: str, key: str) -> SpanContext:
    """The context of one hop of an alert's way. The alert's id, 16 bytes in hexadecimal, is its trace's."""
    span_id = hashlib.blake2b(f"{alert_id} {key}".encode(), digest_size=8).digest()
    return _context(int(alert_id, 16), int.from_bytes(span_id, "big"))


def derived_context(parent: SpanContext, name: str) -> SpanContext:
    """The context of the one child of that name."""
    return alert_context(f"{parent.trace_id:032x}", f"{parent.span_id:016x} {name}")


def new_context(trace_id: int | None = None) -> SpanContext:
    """The context of a span that nobody else must know by itself; of a trace of its own where none is
    given."""
    return _context(trace_id or _random.getrandbits(128) or 1, _random.getrandbits(64) or 1)


def _context(trace_id: int, span_id: int) -> SpanContext:
    return SpanContext(trace_id, span_id, is_remote=True, trace_flags=_SAMPLED)


def traceparent(context: SpanContext) -> str:
    """The context as W3C writes it."""
    carrier: dict[str, str] = {}
    _propagator.inject(carrier, set_span_in_context(NonRecordingSpan(context)))
    return carrier[HEADER]


def headers_of(context: SpanContext | None) -> list[tuple[str, bytes]]:
    """For a record of Kafka."""
    return [] if context is None else [(HEADER, traceparent(context).encode())]


def metadata_of(context: SpanContext | None) -> tuple[tuple[str, str], ...]:
    """For a call of gRPC."""
    return () if context is None else ((HEADER, traceparent(context)),)


def context_of(headers: Iterable[tuple[str, bytes | str]] | Mapping[str, bytes] | None) -> SpanContext | None:
    """The sampled context that a record's headers or a call's metadata carry; None: there is none, or it
    cannot be read."""
    pairs = headers.items() if isinstance(headers, Mapping) else headers or ()
    for name, value in pairs:
        if name == HEADER:
            text = value.decode("ascii", "replace") if isinstance(value, bytes) else value
            context = get_current_span(_propagator.extract({HEADER: text})).get_span_context()
            return context if context.is_valid and context.trace_flags.sampled else None
    return None


@dataclass(frozen=True, slots=True)
class Told:
    """A span that others may follow, and when it ended."""

    context: SpanContext
    at_ms: int


class Traces:
    """Tells spans. One a process, which tells them in one thread. `start` connects to nothing: the exporter
    does when there is something to send."""

    def __init__(self, settings: TraceSettings, *, service: str, instance: str) -> None:
        self._settings = settings
        self._service = service
        self._instance = instance
        self._export: SpanExport | None = None

    async def start(self) -> None:
        """Raises OSError where the authority's file cannot be read."""
        # Not at the top: a hub without a collector should not load it.
        from alerthub.trace_export import SpanExport

        self._export = SpanExport(self._settings, service=self._service, instance=self._instance)

    async def stop(self) -> None:
        """Sends what waits, for two seconds at most."""
        if self._export is not None:
            export, self._export = self._export, None
            await asyncio.to_thread(export.close)

    def batch(self) -> SpanContext | None:
        """The context of a batch's span, for the share of batches that have one."""
        return new_context() if _random.random() < self._settings.batch_ratio else None

    def tell(
        self,
        name: str,
        place: Place,
        context: SpanContext,
        *,
        from_ms: float,
        until_ms: float,
        parent: SpanContext | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes | None = None,
        links: Sequence[SpanContext] = (),
    ) -> None:
        """One span. It never fails, and never waits."""
        if self._export is not None:
            self._export.tell(
                name,
                place,
                context,
                from_ns=round(from_ms * 1_000_000),
                until_ns=round(max(from_ms, until_ms) * 1_000_000),
                parent=parent,
                kind=kind,
                attributes=attributes,
                links=[Link(each) for each in links],
            )

    def tell_hop(
        self,
        alert_id: str,
        hop: Hop,
        *,
        parent: SpanContext | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes | None = None,
        links: Sequence[SpanContext] = (),
    ) -> None:
        """One hop of an alert's way. Without `parent` it follows the hop that it names."""
        if parent is None and hop.after:
            parent = alert_context(alert_id, hop.after)
        self.tell(
            hop.name,
            hop.place,
            alert_context(alert_id, hop.key),
            from_ms=hop.from_ms,
            until_ms=hop.until_ms,
            parent=parent,
            kind=kind,
            attributes=attributes,
            links=links,
        )


def traces_of(settings: ServiceSettings) -> Traces | None:
    """None: no collector is set, and there are no traces. Raises Refuse for an address that is none, or for
    one off the loopback without TLS (S2)."""
    traces = settings.traces
    if not traces.collector:
        return None
    host, _, port = traces.collector.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise Refuse("traces.collector", "HOST:PORT of an OTLP receiver over gRPC, as collector:4317")
    if traces.plain and not is_loopback(host):
        raise Refuse("traces.plain", "TLS: plain only where the collector is on this machine's loopback")
    return Traces(traces, service=settings.service, instance=settings.instance)


def now_ms() -> int:
    return time.time_ns() // 1_000_000
