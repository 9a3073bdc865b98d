"""Locking out who guesses, and two persons for every grant (S6)."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerthub.domain.accounts import (
    LONGEST_LOCK_MS,
    SESSION_IDLE_MS,
    SESSION_LIFE_MS,
    Grant,
    Maker,
    SessionTimes,
    SignInState,
    after_failure,
    after_success,
    check_approver,
    check_author_stays,
    check_proposer,
    digest_of,
    is_locked,
    session_lives,
)
from alerthub.domain.errors import Conflict, NotAllowed

NOW = 1_800_000_000_000


def failed(times: int) -> SignInState:
    state = SignInState()
    for _ in range(times):
        state = after_failure(state, NOW)
    return state


def test_four_wrong_passwords_lock_nobody_out() -> None:
    assert not is_locked(failed(4), NOW)


def test_the_fifth_wrong_password_locks_for_half_a_minute() -> None:
    state = failed(5)
    assert is_locked(state, NOW + 29_999)
    assert not is_locked(state, NOW + 30_000)


def test_each_further_failure_locks_twice_as_long() -> None:
    assert failed(6).locked_until_ms - NOW == 60_000
    assert failed(7).locked_until_ms - NOW == 120_000


@given(st.integers(5, 500))
def test_no_lock_is_longer_than_a_quarter_of_an_hour(failures: int) -> None:
    assert 30_000 <= failed(failures).locked_until_ms - NOW <= LONGEST_LOCK_MS


def test_the_right_password_begins_anew() -> None:
    assert after_success() == SignInState()


def test_nobody_proposes_a_grant_to_themselves() -> None:
    check_proposer(gainer="chen", proposer="wang")
    with pytest.raises(NotAllowed):
        check_proposer(gainer="chen", proposer="chen")


def approve(
    approver: str, *, proposer_made_by: Maker | None = None, approver_made_by: Maker | None = None
) -> None:
    check_approver(
        field="import_id",
        gainer="chen",
        proposer="wang",
        approver=approver,
        proposer_made_by=proposer_made_by or Maker(),
        approver_made_by=approver_made_by or Maker(),
    )


def test_a_second_person_approves() -> None:
    approve("zhao", approver_made_by=Maker("liu", "sun"))


def test_who_proposed_does_not_approve() -> None:
    with pytest.raises(NotAllowed):
        approve("wang")


def test_who_gains_does_not_approve() -> None:
    with pytest.raises(NotAllowed, match="import_id"):
        approve("chen")


@pytest.mark.parametrize("maker", [Maker("wang", "liu"), Maker("liu", "wang")])
def test_nobody_approves_alone_with_an_account_that_they_made(maker: Maker) -> None:
    with pytest.raises(NotAllowed):
        approve("zhao", approver_made_by=maker)


@pytest.mark.parametrize("maker", [Maker("zhao", "liu"), Maker("liu", "zhao")])
def test_nobody_approves_what_an_account_that_they_made_proposed(maker: Maker) -> None:
    with pytest.raises(NotAllowed):
        approve("zhao", proposer_made_by=maker)


def lives(
    *, opened_ms: int = NOW - 1_000, renewed_ms: int = NOW, revoked: bool = False, ended_ms: int = 0
) -> bool:
    times = SessionTimes(opened_ms, opened_ms + SESSION_LIFE_MS, renewed_ms)
    return session_lives(times, account_revoked=revoked, account_ended_at_ms=ended_ms, now_ms=NOW)


def test_a_session_lives_while_it_is_used() -> None:
    assert lives()


def test_a_session_ends_after_twelve_hours_however_much_it_is_used() -> None:
    assert lives(opened_ms=NOW - 12 * 3_600_000 + 1)
    assert not lives(opened_ms=NOW - 12 * 3_600_000)


def test_a_session_that_asks_for_no_token_ends() -> None:
    assert lives(renewed_ms=NOW - SESSION_IDLE_MS + 1)
    assert not lives(renewed_ms=NOW - SESSION_IDLE_MS)


def test_a_revoked_account_has_no_session() -> None:
    assert not lives(revoked=True)


def test_what_was_opened_before_the_roles_changed_ends() -> None:
    assert lives(ended_ms=NOW - 1_001)
    assert not lives(ended_ms=NOW - 1_000)


ROLES = st.lists(
    st.sampled_from(["ROLE_OFFICER", "ROLE_OPERATOR", "ROLE_SUPERVISOR"]), min_size=1, unique=True
)
GRANTS = st.lists(
    st.builds(Grant, st.text("abc019_.-", min_size=1, max_size=9), ROLES.map(tuple)),
    max_size=5,
    unique_by=lambda grant: grant.account,
)


@given(GRANTS, st.randoms(use_true_random=False))
def test_a_digest_names_the_grants_whatever_their_order(grants: list[Grant], random: Random) -> None:
    mixed = [Grant(grant.account, tuple(reversed(grant.roles))) for grant in grants]
    random.shuffle(mixed)
    assert digest_of(mixed) == digest_of(grants)


@given(GRANTS, GRANTS)
def test_s6_other_grants_have_another_digest(some: list[Grant], others: list[Grant]) -> None:
    def as_set(grants: list[Grant]) -> set[tuple[str, frozenset[str]]]:
        return {(grant.account, frozenset(grant.roles)) for grant in grants}

    assert (digest_of(some) == digest_of(others)) == (as_set(some) == as_set(others))


def test_what_somebody_proposed_who_has_left_is_not_approved() -> None:
    check_author_stays(field="entry_id", left=False)
    with pytest.raises(Conflict):
        check_author_stays(field="entry_id", left=True)
