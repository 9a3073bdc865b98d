"""The second agent: sources and their marks, what is missing, late or repeated, and what is passed on."""

from __future__ import annotations

from dataclasses import replace

import pytest
from correlator_builders import BAY, DEVICE, DWELL_RULE, HIT_RULE, MASKS, NOW, batch_value, knowledge, run
from hypothesis import given
from hypothesis import strategies as st
from passage_builders import (
    CLONED_RULE,
    FAR,
    FAR_DEVICE,
    HERE,
    PLATE,
    TOPIC,
    SecondAgent,
    at,
    configuration,
    packed,
    passed,
    read_at,
    seen,
)

from alerthub import passage_batches
from alerthub.api.v1.observation_pb2 import Observation
from alerthub.api.v1.observation_pb2 import PassageBatch as WireBatch
from alerthub.domain import passage_state
from alerthub.domain.correlation import Evaluation, evaluate
from alerthub.domain.partition_state import PartitionState
from alerthub.domain.passages import SourcePosition
from alerthub.domain.resources import LifeStatus, Rule
from alerthub.domain.rules import cloned_plate
from alerthub.observation_batches import ReadBatch
from alerthub.passage_batches import Sent

MINUTE = 60_000
EARLIER = seen("a", HERE, NOW - 30_000)
LATER = seen("b", FAR, NOW)


@pytest.mark.parametrize("halves", [(EARLIER, LATER), (LATER, EARLIER)])
def test_a_pair_of_two_sources_fires_whichever_half_comes_first(
    halves: tuple[cloned_plate.Read, ...],
) -> None:
    agent = SecondAgent()
    for source, half in enumerate(halves):
        agent.take(passed(7, half, source=source))

    [raised] = agent.raised
    assert raised.fold_key == f"rule:cloned:{PLATE}"


# Marks


def test_what_a_source_sends_again_is_skipped() -> None:
    agent = SecondAgent()
    agent.take(passed(7, EARLIER))
    result = agent.take(passed(7, EARLIER, LATER))

    # then only what is beyond the mark is applied
    assert (result.applied, result.repeats) == (1, 1)
    assert agent.take(passed(7, EARLIER, LATER)).applied == 0
    assert len(agent.raised) == 1


def test_what_comes_after_a_hole_waits_until_it_is_sent_again() -> None:
    # given a worker whose second record never arrived
    agent = SecondAgent()
    agent.take(passed(1, EARLIER, previous=None))
    lost = passed(2, LATER, previous=1)

    # when its third one does
    result = agent.take(passed(3, seen("c", HERE, NOW), previous=2))
    assert (result.applied, result.after_a_hole) == (0, 1)

    # then it is applied after all of them came again, from a worker that does not know what was sent before
    agent.take(passed(1, EARLIER, previous=None))
    assert agent.take(lost).applied == 1
    assert agent.take(passed(3, seen("c", HERE, NOW), previous=2)).applied == 1


def test_sources_of_a_topic_that_was_created_anew_begin_at_the_beginning() -> None:
    agent = SecondAgent()
    agent.take(passed(700, EARLIER))

    assert agent.take(passed(0, LATER, topic=b"observations-2")).applied == 1


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 4)), max_size=12))
def test_whatever_is_sent_again_the_state_is_as_if_it_had_come_once(restarts: list[tuple[int, int]]) -> None:
    # given three sources, of which some begin again at an earlier batch, in between
    sent = dict.fromkeys(range(3), 0)
    agent, once = SecondAgent(), SecondAgent()

    def send(source: int, batch: int) -> None:
        place = HERE if source % 2 else FAR
        one = seen(f"{source}-{batch}", place, NOW + batch)
        previous = batch - 1 if batch > 1 else None
        result = agent.take(passed(batch, one, source=source, previous=previous))
        if result.applied:
            once.take(passed(batch, one, source=source, previous=previous))

    for source, back in restarts:
        for batch in range(max(1, sent[source] - back), sent[source] + 2):
            send(source, batch)
        sent[source] += 1

    assert [one.raised_id for one in agent.raised] == [one.raised_id for one in once.raised]
    assert agent.state.received == sum(sent.values())


# Watermarks


def test_lateness_is_measured_against_the_slowest_source() -> None:
    # given a read that its device kept for three minutes, and a source that is four minutes behind
    agent = SecondAgent()
    old = seen("old", HERE, NOW - 3 * MINUTE)
    agent.take(passed(0, watermarks=(at(1, NOW), at(2, NOW - 4 * MINUTE))))

    # then it is in time as long as that source may still send what is as old
    assert agent.take(passed(1, old)).late == 0
    agent.take(passed(0, watermarks=(at(2, NOW),)))
    assert agent.take(passed(2, seen("as old", HERE, NOW - 3 * MINUTE))).late == 1
    assert agent.state.buckets[passage_state.bucket_of(PLATE)].late == 1


def test_the_late_half_of_a_pair_is_counted_and_fires_nothing() -> None:
    agent = SecondAgent()
    agent.take(passed(1, LATER, received_ms=NOW))

    result = agent.take(passed(2, seen("a", HERE, NOW - 61_000), received_ms=NOW))

    assert (result.late, agent.raised) == (1, [])


def test_a_watermark_does_not_overtake_what_is_missing() -> None:
    agent = SecondAgent()
    agent.take(passed(1, EARLIER, received_ms=NOW))

    # when a source says that it is further, and had sent something that did not come
    agent.take(passed(0, watermarks=(at(1, NOW + MINUTE, sent=2),)))

    assert agent.state.watermark_ms == NOW
    agent.take(passed(0, watermarks=(at(1, NOW + MINUTE, sent=1),)))
    assert agent.state.watermark_ms == NOW + MINUTE


