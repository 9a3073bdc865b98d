"""A terminal's client with a hub and a registry that tests steer; between client and hub is real gRPC."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from alerthub.api.v1 import patrol_pb2_grpc
from alerthub.api.v1.alert_pb2 import (
    ALERT_STATUS_DISPATCHING,
    ASSIGNMENT_STATUS_OFFERED,
    Alert,
    AlertStatus,
    Assignment,
    AssignmentStatus,
)
from alerthub.api.v1.patrol_pb2 import (
    AlertPush,
    CommandAnswer,
    HubHeartbeat,
    HubMessage,
    TerminalMessage,
    Welcome,
)
from alerthub.domain.errors import AlertHubError, Retry
from alerthub.grpc_errors import wire_error
from alerthub.terminal.client import TerminalClient
from alerthub.terminal.database import TerminalDatabase
from alerthub.terminal.events import TerminalEvent, as_json_line
from alerthub.terminal.session import OfficerSession, OfficerToken


class Hub(patrol_pb2_grpc.PatrolServiceServicer):
    """The hub's side of the stream, in the test's hands."""

    def __init__(self) -> None:
        self.to_terminal: asyncio.Queue[HubMessage | None] = asyncio.Queue()
        self.from_terminal: asyncio.Queue[TerminalMessage] = asyncio.Queue()
        self.answers = True
        self.refuses: AlertHubError | None = None

    async def Connect(  # noqa: N802
        self, requests: AsyncIterator[TerminalMessage], context: Any
    ) -> AsyncIterator[HubMessage]:
        if self.refuses is not None:
            told = wire_error(self.refuses)
            await context.abort(told.code, told.text, told.trailing_metadata())
        reader = asyncio.create_task(self._read(requests))
        try:
            while (message := await self.to_terminal.get()) is not None:
                yield message
        finally:
            reader.cancel()

    async def _read(self, requests: AsyncIterator[TerminalMessage]) -> None:
        async for message in requests:
            await self.from_terminal.put(message)
            if self.answers and message.WhichOneof("message") not in ("sign_on", "renew_token"):
                answer = CommandAnswer(command_id=message.command_id, result=CommandAnswer.Result.RESULT_DONE)
                await self.to_terminal.put(HubMessage(answer=answer))

    def welcomes(self, *, snapshot: bool = False) -> None:
        self.to_terminal.put_nowait(HubMessage(welcome=Welcome(unit_id="u1", snapshot_follows=snapshot)))

    def pushes(
        self,
        alert_id: str,
        version: int = 1,
        *,
        after: str = "",
        status: AlertStatus.ValueType = ALERT_STATUS_DISPATCHING,
        assigned: AssignmentStatus.ValueType = ASSIGNMENT_STATUS_OFFERED,
    ) -> None:
        ours = Assignment(assignment_id=f"s-{alert_id}", status=assigned)
        alert = Alert(alert_id=alert_id, version=version, status=status, assignments=[ours])
        push = AlertPush(alert=alert, assignment_id=ours.assignment_id)
        self.to_terminal.put_nowait(HubMessage(resume_token=after, alert=push))

    def beats(self, *, complete: bool = False, after: str = "") -> None:
        beat = HubHeartbeat(snapshot_complete=complete)
        self.to_terminal.put_nowait(HubMessage(resume_token=after, heartbeat=beat))

    def hangs_up(self) -> None:
        self.to_terminal.put_nowait(None)

    async def hears(self, kind: str) -> TerminalMessage:
        """The next message from the terminal, which must be of this kind."""
        message = await asyncio.wait_for(self.from_terminal.get(), 10)
        assert message.WhichOneof("message") == kind
        return message


class SignedIn(OfficerSession):
    """An officer whose registry always answers, or never."""

    def __init__(self, account: str = "li") -> None:
        super().__init__(registry_address="", ca_file=Path(), account=account, password="", now_ms=lambda: 0)
        self.tokens = 0
        self.reachable = True
        self.refused: AlertHubError | None = None
        self.life_ms = 300_000
        self.answers = asyncio.Event()
        self.answers.set()

    async def _sign_in(self) -> OfficerToken:
        if not self.reachable:
            raise Retry("the registry did not answer")
        if self.refused is not None:
            raise self.refused
        await self.answers.wait()
        self.tokens += 1
        return OfficerToken(f"token-{self.tokens}", self.life_ms)


@dataclass
class Terminal:
    """A client at work, and what it told."""

    client: TerminalClient
    database: TerminalDatabase
    session: SignedIn
    events: list[TerminalEvent]
    told: asyncio.Event

    async def until(self, wanted: Callable[[TerminalEvent], bool], count: int = 1) -> list[TerminalEvent]:
        """The first `count` events that are wanted, once they were told."""
        async with asyncio.timeout(15):
            while len(found := [event for event in self.events if wanted(event)]) < count:
                self.told.clear()
                await self.told.wait()
        return found[:count]

    def names(self) -> list[str]:
        return [json.loads(as_json_line(event, time_ms=0))["event"] for event in self.events]


@asynccontextmanager
async def hub_on(port: int = 0) -> AsyncIterator[tuple[Hub, str]]:
    hub, server = Hub(), grpc.aio.server()
    patrol_pb2_grpc.add_PatrolServiceServicer_to_server(hub, server)
    bound = server.add_secure_port(f"127.0.0.1:{port}", grpc.local_server_credentials())
    await server.start()
    try:
        yield hub, f"127.0.0.1:{bound}"
    finally:
        await server.stop(None)


@asynccontextmanager
async def terminal_on(
    address: str,
    path: Path,
    *,
    now_ms: Callable[[], int] = lambda: int(time.time() * 1000),
    account: str = "li",
) -> AsyncIterator[Terminal]:
    database = await TerminalDatabase.open(path)
    session = SignedIn(account)
    events: list[TerminalEvent] = []
    told = asyncio.Event()

    def tell(event: TerminalEvent) -> None:
        events.append(event)
        told.set()

    client = TerminalClient(
        address=address,
        credentials=grpc.local_channel_credentials(),
        session=session,
        database=database,
        now_ms=now_ms,
        tell=tell,
    )
    terminal = Terminal(client, database, session, events, told)
    await client.load()
    running = asyncio.create_task(client.run())
    try:
        yield terminal
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await database.close()
