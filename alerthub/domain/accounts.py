"""Decisions about persons' accounts: locking out who guesses, and two persons for every grant (S6)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from alerthub.domain.denials import Denial, password_too_short
from alerthub.domain.errors import Conflict, NotAllowed, Refuse

ACCOUNT_PATTERN = r"^[a-z0-9][a-z0-9_.-]{0,63}$"
"""What an account may be called, as a regular expression; the API says the same."""
FREE_FAILURES = 4
"""Wrong passwords in a row without consequence: people mistype."""
FIRST_LOCK_MS = 30_000
"""After the fifth. Each further failure doubles it."""
LONGEST_LOCK_MS = 15 * 60_000
"""Long enough that guessing is hopeless (about a hundred tries a day), short enough that nobody can be kept
out for a shift by somebody else's wrong guesses."""


@dataclass(frozen=True, slots=True)
class SignInState:
    """What an account remembers about failed sign-ins. `locked_until_ms` 0: not locked."""

    failures: int = 0
    locked_until_ms: int = 0


def is_locked(state: SignInState, now_ms: int) -> bool:
    """Whether a sign-in at `now_ms` is refused without looking at the password."""
    return now_ms < state.locked_until_ms


def after_failure(state: SignInState, now_ms: int) -> SignInState:
    """The state after a wrong password: locked from the fifth in a row, each time twice as long."""
    failures = state.failures + 1
    if failures <= FREE_FAILURES:
        return SignInState(failures=failures)
    # The exponent is bounded: a number that doubles for a year is no longer a number of milliseconds.
    doubled = FIRST_LOCK_MS << min(failures - FREE_FAILURES - 1, 16)
    return SignInState(failures=failures, locked_until_ms=now_ms + min(doubled, LONGEST_LOCK_MS))


def after_success() -> SignInState:
    """The state after the right password."""
    return SignInState()


SHORTEST_PASSWORD = 12
"""Characters. Length is what counts: no rule about kinds of characters (NIST SP 800-63B, 3.1.1.2)."""


def check_new_password(*, account: str, old: str, new: str) -> None:
    """Refuses a password that is no change, or that is guessed first."""
    if len(new) < SHORTEST_PASSWORD:
        raise Refuse("new_password", password_too_short(SHORTEST_PASSWORD))
    if new == old:
        raise Refuse("new_password", Denial.PASSWORD_AS_BEFORE.value)
    if (len(account) > 3 and account.lower() in new.lower()) or len(set(new)) < 5:
        raise Refuse("new_password", Denial.PASSWORD_GUESSED.value)


SESSION_LIFE_MS = 12 * 3_600_000
"""A night's duty at a desk; then everybody signs in anew."""
SESSION_IDLE_MS = 40 * 60_000
"""A session that asks for no token for this long is over: the console's half hour without a touch, and the
life of the last token that was given within it."""


@dataclass(frozen=True, slots=True)
class SessionTimes:
    """Of a session at a browser, milliseconds since 1970. `renewed_at_ms`: when it was last given a token."""

    opened_at_ms: int
    expires_at_ms: int
    renewed_at_ms: int


def session_lives(
    times: SessionTimes, *, account_revoked: bool, account_ended_at_ms: int, now_ms: int
) -> bool:
    """Whether the session still gives tokens. `account_ended_at_ms`: what the account was given until then is
    dead, since it was revoked or got other roles; 0: never."""
    if account_revoked or times.opened_at_ms <= account_ended_at_ms:
        return False
    return now_ms < times.expires_at_ms and now_ms < times.renewed_at_ms + SESSION_IDLE_MS


@dataclass(frozen=True, slots=True)
class Maker:
    """Who made an account: both persons of its first grant. Empty for accounts that the hub began with."""

    proposed_by: str = ""
    approved_by: str = ""

    @property
    def names(self) -> frozenset[str]:
        return frozenset({self.proposed_by, self.approved_by} - {""})

    def includes(self, account: str) -> bool:
        return account != "" and account in (self.proposed_by, self.approved_by)


@dataclass(frozen=True, slots=True)
class Grant:
    """An account that is to be, or is to have these roles (names such as ROLE_OFFICER) and no others."""

    account: str
    roles: tuple[str, ...]


def digest_of(grants: Iterable[Grant]) -> str:
    """What names a set of grants, whatever their order: SHA-256 in hexadecimal. Who approves a set approves
    what has this digest and nothing else (S6)."""
    lines = sorted(f"{grant.account} {' '.join(sorted(set(grant.roles)))}\n" for grant in grants)
    return hashlib.sha256("".join(lines).encode("utf-8")).hexdigest()


def check_proposer(*, gainer: str, proposer: str) -> None:
    """Refuses that somebody proposes a grant to themselves."""
    if gainer == proposer:
        raise NotAllowed("account", "proposed by somebody other than the one who gains (S6)")


def check_approver(
    *, field: str, gainer: str, proposer: str, approver: str, proposer_made_by: Maker, approver_made_by: Maker
) -> None:
    """Refuses an approval that is not by a second person.

    A second person is neither the proposer nor the one who gains, and neither of the two accounts was made by
    the other: who made an account has seen its first password, and could be both persons (S6).
    """
    if approver == gainer:
        raise NotAllowed(field, "approved by somebody other than the one who gains (S6)")
    check_second_person(
        field=field,
        proposer=proposer,
        approver=approver,
        proposer_made_by=proposer_made_by,
        approver_made_by=approver_made_by,
    )


def check_second_person(
    *, field: str, proposer: str, approver: str, proposer_made_by: Maker, approver_made_by: Maker
) -> None:
    """Refuses an approval by the proposer, or by an account that the proposer made or was made by (S6)."""
    if approver == proposer:
        raise NotAllowed(field, "approved by somebody other than who proposed it (S6)")
    if approver_made_by.includes(proposer) or proposer_made_by.includes(approver):
        raise NotAllowed(
            field,
            "approved by a person whose account the proposer did not make, nor the reverse (S6)",
        )


def check_author_stays(*, field: str, left: bool) -> None:
    """Refuses to approve what was proposed by a person who has left since: nobody answers for it."""
    if left:
        raise Conflict(field, "proposed by a person whose account is in force: this one has left")
