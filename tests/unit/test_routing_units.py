"""Which unit is asked, and why (C18)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerthub.domain.routing import (
    POSITION_MAXIMUM_AGE_MS,
    Place,
    ReportedPosition,
    RoutableUnit,
    Route,
    ShiftTime,
    Workload,
    candidates,
    choose,
    distance_metres,
    rank,
)

NOW = 1_700_000_000_000
ALERT = Place(38.04, 114.51)
SHIFT = ShiftTime(NOW - 1_000, NOW + 1_000)


def unit(
    unit_id: str,
    *,
    latitude: float = 38.05,
    kind: str = "patrol",
    serves: frozenset[str] = frozenset({"east"}),
    shift: ShiftTime = SHIFT,
) -> RoutableUnit:
    return RoutableUnit(unit_id, kind, serves, Place(latitude, 114.51), (shift,))


def routed(
    *units: RoutableUnit,
    positions: dict[str, ReportedPosition] | None = None,
    workloads: dict[str, Workload] | None = None,
    excluded: frozenset[str] = frozenset(),
) -> Route | None:
    available = candidates(units, kind="patrol", jurisdiction="east", excluded=excluded, now_ms=NOW)
    return choose(available, place=ALERT, positions=positions or {}, workloads=workloads or {}, now_ms=NOW)


def chosen(*units: RoutableUnit, **given_facts: object) -> str | None:
    route = routed(*units, **given_facts)  # type: ignore[arg-type]
    return route.unit_id if route is not None else None


def test_the_nearest_unit_is_asked() -> None:
    assert chosen(unit("far", latitude=38.2), unit("near")) == "near"


@pytest.mark.parametrize(
    "unfit",
    [
        unit("x", latitude=38.04, kind="tow"),
        unit("x", latitude=38.04, serves=frozenset({"west"})),
        unit("x", latitude=38.04, shift=ShiftTime(NOW - 2_000, NOW)),
        unit("x", latitude=38.04, shift=ShiftTime(NOW + 1, NOW + 2_000)),
    ],
    ids=["kind", "jurisdiction", "shift over", "shift to come"],
)
def test_a_unit_that_does_not_fit_is_not_asked_however_near_it_is(unfit: RoutableUnit) -> None:
    assert chosen(unfit, unit("fits", latitude=39.0)) == "fits"


def test_nobody_fits() -> None:
    assert routed(unit("x", kind="tow")) is None


def test_a_unit_that_was_asked_before_is_not_asked_again() -> None:
    assert chosen(unit("near"), unit("far", latitude=38.2), excluded=frozenset({"near"})) == "far"


def test_a_reported_position_counts_before_the_station() -> None:
    there = ReportedPosition(ALERT, NOW - 1_000)
    assert chosen(unit("near"), unit("far", latitude=38.9), positions={"far": there}) == "far"


def test_c18_a_position_older_than_120_s_counts_as_the_station() -> None:
    old = ReportedPosition(ALERT, NOW - POSITION_MAXIMUM_AGE_MS - 1)
    assert chosen(unit("near"), unit("far", latitude=38.9), positions={"far": old}) == "near"


def test_c18_a_busy_unit_comes_after_every_free_one() -> None:
    assert chosen(unit("near"), unit("far", latitude=38.9), workloads={"near": Workload(1, 1)}) == "far"


def test_a_busy_unit_is_asked_when_no_unit_is_free() -> None:
    both = {"near": Workload(1, 1), "far": Workload(2, 2)}
    assert chosen(unit("near"), unit("far", latitude=38.9), workloads=both) == "near"


def test_c18_equally_near_units_take_turns_by_alerts_this_shift() -> None:
    assert chosen(unit("a"), unit("b"), workloads={"a": Workload(0, 3), "b": Workload(0, 2)}) == "b"


def test_the_route_says_why() -> None:
    route = routed(unit("near"), unit("far", latitude=38.2))
    assert route is not None
    assert any("1.1 km away, by its station" in reason.english for reason in route.reasons)
    assert any("before far" in reason.english for reason in route.reasons)


def test_a_degree_of_latitude_is_111_km() -> None:
    assert distance_metres(Place(0, 0), Place(1, 0)) == pytest.approx(111_195, abs=1)


_places = st.builds(Place, st.floats(-89, 89), st.floats(-180, 180))


@given(_places, _places)
def test_distance_is_the_same_both_ways_and_never_beyond_half_the_earth(one: Place, other: Place) -> None:
    there = distance_metres(one, other)
    assert there == pytest.approx(distance_metres(other, one), abs=1e-3)
    assert 0 <= there < 20_016_000


@given(st.lists(st.tuples(st.floats(37, 39), st.booleans(), st.integers(0, 5)), min_size=1, max_size=8))
def test_whoever_is_chosen_no_free_unit_is_nearer(given_units: list[tuple[float, bool, int]]) -> None:
    units = [unit(f"u{index}", latitude=latitude) for index, (latitude, _, _) in enumerate(given_units)]
    loads = {
        f"u{index}": Workload(int(busy), this_shift)
        for index, (_, busy, this_shift) in enumerate(given_units)
    }
    route = routed(*units, workloads=loads)
    assert route is not None
    found = next(each for each in units if each.unit_id == route.unit_id)
    free = [each for each in units if not loads[each.unit_id].live]
    if free:
        assert found in free
    nearest = min(distance_metres(each.station, ALERT) for each in free or units)
    assert distance_metres(found.station, ALERT) <= nearest + 10


def test_the_office_is_shown_the_order_in_which_the_rules_ask() -> None:
    # given a near unit that is busy, and two that are free
    units = [unit("busy"), unit("far", latitude=38.2), unit("further", latitude=38.3)]
    available = candidates(units, kind="", jurisdiction="", excluded=frozenset(), now_ms=NOW)

    ranked = rank(available, place=ALERT, positions={}, workloads={"busy": Workload(1, 1)}, now_ms=NOW)

    assert [each.unit.unit_id for each in ranked] == ["far", "further", "busy"]
    assert ranked[0].reasons(NOW)[0].english.endswith("by its station: no position within 120 s")


def test_a_unit_of_an_alert_without_a_place_has_no_distance() -> None:
    available = candidates([unit("u")], kind="", jurisdiction="", excluded=frozenset(), now_ms=NOW)

    (only,) = rank(available, place=None, positions={}, workloads={}, now_ms=NOW)

    assert only.metres is None
    assert only.reasons(NOW)[0].english == "the alert has no place"
