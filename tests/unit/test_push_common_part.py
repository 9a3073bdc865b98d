"""What all terminals get alike of an alert is serialised once, and holds no identifier (C17)."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_push_stream import Opener, Tail, Written, stream

from alerthub.alert_events import TailedEvent
from alerthub.api.v1 import alert_pb2, common_pb2, patrol_pb2, watchlist_pb2
from services.push import common_part
from services.push.common_part import CommonParts
from services.push.grpc_api import written_as
from services.push.opening import Opened

PLATE = "冀A12345"
PICTURE = b"\xff\xd8 a picture"
OPENED = Opened(b"r1", watchlist_pb2.OpenedDetails(identifier=PLATE, authority_contact="010-555"), PICTURE)


def _assignment(unit_id: str, officer: str) -> alert_pb2.Assignment:
    return alert_pb2.Assignment(
        assignment_id=f"a1-{unit_id}",
        unit_id=unit_id,
        status=alert_pb2.ASSIGNMENT_STATUS_ACCEPTED,
        officer=officer,
    )


def _alert(version: int = 4) -> alert_pb2.Alert:
    return alert_pb2.Alert(
        alert_id="a1",
        version=version,
        status=alert_pb2.ALERT_STATUS_ACCEPTED,
        policy=common_pb2.DISPATCH_POLICY_SEND_AT_ONCE,
        rule_id="hits",
        category="stolen_vehicle",
        severity=common_pb2.SEVERITY_MAJOR,
        officer_text=common_pb2.LocalizedText(chinese="拦下车辆", english="Stop the vehicle"),
        sightings=[
            alert_pb2.Sighting(device_id="d1", received_time_ms=1_000),
            alert_pb2.Sighting(device_id="d2", received_time_ms=2_000, needs_confirmation=True),
        ],
        assignments=[_assignment("u1", "wang"), _assignment("u2", "li")],
        opened_at_ms=900,
        sighting_count=2,
    )


def _event(alert: alert_pb2.Alert) -> TailedEvent:
    units = frozenset(each.unit_id for each in alert.assignments)
    return TailedEvent(
        alert_pb2.AlertEvent(kind=alert_pb2.ALERT_EVENT_KIND_CONFIRMED, alert=alert), units, "topic.0-7"
    )


async def _told(alert: alert_pb2.Alert, *openers: Opener, common_parts: CommonParts) -> list[Written]:
    """What a terminal of u1 for each opener is told of the alert."""
    tails = [Tail() for _ in openers]
    everything = [Written() for _ in openers]
    running = [
        asyncio.create_task(stream(tail, opener, common_parts=common_parts).run("", written))
        for tail, opener, written in zip(tails, openers, everything, strict=True)
    ]
    for tail, written in zip(tails, everything, strict=True):
        await written.last_is("heartbeat")
        tail.subscriber(_event(alert))
        await written.alerts(1)
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    return everything


def _encoded_alert(written: Written) -> bytes:
    return next(
        encoded
        for encoded, message in zip(written.encoded, written.messages, strict=True)
        if message.WhichOneof("message") == "alert"
    )


async def test_a_terminal_reads_one_message_from_the_common_part_and_its_own() -> None:
    # given an alert with a sighting to be confirmed and another unit's part
    alert = _alert()

    # when a terminal of u1 is told
    [written] = await _told(alert, Opener(OPENED), common_parts=CommonParts())

    # then it reads what one message would have said
    received = next(each for each in written.messages if each.WhichOneof("message") == "alert")
    shown = alert_pb2.Alert()
    shown.CopyFrom(alert)
    del shown.sightings[1:]
    del shown.assignments[1:]
    assert received == patrol_pb2.HubMessage(
        resume_token="topic.0-7",  # noqa: S106 - a place in a topic
        alert=patrol_pb2.AlertPush(
            alert=shown,
            assignment_id="a1-u1",
            because=alert_pb2.ALERT_EVENT_KIND_CONFIRMED,
            details=OPENED.details,
            picture=PICTURE,
            read_age_ms=received.alert.read_age_ms,
        ),
    )
    assert received.alert.read_age_ms > 0


async def test_c17_the_common_part_is_serialised_once_for_all_terminals(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # given two terminals for which other things are opened
    other = Opened(b"r1", watchlist_pb2.OpenedDetails(identifier="other"), b"")
    made: list[bytes] = []

    def counted(alert: alert_pb2.Alert, *, shown: bool) -> common_part.CommonPart:
        part = serialise(alert, shown=shown)
        made.append(part.encoded)
        return part

    serialise = common_part.common_part
    monkeypatch.setattr(common_part, "common_part", counted)

    # when both are told of the alert
    told = await _told(_alert(), Opener(OPENED), Opener(other), common_parts=CommonParts())

    # then its common part was made once, and both messages begin with it
    assert len(made) == 1
    assert all(_encoded_alert(written).startswith(made[0]) for written in told)


async def test_c17_the_common_part_holds_no_identifier() -> None:
    # given a terminal whose officer gets plate, contact and picture
    parts = CommonParts()
    [written] = await _told(_alert(), Opener(OPENED), common_parts=parts)

    # then they stand in its own part only
    common = parts.of(_alert(), shown=True).encoded
    own = _encoded_alert(written).removeprefix(common)
    for opened in (PLATE.encode(), b"010-555", PICTURE):
        assert opened in own
        assert opened not in common
    # and the common part says nothing but the alert, without any unit's or officer's name
    push = patrol_pb2.HubMessage.FromString(common).alert
    assert [field.name for field, _ in push.ListFields()] == ["alert"]
    assert not push.alert.assignments


def test_another_version_and_the_end_of_the_alert_have_parts_of_their_own() -> None:
    parts = CommonParts()
    encoded = {
        parts.of(_alert(version), shown=shown).encoded for version in (4, 5) for shown in (True, False)
    }
    assert len(encoded) == 4


def test_no_more_parts_are_kept_than_agreed() -> None:
    parts = CommonParts(remembered=3)
    for version in range(10):
        parts.of(_alert(version), shown=True)
    assert len(parts._parts) == 3


@given(st.text(max_size=40), st.binary(max_size=200), st.integers(0, 2**32 - 1))
def test_grpc_writes_the_bytes_as_they_are(token: str, picture: bytes, age: int) -> None:
    push = patrol_pb2.AlertPush(picture=picture, read_age_ms=age)
    encoded = patrol_pb2.HubMessage(resume_token=token, alert=push).SerializeToString()
    # The serializer that the generated code registers for Connect.
    serialise = patrol_pb2.HubMessage.SerializeToString
    assert serialise(written_as(encoded + encoded)) == encoded + encoded
