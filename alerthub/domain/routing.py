"""Which unit is asked: the nearest of the right kind, on shift in the jurisdiction; and why (C18)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from alerthub.domain import reasons
from alerthub.domain.reasons import Reason
from alerthub.domain.texts import LocalizedText

POSITION_MAXIMUM_AGE_MS = 120_000
"""An older position says nothing about where a driving unit is: it counts as being at its station (C18)."""

_EARTH_RADIUS_METRES = 6_371_008.8
"""The mean radius of the earth (IUGG)."""

_TIE_METRES = 10
"""Positions are not more exact than this: units nearer together than it are equally near."""


@dataclass(frozen=True, slots=True)
class Place:
    """Degrees, WGS 84."""

    latitude: float
    longitude: float


@dataclass(frozen=True, slots=True)
class ShiftTime:
    """From (included) until (excluded), milliseconds since 1970; `officers` by account."""

    from_ms: int
    until_ms: int
    officers: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class RoutableUnit:
    """`serves`: the jurisdictions in which it may be sent."""

    unit_id: str
    kind: str
    serves: frozenset[str]
    station: Place
    shifts: tuple[ShiftTime, ...]

    def shift_at(self, now_ms: int) -> ShiftTime | None:
        return next((shift for shift in self.shifts if shift.from_ms <= now_ms < shift.until_ms), None)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A unit that may be asked, and the shift that it is on."""

    unit: RoutableUnit
    shift: ShiftTime


@dataclass(frozen=True, slots=True)
class ReportedPosition:
    """Where a terminal of the unit said that it was, and when."""

    place: Place
    time_ms: int


@dataclass(frozen=True, slots=True)
class Workload:
    """How many alerts the unit has in hand or is asked to take, and how many it was given this shift."""

    live: int = 0
    this_shift: int = 0


@dataclass(frozen=True, slots=True)
class Route:
    """The unit to ask, and why this one, for the card."""

    unit_id: str
    reasons: tuple[LocalizedText, ...]


def distance_metres(one: Place, other: Place) -> float:
    """The great-circle distance (haversine formula)."""
    one_latitude, other_latitude = math.radians(one.latitude), math.radians(other.latitude)
    half_latitude = (other_latitude - one_latitude) / 2
    half_longitude = math.radians(other.longitude - one.longitude) / 2
    chord = (
        math.sin(half_latitude) ** 2
        + math.cos(one_latitude) * math.cos(other_latitude) * math.sin(half_longitude) ** 2
    )
    return 2 * _EARTH_RADIUS_METRES * math.asin(min(1.0, math.sqrt(chord)))


def candidates(
    units: Iterable[RoutableUnit], *, kind: str, jurisdiction: str, excluded: frozenset[str], now_ms: int
) -> tuple[Candidate, ...]:
    """The units that may be asked: of this kind (empty: any), serving this jurisdiction (empty: any), on
    shift, and not asked before."""
    found = []
    for unit in units:
        if kind and unit.kind != kind:
            continue
        if jurisdiction and jurisdiction not in unit.serves:
            continue
        if unit.unit_id in excluded:
            continue
        shift = unit.shift_at(now_ms)
        if shift is not None:
            found.append(Candidate(unit, shift))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Ranked:
    """A unit that may be asked, in its place of the order. `metres`: from the alert, None where the alert has
    no place; `reported`: None where the unit counts as being at its station."""

    unit: RoutableUnit
    metres: float | None
    reported: ReportedPosition | None
    load: Workload

    def reasons(self, now_ms: int) -> tuple[LocalizedText, ...]:
        """Why it has this place."""
        if self.metres is None:
            away = Reason.NO_PLACE.value
        elif self.reported is not None:
            away = reasons.away_by_position(self.metres, max(0, now_ms - self.reported.time_ms))
        else:
            away = reasons.away_by_station(self.metres, POSITION_MAXIMUM_AGE_MS)
        return (away, reasons.in_hand(self.load.live), reasons.given_this_shift(self.load.this_shift))


def rank(
    available: Iterable[Candidate],
    *,
    place: Place | None,
    positions: Mapping[str, ReportedPosition],
    workloads: Mapping[str, Workload],
    now_ms: int,
) -> tuple[Ranked, ...]:
    """Nearest free unit first, then the busy ones, nearest first; between equally near ones the one with
    fewest alerts this shift."""
    found = []
    for candidate in available:
        unit = candidate.unit
        reported = positions.get(unit.unit_id)
        fresh = reported is not None and now_ms - reported.time_ms <= POSITION_MAXIMUM_AGE_MS
        at = reported.place if reported is not None and fresh else unit.station
        metres = distance_metres(at, place) if place is not None else None
        load = workloads.get(unit.unit_id, Workload())
        found.append(Ranked(unit, metres, reported if fresh else None, load))
    found.sort(
        key=lambda each: (
            each.load.live > 0,
            round((each.metres or 0.0) / _TIE_METRES),
            each.load.this_shift,
            each.unit.unit_id,
        )
    )
    return tuple(found)


def choose(
    available: Iterable[Candidate],
    *,
    place: Place | None,
    positions: Mapping[str, ReportedPosition],
    workloads: Mapping[str, Workload],
    now_ms: int,
) -> Route | None:
    """The first of those that may be asked. None: nobody fits."""
    ranked = rank(available, place=place, positions=positions, workloads=workloads, now_ms=now_ms)
    if not ranked:
        return None
    first = ranked[0]
    why = [reasons.nearest_fits(first.unit.kind), *first.reasons(now_ms)]
    if first.load.live:
        why.append(Reason.NONE_FREE.value)
    if len(ranked) > 1:
        second = ranked[1]
        why.append(
            reasons.before(
                second.unit.unit_id,
                metres=second.metres or 0.0,
                busy=second.load.live > 0,
                this_shift=second.load.this_shift,
            )
        )
    return Route(first.unit.unit_id, tuple(why))
