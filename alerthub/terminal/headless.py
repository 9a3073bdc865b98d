"""A terminal without a screen: each event is one line of JSON on standard output."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from alerthub.api.v1.alert_pb2 import Outcome
from alerthub.api.v1.common_pb2 import Position
from alerthub.terminal.automatic import AutomaticOfficer
from alerthub.terminal.client import TerminalClient
from alerthub.terminal.database import TerminalDatabase
from alerthub.terminal.enrolment import TerminalIdentity
from alerthub.terminal.events import TerminalEvent, as_json_line
from alerthub.terminal.session import OfficerSession

POSITION_EVERY_SECONDS = 30.0
"""A position counts for 120 s when the nearest unit is sought (C18), so three may be lost."""


def now_ms() -> int:
    """The terminal's clock: milliseconds since 1970."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class TerminalAddresses:
    """Where the hub is, for a terminal: host:port of the registry (persons) and of push (terminals)."""

    registry: str
    push: str


@dataclass(frozen=True, slots=True)
class Automation:
    """What a headless terminal does by itself; by default nothing but receipts."""

    accepts: bool = False
    outcome: Outcome.ValueType | None = None
    position: Position | None = None


def client_for(
    identity: TerminalIdentity,
    addresses: TerminalAddresses,
    database: TerminalDatabase,
    *,
    account: str,
    password: str,
    tell: Callable[[TerminalEvent], None],
) -> TerminalClient:
    """A client of the enrolled terminal `identity` with the officer `account`."""
    session = OfficerSession(
        registry_address=addresses.registry,
        ca_file=identity.authority_file,
        account=account,
        password=password,
        now_ms=now_ms,
    )
    return TerminalClient(
        address=addresses.push,
        credentials=identity.credentials(),
        session=session,
        database=database,
        now_ms=now_ms,
        tell=tell,
    )


async def run_headless(
    identity: TerminalIdentity,
    addresses: TerminalAddresses,
    *,
    account: str,
    password: str,
    automation: Automation,
    write: Callable[[str], None],
) -> None:
    """Runs until cancelled. `write` gets each event as a line of JSON, without its end."""
    database = await TerminalDatabase.open(identity.database_file)
    events: asyncio.Queue[TerminalEvent] = asyncio.Queue()

    def tell(event: TerminalEvent) -> None:
        # Written at once, so that the line's time is the event's.
        write(as_json_line(event, time_ms=now_ms()))
        events.put_nowait(event)

    client = client_for(identity, addresses, database, account=account, password=password, tell=tell)
    officer = AutomaticOfficer(client, accepts=automation.accepts, outcome=automation.outcome)

    async def act() -> None:
        await officer.resume()
        while True:
            await officer.take(await events.get())

    async def report(position: Position) -> None:
        while True:
            await client.report_position(position, accuracy_metres=10.0)
            await asyncio.sleep(POSITION_EVERY_SECONDS)

    try:
        await client.load()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(client.run())
            tasks.create_task(act())
            if automation.position is not None:
                tasks.create_task(report(automation.position))
    finally:
        await database.close()
