"""Frigate: objects that come, stand and go; names that it gives to faces and plates stay outside."""

from __future__ import annotations

import json
from typing import Any

import pytest
from adapter_cases import Sent, changed, fixture, kept
from adapter_cases_events import FRIGATE_ID, published

from alerthub.domain.device_events import DeviceEvent, ObservationKind


def told(change: str, *, before: dict[str, Any], after: dict[str, Any]) -> DeviceEvent:
    message = json.loads(fixture("frigate_event.json"))
    base = {**message["before"], "label": "car", "stationary": False}
    message |= {"type": change, "before": base | before, "after": base | after}
    (event,) = Sent("application/json", json.dumps(message).encode(), topic=("events",)).parse("frigate")
    return event


def test_a_vehicle_that_comes_to_rest_stands_and_later_leaves() -> None:
    stands = told("update", before={}, after={"stationary": True})
    still = told("update", before={"stationary": True}, after={"stationary": True})
    leaves = told("update", before={"stationary": True}, after={})
    gone = told("end", before={"stationary": True}, after={"stationary": True})
    assert (stands.kind, stands.track_id) == (ObservationKind.VEHICLE_STANDING, FRIGATE_ID)
    assert still.kind is ObservationKind.HEARTBEAT
    assert (leaves.kind, gone.kind) == (ObservationKind.VEHICLE_LEFT, ObservationKind.VEHICLE_LEFT)


def test_a_vehicle_that_stands_is_known_by_its_plate_too() -> None:
    stands = told("update", before={}, after={"stationary": True, "recognized_license_plate": "冀R7K2Q9"})
    assert (stands.kind, len(stands.identifiers)) == (ObservationKind.VEHICLE_STANDING, 1)


def test_a_new_object_says_that_somebody_is_there_once() -> None:
    assert told("new", before={}, after={"label": "person"}).kind is ObservationKind.PRESENCE
    for change in ("update", "end"):
        assert told(change, before={}, after={"label": "person"}).kind is ObservationKind.HEARTBEAT


def test_a_plate_is_an_event_when_it_changed() -> None:
    same = {"recognized_license_plate": "冀R7K2Q9"}
    assert told("update", before=same, after=same).kind is ObservationKind.HEARTBEAT
    other = {"recognized_license_plate": "冀R7K2Q8"}
    assert told("update", before=same, after=other).kind is ObservationKind.IDENTIFIER_READ


def test_what_frigate_itself_doubts_is_no_event() -> None:
    assert told("new", before={}, after={"false_positive": True}).kind is ObservationKind.HEARTBEAT


@pytest.mark.parametrize(
    "body",
    [
        changed("frigate_event.json", after__sub_label="Canary Name"),
        fixture("frigate_review.json"),
        fixture("frigate_plate.json"),
    ],
)
def test_names_that_frigate_gives_are_kept_nowhere(body: bytes) -> None:
    assert b"Canary Name" in body
    (event,) = Sent("application/json", body).parse("frigate")
    assert "Canary" not in kept(event)


def test_a_face_says_only_that_somebody_was_there() -> None:
    face = {
        "type": "face",
        "id": FRIGATE_ID,
        "name": "Canary Name",
        "score": 0.9,
        "camera": "c",
        "timestamp": 1,
    }
    (event,) = Sent("application/json", json.dumps(face).encode()).parse("frigate")
    assert (event.kind, event.identifiers) == (ObservationKind.PRESENCE, ())
    assert "Canary" not in kept(event)


@pytest.mark.parametrize(
    ("topic", "body", "events"),
    [
        (("available",), b"online", 1),
        (("available",), b"offline", 0),
        (("stats",), b"{}", 1),
        (("north_gate", "person"), b"2", 0),
        (("north_gate", "person", "snapshot"), b"\xff\xd8\xff\xe0face", 0),
    ],
)
def test_topics_that_tell_no_event_give_at_most_a_heartbeat(
    topic: tuple[str, ...], body: bytes, events: int
) -> None:
    found = Sent("", body, topic=topic).parse("frigate")
    assert [event.kind for event in found] == [ObservationKind.HEARTBEAT] * events


def test_reviews_are_events_when_they_begin() -> None:
    (event,) = Sent("application/json", changed("frigate_review.json", type="end")).parse("frigate")
    assert event.kind is ObservationKind.HEARTBEAT
    (event,) = published("frigate_review.json", "reviews").parse("frigate")
    assert event.kind is ObservationKind.PRESENCE
