"""A gateway in memory: real decisions, blinding and sealing; a broker, a watchlist and a clock that tests
steer."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiokafka.errors import KafkaError

from alerthub import sealing
from alerthub.api.v1 import common_pb2, registry_pb2, watchlist_pb2
from alerthub.api.v1.observation_pb2 import DirectCall, Observation, ObservationBatch
from alerthub.domain.device_events import DeviceEvent, ObservationKind, ReadIdentifier
from alerthub.domain.identifiers import IdentifierKind
from alerthub.evidence import EvidenceStore
from alerthub.tracing import Traces
from services.gateway.devices import DeviceDirectory
from services.gateway.handlers import Intake
from services.gateway.keys import KeyHolder
from services.gateway.packer import BatchPacker
from services.gateway.settings import GatewaySettings

START_MS = 1_800_000_000_000
DAY_MS = 86_400_000
PLATE = "冀R7K2Q9"
SECRET = "kT3-secret-canary"  # noqa: S105 - of a camera that exists in memory only
PARTITIONS = 4
PRIVATE_KEY = sealing.generate_private_key()


class Clock:
    """The time, when a test says so."""

    def __init__(self) -> None:
        self.ms = START_MS

    def __call__(self) -> int:
        return self.ms


class Broker:
    """Takes records; acknowledges at once, or when `answer` says so."""

    def __init__(self) -> None:
        self.records: list[tuple[str, int | None, bytes]] = []
        self.headers: list[Sequence[tuple[str, bytes]]] = []
        self.holds = False
        self.waiting: list[asyncio.Future[object]] = []
        self._held = asyncio.Event()

    async def send(
        self,
        topic: str,
        value: bytes,
        *,
        key: bytes | None = None,
        partition: int | None = None,
        headers: Sequence[tuple[str, bytes]] | None = None,
    ) -> asyncio.Future[object]:
        self.records.append((topic, partition, value))
        self.headers.append(headers or [])
        future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        if self.holds:
            self.waiting.append(future)
            self._held.set()
        else:
            future.set_result(None)
        return future

    async def holds_a_record(self, count: int = 1) -> None:
        """Returns once so many records wait for their acknowledgement."""
        while len(self.waiting) < count:
            self._held.clear()
            await self._held.wait()

    def answer(self, error: KafkaError | None = None) -> None:
        self.holds = False
        self._held.clear()
        waiting, self.waiting = self.waiting, []
        for future in waiting:
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)

    def answer_the_first(self) -> None:
        """Acknowledges the record that has waited longest, and no other."""
        self.waiting.pop(0).set_result(None)

    def batches(self) -> list[ObservationBatch]:
        return [
            ObservationBatch.FromString(value) for topic, _, value in self.records if topic == "observations"
        ]

    def observations(self) -> list[Observation]:
        return [one for batch in self.batches() for one in batch.observations]

    def calls(self) -> list[DirectCall]:
        return [DirectCall.FromString(value) for topic, _, value in self.records if topic == "calls"]


def configuration(version: int = 1, *, ends_at_ms: int = START_MS + DAY_MS) -> Any:
    return watchlist_pb2.BlindingConfiguration(
        version=version,
        masks=["exact", "confusable", "no-province"],
        epoch=f"epoch-{version}",
        epoch_key=bytes([version]) * 32,
        epoch_ends_at_ms=ends_at_ms,
    )


class Watchlist:
    """Gives keys, and notes what was reported."""

    def __init__(self) -> None:
        self.reports: list[watchlist_pb2.SynchroniseKeysRequest] = []
        self.answer = watchlist_pb2.SynchroniseKeysResponse(
            in_force=configuration(),
            recipient=watchlist_pb2.SealingRecipient(
                recipient_key_id="r1",
                public_key=sealing.public_key_of(PRIVATE_KEY),
                valid_until_ms=START_MS + DAY_MS,
            ),
        )

    async def SynchroniseKeys(  # noqa: N802 - the name on the wire
        self, request: watchlist_pb2.SynchroniseKeysRequest, *, timeout: float
    ) -> watchlist_pb2.SynchroniseKeysResponse:
        self.reports.append(request)
        return self.answer


def device_record(
    device_id: str = "camera-1", *, version: int = 1, authorised: bool = True, **fields: Any
) -> bytes:
    values: dict[str, Any] = {
        "device_id": device_id,
        "version": version,
        "active_from_ms": START_MS - 1_000,
        "status": registry_pb2.LIFE_STATUS_ACTIVE,
        "position": common_pb2.Position(latitude=39.5, longitude=116.7),
        "district": "Anci-1",
        "authentication_class": common_pb2.AUTHENTICATION_CLASS_PASSWORD_OVER_TLS,
        "secret_sha256": hashlib.sha256(SECRET.encode()).digest(),
    }
    values |= fields
    device = registry_pb2.Device(**values)
    if authorised:
        device.authorisations.append(
            registry_pb2.CheckAuthorisation(
                authorisation_id="check-1",
                status=registry_pb2.LIFE_STATUS_ACTIVE,
                device_ids=[device_id],
                legal_basis="law",
                purpose="stolen vehicles",
                categories=["stolen_vehicle"],
                valid_from_ms=START_MS - DAY_MS,
                valid_until_ms=START_MS + DAY_MS,
            )
        )
    return device.SerializeToString()


@dataclass
class Gateway:
    """The parts, wired as service.py wires them."""

    settings: GatewaySettings
    clock: Clock
    broker: Broker
    watchlist: Watchlist
    devices: DeviceDirectory
    keys: KeyHolder
    packer: BatchPacker
    evidence: EvidenceStore
    intake: Intake
    failures: list[BaseException] = field(default_factory=list)
    devices_reason: str | None = None

    def register(self, device_id: str = "camera-1", **fields: Any) -> None:
        self.devices.apply(device_id, device_record(device_id, **fields))


async def gateway(
    folder: Path, *, keys: bool = True, traces: Traces | None = None, **changed: Any
) -> Gateway:
    """A gateway with one registered camera, `camera-1`."""
    clock, broker, watchlist = Clock(), Broker(), Watchlist()
    settings = GatewaySettings(
        **{"minimum_linger_ms": 0, "maximum_linger_ms": 0, "kafka_wait_seconds": 0.2, **changed}
    )
    devices = DeviceDirectory(PARTITIONS)
    holder = KeyHolder(
        watchlist, gateway_id="gateway-1", interval_seconds=1, maximum_age_ms=10_000, now_ms=clock
    )
    failures: list[BaseException] = []
    packer = BatchPacker(
        broker,
        topic="observations",
        partitions=PARTITIONS,
        gateway_id="gateway-1",
        minimum_linger_ms=settings.minimum_linger_ms,
        maximum_linger_ms=settings.maximum_linger_ms,
        maximum_in_flight=settings.maximum_in_flight,
        wait_seconds=settings.kafka_wait_seconds,
        now_ms=clock,
        on_failure=failures.append,
        traces=traces,
    )
    evidence = EvidenceStore(f"file://{folder}/evidence")
    made: Gateway

    def incomplete() -> str | None:
        return made.devices_reason

    devices.incomplete = incomplete
    intake = Intake(
        settings,
        devices=devices,
        keys=holder,
        packer=packer,
        calls=broker,
        evidence=evidence,
        now_ms=clock,
        traces=traces,
    )
    made = Gateway(settings, clock, broker, watchlist, devices, holder, packer, evidence, intake, failures)
    made.register()
    if keys:
        await holder.synchronise()
    return made


def read(event_id: str = "e1", *, plate: str = PLATE, **fields: Any) -> DeviceEvent:
    return DeviceEvent(
        kind=ObservationKind.IDENTIFIER_READ,
        device_time_ms=START_MS,
        event_id=event_id,
        identifiers=(ReadIdentifier(IdentifierKind.PLATE, plate),),
        **fields,
    )
