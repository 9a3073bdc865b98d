"""A small grey JPEG made of squares: a picture for simulated cameras, with nobody on it.

Baseline JPEG (ITU-T T.81) where each 8x8 block has one brightness, so only DC coefficients are coded.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence

_QUANTISER = 16
_CATEGORIES = 8
"""Differences of DC values are below 128, so their lengths are 0 to 7 bits: eight codes of four bits."""


def mosaic(rows: Sequence[Sequence[int]]) -> bytes:
    """A JPEG of 8 by 8 pixels a value; values are brightnesses from 0 to 255, rows of equal length."""
    height, width = len(rows) * 8, len(rows[0]) * 8
    return b"".join(
        [
            b"\xff\xd8",
            _segment(0xE0, b"JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"),
            _segment(0xDB, b"\x00" + bytes([_QUANTISER] * 64)),
            _segment(0xC0, struct.pack(">BHHBBBB", 8, height, width, 1, 1, 0x11, 0)),
            # DC: eight codes of four bits. AC: one code of one bit, the end of the block.
            _segment(0xC4, bytes([0x00, 0, 0, 0, 8, *[0] * 12, *range(_CATEGORIES)])),
            _segment(0xC4, bytes([0x10, 1, *[0] * 15, 0])),
            _segment(0xDA, bytes([1, 1, 0x00, 0, 63, 0])),
            _scan(rows),
            b"\xff\xd9",
        ]
    )


def street(chance: random.Random) -> bytes:
    """A picture of 160 by 96 pixels, different each time, of a bright road between dark verges."""
    return mosaic(
        [
            [
                min(255, max(0, (150 if 5 < column < 14 else 60) + chance.randint(-25, 25)))
                for column in range(20)
            ]
            for _ in range(12)
        ]
    )


def _segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def _scan(rows: Sequence[Sequence[int]]) -> bytes:
    bits: list[str] = []
    previous = 0
    for row in rows:
        for brightness in row:
            value = (brightness - 128) * 8 // _QUANTISER
            difference, previous = value - previous, value
            category = abs(difference).bit_length()
            bits.append(f"{category:04b}")
            if category:
                extra = difference if difference > 0 else difference + (1 << category) - 1
                bits.append(f"{extra:0{category}b}")
            bits.append("0")
    text = "".join(bits)
    text += "1" * (-len(text) % 8)
    data = bytes(int(text[start : start + 8], 2) for start in range(0, len(text), 8))
    return data.replace(b"\xff", b"\xff\x00")
