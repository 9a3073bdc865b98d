"""When a rule, source or device is suspended for its precision (refusal 9)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerthub.domain.alerts import OutcomeKind
from alerthub.domain.precision import MINIMUM_OUTCOMES, Record, below_floor, judges, wilson_upper_bound


def test_refusal_9_fewer_than_twenty_outcomes_suspend_nothing() -> None:
    assert not below_floor(Record(MINIMUM_OUTCOMES - 1, 0), 0.5)
    assert below_floor(Record(MINIMUM_OUTCOMES, 0), 0.5)


def test_the_upper_bound_and_not_the_share_is_compared() -> None:
    # 8 of 20 are right: 40 %, but as many as 61 % may be
    assert wilson_upper_bound(Record(20, 8)) == pytest.approx(0.6134, abs=1e-4)
    assert not below_floor(Record(20, 8), 0.5)


@given(st.integers(1, 500).flatmap(lambda count: st.tuples(st.just(count), st.integers(0, count))))
def test_the_bound_lies_between_the_share_and_one(record: tuple[int, int]) -> None:
    count, right = record
    assert right / count <= wilson_upper_bound(Record(count, right)) + 1e-12 <= 1 + 1e-9


def test_an_outcome_that_says_nothing_is_not_counted() -> None:
    assert judges(OutcomeKind.OTHER) is None
    assert judges(OutcomeKind.FOUND) is True
    assert judges(OutcomeKind.NOT_FOUND) is True
    assert judges(OutcomeKind.MISREAD) is False
    assert judges(OutcomeKind.ENTRY_WRONG) is False
