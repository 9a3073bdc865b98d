"""`alerthub selftest` as its user runs it: a hub of its own, and each hop or the one that failed."""

from __future__ import annotations

import json
import subprocess
import sys
import time

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


def selftest(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "alerthub.cli.main", "selftest", "--json", *options],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


def processes_in(needle: str) -> list[str]:
    listed = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if needle in line]


def folder_of(progress: str) -> str:
    """The temporary folder, as the hub's own words name it."""
    start = progress.index("accounts: ") + len("accounts: ")
    return progress[start : progress.index("\n", start)].strip()


def test_the_main_job_is_proven_hop_by_hop_and_leaves_nothing_running() -> None:
    done = selftest()
    assert done.returncode == 0, done.stderr[-2000:]
    result = json.loads(done.stdout)
    assert set(result) == {"ok", "hops"}
    assert result["ok"] is True
    assert [hop["name"] for hop in result["hops"]] == HOPS
    assert all(hop["ms"] >= 0 for hop in result["hops"])
    # The kernel may take a moment to reap the last child.
    deadline = time.monotonic() + 10
    while (left := processes_in(folder_of(done.stderr))) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert left == []


def test_a_stopped_service_makes_it_fail_naming_the_hop() -> None:
    done = selftest("--without", "correlator")
    assert done.returncode == 1
    result = json.loads(done.stdout)
    assert set(result) == {"ok", "failed_hop", "reason"}
    assert result["ok"] is False
    assert result["failed_hop"] == "gateway to correlator"
    assert "correlator" in result["reason"]
