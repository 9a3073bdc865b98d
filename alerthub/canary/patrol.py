"""The canary's terminal: gives receipts, takes each alert, and says that what it found is right."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from pathlib import Path

from alerthub.api.v1.alert_pb2 import OUTCOME_FOUND
from alerthub.api.v1.patrol_pb2 import CommandAnswer
from alerthub.canary import metrics
from alerthub.canary.set_up import ACCOUNT, Identity
from alerthub.telemetry import logger
from alerthub.terminal.automatic import AutomaticOfficer
from alerthub.terminal.database import TerminalDatabase
from alerthub.terminal.events import CommandAnswered, Link, LinkChanged, ScreenChanged, TerminalEvent
from alerthub.terminal.headless import TerminalAddresses, client_for

log = logger(__name__)

Arrived = Callable[[str], None]
"""Told the entry's id once the hub has the terminal's receipt."""
_UP = frozenset({Link.CONNECTED, Link.CONFIRMED})


class Receipts:
    """Which alert of which entry the hub has a receipt of, from what the terminal tells."""

    def __init__(self, arrived: Arrived) -> None:
        self._arrived = arrived
        self._entries: dict[str, str] = {}
        """By alert, while it is on the screen."""

    def take(self, event: TerminalEvent) -> None:
        """One event of the terminal."""
        match event:
            case ScreenChanged(change=change) if change.removal is None:
                self._entries.setdefault(change.alert_id, change.push.alert.entry_id)
            case ScreenChanged(change=change):
                self._entries.pop(change.alert_id, None)
            case CommandAnswered(kind="receipt", result=CommandAnswer.Result.RESULT_DONE):
                # An alert can have several receipts: the first is the canary's arrival.
                if entry_id := self._entries.get(event.alert_id, ""):
                    self._entries[event.alert_id] = ""
                    self._arrived(entry_id)


async def patrol(identity: Identity, addresses: TerminalAddresses, *, arrived: Arrived) -> None:
    """Keeps the terminal connected and answers. Never returns.

    What it must still tell the hub is not kept over a restart: an alert that it never answers ends by itself.
    """
    receipts = Receipts(arrived)
    events: asyncio.Queue[TerminalEvent] = asyncio.Queue()

    def tell(event: TerminalEvent) -> None:
        receipts.take(event)
        if isinstance(event, LinkChanged):
            metrics.CONNECTED.set(event.link in _UP)
            log.info("canary_terminal_link", link=event.link.value, reason=event.reason)
        events.put_nowait(event)

    with tempfile.TemporaryDirectory() as folder:
        database = await TerminalDatabase.open(Path(folder) / "terminal.db")
        client = client_for(
            identity.terminal, addresses, database, account=ACCOUNT, password=identity.password, tell=tell
        )
        officer = AutomaticOfficer(client, accepts=True, outcome=OUTCOME_FOUND)

        async def act() -> None:
            while True:
                await officer.take(await events.get())

        try:
            await client.load()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(client.run())
                tasks.create_task(act())
        finally:
            await database.close()
