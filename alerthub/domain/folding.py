"""What becomes of a rule that fired: a new alert, a sighting of one that there is, or nothing (C6, C8)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from alerthub.domain.alerts import OPEN_STATUSES, Status

JOIN_AFTER_CLOSING_MS = 600_000
"""Ten minutes: the same vehicle passing the next cameras is not a new alert (C6)."""


class Disposition(StrEnum):
    """What became of it."""

    OPENED = "opened"
    JOINED = "joined"
    SUPPRESSED = "suppressed"
    """Rejected lately: the same token at the same device, within the cooldown."""
    ENTRY_ENDED = "entry_ended"
    """Its entry was withdrawn or has expired in the meantime: it opens nothing."""


@dataclass(frozen=True, slots=True)
class KnownEntry:
    """What dispatch knows of a watchlist entry, under the lock that withdrawing takes too."""

    active: bool
    valid_until_ms: int

    def in_force(self, now_ms: int) -> bool:
        return self.active and now_ms < self.valid_until_ms


@dataclass(frozen=True, slots=True)
class NewestAlert:
    """The newest alert of the fold key. `basis_token`: the token on which it stands, empty where it stands on
    none (a zone rule)."""

    status: Status
    severity: int
    closed_at_ms: int
    basis_token: bytes


@dataclass(frozen=True, slots=True)
class Raised:
    """What fired. `tokens`: all tokens of the identifier that hit, for every mask. A direct call is never
    taken for a repeat of one that is over: somebody asks for help again."""

    severity: int
    tokens: frozenset[bytes]
    direct_call: bool = False


@dataclass(frozen=True, slots=True)
class Folded:
    """`covered`: what was confirmed of the alert that it joins holds for this sighting too."""

    disposition: Disposition
    covered: bool = True


def covered_by(basis_token: bytes, tokens: frozenset[bytes]) -> bool:
    """Whether a read is the same identifier, read at least as exactly, as the one that an alert stands on.

    A read carries a token for every mask, so a read of the same identifier carries the confirmed token as
    well; a weaker read (confusable letters only), another identifier, and a read in another epoch do not.
    """
    return not basis_token or basis_token in tokens


def fold(
    raised: Raised,
    *,
    newest: NewestAlert | None,
    entry: KnownEntry | None,
    suppressed_until_ms: int,
    now_ms: int,
) -> Folded:
    """What becomes of `raised`. `entry` is None where no entry is involved; `suppressed_until_ms` is about
    its token at its device (0: not suppressed)."""
    if entry is not None and not entry.in_force(now_ms):
        return Folded(Disposition.ENTRY_ENDED)
    if newest is not None and newest.status in OPEN_STATUSES:
        return Folded(Disposition.JOINED, covered_by(newest.basis_token, raised.tokens))
    if raised.direct_call:
        return Folded(Disposition.OPENED)
    if now_ms < suppressed_until_ms:
        return Folded(Disposition.SUPPRESSED)
    if (
        newest is not None
        and newest.status is Status.CLOSED
        and now_ms - newest.closed_at_ms < JOIN_AFTER_CLOSING_MS
        and raised.severity <= newest.severity
        and covered_by(newest.basis_token, raised.tokens)
    ):
        return Folded(Disposition.JOINED)
    return Folded(Disposition.OPENED)
