"""A living city on a whole hub: what the hub raises is what the truth says, and nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from running_hub import RunningHub

SECONDS = 40
"""At twelve times its speed: half a minute is too long to stand, and a camera is cut off for nine seconds."""


def test_a_simulated_citys_alerts_are_raised_and_no_others(hub: RunningHub, tmp_path: Path) -> None:
    truth = tmp_path / "truth.jsonl"
    command = ["simulate", "--data", str(hub.folder.root), "--seed", "7", "--rate", "12", "--speed", "12"]
    finished = subprocess.run(
        [
            *(sys.executable, "-m", "alerthub.cli.main", *command),
            *("--duration", str(SECONDS), "--truth", str(truth), "--json"),
        ],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )

    assert finished.returncode == 0, finished.stdout + finished.stderr
    said = json.loads(finished.stdout)
    lines = [json.loads(line) for line in truth.read_text(encoding="utf-8").splitlines()]
    assert {(rule["precision"], rule["recall"]) for rule in said["rules"].values()} == {(1.0, 1.0)}
    assert all(rule["expected"] for rule in said["rules"].values())
    assert said["miscounted"] == []
    # It was worth trying: everything that must be silent was told as well.
    silent = {line["why"] for line in lines if line["must"] == "nothing"}
    assert {
        "an entry that nobody approved: entered, approved by nobody",
        "an entry that expired: expired before the run",
        "read only by cameras without an authorisation: the device has no authorisation",
        "told too late: told too late",
        "stood shorter than allowed, or was out of sight for longer than the rule's gap",
    } <= silent
