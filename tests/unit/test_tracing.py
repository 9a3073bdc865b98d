"""What spans say, where they go, and what becomes of them when nobody takes them."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from otlp_receiver import Receiver, receiving
from prometheus_client import REGISTRY

from alerthub import trace_export
from alerthub.domain.alert_trace import Hop, Place
from alerthub.domain.errors import Refuse
from alerthub.settings import ServiceSettings, TraceSettings
from alerthub.tracing import (
    Attribute,
    Traces,
    alert_context,
    context_of,
    headers_of,
    metadata_of,
    new_context,
    traceparent,
    traces_of,
)

ALERT = "0123456789abcdef" * 2


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Receiver]:
    with receiving(tmp_path / "collector") as receiver:
        yield receiver


def _settings(**traces: Any) -> ServiceSettings:
    return ServiceSettings(service="dispatch", instance="7", traces=TraceSettings(**traces))


def _to(receiver: Receiver, **traces: Any) -> ServiceSettings:
    return _settings(**{"collector": f"localhost:{receiver.port}", "ca_file": receiver.ca_file, **traces})


@pytest.fixture
def short_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service's end waits for a collector that takes nothing, which is what these tests are about."""
    monkeypatch.setattr(trace_export, "_FLUSH_SECONDS", 0.3)


@asynccontextmanager
async def _telling(settings: ServiceSettings) -> AsyncIterator[Traces]:
    traces = traces_of(settings)
    assert traces is not None
    await traces.start()
    try:
        yield traces
    finally:
        async with asyncio.timeout(20):
            await traces.stop()


def _tell(traces: Traces, count: int) -> None:
    for number in range(count):
        traces.tell("pushed", Place.PUSH, new_context(), from_ms=number, until_ms=number)


def _count(result: str) -> float:
    return REGISTRY.get_sample_value("alerthub_traces_spans_total", {"result": result}) or 0.0


# What a span says.


async def test_a_hop_reaches_the_collector_over_tls_with_the_alerts_id_as_its_traces(
    collector: Receiver,
) -> None:
    # given a hop that follows another and happened at another place than here
    hop = Hop("observed", Place.DEVICE, "observed", "before", 1_000, 1_250)

    # when dispatch tells it, and ends
    async with _telling(_to(collector)) as traces:
        traces.tell_hop(
            ALERT, hop, attributes={Attribute.RULE_KIND: "dwell"}, links=[alert_context(ALERT, "linked")]
        )

    # then the collector has it as it was
    (span,) = collector.spans()
    assert (span.service, span.name, span.trace_id) == ("device", "observed", ALERT)
    assert span.span_id == alert_context(ALERT, "observed").span_id.to_bytes(8).hex()
    assert span.parent_id == alert_context(ALERT, "before").span_id.to_bytes(8).hex()
    assert (span.from_ns, span.until_ns) == (1_000_000_000, 1_250_000_000)
    assert span.attributes == (("alerthub.rule_kind", "dwell"),)
    assert span.links == ((ALERT, alert_context(ALERT, "linked").span_id.to_bytes(8).hex()),)


async def test_a_resource_says_the_services_name_and_nothing_of_the_process(
    collector: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "host.name=secret-canary")

    async with _telling(_to(collector)) as traces:
        traces.tell("opened", Place.DISPATCH, new_context(), from_ms=1, until_ms=2)
        traces.tell("observed", Place.DEVICE, new_context(), from_ms=1, until_ms=2)

    assert collector.resources() == {
        ("service.namespace", "alerthub"),
        ("service.name", "dispatch"),
        ("service.name", "device"),
        ("service.instance.id", "7"),
    }


# What travels with a record or a call.


@given(st.integers(min_value=1, max_value=2**128 - 1), st.integers(min_value=1, max_value=2**64 - 1))
def test_a_context_comes_back_from_headers_and_metadata(trace_id: int, number: int) -> None:
    context = alert_context(f"{trace_id:032x}", str(number))

    for carried in (headers_of(context), metadata_of(context), dict(headers_of(context))):
        came = context_of(carried)
        assert came is not None
        assert (came.trace_id, came.span_id) == (context.trace_id, context.span_id)
    assert traceparent(context) == f"00-{trace_id:032x}-{context.span_id:016x}-01"


@given(st.binary())
def test_whatever_a_header_holds_is_a_context_or_none(value: bytes) -> None:
    context = context_of([("other", b"x"), ("traceparent", value)])

    assert context is None or context.is_valid


