"""A batch against rules, entries and state: alerts, counts, and what a failure leaves behind."""

from __future__ import annotations

from dataclasses import replace

import pytest
from correlator_builders import (
    DWELL_RULE,
    HIT_RULE,
    NOW,
    Entries,
    batch,
    catalogue,
    entry,
    knowledge,
    read,
    run,
    standing,
)
from hypothesis import given
from hypothesis import strategies as st

from alerthub.api.v1.observation_pb2 import Observation
from alerthub.domain.correlation import Knowledge, evaluate, note_dead_letter
from alerthub.domain.partition_state import GENERATION_IDS, GENERATION_MS, PartitionState, RecentIds
from alerthub.domain.resources import DwellParameters
from alerthub.domain.rules import dwell, watchlist_hit
from alerthub.domain.versions import Version
from services.correlator import snapshots

TOPIC = b"topic-1"


def test_every_observation_ends_in_exactly_one_way() -> None:
    state = PartitionState()

    run(
        read("forgotten", "another"),
        read("matched", "listed"),
        read("late", "listed", at_ms=NOW - 100_000),
        read("without identifiers"),
        read("matched", "listed"),  # a repeat
        state=state,
    )

    totals = state.totals()
    assert (totals.received, totals.matched, totals.late) == (5, 1, 1)
    assert (totals.without_identifiers, totals.repeats) == (1, 1)


@pytest.mark.parametrize("masks", [(), ("exact", "confusable"), ("no-province", "exact", "confusable")])
def test_a_token_is_found_at_its_masks_place_whatever_is_known_of_the_masks(masks: tuple[str, ...]) -> None:
    listed = entry(tokens=[("confusable", "folded")])
    texts = {"exact": "plate", "confusable": "folded", "no-province": "rest"}
    seen = read("a", *(texts[mask] for mask in masks or ("exact", "confusable")))

    result = run(seen, read("b", "other", "another"), against=knowledge(Entries(listed).index, masks=masks))

    assert [one.observation.observation_id for one in result.raised] == [seen.observation_id]


def test_an_identifier_with_fewer_tokens_than_masks_is_looked_at_whole() -> None:
    against = knowledge(
        Entries(entry(tokens=[("confusable", "listed")])).index, masks=("exact", "confusable")
    )

    assert len(run(read("a", "listed"), against=against).raised) == 1


def test_an_observation_that_hits_and_stands_is_counted_once() -> None:
    state = PartitionState()
    observations = [
        standing(str(at), "listed", at_ms=NOW - 300_000 + at * 1_000) for at in (0, 60, 120, 180, 240)
    ]
    rules = [replace(HIT_RULE, allowed_lateness_seconds=3_600), DWELL_RULE]

    result = run(*observations, state=state, against=knowledge(configuration=catalogue(rules=rules).at(NOW)))

    assert len(result.raised) == 6
    assert (state.totals().received, state.totals().matched) == (5, 5)


def test_a_repeat_changes_nothing_even_through_another_gateway() -> None:
    state = PartitionState()
    run(read("a", "listed"), state=state, offset=0)

    result = run(read("a", "listed"), state=state, offset=1)

    assert (result.raised, result.repeats) == ([], 1)


def test_ids_are_recognised_for_at_least_a_generation_and_forgotten_after_two() -> None:
    recent = RecentIds()
    recent.take(NOW, [b"a" * 16])

    assert recent.take(NOW + GENERATION_MS - 1, [b"a" * 16]) == {0}
    recent.take(NOW + 2 * GENERATION_MS, [b"b" * 16])
    recent.take(NOW + 4 * GENERATION_MS, [b"c" * 16])
    assert recent.take(NOW + 4 * GENERATION_MS, [b"a" * 16]) == frozenset()


def test_recent_ids_are_bounded_whatever_comes_in_a_minute() -> None:
    recent = RecentIds()
    for number in range(40):
        recent.take(NOW, [(number * 1_000 + index).to_bytes(16, "big") for index in range(1_000)])

    assert sum(len(generation.ids) for generation in recent.generations) <= 2 * (GENERATION_IDS + 1_000)


def test_a_batch_that_the_state_holds_is_skipped() -> None:
    state = PartitionState()
    run(read("a", "listed"), state=state, offset=5)

    result = run(read("b", "listed"), state=state, offset=5)

    assert result.skipped
    assert (result.raised, state.counts.received) == ([], 1)


def test_a_district_that_is_ahead_of_its_partition_is_not_applied_again() -> None:
    # given a crash after a district was written down and before the partition's offset was
    state = PartitionState()
    run(standing("0", at_ms=NOW - 1_000, track="t"), state=state, offset=0)
    captured = snapshots.capture(0, state, TOPIC)
    recovered = snapshots.restore(0, [one.value for one in captured.pieces], TOPIC)

    # when its batch is applied again
    run(standing("0", at_ms=NOW - 1_000, track="t"), state=recovered, offset=0)

    # then the counts are made up for, and the stay stays as it was
    assert recovered.counts.received == 1
    assert recovered.districts["district-1"].stays == state.districts["district-1"].stays


