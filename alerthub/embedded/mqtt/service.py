"""Wires the embedded broker: the only place that knows all of its parts."""

from __future__ import annotations

from collections.abc import Callable

from alerthub.embedded.mqtt.broker import Broker
from alerthub.embedded.mqtt.logins import Logins
from alerthub.embedded.mqtt.settings import BrokerSettings
from alerthub.http import OperationsServer
from alerthub.identity import RevocationList
from alerthub.process import Parts
from alerthub.replica import CompactedReplica


def build(settings: BrokerSettings) -> Service:
    """The broker, not started."""
    return Service(settings)


class Service:
    """The broker's process."""

    def __init__(self, settings: BrokerSettings) -> None:
        self._settings = settings
        self._parts = Parts()
        self._broker: Broker | None = None

    @property
    def port(self) -> int:
        """Where clients connect. Raises RuntimeError before `start` returned."""
        if self._broker is None:
            raise RuntimeError("the broker was not started")
        return self._broker.port

    async def start(self) -> None:
        """Returns once it listens; until it knows all devices it tells clients to come again."""
        self._parts.open()
        revocations = RevocationList()
        logins = Logins(revocations, incomplete=lambda: devices.not_ready_because() or _reading(revoked))
        devices = self._replica("devices", logins.apply)
        revoked = self._replica("revocations", revocations.apply)
        operations = OperationsServer(
            self._settings,
            {"devices": devices.not_ready_because, "revocations": revoked.not_ready_because},
        )
        self._broker = Broker(self._settings, logins, revocations)
        for part in (operations, devices, revoked, self._broker):
            await self._parts.begin(part)

    async def failed(self) -> BaseException:
        """Returns what went wrong when only a restart helps."""
        return await self._parts.failed()

    async def stop(self) -> None:
        """Ends all connections, and itself."""
        await self._parts.stop()

    def _replica(self, topic: str, apply: Callable[[str, bytes | None], None]) -> CompactedReplica:
        return CompactedReplica(
            self._settings.kafka,
            topic,
            client_id=f"{self._settings.service}-{self._settings.instance}-{topic}",
            apply=apply,
            on_failure=self._parts.fail,
        )


def _reading(revoked: CompactedReplica) -> str | None:
    return None if revoked.caught_up else "what is revoked is still being read"
