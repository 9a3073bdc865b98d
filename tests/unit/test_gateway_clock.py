"""A device's clock is learnt from what it sends, and only believed when many events agree."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from alerthub.domain.clock import LEARNT_AFTER, ClockState, CorrectedTime, correct

NOW = 1_800_000_000_000
YEAR = 365 * 86_400_000
HOUR = 3_600_000


def after(
    *events: tuple[int, int], state: ClockState | None = None, offset: int = 0
) -> tuple[ClockState, CorrectedTime]:
    """Events as (received, delay) of a device whose clock is `offset` ahead; gives the last one's
    correction."""
    state = state or ClockState()
    corrected = CorrectedTime(0, 0, learnt=False)
    for received, delay in events:
        state, corrected = correct(state, device_time_ms=received - delay + offset, received_time_ms=received)
    return state, corrected


def steady(count: int, *, start: int = NOW, delay: int = 30) -> list[tuple[int, int]]:
    return [(start + position * 1_000, delay) for position in range(count)]


def test_before_it_is_learnt_the_time_of_receipt_counts() -> None:
    _, corrected = after((NOW, 30), offset=8 * YEAR)
    assert (corrected.time_ms, corrected.learnt) == (NOW, False)


def test_the_uncertainty_before_it_is_learnt_is_the_whole_difference() -> None:
    _, corrected = after((NOW, 0), offset=-HOUR)
    assert corrected.uncertainty_ms == HOUR + 500


def test_a_clock_eight_years_ahead_is_learnt() -> None:
    state, _ = after(*steady(LEARNT_AFTER), offset=8 * YEAR)
    _, corrected = after((NOW + 60_000, 20_030), state=state, offset=8 * YEAR)
    assert corrected.learnt
    assert abs(corrected.time_ms - (NOW + 40_000)) <= corrected.uncertainty_ms


def test_a_late_event_of_a_learnt_clock_keeps_its_own_time() -> None:
    state, _ = after(*steady(20))
    _, corrected = after((NOW + 10 * 60_000, 5 * 60_000), state=state)
    assert corrected.time_ms == NOW + 10 * 60_000 - 5 * 60_000 + 30


def test_an_event_from_the_future_is_one_from_now() -> None:
    state, _ = after(*steady(20))
    _, corrected = after((NOW + 30_000, -1_500), state=state)
    assert corrected.time_ms <= NOW + 30_000


def test_a_backlog_that_is_sent_in_a_burst_does_not_set_the_clock() -> None:
    # Ten minutes of events, one a second, sent within half a second after an outage.
    state, _ = after(*steady(32))
    back = NOW + 32_000 + 600_000
    backlog = [(back + position, 600_000 - position * 1_000) for position in range(0, 500, 10)]
    for event in backlog[:20]:
        state, corrected = after(event, state=state)
        if corrected.learnt:
            assert corrected.time_ms < back - 100_000


def test_a_clock_that_was_set_back_an_hour_is_learnt_anew() -> None:
    state, _ = after(*steady(32))
    _, corrected = after(*steady(30, start=NOW + 60_000), state=state, offset=-HOUR)
    assert corrected.learnt
    assert abs(corrected.time_ms - (NOW + 89_000)) < 1_000


def test_a_clock_that_was_set_by_years_is_forgotten_at_once() -> None:
    state, _ = after(*steady(32))
    _, corrected = after((NOW + 40_000, 30), state=state, offset=8 * YEAR)
    assert (corrected.learnt, corrected.time_ms) == (False, NOW + 40_000)


def test_a_template_that_always_says_the_same_time_never_counts_as_a_clock() -> None:
    state = ClockState()
    for position in range(40):
        received = NOW + position * 10_000
        state, corrected = correct(state, device_time_ms=NOW - YEAR, received_time_ms=received)
        assert corrected.time_ms == received


def test_a_device_without_a_clock_is_taken_at_the_time_of_receipt() -> None:
    state, corrected = correct(ClockState(), device_time_ms=0, received_time_ms=NOW)
    assert (corrected.time_ms, corrected.learnt, state) == (NOW, False, ClockState())


@given(
    st.lists(st.tuples(st.integers(0, 2**45), st.integers(0, 253_402_300_799_999)), min_size=1, max_size=60)
)
def test_no_clock_whatever_makes_an_event_later_than_its_receipt(events: list[tuple[int, int]]) -> None:
    state = ClockState()
    for received, device_time in sorted(events):
        state, corrected = correct(state, device_time_ms=device_time, received_time_ms=received)
        assert corrected.time_ms <= received
        assert 0 <= corrected.uncertainty_ms < 2**32


@given(
    offset=st.integers(-20 * YEAR, 20 * YEAR),
    delays=st.lists(st.integers(0, 900), min_size=LEARNT_AFTER, max_size=60),
)
def test_a_learnt_time_is_within_its_uncertainty(offset: int, delays: list[int]) -> None:
    events = [(NOW + position * 2_000, delay) for position, delay in enumerate(delays)]
    _, corrected = after(*events, offset=offset)
    happened = events[-1][0] - events[-1][1]
    assert corrected.learnt
    assert abs(corrected.time_ms - happened) <= 1_400
