"""Everything that happens in a run, with its moment, decided before it begins. Pure.

The same seed and figures give the same happenings. Times are milliseconds since the run's beginning.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from alerthub.simulator.bays import stays
from alerthub.simulator.cast import Eye, Listed, Where, make_cast
from alerthub.simulator.chance import chance_of
from alerthub.simulator.city import City, Device, Job, Make, Times, make_city
from alerthub.simulator.happenings import Happening, Kind
from alerthub.simulator.plates import confused, looks_like, misread, random_plate
from alerthub.simulator.vehicles import Hours, Presence, itinerary

MAXIMUM_HAPPENINGS = 2_000_000
"""All of a run is held in memory: about 400 bytes each."""
_HEARTBEAT_MS = 30_000
_HEARTBEAT_SHARE = 0.1
"""Of the rate, at most."""
_TALKATIVE_MS = 1_000
_SILENT_FROM = 0.5
"""Of the run: by then the hub knows the clock of the camera that goes silent."""
_SILENT_LATENESS = 1.5
"""How many times the allowed lateness it is silent."""
_MEMORY = 10
"""Reads that a camera without network keeps; it is full then."""
_DEAD_FROM = 0.7
_PRESSES = 2
_COPIES_SHARE = 0.02


@dataclass(frozen=True, slots=True)
class Figures:
    """What a run is asked for. `rate`: observations a second, on average; `speed`: of the city's time."""

    seed: int
    scale: int
    rate: float
    duration_seconds: int
    speed: float = 1.0
    begin_minute: float = 7.5 * 60

    @property
    def duration_ms(self) -> int:
        return self.duration_seconds * 1_000


@dataclass(frozen=True, slots=True)
class Scenario:
    """A run before it begins. `vehicles`: how many drive."""

    figures: Figures
    city: City
    times: Times
    cast: tuple[Listed, ...]
    happenings: tuple[Happening, ...]
    vehicles: int


def make_scenario(figures: Figures) -> Scenario:
    """The run of these figures, in a city and with a cast of their own."""
    city = make_city(seed=figures.seed, scale=figures.scale)
    cast = make_cast(seed=figures.seed, towns=len(city.towns))
    return scenario_in(city, cast, Times.at_speed(figures.speed), figures)


def scenario_in(city: City, cast: tuple[Listed, ...], times: Times, figures: Figures) -> Scenario:
    """The run of these figures in a city that there is, with vehicles that are listed."""
    maker = _Maker(figures, city, times, cast)
    told = [*maker.of_bays(), *maker.of_buttons(), *maker.of_cast(), *maker.heartbeats()]
    wanted = min(MAXIMUM_HAPPENINGS, round(figures.rate * figures.duration_seconds))
    vehicles = 0
    for reads in maker.of_traffic():
        if len(told) >= wanted:
            break
        told += reads
        vehicles += 1
    failed = maker.after_failures(told)
    ordered = sorted(failed, key=lambda each: (each.send_ms, each.device_id, each.seen_ms, each.plate))
    numbered = tuple(replace(each, number=number) for number, each in enumerate(ordered, start=1))
    return Scenario(figures, city, times, cast, numbered, vehicles + len(cast))


