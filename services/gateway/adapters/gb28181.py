"""GB/T 28181: alarms and mobile positions as a SIP platform hands them on (MANSCDP, in XML).

The text is GB 2312 by the standard, in practice its supersets and UTF-8. Times are China's. The 20 digits of
`DeviceID` are not read as an identity: a credential is one device (S3).
"""

from __future__ import annotations

from alerthub.domain.device_events import DeviceEvent, ObservationKind, Place, payload_digest
from alerthub.domain.errors import Refuse
from services.gateway.adapters import xml
from services.gateway.adapters.reading import (
    AdapterContext,
    UnsupportedContent,
    content_type,
    event_id,
    number_or_zero,
    time_ms_or_zero,
)

_TYPES = frozenset({"application/manscdp+xml", "application/xml", "text/xml"})
_ROOTS = frozenset({"Notify", "Response"})
_BY_VIDEO = "5"
"""AlarmMethod: alarms of video analysis (GB/T 28181-2016, A.2.5)."""
_KINDS = {
    "2": ObservationKind.PRESENCE,
    "5": ObservationKind.LINE_CROSSED,
    "6": ObservationKind.PRESENCE,
    "7": ObservationKind.PRESENCE,
    "8": ObservationKind.PRESENCE,
    "12": ObservationKind.PRESENCE,
}
"""AlarmType of these by what it means here: a moving target, a line, intrusion, the wrong way, loitering, a
fast target. Objects left and taken, counts, density and picture faults are none of the hub's kinds."""
_LEFT = "2"
"""EventType of an intrusion: left the area."""
_CHINA = "+08:00"


def parse(content_type_value: str, body: bytes, context: AdapterContext) -> list[DeviceEvent]:
    """The one event of a message."""
    kind = content_type(content_type_value)
    if kind.media_type not in _TYPES:
        raise UnsupportedContent("content-type", "application/MANSCDP+xml or application/xml")
    root, values = xml.read(xml.decode(body, kind.charset))
    command = values.get("CmdType", "")
    if root not in _ROOTS or not command:
        raise Refuse("CmdType", "a MANSCDP Notify")
    what = command.lower()
    moment = _time_ms(values.get("AlarmTime") or values.get("Time", ""))
    return [
        DeviceEvent(
            kind=_alarm(values) if what == "alarm" else ObservationKind.HEARTBEAT,
            device_time_ms=moment,
            event_id=event_id(
                command, values.get("DeviceID", ""), values.get("SN", ""), str(moment) if moment else ""
            ),
            payload_digest=payload_digest(body),
            place=_place(values) if what == "mobileposition" else None,
        )
    ]


def _alarm(values: dict[str, str]) -> ObservationKind:
    alarm_type = values.get("Info/AlarmType") or values.get("AlarmType", "")
    if values.get("AlarmMethod") != _BY_VIDEO or values.get("Info/AlarmTypeParam/EventType") == _LEFT:
        return ObservationKind.HEARTBEAT
    return _KINDS.get(alarm_type, ObservationKind.HEARTBEAT)


def _place(values: dict[str, str]) -> Place | None:
    """Where the device is; None without both, and where one is exactly 0, which receivers say without a
    fix."""
    latitude = number_or_zero(values.get("Latitude", ""), minimum=-90, maximum=90)
    longitude = number_or_zero(values.get("Longitude", ""), minimum=-180, maximum=180)
    return Place(latitude, longitude) if latitude and longitude else None


def _time_ms(written: str) -> int:
    # Zones are not written; a few devices write one all the same.
    return time_ms_or_zero(written + _CHINA) or time_ms_or_zero(written)
