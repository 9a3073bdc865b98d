"""A simulated edge server: its cameras' events over one gRPC stream, until they are acknowledged (C1)."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass

import grpc

from alerthub.api.v1 import ingest_pb2_grpc
from alerthub.api.v1.ingest_pb2 import DeviceEvent, StreamEventsRequest, StreamEventsResponse
from alerthub.domain.errors import Refuse
from alerthub.grpc_client import certificate_channel
from alerthub.settings import TlsSettings

_EVENTS_A_MESSAGE = 64
_LINGER_SECONDS = 0.005
"""How long it collects what its cameras send: at a high rate a message costs more than an event."""
_AGAIN_SECONDS = 1.0


@dataclass(slots=True)
class _Waiting:
    event: DeviceEvent
    settled: asyncio.Future[None]


class EdgeServer:
    """One edge server. `run` keeps its stream open."""

    def __init__(self, address: str, tls: TlsSettings) -> None:
        self._address = address
        self._tls = tls
        self._waiting: deque[_Waiting] = deque()
        self._sent = 0
        self._news = asyncio.Event()

    async def send(self, event: DeviceEvent) -> None:
        """Returns once the gateway has acknowledged the event. `Refuse`: it does not take it."""
        waiting = _Waiting(event, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._news.set()
        await waiting.settled

    async def run(self) -> None:
        """Streams, and connects again for as long as it runs. Never returns."""
        async with certificate_channel(self._tls, self._address) as channel:
            stub = ingest_pb2_grpc.IngestServiceStub(channel)
            while True:
                self._sent = taken = 0
                self._news.set()
                try:
                    async for answer in stub.StreamEvents(self._requests()):
                        self._settle(answer, taken)
                        taken = answer.acknowledged_sequence
                except grpc.RpcError:
                    # The gateway is away, or its connection is old: the same events on another one.
                    await asyncio.sleep(_AGAIN_SECONDS)

    async def _requests(self) -> AsyncIterator[StreamEventsRequest]:
        sequence = 1
        while True:
            await self._news.wait()
            await asyncio.sleep(_LINGER_SECONDS)
            self._news.clear()
            while self._sent < len(self._waiting):
                end = min(len(self._waiting), self._sent + _EVENTS_A_MESSAGE)
                events = [self._waiting[at].event for at in range(self._sent, end)]
                self._sent = end
                yield StreamEventsRequest(sequence=sequence, event=events[0], further_events=events[1:])
                sequence += len(events)

    def _settle(self, answer: StreamEventsResponse, taken: int) -> None:
        refused = {refusal.sequence: refusal for refusal in answer.refusals}
        for sequence in range(taken + 1, answer.acknowledged_sequence + 1):
            waiting = self._waiting.popleft()
            self._sent -= 1
            if waiting.settled.done():
                continue
            refusal = refused.get(sequence)
            if refusal is None:
                waiting.settled.set_result(None)
            else:
                waiting.settled.set_exception(Refuse(refusal.field, refusal.expected))
