"""A simulated city: its streets, and the devices that watch them. The same seed gives the same city. Pure.

`scale` counts towns. A town is four districts of four by four crossings; its last district is a village whose
cameras have no check authorisation.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from enum import Enum

from alerthub.simulator.chance import chance_of
from alerthub.simulator.streets import Streets, grid

_SIDE = 4
"""Crossings along a district's side."""
DISTRICTS_A_TOWN = 4
_CAMERAS_A_DISTRICT = 10
MAXIMUM_SCALE = 400
"""About the reference city: 21,100 devices."""
DWELL_SECONDS = 240
"""In a no-parking bay."""
GAP_SECONDS = 60
LATENESS_SECONDS = 60
MINIMUM_CONFIDENCE = 0.6


class Make(Enum):
    """What a device is, by the adapter that takes what it sends."""

    HIKVISION = "hikvision-anpr"
    DAHUA = "dahua"
    VIEW_LIBRARY = "ga-t-1400"
    PLATE_RECOGNIZER = "plate-recognizer"
    FRIGATE = "frigate"
    BEHIND_EDGE = "grpc"
    BAY_SENSOR = "cloudevents"
    BAY_CAMERA = "hikvision-events"
    RADIO_BUTTON = "chirpstack"
    HOME_BUTTON = "zigbee2mqtt"


class Way(Enum):
    """How it reaches the gateway."""

    HTTPS = "https"
    MQTT = "mqtt"
    STREAM = "grpc stream"


class Job(Enum):
    """What it is there for."""

    CAMERA = "camera"
    BAY = "bay"
    BUTTON = "button"


_CAMERA_MAKES = (
    (Make.HIKVISION, 5),
    (Make.BEHIND_EDGE, 5),
    (Make.DAHUA, 3),
    (Make.VIEW_LIBRARY, 3),
    (Make.PLATE_RECOGNIZER, 2),
    (Make.FRIGATE, 2),
)
_WHOLE_SECONDS = frozenset({Make.BAY_CAMERA})
_CLOCK_ERRORS_MS = (0, 0, 0, 0, 1_700, -4_200, 90_000, -8 * 3_600_000, 8 * 3_600_000, 3 * 365 * 86_400_000)
"""Most clocks are set; some are minutes off, in another time zone, or years ahead, as real ones are."""


@dataclass(frozen=True, slots=True)
class Device:
    """One device. `town` numbers the edge server that speaks for it, if one does."""

    device_id: str
    make: Make
    job: Job
    crossing: int
    district: str
    town: int
    authorised: bool
    clock_error_ms: int
    whole_seconds: bool

    @property
    def way(self) -> Way:
        if self.make is Make.BEHIND_EDGE:
            return Way.STREAM
        return Way.MQTT if self.make in (Make.FRIGATE, Make.HOME_BUTTON) else Way.HTTPS

    @property
    def zone_id(self) -> str:
        """Of a bay."""
        return f"{self.device_id}-zone" if self.job is Job.BAY else ""

    def says_ms(self, time_ms: int) -> int:
        """What its clock says at a moment, milliseconds since 1970."""
        told = time_ms + self.clock_error_ms
        return told // 1000 * 1000 if self.whole_seconds else told


@dataclass(frozen=True, slots=True)
class Times:
    """What the rules that are registered for the city allow, in seconds that the hub measures."""

    dwell_seconds: int
    gap_seconds: int
    lateness_seconds: int

    @classmethod
    def at_speed(cls, speed: float) -> Times:
        """At a city's speed of 1: the four minutes of a no-parking bay, and what rules allow by default."""
        return cls(*(max(1, round(each / speed)) for each in (DWELL_SECONDS, GAP_SECONDS, LATENESS_SECONDS)))


@dataclass(frozen=True, slots=True)
class City:
    """Streets and devices. `towns`: each one's crossings; `villages`: those of its village among them."""

    streets: Streets
    districts: tuple[str, ...]
    devices: tuple[Device, ...]
    towns: tuple[tuple[int, ...], ...]
    villages: tuple[tuple[int, ...], ...]

    def of(self, job: Job) -> tuple[Device, ...]:
        return tuple(device for device in self.devices if device.job is job)

    def edge_id(self, town: int) -> str:
        """The edge server that speaks for a town's cameras behind it."""
        return f"sim-edge-{town}"


def make_city(*, seed: int, scale: int) -> City:
    """The city of `scale` towns, as near to a square as they go."""
    across = math.ceil(math.sqrt(scale))
    up = math.ceil(scale / across)
    columns = across * 2 * _SIDE
    streets = grid(columns, up * 2 * _SIDE, seed=seed)
    devices: list[Device] = []
    districts: list[str] = []
    towns: list[tuple[int, ...]] = []
    villages: list[tuple[int, ...]] = []
    for town in range(scale):
        here: list[int] = []
        for part in range(DISTRICTS_A_TOWN):
            district = f"sim-district-{town}-{part}"
            districts.append(district)
            west = town % across * 2 * _SIDE + part % 2 * _SIDE
            south = town // across * 2 * _SIDE + part // 2 * _SIDE
            crossings = [
                (south + row) * columns + west + column for row in range(_SIDE) for column in range(_SIDE)
            ]
            here += crossings
            village = part == DISTRICTS_A_TOWN - 1
            if village:
                villages.append(tuple(crossings))
            devices += _devices(chance_of(seed, district), district, town, crossings, village=village)
        towns.append(tuple(here))
    return City(streets, tuple(districts), tuple(devices), tuple(towns), tuple(villages))


def _devices(
    chance: random.Random, district: str, town: int, crossings: list[int], *, village: bool
) -> list[Device]:
    places = chance.sample(crossings, _CAMERAS_A_DISTRICT)
    names, weights = zip(*_CAMERA_MAKES, strict=True)
    # Each make is there once, whatever chance says.
    makes = list(names) + chance.choices(names, weights, k=_CAMERAS_A_DISTRICT - len(names))
    wanted = [(make, Job.CAMERA, place) for make, place in zip(makes, places, strict=True)]
    if not village:
        free = [crossing for crossing in crossings if crossing not in places]
        bays = (Make.BAY_SENSOR, Make.BAY_CAMERA, Make.DAHUA)
        wanted += [(make, Job.BAY, chance.choice(free)) for make in bays]
        wanted += [(make, Job.BUTTON, chance.choice(free)) for make in (Make.RADIO_BUTTON, Make.HOME_BUTTON)]
    prefix = district.removeprefix("sim-district-")
    return [
        Device(
            device_id=f"sim-{job.value}-{prefix}-{number}",
            make=make,
            job=job,
            crossing=place,
            district=district,
            town=town,
            authorised=not village,
            clock_error_ms=chance.choice(_CLOCK_ERRORS_MS),
            whole_seconds=make in _WHOLE_SECONDS or chance.random() < 0.1,
        )
        for number, (make, job, place) in enumerate(wanted)
    ]
