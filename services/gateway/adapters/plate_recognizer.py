"""Plate Recognizer, Stream and Snapshot: webhooks as JSON, or as a form with `json` and the picture `upload`.

Plates come in small letters, a plate or a vehicle's property alone or with its score, by the version. The
direction is an angle in the picture, which says nothing of where the camera looks, and is not taken.
"""

from __future__ import annotations

from alerthub.domain.device_events import DeviceEvent, ObservationKind, payload_digest
from alerthub.domain.errors import Refuse
from services.gateway.adapters import multipart, pictures
from services.gateway.adapters.fields import Fields, required
from services.gateway.adapters.reading import (
    AdapterContext,
    UnsupportedContent,
    content_type,
    event_id,
    json_value,
    plate,
    time_ms_or_zero,
    word,
)

_READS = frozenset({"recognition", "image.done"})
"""Every other event (`camera.status`, `heartbeat`, ...) says only that the camera is alive."""
_STREAM = "recognition"
_PICTURED = 8
"""Vehicles of one picture that get it as evidence: it is stored for each of them."""


def parse(content_type_value: str, body: bytes, context: AdapterContext) -> list[DeviceEvent]:
    """One event for each vehicle in the picture; a heartbeat where there is none."""
    kind = content_type(content_type_value)
    picture = b""
    if kind.media_type.startswith("multipart/"):
        parts = multipart.split(body, kind.boundary)
        forms = [part for part in parts if "json" in part.names]
        if not forms:
            raise Refuse("json", "a part of the form with the webhook's JSON")
        body, kind = forms[0].content, content_type(f"application/json; charset={forms[0].charset}")
        picture = pictures.chosen([part for part in parts if "upload" in part.names])
    elif kind.media_type != "application/json":
        raise UnsupportedContent("content-type", "application/json or multipart/form-data")
    webhook = required(json_value(body, "json", kind.charset), "a webhook of Plate Recognizer")
    hook, data = webhook.inside("hook"), webhook.inside("data")
    happened = hook.text("event")
    if not happened:
        raise Refuse("hook.event", "the name of the event, such as recognition")
    time_ms = time_ms_or_zero(data.text("timestamp", "timestamp_local"))
    results = data.each("results") if happened in _READS else []
    if not results:
        return [DeviceEvent(ObservationKind.HEARTBEAT, time_ms, payload_digest=payload_digest(body))]
    return [
        _read(
            result,
            time_ms=time_ms,
            # Snapshot names a picture as its sender does, who may use a name again.
            filename=data.text("filename", maximum=120) if happened == _STREAM else "",
            position=str(position),
            body=body,
            picture=picture if position < _PICTURED else b"",
        )
        for position, result in enumerate(results)
    ]


def _read(
    result: Fields, *, time_ms: int, filename: str, position: str, body: bytes, picture: bytes
) -> DeviceEvent:
    vehicle = result.inside("vehicle", "props")
    properties = vehicle if vehicle else result
    found = plate(result.text("plate") or _best(result.inside("plate", "props"), "plate").text("value"))
    return DeviceEvent(
        kind=ObservationKind.IDENTIFIER_READ,
        device_time_ms=time_ms,
        event_id=event_id(filename, position, identifiers=found),
        payload_digest=payload_digest(body, position.encode()),
        identifiers=found,
        read_confidence=_confidence(result),
        picture=picture,
        make=word(_best(properties, "model_make").text("make")),
        colour=word(_best(properties, "color").text("color", "value")),
    )


def _confidence(result: Fields) -> float:
    if result.has("score"):
        return result.number("score", maximum=1)
    return _best(result.inside("plate", "props"), "plate").number("score", maximum=1)


def _best(fields: Fields, name: str) -> Fields:
    """The first of a list of guesses, which come best first."""
    return next(iter(fields.each(name)), Fields(None))
