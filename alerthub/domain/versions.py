"""Versions of one thing, and which of them was in force at a time (C5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

RETENTION_MS = 24 * 60 * 60 * 1_000
"""A version that was superseded longer ago than this can evaluate no observation: none is kept for longer
(refusal 2)."""

ACTIVATION_LEAD_MS = 3_000
"""Owners publish a version at least this long ahead of its activation (C5). Consumers that wait until they
know everything committed so long before an observation was received evaluate it with the versions in force.
Bookmarks, of which one comes each second, carry that knowledge: three seconds hide one that is late.
"""

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Version(Generic[Value]):
    """`value` as its version `number`, in force from `active_from_ms` (milliseconds since 1970) on."""

    number: int
    active_from_ms: int
    value: Value


class History(Generic[Value]):
    """The versions of one id that an observation within the retention may still need.

    Versions may arrive in any order and more than once; the result is the same. A version is in force from
    its activation until a higher one is.
    """

    __slots__ = ("_versions",)

    def __init__(self) -> None:
        self._versions: tuple[Version[Value], ...] = ()

    def add(self, version: Version[Value]) -> bool:
        """Takes a version in; False when it was known already. Forgets those that no observation can need."""
        if any(known.number == version.number for known in self._versions):
            return False
        ordered = sorted((*self._versions, version), key=lambda known: known.number)
        oldest_needed_ms = max(known.active_from_ms for known in ordered) - RETENTION_MS
        while len(ordered) > 1 and ordered[1].active_from_ms <= oldest_needed_ms:
            del ordered[0]
        self._versions = tuple(ordered)
        return True

    @property
    def newest(self) -> Version[Value]:
        """The highest version, in force or not yet. Raises IndexError while there is none."""
        return self._versions[-1]

    def in_force(self, at_ms: int) -> Version[Value] | None:
        """The highest version whose activation was not after `at_ms`; None before the first."""
        for version in reversed(self._versions):
            if version.active_from_ms <= at_ms:
                return version
        return None

    def in_force_or_oldest(self, at_ms: int) -> Version[Value] | None:
        """As `in_force`; before all known versions the oldest of them, when it had predecessors.

        A compacted topic keeps superseded versions for minutes, observations stay for an hour and more.
        Whoever starts then finds that a thing existed (its oldest known version is not its first) but not
        how it was; how it was later is nearer to the truth than that it was not there.
        """
        version = self.in_force(at_ms)
        if version is None and self._versions and self._versions[0].number > 1:
            return self._versions[0]
        return version

    def activations(self) -> tuple[int, ...]:
        """When its versions come into force."""
        return tuple(version.active_from_ms for version in self._versions)
