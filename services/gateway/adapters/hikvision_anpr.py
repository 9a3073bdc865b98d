"""Hikvision cameras (ISAPI EventNotificationAlert): plate reads, and the smart events of the same camera.

Faces, drivers and their features are passed over: nothing of them enters an event (refusal 1).
"""

from __future__ import annotations

from alerthub.domain.device_events import MAXIMUM_LANE, DeviceEvent, Direction, ObservationKind
from services.gateway.adapters.hikvision_events import PLATE_READS, smart_event
from services.gateway.adapters.isapi import Document, documents
from services.gateway.adapters.reading import AdapterContext, bounded_events, number_or_zero, plate, word

_DIRECTIONS = {"forward": Direction.APPROACHING, "reverse": Direction.DEPARTING}


def parse(content_type_value: str, body: bytes, context: AdapterContext) -> list[DeviceEvent]:
    """The events of one post: one for each XML document in it."""
    return bounded_events(
        [
            _read(document) if document.event_type in PLATE_READS else smart_event(document)
            for document in documents(content_type_value, body)
        ]
    )


def _read(document: Document) -> DeviceEvent:
    values = document.values
    return DeviceEvent(
        kind=ObservationKind.IDENTIFIER_READ,
        device_time_ms=document.time_ms,
        event_id=document.own_id,
        payload_digest=document.digest,
        # A read without a plate still tells that a vehicle passed.
        identifiers=plate(values.get("ANPR/licensePlate", "")),
        read_confidence=number_or_zero(values.get("ANPR/confidenceLevel", ""), maximum=100) / 100,
        direction=_DIRECTIONS.get(values.get("ANPR/direction", "").lower(), Direction.UNSPECIFIED),
        lane=int(number_or_zero(values.get("ANPR/line", ""), maximum=MAXIMUM_LANE)),
        picture=document.picture(),
        colour=word(values.get("ANPR/vehicleInfo/color", "")),
        plate_colour=word(values.get("ANPR/plateColor", "")),
    )
