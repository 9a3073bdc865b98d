"""Every event of a run with its second, decided before the run, and the truth that follows from it.

What must come of it is worked out here from how each plate is listed, without any code of the hub's.
"""

from __future__ import annotations

import json
import random
import uuid
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from enum import Enum

from city import (
    DWELL_SECONDS,
    HITS,
    ON_SCREEN,
    City,
    Device,
    DeviceKind,
    ListedPlate,
    Listing,
    random_plate,
)

QUIET_END_SECONDS = 15
"""Before the end nothing that raises an alert is sent."""
AN_HOUR_SECONDS = 3_600
STANDING_EVERY_SECONDS = 4
WITHDRAWAL_SHARE = 0.4
"""Of the run: by then, entries that will be withdrawn have been read."""
_CHINA = timezone(timedelta(hours=8))
_BOUNDARY = "-----acceptance"
_JPEG = bytes.fromhex(
    "ffd8ffe000104a46494600010100000100010000ffdb004300"
    + "10" * 64
    + "ffc0000b080008000801011100ffc400140000000000080000000000000000000000000001020304050607"
    + "ffc40014100100000000000000000000000000000000ffda0008010100003f0003ffd9"
)
"""Eight by eight grey pixels."""


class Expected(Enum):
    """What the hub must make of an event."""

    FORGOTTEN = "forgotten"
    """Also an event of a standing vehicle: whether one of them makes the rule fire is the stay's to say."""
    MATCHED = "matched"
    DROPPED = "dropped"
    """Its identifier never leaves the gateway."""
    LATE = "late"
    """Too old to be a sighting; but one after all where a new gateway does not know the camera's clock yet,
    and so believes the time of receipt."""


@dataclass
class Event:
    """One thing that a device saw. `second` of the run; its time is fixed when it is sent first."""

    second: float
    device: Device
    expected: Expected
    plate: str = ""
    track: str = ""
    picture: bool = False
    copies: int = 1
    """Deliberate repeats: sent and acknowledged so often, with one event id."""
    event_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    body: bytes = b""
    content_type: str = ""
    acknowledged: int = 0
    taken_at: float = 0.0
    """When the device says that it saw it, seconds since 1970."""
    acknowledged_at: float = 0.0
    """When its first acknowledgement was there."""

    @property
    def adapter(self) -> str:
        """The gateway's adapter for it."""
        return "cloudevents" if self.track else "hikvision-anpr"

    def build(self, now: float) -> None:
        """Makes the body, once: what is sent again is the same."""
        if self.body:
            return
        self.taken_at = now - (AN_HOUR_SECONDS if self.expected is Expected.LATE else 0)
        time = datetime.fromtimestamp(self.taken_at, _CHINA).isoformat(timespec="milliseconds")
        if self.track:
            self.content_type = "application/cloudevents+json"
            event = {
                "specversion": "1.0",
                "type": "alerthub.vehicle.standing",
                "source": f"/sensors/{self.device.device_id}",
                "id": self.event_id,
                "time": time,
                "data": {"track": self.track},
            }
            self.body = json.dumps(event).encode()
            return
        self.content_type = f"multipart/form-data; boundary={_BOUNDARY}"
        xml = _ANPR.format(time=time, plate=self.plate, event_id=self.event_id).encode()
        parts = [("anpr.xml", "application/xml", xml)]
        if self.picture:
            parts.append(("detectionPicture.jpg", "image/jpeg", _JPEG))
        self.body = (
            b"".join(
                f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"; filename="{name}"\r\n'
                f"Content-Type: {kind}\r\nContent-Length: {len(content)}\r\n\r\n".encode()
                + content
                + b"\r\n"
                for name, kind, content in parts
            )
            + f"--{_BOUNDARY}--\r\n".encode()
        )


