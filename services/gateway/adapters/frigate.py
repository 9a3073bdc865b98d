"""Frigate by MQTT: tracked objects (`events`), review items (`reviews`), updates (`tracked_object_update`).

Names that Frigate gives to faces and plates (`sub_label`, `name`) are never taken, thumbnails neither
(refusal 1). Which of Frigate's cameras it was is not read: a credential is one device (S3).
"""

from __future__ import annotations

from alerthub.domain.device_events import DeviceEvent, ObservationKind, payload_digest
from alerthub.domain.errors import Refuse
from services.gateway.adapters.fields import Fields, required
from services.gateway.adapters.reading import (
    AdapterContext,
    UnsupportedContent,
    content_type,
    event_id,
    json_value,
    plate,
)

_VEHICLES = frozenset({"car", "truck", "bus", "motorcycle", "van", "school_bus", "garbage_truck", "vehicle"})
_EVENTS = ("events",)
_REVIEWS = ("reviews",)
_UPDATES = ("tracked_object_update",)
_ALIVE = (("available",), ("stats",))
_LATEST_S = 253_402_300_799
_MAXIMUM_ID = 48


def parse(content_type_value: str, body: bytes, context: AdapterContext) -> list[DeviceEvent]:
    """The one event of a message; nothing for the topics that tell no event (counts, snapshots, states)."""
    if context.topic and context.topic not in (_EVENTS, _REVIEWS, _UPDATES):
        alive = context.topic in _ALIVE and body.strip() != b"offline"
        return [_heartbeat(body)] if alive else []
    kind = content_type(content_type_value)
    if kind.media_type != "application/json":
        raise UnsupportedContent("content-type", "application/json")
    told = required(json_value(body, "body", kind.charset), "an event, a review or an update of Frigate")
    if told.has("after"):
        before, after = told.inside("before"), told.inside("after")
        if after.has("severity"):
            return [_review(told.text("type"), after, body)]
        return [_tracked(told.text("type"), before, after, body)]
    if told.has("type") and told.has("id"):
        return [_update(told, body)]
    raise Refuse("body", "before and after, or type and id")


def _tracked(change: str, before: Fields, after: Fields, body: bytes) -> DeviceEvent:
    """An object that came, changed or went."""
    own_id, written = _id(after), _plate(after)
    moment = _time_ms(after, "frame_time", "start_time")
    if not own_id or after.says_yes("false_positive"):
        return _heartbeat(body, moment)
    is_vehicle = after.text("label").lower() in _VEHICLES
    stands, stood = after.says_yes("stationary"), before.says_yes("stationary")
    if is_vehicle and ((stood and not stands) or (change == "end" and stands)):
        kind, what = ObservationKind.VEHICLE_LEFT, "left"
    elif is_vehicle and stands and not stood:
        kind, what = ObservationKind.VEHICLE_STANDING, "stands"
    elif change != "end" and written and (change == "new" or written != _plate(before)):
        kind, what = ObservationKind.IDENTIFIER_READ, "plate"
    elif change == "new":
        kind, what = ObservationKind.PRESENCE, "new"
    else:
        return _heartbeat(body, moment)
    found = () if kind is ObservationKind.PRESENCE else plate(written)
    return DeviceEvent(
        kind=kind,
        device_time_ms=moment,
        event_id=event_id(own_id, what, str(moment), identifiers=found),
        payload_digest=payload_digest(body),
        identifiers=found,
        track_id=own_id,
        read_confidence=after.number("recognized_license_plate_score", maximum=1) if found else 0.0,
    )


def _review(change: str, after: Fields, body: bytes) -> DeviceEvent:
    """A review item gathers objects: its beginning says that somebody is there."""
    own_id, moment = _id(after), _time_ms(after, "start_time")
    if change != "new" or not own_id:
        return _heartbeat(body, moment)
    return DeviceEvent(
        kind=ObservationKind.PRESENCE,
        device_time_ms=moment,
        event_id=event_id("review", own_id),
        payload_digest=payload_digest(body),
    )


def _update(told: Fields, body: bytes) -> DeviceEvent:
    """A plate; that there was a face; everything else only says that Frigate is alive."""
    own_id, moment = _id(told), _time_ms(told, "timestamp")
    what = told.text("type").lower()
    if what == "lpr":
        found = plate(told.text("plate"))
        return DeviceEvent(
            kind=ObservationKind.IDENTIFIER_READ,
            device_time_ms=moment,
            event_id=event_id(own_id, "lpr", str(moment), identifiers=found),
            payload_digest=payload_digest(body),
            identifiers=found,
            track_id=own_id,
            read_confidence=told.number("score", maximum=1) if found else 0.0,
        )
    if what == "face":
        return DeviceEvent(
            kind=ObservationKind.PRESENCE,
            device_time_ms=moment,
            event_id=event_id("face", own_id),
            payload_digest=payload_digest(body),
        )
    return _heartbeat(body, moment)


def _heartbeat(body: bytes, moment: int = 0) -> DeviceEvent:
    return DeviceEvent(ObservationKind.HEARTBEAT, moment, payload_digest=payload_digest(body))


def _id(told: Fields) -> str:
    """Frigate's id of an object: a time, a hyphen and letters."""
    found = told.text("id", maximum=_MAXIMUM_ID)
    known = found.isascii() and all(character.isalnum() or character in ".-_" for character in found)
    return found if known else ""


def _plate(told: Fields) -> str:
    return told.text("recognized_license_plate")


def _time_ms(told: Fields, *names: str) -> int:
    seconds = next((found for name in names if (found := told.number(name, maximum=_LATEST_S))), 0.0)
    return round(seconds * 1000)
