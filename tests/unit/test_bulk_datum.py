"""GCJ-02, which Chinese maps show, against WGS 84, which the hub keeps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerthub.domain.datum import Datum, from_wgs84, to_wgs84
from alerthub.domain.resources import Position

CHINA = st.builds(Position, st.floats(18.5, 53.0), st.floats(74.0, 134.5))


@pytest.mark.parametrize(
    ("wgs84", "gcj02"),
    [
        ((31.1774276, 121.5272106), (31.17530398364597, 121.531541859215)),
        ((22.543847, 113.912316), (22.540796131694766, 113.9171764808363)),
        ((39.911954, 116.377817), (39.91334545536069, 116.38404722455657)),
    ],
)
def test_known_places_are_converted(wgs84: tuple[float, float], gcj02: tuple[float, float]) -> None:
    """The pairs by which the public implementations of GCJ-02 are tested (eviltransform)."""
    assert to_wgs84(Position(*gcj02), Datum.GCJ_02) == Position(*wgs84)


@given(CHINA)
def test_a_place_comes_back_to_within_a_millimetre(place: Position) -> None:
    back = to_wgs84(from_wgs84(place, Datum.GCJ_02), Datum.GCJ_02)
    assert abs(back.latitude - place.latitude) < 1e-8
    assert abs(back.longitude - place.longitude) < 1e-8


@given(CHINA)
def test_in_china_the_two_are_never_the_same(place: Position) -> None:
    moved = from_wgs84(place, Datum.GCJ_02)
    assert 1e-5 < abs(moved.latitude - place.latitude) + abs(moved.longitude - place.longitude) < 0.03


def test_elsewhere_they_are() -> None:
    paris = Position(48.8566, 2.3522)
    assert to_wgs84(paris, Datum.GCJ_02) == from_wgs84(paris, Datum.GCJ_02) == paris
