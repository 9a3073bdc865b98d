"""Masks: each turns one kind of inexact search into exact look-up.

A mask maps an identifier's normal form to another text. Two identifiers that the mask does not tell apart
have the same text, so the same token. Masks compose in any order (folding and blanking work on single
positions).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from alerthub.domain.errors import Refuse
from alerthub.domain.identifiers import IdentifierKind, begins_with_province

EXACT = "exact"
CONFUSABLE = "confusable"
NO_PROVINCE = "no-province"

ALWAYS_IN_USE = (EXACT, CONFUSABLE, NO_PROVINCE)
"""Gateways compute these from the first start, so an entry that uses them matches one second after
approval."""

MAXIMUM_IN_USE = 16
"""Each costs the gateway 0.75 µs a read, and each is a chance to hit the wrong vehicle."""

_WILDCARD = re.compile("1{0,15}01{0,15}")
_FOLD = str.maketrans("OQDIBZS", "0001825")
_BLANK = "?"
"""Stands for the position that a wildcard leaves open. Never part of a normal form."""


def valid(mask: str) -> bool:
    """Whether `mask` is a known name or a wildcard: ones and a single zero, at least 5 and at most 16
    long."""
    return mask in ALWAYS_IN_USE or (5 <= len(mask) <= 16 and _WILDCARD.fullmatch(mask) is not None)


def masked(mask: str, kind: IdentifierKind, text: str) -> str | None:
    """What `mask` leaves of the normal form `text`; None where the mask does not apply to it.

    Addresses of tags and documents are exact or folded, never blanked: a blank in them names other persons.
    """
    if mask == EXACT:
        return text
    if mask == CONFUSABLE:
        # In hexadecimal 8 and B, 0 and D are different digits, not misread ones.
        return None if kind is IdentifierKind.TAG else text.translate(_FOLD)
    if kind is not IdentifierKind.PLATE:
        return None
    if mask == NO_PROVINCE:
        return text[1:] if begins_with_province(text) and len(text) > 1 else None
    if len(mask) != len(text):
        return None
    position = mask.index("0")
    return f"{text[:position]}{_BLANK}{text[position + 1 :]}"


def wanted(masks: Iterable[str], kind: IdentifierKind, text: str, *, field: str) -> tuple[str, ...]:
    """An entry's masks for one identifier: exact where none is named, without repeats.

    Refuses a mask that is unknown or does not apply to the identifier, since it would never match.
    """
    result = tuple(dict.fromkeys(masks)) or (EXACT,)
    for mask in result:
        if not valid(mask):
            raise Refuse(field, "exact, confusable, no-province or a wildcard with one zero such as 1110111")
        if masked(mask, kind, text) is None:
            raise Refuse(field, f"a mask that applies to this {kind.name.lower()}: {mask} does not")
    return result


def mask_set(wanted_masks: Iterable[str], *, field: str) -> tuple[str, ...]:
    """The set that gateways compute: those always in use, then the others in order of name.

    Refuses more than `MAXIMUM_IN_USE`.
    """
    others = sorted(set(wanted_masks) - set(ALWAYS_IN_USE))
    if len(ALWAYS_IN_USE) + len(others) > MAXIMUM_IN_USE:
        raise Refuse(field, f"at most {MAXIMUM_IN_USE} masks in use in the whole hub")
    return (*ALWAYS_IN_USE, *others)
