"""What other plate readers send, with invented content: Dahua, GA/T 1400, Plate Recognizer, Frigate."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime

from alerthub.simulator.shapes import CHINA, Payload, PlateRead, multipart

_VIEW_LIBRARY_COLOURS = {"black": "1", "white": "2", "grey": "3", "red": "4", "blue": "5"}


def dahua_junction(read: PlateRead, picture: bytes) -> Payload:
    """A Dahua snapshot: a part of `Events[0]...` lines, and the picture. `UTC` holds local time, as in many
    firmwares."""
    seconds, milliseconds = divmod(read.time_ms, 1000)
    text = _JUNCTION.format(
        group=read.event_id,
        lane=read.lane,
        confidence=round(read.confidence * 2.55),
        plate=read.plate,
        direction="Approach" if read.direction == "forward" else "Leave",
        colour=read.colour.capitalize(),
        local=seconds + 8 * 3_600,
        utc=seconds,
        milliseconds=milliseconds,
    )
    parts = [
        ('name="info"', "text/plain", text.replace("\n", "\r\n").encode()),
        ('name="pic"', "image/jpeg", picture),
    ]
    return multipart("multipart/x-mixed-replace", parts)


def dahua_parking(*, plate: str, track: str, time_ms: int, event_id: str, left: bool = False) -> Payload:
    """A Dahua parking event in JSON: the vehicle `track` (`object-NUMBER`) stands, or has left."""
    seconds, milliseconds = divmod(time_ms, 1000)
    event = {
        "Code": "ParkingDetection",
        "Action": "Stop" if left else "Start",
        "Index": 0,
        "Data": {
            "GroupID": event_id,
            "IndexInGroup": 1,
            "CountInGroup": 1,
            "Lane": 1,
            "Object": {"Action": "Appear", "Confidence": 230, "ObjectType": "Plate", "Text": plate},
            "TrafficCar": {"PlateNumber": plate, "PlateColor": "Blue", "VehicleColor": "White"},
            "Vehicle": {"ObjectID": int(track.removeprefix("object-")), "ObjectType": "Vehicle"},
            "RealUTC": seconds,
            "UTC": seconds + 8 * 3_600,
            "UTCMS": milliseconds,
        },
    }
    return Payload("application/json", json.dumps(event, ensure_ascii=False).encode())


def view_library(read: PlateRead, picture: bytes) -> Payload:
    """A motor vehicle of a GA/T 1400 view library, its time in China's, its picture in it."""
    taken = datetime.fromtimestamp(read.time_ms / 1000, CHINA)
    vehicle = {
        "MotorVehicleID": read.event_id,
        "InfoKind": "1",
        "TollgateID": "13000000001210000001",
        "LaneNo": str(read.lane),
        "HasPlate": "1",
        "PlateClass": "02",
        "PlateColor": "5",
        "PlateNo": read.plate,
        "PlateReliability": str(read.confidence),
        "VehicleColor": _VIEW_LIBRARY_COLOURS.get(read.colour, "2"),
        "PassTime": f"{taken:%Y%m%d%H%M%S}{taken.microsecond // 1000:03d}",
        "SubImageList": {
            "SubImageInfoObject": [
                {
                    "ImageID": "1",
                    "Type": "14",
                    "FileFormat": "Jpeg",
                    "Data": base64.b64encode(picture).decode(),
                }
            ]
        },
    }
    body = {"MotorVehicleListObject": {"MotorVehicleObject": [vehicle]}}
    return Payload("application/VIID+JSON;charset=UTF-8", json.dumps(body, ensure_ascii=False).encode())


def plate_recognizer(read: PlateRead, picture: bytes) -> Payload:
    """A webhook of Plate Recognizer Stream: a form with JSON, where plates are in small letters, and the
    picture."""
    taken = datetime.fromtimestamp(read.time_ms / 1000, UTC)
    name = f"camera_screenshots/{read.event_id}.jpg"
    hook = {
        "hook": {
            "target": "https://192.0.2.1/hook",
            "id": "camera",
            "event": "recognition",
            "filename": name,
        },
        "data": {
            "camera_id": "camera",
            "filename": name,
            "timestamp": taken.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "results": [
                {
                    "plate": read.plate.lower(),
                    "region": {"code": "cn", "score": 0.7},
                    "score": read.confidence / 100,
                    "dscore": 0.8,
                    "vehicle": {"score": 0.8, "type": "Sedan"},
                    "direction": "",
                }
            ],
        },
    }
    parts = [
        ('name="json"', "application/json", json.dumps(hook, ensure_ascii=False).encode()),
        ('name="upload"; filename="scene.jpg"', "image/jpeg", picture),
    ]
    return multipart("multipart/form-data", parts)


def frigate_update(read: PlateRead) -> Payload:
    """Frigate's `tracked_object_update` of a plate, by MQTT: without a picture."""
    update = {
        "type": "lpr",
        "id": f"{read.time_ms / 1000:.3f}-{read.event_id}",
        "plate": read.plate,
        "score": read.confidence / 100,
        "camera": "camera",
        "timestamp": read.time_ms / 1000,
    }
    return Payload(
        "application/json", json.dumps(update, ensure_ascii=False).encode(), topic="tracked_object_update"
    )


_JUNCTION = """Events[0].CommInfo.Country=CHN
Events[0].CountInGroup=1
Events[0].EventBaseInfo.Action=Pulse
Events[0].EventBaseInfo.Code=TrafficJunction
Events[0].EventBaseInfo.Index=0
Events[0].GroupID={group}
Events[0].IndexInGroup=1
Events[0].Lane={lane}
Events[0].Object.Action=Appear
Events[0].Object.Confidence={confidence}
Events[0].Object.ObjectType=Plate
Events[0].Object.Text={plate}
Events[0].TrafficCar.DrivingDirection[0]={direction}
Events[0].TrafficCar.Lane={lane}
Events[0].TrafficCar.PlateColor=Blue
Events[0].TrafficCar.PlateNumber={plate}
Events[0].TrafficCar.VehicleColor={colour}
Events[0].UTC={local}
Events[0].RealUTC={utc}
Events[0].UTCMS={milliseconds}
"""
