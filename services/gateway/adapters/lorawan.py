"""What a LoRaWAN sensor says, once its network server has decoded it: a call, tags that it heard, its place.

The codec at the network server gives the hub's own names: `panic`, `escort` and `service` (true while
somebody asks), `tag` or `tags` (texts), `latitude` and `longitude` (degrees, WGS 84). An undecoded payload,
and everything else that a codec writes, says only that the sensor is alive: no alarm is guessed from bytes.
"""

from __future__ import annotations

from alerthub.domain.device_events import (
    MAXIMUM_IDENTIFIERS,
    CallKind,
    DeviceEvent,
    ObservationKind,
    Place,
    ReadIdentifier,
    payload_digest,
)
from alerthub.domain.identifiers import MAXIMUM_LENGTH, IdentifierKind
from services.gateway.adapters.fields import Fields
from services.gateway.adapters.reading import event_id, identifier

_CALLS = {
    "panic": CallKind.PANIC,
    "escort": CallKind.ESCORT_REQUEST,
    "service": CallKind.SERVICE_REQUEST,
}


def events(
    decoded: Fields, *, time_ms: int, own_id: tuple[str, ...], body: bytes, place: Place | None = None
) -> list[DeviceEvent]:
    """The call; else the tags, at most eight an event; else a heartbeat, with the sensor's `place` if it said
    one."""
    where = place_of(decoded) or place
    call = next((kind for name, kind in _CALLS.items() if decoded.says_yes(name)), None)
    tags = () if call else _tags(decoded)
    groups = [tags[at : at + MAXIMUM_IDENTIFIERS] for at in range(0, len(tags), MAXIMUM_IDENTIFIERS)] or [()]
    kind = ObservationKind.IDENTIFIER_READ if tags else ObservationKind.HEARTBEAT
    return [
        DeviceEvent(
            kind=ObservationKind.PRESENCE if call else kind,
            device_time_ms=time_ms,
            event_id=event_id(*own_id, *([str(number)] if number else []), identifiers=group),
            payload_digest=payload_digest(body, str(number).encode()),
            identifiers=group,
            call=call,
            place=where,
        )
        for number, group in enumerate(groups)
    ]


def place_of(said: Fields) -> Place | None:
    """Where `latitude` and `longitude` are; None without both, and where one is exactly 0, which receivers
    say without a fix."""
    latitude = said.number("latitude", minimum=-90, maximum=90)
    longitude = said.number("longitude", minimum=-180, maximum=180)
    return Place(latitude, longitude) if latitude and longitude else None


def _tags(decoded: Fields) -> tuple[ReadIdentifier, ...]:
    written = [
        *decoded.texts("tag", maximum=MAXIMUM_LENGTH),
        *decoded.texts("tags", maximum=MAXIMUM_LENGTH),
    ]
    return tuple(read for one in dict.fromkeys(written) for read in identifier(IdentifierKind.TAG, one))
