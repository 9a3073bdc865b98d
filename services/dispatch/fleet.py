"""The units, where they are, and how direct calls are answered: what routing knows, from Kafka."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass

from google.protobuf.message import DecodeError

from alerthub import loops, recent_records
from alerthub.api.v1 import registry_pb2
from alerthub.api.v1.patrol_pb2 import UnitPosition
from alerthub.domain.routing import POSITION_MAXIMUM_AGE_MS, Place, ReportedPosition, RoutableUnit
from alerthub.replica import CompactedReplica
from alerthub.settings import ServiceSettings
from alerthub.telemetry import logger
from alerthub.units import UnitDirectory

log = logger(__name__)


@dataclass(frozen=True, slots=True)
class DevicePlace:
    """Of a device, what a direct call does not carry."""

    version: int
    jurisdiction: str


class Fleet:
    """Replicas of `units`, `devices` and `rules`, and the tail of `positions`."""

    def __init__(
        self,
        settings: ServiceSettings,
        *,
        client_id: str,
        on_failure: loops.OnFailure = loops.ignore,
    ) -> None:
        self._on_failure = on_failure
        self.positions: dict[str, ReportedPosition] = {}
        self._settings = settings
        self._client_id = client_id
        self._units = UnitDirectory()
        self._devices: dict[str, DevicePlace] = {}
        self._rules: dict[str, registry_pb2.Rule] = {}
        self._replicas = tuple(
            CompactedReplica(
                settings.kafka, topic, client_id=f"{client_id}-{topic}", apply=apply, on_failure=on_failure
            )
            for topic, apply in (
                ("units", self._units.apply),
                ("devices", self._apply_device),
                ("rules", self._apply_rule),
            )
        )
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        for replica in self._replicas:
            await replica.start()
        following = recent_records.follow(
            self._settings.kafka,
            "positions",
            client_id=f"{self._client_id}-positions",
            since_ms=lambda: time.time_ns() // 1_000_000 - POSITION_MAXIMUM_AGE_MS,
            take=self._take_position,
            waiting_event="positions_wait_for_broker",
        )
        self._task = loops.begin(following, name="positions", on_failure=self._on_failure)

    async def stop(self) -> None:
        await loops.end(self._task)
        for replica in self._replicas:
            await replica.stop()

    async def wait_until_read(self) -> None:
        """Returns once what the topics hold is known; how fresh it is, readiness says."""
        for replica in self._replicas:
            await replica.wait_until_caught_up()

    def check(self) -> str | None:
        """A readiness check."""
        return next(
            (reason for replica in self._replicas if (reason := replica.not_ready_because()) is not None),
            None,
        )

    def units(self, now_ms: int) -> Iterator[RoutableUnit]:
        return self._units.all(now_ms)

    def unit(self, unit_id: str, now_ms: int) -> RoutableUnit | None:
        return self._units.get(unit_id, now_ms)

    def jurisdiction_of_device(self, device_id: str) -> str:
        """Empty where the device is not known: any unit may be sent."""
        found = self._devices.get(device_id)
        return found.jurisdiction if found is not None else ""

    def rule_for_call(self, device_id: str) -> registry_pb2.Rule | None:
        """The active rule for direct calls that names this device, else one for every device."""
        active = [rule for rule in self._rules.values() if rule.status == registry_pb2.LIFE_STATUS_ACTIVE]
        named = [rule for rule in active if device_id in rule.device_ids]
        general = [rule for rule in active if not rule.device_ids and not rule.zone_ids]
        return next(iter(named or general), None)

    def _apply_device(self, key: str, value: bytes | None) -> None:
        if value is None:
            self._devices.pop(key, None)
            return
        device = registry_pb2.Device.FromString(value)
        known = self._devices.get(key)
        if known is None or known.version < device.version:
            self._devices[key] = DevicePlace(device.version, device.jurisdiction)

    def _apply_rule(self, key: str, value: bytes | None) -> None:
        if value is None:
            self._rules.pop(key, None)
            return
        rule = registry_pb2.Rule.FromString(value)
        known = self._rules.get(key)
        if known is not None and known.version >= rule.version:
            return
        if rule.kind == registry_pb2.RULE_KIND_DIRECT_CALL:
            self._rules[key] = rule
        else:
            self._rules.pop(key, None)

    def _take_position(self, value: bytes) -> None:
        try:
            reported = UnitPosition.FromString(value)
        except DecodeError:
            log.warning("position_undecodable")
            return
        known = self.positions.get(reported.unit_id)
        # Push's clock, not the terminal's, which could make a unit fresh for ever.
        if known is None or known.time_ms <= reported.received_time_ms:
            self.positions[reported.unit_id] = ReportedPosition(
                Place(reported.position.latitude, reported.position.longitude), reported.received_time_ms
            )
