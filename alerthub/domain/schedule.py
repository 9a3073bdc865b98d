"""Whether a rule is in force at an instant: weekly hours in a time zone, without the excepted dates.

The wall clock decides, as on a traffic sign: a bay that is closed from 22:00 to 06:00 is closed by the clock
of its own city, on the nights when the clock changes too.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from alerthub.domain.errors import Refuse

MINUTES_OF_DAY = 1_440
DAYS_OF_WEEK = range(1, 8)


@dataclass(frozen=True, slots=True)
class Hours:
    """From `from_minute` until (excluding) `until_minute`, minutes since midnight, on `days` (1 is Monday).

    `until_minute` may pass midnight (above 1440): the hours then belong to the day on which they begin.
    """

    days: tuple[int, ...]
    from_minute: int
    until_minute: int


@dataclass(frozen=True, slots=True)
class Schedule:
    """The hours of a week in an IANA time zone; no hours: always. Never on the excepted (local) dates."""

    time_zone: str
    hours: tuple[Hours, ...] = ()
    excepted_dates: tuple[date, ...] = ()


def is_in_force(schedule: Schedule | None, at_ms: int) -> bool:
    """Whether the schedule holds at `at_ms` (milliseconds since 1970, UTC). No schedule: always.

    An excepted date is a local date on which nothing holds, the end of last night's hours included.
    """
    if schedule is None or not (schedule.hours or schedule.excepted_dates):
        return True
    moment = datetime.fromtimestamp(at_ms // 1_000, UTC).astimezone(ZoneInfo(schedule.time_zone))
    today = moment.date()
    if today in schedule.excepted_dates:
        return False
    if not schedule.hours:
        return True
    minute = moment.hour * 60 + moment.minute
    yesterday = (today - timedelta(days=1)).isoweekday()
    return any(
        (today.isoweekday() in hours.days and hours.from_minute <= minute < hours.until_minute)
        or (yesterday in hours.days and minute + MINUTES_OF_DAY < hours.until_minute)
        for hours in schedule.hours
    )


def check_schedule(schedule: Schedule, field: str) -> None:
    """Refuses, below the name `field`, a schedule that no clock could follow."""
    try:
        ZoneInfo(schedule.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Refuse(f"{field}.time_zone", "an IANA time zone, such as Asia/Shanghai") from None
    for index, hours in enumerate(schedule.hours):
        name = f"{field}.hours[{index}]"
        if not hours.days or any(day not in DAYS_OF_WEEK for day in hours.days):
            raise Refuse(f"{name}.days", "days from 1 (Monday) to 7 (Sunday)")
        if len(set(hours.days)) != len(hours.days):
            raise Refuse(f"{name}.days", "each day once")
        if not 0 <= hours.from_minute < MINUTES_OF_DAY:
            raise Refuse(f"{name}.from_minute", "a minute of the day, 0 to 1439")
        if not hours.from_minute < hours.until_minute <= hours.from_minute + MINUTES_OF_DAY:
            raise Refuse(f"{name}.until_minute", "later than from_minute by at most 1440 minutes")
