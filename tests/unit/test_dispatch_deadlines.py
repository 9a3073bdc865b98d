"""When a deadline that has passed may be acted upon (C14)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from alerthub.domain.deadlines import DeadlineKind, DeadlineTimes, may_fire

NOW = 1_700_000_000_000


def fires(
    due_ms: int, *, now_ms: int = NOW, watching_since_ms: int = NOW - 60_000, grace_ms: int = 20_000
) -> bool:
    return may_fire(due_ms=due_ms, now_ms=now_ms, watching_since_ms=watching_since_ms, grace_ms=grace_ms)


def test_a_deadline_fires_when_it_is_due_and_not_before() -> None:
    assert fires(NOW)
    assert not fires(NOW + 1)


def test_c14_after_an_outage_an_overdue_deadline_waits_for_queued_receipts() -> None:
    # given one that ran out while nobody watched, when watching began a second ago
    assert not fires(NOW - 30_000, watching_since_ms=NOW - 1_000)
    # then it fires once the grace is over
    assert fires(NOW - 30_000, watching_since_ms=NOW - 20_000)


@given(st.integers(-100_000, 100_000), st.integers(-100_000, 0), st.integers(0, 60_000))
def test_no_deadline_fires_early_and_each_fires_at_last(due: int, watching: int, grace: int) -> None:
    due_ms, since = NOW + due, NOW + watching
    if fires(due_ms, watching_since_ms=since, grace_ms=grace):
        assert due_ms <= NOW
    late = max(due_ms, since + grace)
    assert fires(due_ms, now_ms=late, watching_since_ms=since, grace_ms=grace)


def test_every_wait_has_its_own_length() -> None:
    times = DeadlineTimes(confirmation_ms=1, delivery_ms=2, acknowledgement_ms=3)
    assert [times.of(kind) for kind in DeadlineKind] == [1, 2, 3]
