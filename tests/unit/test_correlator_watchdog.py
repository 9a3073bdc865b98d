"""When a consumer has stopped without a word, and how many batches Kafka forgot."""

from __future__ import annotations

from services.correlator.positions import Position
from services.correlator.watchdog import Waiting, Watchdog, lag, lost


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_lag_without_progress_beyond_the_limit_is_a_stall() -> None:
    clock = Clock()
    dog = Watchdog(60, clock=clock)
    assert dog.stalled({1: Position(0, 10, 5)}) == []

    clock.now = 60
    assert dog.stalled({1: Position(0, 20, 5)}) == []
    clock.now = 61
    assert dog.stalled({1: Position(0, 30, 5)}) == [1]


def test_progress_or_no_lag_begins_anew() -> None:
    clock = Clock()
    dog = Watchdog(60, clock=clock)
    dog.stalled({1: Position(0, 10, 5), 2: Position(0, 5, 5)})

    clock.now = 61
    assert dog.stalled({1: Position(0, 10, 6), 2: Position(0, 5, 5)}) == []


def test_a_partition_that_nobody_ever_committed_can_stall() -> None:
    clock = Clock()
    dog = Watchdog(60, clock=clock)
    dog.stalled({1: Position(0, 10, None)})

    clock.now = 61
    assert dog.stalled({1: Position(0, 10, None)}) == [1]


def test_a_pause_does_not_count() -> None:
    clock = Clock()
    dog = Watchdog(60, clock=clock)
    dog.stalled({1: Position(0, 10, 5)})
    clock.now = 61

    dog.pause()

    assert dog.stalled({1: Position(0, 10, 5)}) == []


def test_a_committed_offset_below_the_logs_start_is_told_with_the_number_lost() -> None:
    positions = {1: Position(10, 20, 4), 2: Position(10, 20, 10), 3: Position(10, 20, None)}

    assert lost(positions) == {1: 6}


def test_the_lag_is_what_is_not_committed() -> None:
    assert lag([Position(0, 10, 4), Position(2, 10, None), Position(0, 5, 5)]) == 14


def test_waiting_for_the_same_too_long_is_told() -> None:
    clock = [0.0]
    waiting = Waiting(60, clock=lambda: clock[0])
    assert not waiting.too_long(7)
    clock[0] = 60
    assert not waiting.too_long(7)
    clock[0] = 61
    assert waiting.too_long(7)


def test_progress_and_having_nothing_to_wait_for_begin_anew() -> None:
    clock = [0.0]
    waiting = Waiting(60, clock=lambda: clock[0])
    waiting.too_long(7)
    clock[0] = 50
    assert not waiting.too_long(8)
    clock[0] = 100
    assert not waiting.too_long(8)
    assert not waiting.too_long(None)
    clock[0] = 200
    assert not waiting.too_long(8)
