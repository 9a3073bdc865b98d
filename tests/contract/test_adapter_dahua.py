"""What only Dahua cameras do."""

from __future__ import annotations

import json

import pytest
from adapter_cases import DAHUA_TEXT, FACE_JPEG, JPEG, Sent, changed, fixture, kept, multipart

from alerthub.domain.device_events import DeviceEvent, ObservationKind
from alerthub.domain.errors import Refuse

ADAPTER = "dahua"


def told(text: str | bytes, *pictures: tuple[str, bytes]) -> list[DeviceEvent]:
    content = text.encode() if isinstance(text, str) else text
    shown = [(name, "image/jpeg", picture) for name, picture in pictures]
    return multipart(("event", "text/plain", content), *shown, media_type="multipart/mixed").parse(ADAPTER)


def message(code: str, action: str, **data: object) -> list[DeviceEvent]:
    return told(f"Code={code};action={action};index=0;data={json.dumps(data)}")


def parking(**changes: object) -> DeviceEvent:
    (event,) = Sent("application/json", changed("dahua_parking.json", **changes)).parse(ADAPTER)
    return event


@pytest.mark.parametrize(
    ("code", "action", "kind"),
    [
        ("CrossLineDetection", "Start", ObservationKind.LINE_CROSSED),
        ("CrossLineDetection", "Stop", ObservationKind.HEARTBEAT),
        ("CrossRegionDetection", "Start", ObservationKind.PRESENCE),
        ("VideoMotion", "Start", ObservationKind.PRESENCE),
        ("VideoMotion", "State", ObservationKind.HEARTBEAT),
        ("ParkingDetection", "Start", ObservationKind.VEHICLE_STANDING),
        ("ParkingDetection", "Stop", ObservationKind.VEHICLE_LEFT),
        ("ParkingDetection", "State", ObservationKind.HEARTBEAT),
        ("VideoLoss", "Start", ObservationKind.HEARTBEAT),
        ("AlarmLocal", "Start", ObservationKind.HEARTBEAT),
        ("TrafficFlowStat", "Pulse", ObservationKind.HEARTBEAT),
    ],
)
def test_events_are_told_from_heartbeats_and_replayed_states(
    code: str, action: str, kind: ObservationKind
) -> None:
    (event,) = message(code, action, UTC=1_620_477_656)
    assert (event.kind, event.identifiers) == (kind, ())


@pytest.mark.parametrize("text", ["Heartbeat", "Heartbeat\r\n", "heartBeat"])
def test_a_heartbeat_between_events_is_one(text: str) -> None:
    (event,) = told(text)
    assert event.kind is ObservationKind.HEARTBEAT


def test_a_keep_alive_in_json_is_a_heartbeat() -> None:
    (event,) = Sent("application/json", b'{"Active":"keepAlive","DeviceID":"x"}').parse(ADAPTER)
    assert event.kind is ObservationKind.HEARTBEAT


def test_several_events_keep_their_own_pictures() -> None:
    first, second = multipart(
        ("event", "text/plain", DAHUA_TEXT),
        ("a.jpg", "image/jpeg", JPEG + b"a"),
        ("b.jpg", "image/jpeg", JPEG + b"b"),
        ("event", "text/plain", DAHUA_TEXT.replace(b"GroupID=4711", b"GroupID=4712")),
        ("c.jpg", "image/jpeg", JPEG + b"c"),
    ).parse(ADAPTER)
    assert (first.picture, second.picture) == (JPEG + b"a", JPEG + b"c")
    assert first.event_id != second.event_id


def test_two_events_of_one_list_are_two() -> None:
    text = DAHUA_TEXT + DAHUA_TEXT.replace(b"Events[0]", b"Events[1]")
    assert len(told(text)) == 2


def test_the_pictures_of_a_parking_group_are_events_of_their_own() -> None:
    # Minutes lie between them, and by them a dwell is known.
    assert parking().event_id != parking(Data__IndexInGroup=2).event_id


@pytest.mark.parametrize(
    ("changes", "time_ms"),
    [
        ({}, 2_022_538_150_250),
        ({"Data__RealUTC": None}, 2_022_566_950_250),
        ({"Data__UTCMS": 5000}, 2_022_538_150_000),
        ({"Data__RealUTC": None, "Data__UTC": 10**400}, 0),
        ({"Data__RealUTC": -1, "Data__UTC": "soon"}, 0),
    ],
)
def test_the_real_time_comes_before_local_time(changes: dict[str, object], time_ms: int) -> None:
    assert parking(**changes).device_time_ms == time_ms


@pytest.mark.parametrize(
    ("snap_time", "seconds"),
    [("2034-02-03 00:09:10", 2_022_538_150), ("2034-02-03 08:09:10+08:00", 2_022_538_150), ("x", 0)],
)
def test_the_platforms_time_is_read_with_a_zone_or_without(snap_time: str, seconds: int) -> None:
    body = changed(
        "dahua_platform.json", Picture__SnapInfo__AccurateTime=None, Picture__SnapInfo__SnapTime=snap_time
    )
    (event,) = Sent("application/json", body).parse(ADAPTER)
    assert event.device_time_ms // 1000 == seconds


def test_a_vehicle_that_no_number_names_stands_on_the_cameras_channel() -> None:
    assert parking(Data__Vehicle=None, Data__Object=None).track_id == "channel-0"
    assert parking(Data__Vehicle__ObjectID="冀R7K2Q9", Data__Object=None).track_id == "channel-0"


def test_a_face_event_leaves_nothing_of_the_face() -> None:
    face = {"Feature": "canary", "Age": 34, "Sex": "canary", "TrafficCar": {"PlateNumber": "canary"}}
    text = f"Code=FaceDetection;action=Start;index=0;data={json.dumps({'Faces': [face], **face})}"
    (event,) = told(text, ("scene.jpg", FACE_JPEG))
    assert (event.kind, event.picture, event.identifiers) == (ObservationKind.PRESENCE, b"", ())
    assert "canary" not in kept(event)


def test_a_drivers_picture_and_riders_are_kept_nowhere() -> None:
    text = DAHUA_TEXT + b"Events[0].NonMotor.RiderList[0].FaceAttributes=canary\r\n"
    (event,) = told(text, ("driverFace.jpg", FACE_JPEG))
    assert event.picture == b""
    assert "canary" not in kept(event)


def test_the_device_is_never_taken_from_the_body() -> None:
    assert all("another-device" not in kept(event) for event in told(DAHUA_TEXT))
    (event,) = Sent("application/json", fixture("dahua_platform.json")).parse(ADAPTER)
    assert "another-device" not in kept(event)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "Events",
        "a=1",
        "Code=X;action=Start;index=0;data={",
        "Code=X;action=Start",
        "Events." + "a." * 20 + "b=1",
        "Events[0].a=1\n" * 4_001,
        "\n".join(f"Events[{n}].Code=VideoLoss" for n in range(257)),
    ],
)
def test_what_is_no_event_is_refused(text: str) -> None:
    with pytest.raises(Refuse):
        told(text)


@pytest.mark.parametrize(
    "text", ["Events[0]=1\nEvents[0].Code=X", "Events=1\nEvents[0].Code=X", "Events[]=1"]
)
def test_a_name_that_is_value_and_object_harms_nothing(text: str) -> None:
    with pytest.raises(Refuse):
        told(text)
