"""Something stood too long: decided by what was seen, not by the order in which it arrived."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import pytest
from correlator_builders import (
    DWELL_RULE,
    NOW,
    catalogue,
    knowledge,
    standing,
    token,
)
from hypothesis import given
from hypothesis import strategies as st

from alerthub.api.v1.common_pb2 import AUTHENTICATION_CLASS_URL_TOKEN
from alerthub.api.v1.observation_pb2 import Observation
from alerthub.domain.correlation import Knowledge, evaluate, forget_what_is_over
from alerthub.domain.partition_state import MAXIMUM_STAYS, PartitionState
from alerthub.domain.resources import DispatchPolicy, DwellParameters, LifeStatus, Rule
from alerthub.domain.rules import dwell
from alerthub.domain.rules.interface import DwellMatch, Raised, raised_id
from alerthub.domain.schedule import Hours, Schedule
from services.correlator import snapshots

from correlator_builders import BAY, batch  # isort: skip

START = NOW - 3_000_000
TOPIC = b"topic-1"


def against(rule: Rule = DWELL_RULE) -> Knowledge:
    return knowledge(configuration=catalogue(rules=[rule]).at(NOW))


def apply(
    observations: Sequence[Observation],
    *,
    rule: Rule = DWELL_RULE,
    state: PartitionState | None = None,
    received_ms: int = NOW,
    first_offset: int = 0,
) -> list[Raised]:
    """Each observation as a batch of its own, in the given order."""
    raised: list[Raised] = []
    known = against(rule)
    kept = state if state is not None else PartitionState()
    for offset, observation in enumerate(observations, start=first_offset):
        result = evaluate(
            batch(observation, received_ms=received_ms),
            offset=offset,
            state=kept,
            knowledge=known,
            now_ms=received_ms,
        )
        raised.extend(result.raised)
    return raised


def seen(*seconds: int, track: str = "t", name: str = "") -> list[Observation]:
    return [standing(f"{name}{second}", at_ms=START + second * 1_000, track=track) for second in seconds]


def match_of(raised: Raised) -> DwellMatch:
    assert isinstance(raised.match, DwellMatch)
    return raised.match


def test_a_vehicle_that_stood_four_minutes_raises_one_alert() -> None:
    [raised] = apply(seen(0, 60, 120, 180, 240, 300))

    assert raised.fold_key == "rule:dwell:track:camera-1:t"
    assert raised.raised_id == raised_id("dwell", "track:camera-1:t", token("observation 240"))
    match = match_of(raised)
    assert (match.zone_id, match.first_seen_ms, match.last_seen_ms) == ("bay-1", START, START + 240_000)


def test_a_vehicle_that_stood_less_raises_nothing() -> None:
    assert apply(seen(0, 60, 120, 180, 239)) == []


def test_a_gap_above_the_maximum_makes_two_stays() -> None:
    assert apply(seen(0, 60, 120, 181, 240, 300)) == []


def test_a_vehicle_that_left_begins_again() -> None:
    observations = [
        *seen(0, 60, 120),
        standing("left", at_ms=START + 130_000, track="t", left=True),
        *seen(180, 240, 300),
    ]

    assert apply(observations) == []


def test_what_was_seen_before_it_left_does_not_count_when_it_arrives_afterwards() -> None:
    left = standing("left", at_ms=START + 250_000, track="t", left=True)

    assert apply([*seen(0, 60, 120), left, *seen(180, 240)]) == []


def test_the_exact_token_names_the_subject() -> None:
    [raised] = apply([standing(str(at), "plate", at_ms=START + at * 1_000) for at in range(0, 300, 60)])

    assert raised.fold_key == f"rule:dwell:{token('plate').hex()}"


def test_a_plate_that_is_read_late_or_not_every_time_is_the_same_stay() -> None:
    observations = [
        standing("0", at_ms=START, track="t"),
        standing("1", "plate", at_ms=START + 60_000, track="t"),
        standing("2", at_ms=START + 120_000, track="t"),
        standing("3", "plate", at_ms=START + 180_000, track="t"),
        standing("4", at_ms=START + 240_000, track="t"),
    ]

    [raised] = apply(observations)

    assert raised.fold_key == f"rule:dwell:{token('plate').hex()}"


def test_the_next_epochs_token_goes_on_with_the_stay_of_its_track() -> None:
    observations = [
        standing(str(at), "old" if at < 120 else "new", at_ms=START + at * 1_000, track="t")
        for at in range(0, 600, 60)
    ]

    [raised] = apply(observations)

    assert raised.fold_key == f"rule:dwell:{token('new').hex()}"


def test_two_vehicles_are_two_stays() -> None:
    assert apply([*seen(0, 60, 120, track="a", name="a"), *seen(180, 240, 300, track="b", name="b")]) == []


def test_it_does_not_fire_again_within_its_cooldown() -> None:
    rule = replace(DWELL_RULE, cooldown_seconds=3_600)
    left = standing("left", at_ms=START + 250_000, track="t", left=True)

    raised = apply([*seen(*range(0, 241, 60)), left, *seen(*range(300, 601, 60))], rule=rule)

    assert len(raised) == 1


def test_after_its_cooldown_the_next_stay_fires() -> None:
    rule = replace(DWELL_RULE, cooldown_seconds=10)
    left = standing("left", at_ms=START + 250_000, track="t", left=True)

    raised = apply([*seen(*range(0, 241, 60)), left, *seen(*range(300, 601, 60))], rule=rule)

    assert len(raised) == 2


def test_time_outside_the_schedule_does_not_count() -> None:
    # START is a Friday, 07:10 UTC
    from_eight = Schedule("UTC", (Hours((5,), 8 * 60, 24 * 60),))

    assert apply(seen(*range(0, 600, 60)), rule=replace(DWELL_RULE, schedule=from_eight)) == []


def test_a_zone_or_rule_that_is_not_active_is_silent() -> None:
    suspended = replace(DWELL_RULE, status=LifeStatus.SUSPENDED)
    closed = knowledge(
        configuration=catalogue(rules=[DWELL_RULE], zones=[replace(BAY, status=LifeStatus.SUSPENDED)]).at(NOW)
    )

    assert apply(seen(*range(0, 600, 60)), rule=suspended) == []
    for offset, observation in enumerate(seen(*range(0, 600, 60))):
        state = PartitionState()
        result = evaluate(batch(observation), offset=offset, state=state, knowledge=closed, now_ms=NOW)
        assert (result.raised, state.districts) == ([], {})


def test_a_weakly_authenticated_device_never_sends_at_once() -> None:
    observations = seen(*range(0, 300, 60))
    for observation in observations:
        observation.authentication_class = AUTHENTICATION_CLASS_URL_TOKEN

    assert apply(observations)[0].policy is DispatchPolicy.CONFIRM_FIRST


def test_what_comes_too_late_is_counted_and_changes_nothing() -> None:
    state = PartitionState()
    rule = replace(DWELL_RULE, allowed_lateness_seconds=60)

    assert apply(seen(0), rule=rule, state=state) == []
    assert (state.totals().late, state.districts["district-1"].stays) == (1, {})


def test_a_clock_that_runs_ahead_cannot_stand_in_the_future() -> None:
    ahead = [standing(str(at), at_ms=NOW + at, track="t") for at in (0, 120_000, 240_000)]

    assert apply(ahead) == []


def test_an_observation_without_a_time_was_seen_when_it_was_received() -> None:
    state = PartitionState()

    apply([standing("a", at_ms=0, track="t")], state=state)

    [stay] = state.districts["district-1"].stays.values()
    assert stay.spans == (dwell.Span(NOW, NOW),)


def test_a_district_keeps_a_bounded_number_of_stays_and_gives_up_the_oldest() -> None:
    state = PartitionState()
    observations = [
        standing(str(number), at_ms=START + number, track=f"t{number}")
        for number in range(MAXIMUM_STAYS + 10)
    ]

    apply(observations, state=state)

    stays = state.districts["district-1"].stays
    assert len(stays) == MAXIMUM_STAYS
    assert ("dwell", "track:camera-1:t9") not in stays
    assert ("dwell", "track:camera-1:t10") in stays


def test_a_track_of_any_length_takes_bounded_room() -> None:
    assert len(dwell.track_of(standing("a", at_ms=NOW, track="车" * 5_000)).encode()) <= 64


def test_stays_that_are_over_are_forgotten() -> None:
    state = PartitionState()
    apply(seen(0, 60), state=state)
    configuration = against().configuration

    # when nothing that may still be evaluated can reach it
    forget_what_is_over(state, configuration, now_ms=START + 60_000 + 3_600_000 + 61_000 + 3_600_000)

    assert state.districts["district-1"].stays == {}


def restarted(state: PartitionState) -> PartitionState:
    """What recovery makes of the state as it was written down."""
    for district in state.districts.values():
        district.changed = True
    state.changed = True
    captured = snapshots.capture(0, state, TOPIC)
    assert captured.ledger is not None
    values = [record.value for record in (*captured.pieces, captured.ledger)]
    return snapshots.restore(0, values, TOPIC)


# So few seconds that no more spans are apart than are kept.
times = st.lists(st.integers(0, 365), min_size=1, max_size=25, unique=True)


def longest_span(seconds: Sequence[int], gap: int) -> int:
    ordered = sorted(seconds)
    longest, first = 0, ordered[0]
    for before, after in pairwise(ordered):
        first = after if after - before > gap else first
        longest = max(longest, after - first)
    return longest


@given(times.flatmap(st.permutations))
def test_the_order_of_arrival_does_not_decide_whether_it_fires(seconds: list[int]) -> None:
    rule = replace(DWELL_RULE, dwell=DwellParameters(dwell_seconds=240, maximum_gap_seconds=60))

    raised = apply(seen(*seconds), rule=rule)

    assert bool(raised) is (longest_span(seconds, 60) >= 240)


@given(
    st.lists(
        st.tuples(st.integers(0, 900), st.sampled_from("ab"), st.booleans(), st.booleans()),
        max_size=25,
        unique_by=lambda one: one[0],
    ),
    st.data(),
)
def test_a_restart_at_any_batch_changes_nothing(
    events: list[tuple[int, str, bool, bool]], data: st.DataObject
) -> None:
    observations = [
        standing(
            str(at), *([f"plate-{track}"] if plate else []), at_ms=START + at * 1_000, track=track, left=left
        )
        for at, track, plate, left in events
    ]
    rule = replace(DWELL_RULE, cooldown_seconds=60)
    # given a worker that is never interrupted
    whole = PartitionState()
    expected = apply(observations, rule=rule, state=whole)

    # when another is restarted from what it wrote down, after any batch, and replays some
    cut = data.draw(st.integers(0, len(observations)))
    back = data.draw(st.integers(0, cut))
    state = PartitionState()
    before = apply(observations[:cut], rule=rule, state=state)
    state = restarted(state)
    after = apply(observations[back:], rule=rule, state=state, first_offset=back)

    # then it raises the same alerts and ends in the same state
    assert [one.raised_id for one in (*before, *after)] == [one.raised_id for one in expected]
    ended = {name: district.stays for name, district in state.districts.items() if district.stays}
    assert ended == {name: district.stays for name, district in whole.districts.items() if district.stays}
    assert state.totals() == whole.totals()


@pytest.mark.parametrize("seconds", [0, 10**9])
def test_no_clock_makes_a_rule_fail(seconds: int) -> None:
    apply(seen(seconds, -(10**9), seconds + 1))
