"""C12: a mask or epoch comes into force once entries and live gateways have it; old tokens stay while reads
wait."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerthub.domain.errors import Refuse
from alerthub.domain.matching import (
    DAY_MS,
    HOUR_MS,
    Advance,
    Configuration,
    Epoch,
    GatewayReport,
    Matching,
    Step,
    Timing,
    advance,
)

MASKS = ("exact",)
TIMING = Timing()
BEGUN = Matching(Configuration(1, MASKS, Epoch("e1", 0), 0))
ROTATION = TIMING.rotation_ms


def step(
    matching: Matching,
    now_ms: int,
    *,
    gateways: tuple[GatewayReport, ...] = (),
    masks: tuple[str, ...] = MASKS,
    carried: bool = True,
    timing: Timing = TIMING,
) -> Advance:
    return advance(
        matching,
        now_ms=now_ms,
        gateways=gateways,
        masks=masks,
        entries_carry_epochs=carried,
        new_epoch_name=f"e{now_ms}",
        timing=timing,
    )


def report(gateway_id: str, at_ms: int, prepared: int, matching: int = 1) -> GatewayReport:
    return GatewayReport(gateway_id, at_ms, matching, prepared)


PREPARED = step(BEGUN, ROTATION).matching


def test_nothing_changes_while_nothing_is_due() -> None:
    assert step(BEGUN, ROTATION - 1).step is Step.NOTHING


def test_a_new_epoch_is_prepared_before_it_is_in_force() -> None:
    assert PREPARED.in_force == BEGUN.in_force
    assert PREPARED.next is not None
    assert PREPARED.epochs == ("e1", f"e{ROTATION}")


def test_a_new_epoch_waits_for_every_live_gateway() -> None:
    gateways = (report("g1", ROTATION, prepared=2), report("g2", ROTATION, prepared=1))
    waiting = step(PREPARED, ROTATION + 1, gateways=gateways)
    assert waiting.step is Step.NOTHING
    assert waiting.waiting_for == ("g2",)


def test_a_new_epoch_comes_into_force_once_every_live_gateway_has_it() -> None:
    gateways = (report("g1", ROTATION, prepared=2), report("g2", ROTATION, prepared=2))
    done = step(PREPARED, ROTATION + 1, gateways=gateways)
    assert done.step is Step.CAME_INTO_FORCE
    assert done.matching.in_force.version == 2


def test_a_gateway_that_is_gone_is_not_waited_for() -> None:
    gone = report("g2", ROTATION - TIMING.live_ms, prepared=1)
    assert step(PREPARED, ROTATION, gateways=(gone,)).step is Step.CAME_INTO_FORCE


def test_a_live_gateway_that_lags_is_left_behind_after_the_patience() -> None:
    at = ROTATION + TIMING.patience_ms
    assert step(PREPARED, at - 1, gateways=(report("g2", at - 1, prepared=1),)).step is Step.NOTHING
    done = step(PREPARED, at, gateways=(report("g2", at, prepared=1),))
    assert done.step is Step.CAME_INTO_FORCE
    assert done.left_behind == ("g2",)


def test_a_new_epoch_waits_until_every_entry_carries_its_tokens() -> None:
    assert step(PREPARED, ROTATION + DAY_MS // 24, carried=False).step is Step.NOTHING


def test_the_old_epochs_tokens_stay_for_as_long_as_reads_may_wait() -> None:
    in_force = step(PREPARED, ROTATION).matching
    assert in_force.epochs == ("e1", f"e{ROTATION}")
    assert step(in_force, ROTATION + TIMING.retention_ms - 1).step is Step.NOTHING
    ended = step(in_force, ROTATION + TIMING.retention_ms)
    assert ended.step is Step.OUTGOING_ENDED
    assert ended.matching.epochs == (f"e{ROTATION}",)


def test_a_new_mask_comes_into_force_without_a_new_epoch() -> None:
    prepared = step(BEGUN, 5, masks=("exact", "1110111")).matching
    in_force = step(prepared, 6, masks=("exact", "1110111")).matching
    assert in_force.in_force.masks == ("exact", "1110111")
    assert in_force.epochs == ("e1",)
    assert in_force.outgoing is None


@pytest.mark.parametrize("retention_ms", [0, -1, DAY_MS + 1])
def test_a_retention_above_a_day_is_refused(retention_ms: int) -> None:
    with pytest.raises(Refuse, match="24 h"):
        Timing(retention_ms=retention_ms)


@pytest.mark.parametrize("rotation_ms", [60_000, DAY_MS])
def test_an_epoch_that_would_outlive_a_day_is_refused(rotation_ms: int) -> None:
    with pytest.raises(Refuse, match="24 h"):
        Timing(rotation_ms=rotation_ms)


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(1, 3 * HOUR_MS), st.booleans(), st.booleans()), min_size=1, max_size=60),
    st.integers(10 * 60_000, DAY_MS - HOUR_MS // 2),
    st.integers(60_000, DAY_MS),
)
def test_whatever_the_clock_does_at_most_three_epochs_overlap_and_versions_grow(
    rounds: list[tuple[int, bool, bool]], rotation_ms: int, retention_ms: int
) -> None:
    timing = Timing(rotation_ms=rotation_ms, retention_ms=retention_ms)
    matching, now_ms = BEGUN, 0
    for passed, carried, lagging in rounds:
        now_ms += passed
        gateways = (report("g", now_ms, prepared=0 if lagging else 10**6),)
        following = step(matching, now_ms, gateways=gateways, carried=carried, timing=timing).matching
        assert following.in_force.version >= matching.in_force.version
        assert len(following.epochs) <= 3
        assert len(set(following.epochs)) == len(following.epochs)
        # Tokens of the epoch in force are never taken from entries.
        assert following.in_force.epoch.name in following.epochs
        matching = following


def test_an_epochs_key_never_outlives_a_day() -> None:
    assert Timing(rotation_ms=DAY_MS - HOUR_MS // 2, retention_ms=DAY_MS).epoch_life_ms == DAY_MS
