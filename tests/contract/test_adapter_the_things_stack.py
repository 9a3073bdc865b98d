"""What only The Things Stack does."""

from __future__ import annotations

import json

import pytest
from adapter_cases import Sent, changed, fixture, kept

from alerthub.domain.device_events import CallKind, DeviceEvent, ObservationKind, Place
from alerthub.domain.errors import Refuse

ADAPTER = "the-things-stack"
UPLINK = "uplink_message__"


def parsed(**changes: object) -> list[DeviceEvent]:
    return Sent("application/json", changed("the_things_stack_tag.json", **changes)).parse(ADAPTER)


def other(**message: object) -> DeviceEvent:
    told = json.loads(fixture("the_things_stack_tag.json"))
    del told["uplink_message"]
    (event,) = Sent("application/json", json.dumps(told | message).encode()).parse(ADAPTER)
    return event


def test_a_panic_button_calls() -> None:
    (event,) = parsed(**{f"{UPLINK}decoded_payload": {"panic": True}})
    assert (event.call, event.identifiers) == (CallKind.PANIC, ())


def test_what_the_console_simulates_says_nothing() -> None:
    assert parsed(simulated=True, **{f"{UPLINK}decoded_payload": {"panic": True}}) == []


def test_the_first_uplink_of_a_session_has_an_id_although_nought_is_left_out() -> None:
    (event,) = parsed(**{f"{UPLINK}f_cnt": None})
    assert event.event_id.endswith("#0")


def test_an_uplink_without_a_session_goes_by_its_digest() -> None:
    (event,) = parsed(**{f"{UPLINK}session_key_id": None})
    assert (event.event_id, bool(event.payload_digest)) == ("", True)


@pytest.mark.parametrize("name", ["join_accept", "downlink_ack", "uplink_normalized", "service_data"])
def test_other_messages_are_heartbeats(name: str) -> None:
    event = other(**{name: {"decoded_payload": {"panic": True}, "normalized_payload": {"panic": True}}})
    assert (event.kind, event.call) == (ObservationKind.HEARTBEAT, None)
    assert event.device_time_ms // 1000 == 2_022_538_151


def test_a_solved_location_is_a_heartbeat_with_a_place() -> None:
    event = other(
        location_solved={"location": {"latitude": 38.1, "longitude": 114.6, "source": "SOURCE_GPS"}}
    )
    assert (event.kind, event.place) == (ObservationKind.HEARTBEAT, Place(38.1, 114.6))


def test_a_place_in_the_payload_counts_and_the_registrys_does_not() -> None:
    (event,) = parsed()
    assert event.place is None
    solved = {"frm-payload": {"latitude": 38.1, "longitude": 114.6, "source": "SOURCE_GPS"}}
    (event,) = parsed(**{f"{UPLINK}locations": solved})
    assert event.place == Place(38.1, 114.6)


@pytest.mark.parametrize(
    ("time", "seconds"),
    [
        ("2034-02-03T00:09:10.789585559Z", 2_022_538_150),
        ("2034-02-03T08:09:10+08:00", 2_022_538_150),
        ("2034-02-03T00:09:10", 2_022_538_150),
        (None, 2_022_538_151),
        ("now", 0),
    ],
)
def test_a_time_with_a_zone_or_without_is_read(time: object, seconds: int) -> None:
    (event,) = parsed(**{f"{UPLINK}received_at": time})
    assert event.device_time_ms // 1000 == seconds


def test_the_device_is_never_taken_from_the_body() -> None:
    (event,) = parsed()
    assert not any(name in kept(event) for name in ("another-device", "0004A30B001C0531"))


def test_features_that_a_formatter_writes_are_kept_nowhere() -> None:
    (event,) = parsed(**{f"{UPLINK}decoded_payload": {"face": "canary", "gait": ["canary"]}})
    assert "canary" not in kept(event)


@pytest.mark.parametrize("body", [b"{}", b"[]", b'{"uplink_message": {}}'])
def test_what_is_no_message_is_refused(body: bytes) -> None:
    with pytest.raises(Refuse):
        Sent("application/json", body).parse(ADAPTER)
