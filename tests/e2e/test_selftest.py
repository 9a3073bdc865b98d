"""`alerthub selftest` as its user runs it: a hub of its own, and each hop or the one that failed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

_SECONDS = 480
"""A hub may take four minutes to start, and each hop has an end of its own."""
pytestmark = pytest.mark.timeout(_SECONDS + 60)

HOPS = [
    "start the hub",
    "sign people in",
    "apply the city",
    "enrol the terminal and sign on",
    "list and approve an entry",
    "device to gateway",
    "gateway to correlator",
    "correlator to dispatch",
    "confirm to receipt",
    "acceptance",
    "outcome",
    "list and approve a second entry",
    "device to gateway, second alert",
    "confirm to receipt, second alert",
    "withdrawal to cancellation on the terminal",
    "audit export and verification",
]


@dataclass(frozen=True)
class Selftest:
    """One that was begun."""

    process: subprocess.Popen[str]

    def result(self) -> tuple[int, dict[str, Any], str]:
        """Its exit code, what it printed for machines, and what it told people meanwhile."""
        printed, told = self.process.communicate(timeout=_SECONDS)
        return self.process.returncode, json.loads(printed), told


def begun(*options: str) -> Selftest:
    command = [sys.executable, "-m", "alerthub.cli.main", "selftest", "--json", *options]
    return Selftest(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))


@pytest.fixture(scope="module")
def selftests() -> Iterator[tuple[Selftest, Selftest]]:
    """One of everything, one without the correlator. Both at once: each mostly waits."""
    both = begun(), begun("--without", "correlator")
    yield both
    for each in both:
        each.process.send_signal(signal.SIGINT)
        each.process.wait(60)


def processes_in(needle: str) -> list[str]:
    listed = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if needle in line]


def folder_of(progress: str) -> str:
    """The temporary folder, as the hub's own words name it."""
    start = progress.index("accounts: ") + len("accounts: ")
    return progress[start : progress.index("\n", start)].strip()


def test_the_main_job_is_proven_hop_by_hop_and_leaves_nothing_running(
    selftests: tuple[Selftest, Selftest],
) -> None:
    code, result, told = selftests[0].result()
    assert code == 0, told[-2000:]
    assert set(result) == {"ok", "hops"}
    assert result["ok"] is True
    assert [hop["name"] for hop in result["hops"]] == HOPS
    assert all(hop["ms"] >= 0 for hop in result["hops"])
    # The kernel may take a moment to reap the last child.
    deadline = time.monotonic() + 10
    while (left := processes_in(folder_of(told))) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert left == []


def test_a_stopped_service_makes_it_fail_naming_the_hop(selftests: tuple[Selftest, Selftest]) -> None:
    code, result, _ = selftests[1].result()
    assert code == 1
    assert set(result) == {"ok", "failed_hop", "reason"}
    assert result["ok"] is False
    assert result["failed_hop"] == "gateway to correlator"
    assert "correlator" in result["reason"]
