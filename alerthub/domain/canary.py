"""The canary: reads that the hub sends itself, to see each half minute that a match reaches a terminal.

A canary is an ordinary read, entry, alert and unit (docs/adr/0019). The few places that leave it out ask
`is_canary`; since what it answers hides an alert from the office, an entry of this category names nothing but
plates that no vehicle can have.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from alerthub.domain.errors import Refuse
from alerthub.domain.identifiers import IdentifierKind
from alerthub.domain.masks import EXACT

CATEGORY = "canary"
JURISDICTION = "canary"
"""Of its devices and its unit, and of nothing else: they are no part of the city."""
UNIT_KIND = "canary"
"""Of the unit that its category asks for."""
_PLATE = re.compile("CANARY[0-9]{4}")
"""Six letters in a row: no plate of any province, embassy or force has them (GA 36)."""


def is_canary(category: str) -> bool:
    """Whether an alert of an entry of this category is the hub's own, and nobody's to look at."""
    return category == CATEGORY


def plate(number: int) -> str:
    """The plate of the canary's entry `number` (0 to 9999), as a camera would read it."""
    return f"CANARY{number:04d}"


def check_identifier(kind: IdentifierKind, text: str, masks: Iterable[str], *, field: str) -> None:
    """Refuses an identifier (in normal form) of an entry of the category `CATEGORY` that could be anybody's.

    Any other mask than the exact one could make it match a plate that somebody has.
    """
    if kind is not IdentifierKind.PLATE or not _PLATE.fullmatch(text) or set(masks) != {EXACT}:
        raise Refuse(
            field, f"a plate {plate(0)} to {plate(9999)} with the mask {EXACT}, for the category {CATEGORY}"
        )
