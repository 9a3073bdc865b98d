"""What the gateway takes of an event: authorisation (refusal 4), class and rate (S3)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerthub.api.v1 import common_pb2
from alerthub.domain.admission import (
    PEAK_FACTOR,
    PEAK_FLOOR_PER_MINUTE,
    PEAK_LEARNT_AFTER_MINUTES,
    SUSPENSION_MS,
    AuthenticationClass,
    Authorisation,
    PeakState,
    RateLimit,
    RateState,
    check_authorisation,
    effective_class,
    observe_rate,
    take,
)
from alerthub.domain.errors import NotAllowed
from alerthub.domain.partitioning import partition_of

NOW = 1_800_000_000_000
MINUTE = 60_000
VALID = Authorisation(
    authorisation_id="a",
    active=True,
    active_from_ms=NOW - 10,
    valid_from_ms=NOW - 10,
    valid_until_ms=NOW + 10,
    legal_basis="law",
    purpose="stolen vehicles",
    categories=frozenset({"stolen_vehicle"}),
)


def test_a_valid_authorisation_allows_the_check() -> None:
    assert check_authorisation([VALID], now_ms=NOW) == "a"


def test_without_an_authorisation_nothing_is_checked() -> None:
    assert check_authorisation([], now_ms=NOW) is None


@pytest.mark.parametrize(
    "invalid",
    [
        replace(VALID, active=False),
        replace(VALID, active_from_ms=NOW + 1),
        replace(VALID, valid_from_ms=NOW + 1),
        replace(VALID, valid_until_ms=NOW),
        replace(VALID, legal_basis=""),
        replace(VALID, purpose=""),
        replace(VALID, categories=frozenset()),
    ],
)
def test_an_authorisation_that_lacks_something_allows_nothing(invalid: Authorisation) -> None:
    assert check_authorisation([invalid], now_ms=NOW) is None


def test_the_broadest_of_several_counts_in_whatever_order() -> None:
    broad = replace(VALID, authorisation_id="b", categories=frozenset({"stolen_vehicle", "wanted_person"}))
    assert check_authorisation([VALID, broad], now_ms=NOW) == "b"
    assert check_authorisation([broad, VALID], now_ms=NOW) == "b"


@pytest.mark.parametrize("registered", AuthenticationClass)
@pytest.mark.parametrize("used", AuthenticationClass)
def test_a_proof_weaker_than_registered_is_refused_and_a_stronger_gains_nothing(
    registered: AuthenticationClass, used: AuthenticationClass
) -> None:
    if used > registered:
        with pytest.raises(NotAllowed):
            effective_class(registered, used)
    else:
        assert effective_class(registered, used) is registered


def test_the_classes_have_the_numbers_of_the_wire() -> None:
    for one in AuthenticationClass:
        assert int(common_pb2.AuthenticationClass.Value(f"AUTHENTICATION_CLASS_{one.name}")) == int(one)


LIMIT = RateLimit(per_second=10, burst=20)


def test_a_burst_is_allowed_and_one_more_is_not() -> None:
    state, wait = take(None, LIMIT, 20, now_ms=NOW)
    assert wait == 0
    _, wait = take(state, LIMIT, 1, now_ms=NOW)
    assert wait == pytest.approx(0.1)


def test_the_allowance_comes_back_with_time() -> None:
    state, _ = take(None, LIMIT, 20, now_ms=NOW)
    _, wait = take(state, LIMIT, 5, now_ms=NOW + 500)
    assert wait == 0


def test_what_was_not_taken_costs_nothing() -> None:
    state, _ = take(None, LIMIT, 15, now_ms=NOW)
    state, wait = take(state, LIMIT, 10, now_ms=NOW)
    assert wait > 0
    assert take(state, LIMIT, 5, now_ms=NOW)[1] == 0


@given(st.lists(st.tuples(st.integers(0, 5_000), st.integers(1, 20)), max_size=60))
def test_no_more_than_burst_and_rate_is_ever_allowed(steps: list[tuple[int, int]]) -> None:
    state: RateState | None = None
    now, taken = NOW, 0
    for passed, count in steps:
        now += passed
        state, wait = take(state, LIMIT, count, now_ms=now)
        taken += count if wait == 0 else 0
    assert taken <= LIMIT.burst + (now - NOW) / 1000 * LIMIT.per_second + 1e-6


def learnt(per_minute: int) -> PeakState:
    state = PeakState()
    for minute in range(PEAK_LEARNT_AFTER_MINUTES + 1):
        state = observe_rate(state, per_minute, now_ms=NOW + minute * MINUTE)
    return state


LATER = NOW + (PEAK_LEARNT_AFTER_MINUTES + 1) * MINUTE


def test_a_device_far_over_its_learnt_peak_is_suspended() -> None:
    state = observe_rate(learnt(300), 300 * PEAK_FACTOR + 1, now_ms=LATER)
    assert state.suspended_until_ms == LATER + SUSPENSION_MS


def test_a_device_at_its_usual_peak_is_not_suspended() -> None:
    assert observe_rate(learnt(300), 1_500, now_ms=LATER).suspended_until_ms == 0


def test_a_quiet_device_may_have_a_busy_minute() -> None:
    assert observe_rate(learnt(1), PEAK_FLOOR_PER_MINUTE, now_ms=LATER).suspended_until_ms == 0


def test_a_device_that_is_not_yet_known_is_not_suspended() -> None:
    assert observe_rate(PeakState(), 100_000, now_ms=NOW).suspended_until_ms == 0


def test_what_a_thief_sent_does_not_become_the_peak() -> None:
    state = observe_rate(learnt(300), 50_000, now_ms=LATER)
    state = observe_rate(state, 1, now_ms=LATER + SUSPENSION_MS + MINUTE)
    assert state.peak < 1_000


@given(st.text(max_size=20), st.integers(1, 200))
def test_a_district_is_always_in_the_same_partition(district: str, partitions: int) -> None:
    assert partition_of(district, partitions) == partition_of(district, partitions)
    assert 0 <= partition_of(district, partitions) < partitions


def test_partitions_are_those_that_are_written_down() -> None:
    # CRC-32 of "123456789" is 0xCBF43926 (ISO 3309): another hash would part districts from their state.
    assert partition_of("123456789", 128) == 0xCBF43926 % 128
