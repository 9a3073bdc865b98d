"""Traces that go nowhere: what was told, for tests of who tells what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from opentelemetry.trace import SpanContext, SpanKind

from alerthub.domain.alert_trace import Place
from alerthub.settings import TraceSettings
from alerthub.tracing import Attributes, Traces


@dataclass(frozen=True)
class Noted:
    """One span."""

    name: str
    place: Place
    context: SpanContext
    from_ms: float
    until_ms: float
    parent: SpanContext | None
    attributes: Attributes
    links: tuple[SpanContext, ...]


class NotedTraces(Traces):
    """Of every batch, or of the share that is given."""

    def __init__(self, *, batch_ratio: float = 1.0) -> None:
        super().__init__(TraceSettings(batch_ratio=batch_ratio), service="test", instance="1")
        self.told: list[Noted] = []

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
        self.told.append(
            Noted(name, place, context, from_ms, until_ms, parent, attributes or {}, tuple(links))
        )

    @property
    def names(self) -> list[str]:
        return [each.name for each in self.told]
