"""The ways in which a plate could have been written somewhere, and the search for them."""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Sequence
from urllib.parse import quote


def _spelled(plate: str) -> list[bytes]:
    """The ways in which a plate could have been written somewhere, always in the same order."""
    raw = plate.encode()
    # Base64 of a longer text holds one of three forms of a part; its first and last characters depend on
    # the neighbours and are left out.
    inside_base64 = [
        base64.b64encode(bytes(shift) + raw + bytes(2))[(0, 2, 3)[shift] : (len(raw) + shift) * 8 // 6]
        for shift in range(3)
    ]
    return [
        raw,
        quote(plate).encode(),
        json.dumps(plate)[1:-1].encode(),
        plate.encode("utf-16-le"),
        *inside_base64,
    ]


def _common_beginning(texts: Sequence[bytes]) -> bytes:
    least, greatest = min(texts), max(texts)
    same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(least, greatest, strict=False))
    return bytes(first for first, _ in same)


def found_in(content: bytes, plates: list[str]) -> set[bytes]:
    """Which spellings of the plates are in the content. All plates begin alike, so one search finds any."""
    found = set()
    for spellings in zip(*(_spelled(plate) for plate in plates), strict=True):
        prefix = _common_beginning(spellings)
        at = content.find(prefix)
        while at >= 0:
            found |= {spelling for spelling in spellings if content.startswith(spelling, at)}
            at = content.find(prefix, at + 1)
    return found
