"""Many resources at once: the difference, everything that is wrong, and parts that can be applied in turn."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerthub.domain.bulk_changes import faults, in_parts, plan_bulk
from alerthub.domain.errors import Refuse
from alerthub.domain.resource_changes import Action, Current
from alerthub.domain.resources import (
    AuthenticationClass,
    Device,
    Jurisdiction,
    Key,
    Kind,
    LifeStatus,
    Position,
    Resource,
    Shift,
    Unit,
    key_of,
)
from alerthub.domain.texts import LocalizedText

NOW = 1_800_000_000_000
HOUR = 3_600_000
ACTIVE, REMOVED = LifeStatus.ACTIVE, LifeStatus.REMOVED
CITY = Jurisdiction("city", ACTIVE, LocalizedText("市", "City"), "")
ROOM = 3
"""Devices of a district, here: with three hundred no example would ever fill one."""


def camera(name: str, district: str = "d0", speaks_for: Sequence[str] = (), *, label: str = "") -> Device:
    return Device(
        device_id=name,
        status=ACTIVE,
        name=label,
        adapter="hikvision-anpr",
        position=Position(38.0, 114.5),
        district=district,
        jurisdiction="city",
        zone_ids=(),
        authentication_class=AuthenticationClass.CERTIFICATE,
        speaks_for=tuple(speaks_for),
        addresses=(),
    )


def shift(name: str, hour: int) -> Shift:
    return Shift(name, ACTIVE, "patrol", NOW + hour * HOUR, NOW + (hour + 8) * HOUR, ())


def known(*resources: Resource) -> dict[Key, Current]:
    return {key_of(resource): Current(1, resource) for resource in resources}


def test_the_difference_has_what_comes_what_changes_and_what_is_gone() -> None:
    current = known(CITY, camera("same"), camera("moves"), camera("goes"))
    wanted = [camera("same"), camera("moves", "d1"), camera("new")]
    bulk = plan_bulk(wanted, current, prune=True)
    assert [change.action for change in bulk.changes] == [Action.UNCHANGED, Action.UPDATE, Action.CREATE]
    assert [(each.field, each.before, each.after) for each in bulk.changes[1].differences] == [
        ("district", "d0", "d1")
    ]
    assert [change.key.id for change in bulk.gone] == ["goes"]
    assert plan_bulk(wanted, current, prune=False).gone == ()


def test_a_roster_speaks_for_its_own_time_alone() -> None:
    current = known(shift("before", -8), shift("within", 8), shift("after", 16))
    bulk = plan_bulk([shift("first", 0), shift("last", 4)], current, prune=True)
    assert [change.key.id for change in bulk.gone] == ["within"]


def test_everything_that_is_wrong_is_told_and_not_only_the_first() -> None:
    wanted = [
        camera("-bad"),
        dataclasses.replace(camera("a"), adapter=""),
        dataclasses.replace(camera("b"), jurisdiction="nowhere"),
        camera("c", speaks_for=["nobody"]),
        camera("good"),
    ]
    current = known(CITY)
    found = faults(plan_bulk(wanted, current, prune=False), current, now_ms=NOW)
    assert [(each.key.id, each.refused.field) for each in found] == [
        ("-bad", ".device_id"),
        ("a", ".adapter"),
        ("b", ".jurisdiction"),
        ("c", ".speaks_for[0]"),
    ]


def test_a_district_that_is_too_full_is_told_once() -> None:
    current = known(CITY)
    bulk = plan_bulk([camera(f"c{number}") for number in range(302)], current, prune=False)
    assert [each.refused.field for each in faults(bulk, current, now_ms=NOW)] == [".district"]


def test_what_others_name_is_not_gone() -> None:
    unit = Unit("patrol", ACTIVE, LocalizedText("组", ""), "patrol", "city", Position(38.0, 114.5), "")
    other = dataclasses.replace(unit, unit_id="other")
    current = known(CITY, unit, shift("early", 0))
    bulk = plan_bulk([other], current, prune=True)
    (fault,) = faults(bulk, current, now_ms=NOW)
    assert (fault.key, "shift early" in fault.refused.expected) == (Key(Kind.UNIT, "patrol"), True)


def test_more_that_moves_than_one_part_holds_is_refused() -> None:
    current = known(*(camera(f"c{number}") for number in range(5)))
    moved = [camera(f"c{number}", "d1") for number in range(5)]
    with pytest.raises(Refuse):
        in_parts(
            plan_bulk(moved, current, prune=False),
            current,
            size=2,
            largest=4,
            weight=lambda _: 1,
            heaviest=99,
        )


NAMES = [f"c{number}" for number in range(9)]
DEVICES = st.builds(
    camera,
    st.sampled_from(NAMES),
    st.sampled_from(["d0", "d1", "d2"]),
    st.lists(st.sampled_from(NAMES), max_size=2, unique=True),
    label=st.sampled_from(["", "north"]),
)
CITIES = st.lists(DEVICES, max_size=9, unique_by=lambda device: device.device_id)


def is_a_city(devices: Mapping[str, Device]) -> bool:
    """What the registry holds at every moment, said anew: room in the districts, and nobody who is named is
    missing."""
    there = {name for name, device in devices.items() if device.status is not REMOVED}
    room = Counter(devices[name].district for name in there)
    named = {other for name in there for other in devices[name].speaks_for}
    return named <= there and max(room.values(), default=0) <= ROOM


def made_sound(devices: Sequence[Device]) -> list[Device]:
    """As many of the devices as make a city."""
    room: Counter[str] = Counter()
    kept = []
    for device in devices:
        room[device.district] += 1
        if room[device.district] <= ROOM:
            kept.append(device)
    there = {device.device_id for device in kept}
    return [
        dataclasses.replace(device, speaks_for=tuple(name for name in device.speaks_for if name in there))
        for device in kept
    ]


@given(CITIES, CITIES, st.booleans(), st.integers(1, 3))
def test_whatever_part_was_applied_last_it_is_a_city(
    before: list[Device], wanted: list[Device], prune: bool, size: int
) -> None:
    now = {device.device_id: device for device in made_sound(before)}
    current = known(*now.values())
    bulk = plan_bulk(made_sound(wanted), current, prune=prune)
    after = now | {
        change.key.id: change.resource for change in bulk.changing if isinstance(change.resource, Device)
    }
    if not is_a_city(after):
        return
    for part in in_parts(bulk, current, size=size, largest=99, weight=lambda _: 1, heaviest=99):
        now |= {device.device_id: device for device in part if isinstance(device, Device)}
        assert is_a_city(now)
    assert now == after


def test_each_part_is_bounded_in_number_and_weight() -> None:
    wanted = [camera(f"c{number}", f"d{number}") for number in range(10)]
    bulk = plan_bulk(wanted, {}, prune=False)
    by_number = in_parts(bulk, {}, size=4, largest=99, weight=lambda _: 1, heaviest=99)
    by_weight = in_parts(bulk, {}, size=99, largest=99, weight=lambda _: 10, heaviest=35)
    assert [len(part) for part in by_number] == [4, 4, 2]
    assert [len(part) for part in by_weight] == [3, 3, 3, 1]
