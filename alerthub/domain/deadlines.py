"""What an alert waits for, for how long, and when a wait that ran out may be acted upon (C14)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class DeadlineKind(StrEnum):
    """What is waited for."""

    CONFIRMATION = "confirmation"
    """An operator's decision."""
    DELIVERY = "delivery"
    """The receipt of a terminal of the unit: the alert is on its screen."""
    ACKNOWLEDGEMENT = "acknowledgement"
    """The unit's answer. It starts at delivery, never at sending: a unit is not late for what it never
    saw."""


@dataclass(frozen=True, slots=True)
class DeadlineTimes:
    """How long each wait is, in milliseconds."""

    confirmation_ms: int = 120_000
    """Two minutes: comparing one picture takes seconds; after it the supervisor should know that nobody
    looks."""
    delivery_ms: int = 15_000
    """Fifteen seconds: three missed heartbeats; a terminal that is silent for longer has lost the hub."""
    acknowledgement_ms: int = 60_000
    """A minute: time to stop, read the card and touch the screen, and not longer, since the vehicle drives
    on."""

    def of(self, kind: DeadlineKind) -> int:
        """The length of this wait in milliseconds."""
        if kind is DeadlineKind.CONFIRMATION:
            return self.confirmation_ms
        if kind is DeadlineKind.DELIVERY:
            return self.delivery_ms
        return self.acknowledgement_ms


@dataclass(frozen=True, slots=True)
class Waiting:
    """The one thing that an alert waits for now.

    `since_version` is the alert's version that began the wait. A deadline carries it, and fires only while
    the alert still waits since that version: whatever ended the wait has made the deadline void.
    """

    kind: DeadlineKind
    since_version: int
    assignment_id: str = ""


def may_fire(*, due_ms: int, now_ms: int, watching_since_ms: int, grace_ms: int) -> bool:
    """Whether a deadline that was due at `due_ms` may be acted upon at `now_ms` (both database time).

    One that ran out while nobody watched (`watching_since_ms`: since when deadlines are watched without a
    gap) waits `grace_ms` from there, since the receipt or answer that would have stopped it may be queued
    (C14).
    """
    if due_ms > now_ms:
        return False
    if due_ms >= watching_since_ms:
        return True
    return now_ms >= watching_since_ms + grace_ms
