"""Correlators as the supervisor runs them: processes that can be killed."""

from __future__ import annotations

import asyncio
import os
import random
import re
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import httpx
from correlator_city import PARTITIONS

Environment = Callable[..., dict[str, str]]
_PARTITIONS = re.compile(r"^alerthub_correlator_partitions ([0-9.]+)$", re.MULTILINE)
_LEDGER = re.compile(r'^alerthub_correlator_ledger_observations\{result="(\w+)"\} ([0-9.e+]+)$', re.MULTILINE)


class Correlator:
    """One process. It is started again under the same name after a kill, as a supervisor does."""

    def __init__(
        self, environment: Environment, instance: str, port: int, log: Path, **settings: str
    ) -> None:
        self._environment = {
            **os.environ,
            **environment("correlator"),
            "ALERTHUB_INSTANCE": instance,
            "ALERTHUB_OPERATIONS_PORT": str(port),
            "ALERTHUB_SESSION_SECONDS": "6",
            "ALERTHUB_CHECKPOINT_SECONDS": "1",
            **settings,
        }
        self._url = f"http://127.0.0.1:{port}"
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, program: tuple[str, ...] = ("-m", "services.correlator")) -> None:
        """`program` is what Python runs: another release's, in tests of upgrades."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, *program], env=self._environment, stderr=log, stdout=log
            )

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()

    def pause(self) -> None:
        """The process stands still, as in a long garbage collection or on a stolen processor."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    async def stop(self) -> int:
        """Asks it to end; returns its exit status."""
        if self._process is None:
            return 0
        self._process.terminate()
        return await asyncio.to_thread(self._process.wait, 30)

    @property
    def exit_status(self) -> int | None:
        return self._process.poll() if self._process is not None else None

    async def until_ready(self, seconds: float = 90) -> None:
        async with asyncio.timeout(seconds), httpx.AsyncClient() as client:
            while not await self._is_ready(client):  # noqa: ASYNC110 - a process is asked over HTTP
                await asyncio.sleep(0.1)

    async def _is_ready(self, client: httpx.AsyncClient) -> bool:
        try:
            return (await client.get(f"{self._url}/ready")).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    async def ledger(self) -> Mapping[str, int]:
        return {result: int(float(value)) for result, value in _LEDGER.findall(await self.metrics())}

    async def partitions(self) -> int:
        """How many it holds, with their states recovered."""
        return sum(int(float(value)) for value in _PARTITIONS.findall(await self.metrics()))

    async def metrics(self) -> str:
        """What a scraper reads."""
        async with httpx.AsyncClient() as client:
            return (await client.get(f"{self._url}/metrics")).text


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 90) -> None:
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 - processes are asked over HTTP
            await asyncio.sleep(0.1)


async def settled(correlators: Sequence[Correlator]) -> None:
    """Returns once they hold all partitions between them: a ledger is part of a partition's state."""

    async def all_held() -> bool:
        return sum([await one.partitions() for one in correlators]) == PARTITIONS

    for one in correlators:
        await one.until_ready()
    await until(all_held)


async def killed_again_and_again(correlator: Correlator, *, times: int) -> None:
    for _ in range(times):
        await correlator.until_ready()
        await asyncio.sleep(random.uniform(0, 1.5))  # noqa: S311 - any moment will do
        correlator.kill()
        correlator.start()
