"""kill -9 in the middle of a stream: nothing is lost, every alert is on the terminal exactly once."""

from __future__ import annotations

from collections import Counter

import pytest
from hub_driver import Hub, random_plates


@pytest.mark.parametrize(
    "part", ["gateway", "correlator", "dispatch", "push", "watchlist", "registry", "kafka", "postgres"]
)
def test_killing_a_part_loses_and_doubles_nothing(hub: Hub, part: str) -> None:
    # given vehicles that are listed, and a camera that reads one after the other
    plates = random_plates(12)
    entries = hub.list_plates(plates)
    hub.read(plates[0])
    hub.wait_until_shown([entries[plates[0]]])

    # when a part of the hub is killed in the middle of it
    reading = hub.read_in_background(plates[1:])
    killed = hub.kill(part)
    reading.result(timeout=100)
    hub.wait_until_replaced(part, killed)

    # then each alert is on the terminal, once
    hub.wait_until_shown(entries.values(), timeout=100)
    times = Counter(shown.entry_id for shown in hub.shown())
    assert {entry: times[entry] for entry in entries.values()} == dict.fromkeys(entries.values(), 1)
