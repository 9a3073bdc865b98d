"""GA/T 1400 view libraries (公安视频图像信息应用系统): motor vehicles as JSON; keep-alives and registrations.

Only the vehicle is taken. Objects of faces, persons and non-motor vehicles say that somebody was there, once
for a post, and nothing else of them is kept; pictures of drivers, persons and faces are passed over by their
type (refusal 1). Times are written without a zone and mean China's.
"""

from __future__ import annotations

from datetime import timedelta, timezone

from alerthub.domain.device_events import MAXIMUM_LANE, DeviceEvent, ObservationKind, payload_digest
from alerthub.domain.errors import Refuse
from services.gateway.adapters import pictures
from services.gateway.adapters.fields import Fields, required
from services.gateway.adapters.reading import (
    AdapterContext,
    UnsupportedContent,
    compact_time_ms,
    content_type,
    event_id,
    json_value,
    plate,
    time_ms_or_zero,
)

_TYPES = frozenset({"application/json", "application/viid+json"})
_CHINA = timezone(timedelta(hours=8))
_VEHICLES = "MotorVehicleListObject"
_BODIES = ("FaceListObject", "PersonListObject", "NonMotorVehicleListObject")
_ALIVE = ("KeepaliveObject", "RegisterObject", "UnRegisterObject")
_PICTURE_TYPES = ("14", "01", "08", "07", "09", "02")
"""Scene, vehicle, passage, offence, vehicle close up, plate. Never 04 and 05 (faces of drivers), 10 (a
person) and 11 (a face)."""
_COLOURS = {
    "1": "black",
    "2": "white",
    "3": "grey",
    "4": "red",
    "5": "blue",
    "6": "yellow",
    "7": "orange",
    "8": "brown",
    "9": "green",
    "10": "purple",
    "11": "cyan",
    "12": "pink",
}
"""ColorType of GA/T 1400.3."""


def parse(content_type_value: str, body: bytes, context: AdapterContext) -> list[DeviceEvent]:
    """One event for each motor vehicle; one for a post that holds none."""
    kind = content_type(content_type_value)
    if kind.media_type not in _TYPES:
        raise UnsupportedContent("content-type", "application/json or application/VIID+JSON")
    posted = required(json_value(body, "body", kind.charset), "an object of GA/T 1400")
    vehicles = posted.inside(_VEHICLES).each("MotorVehicleObject")
    if vehicles:
        return [
            _vehicle(one, payload_digest(body, str(place).encode())) for place, one in enumerate(vehicles)
        ]
    if any(posted.has(name) for name in _BODIES):
        return [DeviceEvent(ObservationKind.PRESENCE, 0, payload_digest=payload_digest(body))]
    if any(posted.has(name) for name in _ALIVE):
        return [DeviceEvent(ObservationKind.HEARTBEAT, 0, payload_digest=payload_digest(body))]
    raise Refuse(_VEHICLES, "one motor vehicle or more, or a KeepaliveObject")


def _vehicle(vehicle: Fields, digest: bytes) -> DeviceEvent:
    found = plate(vehicle.text("PlateNo"))
    return DeviceEvent(
        kind=ObservationKind.IDENTIFIER_READ,
        device_time_ms=_time_ms(vehicle.text("PassTime", "AppearTime", "MarkTime")),
        event_id=event_id(vehicle.text("MotorVehicleID"), identifiers=found),
        payload_digest=digest,
        identifiers=found,
        read_confidence=vehicle.number("PlateReliability", maximum=100) / 100,
        lane=vehicle.whole("LaneNo", maximum=MAXIMUM_LANE),
        picture=_picture(vehicle),
        colour=_COLOURS.get(vehicle.text("VehicleColor"), ""),
        plate_colour=_COLOURS.get(vehicle.text("PlateColor"), ""),
    )


def _time_ms(value: str) -> int:
    return compact_time_ms(value, zone=_CHINA) or time_ms_or_zero(value)


def _picture(vehicle: Fields) -> bytes:
    shown = {
        one.text("Type").zfill(2): one.base64("Data")
        for one in vehicle.inside("SubImageList").each("SubImageInfoObject")
    }
    return next((kept for name in _PICTURE_TYPES if (kept := pictures.from_base64(shown.get(name, "")))), b"")
