"""The simulated city moves as a city does, and the same seed moves it in the same way."""

from __future__ import annotations

import itertools
import math
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from alerthub.simulator.chance import chance_of
from alerthub.simulator.city import Job, Make, make_city
from alerthub.simulator.demo_city import WITHOUT_AUTHORISATION, demo_city
from alerthub.simulator.happenings import Kind
from alerthub.simulator.scenario import Figures, make_scenario
from alerthub.simulator.streets import grid, route
from alerthub.simulator.vehicles import FASTEST, Hours, intensity, itinerary

SEEDS = st.integers(0, 10**6)
SHORT = Figures(seed=3, scale=1, rate=15, duration_seconds=60, speed=12)


@given(seed=SEEDS, speed=st.sampled_from([1.0, 5.0, 12.0]), begin=st.floats(0, 1_439))
def test_a_vehicle_is_never_in_two_places_and_takes_its_time_between_them(
    seed: int, speed: float, begin: float
) -> None:
    streets = grid(6, 5, seed=seed)
    way = list(
        itinerary(
            streets,
            chance_of(seed, "vehicle"),
            hours=Hours(begin, speed),
            until_ms=120_000,
            within=range(30),
        )
    )
    for before, after in itertools.pairwise(way):
        assert before.from_ms <= before.until_ms < after.from_ms
        metres = streets.metres(before.place, after.place)
        seconds = (after.from_ms - before.until_ms + 1) / 1_000
        assert after.place in streets.neighbours[before.place]
        assert metres / seconds <= FASTEST * speed * 1.01


@given(seed=SEEDS, start=st.integers(0, 29), end=st.integers(0, 29))
def test_no_way_between_two_crossings_is_shorter_than_the_route(seed: int, start: int, end: int) -> None:
    streets = grid(6, 5, seed=seed)

    def length(way: tuple[int, ...]) -> float:
        return sum(streets.metres(*pair) for pair in itertools.pairwise(way))

    found = route(streets, start, end, within=range(30))
    through = [
        route(streets, start, middle, within=range(30)) + route(streets, middle, end, within=range(30))[1:]
        for middle in range(30)
    ]
    assert (found[0], found[-1]) == (start, end)
    assert math.isclose(length(found), min(length(way) for way in through))


def test_there_is_no_route_out_of_what_a_vehicle_keeps_to() -> None:
    assert route(grid(6, 5, seed=1), 0, 29, within={0, 1, 29}) == ()


@settings(max_examples=10)
@given(seed=SEEDS)
def test_the_same_seed_gives_the_same_run(seed: int) -> None:
    figures = Figures(seed=seed, scale=1, rate=10, duration_seconds=30, speed=6)
    assert make_scenario(figures) == make_scenario(figures)


def test_another_seed_gives_another_run() -> None:
    other = Figures(seed=4, scale=1, rate=15, duration_seconds=60, speed=12)
    assert {each.plate for each in make_scenario(SHORT).cast}.isdisjoint(
        each.plate for each in make_scenario(other).cast
    )


def test_a_run_has_as_many_observations_as_were_asked_for() -> None:
    told = len(make_scenario(SHORT).happenings)
    assert 15 * 60 * 0.95 <= told <= 15 * 60 * 1.1


def test_events_are_numbered_in_the_order_in_which_they_are_sent() -> None:
    told = make_scenario(SHORT).happenings
    assert [each.number for each in told] == list(range(1, len(told) + 1))
    assert all(before.send_ms <= after.send_ms for before, after in itertools.pairwise(told))
    assert all(each.seen_ms <= each.send_ms for each in told)


def test_rush_hours_bring_more_traffic_than_noon_and_noon_more_than_the_night() -> None:
    night, morning, noon, evening = (intensity(minute) for minute in (3 * 60, 8 * 60, 12 * 60, 18 * 60))
    assert night < noon < min(morning, evening)
    hours = {begin: Figures(7, 1, 40, 300, 12, begin) for begin in (8 * 60.0, 1 * 60.0)}
    vehicles = {begin: make_scenario(figures).vehicles for begin, figures in hours.items()}
    # The rate is what was asked for: at night it takes more vehicles, each of which drives less.
    assert vehicles[8 * 60.0] < vehicles[1 * 60.0]


def test_every_town_has_every_make_and_a_village_that_may_check_nothing() -> None:
    city = make_city(seed=9, scale=5)
    for town, crossings in enumerate(city.towns):
        here = [device for device in city.devices if device.town == town]
        village = set(city.villages[town])
        assert {device.make for device in here} == set(Make)
        assert village < set(crossings)
        assert all(device.authorised is (device.crossing not in village) for device in here)
        assert all(device.crossing in crossings for device in here)
    assert max(Counter(device.district for device in city.devices).values()) <= 300
    assert len({device.device_id for device in city.devices}) == len(city.devices)


def test_a_camera_that_failed_tells_nothing_and_one_that_was_cut_off_tells_what_it_kept_later() -> None:
    scenario = make_scenario(SHORT)
    late = [each for each in scenario.happenings if each.send_ms - each.seen_ms > 1_000]
    last = {device.device_id: 0 for device in scenario.city.of(Job.CAMERA)}
    for each in scenario.happenings:
        if each.kind is not Kind.PANIC and each.device_id in last:
            last[each.device_id] = max(last[each.device_id], each.seen_ms)
    assert len({each.device_id for each in late}) == 1
    assert 1 <= len(late) <= 10
    assert min(last.values()) < 60_000 * 0.7


@settings(max_examples=8)
@given(seed=SEEDS)
def test_in_the_demo_both_listed_vehicles_pass_cameras_that_may_check_them(seed: int) -> None:
    plates = ["冀R11111", "冀R22222"]
    city = demo_city(officer="officer", now_ms=1_780_000_000_000)
    figures = Figures(seed=seed, scale=1, rate=4, duration_seconds=600, speed=30)
    told = city.scenario(figures, listed_plates=plates).happenings
    seen = {each.plate for each in told if each.device_id != WITHOUT_AUTHORISATION}
    assert set(plates) <= seen
    assert {each.device_id for each in told} >= {*city.cameras[2:], *city.parking_sensors}
