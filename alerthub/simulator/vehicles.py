"""Where vehicles are when: trips from crossing to crossing, stops between them, rush hours. Pure.

Times are milliseconds since the run's beginning. `speed` is how much faster than in reality the city's time
passes: everything that takes time in it is divided by it.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from alerthub.simulator.streets import Streets, route

DAY_MINUTES = 24 * 60
_SLOWEST, FASTEST = 7.0, 15.0
"""Metres a second, through a city."""
_AT_A_CROSSING_MS = 2_000
_PAUSE_MS = 120_000
"""Between two trips at an intensity of 1, on average: what is seen of a city is who is under way."""
_RUSH = ((8 * 60, 55.0), (18 * 60, 70.0))
"""Minute of the day, and how wide the rush is, in minutes."""


@dataclass(frozen=True, slots=True)
class Hours:
    """What time it is in the city: `begin_minute` of the day at the run's beginning."""

    begin_minute: float
    speed: float

    def minute(self, at_ms: float) -> float:
        return (self.begin_minute + at_ms * self.speed / 60_000) % DAY_MINUTES


def intensity(minute: float) -> float:
    """How much traffic there is at a minute of the day: 0.2 at night, above 1 in the two rush hours."""
    day = 0.5 / (1 + math.exp(-(minute - 6 * 60) / 25)) / (1 + math.exp((minute - 22 * 60) / 25))
    return 0.2 + day + sum(math.exp(-(((minute - at) / width) ** 2)) for at, width in _RUSH)


@dataclass(frozen=True, slots=True)
class Presence:
    """A vehicle is at a crossing from `from_ms` to `until_ms`; between two presences it drives."""

    place: int
    from_ms: int
    until_ms: int


def itinerary(
    streets: Streets,
    chance: random.Random,
    *,
    hours: Hours,
    until_ms: int,
    within: Sequence[int],
) -> Iterator[Presence]:
    """One vehicle's day from the run's beginning until it would arrive after `until_ms`.

    Presences follow each other in time, at crossings of `within` that are neighbours.
    """
    allowed = frozenset(within)
    metres_a_second = chance.uniform(_SLOWEST, FASTEST)
    here = chance.choice(within)
    # Whoever drives at the beginning set off before it.
    waits = chance.uniform(0, _pause_ms(chance, hours, 0))
    yield Presence(here, 0, round(waits))
    at_ms = waits
    while at_ms < until_ms:
        way = route(streets, here, chance.choice(within), within=allowed)
        for place, following in itertools.pairwise(way):
            at_ms += streets.metres(place, following) / metres_a_second * 1_000 / hours.speed
            stands_ms = _AT_A_CROSSING_MS * chance.uniform(0.2, 2.0) / hours.speed
            if following == way[-1]:
                stands_ms = _pause_ms(chance, hours, at_ms)
            if at_ms >= until_ms:
                return
            yield Presence(following, round(at_ms), round(at_ms + stands_ms))
            at_ms += stands_ms
        here = way[-1]
        if len(way) < 2:
            at_ms += _pause_ms(chance, hours, at_ms) + 1


def _pause_ms(chance: random.Random, hours: Hours, at_ms: float) -> float:
    return chance.expovariate(1.0) * _PAUSE_MS / intensity(hours.minute(at_ms)) / hours.speed
