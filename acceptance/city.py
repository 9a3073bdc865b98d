"""A random city: districts, devices, units, and which plates are listed how. Everything is invented."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from enum import Enum

DISTRICTS = 12
DEVICES = 50
TERMINALS = 20
PARKING_SENSORS = 8
WITHOUT_AUTHORISATION = 2
URL_TOKEN_DEVICES = 2
VEHICLE_CATEGORY = "stolen_vehicle"
PERSON_CATEGORY = "wanted_person_vehicle"
DWELL_SECONDS = 20
DWELL_RULE = "accept-no-parking"
HIT_RULE = "accept-hit"
LATENESS_SECONDS = 900
"""Longer than any outage of the run, so that what devices send again is never late: late is an hour."""


class DeviceKind(Enum):
    """What a device of the city does."""

    CAMERA = "camera"
    PARKING_SENSOR = "parking-sensor"
    UNAUTHORISED_CAMERA = "unauthorised-camera"
    URL_TOKEN_CAMERA = "url-token-camera"  # noqa: S105 - the kind of a device


class Listing(Enum):
    """How a plate is listed, and so what must become of its reads."""

    STAYS = "stays"
    """A stolen vehicle: goes out at once, is accepted, stays on its unit's screen."""
    FINISHES = "finishes"
    """The same, and its unit records an outcome: leaves the screen."""
    WITHDRAWN = "withdrawn"
    """The same, and the entry is withdrawn after the last read: leaves every screen."""
    PERSON_CONFIRMED = "person-confirmed"
    """A person's vehicle: goes out once an operator confirmed it, and stays."""
    PERSON_UNCONFIRMED = "person-unconfirmed"
    """Nobody confirms it: must never be on a screen."""
    UNAPPROVED = "unapproved"
    """Entered and never approved: must never be anything."""
    EXPIRED = "expired"
    """Its validity ends before the first read."""
    UNAUTHORISED = "unauthorised"
    """Listed, but read only by devices without a check authorisation."""
    URL_TOKEN = "url-token"  # noqa: S105 - a way of being listed
    """A stolen vehicle, read only by devices whose class may not send at once: waits for confirmation."""


COUNTS = {
    Listing.STAYS: 30,
    Listing.FINISHES: 12,
    Listing.WITHDRAWN: 8,
    Listing.PERSON_CONFIRMED: 10,
    Listing.PERSON_UNCONFIRMED: 5,
    Listing.UNAPPROVED: 5,
    Listing.EXPIRED: 3,
    Listing.UNAUTHORISED: 4,
    Listing.URL_TOKEN: 3,
}
ON_SCREEN = frozenset({Listing.STAYS, Listing.PERSON_CONFIRMED})
"""What the screens must hold at the end, beside vehicles that stood too long."""
HITS = frozenset(
    {
        Listing.STAYS,
        Listing.FINISHES,
        Listing.WITHDRAWN,
        Listing.PERSON_CONFIRMED,
        Listing.PERSON_UNCONFIRMED,
        Listing.URL_TOKEN,
    }
)
"""Whose reads match."""
PERSONS = frozenset({Listing.PERSON_CONFIRMED, Listing.PERSON_UNCONFIRMED})


@dataclass(frozen=True)
class Device:
    """One device, in one district."""

    device_id: str
    kind: DeviceKind
    district: str
    latitude: float
    longitude: float


@dataclass
class ListedPlate:
    """One entry of the watchlist; `entry_id` is known once it was entered."""

    plate: str
    listing: Listing
    district: str
    entry_id: str = ""


@dataclass
class City:
    """Everything that the run begins with."""

    devices: list[Device]
    plates: list[ListedPlate]
    units: list[str] = field(default_factory=lambda: [f"accept-unit-{n:02d}" for n in range(TERMINALS)])

    def of_kind(self, kind: DeviceKind, district: str | None = None) -> list[Device]:
        """The devices of a kind, in one district or in all."""
        return [
            each
            for each in self.devices
            if each.kind is kind and (district is None or each.district == district)
        ]


def random_plate(chance: random.Random) -> str:
    """A plate of the mainland's form. Letters and digits that look alike are left out, so that no two of them
    differ only by a confusion."""
    letters, digits = "ACEFGHJKLMNPRTUVWXY", "34679"
    province = chance.choice("京津冀晋鲁豫")
    return province + chance.choice("ABCDEFR") + "".join(chance.choice(letters + digits) for _ in range(5))


def random_city(chance: random.Random) -> City:
    """A city from a random source: the same seed gives the same city."""
    districts = [f"accept-district-{number:02d}" for number in range(DISTRICTS)]
    kinds = (
        [DeviceKind.PARKING_SENSOR] * PARKING_SENSORS
        + [DeviceKind.UNAUTHORISED_CAMERA] * WITHOUT_AUTHORISATION
        + [DeviceKind.URL_TOKEN_CAMERA] * URL_TOKEN_DEVICES
    )
    kinds += [DeviceKind.CAMERA] * (DEVICES - len(kinds))
    # Cameras last, and districts in turn: every district has several.
    devices = [
        Device(
            device_id=f"accept-{kind.value}-{number:02d}",
            kind=kind,
            district=districts[number % DISTRICTS],
            latitude=round(39.5 + chance.uniform(-0.1, 0.1), 5),
            longitude=round(116.7 + chance.uniform(-0.1, 0.1), 5),
        )
        for number, kind in enumerate(kinds)
    ]
    used: set[str] = set()
    plates = []
    for listing, count in COUNTS.items():
        for _ in range(count):
            plate = random_plate(chance)
            while plate in used:
                plate = random_plate(chance)
            used.add(plate)
            plates.append(ListedPlate(plate, listing, chance.choice(districts)))
    return City(devices, plates)