def test_the_watermark_never_goes_back() -> None:
    agent = SecondAgent()
    agent.take(passed(0, watermarks=(at(1, NOW),)))
    agent.take(passed(0, watermarks=(at(2, NOW - MINUTE),)))

    assert agent.state.watermark_ms == NOW


def test_a_source_that_is_silent_for_an_hour_holds_nothing_up() -> None:
    agent = SecondAgent()
    agent.take(passed(0, watermarks=(at(1, NOW), at(2, NOW))))

    agent.take(passed(0, watermarks=(at(1, NOW + 61 * MINUTE),)))

    assert agent.state.watermark_ms == NOW + 61 * MINUTE


# Rules


@pytest.mark.parametrize(
    "rule",
    [
        replace(CLONED_RULE, status=LifeStatus.SUSPENDED),
        replace(CLONED_RULE, cross_district=False),
        replace(CLONED_RULE, rule_id="another"),
    ],
)
def test_a_version_that_is_not_in_force_or_not_cross_district_keeps_nothing(rule: Rule) -> None:
    agent = SecondAgent([rule])
    assert agent.take(passed(1, EARLIER)).without_rule == 1
    assert all(not bucket.seen for bucket in agent.state.buckets.values())


def test_a_rule_that_raises_changes_nothing_and_is_suspended(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    agent = SecondAgent()
    monkeypatch.setattr(cloned_plate, "evaluate", broken)
    result = agent.take(passed(1, EARLIER))

    assert [failure.rule_id for failure in result.failures] == ["cloned"]
    assert ("cloned", 1) in agent.suspended


# What is passed on


def evaluated(*rules: Rule) -> Evaluation:
    known = replace(knowledge(configuration=configuration(rules)), masks=MASKS)
    return run(read_at("a", HERE, "plate"), read_at("b", FAR, "other"), against=known)


def test_without_a_cross_district_rule_nothing_is_passed_on_and_nothing_more_is_opened() -> None:
    opened: list[int] = []

    class Closed(ReadBatch):
        def observation(self, index: int) -> Observation:
            opened.append(index)
            return super().observation(index)

    def passing_with(*rules: Rule) -> int:
        result = evaluate(
            Closed(batch_value(read_at("a", HERE, "plate"))),
            offset=0,
            state=PartitionState(),
            knowledge=replace(knowledge(configuration=configuration(rules)), masks=MASKS),
            now_ms=NOW,
        )
        return len(result.passing)

    assert passing_with(HIT_RULE, DWELL_RULE) == 0
    assert opened == []
    assert passing_with(HIT_RULE, CLONED_RULE) == 1
    assert opened == [0]


def test_refusal_2_only_reads_of_a_rules_own_devices_are_passed_on() -> None:
    of_one = replace(CLONED_RULE, device_ids=(FAR_DEVICE.device_id,))
    of_its_zone = replace(CLONED_RULE, zone_ids=(BAY.zone_id,))

    assert [one.device.device_id for one in evaluated(of_one).passing] == [FAR_DEVICE.device_id]
    assert {one.device.device_id for one in evaluated(of_its_zone).passing} == {
        DEVICE.device_id,
        FAR_DEVICE.device_id,
    }
    assert evaluated(replace(CLONED_RULE, status=LifeStatus.SUSPENDED)).passing == []


def test_refusal_4_what_no_authorisation_in_force_covers_is_not_passed_on() -> None:
    unauthorised = read_at("a", HERE, "plate")
    unauthorised.authorisation_id = "another"
    known = replace(knowledge(configuration=configuration()), masks=MASKS)

    assert run(unauthorised, against=known).passing == []


def test_a_repeat_through_another_gateway_is_passed_on_once() -> None:
    state, known = PartitionState(), replace(knowledge(configuration=configuration()), masks=MASKS)
    again = [run(read_at("a", HERE, "plate"), state=state, offset=n, against=known) for n in (1, 2)]

    assert [len(one.passing) for one in again] == [1, 0]


# The wire


def test_refusal_2_a_passage_holds_what_an_alert_needs_and_no_more() -> None:
    [(_, value)] = packed(Sent())
    wire = WireBatch.FromString(value)
    observation = wire.passages[0].observation

    # one identifier under its exact token, no token of another mask, no track, and the one key
    assert [len(one.tokens) for one in observation.identifiers] == [1]
    assert observation.identifiers[0].sealed_details == b"sealed"
    assert not observation.track_id
    assert [key.data_key_id for key in wire.data_keys] == [b"key"]


def test_what_is_sent_is_read_as_it_was() -> None:
    sent = Sent()
    [(target, first)], [(_, second)] = packed(sent, offset=5), packed(sent, offset=6)
    read = passage_batches.read(first)
    [passage] = read.passages

    assert (read.source_partition, read.source_offset, read.source_topic_id) == (3, 5, TOPIC)
    assert (passage.index, passage.read.at_ms, passage.read.place) == (0, NOW, HERE)
    assert read.previous is None
    assert passage_batches.read(second).previous == SourcePosition(5, 0)
    told = passage_batches.read(passage_batches.watermarks(TOPIC, {3: NOW}, sent, target, now_ms=NOW))
    assert told.watermarks == (at(3, NOW, sent=6),)
