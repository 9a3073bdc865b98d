"""A service as a process: what ends it, with which status, and in which order its parts stop."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from alerthub.domain.errors import Retry
from alerthub.process import Parts, run


class Told:
    """A part that notes what is done with it."""

    def __init__(self, name: str, notes: list[str], fails: Exception | None = None) -> None:
        self._name = name
        self._notes = notes
        self._fails = fails

    async def start(self) -> None:
        self._notes.append(f"start {self._name}")
        if self._fails is not None:
            raise self._fails

    async def stop(self) -> None:
        self._notes.append(f"stop {self._name}")


class Service:
    """A service of one part."""

    def __init__(self, *, start: asyncio.Future[None] | None = None, fails: Exception | None = None) -> None:
        self.notes: list[str] = []
        self.parts = Parts()
        self.started = asyncio.Event()
        self._start = start
        self._fails = fails

    async def start(self) -> None:
        self.parts.open()
        self.started.set()
        if self._start is not None:
            await self._start
        await self.parts.begin(Told("part", self.notes, self._fails))

    async def failed(self) -> BaseException:
        return await self.parts.failed()

    async def stop(self) -> None:
        await self.parts.stop()


async def test_a_service_that_is_asked_to_end_stops_its_parts_and_exits_with_nothing() -> None:
    service = Service()
    running = asyncio.create_task(run(lambda: service))
    await service.started.wait()
    await asyncio.sleep(0)

    os.kill(os.getpid(), signal.SIGTERM)

    assert await running == 0
    assert service.notes == ["start part", "stop part"]


async def test_a_service_whose_part_fails_exits_with_one() -> None:
    service = Service()
    running = asyncio.create_task(run(lambda: service))
    await service.started.wait()

    service.parts.fail(OSError("gone"))

    assert await running == 1
    assert service.notes[-1] == "stop part"


async def test_a_service_can_be_ended_while_it_waits_to_start() -> None:
    service = Service(start=asyncio.get_running_loop().create_future())
    running = asyncio.create_task(run(lambda: service))
    await service.started.wait()

    os.kill(os.getpid(), signal.SIGINT)

    assert await running == 0
    assert service.notes == []


async def test_a_service_that_cannot_start_exits_with_one_and_stops_what_it_began() -> None:
    service = Service(fails=Retry("Kafka does not answer"))

    assert await run(lambda: service) == 1
    assert service.notes == ["start part", "stop part"]


async def test_a_service_is_built_where_its_loop_runs() -> None:
    loops: list[asyncio.AbstractEventLoop] = []

    def build() -> Service:
        loops.append(asyncio.get_running_loop())
        return Service(fails=Retry("Kafka does not answer"))

    await run(build)

    assert loops == [asyncio.get_running_loop()]


async def test_parts_stop_in_the_reverse_order_of_their_start() -> None:
    notes: list[str] = []
    parts = Parts()
    await parts.begin(Told("first", notes))
    await parts.begin(Told("second", notes))

    await parts.stop()

    assert notes[2:] == ["stop second", "stop first"]


async def test_the_first_failure_counts() -> None:
    parts = Parts()
    parts.open()
    first = OSError("first")
    parts.fail(first)
    parts.fail(OSError("second"))

    assert await parts.failed() is first
    assert parts.failure is first


async def test_a_service_that_was_not_started_cannot_be_waited_for() -> None:
    with pytest.raises(RuntimeError):
        await Parts().failed()
