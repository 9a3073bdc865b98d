"""Wires push. Nothing else does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from google.protobuf.message import DecodeError

from alerthub import kafka
from alerthub.alert_events import AlertEventTail
from alerthub.api.v1 import registry_pb2
from alerthub.domain.errors import DeadLetter
from alerthub.grpc import GrpcServer, serve, service_channel
from alerthub.http import OperationsServer
from alerthub.identity import RevocationEntry, RevocationList, TokenVerifier
from alerthub.replica import CompactedReplica
from alerthub.telemetry import logger
from alerthub.units import UnitDirectory
from services.push.commands import Commands
from services.push.grpc_api import PatrolApi
from services.push.opening import Opening
from services.push.settings import PushSettings
from services.push.signing_on import SigningOn
from services.push.streams import StreamMaker, Streams

log = logger(__name__)

AUDIENCE = "push"


class _Part(Protocol):
    async def start(self) -> None: ...

    async def stop(self) -> None: ...


class Service:
    """Push: `start`, `stop`, and `failed`, which ends when the process should."""

    def __init__(self, settings: PushSettings) -> None:
        self._settings = settings
        self._client_id = f"push-{settings.instance}"
        self._producer = kafka.producer(settings.kafka, client_id=self._client_id)
        self.revocations = RevocationList()
        self.units = UnitDirectory()
        self._failure: asyncio.Future[BaseException] | None = None
        self._stops: list[Callable[[], Awaitable[None]]] = []
        self.streams: Streams | None = None
        self.operations: OperationsServer | None = None
        self.grpc: GrpcServer | None = None

    async def start(self) -> None:
        """Reads units and revocations, then takes terminals."""
        settings = self._settings
        self._failure = asyncio.get_running_loop().create_future()
        await self._producer.start()
        self._stops.append(self._producer.stop)
        dispatch = service_channel(settings, settings.addresses.dispatch)
        watchlist = service_channel(settings, settings.addresses.watchlist)
        self._stops += [dispatch.close, watchlist.close]
        tail = AlertEventTail(settings.kafka, client_id=f"{self._client_id}-events", on_failure=self._fail)
        units = self._replica("units", self.units.apply)
        revoked = self._replica("revocations", self._apply_revocation)
        self.streams = Streams(settings, dispatch, on_failure=self._fail)
        for part in (tail, units, revoked, self.streams):
            await self._begin(part)
        self.operations = OperationsServer(
            settings,
            {
                "alert_events": tail.check,
                "units": units.not_ready_because,
                "revocations": revoked.not_ready_because,
                "dispatch": self.streams.ready,
            },
        )
        await self._begin(self.operations)
        # Who is revoked and who is on shift must be known before anybody is let in.
        await _until_read(units, revoked)
        await tail.wait_until_ready()
        verifier = TokenVerifier.from_file(
            settings.token_verification_key_file, audience=AUDIENCE, revocations=self.revocations
        )
        signing_on = SigningOn(verifier, self.revocations, self.units)
        maker = StreamMaker(
            settings,
            tail=tail,
            opening=Opening(settings, dispatch, watchlist),
            commands=Commands(dispatch, self._producer),
            signing_on=signing_on,
            dispatch=dispatch,
        )
        self.grpc = await serve(
            settings,
            [PatrolApi(maker, self.streams, self.revocations)],
            audience=AUDIENCE,
            revocations=self.revocations,
        )
        self._stops.append(self.grpc.stop)

    def _replica(self, topic: str, apply: Callable[[str, bytes | None], None]) -> CompactedReplica:
        return CompactedReplica(
            self._settings.kafka,
            topic,
            client_id=f"{self._client_id}-{topic}",
            apply=apply,
            on_failure=self._fail,
        )

    def _apply_revocation(self, subject: str, value: bytes | None) -> None:
        if value is None:
            self.revocations.forget(subject)
            return
        try:
            message = registry_pb2.Revocation.FromString(value)
        except DecodeError:
            raise DeadLetter("a value that is no revocation") from None
        self.revocations.put(
            RevocationEntry(message.subject, message.version, message.revoked_at_ms, message.reinstated)
        )

    async def _begin(self, part: _Part) -> None:
        self._stops.append(part.stop)
        await part.start()

    def _fail(self, error: BaseException) -> None:
        if self._failure is not None and not self._failure.done():
            self._failure.set_result(error)

    async def failed(self) -> BaseException:
        """Returns when a part ended that only a restart mends."""
        if self._failure is None:
            raise RuntimeError("the service was not started")
        return await asyncio.shield(self._failure)

    async def stop(self) -> None:
        """Ends everything in the reverse order of its start."""
        if self.streams is not None:
            await self.streams.stop()
        while self._stops:
            await self._stops.pop()()


async def _until_read(*replicas: CompactedReplica) -> None:
    while True:
        if all(replica.caught_up for replica in replicas):
            return
        await asyncio.sleep(0.05)


def build(settings: PushSettings) -> Service:
    """Push, wired and not started."""
    return Service(settings)
