"""The vehicles that a run is about: how each is listed, how it is read, and where it drives. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from alerthub.simulator.chance import chance_of
from alerthub.simulator.plates import confusable_plate, looks_like, misread, random_plate

VEHICLE, PERSON = "stolen_vehicle", "wanted_person_vehicle"
EXACT, CONFUSABLE = "exact", "confusable"


class Eye(Enum):
    """How its plate is read."""

    ORDINARY = "ordinary"
    """Rightly, but for what recognisers do to every plate."""
    CONFUSED = "confused"
    """Always with a character of the same class."""
    DOUBTFUL = "doubtful"
    """Always with less confidence than the rule asks for."""


class Standing(Enum):
    """How it is listed."""

    IN_FORCE = "in force"
    NOT_APPROVED = "entered, approved by nobody"
    EXPIRED = "expired before the run"


class Where(Enum):
    """Where it drives."""

    CITY = "city"
    VILLAGE = "village"
    SILENT_CAMERA = "past one camera, which tells it too late"


@dataclass(frozen=True, slots=True)
class Role:
    """A kind of vehicle, and how many of it a town has. `why`: what it is there to show."""

    why: str
    count: int
    category: str = VEHICLE
    masks: tuple[str, ...] = (EXACT,)
    standing: Standing = Standing.IN_FORCE
    eye: Eye = Eye.ORDINARY
    where: Where = Where.CITY
    another_plate: bool = False
    """One character of its own plate is another than the listed one, outside what is confused."""


ROLES = (
    Role("a stolen vehicle", 6),
    Role("a stolen vehicle, looked for with confused characters too", 3, masks=(EXACT, CONFUSABLE)),
    Role("read with a confused character, and looked for so", 3, masks=(EXACT, CONFUSABLE), eye=Eye.CONFUSED),
    Role("a wanted person's vehicle", 3, category=PERSON),
    Role("read with a confused character, and not looked for so", 2, eye=Eye.CONFUSED),
    Role("a vehicle with a plate one character off", 3, masks=(EXACT, CONFUSABLE), another_plate=True),
    Role("an entry that nobody approved", 3, standing=Standing.NOT_APPROVED),
    Role("an entry that expired", 2, standing=Standing.EXPIRED),
    Role("read only by cameras without an authorisation", 2, where=Where.VILLAGE),
    Role("read too doubtfully", 2, eye=Eye.DOUBTFUL),
    Role("told too late", 2, where=Where.SILENT_CAMERA),
)


@dataclass(frozen=True, slots=True)
class Listed:
    """One entry of the watchlist: `plate` is looked for, `drives` is the plate on the street."""

    number: int
    role: Role
    plate: str
    drives: str


def make_cast(*, seed: int, towns: int) -> tuple[Listed, ...]:
    """All listed vehicles of a city of so many towns. No two look alike to any mask."""
    chance = chance_of(seed, "cast")
    used: set[str] = set()
    cast: list[Listed] = []
    for _ in range(towns):
        for role in ROLES:
            for _ in range(role.count):
                while True:
                    make = confusable_plate if role.eye is Eye.CONFUSED else random_plate
                    plate = make(chance)
                    drives = misread(plate, chance) if role.another_plate else plate
                    looks = {looks_like(plate), looks_like(drives)}
                    if used.isdisjoint(looks):
                        break
                used |= looks
                cast.append(Listed(len(cast), role, plate, drives))
    return tuple(cast)
