"""A happening as its device tells it: the make's own shape, with the time of the device's own clock."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cache

from alerthub.api.v1.common_pb2 import IDENTIFIER_KIND_PLATE
from alerthub.api.v1.ingest_pb2 import DeviceEvent, ReadIdentifier
from alerthub.api.v1.observation_pb2 import (
    DIRECTION_APPROACHING,
    DIRECTION_DEPARTING,
    OBSERVATION_KIND_HEARTBEAT,
    OBSERVATION_KIND_IDENTIFIER_READ,
)
from alerthub.simulator import shapes_others, shapes_plates
from alerthub.simulator.chance import chance_of
from alerthub.simulator.city import Device, Make
from alerthub.simulator.happenings import Happening, Kind
from alerthub.simulator.jpeg import street
from alerthub.simulator.shapes import Payload, PlateRead, hikvision_anpr, standing_vehicle

_PICTURES = 32


@dataclass(frozen=True, slots=True)
class Teller:
    """Makes messages of one run. `run` is its name in event ids, `begins_ms` its beginning since 1970."""

    run: str
    begins_ms: int

    def device_time_ms(self, happening: Happening, device: Device) -> int:
        """When it happened, by the device's clock."""
        return device.says_ms(self.begins_ms + happening.seen_ms)

    def payload(self, happening: Happening, device: Device) -> Payload:
        """For HTTP, and for MQTT where it has a topic."""
        time_ms = self.device_time_ms(happening, device)
        event_id = f"{self.run}-{happening.number}"
        match happening.kind:
            case Kind.READ:
                return _plate(self._read(happening, time_ms, event_id), device.make, happening.number)
            case Kind.HEARTBEAT:
                return shapes_others.heartbeat(device.make, time_ms=time_ms, number=happening.number)
            case Kind.PANIC if device.make is Make.HOME_BUTTON:
                return shapes_others.zigbee_panic(time_ms=time_ms)
            case Kind.PANIC:
                return shapes_others.chirpstack_panic(time_ms=time_ms, event_id=event_id)
        # Sensors number what they follow; runs must not meet each other's vehicles.
        track = f"object-{self.begins_ms // 1000 % 10**9 + int(happening.track.rpartition('-')[2])}"
        left = happening.kind is Kind.LEFT
        if device.make is Make.BAY_CAMERA:
            return shapes_others.hikvision_parking(time_ms=time_ms, count=happening.number, left=left)
        if device.make is Make.DAHUA:
            return shapes_plates.dahua_parking(
                plate=happening.plate, track=track, time_ms=time_ms, event_id=event_id, left=left
            )
        return standing_vehicle(device.device_id, track=track, time_ms=time_ms, event_id=event_id, left=left)

    def event(self, happening: Happening, device: Device) -> DeviceEvent:
        """For an edge server's stream: plate reads and heartbeats."""
        event = DeviceEvent(
            device_id=device.device_id,
            event_id=f"{self.run}-{happening.number}",
            kind=OBSERVATION_KIND_HEARTBEAT,
            device_time_ms=self.device_time_ms(happening, device),
        )
        if happening.kind is Kind.READ:
            event.kind = OBSERVATION_KIND_IDENTIFIER_READ
            event.identifiers.append(ReadIdentifier(kind=IDENTIFIER_KIND_PLATE, text=happening.plate))
            event.read_confidence = happening.confidence
            event.direction = DIRECTION_APPROACHING if happening.approaching else DIRECTION_DEPARTING
            event.lane = happening.lane
            event.colour = happening.colour
            event.picture = _picture(happening.number % _PICTURES)
        return event

    @staticmethod
    def _read(happening: Happening, time_ms: int, event_id: str) -> PlateRead:
        return PlateRead(
            plate=happening.plate,
            time_ms=time_ms,
            event_id=event_id,
            confidence=round(happening.confidence * 100),
            lane=happening.lane,
            direction="forward" if happening.approaching else "reverse",
            colour=happening.colour,
        )


def _plate(read: PlateRead, make: Make, number: int) -> Payload:
    picture = _picture(number % _PICTURES)
    match make:
        case Make.DAHUA:
            return shapes_plates.dahua_junction(read, picture)
        case Make.VIEW_LIBRARY:
            return shapes_plates.view_library(read, picture)
        case Make.PLATE_RECOGNIZER:
            return shapes_plates.plate_recognizer(read, picture)
        case Make.FRIGATE:
            return shapes_plates.frigate_update(read)
        case _:
            return hikvision_anpr(read, picture)


@cache
def _picture(number: int) -> bytes:
    """One of a few: which picture it is says nothing, and drawing one costs more than sending it."""
    chance: random.Random = chance_of("picture", number)
    return street(chance)
