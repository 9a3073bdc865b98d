"""What only Axis cameras with a plate recogniser do."""

from __future__ import annotations

import base64

import pytest
from adapter_cases import FACE_JPEG, JPEG, Sent, changed, fixture, kept, multipart

from alerthub.domain.device_events import DeviceEvent, ObservationKind
from alerthub.domain.errors import Refuse

ADAPTER = "axis-lpr"
GOOD = fixture("axis_lpr.json")


def parsed(**changes: object) -> DeviceEvent:
    (event,) = Sent("application/json", changed("axis_lpr.json", **changes)).parse(ADAPTER)
    return event


def test_a_vehicle_in_view_is_followed_through_its_events() -> None:
    new, lost = parsed(), parsed(carState="lost", packetCounter="2400018")
    assert new.track_id == lost.track_id
    assert new.event_id != lost.event_id


def test_a_list_of_events_is_read() -> None:
    events = Sent("application/json", b"[" + GOOD + b"," + GOOD + b"]").parse(ADAPTER)
    assert len(events) == 2


def test_257_events_are_too_many() -> None:
    with pytest.raises(Refuse, match="256"):
        Sent("application/json", b"[" + b",".join([GOOD] * 257) + b"]").parse(ADAPTER)


def test_a_message_without_a_vehicle_is_a_heartbeat() -> None:
    (event,) = Sent("application/json", b'{"packetCounter":"1","datetime":"20340203 000910250"}').parse(
        ADAPTER
    )
    assert (event.kind, event.device_time_ms) == (ObservationKind.HEARTBEAT, 2_022_538_150_250)


@pytest.mark.parametrize(
    ("changes", "time_ms"),
    [
        ({}, 2_022_538_150_250),
        ({"capture_timestamp": 2_022_538_150_250}, 2_022_538_150_250),
        # Local time without a zone is taken as UTC; the learnt clock corrects it.
        ({"capture_timestamp": None}, 2_022_566_950_250),
        ({"capture_timestamp": "9" * 400}, 2_022_566_950_250),
        ({"capture_timestamp": None, "datetime": "20341303 080910250"}, 0),
        ({"capture_timestamp": None, "datetime": None}, 0),
    ],
)
def test_the_stamp_in_milliseconds_comes_before_local_time(changes: dict[str, object], time_ms: int) -> None:
    assert parsed(**changes).device_time_ms == time_ms


@pytest.mark.parametrize("car", ["冀R7K2Q9", "R7K2Q9", "-1", None, {}])
def test_what_is_no_number_follows_nothing(car: object) -> None:
    assert parsed(carID=car).track_id == ""


def test_a_plate_that_is_only_in_ascii_is_read() -> None:
    event = parsed(plateUTF8="", plateUnicode=None, plateText=None, plateASCII="AB12CDE")
    assert [read.text for read in event.identifiers] == ["AB12CDE"]


@pytest.mark.parametrize("confidence", ["83", "-1", "NaN", 2, None, True])
def test_an_absurd_confidence_is_none(confidence: object) -> None:
    assert parsed(plateConfidence=confidence).read_confidence == 0


def test_the_picture_in_the_event_is_kept_by_its_first_bytes() -> None:
    assert parsed(imageArray=base64.b64encode(JPEG).decode()).picture == JPEG
    assert parsed(imageArray=base64.b64encode(b"<svg/>").decode()).picture == b""


def test_a_picture_of_a_face_is_not_kept() -> None:
    (event,) = multipart(("event", "application/json", GOOD), ("face.jpg", "image/jpeg", FACE_JPEG)).parse(
        ADAPTER
    )
    assert event.picture == b""


def test_faces_addresses_and_the_cameras_name_are_kept_nowhere() -> None:
    event = parsed(driver={"face": "canary"}, faceFeature="canary")
    assert "canary" not in kept(event)
    assert "tools.cgi" not in kept(event)
    assert "another-device" not in kept(event)


@pytest.mark.parametrize("body", [b"{}", b"7", b'["a"]', b"[[]]", b"[{}]"])
def test_what_is_no_event_is_refused(body: bytes) -> None:
    with pytest.raises(Refuse):
        Sent("application/json", body).parse(ADAPTER)
