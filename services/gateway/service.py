"""Wires the gateway: the only place that knows all of its parts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from grpc.aio import Channel

from alerthub import kafka
from alerthub.api.v1.watchlist_pb2_grpc import KeyServiceStub
from alerthub.domain.errors import Refuse, Retry
from alerthub.evidence import EvidenceStore
from alerthub.grpc import GrpcServer, serve, service_channel
from alerthub.http import OperationsServer
from alerthub.identity import RevocationList
from alerthub.process import Parts
from alerthub.replica import CompactedReplica
from alerthub.telemetry import logger
from alerthub.tracing import traces_of
from services.gateway import metrics
from services.gateway.authentication import Authenticator
from services.gateway.devices import DeviceDirectory
from services.gateway.grpc_api import HAND_VALIDATED, IngestApi
from services.gateway.handlers import Intake
from services.gateway.http_api import build_app, build_plain_app
from services.gateway.http_server import WebServer
from services.gateway.keys import KeyHolder
from services.gateway.mqtt import MqttEdge
from services.gateway.packer import WATERMARK_SECONDS, BatchPacker
from services.gateway.settings import GatewaySettings

log = logger(__name__)

OBSERVATIONS_TOPIC = "observations"
_KAFKA_RETRY_SECONDS = 0.5
_MINIMUM_KEY_BYTES = 32


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _key_in(file: Path | None) -> bytes:
    if file is None:
        return b""
    key = file.read_bytes().strip()
    if len(key) < _MINIMUM_KEY_BYTES:
        raise Refuse("digest_key_file", f"a file with a secret of at least {_MINIMUM_KEY_BYTES} characters")
    return key


def build(settings: GatewaySettings) -> Service:
    """The gateway, not started."""
    return Service(settings)


class Service:
    """One gateway process."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings
        self._tasks: set[asyncio.Task[None]] = set()
        self._parts = Parts()
        self._traces = traces_of(settings)
        self._producers: list[AIOKafkaProducer] = []
        self._replicas: list[CompactedReplica] = []
        self._operations: OperationsServer | None = None
        self._https: WebServer | None = None
        self._plain: WebServer | None = None
        self._grpc: GrpcServer | None = None
        self._channel: Channel | None = None
        self._packer: BatchPacker | None = None
        self._waiting = "Kafka has not answered yet"

    @property
    def https_port(self) -> int:
        """Where devices connect. Raises RuntimeError before `start` returned."""
        if self._https is None:
            raise RuntimeError("the gateway was not started")
        return self._https.port

    @property
    def plain_http_port(self) -> int:
        """Where devices of the class network only connect. Raises RuntimeError when there is no such
        listener."""
        if self._plain is None:
            raise RuntimeError("the gateway has no plain listener")
        return self._plain.port

    @property
    def grpc_port(self) -> int:
        """Where edge servers connect; 0 when the settings name no port."""
        return 0 if self._grpc is None else self._grpc.grpc_port

    async def start(self) -> None:
        """Starts everything; returns once it listens, which is before it is ready: until then it answers
        503."""
        settings = self._settings
        self._parts.open()
        if self._traces is not None:
            await self._traces.start()
        self._operations = OperationsServer(settings, {"kafka": lambda: self._waiting or None})
        await self._operations.start()

        observations = await self._producer("observations")
        partitions = len(await observations.partitions_for(OBSERVATIONS_TOPIC))
        calls = await self._producer("calls")
        self._waiting = ""

        directory = DeviceDirectory(partitions)
        revocations = RevocationList()
        devices = self._replica("devices", directory.apply)
        directory.incomplete = devices.not_ready_because
        revoked = self._replica("revocations", revocations.apply)
        self._channel = service_channel(settings, settings.addresses.watchlist)
        keys = KeyHolder(
            KeyServiceStub(self._channel),
            gateway_id=settings.gateway_id,
            interval_seconds=settings.key_synchronisation_seconds,
            maximum_age_ms=round(settings.key_maximum_age_seconds * 1000),
            now_ms=_now_ms,
        )
        packer = self._packer = BatchPacker(
            observations,
            topic=OBSERVATIONS_TOPIC,
            partitions=partitions,
            gateway_id=settings.gateway_id,
            minimum_linger_ms=settings.minimum_linger_ms,
            maximum_linger_ms=settings.maximum_linger_ms,
            maximum_in_flight=settings.maximum_in_flight,
            wait_seconds=settings.kafka_wait_seconds,
            now_ms=_now_ms,
            on_failure=self._parts.fail,
            traces=self._traces,
        )
        evidence = EvidenceStore(
            settings.evidence_url,
            retention_ms=settings.picture_retention_ms,
            bound_bytes=settings.picture_bound_bytes,
        )
        intake = Intake(
            settings,
            devices=directory,
            keys=keys,
            packer=packer,
            calls=calls,
            evidence=evidence,
            now_ms=_now_ms,
            traces=self._traces,
        )
        self._operations.add_ready_check("kafka", packer.not_ready_because)
        self._operations.add_ready_check("devices", devices.not_ready_because)
        self._operations.add_ready_check("revocations", revoked.not_ready_because)
        self._operations.add_ready_check("keys", keys.not_ready_because)
        for replica in self._replicas:
            await replica.start()
        self._spawn(keys.run(), "keys")
        self._spawn(_watermarks(packer, keys, intake), "watermarks")
        self._spawn(_sweeps(evidence, settings.picture_sweep_seconds), "sweeps")
        await self._listen(intake, directory, revocations, revoked)

    async def _listen(
        self,
        intake: Intake,
        directory: DeviceDirectory,
        revocations: RevocationList,
        revoked: CompactedReplica,
    ) -> None:
        settings = self._settings
        authenticator = Authenticator(
            directory,
            revocations,
            failures_per_minute=settings.failed_sign_ins_per_minute,
            now_ms=_now_ms,
            revocations_incomplete=lambda: (
                None if revoked.caught_up else "what is revoked is still being read"
            ),
            digest_key=_key_in(settings.digest_key_file),
        )
        self._https = WebServer(
            build_app(settings, intake, authenticator),
            host=settings.listen_host,
            port=settings.http_port,
            tls=settings.tls,
            maximum_connections=settings.maximum_connections,
        )
        await self._https.start()
        if settings.plain_http_port is not None:
            self._plain = WebServer(
                build_plain_app(settings, intake, authenticator),
                host=settings.plain_http_host,
                port=settings.plain_http_port,
                tls=None,
                maximum_connections=settings.maximum_connections,
            )
            await self._plain.start()
        if settings.addresses.mqtt and self._operations is not None:
            edge = MqttEdge(settings, intake, authenticator)
            self._operations.add_ready_check("mqtt", edge.not_ready_because)
            self._spawn(edge.run(), "mqtt")
        self._grpc = await serve(
            settings,
            [IngestApi(settings, intake, directory)],
            audience="gateway",
            revocations=revocations,
            hand_validated=HAND_VALIDATED,
        )

    async def failed(self) -> BaseException:
        """Returns what went wrong when only a restart helps."""
        return await self._parts.failed()

    async def stop(self) -> None:
        """Takes nothing more, lets what is in flight reach Kafka, and ends."""
        if self._grpc is not None:
            await self._grpc.stop()
        for server in (self._https, self._plain):
            if server is not None:
                await server.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._packer is not None:
            await self._packer.stop(timeout_seconds=self._settings.kafka_wait_seconds)
        for replica in self._replicas:
            await replica.stop()
        for producer in self._producers:
            await producer.stop()
        if self._channel is not None:
            await self._channel.close()
        if self._traces is not None:
            await self._traces.stop()
        if self._operations is not None:
            await self._operations.stop()

    async def _producer(self, purpose: str) -> AIOKafkaProducer:
        """A started producer, however long the broker takes to come."""
        client_id = f"{self._settings.gateway_id}-{purpose}"
        while True:
            producer = kafka.producer(self._settings.kafka, client_id=client_id)
            try:
                await producer.start()
            except (KafkaError, OSError) as error:
                log.warning("gateway_waits_for_broker", error_type=type(error).__name__)
                await producer.stop()
                await asyncio.sleep(_KAFKA_RETRY_SECONDS)
            else:
                self._producers.append(producer)
                return producer

    def _replica(self, topic: str, apply: Callable[[str, bytes | None], None]) -> CompactedReplica:
        replica = CompactedReplica(
            self._settings.kafka,
            topic,
            client_id=f"{self._settings.gateway_id}-{topic}",
            apply=apply,
            on_failure=self._parts.fail,
        )
        self._replicas.append(replica)
        return replica

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            self._parts.fail(task.exception() or RuntimeError("a task that runs for ever has ended"))


async def _watermarks(packer: BatchPacker, keys: KeyHolder, intake: Intake) -> None:
    """C11. While the gateway takes nothing it says nothing: devices are then not silent, only unheard."""
    while True:
        await asyncio.sleep(WATERMARK_SECONDS)
        if intake.not_ready_because() is None:
            packer.watermark(keys.in_force_or_none())


async def _sweeps(evidence: EvidenceStore, interval_seconds: float) -> None:
    while True:
        try:
            result = await evidence.sweep(_now_ms())
        except Retry as error:
            log.warning("picture_sweep_failed", reason=error.reason)
        else:
            metrics.pictures_swept.labels("age").inc(result.expired)
            metrics.pictures_swept.labels("bound").inc(result.displaced)
            metrics.picture_bytes.set(result.kept_bytes)
        await asyncio.sleep(interval_seconds)
