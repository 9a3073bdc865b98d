"""A fleet tells what happened until the hub has it, and says at any moment what it told."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from dataclasses import replace

import pytest

from alerthub.domain.errors import Refuse, Retry
from alerthub.simulator import fleet as fleet_module
from alerthub.simulator.city import Device
from alerthub.simulator.fleet import Fleet
from alerthub.simulator.happenings import Happening
from alerthub.simulator.scenario import Figures, make_scenario

SCENARIO = make_scenario(Figures(seed=2, scale=1, rate=30, duration_seconds=10, speed=12))


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet_module, "END_SECONDS", 0.05)


def hurried(fleet: Fleet) -> Fleet:
    """Its run began long ago: everything is due."""
    fleet.begin()
    fleet._began -= 3_600
    return fleet


async def test_everything_is_told_each_device_in_its_order_and_repeats_as_often_as_asked() -> None:
    told: list[int] = []

    async def send(_: Device, happening: Happening) -> None:
        await asyncio.sleep(0)
        told.append(happening.number)

    fleet = hurried(Fleet(SCENARIO, send))
    await fleet.run(asyncio.Event())

    assert Counter(told) == {each.number: each.copies for each in SCENARIO.happenings}
    device_of = {each.number: each.device_id for each in SCENARIO.happenings}
    for device in set(device_of.values()):
        numbers = [number for number in told if device_of[number] == device]
        assert all(before <= after for before, after in itertools.pairwise(numbers))
    assert fleet.acknowledged == len(SCENARIO.happenings)
    assert all(each.acknowledged_ms is not None for each in fleet.told)


async def test_what_the_hub_cannot_take_now_is_told_again_and_counts_once() -> None:
    tries: Counter[int] = Counter()

    async def send(_: Device, happening: Happening) -> None:
        tries[happening.number] += 1
        if tries[happening.number] == 1:
            raise Retry("not now", after_seconds=0)

    fleet = hurried(Fleet(SCENARIO, send))
    await fleet.run(asyncio.Event())

    assert fleet.acknowledged == len(SCENARIO.happenings)
    assert len(fleet.told) == len(SCENARIO.happenings)


async def test_what_is_refused_is_counted_by_what_was_expected_and_stops_nothing() -> None:
    first = SCENARIO.happenings[0]

    async def send(_: Device, happening: Happening) -> None:
        if happening is first:
            raise Refuse("plate", "one that is a plate")

    fleet = hurried(Fleet(SCENARIO, send))
    await fleet.run(asyncio.Event())

    assert sum(fleet.refused.values()) == first.copies
    assert fleet.acknowledged == len(SCENARIO.happenings) - 1


async def test_an_interrupted_run_knows_what_was_told_and_of_what_nobody_knows_whether_it_arrived() -> None:
    stopping = asyncio.Event()
    never = asyncio.Event()
    seen = 0

    async def send(_: Device, happening: Happening) -> None:
        nonlocal seen
        seen += 1
        if seen == 5:
            stopping.set()
            await never.wait()

    fleet = hurried(Fleet(SCENARIO, send))
    await fleet.run(stopping)

    unknown = [each for each in fleet.told if each.acknowledged_ms is None]
    assert len(unknown) == 1
    assert len(fleet.told) < len(SCENARIO.happenings)
    assert fleet.acknowledged == len(fleet.told) - 1


async def test_a_defect_ends_the_run_instead_of_a_device() -> None:
    async def send(_: Device, happening: Happening) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await hurried(Fleet(SCENARIO, send)).run(asyncio.Event())


async def test_what_comes_in_the_moment_when_a_device_has_told_all_is_told_too() -> None:
    told: list[int] = []

    async def send(_: Device, happening: Happening) -> None:
        told.append(happening.number)

    one, other = (replace(SCENARIO.happenings[0], number=number, copies=1) for number in (1, 2))
    fleet = Fleet(SCENARIO, send)
    fleet._enqueue(one)
    # The device runs to its end in this turn of the loop; what the loop calls back comes in the next.
    await asyncio.sleep(0)
    fleet._enqueue(other)
    # Each gives way once: by then the second has been told, if anybody tells it.
    for _ in range(5):
        await asyncio.sleep(0)
    assert told == [1, 2]