@pytest.mark.parametrize("module", [watchlist_hit, dwell])
def test_a_rule_that_raises_is_suspended_and_the_batch_goes_on(
    module: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given a rule with an error in it
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(module, "evaluate", broken)
    state = PartitionState()
    observations = [standing(str(at), "listed", at_ms=NOW - 240_000 + at * 1_000) for at in range(0, 241, 60)]
    rules = [replace(HIT_RULE, allowed_lateness_seconds=900), DWELL_RULE]
    known = knowledge(configuration=catalogue(rules=rules).at(NOW))

    # when a batch meets it
    result = run(*observations, state=state, against=known)

    # then it fails once, the other rule raises, and the batch is applied
    assert [failure.rule_id for failure in result.failures] == ["hit" if module is watchlist_hit else "dwell"]
    assert {raised.rule.value.rule_id for raised in result.raised} == (
        {"dwell"} if module is watchlist_hit else {"hit"}
    )
    assert state.offset == 0


def test_a_rule_that_raises_loses_its_own_change_of_state(monkeypatch: pytest.MonkeyPatch) -> None:
    state = PartitionState()
    run(standing("0", at_ms=NOW - 120_000, track="t"), state=state, offset=0)
    before = dict(state.districts["district-1"].stays)

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(dwell, "evaluate", broken)
    run(standing("1", at_ms=NOW - 60_000, track="t"), state=state, offset=1)

    assert state.districts["district-1"].stays == before


def test_a_newer_version_of_a_suspended_rule_is_evaluated(monkeypatch: pytest.MonkeyPatch) -> None:
    known = knowledge()
    known.suspended.add(("hit", 1))
    assert run(read("a", "listed"), against=known).raised == []

    known.suspended.clear()
    known.suspended.add(("hit", 0))
    assert len(run(read("a", "listed"), against=known).raised) == 1


def test_a_dead_letter_is_counted_once() -> None:
    state = PartitionState()

    assert note_dead_letter(state, 3)
    assert not note_dead_letter(state, 3)
    assert state.totals().dead_lettered_batches == 1


def test_the_same_observation_is_the_same_alert_whatever_the_rules_version() -> None:
    first = run(read("a", "listed")).raised[0].raised_id
    filled = catalogue(rules=[])
    filled.put_rule("hit", Version(2, 0, HIT_RULE))

    assert (
        run(read("a", "listed"), against=knowledge(configuration=filled.at(NOW))).raised[0].raised_id == first
    )


observations = st.lists(
    st.tuples(st.integers(0, 40), st.sampled_from(["listed", "another", ""]), st.booleans()), max_size=6
)


def made(batches: list[list[tuple[int, str, bool]]]) -> list[list[Observation]]:
    return [
        [
            standing(
                f"{number}",
                *([text] if text else []),
                at_ms=NOW - 300_000 + index * 40_000,
                track=f"t{number % 2}",
            )
            if stands
            else read(f"{number}", *([text] if text else []))
            for number, text, stands in one
        ]
        for index, one in enumerate(batches)
    ]


def applied(
    batches: list[list[Observation]], state: PartitionState, first: int, last: int, against: Knowledge
) -> set[bytes]:
    """The ids of what the batches from `first` until (excluding) `last` raise."""
    return {
        raised.raised_id
        for offset in range(first, last)
        for raised in evaluate(
            batch(*batches[offset]), offset=offset, state=state, knowledge=against, now_ms=NOW
        ).raised
    }


@given(st.lists(observations, max_size=10).map(made), st.data())
def test_a_replay_from_any_checkpoint_raises_the_same_alerts(
    batches: list[list[Observation]], data: st.DataObject
) -> None:
    brief = replace(DWELL_RULE, dwell=DwellParameters(dwell_seconds=40, maximum_gap_seconds=60))
    against = knowledge(configuration=catalogue(rules=[HIT_RULE, brief]).at(NOW))
    checkpoint = data.draw(st.integers(0, len(batches)))
    died = data.draw(st.integers(checkpoint, len(batches)))
    torn = data.draw(st.booleans())
    # given a worker that is never interrupted
    whole = PartitionState()
    expected = applied(batches, whole, 0, len(batches), against)

    # when another dies after a checkpoint, possibly when it has written the districts of the next one
    state = PartitionState()
    raised = applied(batches, state, 0, checkpoint, against)
    first = snapshots.capture(0, state, TOPIC)
    raised |= applied(batches, state, checkpoint, died, against)
    second = snapshots.capture(0, state, TOPIC)
    written: dict[bytes, bytes] = {}
    for one in (*first.pieces, first.ledger, *(second.pieces if torn else ())):
        if one is not None:
            written[one.key] = snapshots.prefer(written.get(one.key), one.value)
    # and a third begins from what was written, with every batch since the first
    recovered = snapshots.restore(0, written.values(), TOPIC)
    raised |= applied(batches, recovered, 0, len(batches), against)

    # then together they raise what should be raised, and the state is the same
    assert raised == expected
    assert recovered.totals() == whole.totals()
    assert stays_of(recovered) == stays_of(whole)


def stays_of(state: PartitionState) -> dict[str, dict[tuple[str, str], dwell.Stay]]:
    return {name: district.stays for name, district in state.districts.items() if district.stays}
