"""What real devices send, with invented content: Hikvision plate reads and CloudEvents of parking sensors."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from xml.sax.saxutils import escape

CHINA = timezone(timedelta(hours=8))
_BOUNDARY = "---------------------------7e13971310878"


@dataclass(frozen=True, slots=True)
class PlateRead:
    """One read of a camera. `event_id` is the camera's own id: a repeat of it is the same event."""

    plate: str
    time_ms: int
    event_id: str
    confidence: int = 96
    """0 to 100, as the camera says it."""
    lane: int = 1
    direction: str = "forward"
    colour: str = "white"
    plate_colour: str = "blue"


@dataclass(frozen=True, slots=True)
class Payload:
    """What a device sends at once. By MQTT, `topic` names the levels below `DEVICE/ADAPTER/`."""

    content_type: str
    body: bytes
    topic: str = ""


def new_event_id() -> str:
    """An event id of the form that devices use."""
    return str(uuid.uuid4())


def hikvision_anpr(read: PlateRead, picture: bytes) -> Payload:
    """A Hikvision ANPR push: an XML part `anpr.xml` and a JPEG part, as `multipart/form-data`."""
    taken = datetime.fromtimestamp(read.time_ms / 1000, CHINA)
    xml = _ANPR.format(
        date=taken.isoformat(timespec="milliseconds"),
        absolute=f"{taken:%Y%m%d%H%M%S}{taken.microsecond // 1000:03d}",
        plate=escape(read.plate),
        lane=read.lane,
        direction=read.direction,
        confidence=read.confidence,
        plate_colour=read.plate_colour,
        colour=read.colour,
        event_id=escape(read.event_id),
    ).encode()
    parts = [
        ('name="anpr.xml";filename="anpr.xml"', 'application/xml; charset="UTF-8"', xml),
        ('name="detectionPicture.jpg";filename="detectionPicture.jpg"', "image/jpeg", picture),
    ]
    return multipart("multipart/form-data", parts)


def multipart(media_type: str, parts: Sequence[tuple[str, str, bytes]]) -> Payload:
    """A body of parts: what follows `form-data;`, the content type, the content."""
    body = b"".join(
        f"--{_BOUNDARY}\r\nContent-Disposition: form-data; {disposition}\r\nContent-Type: {kind}\r\n"
        f"Content-Length: {len(content)}\r\n\r\n".encode()
        + content
        + b"\r\n"
        for disposition, kind, content in parts
    )
    return Payload(f"{media_type}; boundary={_BOUNDARY}", body + f"--{_BOUNDARY}--\r\n".encode())


def standing_vehicle(
    device_id: str, *, track: str, time_ms: int, event_id: str, left: bool = False
) -> Payload:
    """A parking sensor's CloudEvent: a vehicle without a readable plate stands in the sensor's zone, or has
    left."""
    taken = datetime.fromtimestamp(time_ms / 1000, CHINA)
    event = {
        "specversion": "1.0",
        "type": "alerthub.vehicle.left" if left else "alerthub.vehicle.standing",
        "source": f"/devices/{device_id}",
        "id": event_id,
        "time": taken.isoformat(timespec="milliseconds"),
        "datacontenttype": "application/json",
        "data": {"track": track, "confidence": 0.9},
    }
    return Payload("application/cloudevents+json", json.dumps(event).encode())


_ANPR = """<?xml version="1.0" encoding="utf-8"?>
<EventNotificationAlert version="2.0" xmlns="http://www.isapi.org/ver20/XMLSchema">
<ipAddress>192.0.2.10</ipAddress>
<portNo>443</portNo>
<protocol>HTTPS</protocol>
<macAddress>02:00:00:00:00:01</macAddress>
<channelID>1</channelID>
<dateTime>{date}</dateTime>
<activePostCount>1</activePostCount>
<eventType>ANPR</eventType>
<eventState>active</eventState>
<eventDescription>ANPR</eventDescription>
<channelName>IP CAPTURE CAMERA</channelName>
<ANPR>
<country>59</country>
<licensePlate>{plate}</licensePlate>
<line>{lane}</line>
<direction>{direction}</direction>
<confidenceLevel>{confidence}</confidenceLevel>
<plateType>92TypeCivil</plateType>
<plateColor>{plate_colour}</plateColor>
<vehicleType>vehicle</vehicleType>
<detectDir>2</detectDir>
<detectType>3</detectType>
<vehicleInfo>
<index>1</index>
<vehicleType>1</vehicleType>
<colorDepth>0</colorDepth>
<color>{colour}</color>
<speed>0</speed>
</vehicleInfo>
<pictureInfoList>
<pictureInfo>
<fileName>detectionPicture.jpg</fileName>
<type>detectionPicture</type>
<dataType>0</dataType>
<absTime>{absolute}</absTime>
</pictureInfo>
</pictureInfoList>
</ANPR>
<UUID>{event_id}</UUID>
<picNum>1</picNum>
</EventNotificationAlert>
"""
