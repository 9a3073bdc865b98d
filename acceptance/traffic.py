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
    DWELL_RULE,
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
    attempts: int = 0

    @property
    def adapter(self) -> str:
        """The gateway's adapter for it."""
        return "cloudevents" if self.track else "hikvision-anpr"

    def build(self, now: float) -> None:
        """Makes the body, once: what is sent again is the same."""
        if self.body:
            return
        taken = datetime.fromtimestamp(
            now - (AN_HOUR_SECONDS if self.expected is Expected.LATE else 0), _CHINA
        )
        time = taken.isoformat(timespec="milliseconds")
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
class Truth:
    """What must be so at the end."""

    on_screen: dict[str, int]
    """Fold key (`entry:ID` or `rule:ID:SUBJECT`) to the number of its sightings."""
    sightings: dict[str, int]
    """The same for every alert that must exist, on a screen or not."""
    possibly_more: dict[str, int]
    """Late reads of the same, each of which may be a sighting."""
    counts: dict[str, int]
    """Events by what the hub must make of them."""
    distinct: int

    def as_json(self) -> str:
        """For the record."""
        return json.dumps(vars(self), indent=1, sort_keys=True)


@dataclass
class Traffic:
    """The run's events in their order."""

    events: list[Event]
    long_stays: list[str]
    """Fold keys of vehicles that stand long enough."""

    def truth(self, city: City) -> Truth:
        """What follows from the events and the listings; entries must have their ids."""
        key_of = {plate.plate: f"entry:{plate.entry_id}" for plate in city.plates}
        sightings: Counter[str] = Counter(self.long_stays)
        possibly_more: Counter[str] = Counter()
        for event in self.events:
            if event.plate in key_of and event.expected is Expected.MATCHED:
                sightings[key_of[event.plate]] += 1
            if event.plate in key_of and event.expected is Expected.LATE:
                possibly_more[key_of[event.plate]] += 1
        staying = {f"entry:{plate.entry_id}" for plate in city.plates if plate.listing in ON_SCREEN}
        staying.update(self.long_stays)
        return Truth(
            on_screen={key: sightings[key] for key in sorted(staying)},
            sightings=dict(sightings),
            possibly_more=dict(possibly_more),
            counts={each.value: sum(event.expected is each for event in self.events) for each in Expected},
            distinct=len(self.events),
        )


def make_traffic(city: City, chance: random.Random, *, duration: int, rate: int) -> Traffic:
    """The events of `duration` seconds at `rate` a second."""
    events: list[Event] = []
    for plate in city.plates:
        events += _reads(city, plate, chance, duration)
    standing, long_stays = _standing(city, chance, duration)
    events += standing
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
    return Traffic(events, long_stays)


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


def _standing(city: City, chance: random.Random, duration: int) -> tuple[list[Event], list[str]]:
    """Vehicles in no-parking bays: half of them stand longer than the rule allows, half clearly shorter."""
    events: list[Event] = []
    long_stays = []
    for sensor in city.of_kind(DeviceKind.PARKING_SENSOR):
        second = chance.uniform(1, 10)
        number = 0
        while True:
            too_long = chance.random() < 0.5
            steps = DWELL_SECONDS // STANDING_EVERY_SECONDS
            steps += chance.randint(2, 5) if too_long else -chance.randint(1, 3)
            if second + steps * STANDING_EVERY_SECONDS > duration - QUIET_END_SECONDS:
                break
            track = f"t{number}"
            if too_long:
                long_stays.append(f"rule:{DWELL_RULE}:track:{sensor.device_id}:{track}")
            # The rule fires on one event of a long stay: that one is matched, the others are forgotten.
            fires = steps if too_long else -1
            for step in range(steps + 1):
                expected = Expected.MATCHED if step == fires else Expected.FORGOTTEN
                at = second + step * STANDING_EVERY_SECONDS
                events.append(Event(at, sensor, expected, track=track))
            second += (steps + 1) * STANDING_EVERY_SECONDS + chance.uniform(2, 20)
            number += 1
    return events, long_stays


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
