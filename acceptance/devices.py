"""Devices as curl processes: each posts its events with its own credential until they are acknowledged."""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from city import DeviceKind
from traffic import Event

TICK_SECONDS = 0.5
PROCESSES = 3
"""curl processes at once: when the hub is away, requests wait, and the others must not."""
CONNECTIONS = 8
AT_ONCE = 150
"""Requests of one curl process."""
_REQUEST_SECONDS = 15
_AGAIN_AFTER_SECONDS = 1.0
_AGAIN = frozenset({0, 429, 503})
"""What a device sends again after: no answer, too fast, not now. Anything else is a defect."""


class Fleet:
    """Sends the run's events at their seconds."""

    def __init__(
        self, events: list[Event], *, url: str, ca_file: Path, secrets: Mapping[str, str], folder: Path
    ) -> None:
        self._waiting = sorted(events, key=lambda event: event.second)
        self._url = url
        self._ca_file = ca_file
        self._secrets = secrets
        self._folder = folder
        self._again: list[tuple[float, Event]] = []
        self._free = asyncio.Semaphore(PROCESSES)
        self._flying = 0
        self.answers: Counter[int] = Counter()
        self.wrong: list[str] = []
        self.acknowledged_answers = 0

    @property
    def unfinished(self) -> int:
        """Events that are not acknowledged as often as they should be."""
        return len(self._waiting) + len(self._again) + self._flying

    def add(self, events: list[Event]) -> None:
        """More to send, at once."""
        self._waiting = sorted([*self._waiting, *events], key=lambda event: event.second)

    async def run(self, started: float, *, until: asyncio.Task[None]) -> None:
        """Sends everything; returns when all is acknowledged and the task `until` will add nothing more.

        `started` is by `time.monotonic()`.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        async with asyncio.TaskGroup() as tasks:
            while self.unfinished or not until.done():
                await self._free.acquire()
                due = self._due(time.monotonic() - started)
                if not due:
                    self._free.release()
                    await asyncio.sleep(TICK_SECONDS / 5)
                    continue
                self._flying += len(due)
                tasks.create_task(self._post(due))
                await asyncio.sleep(TICK_SECONDS)

    def _due(self, second: float) -> list[Event]:
        now = time.monotonic()
        due = [event for at, event in self._again if at <= now][:AT_ONCE]
        taken = {id(event) for event in due}
        self._again = [(at, event) for at, event in self._again if id(event) not in taken]
        while self._waiting and self._waiting[0].second <= second and len(due) < AT_ONCE:
            due.append(self._waiting.pop(0))
        return due

    async def _post(self, events: list[Event]) -> None:
        try:
            codes = await self._curl(events)
        finally:
            self._free.release()
            self._flying -= len(events)
        now = time.monotonic()
        for index, event in enumerate(events):
            code = codes.get(index, 0)
            self.answers[code] += 1
            if code == 200:
                event.acknowledged += 1
                event.acknowledged_at = event.acknowledged_at or time.time()
                self.acknowledged_answers += 1
                if event.acknowledged < event.copies:
                    self._again.append((now + _AGAIN_AFTER_SECONDS, event))
            elif code in _AGAIN:
                self._again.append((now + _AGAIN_AFTER_SECONDS, event))
            else:
                self.wrong.append(f"{event.device.device_id} was answered {code}")

    async def _curl(self, events: list[Event]) -> dict[int, int]:
        """HTTP codes by the event's index; 0 where there was no answer."""
        now = time.time()
        blocks = []
        names = []
        for index, event in enumerate(events):
            event.build(now)
            path = self._folder / f"{os.getpid()}-{id(event)}"
            path.write_bytes(event.body)
            names.append(path)
            blocks.append(self._block(index, event, path))
        process = await asyncio.create_subprocess_exec(
            "curl",
            "--parallel",
            "--parallel-max",
            str(CONNECTIONS),
            "--config",
            "-",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        output, _ = await process.communicate("\nnext\n".join(blocks).encode())
        for path in names:
            path.unlink(missing_ok=True)
        codes = {}
        for line in output.decode().splitlines():
            index_text, _, code = line.partition(" ")
            if index_text.isdigit() and code.isdigit():
                codes[int(index_text)] = int(code)
        return codes

    def _block(self, index: int, event: Event, path: Path) -> str:
        device_id = event.device.device_id
        secret = self._secrets[device_id]
        where = f"{self._url}/v1/ingest/{event.adapter}"
        login = f'user = "{device_id}:{secret}"'
        if event.device.kind is DeviceKind.URL_TOKEN_CAMERA:
            where, login = f"{where}/token/{device_id}/{secret}", ""
        lines = [
            f'url = "{where}"',
            login,
            f'cacert = "{self._ca_file}"',
            f'header = "Content-Type: {event.content_type}"',
            'header = "Expect:"',
            f'data-binary = "@{path}"',
            'output = "/dev/null"',
            f'write-out = "{index} %{{http_code}}\\n"',
            f"max-time = {_REQUEST_SECONDS}",
            "silent",
        ]
        return "\n".join(line for line in lines if line)
