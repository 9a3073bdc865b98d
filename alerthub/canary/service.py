"""Wires the canary: the only place that knows all of its parts."""

from __future__ import annotations

import asyncio

from alerthub import loops
from alerthub.canary import gateways, metrics
from alerthub.canary.patrol import patrol
from alerthub.canary.rounds import Rounds
from alerthub.canary.set_up import Identity, SetUpFolder
from alerthub.canary.settings import CanarySettings
from alerthub.domain.errors import AlertHubError, NotFound
from alerthub.http import OperationsServer
from alerthub.process import Parts
from alerthub.telemetry import logger
from alerthub.terminal.headless import TerminalAddresses

log = logger(__name__)

_LOOK_SECONDS = 2.0
_SAY_EVERY_LOOKS = 30


def build(settings: CanarySettings) -> Service:
    """The canary, not started."""
    return Service(settings)


class Service:
    """`start`, `stop`, and `failed`, which ends when the process should."""

    def __init__(self, settings: CanarySettings) -> None:
        self._settings = settings
        self._folder = SetUpFolder(settings.set_up_folder)
        self._parts = Parts()
        self._broken: str | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begins to send as soon as its set-up is there."""
        self._parts.open()
        operations = OperationsServer(self._settings, {"set_up": lambda: self._broken})
        await self._parts.begin(operations)
        self._task = loops.begin(self._run(), name="canary", on_failure=self._parts.fail)
        self._parts.on_stop(lambda: loops.end(self._task))

    async def failed(self) -> BaseException:
        """Returns what went wrong when only a restart helps."""
        return await self._parts.failed()

    async def stop(self) -> None:
        """Ends its stream and itself."""
        await self._parts.stop()

    async def _run(self) -> None:
        while True:
            identity = await self._set_up()
            walking = asyncio.create_task(self._walk(identity), name="canary-walk")
            try:
                await self._until_renewed(identity, walking)
            finally:
                await loops.end(walking)

    async def _until_renewed(self, identity: Identity, walking: asyncio.Task[None]) -> None:
        """Returns once persons have set it up anew, and as a whole. Raises what ended `walking`."""
        while True:
            done, _ = await asyncio.wait({walking}, timeout=_LOOK_SECONDS)
            if done:
                return await walking
            if self._renewed_since(identity):
                log.info("canary_set_up_renewed")
                return None

    def _renewed_since(self, identity: Identity) -> bool:
        try:
            return self._folder.identity() != identity
        except (AlertHubError, OSError):
            # Between two of its steps: what was set up before holds until then.
            return False

    async def _walk(self, identity: Identity) -> None:
        """Sends and answers. Never returns."""
        metrics.SET_UP.set(1)
        metrics.VALID_UNTIL.set(identity.set_up.valid_until_ms / 1_000)
        settings = self._settings
        name, _, _ = settings.addresses.gateway.rpartition(":")
        rounds = Rounds(
            identity.set_up,
            every_ms=round(settings.every_seconds * 1_000),
            find=lambda: gateways.instances(settings.gateway_instances or settings.addresses.gateway),
            send=lambda gateway, event: gateways.send(
                gateway, name=name, tls=identity.edge, event=event, seconds=settings.read_seconds
            ),
        )
        addresses = TerminalAddresses(
            registry=settings.addresses.registry_person, push=settings.addresses.push
        )
        log.info("canary_begins", lanes=identity.set_up.lanes)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(patrol(identity, addresses, arrived=rounds.arrived))
            tasks.create_task(rounds.run())

    async def _set_up(self) -> Identity:
        """Waits until two persons have set it up, and says once a minute what they have still to do."""
        looks = 0
        while True:
            try:
                return self._folder.identity()
            except NotFound as error:
                # It has nothing to do yet, which is no fault of its own; that nothing arrives is told.
                self._broken = None
                if looks % _SAY_EVERY_LOOKS == 0:
                    log.warning("canary_not_set_up", missing=error.expected)
            except (AlertHubError, OSError) as error:
                self._broken = f"its set-up cannot be read: {type(error).__name__}"
            looks += 1
            await asyncio.sleep(_LOOK_SECONDS)
