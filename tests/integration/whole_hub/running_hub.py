"""A whole hub in a folder, as its operator starts, stops and loses it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from alerthub.embedded.child import readiness
from alerthub.embedded.folder import HubFolder
from alerthub.selftest.hub import HubFacts

CANARY_SECONDS = 5
"""And the office is told after three times as long: a story cannot wait for ninety."""
_START_SECONDS = 180.0
_SOON_SECONDS = 60.0


class RunningHub:
    """`alerthub up` as a child process. Every plate that a story uses is remembered."""

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        self.folder = HubFolder(folder)
        self.plates: list[str] = []
        self.secrets: dict[str, str] = {}
        """Of the cameras, once the town is applied."""
        self.tokens: dict[tuple[str, str], tuple[float, str]] = {}
        """Account and service to when it signed in (monotonic seconds), and the token."""
        self._log = (folder.parent / "up.log").open("wb")
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "alerthub.cli.main", "up"),
                *("--data", str(folder), "--canary-seconds", str(CANARY_SECONDS)),
            ],
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        _until(lambda: self._state() == "ready", _START_SECONDS)
        self.facts = HubFacts.read(self.folder)

    def _state(self) -> str:
        if self._process.poll() is not None:
            raise AssertionError("the hub ended by itself")
        return str(self.folder.read_hub().get("state")) if self.folder.hub_file.exists() else ""

    def stop(self) -> None:
        self._process.send_signal(signal.SIGINT)
        self._process.wait(60)
        self._log.close()

    def pid(self, name: str) -> int:
        """Of a service's first instance, of kafka or of postgres."""
        hub = self.folder.read_hub()
        if name in ("kafka", "postgres"):
            return int(hub[name]["pid"])
        return next(int(each["pid"]) for each in hub["services"] if each["service"] == name)

    def kill(self, name: str) -> None:
        """kill -9, and waits until the supervisor has started it again and all services are ready."""
        before = self.pid(name)
        os.kill(before, signal.SIGKILL)
        _until(lambda: self.pid(name) not in (0, before), _SOON_SECONDS)
        _until(self._ready, _SOON_SECONDS)

    def _ready(self) -> bool:
        ports = [int(each["operations_port"]) for each in self.folder.read_hub()["services"]]
        return all(readiness(port) is None for port in ports)

    @contextmanager
    def hung(self, name: str) -> Iterator[None]:
        """The process does nothing during the block."""
        pid = self.pid(name)
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)


def _until(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"did not happen within {seconds:.0f} s")
        time.sleep(0.05)
