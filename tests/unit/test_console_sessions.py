"""Who is signed in at the console, and until when (S2)."""

from __future__ import annotations

import pytest
from console_parts import OPERATOR, Clock

from alerthub.domain.denials import Denial
from alerthub.domain.errors import NotAllowed, Retry
from alerthub.identity import NotAuthenticatedError, RevocationEntry, RevocationList
from services.console.sessions import Session, Sessions, csrf_matches

HOUR_MS = 3_600_000
MINUTE_MS = 60_000


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def revocations() -> RevocationList:
    return RevocationList()


@pytest.fixture
def sessions(clock: Clock, revocations: RevocationList) -> Sessions:
    made = Sessions(
        lifetime_ms=12 * HOUR_MS,
        idle_ms=30 * MINUTE_MS,
        maximum=3,
        revocations=revocations,
        now_ms=clock,
    )
    revocations.subscribe(made.sweep)
    return made


def opened(sessions: Sessions, clock: Clock, account: str = "li.wei") -> tuple[str, Session]:
    return sessions.open(
        account,
        frozenset({OPERATOR}),
        "renewal",
        opened_at_ms=clock.now_ms,
        expires_at_ms=clock.now_ms + 12 * HOUR_MS,
    )


def test_a_session_is_found_by_its_cookie_and_by_nothing_else(sessions: Sessions, clock: Clock) -> None:
    cookie, session = opened(sessions, clock)
    assert sessions.find(cookie) is session
    for other in ("", cookie[:-1], cookie + "A", cookie.swapcase()):
        with pytest.raises(NotAuthenticatedError):
            sessions.find(other)


def test_neither_cookie_nor_secrets_are_in_what_is_printed(sessions: Sessions, clock: Clock) -> None:
    cookie, session = opened(sessions, clock)
    session.tokens["dispatch"] = ("a token", 1)
    text = f"{session!r} {sessions.__dict__!r}"
    for secret in (cookie, session.csrf_token, session.renewal, "a token"):
        assert secret not in text


def test_a_desk_that_nobody_touches_for_half_an_hour_is_signed_out(sessions: Sessions, clock: Clock) -> None:
    cookie, session = opened(sessions, clock)
    clock.now_ms += 30 * MINUTE_MS - 1
    assert sessions.find(cookie) is session
    clock.now_ms += 1
    with pytest.raises(NotAuthenticatedError):
        sessions.find(cookie)


def test_after_twelve_hours_a_session_ends_however_busy_the_desk_is(sessions: Sessions, clock: Clock) -> None:
    cookie, session = opened(sessions, clock)
    for _ in range(12 * 60 - 1):
        clock.now_ms += MINUTE_MS
        sessions.touch(sessions.find(cookie))
    clock.now_ms += MINUTE_MS
    with pytest.raises(NotAuthenticatedError):
        sessions.find(cookie)
    assert session.ended


def test_a_revocation_ends_the_session_the_moment_that_it_is_known(
    sessions: Sessions, clock: Clock, revocations: RevocationList
) -> None:
    cookie, session = opened(sessions, clock)
    told: list[Denial] = []
    session.on_end(told.append)
    _, other = opened(sessions, clock, "wang")
    clock.now_ms += 1_000

    revocations.put(RevocationEntry("account:li.wei", 1, clock.now_ms))

    assert len(told) == 1
    assert not session.tokens
    assert not other.ended
    with pytest.raises(NotAuthenticatedError):
        sessions.find(cookie)


def test_other_roles_end_what_was_opened_before_and_not_what_is_opened_after(
    sessions: Sessions, clock: Clock, revocations: RevocationList
) -> None:
    _, before = opened(sessions, clock)
    clock.now_ms += 1_000
    revocations.put(RevocationEntry("account:li.wei", 1, clock.now_ms, reinstated=True))
    clock.now_ms += 1_000
    cookie, after = opened(sessions, clock)
    assert before.ended
    assert sessions.find(cookie) is after


def test_a_session_ends_once_and_says_why(sessions: Sessions, clock: Clock) -> None:
    _, session = opened(sessions, clock)
    told: list[Denial] = []
    session.on_end(told.append)
    sessions.end(session, Denial.SIGNED_OUT)
    session.end(Denial.SESSION_IDLE)
    assert (told, session.ended, len(sessions)) == ([Denial.SIGNED_OUT], Denial.SIGNED_OUT, 0)


def test_a_full_console_takes_nobody_until_somebody_goes(sessions: Sessions, clock: Clock) -> None:
    first = opened(sessions, clock)[1]
    for _ in range(2):
        opened(sessions, clock)
    with pytest.raises(Retry):
        opened(sessions, clock)
    first.end(Denial.SIGNED_OUT)
    opened(sessions, clock)


def test_a_role_that_is_not_held_is_refused(sessions: Sessions, clock: Clock) -> None:
    _, session = opened(sessions, clock)
    session.require(frozenset({OPERATOR}))
    with pytest.raises(NotAllowed, match="nobody"):
        session.require(frozenset())


@pytest.mark.parametrize("presented", ["", "x", "é", "\udcff"])
def test_only_the_sessions_own_csrf_token_matches(sessions: Sessions, clock: Clock, presented: str) -> None:
    _, session = opened(sessions, clock)
    assert csrf_matches(session, session.csrf_token)
    assert not csrf_matches(session, presented)