@dataclass
class Stay:
    """One vehicle in a no-parking bay. The rule fires on one of its events, or on none."""

    sensor: Device
    events: list[Event]

    def fires(self) -> bool | None:
        """Whether it stood too long; None: that depends on what the hub could know of the sensor's clock.

        The hub's time of an event is the sensor's where it has learnt the sensor's clock, else the time of
        receipt: so between the two. What a sensor could not send for a while may look longer or shorter.
        """
        first, last = self.events[0], self.events[-1]
        at_least = last.taken_at - first.acknowledged_at
        at_most = max(event.acknowledged_at for event in self.events) - first.taken_at
        if at_least >= DWELL_SECONDS:
            return True
        return None if at_most >= DWELL_SECONDS else False


@dataclass(frozen=True)
class Between:
    """A number that is known, or known to lie between two."""

    least: int
    most: int

    def __contains__(self, number: object) -> bool:
        return isinstance(number, int) and self.least <= number <= self.most

    def __str__(self) -> str:
        return str(self.least) if self.least == self.most else f"{self.least} to {self.most}"


@dataclass
class Truth:
    """What must be so at the end. Keys are `entry:ID`, and `stays:DEVICE` for all stays at one sensor."""

    on_screen: dict[str, Between]
    """How many alerts the screens hold together: one an entry, as many a sensor as stays were too long."""
    alerts: dict[str, Between]
    """The same of every alert that must exist, on a screen or not."""
    sightings: dict[str, Between]
    """Of an entry's alert."""
    matched: Between
    late: Between
    forgotten: Between
    dropped: int
    distinct: int

    def as_json(self) -> str:
        """For the record."""
        return json.dumps(vars(self), indent=1, sort_keys=True, default=str)


@dataclass
class Traffic:
    """The run's events in their order."""

    events: list[Event]
    stays: list[Stay]

    def truth(self, city: City) -> Truth:
        """What follows from events, listings and times of acknowledgement; entries must have their ids."""
        key_of = {plate.plate: f"entry:{plate.entry_id}" for plate in city.plates}
        on_time: Counter[str] = Counter()
        late: Counter[str] = Counter()
        for event in self.events:
            if event.plate in key_of and event.expected is Expected.MATCHED:
                on_time[key_of[event.plate]] += 1
            if event.plate in key_of and event.expected is Expected.LATE:
                late[key_of[event.plate]] += 1
        too_long = Counter(f"stays:{each.sensor.device_id}" for each in self.stays if each.fires())
        perhaps = Counter(f"stays:{each.sensor.device_id}" for each in self.stays if each.fires() is None)
        standing = {
            key: Between(too_long[key], too_long[key] + perhaps[key])
            for key in too_long.keys() | perhaps.keys()
        }
        staying = {f"entry:{plate.entry_id}" for plate in city.plates if plate.listing in ON_SCREEN}
        counts = Counter(event.expected for event in self.events)
        fired, unsure = too_long.total(), perhaps.total()
        return Truth(
            on_screen={key: Between(1, 1) for key in staying} | standing,
            alerts={key: Between(1, 1) for key in on_time} | standing,
            sightings={key: Between(count, count + late[key]) for key, count in on_time.items()},
            matched=Between(on_time.total() + fired, on_time.total() + late.total() + fired + unsure),
            late=Between(0, late.total()),
            forgotten=Between(
                counts[Expected.FORGOTTEN] - fired - unsure, counts[Expected.FORGOTTEN] - fired
            ),
            dropped=counts[Expected.DROPPED],
            distinct=len(self.events),
        )


def make_traffic(city: City, chance: random.Random, *, duration: int, rate: int) -> Traffic:
    """The events of `duration` seconds at `rate` a second."""
    events: list[Event] = []
    for plate in city.plates:
        events += _reads(city, plate, chance, duration)
    stays = _standing(city, chance, duration)
    events += [event for stay in stays for event in stay.events]
    cameras = city.of_kind(DeviceKind.CAMERA)
    unauthorised = city.of_kind(DeviceKind.UNAUTHORISED_CAMERA)
    listed = {plate.plate for plate in city.plates}
    while len(events) < duration * rate:
        plate_text = random_plate(chance)
        if plate_text in listed:
            continue
        dropped = chance.random() < 0.02
        events.append(
            Event(
                second=chance.uniform(0, duration),
                device=chance.choice(unauthorised if dropped else cameras),
                expected=Expected.DROPPED if dropped else Expected.FORGOTTEN,
                plate=plate_text,
                picture=chance.random() < 0.1,
                copies=2 if chance.random() < 0.01 else 1,
            )
        )
    events.sort(key=lambda event: event.second)
    return Traffic(events, stays)


