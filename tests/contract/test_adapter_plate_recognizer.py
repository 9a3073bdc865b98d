"""What only Plate Recognizer does."""

from __future__ import annotations

import pytest
from adapter_cases import FACE_JPEG, JPEG, Sent, changed, fixture, kept, multipart

from alerthub.domain.device_events import DeviceEvent, ObservationKind
from alerthub.domain.errors import Refuse

ADAPTER = "plate-recognizer"
RESULT = {"plate": "ab12cde", "score": 0.9}


def parsed(**changes: object) -> list[DeviceEvent]:
    return Sent("application/json", changed("plate_recognizer.json", **changes)).parse(ADAPTER)


@pytest.mark.parametrize("event", ["camera.status", "heartbeat", "status_change"])
def test_other_events_are_heartbeats(event: str) -> None:
    (found,) = parsed(hook__event=event)
    assert (found.kind, found.identifiers) == (ObservationKind.HEARTBEAT, ())


@pytest.mark.parametrize("results", [[], None, {}, "none", [None, 7]])
def test_a_picture_without_vehicles_is_a_heartbeat(results: object) -> None:
    (found,) = parsed(data__results=results)
    assert found.kind is ObservationKind.HEARTBEAT


def test_two_vehicles_in_a_picture_are_two_events_with_their_own_ids() -> None:
    first, second = parsed(data__results=[RESULT, RESULT])
    assert first.event_id != second.event_id


def test_257_vehicles_are_too_many() -> None:
    with pytest.raises(Refuse, match="256"):
        parsed(data__results=[RESULT] * 257)


def test_the_newer_form_of_a_vehicle_is_read() -> None:
    result = {
        "plate": {"type": "Plate", "props": {"plate": [{"value": "冀r7k2q9", "score": 0.7}]}},
        "vehicle": {
            "type": "Sedan",
            "props": {"model_make": [{"make": "BYD", "score": 0.9}], "color": [{"value": "red"}]},
        },
    }
    (event,) = parsed(data__results=[result])
    assert (event.identifiers[0].text, event.make, event.colour) == ("冀r7k2q9", "BYD", "red")
    assert event.read_confidence == pytest.approx(0.7)


@pytest.mark.parametrize(
    ("timestamp", "seconds"),
    [
        ("2034-02-03T00:09:10Z", 2_022_538_150),
        ("2034-02-03 08:09:10.5+08:00", 2_022_538_150),
        ("2034-02-03 00:09:10", 2_022_538_150),
        ("yesterday", 0),
        (7, 0),
    ],
)
def test_a_time_with_a_zone_or_without_is_read(timestamp: object, seconds: int) -> None:
    (event,) = parsed(data__timestamp=timestamp)
    assert event.device_time_ms // 1000 == seconds


def test_the_local_time_counts_where_there_is_no_other() -> None:
    (event,) = parsed(data__timestamp=None)
    assert event.device_time_ms // 1000 == 2_022_538_150


def test_a_name_that_a_sender_gave_is_no_id() -> None:
    (event,) = parsed(hook__event="image.done")
    assert (event.event_id, bool(event.payload_digest)) == ("", True)


def test_a_file_name_that_holds_the_plate_is_no_id() -> None:
    # An id is hashed without a key: with a plate in it somebody who reads Kafka could try plates out.
    (event,) = parsed(data__filename="shots/R7K2-Q9_000913.jpg")
    assert event.event_id == ""


@pytest.mark.parametrize("score", [-1, 2, "x", True, 10**400, None])
def test_an_absurd_score_is_none(score: object) -> None:
    (event,) = parsed(data__results__0__score=score)
    assert event.read_confidence == 0


def test_a_picture_is_known_by_its_first_bytes() -> None:
    (event,) = multipart(
        ("json", "application/json", fixture("plate_recognizer.json")), ("upload", "image/jpeg", b"<svg/>")
    ).parse(ADAPTER)
    assert event.picture == b""


def test_another_file_of_the_form_is_not_kept() -> None:
    (event,) = multipart(
        ("json", "application/json", fixture("plate_recognizer.json")), ("face", "image/jpeg", FACE_JPEG)
    ).parse(ADAPTER)
    assert event.picture == b""


def test_no_more_than_eight_vehicles_get_the_picture() -> None:
    body = changed("plate_recognizer.json", data__results=[RESULT] * 20)
    events = multipart(("json", "application/json", body), ("upload", "image/jpeg", JPEG)).parse(ADAPTER)
    assert [bool(event.picture) for event in events] == [True] * 8 + [False] * 12


def test_features_of_a_face_and_the_cameras_name_are_kept_nowhere() -> None:
    face = {"face": {"feature": "canary", "embedding": ["canary"]}}
    (event,) = parsed(data__results__0__driver=face, data__face=face)
    assert "canary" not in kept(event)
    assert "another-device" not in kept(event)
