"""Invented plates, what recognisers make of them, and which of them a person takes for the same. Pure.

Which characters are confused is said here once more, and not taken from the domain: the truth of a run must
not come from what it judges.
"""

from __future__ import annotations

import random

PROVINCES = "京津冀晋鲁豫"
CITIES = "ABCDEFGHJR"
CHARACTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ0123456789"
"""Without I and O, which plates do not use; recognisers do."""
CONFUSED = ("0OQD", "1I", "8B", "2Z", "5S")
_CLASS = {character: group for group in CONFUSED for character in group}
_ALONE = "ACEFGHJKLMNPRTUVWXY34679"


def random_plate(chance: random.Random) -> str:
    """A plate of the mainland's form, of a vehicle that does not exist as far as anybody knows."""
    return chance.choice(PROVINCES) + chance.choice(CITIES) + "".join(chance.choices(CHARACTERS, k=5))


def confusable_plate(chance: random.Random) -> str:
    """One with a character that recognisers confuse."""
    plate = random_plate(chance)
    at = chance.randrange(2, len(plate))
    return plate[:at] + chance.choice("0D18B2Z5S") + plate[at + 1 :]


def looks_like(text: str) -> str:
    """Equal for exactly the texts that differ only by confused characters."""
    return "".join(_CLASS[character][0] if character in _CLASS else character for character in text)


def confused(plate: str, chance: random.Random) -> str:
    """With one character read as another of its class; unchanged where the plate has none."""
    places = [at for at in range(2, len(plate)) if plate[at] in _CLASS]
    if not places:
        return plate
    at = chance.choice(places)
    return plate[:at] + chance.choice(_CLASS[plate[at]].replace(plate[at], "")) + plate[at + 1 :]


def misread(plate: str, chance: random.Random) -> str:
    """With one character wrong, outside the classes: another vehicle's plate."""
    at = chance.randrange(2, len(plate))
    return plate[:at] + chance.choice(_ALONE.replace(plate[at], "")) + plate[at + 1 :]
