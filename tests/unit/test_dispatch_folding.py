"""What becomes of a rule that fired (C6, C8)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from alerthub.domain.alerts import OPEN_STATUSES, Status
from alerthub.domain.folding import (
    JOIN_AFTER_CLOSING_MS,
    Disposition,
    Folded,
    KnownEntry,
    NewestAlert,
    Raised,
    covered_by,
    fold,
)

NOW = 1_700_000_000_000
EXACT, CONFUSABLE, OTHER = b"E" * 16, b"C" * 16, b"O" * 16
READ = Raised(3, frozenset({EXACT, CONFUSABLE}))
IN_FORCE = KnownEntry(active=True, valid_until_ms=NOW + 1)


def newest(
    status: Status = Status.ACCEPTED, *, closed_at_ms: int = 0, severity: int = 3, basis: bytes = EXACT
) -> NewestAlert:
    return NewestAlert(status, severity, closed_at_ms, basis)


def folded(
    raised: Raised = READ,
    before: NewestAlert | None = None,
    entry: KnownEntry | None = IN_FORCE,
    suppressed_until_ms: int = 0,
) -> Folded:
    return fold(raised, newest=before, entry=entry, suppressed_until_ms=suppressed_until_ms, now_ms=NOW)


def test_the_first_hit_opens_an_alert() -> None:
    assert folded().disposition is Disposition.OPENED


@given(st.sampled_from(sorted(OPEN_STATUSES)), st.integers(1, 4))
def test_a_repeat_joins_while_the_alert_is_open_even_when_it_is_more_severe(
    status: Status, severity: int
) -> None:
    assert folded(Raised(severity, READ.tokens), newest(status)).disposition is Disposition.JOINED


def test_a_repeat_joins_for_ten_minutes_after_closing() -> None:
    within = newest(Status.CLOSED, closed_at_ms=NOW - JOIN_AFTER_CLOSING_MS + 1)
    after = newest(Status.CLOSED, closed_at_ms=NOW - JOIN_AFTER_CLOSING_MS)
    assert folded(before=within).disposition is Disposition.JOINED
    assert folded(before=after).disposition is Disposition.OPENED


def test_a_more_severe_repeat_of_a_closed_alert_opens_a_new_one() -> None:
    assert (
        folded(Raised(4, READ.tokens), newest(Status.CLOSED, closed_at_ms=NOW - 1)).disposition
        is Disposition.OPENED
    )


def test_another_identifier_after_closing_opens_a_new_alert() -> None:
    closed = newest(Status.CLOSED, closed_at_ms=NOW - 1)
    assert folded(Raised(3, frozenset({OTHER})), closed).disposition is Disposition.OPENED


def test_a_read_that_carries_the_confirmed_token_is_covered() -> None:
    assert folded(before=newest()) == Folded(Disposition.JOINED, covered=True)


def test_c6_a_weaker_read_and_another_identifier_need_their_own_confirmation() -> None:
    weaker = Raised(3, frozenset({b"X" * 16, CONFUSABLE}))
    assert folded(weaker, newest()) == Folded(Disposition.JOINED, covered=False)
    assert folded(Raised(3, frozenset({OTHER})), newest()) == Folded(Disposition.JOINED, covered=False)


def test_a_stronger_read_of_an_alert_confirmed_on_a_weak_match_is_covered() -> None:
    assert folded(before=newest(basis=CONFUSABLE)).covered


def test_an_alert_of_a_zone_rule_covers_every_sighting() -> None:
    assert covered_by(b"", frozenset())


def test_c6_a_rejection_suppresses_until_its_cooldown_ends() -> None:
    rejected = newest(Status.REJECTED, closed_at_ms=NOW - 1)
    assert folded(before=rejected, suppressed_until_ms=NOW + 1).disposition is Disposition.SUPPRESSED
    assert folded(before=rejected, suppressed_until_ms=NOW).disposition is Disposition.OPENED


def test_a_rejected_alert_takes_no_sighting_of_another_token_or_device() -> None:
    assert folded(before=newest(Status.REJECTED, closed_at_ms=NOW - 1)).disposition is Disposition.OPENED


def test_refusal_7_an_entry_that_was_withdrawn_or_has_expired_opens_nothing() -> None:
    withdrawn = KnownEntry(active=False, valid_until_ms=NOW + 1_000)
    expired = KnownEntry(active=True, valid_until_ms=NOW)
    assert folded(entry=withdrawn).disposition is Disposition.ENTRY_ENDED
    assert folded(entry=expired).disposition is Disposition.ENTRY_ENDED
    assert folded(entry=withdrawn, before=newest()).disposition is Disposition.ENTRY_ENDED


def test_a_direct_call_is_never_taken_for_a_repeat_of_one_that_is_over() -> None:
    call = Raised(4, frozenset(), direct_call=True)
    closed = newest(Status.CLOSED, closed_at_ms=NOW - 1, severity=4, basis=b"")
    assert folded(call, closed, entry=None, suppressed_until_ms=NOW + 1).disposition is Disposition.OPENED
