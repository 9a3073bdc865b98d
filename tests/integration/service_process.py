"""A service in a process of its own, as tests start, ask and kill it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Process:
    """A service's process."""

    module: str
    environment: dict[str, str]
    log_file: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self, program: tuple[str, ...] = ()) -> None:
        """`program` is what Python runs instead of the module: another release's, in tests of upgrades."""
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *(program or ("-m", self.module))],
                cwd=ROOT,
                env=self.environment,
                stdout=log,
                stderr=log,
            )

    def readiness(self) -> dict[str, Any]:
        url = f"http://127.0.0.1:{self.environment['ALERTHUB_OPERATIONS_PORT']}/ready"
        try:
            with urlopen(url, timeout=5) as answer:
                return dict(json.load(answer))
        except HTTPError as error:
            return dict(json.load(error))

    def metrics(self) -> str:
        url = f"http://127.0.0.1:{self.environment['ALERTHUB_OPERATIONS_PORT']}/metrics"
        with urlopen(url, timeout=5) as answer:
            return str(answer.read().decode())

    def wait_until(self, holds: Callable[[dict[str, Any]], bool], seconds: float = 40) -> None:
        deadline = time.monotonic() + seconds
        last: object = None
        while time.monotonic() < deadline:
            if self.process is not None and self.process.poll() is not None:
                raise AssertionError(f"{self.module} ended: {self.log_file.read_text()[-3000:]}")
            try:
                last = self.readiness()
                if holds(last):
                    return
            except (URLError, ConnectionError, TimeoutError) as error:
                last = error
            time.sleep(0.05)
        raise AssertionError(f"{self.module}: {last}; {self.log_file.read_text()[-3000:]}")

    def wait_until_ready(self, seconds: float = 40) -> None:
        self.wait_until(lambda told: bool(told.get("ready")), seconds)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def stop(self) -> int:
        if self.process is None or self.process.poll() is not None:
            return -1
        self.process.terminate()
        return self.process.wait(timeout=20)
