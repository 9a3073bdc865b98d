"""How fast the machine is now: it may be half as fast an hour later, and two runs say something of the code
only where these figures are alike."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

_ADDITIONS = 100_000
_PICTURE = os.urandom(200_000)
_TIMES = 200


def yardsticks() -> str:
    """One line: medians of work that is none of the hub's, in microseconds of the processor."""
    with tempfile.TemporaryDirectory(prefix="alerthub-bench-") as folder:
        numbers = iter(range(_TIMES))
        appended = Path(folder) / "appended"

        def file_of_its_own() -> None:
            (Path(folder) / str(next(numbers))).write_bytes(_PICTURE)

        def append() -> None:
            with appended.open("ab", buffering=0) as opened:
                opened.write(_PICTURE)

        return (
            f"machine now: {_ADDITIONS:,} additions in Python {_median(_add, 20):,.0f} us; "
            f"200 kB copied {_median(lambda: bytearray(_PICTURE), _TIMES):,.0f} us, "
            f"to a new file in {tempfile.gettempdir()} {_median(file_of_its_own, _TIMES):,.0f} us, "
            f"appended to one {_median(append, _TIMES):,.0f} us"
        )


def _add() -> None:
    total = 0
    for number in range(_ADDITIONS):
        total += number


def _median(work: Callable[[], object], times: int) -> float:
    taken = []
    for _ in range(times):
        began = time.process_time_ns()
        work()
        taken.append(time.process_time_ns() - began)
    return statistics.median(taken) / 1_000
