"""The streets of a simulated city: crossings and what joins them. Pure."""

from __future__ import annotations

import heapq
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from alerthub.simulator.chance import chance_of

BLOCK_METRES = 300.0
_JITTER_METRES = 60.0
_LATITUDE, _LONGITUDE = 39.50, 116.70
_METRES_A_DEGREE = 111_320.0


@dataclass(frozen=True, slots=True)
class Streets:
    """Crossings by number. `places`: metres east and north of the city's corner."""

    places: tuple[tuple[float, float], ...]
    neighbours: tuple[tuple[int, ...], ...]

    def metres(self, here: int, there: int) -> float:
        """As the crow flies, which between neighbours is the street."""
        return math.dist(self.places[here], self.places[there])

    def degrees(self, crossing: int) -> tuple[float, float]:
        """Latitude and longitude, WGS 84."""
        east, north = self.places[crossing]
        latitude = _LATITUDE + north / _METRES_A_DEGREE
        longitude = _LONGITUDE + east / (_METRES_A_DEGREE * math.cos(math.radians(_LATITUDE)))
        return round(latitude, 6), round(longitude, 6)


def grid(columns: int, rows: int, *, seed: int) -> Streets:
    """A grid whose crossings are a little off, row by row from the south-west."""
    chance = chance_of(seed, "streets")
    places = tuple(
        (
            column * BLOCK_METRES + chance.uniform(-_JITTER_METRES, _JITTER_METRES),
            row * BLOCK_METRES + chance.uniform(-_JITTER_METRES, _JITTER_METRES),
        )
        for row in range(rows)
        for column in range(columns)
    )

    def beside(number: int) -> tuple[int, ...]:
        row, column = divmod(number, columns)
        around = ((row, column - 1), (row, column + 1), (row - 1, column), (row + 1, column))
        return tuple(r * columns + c for r, c in around if 0 <= r < rows and 0 <= c < columns)

    return Streets(places, tuple(beside(number) for number in range(len(places))))


def joined(positions: Sequence[tuple[float, float]]) -> Streets:
    """Crossings at these latitudes and longitudes, with a street between any two: a town of a few devices."""
    across = _METRES_A_DEGREE * math.cos(math.radians(_LATITUDE))
    places = tuple(
        ((longitude - _LONGITUDE) * across, (latitude - _LATITUDE) * _METRES_A_DEGREE)
        for latitude, longitude in positions
    )
    everywhere = range(len(places))
    return Streets(places, tuple(tuple(each for each in everywhere if each != here) for here in everywhere))


def route(streets: Streets, start: int, end: int, *, within: Collection[int]) -> tuple[int, ...]:
    """The shortest way by crossings in `within`, both ends included; empty where there is none."""
    best = {start: 0.0}
    came_from: dict[int, int] = {}
    waiting = [(0.0, start)]
    while waiting:
        metres, here = heapq.heappop(waiting)
        if here == end:
            way = [end]
            while way[-1] != start:
                way.append(came_from[way[-1]])
            return tuple(reversed(way))
        if metres > best[here]:
            continue
        for there in streets.neighbours[here]:
            further = metres + streets.metres(here, there)
            if there in within and further < best.get(there, math.inf):
                best[there], came_from[there] = further, here
                heapq.heappush(waiting, (further, there))
    return ()
