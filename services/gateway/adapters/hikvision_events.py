"""Hikvision smart events (ISAPI EventNotificationAlert): line crossing, intrusion, parking, and heartbeats.

Takes no plates: a camera that reads plates is set up with `hikvision-anpr`, which takes these events too.
What a face event holds is passed over: nothing of it enters an event (refusal 1). Neither is what the camera
takes a target for (`human`, `vehicle`) kept.
"""

from __future__ import annotations

from alerthub.domain.device_events import DeviceEvent, ObservationKind
from alerthub.domain.errors import Refuse
from services.gateway.adapters.isapi import Document, documents
from services.gateway.adapters.reading import AdapterContext, number_or_zero

PLATE_READS = frozenset({"anpr", "vehicledetection"})
"""Event types that tell a plate."""

_KINDS = {
    "linedetection": ObservationKind.LINE_CROSSED,
    "fielddetection": ObservationKind.PRESENCE,
    "regionentrance": ObservationKind.PRESENCE,
    "loitering": ObservationKind.PRESENCE,
    "pir": ObservationKind.PRESENCE,
    "vmd": ObservationKind.PRESENCE,
    "parking": ObservationKind.VEHICLE_STANDING,
    "parkingdetection": ObservationKind.VEHICLE_STANDING,
}
"""Event types by what they mean here. Every other one only says that the device is alive."""
_FACE = "face"
_MAXIMUM_REGION = 1_000


def parse(content_type_value: str, body: bytes, context: AdapterContext) -> list[DeviceEvent]:
    """The events of one post: one for each XML document in it."""
    found = documents(content_type_value, body)
    if any(document.event_type in PLATE_READS for document in found):
        raise Refuse("eventType", "a smart event; plates go to the adapter hikvision-anpr")
    return [smart_event(document) for document in found]


def smart_event(document: Document) -> DeviceEvent:
    """What one document says, if it is no plate read."""
    shows_face = _FACE in document.event_type
    kind = ObservationKind.PRESENCE if shows_face else _kind(document)
    stands = kind in (ObservationKind.VEHICLE_STANDING, ObservationKind.VEHICLE_LEFT)
    return DeviceEvent(
        kind=kind,
        device_time_ms=document.time_ms,
        event_id=document.own_id,
        payload_digest=document.digest,
        track_id=_region(document) if stands else "",
        picture=b"" if shows_face or kind is ObservationKind.HEARTBEAT else document.picture(),
    )


def _kind(document: Document) -> ObservationKind:
    kind = _KINDS.get(document.event_type, ObservationKind.HEARTBEAT)
    if not document.ended:
        return kind
    if kind is ObservationKind.VEHICLE_STANDING:
        return ObservationKind.VEHICLE_LEFT
    # The end of something else is no event of its own; that the device is alive is still known.
    return ObservationKind.HEARTBEAT


def _region(document: Document) -> str:
    """The bay that a vehicle stands in: these events tell no vehicle apart, and a bay holds one."""
    stated = document.values.get("DetectionRegionList/DetectionRegionEntry/regionID", "")
    return f"region-{int(number_or_zero(stated, maximum=_MAXIMUM_REGION))}"
