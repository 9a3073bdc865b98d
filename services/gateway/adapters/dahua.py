"""Dahua cameras: snapshots and events as they push them, in multipart with pictures or as JSON.

Read are `Events[0]...` (snapshot manager), `Code=...;action=...` (event manager), both also as JSON, and the
JSON of the platform push (`Picture` with `Plate` and `SnapInfo`). Riders, drivers, seats and faces are passed
over (refusal 1). The clock is `RealUTC`: in `UTC` many firmwares write local time.
"""

from __future__ import annotations

from alerthub.domain.device_events import (
    LATEST_TIME_MS,
    MAXIMUM_LANE,
    DeviceEvent,
    Direction,
    ObservationKind,
    payload_digest,
    picture_format,
)
from alerthub.domain.errors import Refuse
from services.gateway.adapters import dahua_text, multipart, pictures
from services.gateway.adapters.fields import Fields, required
from services.gateway.adapters.reading import (
    AdapterContext,
    UnsupportedContent,
    bounded_events,
    content_type,
    decoded,
    event_id,
    json_value,
    plate,
    time_ms_or_zero,
    word,
)

_KINDS = {
    "crosslinedetection": ObservationKind.LINE_CROSSED,
    "crossregiondetection": ObservationKind.PRESENCE,
    "wanderdetection": ObservationKind.PRESENCE,
    "videomotion": ObservationKind.PRESENCE,
    "smartmotionhuman": ObservationKind.PRESENCE,
    "smartmotionvehicle": ObservationKind.PRESENCE,
}
"""Codes by what they mean here, beside those of traffic and parking. Every other one (`VideoLoss`,
`AlarmLocal`, ...) only says that the device is alive."""
_OVER = "stop"
_REPLAYED = "state"
"""A state that was there before, told again when a client connects."""
_DIRECTIONS = {"approach": Direction.APPROACHING, "leave": Direction.DEPARTING}
_LATEST_S = LATEST_TIME_MS // 1000 - 1
_STANDING = (ObservationKind.VEHICLE_STANDING, ObservationKind.VEHICLE_LEFT)


def parse(content_type_value: str, body: bytes, context: AdapterContext) -> list[DeviceEvent]:
    """The events of one post, each with the first of the pictures that followed it."""
    kind = content_type(content_type_value)
    if kind.media_type.startswith("multipart/"):
        return bounded_events(_of_parts(multipart.split(body, kind.boundary)))
    if kind.media_type == "application/json":
        return bounded_events(_of_message(json_value(body, "body", kind.charset), body, b""))
    if kind.media_type == "text/plain":
        return bounded_events(_of_message(dahua_text.read(decoded(body, kind.charset)), body, b""))
    raise UnsupportedContent(
        "content-type", "multipart/x-mixed-replace, multipart/mixed, text/plain or application/json"
    )


def _of_parts(parts: list[multipart.Part]) -> list[DeviceEvent]:
    groups: list[tuple[multipart.Part, list[multipart.Part]]] = []
    for part in parts:
        if picture_format(part.content) is None and not part.media_type.startswith("image/"):
            groups.append((part, []))
        elif groups:
            groups[-1][1].append(part)
    if not groups:
        raise Refuse("body", "a part that tells an event")
    events: list[DeviceEvent] = []
    for part, shown in groups:
        if not part.complete:
            # Lines that are missing look like fields that a device left out.
            raise Refuse("body", "parts that are whole")
        message = (
            json_value(part.content, "body", part.charset)
            if part.content.lstrip()[:1] == b"{"
            else dahua_text.read(decoded(part.content, part.charset))
        )
        events += _of_message(message, part.content, pictures.chosen(shown))
    return events


def _of_message(value: object, body: bytes, picture: bytes) -> list[DeviceEvent]:
    message = required(value, "an event of a Dahua camera")
    listed = message.each("Events") or message.inside("params").each("eventList")
    if not listed and not any(message.has(name) for name in ("Code", "Picture", "Active")):
        raise Refuse("body", "Events, Code, Picture or Active")
    if message.inside("Picture"):
        return [_platform_push(message.inside("Picture"), body)]
    return [
        _event(one, payload_digest(body, str(position).encode()), picture)
        for position, one in enumerate(listed or [message])
    ]


