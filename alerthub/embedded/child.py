"""One supervised service: started, watched, and started again with a longer wait each time that it dies."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from alerthub.embedded import processes

FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 30.0
STEADY_SECONDS = 60.0
"""Whoever lived this long starts again with the first wait."""


def wait_after(deaths: int) -> float:
    """Seconds before the start that follows the `deaths`-th death in a row (1, 2, …): doubling, bounded."""
    return float(min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2 ** (max(1, deaths) - 1)))


@dataclass(frozen=True, slots=True)
class ChildSpecification:
    """What is run, and where its readiness is asked."""

    service: str
    instance: str
    command: tuple[str, ...]
    environment: dict[str, str]
    log_file: Path
    operations_port: int
    niceness: int = 0

    @property
    def name(self) -> str:
        return f"{self.service}-{self.instance}"


class Child:
    """The process of one instance. Not thread-safe: the supervisor's loop alone uses it."""

    def __init__(self, specification: ChildSpecification, *, tell: Callable[[str], None]) -> None:
        self.specification = specification
        self._tell = tell
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self._deaths = 0
        self._start_again_at: float | None = None
        self.starts = 0

    @property
    def pid(self) -> int:
        """Of the running process; 0 while there is none."""
        return 0 if self._process is None else self._process.pid

    def start(self) -> None:
        self._process = processes.spawn(
            self.specification.command,
            log_file=self.specification.log_file,
            environment=self.specification.environment,
            at_parent_death=signal.SIGKILL,
            niceness=self.specification.niceness,
        )
        self._started_at = time.monotonic()
        self._start_again_at = None
        self.starts += 1

    def watch(self) -> bool:
        """Notices a death and starts again when its wait is over. True: the process changed."""
        now = time.monotonic()
        if self._process is not None and self._process.poll() is not None:
            code = self._process.returncode
            self._deaths = 1 if now - self._started_at > STEADY_SECONDS else self._deaths + 1
            wait = wait_after(self._deaths)
            self._tell(
                f"{self.specification.name} ended ({_cause(code)}); starting it again in {wait:g} s."
                f" Its log: {self.specification.log_file}"
            )
            self._process = None
            self._start_again_at = now + wait
            return True
        if self._process is None and self._start_again_at is not None and now >= self._start_again_at:
            self.start()
            return True
        return False

    def not_ready_because(self) -> str | None:
        """None: it can do its job now. Else one sentence."""
        if self._process is None:
            return "it is not running"
        return readiness(self.specification.operations_port)

    def ask_to_stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)

    def stop(self, grace_seconds: float) -> None:
        """Waits for the end; kills what does not end."""
        if self._process is None:
            return
        if not processes.stop(self._process, with_signal=signal.SIGTERM, grace_seconds=grace_seconds):
            self._tell(f"{self.specification.name} did not stop within {grace_seconds:g} s and was killed")
        self._process = None


def readiness(operations_port: int) -> str | None:
    """What an instance's /ready says: None when ready, else the reasons in one line."""
    # Not httpx: it would read the machine's certificate authorities (30 ms) for each look at a plain port.
    connection = http.client.HTTPConnection("127.0.0.1", operations_port, timeout=2.0)
    try:
        connection.request("GET", "/ready")
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException):
        return "it does not answer yet"
    finally:
        connection.close()
    if response.status == HTTPStatus.OK:
        return None
    try:
        checks = json.loads(body)["checks"]
    except (ValueError, KeyError):
        return f"/ready answers {response.status}"
    return "; ".join(f"{name}: {reason}" for name, reason in checks.items() if reason) or "not ready"


def service_command(module: str) -> tuple[str, ...]:
    """How this interpreter runs a service."""
    return (sys.executable, "-m", module)


def _cause(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
