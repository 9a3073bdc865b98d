"""CloudEvents 1.0 over HTTP: structured JSON, a batch of them, or binary mode (attributes in headers).

Types and data are the hub's own: `alerthub.identifier.read` and so on, with `plate`, `document`, `tag`,
`track`, `confidence`, `direction`, `lane`, `picture` (base64), `make`, `colour` and `plate_colour` in
`data`. What else `data` holds is passed over and kept nowhere.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from urllib.parse import unquote

from alerthub.domain.device_events import (
    MAXIMUM_EVENT_ID_CHARACTERS,
    MAXIMUM_LANE,
    MAXIMUM_PICTURE_BYTES,
    CallKind,
    DeviceEvent,
    Direction,
    ObservationKind,
    ReadIdentifier,
    kept_picture,
)
from alerthub.domain.errors import Refuse
from alerthub.domain.identifiers import MAXIMUM_LENGTH, IdentifierKind, normalise
from services.gateway.adapters.reading import (
    AdapterContext,
    UnsupportedContent,
    bounded_events,
    content_type,
    fraction,
    json_value,
    text,
    time_ms_or_zero,
    track,
    whole,
)

_KINDS = {
    "alerthub.identifier.read": ObservationKind.IDENTIFIER_READ,
    "alerthub.vehicle.standing": ObservationKind.VEHICLE_STANDING,
    "alerthub.vehicle.left": ObservationKind.VEHICLE_LEFT,
    "alerthub.line.crossed": ObservationKind.LINE_CROSSED,
    "alerthub.presence": ObservationKind.PRESENCE,
    "alerthub.heartbeat": ObservationKind.HEARTBEAT,
}
_CALLS = {
    "alerthub.call.panic": CallKind.PANIC,
    "alerthub.call.escort": CallKind.ESCORT_REQUEST,
    "alerthub.call.service": CallKind.SERVICE_REQUEST,
}
_IDENTIFIERS = {
    "plate": IdentifierKind.PLATE,
    "document": IdentifierKind.DOCUMENT,
    "tag": IdentifierKind.TAG,
}
_DIRECTIONS = {
    "": Direction.UNSPECIFIED,
    "unknown": Direction.UNSPECIFIED,
    "approaching": Direction.APPROACHING,
    "departing": Direction.DEPARTING,
}
_STRUCTURED = "application/cloudevents+json"
_BATCH = "application/cloudevents-batch+json"
_MAXIMUM_ATTRIBUTE = 1_024


def parse(content_type_value: str, body: bytes, context: AdapterContext) -> list[DeviceEvent]:
    """The events of one request, in whichever of the three modes it is."""
    media_type = content_type(content_type_value).media_type
    if media_type == _BATCH:
        return _batch(json_value(body, "body"))
    if media_type == _STRUCTURED:
        return [_event(json_value(body, "body"), "")]
    if "ce-specversion" in context.headers:
        return [_binary(media_type, body, context.headers)]
    if media_type == "application/json":
        # Senders that know no CloudEvents library label the same JSON so.
        value = json_value(body, "body")
        return _batch(value) if isinstance(value, list) else [_event(value, "")]
    raise UnsupportedContent("content-type", f"{_STRUCTURED}, {_BATCH}, or application/json with ce- headers")


def _batch(value: object) -> list[DeviceEvent]:
    if not isinstance(value, list):
        raise Refuse("body", "a JSON array of CloudEvents")
    bounded_events(value)
    return [_event(one, f"[{position}].") for position, one in enumerate(value)]


def _binary(media_type: str, body: bytes, headers: Mapping[str, str]) -> DeviceEvent:
    attributes: dict[str, object] = {
        name.removeprefix("ce-"): unquote(value) for name, value in headers.items() if name.startswith("ce-")
    }
    if body:
        if media_type != "application/json":
            raise UnsupportedContent("content-type", "application/json for an event in binary mode")
        attributes["data"] = json_value(body, "body")
    return _event(attributes, "")


def _event(value: object, at: str) -> DeviceEvent:
    if not isinstance(value, dict):
        raise Refuse(f"{at}body" if not at else at.rstrip("."), "a JSON object: one CloudEvent")
    if value.get("specversion") != "1.0":
        raise Refuse(f"{at}specversion", '"1.0"')
    event_id = _required(value, "id", at)
    source = _required(value, "source", at)
    event_type = _required(value, "type", at)
    if event_type not in _KINDS and event_type not in _CALLS:
        raise Refuse(f"{at}type", f"one of {', '.join([*_KINDS, *_CALLS])}")
    time = text(value.get("time"), f"{at}time", maximum=64)
    device_time_ms = time_ms_or_zero(time)
    if time and not device_time_ms:
        raise Refuse(f"{at}time", "a time as in RFC 3339, after 1970")
    data = _data(value, at)
    call = _CALLS.get(event_type)
    kind = _KINDS.get(event_type, ObservationKind.PRESENCE)
    event = DeviceEvent(
        kind=kind,
        device_time_ms=device_time_ms,
        event_id=_short(f"{source}#{event_id}"),
        identifiers=() if call else _identifiers(data, at),
        track_id=track(data.get("track"), f"{at}data.track"),
        read_confidence=fraction(data.get("confidence"), f"{at}data.confidence"),
        direction=_direction(data.get("direction"), f"{at}data.direction"),
        lane=whole(data.get("lane"), f"{at}data.lane", maximum=MAXIMUM_LANE),
        picture=_picture(data.get("picture"), f"{at}data.picture"),
        make=text(data.get("make"), f"{at}data.make", maximum=64),
        colour=text(data.get("colour"), f"{at}data.colour", maximum=32),
        plate_colour=text(data.get("plate_colour"), f"{at}data.plate_colour", maximum=32),
        call=call,
    )
    stands = kind in (ObservationKind.VEHICLE_STANDING, ObservationKind.VEHICLE_LEFT)
    if stands and not event.track_id and not event.identifiers:
        raise Refuse(f"{at}data.track", "a plate or a track by which the vehicle is known")
    return event


def _required(value: dict[str, object], name: str, at: str) -> str:
    found = text(value.get(name), f"{at}{name}", maximum=_MAXIMUM_ATTRIBUTE)
    if not found:
        raise Refuse(f"{at}{name}", "a text that is not empty")
    return found


def _short(identifier: str) -> str:
    """An event's id that fits: source and id name an event together, and may be long."""
    if len(identifier) <= MAXIMUM_EVENT_ID_CHARACTERS:
        return identifier
    return hashlib.blake2b(identifier.encode(), digest_size=32).hexdigest()


