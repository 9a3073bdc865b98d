"""What a simulated city must raise: from what its devices told, in whatever order, without the domain."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerthub.domain.identifiers import IdentifierKind
from alerthub.domain.masks import CONFUSABLE, masked
from alerthub.simulator.cast import Listed, Standing
from alerthub.simulator.city import Device, Job, Make, Times
from alerthub.simulator.happenings import Happening, Kind, Told
from alerthub.simulator.plates import CHARACTERS, confused, looks_like, misread, random_plate
from alerthub.simulator.scenario import Figures, Scenario, make_scenario
from alerthub.simulator.truth import Key, Must, RuleKind, truth_of
from alerthub.simulator.verdict import Raised, judge

SCENARIO = make_scenario(Figures(seed=11, scale=1, rate=12, duration_seconds=75, speed=12))
TIMES = Times(dwell_seconds=20, gap_seconds=5, lateness_seconds=5)
PLATES = st.text(CHARACTERS, min_size=5, max_size=6).map("冀R".__add__)


def arrived(happening: Happening, *, after_ms: int = 50) -> Told:
    return Told(happening, happening.send_ms, happening.send_ms + after_ms)


def all_of(scenario: Scenario) -> list[Told]:
    return [arrived(each) for each in scenario.happenings]


def musts(told: list[Told]) -> dict[Key, Must]:
    truth = truth_of(told, city=SCENARIO.city, cast=SCENARIO.cast, times=SCENARIO.times)
    return {key: each.must for key, each in truth.expected.items()}


@settings(max_examples=10)
@given(seed=st.integers(0, 1_000))
def test_the_truth_does_not_depend_on_the_order_in_which_it_is_told(seed: int) -> None:
    told = all_of(SCENARIO)
    shuffled = told.copy()
    random.Random(seed).shuffle(shuffled)  # noqa: S311 - an order
    given = [
        truth_of(each, city=SCENARIO.city, cast=SCENARIO.cast, times=SCENARIO.times)
        for each in (told, shuffled)
    ]
    assert given[0] == given[1]


@given(plate=PLATES, other=PLATES)
def test_two_plates_look_alike_where_the_hubs_mask_says_so_too(plate: str, other: str) -> None:
    ours = looks_like(plate) == looks_like(other)
    theirs = masked(CONFUSABLE, IdentifierKind.PLATE, plate) == masked(
        CONFUSABLE, IdentifierKind.PLATE, other
    )
    assert ours is theirs


@given(seed=st.integers(0, 10**6))
def test_a_confused_plate_looks_alike_and_a_misread_one_never_does(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - plates
    plate = random_plate(chance)
    assert looks_like(confused(plate, chance)) == looks_like(plate)
    assert looks_like(misread(plate, chance)) != looks_like(plate)


def test_every_role_of_the_cast_becomes_what_it_is_there_to_show() -> None:
    found = musts(all_of(SCENARIO))
    by_role: dict[str, set[Must]] = {}
    for listed in SCENARIO.cast:
        by_role.setdefault(listed.role.why, set()).add(found[Key(RuleKind.LISTED, f"entry {listed.number}")])
    alerting = {
        "a stolen vehicle",
        "a stolen vehicle, looked for with confused characters too",
        "read with a confused character, and looked for so",
        "a wanted person's vehicle",
    }
    # Whoever nobody reads alerts nobody; all others do.
    assert all(Must.ALERT in by_role[why] and Must.MAY not in by_role[why] for why in alerting)
    assert all(each == {Must.NOTHING} for why, each in by_role.items() if why not in alerting)


def test_a_run_has_stays_that_alert_and_stays_that_do_not() -> None:
    stays = [must for key, must in musts(all_of(SCENARIO)).items() if key.rule_kind is RuleKind.STOOD]
    assert set(stays) == {Must.ALERT, Must.NOTHING}


CAMERA = next(each for each in SCENARIO.city.of(Job.CAMERA) if each.authorised)
VILLAGER = next(each for each in SCENARIO.city.of(Job.CAMERA) if not each.authorised)
BAY = next(each for each in SCENARIO.city.of(Job.BAY) if each.make is Make.BAY_SENSOR)
WANTED = next(each for each in SCENARIO.cast if each.role.why == "a stolen vehicle")
ENTRY = Key(RuleKind.LISTED, f"entry {WANTED.number}")


def read(at_ms: int, *, by: Device = CAMERA, plate: str = WANTED.plate, confidence: float = 0.9) -> Happening:
    return Happening(
        by.device_id, Kind.READ, at_ms, at_ms + 100, plate=plate, confidence=confidence, number=at_ms
    )


def test_a_read_in_time_alerts() -> None:
    assert musts([arrived(read(1_000))])[ENTRY] is Must.ALERT


@pytest.mark.parametrize(
    "happening",
    [
        read(1_000, by=VILLAGER),
        read(1_000, confidence=0.4),
        read(1_000, plate=misread(WANTED.plate, random.Random(1))),  # noqa: S311
    ],
    ids=["no authorisation", "too doubtful", "another plate"],
)
def test_a_read_that_must_not_alert_does_not(happening: Happening) -> None:
    assert musts([arrived(happening)])[ENTRY] is Must.NOTHING


@pytest.mark.parametrize("standing", [Standing.NOT_APPROVED, Standing.EXPIRED])
def test_an_entry_that_is_not_in_force_does_not_alert(standing: Standing) -> None:
    listed = Listed(0, replace(WANTED.role, standing=standing), WANTED.plate, WANTED.plate)
    truth = truth_of([arrived(read(1_000))], city=SCENARIO.city, cast=[listed], times=TIMES)
    assert [each.must for each in truth.expected.values()] == [Must.NOTHING]


def test_a_read_of_which_nobody_knows_whether_it_arrived_may_alert() -> None:
    assert musts([Told(read(1_000), 1_100, None)])[ENTRY] is Must.MAY


def heartbeats(count: int) -> list[Told]:
    return [
        arrived(Happening(CAMERA.device_id, Kind.HEARTBEAT, at, at + 50, number=at))
        for at in range(1, count * 1_000, 1_000)
    ]


def test_a_read_that_is_told_too_late_alerts_only_where_the_devices_clock_is_not_known() -> None:
    late = arrived(replace(read(40_000), send_ms=60_000))
    assert musts([*heartbeats(30), late])[ENTRY] is Must.NOTHING
    assert musts([*heartbeats(3), late])[ENTRY] is Must.MAY


def standing(*seconds: float, left: float | None = None) -> list[Told]:
    seen = [(Kind.STANDING, second) for second in seconds]
    seen += [(Kind.LEFT, left)] if left is not None else []
    return [
        arrived(
            Happening(
                BAY.device_id,
                kind,
                round(second * 1_000),
                round(second * 1_000) + 50,
                track="object-1",
                number=number,
            )
        )
        for number, (kind, second) in enumerate(seen, start=1)
    ]


@pytest.mark.parametrize(
    ("told", "must"),
    [
        (standing(*range(0, 28, 2)), Must.ALERT),
        (standing(*range(0, 16, 2)), Must.NOTHING),
        (standing(*range(0, 22, 2)), Must.MAY),
        (standing(*range(0, 14, 2), *range(22, 36, 2)), Must.NOTHING),
        (standing(*range(0, 14, 2), *range(15, 28, 2), left=13.5), Must.NOTHING),
    ],
    ids=["too long", "short", "on the edge", "out of sight in between", "another came"],
)
def test_a_stay_alerts_where_it_was_surely_too_long(told: list[Told], must: Must) -> None:
    assert musts(told)[Key(RuleKind.STOOD, f"stay {BAY.device_id} object-1")] is must


def raised(key: Key | None, *, opened_ms: int = 1, closed_ms: int = 0, sightings: int = 1) -> Raised:
    kind = key.rule_kind if key else RuleKind.STOOD
    return Raised(f"alert-{opened_ms}", kind, key, opened_ms, closed_ms, sightings, ("d",))


def test_what_is_missing_and_what_is_too_much_lowers_recall_and_precision_with_a_reason() -> None:
    told = [arrived(read(1_000)), *standing(*range(0, 16, 2))]
    truth = truth_of(told, city=SCENARIO.city, cast=SCENARIO.cast, times=TIMES)
    stay = next(key for key in truth.expected if key.rule_kind is RuleKind.STOOD)

    right = judge(truth, [raised(ENTRY)])
    wrong = judge(truth, [raised(stay), raised(None, opened_ms=2)])

    assert right.perfect
    assert [(score.precision, score.recall) for score in right.scores] == [(1, 1)] * 3
    listed, stood, _ = wrong.scores
    assert (listed.recall, listed.missed[0].key) == (0, ENTRY.subject)
    assert stood.precision == 0
    assert [each.reason.partition(";")[0] for each in stood.surplus] == [
        "nothing that was told explains it",
        truth.expected[stay].why,
    ]


def test_a_second_alert_is_too_much_while_the_first_is_open_and_right_after_its_end() -> None:
    truth = truth_of([arrived(read(1_000))], city=SCENARIO.city, cast=SCENARIO.cast, times=TIMES)
    assert not judge(truth, [raised(ENTRY), raised(ENTRY, opened_ms=9)]).perfect
    assert judge(truth, [raised(ENTRY, closed_ms=5), raised(ENTRY, opened_ms=9)]).perfect


def test_reads_that_were_not_counted_are_told() -> None:
    told = [arrived(read(1_000)), arrived(read(2_000))]
    truth = truth_of(told, city=SCENARIO.city, cast=SCENARIO.cast, times=TIMES)
    [difference] = judge(truth, [raised(ENTRY, sightings=1)]).miscounted
    assert difference.reason == "1 sightings instead of 2"
