"""Stories of the whole hub: what reaches a patrol, what never does, and what no outage changes."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import time
from pathlib import Path

import pytest
from running_hub import RunningHub
from spellings import found_in
from town import BY_URL, PERSON, UNAUTHORISED, VEHICLE, Patrol, Town

from alerthub.api.v1.alert_pb2 import ALERT_STATUS_CANCELLED
from alerthub.terminal.events import Link, LinkChanged
from alerthub.terminal.headless import now_ms
from alerthub.terminal.screen_state import RemovalReason


async def _everything_before_is_evaluated(town: Town, patrol: Patrol) -> None:
    """A stolen vehicle that was read last is on the screen: whatever was read before it has been judged."""
    plate, entry_id = await town.list_plate(VEHICLE)
    await town.read(plate)
    await patrol.shows_entry(entry_id)


# What reaches the patrol.


async def test_a_person_alert_reaches_the_patrol_once_it_is_confirmed(town: Town, patrol: Patrol) -> None:
    plate, entry_id = await town.list_plate(PERSON)
    await town.read(plate)
    await town.confirm(await town.awaiting(entry_id))
    shown = await patrol.shows_entry(entry_id)
    assert shown.push.alert.confirmed_by
    assert shown.push.details.identifier == plate


async def test_a_repeated_event_is_one_alert_with_one_sighting(town: Town, patrol: Patrol) -> None:
    plate, entry_id = await town.list_plate(VEHICLE)
    for _ in range(3):
        assert await town.post(plate, event_id="the-same-event") == 200
    await _everything_before_is_evaluated(town, patrol)
    (alert,) = await town.alerts_of(entry_id)
    assert alert.sighting_count == 1
    assert patrol.times_shown(entry_id) == 1


# What never does.


async def test_an_entry_that_nobody_approved_reaches_nobody_refusal_5(town: Town, patrol: Patrol) -> None:
    plate, entry_id = await town.list_plate(VEHICLE, approved=False)
    await town.read(plate)
    await _everything_before_is_evaluated(town, patrol)
    assert await town.alerts_of(entry_id) == []
    assert patrol.times_shown(entry_id) == 0


async def test_a_person_alert_that_nobody_confirmed_reaches_no_patrol_refusal_6(
    town: Town, patrol: Patrol
) -> None:
    plate, entry_id = await town.list_plate(PERSON)
    await town.read(plate)
    await town.awaiting(entry_id)
    await _everything_before_is_evaluated(town, patrol)
    assert patrol.times_shown(entry_id) == 0


async def test_an_expired_entry_reaches_nobody(town: Town, patrol: Patrol) -> None:
    plate, entry_id = await town.list_plate(VEHICLE, life_ms=4_000)
    end_ms = now_ms() + 4_000
    # Its validity is over by the clock: there is no other sign to wait for.
    await asyncio.sleep(max(0.0, (end_ms - now_ms()) / 1000))
    await town.read(plate)
    await _everything_before_is_evaluated(town, patrol)
    assert await town.alerts_of(entry_id) == []
    assert patrol.times_shown(entry_id) == 0


async def test_another_plate_reaches_nobody(town: Town, patrol: Patrol) -> None:
    plate, entry_id = await town.list_plate(VEHICLE)
    await town.read(town.new_plate())
    await town.read(plate[:-1] + ("3" if plate[-1] != "3" else "4"))
    await _everything_before_is_evaluated(town, patrol)
    assert await town.alerts_of(entry_id) == []


async def test_a_device_without_authorisation_checks_nobody_refusal_4(town: Town, patrol: Patrol) -> None:
    plate, entry_id = await town.list_plate(VEHICLE)
    await town.read(plate, UNAUTHORISED)
    await _everything_before_is_evaluated(town, patrol)
    assert await town.alerts_of(entry_id) == []


async def test_a_url_token_device_never_sends_at_once_s3(town: Town, patrol: Patrol) -> None:
    plate, entry_id = await town.list_plate(VEHICLE)
    await town.read(plate, BY_URL)
    await town.awaiting(entry_id)
    await _everything_before_is_evaluated(town, patrol)
    assert patrol.times_shown(entry_id) == 0


# Withdrawal and revocation.


async def test_a_withdrawn_entry_takes_its_alert_off_the_screen_refusal_7(town: Town, patrol: Patrol) -> None:
    plate, entry_id = await town.list_plate(VEHICLE)
    await town.read(plate)
    shown = await patrol.shows_entry(entry_id)
    started = time.monotonic()
    await town.withdraw(entry_id)
    async with asyncio.timeout(30):
        _, change = await patrol.shows(
            shown.alert_id, lambda change: change.removal is RemovalReason.CANCELLED
        )
    assert change.explanation
    # "Within seconds": 2 s on a machine of its own; a bound that a busy one keeps too.
    assert time.monotonic() - started < 10


async def test_an_entry_withdrawn_while_its_alert_is_in_flight_reaches_no_patrol_c8(
    town: Town, patrol: Patrol, hub: RunningHub
) -> None:
    plate, entry_id = await town.list_plate(VEHICLE)
    with hub.hung("dispatch"):
        await town.read(plate)
        await town.withdraw(entry_id)
    await _everything_before_is_evaluated(town, patrol)
    alerts = await town.alerts_of(entry_id)
    assert [alert.status for alert in alerts] in ([], [ALERT_STATUS_CANCELLED])
    assert entry_id not in {push.alert.entry_id for push in patrol.client.screen.alerts.values()}


async def test_a_revoked_terminal_loses_its_stream_and_what_it_held_s2(town: Town, tmp_path: Path) -> None:
    async with town.patrol(tmp_path / "terminal") as patrol:
        plate, entry_id = await town.list_plate(VEHICLE)
        await town.read(plate)
        await patrol.shows_entry(entry_id)
        await town.revoke_terminal()
        async with asyncio.timeout(10):
            await patrol.until(
                lambda e: isinstance(e, LinkChanged) and e.link in (Link.SIGNED_OFF, Link.REFUSED)
            )
        assert patrol.client.screen.alerts == {} or any(
            isinstance(event, LinkChanged) and event.link is Link.REFUSED for _, event in patrol.told
        )


# Outages.


async def test_a_terminal_that_was_off_gets_what_it_missed_once(town: Town, tmp_path: Path) -> None:
    folder = tmp_path / "terminal"
    async with town.patrol(folder) as patrol:
        first_plate, first_entry = await town.list_plate(VEHICLE)
        await town.read(first_plate)
        await patrol.shows_entry(first_entry)
    second_plate, second_entry = await town.list_plate(VEHICLE)
    await town.read(second_plate)
    await town.opened(second_entry)
    async with town.patrol(folder) as patrol:
        await patrol.shows_entry(second_entry)
        shown = [push.alert.entry_id for push in patrol.client.screen.alerts.values()]
        assert shown.count(first_entry) == 1
        assert shown.count(second_entry) == 1
        assert patrol.times_shown(first_entry) == 0
        assert patrol.times_shown(second_entry) == 1


@pytest.mark.parametrize(
    "victim",
    ["dispatch", "push", "gateway", "correlator", "watchlist", "registry", "kafka", "postgres"],
)
async def test_a_kill_in_the_middle_loses_and_doubles_nothing(
    town: Town, patrol: Patrol, hub: RunningHub, victim: str
) -> None:
    listed = [await town.list_plate(VEHICLE) for _ in range(4)]
    for plate, _ in listed[:2]:
        await town.read(plate)
    killing = asyncio.create_task(asyncio.to_thread(hub.kill, victim))
    for plate, _ in listed[2:]:
        await town.read(plate)
    await killing
    for _, entry_id in listed:
        await patrol.shows_entry(entry_id)
        (alert,) = await town.alerts_of(entry_id)
        assert alert.sighting_count == 1
    assert [patrol.times_shown(entry_id) for _, entry_id in listed] == [1, 1, 1, 1]


# What is written down.


def test_the_search_for_plates_finds_each_spelling() -> None:
    plates = ["冀RACEF3", "冀RXY479"]
    for written in (
        "x冀RXY479y".encode(),
        b"%E5%86%80RXY479",
        b'"\\u5180RXY479"',
        "冀RXY479".encode("utf-16-le"),
        *(base64.b64encode(b"a" * shift + "冀RXY479".encode() + b"zz") for shift in range(3)),
    ):
        assert found_in(b"before " + written + b" after", plates), written
    assert not found_in("冀RQQQQQ".encode(), plates)


async def test_no_plate_is_anywhere_in_the_hub_s_folder_s5(
    town: Town, patrol: Patrol, hub: RunningHub
) -> None:
    plate, _ = await town.list_plate(VEHICLE, approved=False)
    await town.read(plate)
    await town.read(town.new_plate())
    plate, entry_id = await town.list_plate(PERSON)
    await town.read(plate)
    await town.confirm(await town.awaiting(entry_id))
    assert (await patrol.shows_entry(entry_id)).push.details.identifier == plate
    await _everything_before_is_evaluated(town, patrol)
    assert await asyncio.to_thread(_files_with_a_plate, hub) == set()


def _files_with_a_plate(hub: RunningHub) -> set[str]:
    """Every file of the hub: Kafka's segments, PostgreSQL's tables and log, pictures, logs of services."""
    # Kafka's indexes hold offsets and times only, and are 10 MiB of zeros each.
    files = [
        path
        for path in hub.folder.root.rglob("*")
        if path.is_file() and not path.is_symlink() and path.suffix not in (".index", ".timeindex")
    ]
    assert any("observations-" in str(path) for path in files)
    found = set()
    for path in files:
        # PostgreSQL removes files of its own meanwhile.
        with contextlib.suppress(FileNotFoundError):
            if found_in(path.read_bytes(), hub.plates):
                found.add(str(path.relative_to(hub.folder.root)))
    return found
