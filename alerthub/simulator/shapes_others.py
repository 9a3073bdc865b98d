"""What devices send beside plates, with invented content: smart events of bays, heartbeats, panic buttons."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from alerthub.simulator.city import Make
from alerthub.simulator.shapes import CHINA, Payload


def hikvision_parking(*, time_ms: int, count: int, left: bool) -> Payload:
    """A Hikvision smart event of the camera's region 1, a bay: a vehicle stands there, or has left."""
    return _smart_event("parking", "inactive" if left else "active", time_ms=time_ms, count=count)


def chirpstack_panic(*, time_ms: int, event_id: str) -> Payload:
    """A LoRaWAN panic button's uplink, as ChirpStack v4 posts it once its codec has decoded it."""
    uplink = {
        "deduplicationId": event_id,
        "time": _utc(time_ms),
        "deviceInfo": {
            "tenantName": "city",
            "applicationName": "Panic buttons",
            "devEui": "0202020202020202",
        },
        "devAddr": "00189440",
        "fCnt": 17,
        "fPort": 2,
        "data": "AQ==",
        "object": {"panic": True, "battery": 3.1},
    }
    return Payload("application/json", json.dumps(uplink).encode())


def zigbee_panic(*, time_ms: int) -> Payload:
    """A Zigbee panic button's state with its action, as Zigbee2MQTT publishes it."""
    state = {"action": "emergency", "battery": 91, "linkquality": 115, "last_seen": _utc(time_ms)}
    return Payload("application/json", json.dumps(state).encode(), topic="0x00158d0002b1609d")


def heartbeat(make: Make, *, time_ms: int, number: int) -> Payload:
    """What a device of this make says when nothing happens. Not all makes tell their time with it."""
    match make:
        case Make.DAHUA:
            seconds = time_ms // 1000
            text = f'Code=Heartbeat;action=Pulse;index=0;data={{"RealUTC": {seconds}}}\r\n'
            return Payload("text/plain", text.encode())
        case Make.VIEW_LIBRARY:
            alive = {"KeepaliveObject": {"DeviceID": f"{number:020d}"}}
            return Payload("application/VIID+JSON", json.dumps(alive).encode())
        case Make.PLATE_RECOGNIZER:
            status = {
                "hook": {"event": "camera.status"},
                "data": {"timestamp": _utc(time_ms), "number": number},
            }
            return Payload("application/json", json.dumps(status).encode())
        case Make.FRIGATE:
            return Payload("application/json", json.dumps({"uptime": number}).encode(), topic="stats")
        case _:
            return _smart_event("videoloss", "inactive", time_ms=time_ms, count=number)


def _smart_event(kind: str, state: str, *, time_ms: int, count: int) -> Payload:
    taken = datetime.fromtimestamp(time_ms / 1000, CHINA).isoformat(timespec="milliseconds")
    xml = f"""<?xml version="1.0" encoding="UTF-8"?>
<EventNotificationAlert version="2.0" xmlns="http://www.hikvision.com/ver20/XMLSchema">
<ipAddress>192.0.2.10</ipAddress>
<macAddress>02:00:00:00:00:01</macAddress>
<channelID>1</channelID>
<dateTime>{taken}</dateTime>
<activePostCount>{count}</activePostCount>
<eventType>{kind}</eventType>
<eventState>{state}</eventState>
<eventDescription>{kind} alarm</eventDescription>
<DetectionRegionList><DetectionRegionEntry><regionID>1</regionID></DetectionRegionEntry></DetectionRegionList>
</EventNotificationAlert>
"""
    return Payload("application/xml", xml.encode())


def _utc(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds")