class _Maker:
    """Makes happenings, each kind with chances of its own."""

    def __init__(self, figures: Figures, city: City, times: Times, cast: Sequence[Listed]) -> None:
        self._figures = figures
        self._city = city
        self._times = times
        self._cast = cast
        self._hours = Hours(figures.begin_minute, figures.speed)
        self._camera_at = {device.crossing: device for device in city.of(Job.CAMERA)}
        self._looks = {looks_like(each) for listed in cast for each in (listed.plate, listed.drives)}
        self._silent: dict[str, tuple[int, int]] = {}
        self._dead: dict[str, int] = {}
        self._silent_by_town: dict[int, Device] = {}
        self._choose_failures()

    def _choose_failures(self) -> None:
        until_ms = self._figures.duration_ms
        from_ms = round(until_ms * _SILENT_FROM)
        back_ms = from_ms + round(self._times.lateness_seconds * 1_000 * _SILENT_LATENESS) + 1_000
        for town in range(len(self._city.towns)):
            cameras = [
                device
                for device in self._city.of(Job.CAMERA)
                if device.town == town and device.authorised and device.make is Make.HIKVISION
            ]
            silent, dead = cameras[0], cameras[1]
            if back_ms < until_ms - 2_000:
                self._silent[silent.device_id] = (from_ms, back_ms)
                self._silent_by_town[town] = silent
            self._dead[dead.device_id] = round(until_ms * _DEAD_FROM)

    def of_bays(self) -> Iterator[Happening]:
        for bay in self._city.of(Job.BAY):
            chance = chance_of(self._figures.seed, bay.device_id, "stays")
            yield from stays(bay, chance, times=self._times, until_ms=self._figures.duration_ms)

    def of_buttons(self) -> Iterator[Happening]:
        for button in self._city.of(Job.BUTTON):
            chance = chance_of(self._figures.seed, button.device_id, "presses")
            for _ in range(chance.randint(0, _PRESSES)):
                at_ms = round(chance.uniform(0.1, 0.9) * self._figures.duration_ms)
                copies = 2 if chance.random() < 0.2 else 1
                yield Happening(button.device_id, Kind.PANIC, at_ms, at_ms + 200, copies=copies)

    def of_cast(self) -> Iterator[Happening]:
        towns = self._city.towns
        for listed in self._cast:
            chance = chance_of(self._figures.seed, "listed", listed.number)
            town = listed.number * len(towns) // max(1, len(self._cast))
            if listed.role.where is Where.SILENT_CAMERA:
                presences: Iterable[Presence] = self._past_silent_camera(town, chance)
            else:
                village = listed.role.where is Where.VILLAGE
                within = self._city.villages[town] if village else towns[town]
                presences = self._drive(chance, within)
            yield from self._reads(presences, listed.drives, chance, listed.role.eye)

    def of_traffic(self) -> Iterator[list[Happening]]:
        """What is read of one vehicle after the other, without end."""
        towns = self._city.towns
        for number in itertools.count():
            chance = chance_of(self._figures.seed, "vehicle", number)
            plate = random_plate(chance)
            if looks_like(plate) in self._looks:
                continue
            yield list(self._reads(self._drive(chance, chance.choice(towns)), plate, chance, Eye.ORDINARY))

    def heartbeats(self) -> Iterator[Happening]:
        cameras = self._city.of(Job.CAMERA)
        most = max(0.01, self._figures.rate * _HEARTBEAT_SHARE)
        ordinary_ms = max(_HEARTBEAT_MS / self._figures.speed, len(cameras) / most * 1_000)
        for camera in cameras:
            chance = chance_of(self._figures.seed, camera.device_id, "heartbeats")
            every_ms = _TALKATIVE_MS if camera.device_id in self._silent else ordinary_ms
            at_ms = chance.uniform(0, every_ms)
            while at_ms < self._figures.duration_ms:
                yield Happening(camera.device_id, Kind.HEARTBEAT, round(at_ms), round(at_ms) + 50)
                at_ms += every_ms

    def after_failures(self, told: Iterable[Happening]) -> Iterator[Happening]:
        """Without what failed devices never told; what silent ones kept comes when they are back."""
        kept = dict.fromkeys(self._silent, 0)
        for each in sorted(told, key=lambda each: (each.seen_ms, each.plate)):
            if each.seen_ms >= self._dead.get(each.device_id, each.seen_ms + 1):
                continue
            from_ms, back_ms = self._silent.get(each.device_id, (0, 0))
            if not from_ms <= each.seen_ms < back_ms:
                yield each
            elif each.kind is Kind.READ and kept[each.device_id] < _MEMORY:
                kept[each.device_id] += 1
                yield replace(each, send_ms=back_ms + 20 * kept[each.device_id])

    def _drive(self, chance: random.Random, within: Sequence[int]) -> Iterator[Presence]:
        return itinerary(
            self._city.streets, chance, hours=self._hours, until_ms=self._figures.duration_ms, within=within
        )

    def _past_silent_camera(self, town: int, chance: random.Random) -> list[Presence]:
        camera = self._silent_by_town.get(town)
        if camera is None:
            return []
        from_ms, _ = self._silent[camera.device_id]
        at_ms = from_ms + chance.randint(1, 300)
        return [Presence(camera.crossing, at_ms, at_ms + 1_000)]

    def _reads(
        self, presences: Iterable[Presence], plate: str, chance: random.Random, eye: Eye
    ) -> Iterator[Happening]:
        for presence in presences:
            camera = self._camera_at.get(presence.place)
            if camera is None or presence.from_ms == 0:
                continue
            text, confidence = _read_of(plate, chance, eye)
            yield Happening(
                camera.device_id,
                Kind.READ,
                seen_ms=presence.from_ms,
                send_ms=presence.from_ms + round(chance.uniform(20, 400)),
                plate=text,
                confidence=confidence,
                lane=chance.randint(1, 3),
                colour=chance.choice(("white", "black", "grey", "red", "blue")),
                approaching=chance.random() < 0.5,
                copies=2 if chance.random() < _COPIES_SHARE else 1,
            )


def _read_of(plate: str, chance: random.Random, eye: Eye) -> tuple[str, float]:
    """What a recogniser makes of a plate, and how sure it is."""
    sure, doubtful, luck = chance.uniform(0.8, 0.99), chance.uniform(0.3, 0.5), chance.random()
    match eye:
        case Eye.CONFUSED:
            return confused(plate, chance), round(sure, 2)
        case Eye.DOUBTFUL:
            return plate, round(doubtful, 2)
        case Eye.ORDINARY if luck < 0.03:
            return confused(plate, chance), round(sure, 2)
        case Eye.ORDINARY if luck < 0.04:
            return misread(plate, chance), round(sure, 2)
        case Eye.ORDINARY if luck < 0.05:
            return plate, round(doubtful, 2)
        case _:
            return plate, round(sure, 2)
