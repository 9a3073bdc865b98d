"""Whether the hub watches, and which districts it does not (C11)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerthub.alert_events import TailedEvent
from alerthub.api.v1.alert_pb2 import ALERT_EVENT_KIND_DELIVERED, Alert, AlertEvent
from alerthub.api.v1.observation_pb2 import PartitionWatermark, Watermarks
from alerthub.domain.partitioning import partition_of
from alerthub.domain.watching import Canary, Heard, judge
from alerthub.settings import KafkaSettings
from services.console.watch import Watch

NOW = 1_800_000_000_000
PARTITIONS = 4
DISTRICTS = [f"d{number}" for number in range(20)]


def heard(*, behind_ms: dict[int, int] | None = None, gateways: dict[str, int] | None = None) -> Heard:
    """All partitions evaluated up to now, but those that are behind."""
    told = Heard()
    told.note(
        PARTITIONS,
        {number: NOW - (behind_ms or {}).get(number, 0) for number in range(PARTITIONS)},
        {name: NOW - age_ms for name, age_ms in (gateways or {"g1": 0}).items()},
        now_ms=NOW,
    )
    return told


def test_everything_is_watched_while_every_partition_is_evaluated() -> None:
    assert judge(heard(), DISTRICTS, now_ms=NOW, maximum_age_ms=10_000).watching


@given(st.integers(0, PARTITIONS - 1))
def test_a_partition_that_is_behind_names_its_districts_and_no_other(partition: int) -> None:
    found = judge(heard(behind_ms={partition: 10_001}), DISTRICTS, now_ms=NOW, maximum_age_ms=10_000)

    assert not found.watching
    assert set(found.silent_districts) == {
        each for each in DISTRICTS if partition_of(each, PARTITIONS) == partition
    }


def test_ten_seconds_are_not_too_long() -> None:
    found = judge(heard(behind_ms={1: 10_000}), DISTRICTS, now_ms=NOW, maximum_age_ms=10_000)
    assert found.watching


def test_a_partition_that_no_correlator_holds_is_not_watched() -> None:
    # given two of four partitions that anybody told of
    told = Heard()
    told.note(PARTITIONS, {0: NOW, 1: NOW}, {"g1": NOW}, now_ms=NOW)

    found = judge(told, DISTRICTS, now_ms=NOW, maximum_age_ms=10_000)

    assert found.silent_partitions == {2, 3}
    assert "2 of 4" in found.reason.english


def test_when_nobody_says_anything_nothing_is_watched() -> None:
    found = judge(Heard(), DISTRICTS, now_ms=NOW, maximum_age_ms=10_000)
    assert not found.watching
    assert found.reason.english
    assert found.reason.chinese


def test_all_that_was_told_grows_old() -> None:
    found = judge(heard(), DISTRICTS, now_ms=NOW + 10_001, maximum_age_ms=10_000)
    assert set(found.silent_districts) == set(DISTRICTS)
    assert found.silent_gateways == ("g1",)


def test_a_gateway_that_falls_silent_is_named_though_another_writes_everywhere() -> None:
    found = judge(heard(gateways={"g1": 0, "g2": 11_000}), DISTRICTS, now_ms=NOW, maximum_age_ms=10_000)
    assert not found.watching
    assert found.silent_gateways == ("g2",)
    assert found.silent_districts == ()


def test_a_gateway_that_was_taken_away_is_forgotten_after_an_hour() -> None:
    found = judge(heard(gateways={"g1": 0, "g2": 3_600_001}), (), now_ms=NOW, maximum_age_ms=10_000)
    assert found.watching


@pytest.mark.parametrize("later_ms", [-5_000, 5_000])
def test_a_watermark_never_goes_back(later_ms: int) -> None:
    told = heard()
    told.note(PARTITIONS, {0: NOW + later_ms}, {"g1": NOW + later_ms}, now_ms=NOW)
    assert told.partitions[0] == told.gateways["g1"] == max(NOW, NOW + later_ms)


def test_a_canary_that_arrives_changes_nothing() -> None:
    canary = Canary(NOW - 90_000, 90_000)
    found = judge(heard(), DISTRICTS, now_ms=NOW, maximum_age_ms=10_000, canary=canary)
    assert found.watching


def test_when_no_canary_arrives_nothing_is_watched_though_all_is_evaluated() -> None:
    canary = Canary(NOW - 90_001, 90_000)
    found = judge(heard(), DISTRICTS, now_ms=NOW, maximum_age_ms=10_000, canary=canary)
    assert not found.watching
    assert set(found.silent_districts) == set(DISTRICTS)
    assert "canary" in found.reason.english


def test_a_partition_that_is_behind_is_the_nearer_reason_than_a_canary_that_is() -> None:
    canary = Canary(NOW - 90_001, 90_000)
    behind = heard(behind_ms={1: 10_001})
    found = judge(behind, DISTRICTS, now_ms=NOW, maximum_age_ms=10_000, canary=canary)
    assert "1 of 4" in found.reason.english


class Clock:
    now_ms = NOW


def a_watch(clock: Clock, *, set_up: bool | None) -> Watch:
    """Of a hub that evaluates everything all the time."""
    watch = Watch(
        KafkaSettings(),
        client_id="t",
        maximum_age_ms=3_600_000,
        districts=lambda: DISTRICTS,
        canary_set_up=lambda: set_up,
        canary_age_ms=90_000,
        now_ms=lambda: clock.now_ms,
        on_failure=lambda _: None,
    )
    told = Watermarks(partition_count=1, partitions=[PartitionWatermark(partition=0, received_time_ms=NOW)])
    watch.take(told.SerializeToString())
    return watch


def receipt(category: str, at_ms: int) -> TailedEvent:
    event = AlertEvent(kind=ALERT_EVENT_KIND_DELIVERED, alert=Alert(category=category), occurred_at_ms=at_ms)
    return TailedEvent(event, frozenset(), "")


@pytest.mark.parametrize(("set_up", "watching"), [(True, False), (False, True), (None, True)])
def test_a_canary_is_waited_for_where_one_is_set_up(set_up: bool | None, watching: bool) -> None:
    clock = Clock()
    watch = a_watch(clock, set_up=set_up)
    clock.now_ms += 90_001
    assert watch.watching().watching == watching


def test_a_canarys_receipt_says_that_there_is_one_and_that_all_is_well() -> None:
    # given a console of which nobody has asked for the devices, and a canary that arrived
    clock = Clock()
    watch = a_watch(clock, set_up=None)
    watch.take_alert_event(receipt("canary", NOW + 50_000))

    # then it is waited for from there
    clock.now_ms = NOW + 140_000
    assert watch.watching().watching
    clock.now_ms += 1
    assert not watch.watching().watching


def test_a_receipt_of_another_alert_is_no_canary() -> None:
    clock = Clock()
    watch = a_watch(clock, set_up=True)
    watch.take_alert_event(receipt("stolen_vehicle", NOW + 80_000))
    clock.now_ms += 90_001
    assert not watch.watching().watching
