"""The self-test's officer: a real terminal in this process, of which each event can be waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from alerthub.domain.errors import NotAllowed
from alerthub.selftest.hops import HopFailedError
from alerthub.terminal.client import TerminalClient
from alerthub.terminal.database import TerminalDatabase
from alerthub.terminal.enrolment import enrol, load_identity
from alerthub.terminal.events import CommandAnswered, Link, LinkChanged, ScreenChanged, TerminalEvent
from alerthub.terminal.headless import TerminalAddresses, client_for, now_ms
from alerthub.terminal.screen_state import ScreenChange


class Officer:
    """A terminal that is enrolled, signed on and connected; what it told is remembered with its time."""

    def __init__(self) -> None:
        self._events: list[tuple[int, TerminalEvent]] = []
        self._news = asyncio.Event()
        self._client: TerminalClient | None = None
        self._database: TerminalDatabase | None = None
        self._running: asyncio.Task[None] | None = None

    @property
    def told(self) -> tuple[tuple[int, TerminalEvent], ...]:
        """Everything that the terminal told, each with its time (milliseconds since 1970)."""
        return tuple(self._events)

    @property
    def client(self) -> TerminalClient:
        """What the officer works with."""
        if self._client is None:
            raise RuntimeError("the terminal is not started")
        return self._client

    async def start(
        self,
        *,
        code: str,
        addresses: TerminalAddresses,
        ca_file: Path,
        folder: Path,
        account: str,
        password: str,
    ) -> None:
        """Enrols with the one-time code (empty: it is enrolled already) and begins to connect."""
        if code:
            await enrol(code=code, registry_address=addresses.registry, ca_file=ca_file, folder=folder)
        identity = load_identity(folder)
        self._database = await TerminalDatabase.open(identity.database_file)
        self._client = client_for(
            identity, addresses, self._database, account=account, password=password, tell=self._tell
        )
        await self._client.load()
        self._running = asyncio.create_task(self._client.run())

    async def stop(self) -> None:
        """Disconnects."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
        if self._database is not None:
            await self._database.close()

    def _tell(self, event: TerminalEvent) -> None:
        self._events.append((now_ms(), event))
        self._news.set()

    async def until(self, wanted: Callable[[TerminalEvent], bool]) -> tuple[int, TerminalEvent]:
        """The first event that is wanted, and when it was told (milliseconds since 1970)."""
        while True:
            for time_ms, event in self._events:
                if wanted(event):
                    return time_ms, event
                if isinstance(event, LinkChanged) and event.link is Link.REFUSED:
                    raise NotAllowed("terminal", event.reason)
            self._news.clear()
            await self._news.wait()

    async def confirmed(self) -> int:
        """When the terminal first said that what it shows is confirmed."""
        time_ms, _ = await self.until(lambda e: isinstance(e, LinkChanged) and e.link is Link.CONFIRMED)
        return time_ms

    async def shows(self, alert_id: str, wanted: Callable[[ScreenChange], bool]) -> tuple[int, ScreenChange]:
        """The first change of the alert on the screen that is wanted."""

        def matches(event: TerminalEvent) -> bool:
            if not isinstance(event, ScreenChanged):
                return False
            return event.change.alert_id == alert_id and wanted(event.change)

        time_ms, event = await self.until(matches)
        if not isinstance(event, ScreenChanged):
            raise HopFailedError("terminal", "told something else")
        return time_ms, event.change

    async def answered(self, alert_id: str, kind: str) -> tuple[int, CommandAnswered]:
        """The hub's answer to this terminal's command `kind` about the alert."""
        time_ms, event = await self.until(
            lambda e: isinstance(e, CommandAnswered) and e.alert_id == alert_id and e.kind == kind
        )
        if not isinstance(event, CommandAnswered):
            raise HopFailedError("terminal", "told something else")
        return time_ms, event
