"""OpenTelemetry's exporter, bounded and counted. `alerthub.tracing` loads it when a collector is set."""

from __future__ import annotations

import contextvars
import logging
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import grpc
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, SpanKind, Tracer, set_span_in_context
from prometheus_client import Counter

from alerthub.domain.alert_trace import Place
from alerthub.settings import TraceSettings
from alerthub.telemetry import logger

log = logger(__name__)

_EXPORT_SECONDS = 5.0
"""For one batch of spans, tries and waits between them included."""
_EVERY_MS = 1_000.0
_BATCH_SPANS = 256
_FLUSH_SECONDS = 2.0
_RESULTS = ("exported", "not_taken", "dropped")

_spans = Counter(
    "alerthub_traces_spans_total",
    "Spans, by whether the collector has them, did not take them, or the queue had no room.",
    ["result"],
)
for _result in _RESULTS:
    # A counter that begins with its first event hides it from `increase`.
    _spans.labels(_result)


class _DecidedIds(IdGenerator):
    """Gives the next span the ids that were decided for it."""

    def __init__(self) -> None:
        self.trace_id = 0
        self.span_id = 0

    def generate_trace_id(self) -> int:
        return self.trace_id

    def generate_span_id(self) -> int:
        return self.span_id


class _Counted(SpanExporter):
    """Counts what the exporter did, and says once when the collector goes and when it comes."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        # The thread that exports has none of its own.
        self._context = contextvars.copy_context()
        self._takes = True
        self.finished = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        taken = False
        try:
            taken = self._exporter.export(spans) is SpanExportResult.SUCCESS
        finally:
            self.finished += len(spans)
            _spans.labels("exported" if taken else "not_taken").inc(len(spans))
            if taken is not self._takes:
                self._takes = taken
                self._context.run(self._say)
        return SpanExportResult.SUCCESS if taken else SpanExportResult.FAILURE

    def _say(self) -> None:
        if self._takes:
            log.info("trace_collector_takes_spans_again")
        else:
            log.warning("trace_collector_takes_no_spans")

    def shutdown(self) -> None:
        self._exporter.shutdown()


class _Bounded(SpanProcessor):
    """Lets no more spans wait than there is room for: the newest is dropped."""

    def __init__(self, exporter: _Counted, room: int) -> None:
        self._exporter = exporter
        self._room = room
        self._accepted = 0
        self._processor = BatchSpanProcessor(
            exporter,
            max_queue_size=room,
            schedule_delay_millis=_EVERY_MS,
            max_export_batch_size=min(room, _BATCH_SPANS),
        )

    def on_end(self, span: ReadableSpan) -> None:
        if self._accepted - self._exporter.finished >= self._room:
            _spans.labels("dropped").inc()
            return
        self._accepted += 1
        self._processor.on_end(span)

    def close(self) -> None:
        """Sends what waits, for a bounded time; then what is left is not taken."""
        flushing = threading.Thread(target=self._processor.force_flush, name="trace-flush", daemon=True)
        flushing.start()
        flushing.join(_FLUSH_SECONDS)
        # First the exporter, which ends the waits of the processor's thread.
        self._exporter.shutdown()
        self._processor.shutdown()  # type: ignore[no-untyped-call]


class SpanExport:
    """Takes spans in one thread. Raises OSError where the authority's file cannot be read."""

    def __init__(self, settings: TraceSettings, *, service: str, instance: str) -> None:
        # What it says of a collector that is away is told by the counter and once by the log.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        credentials = None
        if not settings.plain:
            authority = None if settings.ca_file is None else settings.ca_file.read_bytes()
            credentials = grpc.ssl_channel_credentials(root_certificates=authority)
        exporter = OTLPSpanExporter(
            endpoint=settings.collector,
            insecure=settings.plain,
            credentials=credentials,
            timeout=_EXPORT_SECONDS,
        )
        self._processor = _Bounded(_Counted(exporter), settings.queue_spans)
        self._ids = _DecidedIds()
        self._tracers = {place: self._tracer(place, service, instance) for place in Place}

    def _tracer(self, place: Place, service: str, instance: str) -> Tracer:
        said: dict[str, Any] = {"service.namespace": "alerthub", "service.name": place.value}
        if place.value == service:
            said["service.instance.id"] = instance
        provider = TracerProvider(
            # Not `Resource.create`, which adds what it finds of the process and the environment.
            resource=Resource(said),
            sampler=ALWAYS_ON,
            id_generator=self._ids,
            shutdown_on_exit=False,
        )
        provider.add_span_processor(self._processor)
        return provider.get_tracer("alerthub")

    def tell(
        self,
        name: str,
        place: Place,
        context: SpanContext,
        *,
        from_ns: int,
        until_ns: int,
        parent: SpanContext | None,
        kind: SpanKind,
        attributes: Mapping[Any, str | int] | None,
        links: Sequence[Link],
    ) -> None:
        """One span, to be sent."""
        self._ids.trace_id, self._ids.span_id = context.trace_id, context.span_id
        around = set_span_in_context(NonRecordingSpan(parent)) if parent is not None else None
        span = self._tracers[place].start_span(
            name,
            # An empty one: whatever is around the caller is no parent.
            around if around is not None else set_span_in_context(_NOTHING),
            kind,
            {str(key): value for key, value in (attributes or {}).items()},
            links,
            from_ns,
        )
        span.end(until_ns)

    def close(self) -> None:
        """Ends; returns within some seconds, whatever the collector does."""
        self._processor.close()


_NOTHING = NonRecordingSpan(SpanContext(0, 0, is_remote=False))
