"""Axis cameras with License Plate Verifier or FF Group's recogniser: reads as JSON, alone or in a form.

A vehicle is told several times while it is in view: `new`, `update`, `lost`; `carID` follows it. Addresses of
pictures (`imagesURI`) are never fetched (S4), and the camera's fixed `geotag` is not taken: its place is the
registered one.
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
from services.gateway.adapters import multipart, pictures
from services.gateway.adapters.fields import Fields, required
from services.gateway.adapters.reading import (
    AdapterContext,
    UnsupportedContent,
    bounded_events,
    compact_time_ms,
    content_type,
    event_id,
    json_value,
    plate,
    word,
)

_PLATES = ("plateUTF8", "plateUnicode", "plateText", "plateASCII")
"""The first three can be Chinese; the last is what is left of a plate in ASCII."""
_DIRECTIONS = {"in": Direction.APPROACHING, "out": Direction.DEPARTING}


def parse(content_type_value: str, body: bytes, context: AdapterContext) -> list[DeviceEvent]:
    """One event for each object of the post, which is one or a list of them."""
    kind = content_type(content_type_value)
    picture = b""
    if kind.media_type.startswith("multipart/"):
        parts = multipart.split(body, kind.boundary)
        told = [part for part in parts if part.content.lstrip()[:1] in (b"{", b"[")]
        if not told:
            raise Refuse("body", "a part that holds the event in JSON")
        picture = pictures.chosen([part for part in parts if picture_format(part.content) is not None])
        body, kind = told[0].content, content_type(f"application/json; charset={told[0].charset}")
    elif kind.media_type != "application/json":
        raise UnsupportedContent("content-type", "application/json or multipart/form-data")
    value = json_value(body, "body", kind.charset)
    listed: list[object] = value if isinstance(value, list) else [value]
    return [
        _event(required(one, "an event of the recogniser"), body, str(position), picture)
        for position, one in enumerate(bounded_events(listed))
    ]


def _event(told: Fields, body: bytes, position: str, picture: bytes) -> DeviceEvent:
    digest = payload_digest(body, position.encode())
    time_ms = told.whole("capture_timestamp", maximum=LATEST_TIME_MS) or compact_time_ms(
        told.text("datetime")
    )
    if not any(told.has(name) for name in (*_PLATES, "carState")):
        # The application's test message, and what tells of its state.
        return DeviceEvent(ObservationKind.HEARTBEAT, time_ms, payload_digest=digest)
    found = plate(told.text(*_PLATES))
    car, packet = told.text("carID", maximum=20), told.text("packetCounter", maximum=20)
    return DeviceEvent(
        kind=ObservationKind.IDENTIFIER_READ,
        device_time_ms=time_ms,
        # The counter begins again with the camera, the time does not.
        event_id=event_id(car, packet, str(time_ms), identifiers=found),
        payload_digest=digest,
        identifiers=found,
        track_id=f"car-{car}" if car.isascii() and car.isdigit() else "",
        read_confidence=told.number("plateConfidence", maximum=1),
        direction=_DIRECTIONS.get(told.text("carMoveDirection").lower(), Direction.UNSPECIFIED),
        lane=told.whole("roiID", maximum=MAXIMUM_LANE),
        picture=picture or pictures.from_base64(told.base64("imageArray")),
        make=word(told.text("vehicleMake")),
        colour=word(told.text("vehicleColor")).lower(),
    )
