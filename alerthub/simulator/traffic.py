"""Who drives past which camera when, in the demo city."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from alerthub.simulator.jpeg import street
from alerthub.simulator.shapes import Payload, PlateRead, hikvision_anpr, standing_vehicle

LISTED_EVERY_SECONDS = 20.0
STANDING_EVERY_SECONDS = 10.0
STAY_SECONDS = 330.0
"""Longer than the four minutes of a no-parking bay."""
_PROVINCES = "京津冀晋鲁豫"
_CHARACTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ0123456789"


@dataclass(frozen=True, slots=True)
class Sending:
    """What one device sends now."""

    device_id: str
    adapter: str
    payload: Payload


def random_plate(chance: random.Random) -> str:
    """A plate of the mainland's form, of a vehicle that does not exist as far as anybody knows."""
    return chance.choice(_PROVINCES) + chance.choice("ABCDEF") + "".join(chance.choices(_CHARACTERS, k=5))


class Traffic:
    """The city's vehicles. Deterministic for a random source and times."""

    def __init__(
        self,
        *,
        cameras: Sequence[str],
        parking_sensors: Sequence[str],
        listed_plates: Sequence[str],
        chance: random.Random,
    ) -> None:
        self._cameras = cameras
        self._sensors = parking_sensors
        self._listed = listed_plates
        self._chance = chance
        self._listed_at_ms = 0
        self._standing_at_ms = 0
        self._number = 0

    def at(self, now_ms: int) -> Iterator[Sending]:
        """What is sent at this moment: one camera's read, and what is due beside it."""
        yield self._read(random_plate(self._chance), now_ms)
        if self._listed and now_ms - self._listed_at_ms >= LISTED_EVERY_SECONDS * 1000:
            self._listed_at_ms = now_ms
            yield self._read(self._chance.choice(self._listed), now_ms)
        if now_ms - self._standing_at_ms >= STANDING_EVERY_SECONDS * 1000:
            self._standing_at_ms = now_ms
            for sensor in self._sensors:
                track = f"stay-{int(now_ms / (STAY_SECONDS * 1000))}"
                payload = standing_vehicle(sensor, track=track, time_ms=now_ms, event_id=self._event_id())
                yield Sending(sensor, "cloudevents", payload)

    def _read(self, plate: str, now_ms: int) -> Sending:
        read = PlateRead(
            plate=plate,
            time_ms=now_ms,
            event_id=self._event_id(),
            lane=self._chance.randint(1, 3),
            direction=self._chance.choice(("forward", "reverse")),
            colour=self._chance.choice(("white", "black", "silver", "red", "blue")),
        )
        payload = hikvision_anpr(read, street(self._chance))
        return Sending(self._chance.choice(self._cameras), "hikvision-anpr", payload)

    def _event_id(self) -> str:
        self._number += 1
        return f"{self._chance.getrandbits(64):016x}-{self._number}"
