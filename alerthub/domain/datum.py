"""The datum of a coordinate: what Chinese maps show is not where a satellite receiver says that one is.

By law, maps that are published in mainland China show GCJ-02: WGS 84 moved by some hundred metres, at each
place differently. The hub keeps WGS 84 alone, so what is in GCJ-02 is converted where it comes in.
"""

from __future__ import annotations

import math
from enum import Enum

from alerthub.domain.resources import Position


class Datum(Enum):
    WGS_84 = "wgs-84"
    GCJ_02 = "gcj-02"


_SEMI_MAJOR_AXIS_METRES = 6_378_245.0
_ECCENTRICITY_SQUARED = 0.00669342162296594323
"""Of the Krasovsky ellipsoid, on which the offset is computed."""
_SOUTH, _NORTH = 0.8293, 55.8271
_WEST, _EAST = 72.004, 137.8347
"""The rectangle in which GCJ-02 differs. Outside of it both are the same."""
_ROUNDS = 30
_CLOSE_DEGREES = 1e-10
"""A hundredth of a millimetre."""


def to_wgs84(position: Position, datum: Datum) -> Position:
    """The same place in WGS 84, to within a millimetre of the inverse of the offset that is published.

    The same input gives the same output, bit by bit: what is imported twice does not differ.
    """
    if datum is Datum.WGS_84 or not _is_moved(position):
        return position
    guess = position
    for _ in range(_ROUNDS):
        moved = from_wgs84(guess, Datum.GCJ_02)
        north, east = position.latitude - moved.latitude, position.longitude - moved.longitude
        guess = Position(guess.latitude + north, guess.longitude + east)
        if abs(north) < _CLOSE_DEGREES and abs(east) < _CLOSE_DEGREES:
            break
    # Nine decimals are a tenth of a millimetre; more would be noise that every look at a difference shows.
    return Position(round(guess.latitude, 9), round(guess.longitude, 9))


def from_wgs84(position: Position, datum: Datum) -> Position:
    """The place as a map of this datum shows it."""
    if datum is Datum.WGS_84 or not _is_moved(position):
        return position
    x, y = position.longitude - 105.0, position.latitude - 35.0
    latitude = math.radians(position.latitude)
    flattening = 1 - _ECCENTRICITY_SQUARED * math.sin(latitude) ** 2
    meridian = _SEMI_MAJOR_AXIS_METRES * (1 - _ECCENTRICITY_SQUARED) / flattening**1.5
    parallel = _SEMI_MAJOR_AXIS_METRES / math.sqrt(flattening) * math.cos(latitude)
    return Position(
        position.latitude + math.degrees(_metres_north(x, y) / meridian),
        position.longitude + math.degrees(_metres_east(x, y) / parallel),
    )


def _is_moved(position: Position) -> bool:
    return _SOUTH <= position.latitude <= _NORTH and _WEST <= position.longitude <= _EAST


def _metres_north(x: float, y: float) -> float:
    metres = -100 + 2 * x + 3 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * math.sqrt(abs(x))
    metres += _waves(x, (20, 6), (20, 2)) + _waves(y, (20, 1), (40, 1 / 3))
    return metres + (160 * math.sin(y * math.pi / 12) + 320 * math.sin(y * math.pi / 30)) * 2 / 3


def _metres_east(x: float, y: float) -> float:
    metres = 300 + x + 2 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * math.sqrt(abs(x))
    metres += _waves(x, (20, 6), (20, 2)) + _waves(x, (20, 1), (40, 1 / 3))
    return metres + (150 * math.sin(x * math.pi / 12) + 300 * math.sin(x * math.pi / 30)) * 2 / 3


def _waves(value: float, *waves: tuple[float, float]) -> float:
    return sum(height * math.sin(value * math.pi * often) for height, often in waves) * 2 / 3