@pytest.mark.parametrize("carried", [None, (), [("other", b"x")], [("traceparent", b"00-0-0-01")]])
def test_what_carries_no_context_has_none(carried: Any) -> None:
    assert context_of(carried) is None


def test_what_the_sender_did_not_sample_is_not_followed() -> None:
    assert context_of([("traceparent", b"00-" + b"1" * 32 + b"-" + b"2" * 16 + b"-00")]) is None


# Where spans go.


def test_without_a_collector_there_are_no_traces() -> None:
    assert traces_of(_settings()) is None


def test_without_a_collector_the_exporter_is_not_even_loaded() -> None:
    told = (
        "import sys, services.gateway.service, services.correlator.service, services.dispatch.service, "
        "services.push.service; print([name for name in sys.modules if name.startswith("
        "('opentelemetry.sdk', 'opentelemetry.exporter'))])"
    )

    said = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)

    assert said.stdout.strip() == "[]"


@pytest.mark.parametrize("collector", ["collector", ":4317", "collector:", "collector:0", "http://c:x"])
def test_an_address_that_is_none_is_refused(collector: str) -> None:
    with pytest.raises(Refuse, match="collector"):
        traces_of(_settings(collector=collector))


def test_plain_is_refused_off_the_loopback_s2() -> None:
    with pytest.raises(Refuse, match="plain"):
        traces_of(_settings(collector="collector.city.example:4317", plain=True))
    assert traces_of(_settings(collector="127.0.0.1:4317", plain=True)) is not None


@pytest.mark.usefixtures("short_end")
async def test_a_collector_of_another_authority_gets_nothing_s2(collector: Receiver, tmp_path: Path) -> None:
    # given a collector whose certificate is not of the authority that the hub was told of
    with receiving(tmp_path / "another") as another:
        before = _count("not_taken")

        # when spans are told
        async with _telling(_to(collector, ca_file=another.ca_file)) as traces:
            _tell(traces, 3)

    # then they are not sent, and counted
    assert collector.spans() == []
    assert _count("not_taken") - before == 3


# When nobody takes them.


@pytest.mark.usefixtures("short_end")
async def test_what_has_no_room_is_dropped_and_counted_and_nobody_waits(collector: Receiver) -> None:
    # given a collector that takes what it is sent and never answers
    collector.answers.clear()
    dropped = _count("dropped")

    async with _telling(_to(collector, queue_spans=4)) as traces:
        # when more spans are told than there is room for
        _tell(traces, 10)

        # then each has returned, and what had no room is counted
        assert _count("dropped") - dropped == 6
        await asyncio.to_thread(collector.wait, lambda receiver: len(receiver.spans()) > 0)
        _tell(traces, 1)
        assert _count("dropped") - dropped == 7
    # and the end did not wait for the collector either


async def test_spans_are_taken_again_when_the_collector_is_back(collector: Receiver) -> None:
    collector.answers.clear()
    async with _telling(_to(collector, queue_spans=4)) as traces:
        _tell(traces, 4)
        await asyncio.to_thread(collector.wait, lambda receiver: len(receiver.spans()) == 4)
        dropped, exported = _count("dropped"), _count("exported")

        # when the collector answers
        collector.answers.set()
        while _count("exported") == exported:  # noqa: ASYNC110 - another thread counts
            await asyncio.sleep(0.01)
        _tell(traces, 4)

        # then there is room again
        assert _count("dropped") == dropped


@pytest.mark.usefixtures("short_end")
async def test_a_service_ends_though_its_collector_is_away() -> None:
    not_taken = _count("not_taken")

    # given a port at which nobody listens
    async with _telling(_settings(collector="127.0.0.1:9", plain=True)) as traces:
        _tell(traces, 3)

    # then it has ended within the bound of `_telling`, and the spans are counted
    assert _count("not_taken") - not_taken == 3


def test_the_share_of_batches_is_what_was_set() -> None:
    none = traces_of(_settings(collector="127.0.0.1:9", plain=True, batch_ratio=0))
    all_of_them = traces_of(_settings(collector="127.0.0.1:9", plain=True, batch_ratio=1))
    assert none is not None
    assert all_of_them is not None

    assert [none.batch() for _ in range(100)] == [None] * 100
    assert len({span.trace_id for _ in range(100) if (span := all_of_them.batch())}) == 100
