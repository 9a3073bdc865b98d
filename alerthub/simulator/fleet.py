"""All devices of a run: each tells its happenings at their moment, again until they are acknowledged."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from alerthub.domain.errors import Refuse, Retry
from alerthub.simulator.city import Device
from alerthub.simulator.happenings import Happening, Told
from alerthub.simulator.scenario import Scenario

Send = Callable[[Device, Happening], Coroutine[Any, Any, None]]
"""Tells one happening and returns once the hub has it. `Refuse`: it will not; `Retry`: not now."""

_AGAIN_SECONDS = 2.0
END_SECONDS = 10.0
"""How long devices are waited for at the end."""


class Fleet:
    """Sends a scenario once. What was told is there at any moment."""

    def __init__(self, scenario: Scenario, send: Send) -> None:
        self._scenario = scenario
        self._send = send
        self._devices: Mapping[str, Device] = {each.device_id: each for each in scenario.city.devices}
        self._queues: dict[str, deque[Happening]] = {}
        self._busy: dict[str, asyncio.Task[None]] = {}
        self._failure: BaseException | None = None
        self._began = 0.0
        self._first_sent: dict[int, int] = {}
        self._acknowledged: dict[int, int] = {}
        self._happening: dict[int, Happening] = {}
        self.answers = 0
        self.refused: Counter[str] = Counter()
        """By what was expected instead: a defect of the simulator, or of the hub."""

    def begin(self) -> None:
        """The run's beginning is now."""
        self._began = time.monotonic()

    def now_ms(self) -> int:
        """Since the beginning."""
        return round((time.monotonic() - self._began) * 1_000)

    @property
    def told(self) -> list[Told]:
        """Everything that was sent at least once."""
        return [
            Told(self._happening[number], first_ms, self._acknowledged.get(number))
            for number, first_ms in self._first_sent.items()
        ]

    @property
    def acknowledged(self) -> int:
        """Different happenings that the hub has."""
        return len(self._acknowledged)

    @property
    def behind(self) -> int:
        """Happenings that should have been acknowledged by now."""
        return sum(len(queue) for queue in self._queues.values()) + len(self._busy)

    async def run(self, stopping: asyncio.Event) -> None:
        """Sends until all is told, or `stopping`; then gives devices a moment to end what they began. No
        device goes on after it has ended, however it ended."""
        try:
            await self._send_all(stopping)
        finally:
            tasks = list(self._busy.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _send_all(self, stopping: asyncio.Event) -> None:
        for happening in self._scenario.happenings:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), (happening.send_ms - self.now_ms()) / 1_000)
            if stopping.is_set():
                break
            self._raise_failure()
            self._enqueue(happening)
        if stopping.is_set():
            self._queues.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_SECONDS):
                while self._busy:
                    await asyncio.wait(list(self._busy.values()), return_when=asyncio.FIRST_COMPLETED)
        self._raise_failure()

    def _raise_failure(self) -> None:
        """Neither a refusal nor a delay, but a defect: no device may end silently."""
        if self._failure is not None:
            raise self._failure

    def _enqueue(self, happening: Happening) -> None:
        device_id = happening.device_id
        self._queues.setdefault(device_id, deque()).append(happening)
        if device_id not in self._busy:
            task = asyncio.create_task(self._drain(self._devices[device_id]))
            self._busy[device_id] = task
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failure = self._failure or error

    async def _drain(self, device: Device) -> None:
        """A device tells one thing after the other."""
        try:
            while queue := self._queues.get(device.device_id):
                happening = queue.popleft()
                for _ in range(happening.copies):
                    await self._tell(device, happening)
        finally:
            # At once, not when the loop calls back: what comes in between would wait for nobody.
            self._busy.pop(device.device_id, None)

    async def _tell(self, device: Device, happening: Happening) -> None:
        number = happening.number
        self._happening[number] = happening
        self._first_sent.setdefault(number, self.now_ms())
        while True:
            try:
                await self._send(device, happening)
            except Retry as error:
                await asyncio.sleep(min(_AGAIN_SECONDS, error.after_seconds))
                continue
            except Refuse as error:
                self.refused[f"{device.make.value}: {error.expected}"] += 1
                return
            self.answers += 1
            self._acknowledged.setdefault(number, self.now_ms())
            return
