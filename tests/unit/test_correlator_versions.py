"""Which version was in force: whatever order they arrived in (C5)."""

from __future__ import annotations

from dataclasses import replace

from correlator_builders import AUTHORISATION, DEVICE, HIT_RULE, NOW, catalogue
from hypothesis import given
from hypothesis import strategies as st

from alerthub.domain.catalogue import RegisteredDevice
from alerthub.domain.resources import LifeStatus
from alerthub.domain.versions import RETENTION_MS, History, Version

numbers = st.lists(st.integers(1, 20), min_size=1, max_size=8, unique=True)


@given(numbers.flatmap(st.permutations), st.integers(0, 2_500))
def test_the_highest_activated_version_is_in_force(order: list[int], at: int) -> None:
    history = History[int]()
    for number in order:
        assert history.add(Version(number, number * 100, number))

    found = history.in_force(at)

    assert (found.number if found else 0) == max(
        (number for number in order if number * 100 <= at), default=0
    )


def test_a_version_that_is_known_changes_nothing() -> None:
    history = History[str]()
    history.add(Version(1, 0, "first"))

    assert not history.add(Version(1, 0, "again"))
    assert history.newest.value == "first"


def test_a_version_is_kept_for_as_long_as_an_observation_may_need_it() -> None:
    history = History[int]()
    history.add(Version(1, 0, 1))
    history.add(Version(2, 1_000, 2))
    history.add(Version(3, 1_000 + RETENTION_MS - 1, 3))

    found = history.in_force(999)
    assert found is not None
    assert found.number == 1


def test_a_version_that_no_observation_can_need_is_forgotten() -> None:
    history = History[int]()
    history.add(Version(1, 0, 1))
    history.add(Version(2, 1_000, 2))
    history.add(Version(3, 1_000 + RETENTION_MS, 3))

    assert history.activations() == (1_000, 1_000 + RETENTION_MS)


def test_before_its_first_version_a_thing_is_not_there() -> None:
    history = History[int]()
    history.add(Version(1, 1_000, 1))

    assert history.in_force_or_oldest(999) is None


def test_before_the_oldest_version_that_compaction_left_the_thing_is_as_it_was_then() -> None:
    history = History[int]()
    history.add(Version(7, 1_000, 7))

    found = history.in_force_or_oldest(999)
    assert found is not None
    assert found.number == 7


def test_a_batch_meets_the_rules_of_its_own_time() -> None:
    filled = catalogue(rules=[HIT_RULE])
    # given a version that suspends the rule from NOW on
    filled.put_rule("hit", Version(2, NOW, replace(HIT_RULE, status=LifeStatus.SUSPENDED)))

    before, after = filled.at(NOW - 1).device("camera-1"), filled.at(NOW).device("camera-1")

    assert before is not None
    assert after is not None
    assert [placed.rule.number for placed in before.hit_rules] == [1]
    assert after.hit_rules == ()


def test_a_new_version_of_a_device_is_seen_after_it_was_asked_for() -> None:
    filled = catalogue()
    assert filled.at(NOW).device("camera-1") is not None

    moved = RegisteredDevice(replace(DEVICE, jurisdiction="elsewhere"), (Version(1, 0, AUTHORISATION),))
    filled.put_device("camera-1", Version(2, 0, moved))

    found = filled.at(NOW).device("camera-1")
    assert found is not None
    assert found.device.value.jurisdiction == "elsewhere"


def test_a_device_that_is_gone_is_unknown() -> None:
    filled = catalogue()
    filled.put_device("camera-1", None)

    assert filled.at(NOW).device("camera-1") is None


def test_a_rule_that_names_zone_and_device_is_evaluated_once() -> None:
    filled = catalogue(rules=[replace(HIT_RULE, zone_ids=("bay-1",), device_ids=("camera-1",))])

    found = filled.at(NOW).device("camera-1")

    assert found is not None
    assert len(found.hit_rules) == 1
