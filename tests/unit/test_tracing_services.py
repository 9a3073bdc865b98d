"""Who tells which span, and what travels with the record or the call."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError
from correlator_builders import batch_value, read, run
from dispatch_alert_steps import delivered, offered, opened
from gateway_parts import START_MS, Gateway, gateway
from gateway_parts import read as device_read
from noted_traces import NotedTraces

from alerthub import outbox
from alerthub.api.v1.alert_pb2 import Alert, AlertEvent, AlertRaised, Assignment
from alerthub.domain.admission import AuthenticationClass
from alerthub.domain.alert_trace import OPENED, Place
from alerthub.domain.alerts import Event, EventKind
from alerthub.domain.device_events import CallKind, DeviceEvent, ObservationKind
from alerthub.domain.errors import Retry
from alerthub.observation_batches import ReadBatch
from alerthub.tracing import alert_context, context_of, headers_of, new_context
from services.correlator import records
from services.correlator import spans as correlator_spans
from services.dispatch import spans as dispatch_spans
from services.push.spans import Deliveries

PASSWORD = AuthenticationClass.PASSWORD_OVER_TLS
ALERT = "0123456789abcdef" * 2


async def _take(one: Gateway, *events: DeviceEvent) -> None:
    taken = [
        await one.intake.take("camera-1", PASSWORD, "grpc", event, one.intake.moment()) for event in events
    ]
    await one.intake.settled(taken)
    # The producer's answer comes by callback.
    await asyncio.sleep(0)


# The gateway.


async def test_a_batch_has_one_span_and_its_record_carries_it(tmp_path: Path) -> None:
    # given a gateway that traces every batch
    traces = NotedTraces()
    one = await gateway(tmp_path, traces=traces, minimum_linger_ms=20, maximum_linger_ms=20)

    # when reads go out together
    await _take(one, device_read("1"), device_read("2"), device_read("3"))

    # then there is a span of the batch, and none of a read (S5)
    (span,) = traces.told
    assert (span.name, span.place) == ("send observations", Place.GATEWAY)
    assert dict(span.attributes) == {
        "messaging.system": "kafka",
        "messaging.destination.name": "observations",
        "messaging.batch.message_count": 3,
    }
    (carried,) = [context_of(headers) for headers in one.broker.headers]
    assert carried is not None
    assert (carried.trace_id, carried.span_id) == (span.context.trace_id, span.context.span_id)


async def test_a_batch_that_is_not_sampled_carries_nothing_and_neither_does_a_watermark(
    tmp_path: Path,
) -> None:
    traces = NotedTraces(batch_ratio=0)
    one = await gateway(tmp_path, traces=traces)

    await _take(one, device_read("1"))
    one.packer.watermark(None)
    await one.packer.stop(1)

    assert traces.told == []
    assert [headers for headers in one.broker.headers if headers] == []


async def test_a_batch_that_the_broker_refused_has_no_span(tmp_path: Path) -> None:
    traces = NotedTraces()
    one = await gateway(tmp_path, traces=traces)
    one.broker.holds = True

    taking = asyncio.create_task(_take(one, device_read("1")))
    await one.broker.holds_a_record()
    one.broker.answer(KafkaConnectionError())
    with pytest.raises(Retry):
        await taking

    assert traces.told == []


async def test_a_direct_call_is_traced_from_the_device_on(tmp_path: Path) -> None:
    # given a panic button
    traces = NotedTraces()
    one = await gateway(tmp_path, traces=traces)
    panic = DeviceEvent(ObservationKind.PRESENCE, START_MS, event_id="p1", call=CallKind.PANIC)

    # when it is pressed
    await _take(one, panic)

    # then the call's id, which is the alert's, is the trace's, and the record carries where it stands
    (call,) = one.broker.calls()
    pressed, accepted = traces.told
    assert (pressed.name, accepted.name) == ("called", "call_accepted")
    assert f"{pressed.context.trace_id:032x}" == call.call_id.hex()
    assert accepted.parent == pressed.context
    assert [context_of(headers) for headers in one.broker.headers] == [
        context_of(headers_of(accepted.context))
    ]


# The correlator.


@dataclass
class Record:
    """A record that the broker has noted its time on."""

    value: bytes
    headers: Any = ()
    topic: str = "observations"
    timestamp: float = 1_800_000_000.5


def _fired(record: Record) -> AlertRaised:
    (raised,) = run(read("a", "listed")).raised
    return records.alert_of(raised, ReadBatch(record.value), correlated_ms=1_800_000_001_000)


def test_what_fired_is_told_from_the_device_on_and_the_alert_carries_it() -> None:
    # given a batch with a span in which a listed plate was read
    traces = NotedTraces()
    record = Record(batch_value(read("a", "listed")), headers_of(new_context()))
    alert = _fired(record)

    # when it fires
    headers = correlator_spans.tell_raised(traces, alert, record, rule_kind="watchlist-hit")
    correlator_spans.tell_batch(traces, record, count=1, from_ms=1, until_ms=2)

    # then its way is told under the alert's id, and the last hop names the batch
    *way, batch = traces.told
    assert [each.name for each in way] == ["observed", "packed", "correlated"]
    assert {f"{each.context.trace_id:032x}" for each in way} == {alert.raised_id.hex()}
    assert way[-1].links == (batch.context,)
    assert (way[-1].from_ms, way[-1].until_ms) == (1_800_000_000_500, 1_800_000_001_000)
    assert context_of(headers) == context_of(headers_of(way[-1].context))


def test_what_the_second_agent_finds_is_told_from_the_gateway_s_time_on() -> None:
    # given a record of `passages`, whose time is not that at which the observation was on Kafka
    traces = NotedTraces()
    record = Record(batch_value(read("a", "listed")), topic="passages")
    alert = _fired(record)

    correlator_spans.tell_raised(traces, alert, record, rule_kind="cloned-plate")

    last = traces.told[-1]
    assert (last.name, last.from_ms) == ("correlated", alert.observation.received_time_ms)


def test_a_batch_without_a_context_has_no_span() -> None:
    traces = NotedTraces()

    correlator_spans.tell_batch(traces, Record(b"", headers=None), count=1, from_ms=1, until_ms=2)

    assert traces.told == []


def test_the_processing_of_a_batch_follows_its_sending() -> None:
    traces, sent = NotedTraces(), new_context()

    correlator_spans.tell_batch(traces, Record(b"", headers_of(sent)), count=2, from_ms=1, until_ms=2)

    (span,) = traces.told
    assert span.parent is not None
    assert (span.parent.trace_id, span.parent.span_id) == (sent.trace_id, sent.span_id)
    assert span.context.trace_id == sent.trace_id
    assert span.context.span_id != sent.span_id


# Dispatch.


def _raised() -> AlertRaised:
    return AlertRaised(raised_id=bytes.fromhex(ALERT), correlated_time_ms=1_000)


def _taken(disposition: str, alert_id: str, parent: Any) -> dispatch_spans.Taken:
    return dispatch_spans.Taken(_raised(), disposition, alert_id, 2_000, parent)


def test_an_alert_that_opens_follows_the_span_that_its_record_carried() -> None:
    traces, parent = NotedTraces(), new_context()

    dispatch_spans.tell(traces, [_taken("opened", ALERT, parent)], [], None)

    (span,) = traces.told
    assert (span.name, span.from_ms, span.until_ms) == ("opened", 1_000, 2_000)
    assert (span.context, span.parent, span.links) == (alert_context(ALERT, OPENED), parent, ())


def test_an_alert_whose_record_carried_no_span_is_the_first_of_its_trace() -> None:
    traces = NotedTraces()

    dispatch_spans.tell(traces, [_taken("opened", ALERT, None)], [], None)

    assert [each.parent for each in traces.told] == [None]


def test_a_repeat_ends_its_own_trace_and_names_the_alert_that_it_joined() -> None:
    traces, joined = NotedTraces(), "f" * 32

    dispatch_spans.tell(traces, [_taken("joined", joined, new_context())], [], None)

    (span,) = traces.told
    assert f"{span.context.trace_id:032x}" == ALERT
    assert span.links == (alert_context(joined, OPENED),)


def test_what_a_terminal_s_command_did_follows_the_terminal_s_span() -> None:
    # given a receipt that came with a span
    alert = delivered(offered(opened()))
    traces, came_with = NotedTraces(), new_context()
    answered = dispatch_spans.Answered(came_with, 1_700_000_000_000)
    event = Event(EventKind.DELIVERED, replace(alert, alert_id=ALERT), "terminal:t1", 1_700_000_000_000)

    # when it is committed
    dispatch_spans.tell(traces, [], [event], answered)

    # then
    (span,) = traces.told
    assert (span.name, span.parent) == ("delivered", came_with)


def test_a_record_of_an_alert_s_life_carries_where_the_alert_stands() -> None:
    def headers(topic: str, **alert: Any) -> Any:
        value = AlertEvent(alert=Alert(alert_id=ALERT, **alert)).SerializeToString()
        return dispatch_spans.headers_of_event(outbox.Message(topic, ALERT, 1, value))

    assert context_of(headers("alert-events")) == context_of(headers_of(alert_context(ALERT, OPENED)))
    assert context_of(headers("alert-events", confirmed_at_ms=5)) == context_of(
        headers_of(alert_context(ALERT, "confirmed 5"))
    )
    assert context_of(
        headers("alert-events", confirmed_at_ms=5, assignments=[Assignment(), Assignment()])
    ) == context_of(headers_of(alert_context(ALERT, "assigned 2")))
    assert headers("units") == ()


# Push.


def test_a_delivery_is_told_once_and_its_answers_follow_it() -> None:
    # given a stream to which an assignment was written, twice
    traces, offer = NotedTraces(), alert_context(ALERT, "assigned 1")
    deliveries = Deliveries(traces)
    deliveries.sent(f"{ALERT}-1", offer, 1_000)
    deliveries.sent(f"{ALERT}-1", offer, 1_500)

    # when the terminal sends its receipts and accepts, by a clock that is far behind
    first = deliveries.answered("receipt", f"{ALERT}-1", 5)
    second = deliveries.answered("receipt", f"{ALERT}-1", 6)
    accepted = deliveries.answered("accept", f"{ALERT}-1", 7)

    # then each is one span after the other, at the terminal, and none ends before it begins
    pushed, received, answer = traces.told
    assert [each.place for each in traces.told] == [Place.PUSH, Place.TERMINAL, Place.TERMINAL]
    assert (pushed.parent, received.parent, answer.parent) == (offer, pushed.context, received.context)
    assert all(each.from_ms <= each.until_ms for each in traces.told)
    assert (first, second, accepted) == (received.context, None, answer.context)


def test_a_delivery_whose_event_carried_no_span_is_not_told() -> None:
    traces = NotedTraces()
    deliveries = Deliveries(traces)

    deliveries.sent(f"{ALERT}-1", None, 1_000)

    assert deliveries.answered("receipt", f"{ALERT}-1", 1) is None
    assert traces.told == []


def test_what_left_the_screen_is_forgotten() -> None:
    deliveries = Deliveries(NotedTraces())
    deliveries.sent(f"{ALERT}-1", alert_context(ALERT, "assigned 1"), 1_000)

    deliveries.forget(ALERT)

    assert deliveries.answered("accept", f"{ALERT}-1", 1) is None
