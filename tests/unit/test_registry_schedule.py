"""When a rule is in force."""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerthub.domain.errors import Refuse
from alerthub.domain.schedule import Hours, Schedule, check_schedule, is_in_force

EVERY_DAY = (1, 2, 3, 4, 5, 6, 7)
SHANGHAI = "Asia/Shanghai"


def at(text: str, zone: str = SHANGHAI) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


def test_a_rule_without_a_schedule_always_holds() -> None:
    assert is_in_force(None, at("2026-11-24T03:00"))
    assert is_in_force(Schedule(SHANGHAI), at("2026-11-24T03:00"))


def test_hours_begin_at_their_first_minute_and_end_before_their_last() -> None:
    weekdays = Schedule(SHANGHAI, (Hours((1, 2, 3, 4, 5), 7 * 60, 22 * 60),))
    assert not is_in_force(weekdays, at("2026-11-24T06:59:59"))
    assert is_in_force(weekdays, at("2026-11-24T07:00"))
    assert is_in_force(weekdays, at("2026-11-24T21:59:59"))
    assert not is_in_force(weekdays, at("2026-11-24T22:00"))
    assert not is_in_force(weekdays, at("2026-11-28T12:00")), "a Saturday"


def test_the_zone_decides_not_the_machine() -> None:
    morning = (Hours(EVERY_DAY, 6 * 60, 8 * 60),)
    instant = at("2026-11-24T07:00")
    assert is_in_force(Schedule(SHANGHAI, morning), instant)
    assert not is_in_force(Schedule("UTC", morning), instant)


def test_hours_past_midnight_belong_to_the_day_on_which_they_begin() -> None:
    friday_night = Schedule(SHANGHAI, (Hours((5,), 22 * 60, 30 * 60),))
    assert is_in_force(friday_night, at("2026-11-27T23:00")), "Friday night"
    assert is_in_force(friday_night, at("2026-11-28T05:59")), "Saturday before six"
    assert not is_in_force(friday_night, at("2026-11-28T06:00"))
    assert not is_in_force(friday_night, at("2026-11-28T23:00")), "Saturday night"
    assert not is_in_force(friday_night, at("2026-11-27T03:00")), "Thursday's night"


def test_nothing_holds_on_an_excepted_date() -> None:
    holiday = Schedule(SHANGHAI, (Hours(EVERY_DAY, 20 * 60, 28 * 60),), (date(2026, 10, 1),))
    assert is_in_force(holiday, at("2026-09-30T23:59"))
    assert not is_in_force(holiday, at("2026-10-01T00:30")), "the end of the night before"
    assert not is_in_force(holiday, at("2026-10-01T21:00"))
    assert is_in_force(holiday, at("2026-10-02T21:00"))


def test_an_excepted_date_without_hours_is_the_only_exception() -> None:
    always_but = Schedule(SHANGHAI, (), (date(2026, 10, 1),))
    assert is_in_force(always_but, at("2026-10-02T00:00"))
    assert not is_in_force(always_but, at("2026-10-01T23:59"))


def test_the_wall_clock_decides_in_the_night_when_it_changes() -> None:
    # Berlin, 25 October 2026: 02:30 comes twice.
    night = Schedule("Europe/Berlin", (Hours(EVERY_DAY, 2 * 60, 3 * 60),))
    first = at("2026-10-25T02:30", "Europe/Berlin")
    assert is_in_force(night, first)
    assert is_in_force(night, first + 3_600_000)
    assert not is_in_force(night, first + 2 * 3_600_000)


@given(
    minutes=st.integers(0, 1439).flatmap(
        lambda start: st.tuples(st.just(start), st.integers(start + 1, start + 1440))
    ),
    days=st.sets(st.integers(1, 7), min_size=1),
    instant=st.integers(1_700_000_000_000, 1_900_000_000_000),
)
def test_hours_hold_exactly_when_a_day_they_begin_on_reaches_the_instant(
    minutes: tuple[int, int], days: set[int], instant: int
) -> None:
    schedule = Schedule(SHANGHAI, (Hours(tuple(sorted(days)), *minutes),))
    check_schedule(schedule, "schedule")
    local = datetime.fromtimestamp(instant / 1000, ZoneInfo(SHANGHAI))
    week_minute = (local.isoweekday() - 1) * 1440 + local.hour * 60 + local.minute
    week = 7 * 1440
    starts = [(day - 1) * 1440 + minutes[0] for day in days]
    length = minutes[1] - minutes[0]
    expected = any((week_minute - start) % week < length for start in starts)
    assert is_in_force(schedule, instant) == expected


@pytest.mark.parametrize(
    ("schedule", "field"),
    [
        (Schedule("Mars/Olympus"), "schedule.time_zone"),
        (Schedule("../../etc/passwd"), "schedule.time_zone"),
        (Schedule(""), "schedule.time_zone"),
        (Schedule(SHANGHAI, (Hours((), 0, 60),)), "schedule.hours[0].days"),
        (Schedule(SHANGHAI, (Hours((8,), 0, 60),)), "schedule.hours[0].days"),
        (Schedule(SHANGHAI, (Hours((1, 1), 0, 60),)), "schedule.hours[0].days"),
        (Schedule(SHANGHAI, (Hours((1,), 1440, 1500),)), "schedule.hours[0].from_minute"),
        (Schedule(SHANGHAI, (Hours((1,), 60, 60),)), "schedule.hours[0].until_minute"),
        (Schedule(SHANGHAI, (Hours((1,), 60, 1501),)), "schedule.hours[0].until_minute"),
    ],
)
def test_a_schedule_that_no_clock_could_follow_is_refused(schedule: Schedule, field: str) -> None:
    with pytest.raises(Refuse) as refused:
        check_schedule(schedule, "schedule")
    assert refused.value.field == field
