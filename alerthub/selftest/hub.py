"""A hub in a folder of its own, as a child process of the self-test."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx

from alerthub.domain.errors import Refuse, Retry
from alerthub.embedded.folder import HubFolder
from alerthub.selftest.persons import PersonAddresses
from alerthub.terminal.headless import TerminalAddresses

_STOP_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class HubFacts:
    """What `hub.json` says of a running hub."""

    folder: HubFolder
    persons: PersonAddresses
    terminals: TerminalAddresses
    gateway_url: str

    @classmethod
    def read(cls, folder: HubFolder) -> HubFacts:
        """From the folder's `hub.json`. `NotFound`: there is no hub."""
        hub = folder.read_hub()
        addresses = hub["addresses"]
        return cls(
            folder=folder,
            persons=PersonAddresses(
                registry=addresses["registry_person"],
                watchlist=addresses["watchlist_person"],
                dispatch=addresses["dispatch_person"],
            ),
            terminals=TerminalAddresses(registry=addresses["registry_person"], push=addresses["push"]),
            gateway_url=str(hub["gateway_url"]),
        )


class ChildHub:
    """`alerthub up` in a folder; everything that it started ends with it."""

    def __init__(self, folder: Path, *, tell: Callable[[str], None]) -> None:
        self.folder = HubFolder(folder)
        self._tell = tell
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._paused: list[int] = []
        self._last_line = ""

    async def start(self) -> HubFacts:
        """Returns once every service can do its job. `Retry`: the hub ended instead."""
        process = self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "alerthub.cli.main",
            "up",
            "--data",
            str(self.folder.root),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        self._reading = asyncio.create_task(self._read(process))
        while not self._ready():
            if process.returncode is not None:
                raise Retry(f"the hub ended by itself: {self._last_line}")
            await asyncio.sleep(0.1)
        return HubFacts.read(self.folder)

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        if process.stdout is None:
            return
        async for line in process.stdout:
            self._last_line = line.decode("utf-8", "replace").strip()
            self._tell(f"hub | {self._last_line}")

    def _ready(self) -> bool:
        return self.folder.hub_file.exists() and self.folder.read_hub().get("state") == "ready"

    def pause(self, service: str) -> None:
        """Stops a service in its tracks, as a hung machine would (SIGSTOP), until the hub is stopped."""
        instances = [each for each in self.folder.read_hub()["services"] if each["service"] == service]
        if not instances:
            known = sorted({str(each["service"]) for each in self.folder.read_hub()["services"]})
            raise Refuse("without", f"one of {', '.join(known)}")
        for each in instances:
            os.kill(int(each["pid"]), signal.SIGSTOP)
            self._paused.append(int(each["pid"]))

    async def stop(self) -> None:
        """Ends the hub and waits for all of it."""
        for pid in self._paused:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        process = self._process
        if process is not None and process.returncode is None:
            process.send_signal(signal.SIGINT)
            try:
                async with asyncio.timeout(_STOP_SECONDS):
                    await process.wait()
            except TimeoutError:
                # The kernel ends its children with it.
                process.kill()
                await process.wait()
        if self._reading is not None:
            await self._reading


async def not_ready(folder: HubFolder, service: str) -> str | None:
    """Why an instance of `service` cannot do its job now; None: all can."""
    async with httpx.AsyncClient(timeout=2.0) as client:
        # A hub in containers names no processes: their health checks say it.
        for each in folder.read_hub().get("services", []):
            if each["service"] != service:
                continue
            try:
                response = await client.get(f"http://127.0.0.1:{each['operations_port']}/ready")
            except httpx.HTTPError:
                return f"{service} does not answer"
            if response.status_code != httpx.codes.OK:
                return f"{service} is not ready"
    return None