def _event(message: Fields, digest: bytes, picture: bytes) -> DeviceEvent:
    base = message.inside("EventBaseInfo")
    code = message.text("Code") or base.text("Code")
    action = (base.text("Action") or message.text("Action")).lower()
    data = message.inside("Data") if message.has("Data") else message
    car, seen = data.inside("TrafficCar"), data.inside("Object")
    kind, shows_face = _kind(code.lower(), action, has_car=bool(car)), "face" in code.lower()
    takes_plate = kind in (ObservationKind.IDENTIFIER_READ, *_STANDING)
    written = car.text("PlateNumber") or (seen.text("Text") if seen.text("ObjectType") == "Plate" else "")
    found = plate(written) if takes_plate else ()
    group, place_in_group = data.text("GroupID", "EventSeq"), data.text("IndexInGroup") or "1"
    return DeviceEvent(
        kind=kind,
        device_time_ms=_time_ms(data),
        event_id=event_id(code, action or "-", data.text("UTC"), group, place_in_group, identifiers=found),
        payload_digest=digest,
        identifiers=found,
        track_id=_track(message, data) if kind in _STANDING else "",
        read_confidence=seen.number("Confidence", maximum=255) / 255 if found else 0.0,
        direction=_direction(car),
        lane=data.whole("Lane", maximum=MAXIMUM_LANE) or car.whole("Lane", maximum=MAXIMUM_LANE),
        picture=b"" if shows_face or kind is ObservationKind.HEARTBEAT else picture,
        make=word(car.text("VehicleSign")),
        colour=word(car.text("VehicleColor")).lower(),
        plate_colour=word(car.text("PlateColor")).lower(),
    )


def _kind(code: str, action: str, *, has_car: bool) -> ObservationKind:
    if action == _REPLAYED:
        return ObservationKind.HEARTBEAT
    if "parking" in code:
        return ObservationKind.VEHICLE_LEFT if action == _OVER else ObservationKind.VEHICLE_STANDING
    if action == _OVER:
        return ObservationKind.HEARTBEAT
    if code.startswith("traffic") and has_car:
        return ObservationKind.IDENTIFIER_READ
    if "face" in code:
        return ObservationKind.PRESENCE
    return _KINDS.get(code, ObservationKind.HEARTBEAT)


def _platform_push(picture: Fields, body: bytes) -> DeviceEvent:
    read, snap = picture.inside("Plate"), picture.inside("SnapInfo")
    shown = pictures.from_base64(picture.inside("NormalPic").base64("Content"))
    return DeviceEvent(
        kind=ObservationKind.IDENTIFIER_READ,
        device_time_ms=time_ms_or_zero(snap.text("AccurateTime", "SnapTime")),
        payload_digest=payload_digest(body),
        identifiers=plate(read.text("PlateNumber")),
        lane=snap.whole("LanNo", maximum=MAXIMUM_LANE),
        picture=shown or pictures.from_base64(picture.inside("CutoutPic").base64("Content")),
        make=word(picture.inside("Vehicle").text("VehicleSign")),
        colour=word(picture.inside("Vehicle").text("VehicleColor")).lower(),
        plate_colour=word(read.text("PlateColor")).lower(),
    )


def _time_ms(data: Fields) -> int:
    seconds = data.whole("RealUTC", maximum=_LATEST_S) or data.whole("UTC", maximum=_LATEST_S)
    return seconds * 1000 + data.whole("UTCMS", maximum=999) if seconds else 0


def _track(message: Fields, data: Fields) -> str:
    """The camera's number of the vehicle; else the channel, which watches one bay."""
    for name in ("Vehicle", "Object"):
        number = data.inside(name).text("ObjectID", maximum=20)
        if number.isascii() and number.isdigit():
            return f"object-{number}"
    return f"channel-{message.whole('Index', maximum=1_000)}"


def _direction(car: Fields) -> Direction:
    """`DrivingDirection` begins with the direction; the places that it leads from and to follow."""
    said = car.texts("DrivingDirection")
    return _DIRECTIONS.get(said[0].lower(), Direction.UNSPECIFIED) if said else Direction.UNSPECIFIED
