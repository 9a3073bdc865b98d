"""Wires push. Nothing else does."""

from __future__ import annotations

from collections.abc import Callable

from alerthub import kafka
from alerthub.alert_events import AlertEventTail
from alerthub.grpc import GrpcServer, serve, service_channel
from alerthub.http import OperationsServer
from alerthub.identity import RevocationList, TokenVerifier
from alerthub.process import Parts
from alerthub.replica import CompactedReplica
from alerthub.telemetry import logger
from alerthub.tracing import traces_of
from alerthub.units import UnitDirectory
from services.push.commands import Commands
from services.push.grpc_api import PatrolApi
from services.push.opening import Opening
from services.push.settings import PushSettings
from services.push.signing_on import SigningOn
from services.push.streams import StreamMaker, Streams

log = logger(__name__)

AUDIENCE = "push"


class Service:
    """Push: `start`, `stop`, and `failed`, which ends when the process should."""

    def __init__(self, settings: PushSettings) -> None:
        self._settings = settings
        self._client_id = f"push-{settings.instance}"
        self._producer = kafka.producer(settings.kafka, client_id=self._client_id)
        self.revocations = RevocationList()
        self.units = UnitDirectory()
        self._parts = Parts()
        self._traces = traces_of(settings)
        self.streams: Streams | None = None
        self.operations: OperationsServer | None = None
        self.grpc: GrpcServer | None = None

    async def start(self) -> None:
        """Reads units and revocations, then takes terminals."""
        settings = self._settings
        self._parts.open()
        if self._traces is not None:
            await self._parts.begin(self._traces)
        await self._producer.start()
        self._parts.on_stop(self._producer.stop)
        dispatch = service_channel(settings, settings.addresses.dispatch)
        watchlist = service_channel(settings, settings.addresses.watchlist)
        for channel in (dispatch, watchlist):
            self._parts.on_stop(channel.close)
        tail = AlertEventTail(
            settings.kafka, client_id=f"{self._client_id}-events", on_failure=self._parts.fail
        )
        units = self._replica("units", self.units.apply)
        revoked = self._replica("revocations", self.revocations.apply)
        self.streams = Streams(settings, dispatch, on_failure=self._parts.fail)
        for part in (tail, units, revoked, self.streams):
            await self._parts.begin(part)
        self.operations = OperationsServer(
            settings,
            {
                "alert_events": tail.check,
                "units": units.not_ready_because,
                "revocations": revoked.not_ready_because,
                "dispatch": self.streams.ready,
            },
        )
        await self._parts.begin(self.operations)
        # Who is revoked and who is on shift must be known before anybody is let in.
        await units.wait_until_caught_up()
        await revoked.wait_until_caught_up()
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
            traces=self._traces,
        )
        self.grpc = await serve(
            settings,
            [PatrolApi(maker, self.streams, self.revocations)],
            audience=AUDIENCE,
            revocations=self.revocations,
        )
        self._parts.on_stop(self.grpc.stop)

    def _replica(self, topic: str, apply: Callable[[str, bytes | None], None]) -> CompactedReplica:
        return CompactedReplica(
            self._settings.kafka,
            topic,
            client_id=f"{self._client_id}-{topic}",
            apply=apply,
            on_failure=self._parts.fail,
        )

    async def failed(self) -> BaseException:
        """Returns when a part ended that only a restart mends."""
        return await self._parts.failed()

    async def stop(self) -> None:
        """Ends everything in the reverse order of its start."""
        if self.streams is not None:
            await self.streams.stop()
        await self._parts.stop()


def build(settings: PushSettings) -> Service:
    """Push, wired and not started."""
    return Service(settings)
