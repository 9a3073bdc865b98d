"""Forgets what is kept long enough; `docs/retention.md` has the times."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sqlalchemy.ext.asyncio import AsyncEngine

from alerthub import loops, postgres
from alerthub.postgres import transaction
from services.registry import command_store, identity_store, session_store

_EVERY_SECONDS = 600.0
DAY_MS = 86_400_000


class Housekeeping:
    """Runs in every instance: deleting what is deleted already changes nothing."""

    def __init__(
        self,
        database: AsyncEngine,
        *,
        command_memory_days: int,
        now_ms: Callable[[], int],
        on_failure: loops.OnFailure = loops.ignore,
    ) -> None:
        self._database = database
        self._command_memory_ms = command_memory_days * DAY_MS
        self._now_ms = now_ms
        self._on_failure = on_failure
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = loops.begin(
            loops.repeat(
                lambda: self.forget(self._now_ms()),
                every_seconds=_EVERY_SECONDS,
                waiting_event="housekeeping_waits",
                waits_out=postgres.ERRORS,
            ),
            name="housekeeping",
            on_failure=self._on_failure,
        )

    async def stop(self) -> None:
        await loops.end(self._task)

    async def forget(self, now_ms: int) -> None:
        """Deletes what has served: old commands, codes of enrolment that work no more, sessions that ended.
        Raises Retry."""
        async with transaction(self._database) as connection:
            await command_store.forget_commands(connection, before_ms=now_ms - self._command_memory_ms)
            await identity_store.forget_codes(connection, now_ms=now_ms)
            await session_store.forget(connection, now_ms=now_ms)
