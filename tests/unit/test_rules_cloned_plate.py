"""The same plate at two places too far apart: whichever half comes first, and never by a clock's error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from correlator_builders import NOW
from hypothesis import given
from hypothesis import strategies as st
from passage_builders import CLONED_RULE, FAR, HERE, read_at, seen

from alerthub.domain.resources import Rule
from alerthub.domain.routing import Place, distance_metres
from alerthub.domain.rules import cloned_plate
from alerthub.domain.rules.cloned_plate import MAXIMUM_READS, Pair, Read, Seen
from alerthub.domain.schedule import Hours, Schedule

MINUTE = 60_000


def compared(reads: Sequence[Read], rule: Rule = CLONED_RULE) -> list[Pair]:
    """Every pair that fired while the reads came in this order."""
    known = Seen()
    fired: list[Pair] = []
    for read in reads:
        known, pairs = cloned_plate.evaluate(rule, known, read)
        fired.extend(pairs)
    return fired


def ids(pairs: Sequence[Pair]) -> set[bytes]:
    return {pair.later.observation_id for pair in pairs}


READS = st.lists(
    st.builds(
        seen,
        st.uuids().map(lambda one: one.hex[:16]),
        st.sampled_from([HERE, FAR, Place(38.1, 114.7), Place(38.0, 114.52)]),
        st.integers(NOW - 40 * MINUTE, NOW),
        uncertainty_ms=st.sampled_from([0, 500, 5_000, 200_000]),
    ),
    max_size=MAXIMUM_READS,
    unique_by=lambda read: read.observation_id,
)


def test_a_plate_at_two_places_that_no_vehicle_reaches_in_time_fires() -> None:
    # given 33 km, which take 16.7 minutes at 120 km/h, in ten
    [pair] = compared([seen("a", HERE, NOW - 10 * MINUTE), seen("b", FAR, NOW)])

    assert (pair.earlier.place, pair.later.place) == (HERE, FAR)
    assert pair.speed_kmh == pytest.approx(200, abs=1)
    assert pair.metres == pytest.approx(33_358, abs=1)


def test_a_plate_that_had_the_time_for_its_way_does_not() -> None:
    assert compared([seen("a", HERE, NOW - 17 * MINUTE), seen("b", FAR, NOW)]) == []


@given(READS, st.randoms())
def test_the_order_in_which_reads_come_decides_nothing(reads: list[Read], chance: object) -> None:
    shuffled = list(reads)
    chance.shuffle(shuffled)  # type: ignore[attr-defined] # hypothesis' random

    assert ids(compared(shuffled)) == ids(compared(reads))


@given(READS)
def test_a_read_fires_once(reads: list[Read]) -> None:
    fired = [pair.later.observation_id for pair in compared(reads)]

    assert len(fired) == len(set(fired))


@given(READS.filter(bool), st.data())
def test_a_repeat_changes_nothing(reads: list[Read], data: st.DataObject) -> None:
    known = Seen()
    for read in reads:
        known, _ = cloned_plate.evaluate(CLONED_RULE, known, read)
    repeat = data.draw(st.sampled_from(reads))

    assert cloned_plate.evaluate(CLONED_RULE, known, repeat) == (known, ())


@given(READS)
def test_no_pair_fires_that_the_clocks_leave_open(reads: list[Read]) -> None:
    for pair in compared(reads):
        metres = distance_metres(pair.earlier.place, pair.later.place)
        needed_ms = metres / (120 / 3.6) * 1_000
        uncertainty_ms = pair.earlier.uncertainty_ms + pair.later.uncertainty_ms
        assert pair.later.at_ms - pair.earlier.at_ms + uncertainty_ms < needed_ms
        assert uncertainty_ms <= needed_ms / 10


def test_clocks_that_are_off_by_more_than_a_tenth_of_the_way_say_nothing() -> None:
    # given a way of 1,000.7 seconds at the maximum speed
    def at(uncertainty_ms: int) -> list[Pair]:
        return compared(
            [seen("a", HERE, NOW, uncertainty_ms=50_000), seen("b", FAR, NOW, uncertainty_ms=uncertainty_ms)]
        )

    assert len(at(50_000)) == 1
    assert at(50_100) == []


def test_neighbouring_cameras_are_not_compared() -> None:
    # 175 m apart at one moment: their clocks may be half a second wrong each
    near = Place(38.0, 114.502)
    assert compared([seen("a", HERE, NOW), seen("b", near, NOW)]) == []


def test_reads_outside_of_the_window_are_not_compared() -> None:
    far_away = Place(45.0, 120.0)
    assert compared([seen("a", HERE, NOW - 31 * MINUTE), seen("b", far_away, NOW)]) == []


def test_of_two_at_one_moment_the_one_with_the_higher_id_fires() -> None:
    pairs = [[seen("a", HERE, NOW), seen("b", FAR, NOW)], [seen("b", FAR, NOW), seen("a", HERE, NOW)]]
    assert [[pair.later.kept for pair in compared(reads)] for reads in pairs] == [[b"b"], [b"b"]]


def test_within_the_cooldown_it_fires_once() -> None:
    rule = replace(CLONED_RULE, cooldown_seconds=600)
    reads = [
        seen("a", HERE, NOW),
        seen("b", FAR, NOW + MINUTE),
        seen("c", HERE, NOW + 2 * MINUTE),
        seen("d", FAR, NOW + 12 * MINUTE),
    ]
    assert [pair.later.kept for pair in compared(reads, rule)] == [b"b", b"d"]


def test_of_many_reads_the_newest_are_kept() -> None:
    known = Seen()
    for number in range(3 * MAXIMUM_READS):
        known, _ = cloned_plate.evaluate(CLONED_RULE, known, seen(f"{number:03}", HERE, NOW + number))
    assert [read.at_ms for read in known.reads] == [NOW + 2 * MAXIMUM_READS + n for n in range(MAXIMUM_READS)]


def test_what_no_read_is_compared_with_any_more_is_forgotten() -> None:
    known = Seen()
    for read in (seen("a", HERE, NOW), seen("b", FAR, NOW + 5 * MINUTE)):
        known, _ = cloned_plate.evaluate(CLONED_RULE, known, read)
    window_and_lateness = 1_800_000 + 60_000

    at_its_end = cloned_plate.without_old(known, CLONED_RULE, NOW + window_and_lateness)
    after_it = cloned_plate.without_old(known, CLONED_RULE, NOW + window_and_lateness + 1)
    long_after = cloned_plate.without_old(known, CLONED_RULE, NOW + 60 * MINUTE)

    assert at_its_end.reads == known.reads
    assert [read.kept for read in after_it.reads] == [b"b"]
    assert long_after == Seen()


@pytest.mark.parametrize(
    ("rule", "confidence", "asked_for"),
    [
        (CLONED_RULE, 0.0, True),
        (CLONED_RULE, 0.9, True),
        (CLONED_RULE, 0.5, False),
        (replace(CLONED_RULE, schedule=Schedule("UTC", (Hours((1,), 0, 1),), ())), 0.9, False),
    ],
)
def test_only_a_sure_read_within_the_schedule_is_asked_for(
    rule: Rule, confidence: float, asked_for: bool
) -> None:
    observation = read_at("a", HERE, "plate", confidence=confidence)

    assert bool(cloned_plate.subjects_of(rule, observation, 0, NOW)) is asked_for


def test_a_document_is_not_asked_for() -> None:
    observation = read_at("a", HERE, "document")
    observation.identifiers[0].kind = 2  # type: ignore[assignment] # the wire's number

    assert cloned_plate.subjects_of(CLONED_RULE, observation, 0, NOW) == []
