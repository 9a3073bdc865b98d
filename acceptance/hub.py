"""The hub under examination: started by its command, known by its `hub.json`, asked by plain HTTP."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

START_SECONDS = 120.0
STOP_SECONDS = 60.0
_SAMPLE = re.compile(r"^(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)(?P<labels>\{[^}]*\})? (?P<value>[-+0-9.eE]+)$")


@dataclass(frozen=True)
class Process:
    """One process of the hub."""

    name: str
    pid: int
    operations_port: int


class Hub:
    """`alerthub up` in a folder of its own."""

    def __init__(self, folder: Path, tell: Callable[[str], None]) -> None:
        self.folder = folder
        self._tell = tell
        self._process: asyncio.subprocess.Process | None = None
        self._output: asyncio.Task[None] | None = None

    @property
    def facts(self) -> dict[str, Any]:
        """What `hub.json` says now."""
        content: dict[str, Any] = json.loads((self.folder / "hub.json").read_text())
        return content

    @property
    def ca_file(self) -> Path:
        """The hub's authority."""
        return Path(self.facts["ca_file"])

    def address(self, name: str) -> str:
        """Where a listener is, host:port."""
        return str(self.facts["addresses"][name])

    @property
    def gateway_url(self) -> str:
        """The door for devices."""
        return str(self.facts["gateway_url"])

    def accounts(self) -> list[dict[str, Any]]:
        """The people that the hub began with."""
        content = json.loads((self.folder / "accounts.json").read_text())
        return list(content["accounts"])

    async def start(self, *, correlators: int) -> None:
        """Returns when the hub says that it is ready."""
        command = [_command(), "up", "--data", str(self.folder), "--correlators", str(correlators)]
        self._process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        self._output = asyncio.create_task(self._read(self._process))
        async with asyncio.timeout(START_SECONDS):
            while not (self.folder / "hub.json").exists() or self.facts.get("state") != "ready":
                if self._process.returncode is not None:
                    raise SystemExit("the hub ended by itself before it was ready")
                await asyncio.sleep(0.2)

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        if process.stdout is not None:
            async for line in process.stdout:
                self._tell(f"hub | {line.decode('utf-8', 'replace').rstrip()}")

    async def stop(self) -> int:
        """Ctrl-C. Gives the exit code."""
        process = self._process
        if process is None:
            return 0
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
            try:
                async with asyncio.timeout(STOP_SECONDS):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
        if self._output is not None:
            await self._output
        return process.returncode or 0

    def processes(self) -> list[Process]:
        """Everything that can be killed: services, Kafka, PostgreSQL."""
        facts = self.facts
        services = [
            Process(f"{each['service']}-{each['instance']}", int(each["pid"]), int(each["operations_port"]))
            for each in facts["services"]
        ]
        infrastructure = [Process(name, int(facts[name]["pid"]), 0) for name in ("kafka", "postgres")]
        return services + infrastructure

    async def all_ready(self) -> list[str]:
        """Which services cannot do their job now."""
        waiting = []
        for process in self.processes():
            if (
                process.operations_port
                and await asyncio.to_thread(_status, f"http://127.0.0.1:{process.operations_port}/ready")
                != 200
            ):
                waiting.append(process.name)
        return waiting

    async def metric(self, service: str, name: str) -> dict[str, float]:
        """The samples of a metric, summed over the instances of a service, by their labels as text."""
        sums: dict[str, float] = {}
        for process in self.processes():
            if not process.name.startswith(f"{service}-"):
                continue
            url = f"http://127.0.0.1:{process.operations_port}/metrics"
            for line in (await asyncio.to_thread(_body, url)).splitlines():
                sample = _SAMPLE.match(line)
                if sample is not None and sample["name"] == name:
                    labels = sample["labels"] or ""
                    sums[labels] = sums.get(labels, 0.0) + float(sample["value"])
        return sums


def _command() -> str:
    beside = Path(sys.executable).with_name("alerthub")
    found = str(beside) if beside.exists() else shutil.which("alerthub")
    if found is None:
        raise SystemExit("the command `alerthub` is not installed; run `make setup`")
    return found


async def run_command(*arguments: str) -> tuple[int, str]:
    """Runs the `alerthub` command; its exit code and what it said."""
    process = await asyncio.create_subprocess_exec(
        _command(), *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode("utf-8", "replace")


def _status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=3) as response:  # noqa: S310 - http on the loopback
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def _body(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310 - http on the loopback
            return str(response.read().decode())
    except OSError:
        return ""
