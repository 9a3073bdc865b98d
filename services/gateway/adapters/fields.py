"""JSON objects as devices write them: numbers as texts, fields left out, one object for a list of one.

What is wrong in an optional field is as if the device had said nothing: a read matters more than its colour.
Every answer is bounded.
"""

from __future__ import annotations

import math

from alerthub.domain.errors import Refuse
from services.gateway.adapters.reading import MAXIMUM_EVENTS, TooLarge, number_or_zero


class Fields:
    """One object. What is no object reads as an empty one."""

    __slots__ = ("_values",)

    def __init__(self, value: object) -> None:
        self._values: dict[str, object] = value if isinstance(value, dict) else {}

    def __bool__(self) -> bool:
        return bool(self._values)

    def has(self, name: str) -> bool:
        """Whether the device wrote the field, whatever is in it."""
        return name in self._values

    def names(self) -> list[str]:
        """The fields that the device wrote."""
        return list(self._values)

    def inside(self, *names: str) -> Fields:
        """The object at the path of `names`."""
        found = self
        for name in names:
            found = Fields(found._values.get(name))
        return found

    def each(self, name: str) -> list[Fields]:
        """The objects of a list, or the one that stands for it; TooLarge beyond what a request may hold."""
        value = self._values.get(name)
        members = value if isinstance(value, list) else [value]
        if len(members) > MAXIMUM_EVENTS:
            raise TooLarge(name, f"at most {MAXIMUM_EVENTS} objects")
        return [found for one in members if (found := Fields(one))]

    def texts(self, name: str, *, maximum: int = 64) -> list[str]:
        """The texts of a list, or the one that stands for it, at most `MAXIMUM_EVENTS` of them."""
        value = self._values.get(name)
        members = value[:MAXIMUM_EVENTS] if isinstance(value, list) else [value]
        return [found for one in members if (found := _text(one, maximum))]

    def text(self, *names: str, maximum: int = 64) -> str:
        """The first of the named fields that holds a printable text of at most `maximum` characters, or a
        whole number; else empty."""
        for name in names:
            found = _text(self._values.get(name), maximum)
            if found:
                return found
        return ""

    def base64(self, name: str) -> str:
        """A text of any length, which its reader bounds."""
        value = self._values.get(name)
        return value if isinstance(value, str) else ""

    def number(self, name: str, *, minimum: float = 0, maximum: float) -> float:
        """A number from `minimum` to `maximum`, or a text that is one; else 0."""
        value = self._values.get(name)
        if isinstance(value, str):
            return number_or_zero(value, minimum=minimum, maximum=maximum)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return 0.0
        # Compared before it becomes a float: a device can write a number of a thousand digits.
        within = minimum <= value <= maximum and (isinstance(value, int) or math.isfinite(value))
        return float(value) if within else 0.0

    def whole(self, name: str, *, maximum: int) -> int:
        """A whole number from 0 to `maximum`, or a text that is one; else 0."""
        return int(self.number(name, maximum=maximum))

    def is_true(self, name: str) -> bool:
        """`true` itself."""
        return self._values.get(name) is True

    def is_false(self, name: str) -> bool:
        """`false` itself."""
        return self._values.get(name) is False

    def says_yes(self, name: str) -> bool:
        """`true`, 1 or a text of either."""
        value = self._values.get(name)
        return (
            value is True or value == 1 or (isinstance(value, str) and value.lower() in ("true", "1", "yes"))
        )


def required(value: object, expected: str) -> Fields:
    """The object that a body holds; Refuse where it is none, or an empty one."""
    found = Fields(value)
    if not found:
        raise Refuse("body", expected)
    return found


def _text(value: object, maximum: int) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**18:
        value = str(value)
    if not isinstance(value, str) or len(value) > maximum or not value.isprintable():
        return ""
    return value.strip()
