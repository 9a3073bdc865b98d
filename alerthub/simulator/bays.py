"""Vehicles in no-parking bays: some stand too long, some do not, some are lost for a while. Pure."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from enum import Enum

from alerthub.simulator.city import Device, Make, Times
from alerthub.simulator.happenings import Happening, Kind
from alerthub.simulator.plates import random_plate


class Stay(Enum):
    """How long a vehicle stands, and how it is seen."""

    TOO_LONG = "longer than allowed"
    SHORT = "shorter than allowed"
    BROKEN = "longer than allowed, but its sensor was silent in between for longer than the rule's gap"


_ORDER = (Stay.TOO_LONG, Stay.SHORT, Stay.BROKEN, Stay.SHORT)
_END_MS = 3_000
"""Before the run's end nobody comes to stand."""


def stays(bay: Device, chance: random.Random, *, times: Times, until_ms: int) -> Iterator[Happening]:
    """One vehicle after the other at one bay: what its sensor tells of them."""
    every_ms = times.gap_seconds * 250
    at_ms = round(chance.uniform(0, every_ms))
    begins = chance.randrange(len(_ORDER))
    for number, stay in enumerate(itertools.cycle(_ORDER[begins:] + _ORDER[:begins])):
        seen = [at_ms + offset for offset in _seen(stay, chance, times, every_ms)]
        left_ms = seen[-1] + round(every_ms * chance.uniform(0.2, 0.8))
        if left_ms > until_ms - _END_MS:
            return
        # A camera of one bay tells no vehicle apart; a sensor counts them; another camera reads the plate.
        plate = random_plate(chance) if bay.make is Make.DAHUA else ""
        track = "region-1" if bay.make is Make.BAY_CAMERA else f"object-{number + 1}"
        for kind, moment in [*((Kind.STANDING, moment) for moment in seen), (Kind.LEFT, left_ms)]:
            yield Happening(
                bay.device_id,
                kind,
                seen_ms=moment,
                send_ms=moment + round(chance.uniform(20, 300)),
                plate=plate,
                confidence=0.9 if plate else 0.0,
                track=track,
                copies=2 if chance.random() < 0.02 else 1,
            )
        at_ms = left_ms + round(every_ms * chance.uniform(0.5, 3.0))


def _seen(stay: Stay, chance: random.Random, times: Times, every_ms: int) -> list[int]:
    """When its sensor sees it, from its coming. Nothing lies near what the rule allows."""
    dwell_ms, gap_ms = times.dwell_seconds * 1_000, times.gap_seconds * 1_000
    match stay:
        case Stay.TOO_LONG:
            return _steps(0, dwell_ms * chance.uniform(1.25, 1.5) + every_ms, every_ms)
        case Stay.SHORT:
            return _steps(0, dwell_ms * chance.uniform(0.3, 0.75), every_ms)
        case Stay.BROKEN:
            first = _steps(0, dwell_ms * chance.uniform(0.4, 0.7), every_ms)
            again_ms = first[-1] + round(gap_ms * chance.uniform(1.5, 2.0)) + 1_000
            return first + _steps(again_ms, again_ms + dwell_ms * chance.uniform(0.4, 0.7), every_ms)


def _steps(first_ms: float, last_ms: float, every_ms: int) -> list[int]:
    return [round(first_ms + step * every_ms) for step in range(int((last_ms - first_ms) // every_ms) + 1)]
