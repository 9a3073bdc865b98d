"""Loops that run as long as their service, and never end unseen."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from alerthub.domain.errors import Retry
from alerthub.telemetry import logger

log = logger(__name__)

OnFailure = Callable[[BaseException], None]
"""Told of an error that nobody foresaw; it should end the process, which is then started anew."""


def ignore(error: BaseException) -> None:
    """For whoever has nobody to tell, such as a test; the log has it."""


async def repeat(
    work: Callable[[], Awaitable[object]],
    *,
    every_seconds: float,
    waiting_event: str,
    waits_out: tuple[type[Exception], ...] = (),
) -> None:
    """Does `work` again and again, with a pause after each time. Never returns.

    What may work later (Retry, and what it `waits_out`, such as the database's errors) is logged under
    `waiting_event` by type, and tried again.
    """
    waited_out: tuple[type[Exception], ...] = (Retry, *waits_out)
    while True:
        try:
            await work()
        except waited_out as error:
            log.warning(waiting_event, error_type=type(error).__name__)
        await asyncio.sleep(every_seconds)


def begin(work: Coroutine[Any, Any, None], *, name: str, on_failure: OnFailure) -> asyncio.Task[None]:
    """Runs `work` until it is cancelled. An error is logged by type and place, and told to `on_failure`."""

    async def run() -> None:
        try:
            await work
        except Exception as error:
            log.exception("loop_failed", loop=name)
            on_failure(error)

    return asyncio.create_task(run(), name=name)


async def end(*tasks: asyncio.Task[None] | None) -> None:
    """Cancels the loops and waits until they have ended."""
    running = [task for task in tasks if task is not None]
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