def _reads(city: City, plate: ListedPlate, chance: random.Random, duration: int) -> list[Event]:
    """Reads of a listed plate: all at devices of its district, so that its alert begins in one place."""
    kind = {
        Listing.UNAUTHORISED: DeviceKind.UNAUTHORISED_CAMERA,
        Listing.URL_TOKEN: DeviceKind.URL_TOKEN_CAMERA,
    }.get(plate.listing, DeviceKind.CAMERA)
    devices = city.of_kind(kind, plate.district) or city.of_kind(kind)
    end = duration - QUIET_END_SECONDS
    if plate.listing is Listing.WITHDRAWN:
        end = int(duration * WITHDRAWAL_SHARE)
    expected = Expected.MATCHED if plate.listing in HITS else Expected.FORGOTTEN
    if plate.listing is Listing.UNAUTHORISED:
        expected = Expected.DROPPED

    def read(second: float, outcome: Expected) -> Event:
        copies = 2 if chance.random() < 0.1 else 1
        return Event(second, chance.choice(devices), outcome, plate.plate, picture=True, copies=copies)

    events = [read(chance.uniform(1, end), expected) for _ in range(chance.randint(2, 6))]
    if plate.listing is Listing.STAYS and chance.random() < 0.5:
        # Late ones only after the camera's clock is known.
        events.append(read(chance.uniform(min(30, end - 1), end), Expected.LATE))
    return events


def reads_after_withdrawal(city: City, chance: random.Random) -> list[Event]:
    """Once more each plate whose entry was withdrawn: now it is any plate."""
    return [
        Event(
            0.0, chance.choice(city.of_kind(DeviceKind.CAMERA)), Expected.FORGOTTEN, plate.plate, picture=True
        )
        for plate in city.plates
        if plate.listing is Listing.WITHDRAWN
    ]


def _standing(city: City, chance: random.Random, duration: int) -> list[Stay]:
    """Vehicles in no-parking bays: half of them stand longer than the rule allows, half clearly shorter."""
    stays = []
    for sensor in city.of_kind(DeviceKind.PARKING_SENSOR):
        second = chance.uniform(1, 10)
        number = 0
        while True:
            steps = DWELL_SECONDS // STANDING_EVERY_SECONDS
            steps += chance.randint(2, 5) if chance.random() < 0.5 else -chance.randint(2, 4)
            if second + steps * STANDING_EVERY_SECONDS > duration - QUIET_END_SECONDS:
                break
            times = [second + step * STANDING_EVERY_SECONDS for step in range(steps + 1)]
            events = [Event(at, sensor, Expected.FORGOTTEN, track=f"t{number}") for at in times]
            stays.append(Stay(sensor, events))
            second = times[-1] + STANDING_EVERY_SECONDS + chance.uniform(2, 20)
            number += 1
    return stays


_ANPR = """<?xml version="1.0" encoding="utf-8"?>
<EventNotificationAlert version="2.0" xmlns="http://www.isapi.org/ver20/XMLSchema">
<ipAddress>192.0.2.20</ipAddress>
<macAddress>02:00:00:00:00:01</macAddress>
<channelID>1</channelID>
<dateTime>{time}</dateTime>
<activePostCount>1</activePostCount>
<eventType>ANPR</eventType>
<eventState>active</eventState>
<ANPR>
<licensePlate>{plate}</licensePlate>
<line>1</line>
<direction>forward</direction>
<confidenceLevel>97</confidenceLevel>
<plateColor>blue</plateColor>
</ANPR>
<UUID>{event_id}</UUID>
</EventNotificationAlert>
"""
