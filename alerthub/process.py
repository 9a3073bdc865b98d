"""Runs a service as a process, and keeps what it started in order. The same in every service."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

import uvloop

from alerthub.domain.errors import AlertHubError
from alerthub.settings import ServiceSettings
from alerthub.telemetry import configure_logging, logger

log = logger(__name__)

SettingsT = TypeVar("SettingsT", bound=ServiceSettings)


class Part(Protocol):
    """What a service starts and stops."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


class Runnable(Part, Protocol):
    """A service, wired."""

    async def failed(self) -> BaseException:
        """Returns when a part ended that only a restart mends."""


class Parts:
    """What a service started, in order, and the failure that ends it."""

    def __init__(self) -> None:
        self._failure: asyncio.Future[BaseException] | None = None
        self._stops: list[Callable[[], Awaitable[None]]] = []

    def open(self) -> None:
        """The service starts: failures count from now on. Called within its loop."""
        self._failure = asyncio.get_running_loop().create_future()

    async def begin(self, part: Part) -> None:
        """Starts the part; it is stopped with the others, also when its start fails."""
        self._stops.append(part.stop)
        await part.start()

    def on_stop(self, stop: Callable[[], Awaitable[None]]) -> None:
        """Calls `stop` with the others."""
        self._stops.append(stop)

    def fail(self, error: BaseException) -> None:
        """Only a restart mends this. The first one counts."""
        if self._failure is not None and not self._failure.done():
            log.error("part_failed", exc_info=(type(error), error, error.__traceback__))
            self._failure.set_result(error)

    @property
    def failure(self) -> BaseException | None:
        """What failed, if something did."""
        return self._failure.result() if self._failure is not None and self._failure.done() else None

    async def failed(self) -> BaseException:
        """Returns the first failure. Raises RuntimeError before `open`."""
        if self._failure is None:
            raise RuntimeError("the service was not started")
        return await asyncio.shield(self._failure)

    async def stop(self) -> None:
        """Stops everything in the reverse order of its start."""
        while self._stops:
            await self._stops.pop()()


async def run(build: Callable[[], Runnable]) -> int:
    """Builds the service and runs it until SIGTERM, SIGINT or its failure; returns the exit status."""
    # Built here, since a service may make parts that belong to the running loop.
    service = build()
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked.set)
    stopping = asyncio.create_task(asked.wait())
    try:
        if not await _before(stopping, service.start()):
            return 0
        # What a start makes lives as long as the process: a collection that goes through all of it holds up
        # everybody for up to a tenth of a second.
        gc.collect()
        gc.freeze()
        log.info("service_started")
        return 1 if await _before(stopping, service.failed()) else 0
    except AlertHubError as error:
        log.error("service_cannot_start", exc_info=True, reason=str(error))
        return 1
    finally:
        stopping.cancel()
        await service.stop()
        log.info("service_stopped")


async def _before(stopping: asyncio.Task[bool], work: Awaitable[object]) -> bool:
    """Whether the work ended, and not the wish to stop came, first. Raises what the work raised."""
    working = asyncio.ensure_future(work)
    await asyncio.wait({stopping, working}, return_when=asyncio.FIRST_COMPLETED)
    if stopping.done():
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        return False
    await working
    return True


def main(settings: SettingsT, build: Callable[[SettingsT], Runnable]) -> None:
    """`python -m services.NAME`: runs until SIGTERM or SIGINT; exits with 1 when a part fails for good."""
    configure_logging(service=settings.service, instance=settings.instance, level=settings.log_level)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        status = runner.run(run(lambda: build(settings)))
    sys.exit(status)
