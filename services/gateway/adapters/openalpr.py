"""OpenALPR (Rekor Scout): `alpr_group` and `alpr_results` are reads; `alpr_alert` and `heartbeat` are not.

The agent posts a group for each vehicle whether its own list knows the plate or not, so an alert tells
nothing more, and its list is not the hub's: only what the watchlist holds raises an alert here. The vehicle's
signature is a feature vector and is not taken; the direction is an angle in the picture, neither is it.
"""

from __future__ import annotations

from collections.abc import Iterable

from alerthub.domain.device_events import LATEST_TIME_MS, DeviceEvent, ObservationKind, payload_digest
from alerthub.domain.errors import Refuse
from services.gateway.adapters import pictures
from services.gateway.adapters.fields import Fields, required
from services.gateway.adapters.reading import (
    AdapterContext,
    UnsupportedContent,
    content_type,
    event_id,
    json_value,
    plate,
    word,
)

_PICTURES = ("overview_jpeg", "vehicle_crop_jpeg")
"""The one that shows most of the place comes first."""


def parse(content_type_value: str, body: bytes, context: AdapterContext) -> list[DeviceEvent]:
    """The reads of one post; a heartbeat where it holds none."""
    kind = content_type(content_type_value)
    if kind.media_type != "application/json":
        raise UnsupportedContent("content-type", "application/json")
    posted = required(json_value(body, "body", kind.charset), "a result of OpenALPR")
    data_type = posted.text("data_type")
    if not data_type:
        raise Refuse("data_type", "alpr_group, alpr_results, alpr_alert or heartbeat")
    events: list[DeviceEvent] = []
    if data_type == "alpr_group":
        events = [_group(posted, body)]
    elif data_type == "alpr_results":
        events = [
            _result(posted, one, str(position), body) for position, one in enumerate(posted.each("results"))
        ]
    if events:
        return events
    time_ms = _time_ms(posted, "epoch_time", "timestamp", "epoch_start")
    return [DeviceEvent(ObservationKind.HEARTBEAT, time_ms, payload_digest=payload_digest(body))]


def _group(group: Fields, body: bytes) -> DeviceEvent:
    found = plate(group.text("best_plate_number") or group.inside("best_plate").text("plate"))
    picture = next((kept for name in _PICTURES if (kept := pictures.from_base64(group.base64(name)))), b"")
    crop = pictures.from_base64(group.inside("best_plate").base64("plate_crop_jpeg"))
    return DeviceEvent(
        # A parked vehicle is told again and again; without a plate nothing knows it again.
        kind=ObservationKind.VEHICLE_STANDING
        if group.says_yes("is_parked") and found
        else ObservationKind.IDENTIFIER_READ,
        device_time_ms=_time_ms(group, "epoch_end", "epoch_start"),
        event_id=event_id(group.text("best_uuid", maximum=120), identifiers=found),
        payload_digest=payload_digest(body),
        identifiers=found,
        read_confidence=group.number("best_confidence", maximum=100) / 100,
        picture=picture or crop,
        make=_likeliest(group.inside("vehicle").each("make")),
        colour=_likeliest(group.inside("vehicle").each("color")),
    )


def _result(posted: Fields, result: Fields, position: str, body: bytes) -> DeviceEvent:
    found = plate(result.text("plate"))
    return DeviceEvent(
        kind=ObservationKind.IDENTIFIER_READ,
        device_time_ms=_time_ms(posted, "epoch_time"),
        event_id=event_id(posted.text("uuid", maximum=120), position, identifiers=found),
        payload_digest=payload_digest(body, position.encode()),
        identifiers=found,
        read_confidence=result.number("confidence", maximum=100) / 100,
    )


def _likeliest(guesses: Iterable[Fields]) -> str:
    best = max(guesses, key=lambda guess: guess.number("confidence", maximum=100), default=Fields(None))
    return word(best.text("name"))


def _time_ms(posted: Fields, *names: str) -> int:
    for name in names:
        if milliseconds := posted.whole(name, maximum=LATEST_TIME_MS):
            return milliseconds
    return 0
