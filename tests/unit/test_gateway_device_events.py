"""The event's id (C1), what is kept of pictures, and numbers that equal the wire's."""

from __future__ import annotations

from dataclasses import replace

import pytest

from alerthub.api.v1 import observation_pb2
from alerthub.domain.device_events import (
    CallKind,
    DeviceEvent,
    Direction,
    ObservationKind,
    ReadIdentifier,
    kept_picture,
    observation_id,
    payload_digest,
)
from alerthub.domain.identifiers import IdentifierKind

PLATE = ReadIdentifier(IdentifierKind.PLATE, "冀R7K2Q9")
NAMED = DeviceEvent(ObservationKind.IDENTIFIER_READ, 1_000, event_id="e1", identifiers=(PLATE,))
NAMELESS = replace(NAMED, event_id="", payload_digest=payload_digest(b"payload"))
KEY, OTHER_KEY = b"k" * 32, b"o" * 32


def test_an_event_that_a_device_gave_no_id_has_none() -> None:
    assert DeviceEvent(ObservationKind.HEARTBEAT, 1_000).event_id == ""


def test_a_repeat_has_the_same_id_whatever_else_changed() -> None:
    repeat = replace(NAMED, device_time_ms=2_000, read_confidence=0.5)
    assert observation_id("d", NAMED, key=KEY) == observation_id("d", repeat, key=KEY)


def test_a_repeat_through_another_epoch_has_the_same_id() -> None:
    assert observation_id("d", NAMED, key=KEY) == observation_id("d", NAMED, key=OTHER_KEY)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("d", NAMED), ("e", NAMED)),
        (("d", NAMED), ("d", replace(NAMED, event_id="e2"))),
        (("d", NAMED), ("d", NAMELESS)),
        (("d", NAMELESS), ("d", replace(NAMELESS, device_time_ms=1_001))),
        (("d", NAMELESS), ("d", replace(NAMELESS, payload_digest=payload_digest(b"other")))),
        (("de", NAMED), ("d", replace(NAMED, event_id="ee1"))),
    ],
)
def test_different_events_have_different_ids(
    one: tuple[str, DeviceEvent], other: tuple[str, DeviceEvent]
) -> None:
    assert observation_id(*one, key=KEY) != observation_id(*other, key=KEY)


def test_an_id_made_of_a_payload_with_a_plate_cannot_be_tried_out_without_the_key() -> None:
    assert observation_id("d", NAMELESS, key=KEY) != observation_id("d", NAMELESS, key=OTHER_KEY)


def test_an_id_made_of_a_payload_without_identifiers_needs_no_key() -> None:
    plain = replace(NAMELESS, identifiers=())
    assert observation_id("d", plain, key=KEY) == observation_id("d", plain, key=b"")


def test_an_event_shows_no_identifier_in_its_representation() -> None:
    assert "R7K2Q9" not in repr(NAMED)


@pytest.mark.parametrize(
    ("content", "kept"),
    [
        (b"\xff\xd8\xff\xe0rest", True),
        (b"\x89PNG\r\n\x1a\nrest", True),
        (b"GIF89a", False),
        (b"<svg/>", False),
        (b"", False),
        (b"\xff\xd8\xff" + bytes(2 * 1024 * 1024), False),
    ],
)
def test_pictures_are_kept_by_their_first_bytes_and_size(content: bytes, kept: bool) -> None:
    assert kept_picture(content) == (content if kept else b"")


def test_kinds_have_the_numbers_of_the_wire() -> None:
    for kind in ObservationKind:
        assert int(observation_pb2.ObservationKind.Value(f"OBSERVATION_KIND_{kind.name}")) == int(kind)
    for direction in Direction:
        assert int(observation_pb2.Direction.Value(f"DIRECTION_{direction.name}")) == int(direction)
    for call in CallKind:
        assert int(observation_pb2.DirectCallKind.Value(f"DIRECT_CALL_KIND_{call.name}")) == int(call)
