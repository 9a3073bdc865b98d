"""The canary: reads that the hub sends itself, to see each half minute that a match reaches a terminal.

A canary is an ordinary read, entry, alert and unit (docs/adr/0019). The few places that leave it out ask
`is_canary`; since what it answers hides an alert from the office, an entry of this category names nothing but
plates that no vehicle can have.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from alerthub.domain.errors import Refuse
from alerthub.domain.folding import JOIN_AFTER_CLOSING_MS
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


def entries_needed(every_ms: int) -> int:
    """How many entries a gateway's reads take in turn, so that each opens an alert of its own.

    A repeat joins an alert for `JOIN_AFTER_CLOSING_MS` after it closed (C6), so an entry's turn comes after
    that.
    """
    return -(-JOIN_AFTER_CLOSING_MS // every_ms) + 1


def turn(now_ms: int, *, every_ms: int, entries: int) -> int:
    """Whose turn it is of a gateway's `entries` (0 to one less). By the clock, so that a restart goes on with
    the one that has rested longest."""
    return now_ms // every_ms % entries


def lanes(before: Mapping[str, int], gateways: Iterable[str], *, count: int) -> dict[str, int]:
    """Which lane of entries (0 to `count` - 1) each gateway's reads take.

    A gateway keeps the lane that it has; a new one gets the lowest that is free. Without one: there are more
    gateways than the set-up is for.
    """
    wanted = sorted(set(gateways))
    kept = {each: before[each] for each in wanted if each in before}
    free = iter([lane for lane in range(count) if lane not in kept.values()])
    for each in wanted:
        if each not in kept and (lane := next(free, None)) is not None:
            kept[each] = lane
    return kept