def _data(value: dict[str, object], at: str) -> dict[str, object]:
    data = value.get("data")
    if data is None and value.get("data_base64") is not None:
        data = json_value(_base64(value["data_base64"], f"{at}data_base64"), f"{at}data_base64")
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise Refuse(f"{at}data", "a JSON object")
    return data


def _identifiers(data: dict[str, object], at: str) -> tuple[ReadIdentifier, ...]:
    found = []
    for name, kind in _IDENTIFIERS.items():
        value = text(data.get(name), f"{at}data.{name}", maximum=MAXIMUM_LENGTH)
        if value and normalise(kind, value) is not None:
            found.append(ReadIdentifier(kind, value))
    return tuple(found)


def _direction(value: object, name: str) -> Direction:
    direction = _DIRECTIONS.get(text(value, name, maximum=32))
    if direction is None:
        raise Refuse(name, "approaching, departing or unknown")
    return direction


def _picture(value: object, name: str) -> bytes:
    if value is None or value == "":
        return b""
    kept = kept_picture(_base64(value, name))
    if not kept:
        raise Refuse(name, f"base64 of a JPEG or PNG of at most {MAXIMUM_PICTURE_BYTES} bytes")
    return kept


def _base64(value: object, name: str) -> bytes:
    if not isinstance(value, str):
        raise Refuse(name, "a text in base64")
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise Refuse(name, "a text in base64") from None
