"""The normal form of an identifier, so that one vehicle or person has one token whatever device read it.

Two spellings that people take for the same plate, document or tag have the same normal form; everything else
keeps its difference. Where the notation is known (Chinese plates, GA 36; resident identity numbers, GB 11643;
MAC and EUI addresses) its rules apply, else the letters and digits count.
"""

from __future__ import annotations

import re
import unicodedata
from enum import IntEnum

from alerthub.domain.errors import Refuse

MAXIMUM_LENGTH = 64
"""Characters of an identifier as it was read; what is longer is no identifier."""


class IdentifierKind(IntEnum):
    """What an identifier names. The numbers are those of the wire (`IdentifierKind` in common.proto)."""

    PLATE = 1
    DOCUMENT = 2
    TAG = 3


PROVINCES = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼"
"""The first characters of civil plates: provinces, autonomous regions, municipalities (GA 36)."""

_OTHER_BEGINNINGS = ("使", "领", "民", "应", "WJ")
"""How other plates begin: embassies and consulates, civil aviation, fire and rescue, armed police."""

_COLOURS = ("渐变绿", "渐变", "黄绿双拼", "黄绿", "绿黄", "蓝", "黄", "绿", "白", "黑")
"""What recognisers write before the number for the plate's colour, longest first."""

_NOTHING = frozenset(
    {
        "NOPLATE",
        "UNKNOWN",
        "UNLICENSED",
        "NONE",
        "NULL",
        "NIL",
        "NA",
        "无车牌",
        "未识别",
        "无牌车",
        "无牌",
        "未知",
        "无",
        "车牌",
    }
)
"""What recognisers write where they read nothing, in normal form."""

_ORDINARY_PLATE = re.compile(f"[{PROVINCES}][A-Z][A-Z0-9]{{5,6}}")
_RESIDENT_NUMBER = re.compile("[0-9]{17}[0-9X]")
_OLD_RESIDENT_NUMBER = re.compile("[1-8][0-9]{14}")
_HEXADECIMAL = re.compile("[0-9A-F]+")
_PREFIXED_ADDRESS = re.compile("0X([0-9A-F]{12}|[0-9A-F]{16})")

_CHECK_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECK_DIGITS = "10X98765432"


def normalise(kind: IdentifierKind, raw: str) -> str | None:
    """The normal form of what a device read or a person typed; None where that names nothing.

    Nothing: empty, `noPlate`, `unknown` and their like, over-long text, a resident identity number whose
    check digit is wrong. The normal form of a normal form is itself.
    """
    if kind is IdentifierKind.PLATE and _ORDINARY_PLATE.fullmatch(raw):
        return raw  # almost every read; the rest of the way costs ten times as much
    if len(raw) > MAXIMUM_LENGTH:
        return None
    text = _letters_and_digits(raw)
    if kind is IdentifierKind.PLATE:
        text = _without_colour(text)
    elif kind is IdentifierKind.DOCUMENT:
        resident = _resident_number(text)
        if resident is not None:
            return resident or None
    elif (address := _PREFIXED_ADDRESS.fullmatch(text)) is not None:
        text = address[1]
    if not text or text in _NOTHING or len(text) > MAXIMUM_LENGTH:
        return None
    return text


def required(kind: IdentifierKind, raw: str, *, field: str) -> str:
    """The normal form, for a person who must give an identifier. Refuses, without repeating what was
    typed."""
    text = normalise(kind, raw)
    if text is not None:
        return text
    if kind is IdentifierKind.DOCUMENT and _RESIDENT_NUMBER.fullmatch(_letters_and_digits(raw)):
        raise Refuse(field, "a resident identity number whose check digit is right (GB 11643)")
    raise Refuse(field, f"a {kind.name.lower()} of 1 to {MAXIMUM_LENGTH} letters and digits")


def begins_with_province(plate: str) -> bool:
    """Whether a plate in normal form begins with a province's character."""
    return plate[:1] in PROVINCES and plate != ""


def check_digit(first_seventeen: str) -> str:
    """The check digit of a resident identity number: ISO 7064 MOD 11-2 as in GB 11643."""
    total = sum(int(digit) * weight for digit, weight in zip(first_seventeen, _CHECK_WEIGHTS, strict=True))
    return _CHECK_DIGITS[total % 11]


def is_address(tag: str) -> bool:
    """Whether a tag in normal form is a MAC (EUI-48) or EUI-64 address."""
    return len(tag) in (12, 16) and _HEXADECIMAL.fullmatch(tag) is not None


def _letters_and_digits(raw: str) -> str:
    """Full-width and other compatible forms made plain, upper case, digits of any script as 0-9, all else
    dropped."""
    text = raw
    # Dropping a separator can bring characters together that have a composed form: again, until nothing
    # changes.
    for _ in range(4):
        plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).upper())
        result = "".join(_plain_digit(character) for character in plain if character.isalnum())
        if result == text:
            break
        text = result
    return text


def _plain_digit(character: str) -> str:
    if character.isascii() or not character.isdecimal():
        return character
    return str(unicodedata.decimal(character))


def _without_colour(text: str) -> str:
    """Takes off 蓝 of 蓝冀RA8HK52. 黑 is a colour only where a province follows: 黑A12345 is of
    Heilongjiang, and so is 黑WJ0000, of which WJ begins no plate of the armed police."""
    while not _ORDINARY_PLATE.fullmatch(text):
        for colour in _COLOURS:
            if not text.startswith(colour):
                continue
            rest = text[len(colour) :].removeprefix("牌").removeprefix("色")
            if colour == "黑" and not (begins_with_province(rest) or rest.startswith(_OTHER_BEGINNINGS)):
                continue
            text = rest
            break
        else:
            return text
    return text


def _resident_number(text: str) -> str | None:
    """The 18-digit resident identity number in `text`; empty where the check digit is wrong; None where it is
    none.

    Numbers of 15 digits (before 1999) get their century and check digit, since both forms name one person.
    """
    if _RESIDENT_NUMBER.fullmatch(text):
        return text if check_digit(text[:17]) == text[17] else ""
    if _OLD_RESIDENT_NUMBER.fullmatch(text) and 1 <= int(text[8:10]) <= 12 and 1 <= int(text[10:12]) <= 31:
        first_seventeen = f"{text[:6]}19{text[6:]}"
        return first_seventeen + check_digit(first_seventeen)
    return None
