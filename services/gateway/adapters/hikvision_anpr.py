"""Hikvision cameras (ISAPI EventNotificationAlert): plate reads and smart events.

A camera posts the XML alone, or multipart with pictures. Element names are read without their namespace,
which firmware changes. Faces, drivers and their features are passed over: nothing of them enters an event
(refusal 1).
"""

from __future__ import annotations

from alerthub.domain.device_events import (
    MAXIMUM_EVENT_ID_CHARACTERS,
    MAXIMUM_LANE,
    DeviceEvent,
    Direction,
    ObservationKind,
    ReadIdentifier,
    kept_picture,
    payload_digest,
    picture_format,
)
from alerthub.domain.errors import Refuse
from alerthub.domain.identifiers import MAXIMUM_LENGTH, IdentifierKind, normalise
from services.gateway.adapters import multipart, xml
from services.gateway.adapters.reading import (
    AdapterContext,
    UnsupportedContent,
    bounded_events,
    content_type,
    number_or_zero,
    time_ms_or_zero,
)

_XML_TYPES = frozenset({"application/xml", "text/xml", ""})
_DIRECTIONS = {"forward": Direction.APPROACHING, "reverse": Direction.DEPARTING}
_KINDS = {
    "anpr": ObservationKind.IDENTIFIER_READ,
    "vehicledetection": ObservationKind.IDENTIFIER_READ,
    "linedetection": ObservationKind.LINE_CROSSED,
    "fielddetection": ObservationKind.PRESENCE,
    "regionentrance": ObservationKind.PRESENCE,
    "loitering": ObservationKind.PRESENCE,
    "pir": ObservationKind.PRESENCE,
    "vmd": ObservationKind.PRESENCE,
    "parking": ObservationKind.VEHICLE_STANDING,
    "parkingdetection": ObservationKind.VEHICLE_STANDING,
}
"""Event types by what they mean here. Every other one only says that the device is alive."""

_FACE = "face"
_NEVER_KEPT = ("face", "pilot", "driver", "human", "person", "feature")
"""Pictures whose name holds one of these show a body's parts up close, and are passed over."""
_PREFERRED = ("detection", "scene", "vehicle", "plate")
"""The picture that shows most of the place comes first."""
_NOTHING = frozenset({"unknown", "other", "none"})


def parse(content_type_value: str, body: bytes, context: AdapterContext) -> list[DeviceEvent]:
    """The events of one post: one for each XML document in it."""
    kind = content_type(content_type_value)
    if kind.media_type.startswith("multipart/"):
        return _parts(multipart.split(body, kind.boundary))
    if kind.media_type in _XML_TYPES:
        return [_event(body, kind.charset, [])]
    raise UnsupportedContent("content-type", "multipart/form-data, application/xml or text/xml")


def _parts(parts: list[multipart.Part]) -> list[DeviceEvent]:
    events: list[DeviceEvent] = []
    document: multipart.Part | None = None
    pictures: list[multipart.Part] = []
    for part in parts:
        if picture_format(part.content) is not None or part.media_type.startswith("image/"):
            pictures.append(part)
        elif part.media_type in ("application/xml", "text/xml") or part.content.lstrip()[:1] == b"<":
            if document is not None:
                events.append(_event(document.content, document.charset, pictures))
                pictures = []
            document = part
    if document is None:
        raise Refuse("body", "a part that holds an EventNotificationAlert in XML")
    events.append(_event(document.content, document.charset, pictures))
    return bounded_events(events)


def _event(body: bytes, charset: str, pictures: list[multipart.Part]) -> DeviceEvent:
    root, values = xml.read(xml.decode(body, charset))
    if root != "EventNotificationAlert":
        raise Refuse("body", "an EventNotificationAlert")
    event_type = values.get("eventType", "").lower()
    if not event_type:
        raise Refuse("eventType", "the type of the event, such as ANPR")
    kind = _KINDS.get(event_type, ObservationKind.HEARTBEAT)
    if kind is not ObservationKind.IDENTIFIER_READ and values.get("eventState", "").lower() == "inactive":
        # The end of something is no event of its own; that the device is alive is still known.
        kind = ObservationKind.HEARTBEAT
    shows_face = _FACE in event_type
    if shows_face:
        kind = ObservationKind.PRESENCE
    identifier = values.get("UUID", "")
    if len(identifier) > MAXIMUM_EVENT_ID_CHARACTERS or not identifier.isprintable():
        identifier = ""
    is_read = kind is ObservationKind.IDENTIFIER_READ
    return DeviceEvent(
        kind=kind,
        device_time_ms=time_ms_or_zero(values.get("dateTime", "")),
        event_id=identifier,
        payload_digest=payload_digest(body),
        identifiers=_plates(values) if is_read else (),
        read_confidence=number_or_zero(values.get("ANPR/confidenceLevel", ""), maximum=100) / 100,
        direction=_DIRECTIONS.get(values.get("ANPR/direction", "").lower(), Direction.UNSPECIFIED),
        lane=int(number_or_zero(values.get("ANPR/line", ""), maximum=MAXIMUM_LANE)),
        picture=b"" if shows_face or kind is ObservationKind.HEARTBEAT else _picture(pictures),
        colour=_word(values.get("ANPR/vehicleInfo/color", "")),
        plate_colour=_word(values.get("ANPR/plateColor", "")),
    )


def _plates(values: dict[str, str]) -> tuple[ReadIdentifier, ...]:
    plate = values.get("ANPR/licensePlate", "")
    # `noPlate`, `unknown` and their like name nothing; the read still tells that a vehicle passed.
    if len(plate) > MAXIMUM_LENGTH or normalise(IdentifierKind.PLATE, plate) is None:
        return ()
    return (ReadIdentifier(IdentifierKind.PLATE, plate),)


def _picture(pictures: list[multipart.Part]) -> bytes:
    """The picture to keep as evidence; nothing where none is whole, of a known form and of the vehicle."""
    allowed = [
        part
        for part in pictures
        if part.complete and not any(word in name for word in _NEVER_KEPT for name in part.names)
    ]
    for word in (*_PREFERRED, ""):
        for part in allowed:
            if (word == "" or any(word in name for name in part.names)) and (
                kept := kept_picture(part.content)
            ):
                return kept
    return b""


def _word(value: str) -> str:
    return "" if value.lower() in _NOTHING or len(value) > 32 or not value.isprintable() else value
