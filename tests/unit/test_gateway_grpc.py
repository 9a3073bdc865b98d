"""The edge servers' stream: cumulative acknowledgements behind the broker's, and only the devices it may
speak for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from gateway_parts import PLATE, START_MS, Gateway, gateway
from hypothesis import given
from hypothesis import strategies as st

from alerthub.api.v1 import common_pb2, ingest_pb2, observation_pb2
from alerthub.domain.errors import NotAllowed, Refuse, Retry
from alerthub.grpc_validation import violations_of
from alerthub.identity import Caller, CallerKind, set_current_caller
from services.gateway.grpc_api import MAXIMUM_FURTHER_EVENTS, IngestApi, event_of

EDGE_SERVER = Caller(CallerKind.DEVICE, "edge-1")
READ = observation_pb2.OBSERVATION_KIND_IDENTIFIER_READ


def event(device_id: str = "camera-1", event_id: str = "e", **fields: Any) -> ingest_pb2.DeviceEvent:
    values: dict[str, Any] = {
        "device_id": device_id,
        "event_id": event_id,
        "kind": READ,
        "device_time_ms": START_MS,
        "identifiers": [ingest_pb2.ReadIdentifier(kind=common_pb2.IDENTIFIER_KIND_PLATE, text=PLATE)],
    }
    return ingest_pb2.DeviceEvent(**(values | fields))


def request(sequence: int, message: ingest_pb2.DeviceEvent | None = None) -> ingest_pb2.StreamEventsRequest:
    return ingest_pb2.StreamEventsRequest(sequence=sequence, event=message or event(event_id=str(sequence)))


async def edge(folder: Path, *, speaks_for: tuple[str, ...] = ("camera-1",), **changed: Any) -> Gateway:
    """A gateway with an edge server, `edge-1`."""
    one = await gateway(folder, **changed)
    certificate = common_pb2.AUTHENTICATION_CLASS_CERTIFICATE
    one.register("edge-1", authentication_class=certificate, speaks_for=speaks_for, secret_sha256=b"")
    return one


async def stream(
    one: Gateway,
    *requests: ingest_pb2.StreamEventsRequest,
    caller: Caller = EDGE_SERVER,
) -> list[ingest_pb2.StreamEventsResponse]:
    async def sent() -> AsyncIterator[ingest_pb2.StreamEventsRequest]:
        for each in requests:
            yield each

    set_current_caller(caller)
    api = IngestApi(one.settings, one.intake, one.devices)
    return [response async for response in api.StreamEvents(sent(), None)]


async def test_every_event_is_acknowledged_cumulatively(tmp_path: Path) -> None:
    one = await edge(tmp_path)
    responses = await stream(one, *(request(number) for number in range(1, 101)))
    acknowledged = [response.acknowledged_sequence for response in responses]
    assert acknowledged == sorted(acknowledged)
    assert acknowledged[-1] == 100
    assert len(one.broker.observations()) == 100


async def test_c1_nothing_is_acknowledged_before_the_broker_has_it(tmp_path: Path) -> None:
    one = await edge(tmp_path, kafka_wait_seconds=5)
    one.broker.holds = True
    streaming = asyncio.create_task(stream(one, request(1), request(2)))
    await one.broker.holds_a_record()
    assert not streaming.done()
    one.broker.answer()
    assert [response.acknowledged_sequence for response in await streaming][-1] == 2


async def test_c1_an_acknowledgement_stops_before_what_the_broker_does_not_have(tmp_path: Path) -> None:
    one = await edge(tmp_path, speaks_for=("camera-1", "camera-2"), kafka_wait_seconds=0.3)
    one.register("camera-2", district="Guangyang-4")
    one.broker.holds = True

    async def sent() -> AsyncIterator[ingest_pb2.StreamEventsRequest]:
        yield request(1)
        await one.broker.holds_a_record()
        yield request(2, event("camera-2"))

    set_current_caller(EDGE_SERVER)
    responses = IngestApi(one.settings, one.intake, one.devices).StreamEvents(sent(), None)
    first = asyncio.ensure_future(anext(responses))
    await one.broker.holds_a_record(2)
    one.broker.answer_the_first()
    assert (await first).acknowledged_sequence == 1
    with pytest.raises(Retry):
        await anext(responses)


async def test_c1_a_broker_that_does_not_answer_ends_the_stream_unacknowledged(tmp_path: Path) -> None:
    one = await edge(tmp_path, kafka_wait_seconds=0.05)
    one.broker.holds = True
    with pytest.raises(Retry):
        await stream(one, request(1))


async def test_s3_an_edge_server_speaks_for_its_devices_only(tmp_path: Path) -> None:
    one = await edge(tmp_path)
    one.register("camera-2")
    (response,) = await stream(one, request(1, event("camera-2")))
    assert [(refusal.sequence, refusal.field) for refusal in response.refusals] == [(1, "device_id")]
    assert response.acknowledged_sequence == 1
    assert one.broker.records == []


async def test_s3_a_wildcard_speaks_for_nobody(tmp_path: Path) -> None:
    one = await edge(tmp_path, speaks_for=("*",))
    (response,) = await stream(one, request(1))
    assert len(response.refusals) == 1


async def test_s3_a_suspended_edge_server_speaks_for_nobody(tmp_path: Path) -> None:
    one = await edge(tmp_path)
    one.register("edge-1", version=2, status=2, speaks_for=("camera-1",))
    (response,) = await stream(one, request(1))
    assert len(response.refusals) == 1


@pytest.mark.parametrize("kind", [CallerKind.SERVICE, CallerKind.TERMINAL, CallerKind.ANONYMOUS])
async def test_who_is_no_device_is_refused(tmp_path: Path, kind: CallerKind) -> None:
    with pytest.raises(NotAllowed):
        await stream(await edge(tmp_path), request(1), caller=Caller(kind, "edge-1"))


async def test_s3_a_camera_behind_an_edge_server_keeps_its_own_weaker_class(tmp_path: Path) -> None:
    one = await edge(tmp_path)
    one.register(version=2, authentication_class=common_pb2.AUTHENTICATION_CLASS_NETWORK_ONLY)
    await stream(one, request(1))
    (observation,) = one.broker.observations()
    assert observation.authentication_class == common_pb2.AUTHENTICATION_CLASS_NETWORK_ONLY


async def test_a_refused_event_does_not_keep_the_next_ones(tmp_path: Path) -> None:
    one = await edge(tmp_path)
    responses = await stream(one, request(1), request(2, event(lane=65)), request(3))
    refusals = [refusal for response in responses for refusal in response.refusals]
    assert [(refusal.sequence, refusal.field) for refusal in refusals] == [(2, "event.lane")]
    assert responses[-1].acknowledged_sequence == 3


@pytest.mark.parametrize("sequences", [(2,), (1, 3), (1, 1), (0,)])
async def test_a_sequence_that_does_not_rise_by_one_ends_the_stream(
    tmp_path: Path, sequences: tuple[int, ...]
) -> None:
    with pytest.raises(Refuse, match="sequence"):
        await stream(await edge(tmp_path), *(request(number) for number in sequences))


def several(sequence: int, *messages: ingest_pb2.DeviceEvent) -> ingest_pb2.StreamEventsRequest:
    first, *further = messages
    return ingest_pb2.StreamEventsRequest(sequence=sequence, event=first, further_events=further)


async def test_each_event_of_a_message_has_its_own_sequence(tmp_path: Path) -> None:
    one = await edge(tmp_path)
    responses = await stream(
        one, several(1, event(event_id="1"), event(lane=65), event(event_id="3")), request(4)
    )
    refusals = [refusal for response in responses for refusal in response.refusals]
    assert [(refusal.sequence, refusal.field) for refusal in refusals] == [(2, "event.lane")]
    assert responses[-1].acknowledged_sequence == 4
    assert len(one.broker.observations()) == 3


async def test_a_sequence_counts_the_events_of_the_message_before(tmp_path: Path) -> None:
    with pytest.raises(Refuse, match="sequence"):
        await stream(await edge(tmp_path), several(1, event(event_id="1"), event(event_id="2")), request(2))


async def test_a_message_of_more_events_than_allowed_is_refused_whole(tmp_path: Path) -> None:
    one = await edge(tmp_path)
    many = [event(event_id=str(number)) for number in range(MAXIMUM_FURTHER_EVENTS + 2)]
    with pytest.raises(Refuse, match="further_events"):
        await stream(one, several(1, *many))
    assert one.broker.records == []


async def test_without_keys_the_stream_ends_and_asks_to_come_again(tmp_path: Path) -> None:
    with pytest.raises(Retry):
        await stream(await edge(tmp_path, keys=False), request(1))


async def test_a_stream_is_read_no_further_than_its_window(tmp_path: Path) -> None:
    one = await edge(tmp_path, stream_window=4, kafka_wait_seconds=5)
    one.broker.holds = True
    streaming = asyncio.create_task(stream(one, *(request(number) for number in range(1, 21))))
    await one.broker.holds_a_record()
    for _ in range(20):
        await asyncio.sleep(0)
    assert one.packer.in_flight <= 4
    one.broker.answer()
    assert (await streaming)[-1].acknowledged_sequence == 20


async def test_c12_keys_that_age_while_a_message_waits_are_not_used(tmp_path: Path) -> None:
    # given a message of more events than the window has room for
    one = await edge(tmp_path, stream_window=4, kafka_wait_seconds=5)
    one.broker.holds = True
    further = [event(event_id=str(number)) for number in range(2, 9)]
    message = ingest_pb2.StreamEventsRequest(sequence=1, event=event(), further_events=further)
    streaming = asyncio.create_task(stream(one, message))
    await one.broker.holds_a_record()
    # when watchlist confirms no keys for longer than they may be used, until there is room
    one.clock.ms += 10_001
    one.broker.answer()
    # then the rest of the message is not taken
    with pytest.raises(Retry, match="not confirmed"):
        await streaming
    assert len(one.broker.observations()) == 4


async def test_what_comes_behind_a_picture_is_received_after_its_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = await edge(tmp_path)
    put = one.evidence.put_streaming

    async def slow_put(picture_id: str, sealed: bytes) -> None:
        one.clock.ms += 3_000
        await put(picture_id, sealed)

    monkeypatch.setattr(one.evidence, "put_streaming", slow_put)
    message = ingest_pb2.StreamEventsRequest(
        sequence=1, event=event(picture=b"\xff\xd8\xff\xe0"), further_events=[event(event_id="behind")]
    )
    await stream(one, message)
    first, second = one.broker.observations()
    assert second.received_time_ms - first.received_time_ms == 3_000


async def test_a_direct_call_goes_to_calls(tmp_path: Path) -> None:
    one = await edge(tmp_path)
    await stream(one, request(1, event(call=observation_pb2.DIRECT_CALL_KIND_PANIC)))
    (call,) = one.broker.calls()
    assert (call.device_id, call.kind) == ("camera-1", observation_pb2.DIRECT_CALL_KIND_PANIC)


@given(
    kind=st.integers(0, 9),
    time_ms=st.integers(-10, 2**62),
    confidence=st.floats(width=32),
    lane=st.integers(0, 100),
    track=st.text(max_size=70),
    make=st.text(max_size=70),
    latitude=st.floats(),
)
def test_what_is_taken_by_hand_is_what_the_protos_rules_allow(
    *, kind: int, time_ms: int, confidence: float, lane: int, track: str, make: str, latitude: float
) -> None:
    message = event(
        kind=kind,
        device_time_ms=time_ms,
        read_confidence=confidence,
        lane=lane,
        track_id=track.encode("utf-8", "ignore").decode(),
        make=make.encode("utf-8", "ignore").decode(),
        position=common_pb2.Position(latitude=latitude, longitude=0),
    )
    try:
        event_of(message)
    except Refuse as refusal:
        assert refusal.field.startswith("event.")  # noqa: PT017 - either outcome is right for some message
    else:
        assert violations_of(message) == []
