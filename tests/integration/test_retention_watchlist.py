"""What the watchlist forgets, and when: rows older and younger than each life of `docs/retention.md`."""

from __future__ import annotations

from watchlist_support import (
    DAY_MS,
    Hub,
    fresh_watchlist_fixture,  # noqa: F401 - pytest finds it by its name
    now_ms,
    own_hub_fixture,  # noqa: F401
    start_watchlist_fixture,  # noqa: F401
)

MINUTE_MS = 60_000

LIVES = {
    "alert_key": (
        "alert_id",
        30 * DAY_MS,
        "INSERT INTO alert_key VALUES (:name, 'wrapped', 'e1', '', :then)",
    ),
    "open_record": ("person", DAY_MS, "INSERT INTO open_record VALUES (:name, 'entry:e1', 'a1', :then)"),
    "command": ("command_id", DAY_MS, "INSERT INTO command VALUES (:name, 'lin', 'AddEntry', '', :then)"),
    "gateway_report": ("gateway_id", DAY_MS, "INSERT INTO gateway_report VALUES (:name, :then, 1, 1)"),
}
"""For each table: its key, its life, and how a row of some time comes in."""


async def test_the_watchlist_forgets_exactly_what_has_had_its_time(own_hub: Hub) -> None:
    # given of everything one that has had its time, and one that has a minute left
    jobs = own_hub.service.jobs
    await jobs.stop()
    time_ms = now_ms()
    jobs._now_ms = lambda: time_ms
    for _, life_ms, statement in LIVES.values():
        for name, age_ms in (("old", life_ms + MINUTE_MS), ("young", life_ms - MINUTE_MS)):
            await own_hub.sql(statement, name=name, then=time_ms - age_ms)

    # when
    jobs._last_forgetting_ms = 0
    await jobs.forget()

    # then exactly the old ones are gone
    for table, (key, _, _) in LIVES.items():
        rows = await own_hub.sql(f"SELECT {key} FROM {table}")  # noqa: S608 - names of this file
        assert [row[0] for row in rows] == ["young"], table


async def test_an_entry_past_its_end_is_expired_and_a_younger_one_is_not(own_hub: Hub) -> None:
    # given an entry that ends tomorrow, and one that ends the day after
    jobs = own_hub.service.jobs
    ends, lasts = await own_hub.listed("冀RA8HK5", days=1), await own_hub.listed("冀RA8HK6", days=2)
    await jobs.stop()

    # when tomorrow has come
    later_ms = now_ms() + DAY_MS + MINUTE_MS
    jobs._now_ms = lambda: later_ms
    await jobs.end_overdue()

    # then it works no more, and the other does
    rows = await own_hub.sql("SELECT entry_id, ended_at_ms FROM entry ORDER BY valid_until_ms")
    assert [tuple(row) for row in rows] == [(ends, later_ms), (lasts, None)]


async def test_a_mask_that_no_open_entry_uses_is_forgotten(own_hub: Hub) -> None:
    # given two masks, of an entry that has ended and of one that works
    gone, kept = "1110111", "1101111"
    jobs = own_hub.service.jobs
    for plate, mask, days in (("冀RA8HK5", gone, 1), ("冀RA8HK6", kept, 2)):
        await own_hub.entered(plate, masks=("exact", mask), days=days)
    await jobs.stop()
    later_ms = now_ms() + DAY_MS + MINUTE_MS
    jobs._now_ms = lambda: later_ms
    await jobs.end_overdue()

    # when the epoch changes
    await own_hub.service.key_handlers.forget_unused_masks()

    # then
    noted = {str(row[0]) for row in await own_hub.sql("SELECT mask FROM mask_use")}
    assert (gone in noted, kept in noted) == (False, True)
