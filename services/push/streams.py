"""All streams of this process: one a terminal, told to dispatch, which knows of those elsewhere."""

from __future__ import annotations

import asyncio
import time

import grpc

from alerthub import loops
from alerthub.alert_events import AlertEventTail
from alerthub.api.v1 import alert_pb2, delivery_pb2, delivery_pb2_grpc
from alerthub.domain.errors import Retry, in_words
from alerthub.grpc_errors import error_of
from alerthub.telemetry import logger
from alerthub.tracing import Traces
from services.push.commands import Commands
from services.push.common_part import CommonParts
from services.push.opening import Opening
from services.push.settings import PushSettings
from services.push.signing_on import SigningOn
from services.push.spans import Deliveries
from services.push.stream import End, TerminalStream, now_ms

log = logger(__name__)

_STALE_SECONDS = 15.0
_SUPERSEDED = End("superseded", in_words("this terminal has a newer stream"))


class StreamMaker:
    """Makes streams of what all of them share."""

    def __init__(
        self,
        settings: PushSettings,
        *,
        tail: AlertEventTail,
        opening: Opening,
        commands: Commands,
        signing_on: SigningOn,
        dispatch: grpc.aio.Channel,
        traces: Traces | None = None,
    ) -> None:
        self._settings = settings
        self._traces = traces
        self._tail = tail
        self._common_parts = CommonParts()
        self._opening = opening
        self._commands = commands
        self._signing_on = signing_on
        self._dispatch = delivery_pb2_grpc.DeliveryServiceStub(dispatch)

    def make(self, terminal_id: str, unit_id: str, officer_token: str) -> TerminalStream:
        """Raises NotAuthenticatedError, NotAllowed for the officer; Retry while the tail is not there yet."""
        reason = self._tail.check()
        if reason is not None:
            raise Retry(reason)
        officer = self._signing_on.admit(officer_token, unit_id, now_ms())
        return TerminalStream(
            self._settings,
            terminal_id=terminal_id,
            unit_id=unit_id,
            officer=officer,
            officer_token=officer_token,
            tail=self._tail,
            common_parts=self._common_parts,
            opening=self._opening,
            commands=self._commands,
            signing_on=self._signing_on,
            load=self._load,
            deliveries=None if self._traces is None else Deliveries(self._traces),
        )

    async def _load(self, unit_id: str) -> list[alert_pb2.Alert]:
        try:
            answer = await self._dispatch.GetUnitAlerts(
                delivery_pb2.GetUnitAlertsRequest(unit_id=unit_id), timeout=5.0
            )
        except grpc.aio.AioRpcError as failed:
            raise error_of(failed) from None
        return list(answer.alerts)


class Streams:
    """`check` is for revocations: every stream whose officer may no longer see it ends. `ready` is for
    readiness."""

    def __init__(
        self,
        settings: PushSettings,
        dispatch: grpc.aio.Channel,
        *,
        on_failure: loops.OnFailure = loops.ignore,
    ) -> None:
        self._on_failure = on_failure
        self._settings = settings
        self._dispatch = delivery_pb2_grpc.DeliveryServiceStub(dispatch)
        self._streams: dict[str, TerminalStream] = {}
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._reported_at = 0.0

    def __len__(self) -> int:
        return len(self._streams)

    def add(self, stream: TerminalStream) -> None:
        """Its terminal's older stream ends. Raises Retry where there is no room."""
        older = self._streams.get(stream.terminal_id)
        if older is None and len(self._streams) >= self._settings.maximum_terminals:
            raise Retry("this instance holds as many terminals as it may", after_seconds=5)
        if older is not None:
            older.end(_SUPERSEDED)
        self._streams[stream.terminal_id] = stream
        self._changed.set()

    def remove(self, stream: TerminalStream) -> None:
        if self._streams.get(stream.terminal_id) is stream:
            del self._streams[stream.terminal_id]
            self._changed.set()

    def check(self) -> None:
        for stream in tuple(self._streams.values()):
            stream.check()

    def ready(self) -> str | None:
        waited = time.monotonic() - self._reported_at
        return None if waited < _STALE_SECONDS else "dispatch does not answer"

    async def start(self) -> None:
        self._reported_at = time.monotonic()
        self._task = loops.begin(self._report(), name="report-connections", on_failure=self._on_failure)

    async def stop(self) -> None:
        """Ends every stream; the terminals come back to whoever is there."""
        await loops.end(self._task)
        for stream in tuple(self._streams.values()):
            stream.end(End("stopping", in_words("this instance stops: connect again")))

    async def _report(self) -> None:
        while True:
            self._changed.clear()
            request = delivery_pb2.ReportConnectionsRequest(
                instance=f"push-{self._settings.instance}",
                terminals=[
                    delivery_pb2.ConnectedTerminal(
                        terminal_id=stream.terminal_id,
                        unit_id=stream.unit_id,
                        connected_at_ms=stream.connected_at_ms,
                    )
                    for stream in self._streams.values()
                ],
            )
            try:
                answer = await self._dispatch.ReportConnections(request, timeout=3.0)
                self._reported_at = time.monotonic()
                for terminal_id in answer.superseded_terminals:
                    stream = self._streams.get(terminal_id)
                    if stream is not None:
                        stream.end(_SUPERSEDED)
            except grpc.aio.AioRpcError as failed:
                log.warning("connections_not_reported", code=failed.code().name)
                await asyncio.sleep(0.2)
            try:
                async with asyncio.timeout(self._settings.report_seconds):
                    await self._changed.wait()
            except TimeoutError:
                pass
            # A thousand terminals that come back together are one report.
            await asyncio.sleep(0.05)
