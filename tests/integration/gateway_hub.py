"""A gateway that runs: its own process beside a real registry and a real watchlist, on real Kafka and
PostgreSQL."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from aiokafka import TopicPartition
from begun_anew import begin_anew
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from registry_hub import RunningRegistry, running_registry
from service_process import ROOT, Process

from alerthub import kafka
from alerthub.api.v1 import common_pb2, registry_pb2
from alerthub.api.v1.observation_pb2 import DirectCall, Observation, ObservationBatch
from alerthub.embedded.environment import service_environment
from alerthub.embedded.infrastructure import Infrastructure
from alerthub.embedded.processes import free_ports
from alerthub.provision.broker import ADMINISTRATOR
from alerthub.settings import TlsSettings
from alerthub.topics import TOPICS
from services.watchlist.service import OWNED_TOPICS

DAY_MS = 86_400_000
DISTRICT = "Anci-1"


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass
class Camera:
    """A device and what it proves itself with."""

    device_id: str
    secret: str = field(repr=False, default="")


@dataclass
class GatewayHub:
    """The gateway and what it needs."""

    infrastructure: Infrastructure
    registry: RunningRegistry
    watchlist: Process
    gateway: Process
    folder: Path
    broker: Process | None = None

    @property
    def mqtt(self) -> Process:
        """The embedded MQTT broker, in hubs that were asked for one."""
        assert self.broker is not None
        return self.broker

    @property
    def mqtt_address(self) -> str:
        return f"127.0.0.1:{self.mqtt.environment['ALERTHUB_MQTT_PORT']}"

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.gateway.environment['ALERTHUB_HTTP_PORT']}"

    @property
    def plain_url(self) -> str:
        return f"http://127.0.0.1:{self.gateway.environment['ALERTHUB_PLAIN_HTTP_PORT']}"

    @property
    def grpc_address(self) -> str:
        return f"127.0.0.1:{self.gateway.environment['ALERTHUB_GRPC_PORT']}"

    def client(self, *, certificate: TlsSettings | None = None) -> httpx.AsyncClient:
        trust = ssl.create_default_context(cafile=str(self.infrastructure.folder.ca_file))
        if certificate is not None:
            trust.load_cert_chain(str(certificate.certificate_file), str(certificate.key_file))
        return httpx.AsyncClient(base_url=self.url, verify=trust, timeout=20)

    async def device(
        self,
        *,
        authorised: bool = True,
        registered: common_pb2.AuthenticationClass.ValueType = (
            common_pb2.AUTHENTICATION_CLASS_PASSWORD_OVER_TLS
        ),
        district: str = DISTRICT,
        secret: bool = True,
        **fields: Any,
    ) -> Camera:
        """Registers a device, and waits until the gateway has it in force."""
        device_id = f"camera-{uuid.uuid4().hex[:10]}"
        resources = [
            registry_pb2.Resource(jurisdiction=_jurisdiction("city")),
            registry_pb2.Resource(
                device=registry_pb2.Device(
                    device_id=device_id,
                    status=registry_pb2.LIFE_STATUS_ACTIVE,
                    name="A camera",
                    adapter="cloudevents",
                    position=common_pb2.Position(latitude=39.52, longitude=116.71),
                    district=district,
                    jurisdiction="city",
                    authentication_class=registered,
                    **fields,
                )
            ),
        ]
        if authorised:
            resources.append(
                registry_pb2.Resource(
                    authorisation=registry_pb2.CheckAuthorisation(
                        authorisation_id=f"check-{device_id}",
                        status=registry_pb2.LIFE_STATUS_ACTIVE,
                        device_ids=[device_id],
                        legal_basis="Road Traffic Safety Law, article 87",
                        purpose="stolen vehicles",
                        categories=["stolen_vehicle"],
                        valid_from_ms=now_ms() - DAY_MS,
                        valid_until_ms=now_ms() + DAY_MS,
                    )
                )
            )
        await self.registry.apply(*resources)
        camera = Camera(device_id)
        if secret:
            issued = await self.registry.call(
                "IssueDeviceCredential", registry_pb2.IssueDeviceCredentialRequest(device_id=device_id)
            )
            camera.secret = issued.secret
        await self._until_known(camera, authorised=authorised)
        return camera

    async def certificate(self, device_id: str) -> TlsSettings:
        """A certificate of the hub's authority for the device, as the registry issues it."""
        key = ec.generate_private_key(ec.SECP256R1())
        request = x509.CertificateSigningRequestBuilder().subject_name(
            x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, device_id)])
        )
        pem = request.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()
        issued = await self.registry.call(
            "IssueDeviceCertificate",
            registry_pb2.IssueDeviceCertificateRequest(device_id=device_id, signing_request_pem=pem),
        )
        certificate_file = self.folder / f"{device_id}.pem"
        key_file = self.folder / f"{device_id}.key"
        certificate_file.write_text(issued.certificate_pem)
        key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return TlsSettings(
            certificate_file=certificate_file,
            key_file=key_file,
            ca_file=self.infrastructure.folder.ca_file,
        )

    async def fingerprint(self, tls: TlsSettings) -> str:
        """SHA-256 of a certificate, as revocations name it."""
        pem = await asyncio.to_thread(tls.certificate_file.read_bytes)
        return x509.load_pem_x509_certificate(pem).fingerprint(hashes.SHA256()).hex()

    async def _until_known(self, camera: Camera, *, authorised: bool) -> None:
        """Waits until what the registry has published of the device is in force, and at the gateway."""

        def in_force(values: dict[str, bytes]) -> bool:
            value = values.get(camera.device_id)
            if value is None:
                return False
            device = registry_pb2.Device.FromString(value)
            complete = bool(device.authorisations) == authorised
            complete = complete and bool(device.secret_sha256) == bool(camera.secret)
            since = [device.active_from_ms, *(one.active_from_ms for one in device.authorisations)]
            # The gateway tails the same topic; a tenth of a second is a hundred times what it needs.
            return (
                complete and bool(device.secret_sha256 or not camera.secret) and max(since) < now_ms() - 100
            )

        await self.registry.read("devices", until=in_force, seconds=20)

    async def post(
        self, camera: Camera, events: object, *, client: httpx.AsyncClient | None = None, retry: bool = True
    ) -> httpx.Response:
        """Sends CloudEvents as the camera does: again while the gateway asks for it."""
        media_type = "cloudevents-batch+json" if isinstance(events, list) else "cloudevents+json"
        async with self.client() as own, asyncio.timeout(60):
            while True:
                answer = await (client or own).post(
                    "/v1/ingest/cloudevents",
                    content=json.dumps(events),
                    headers={"content-type": f"application/{media_type}"},
                    auth=(camera.device_id, camera.secret),
                )
                if answer.status_code != 503 or not retry:
                    return answer
                await asyncio.sleep(0.2)

    async def ends(self, topic: str) -> dict[int, int]:
        """Where each partition of the topic ends now."""
        consumer = kafka.consumer(self.infrastructure.kafka_settings(ADMINISTRATOR), group_id=None)
        await consumer.start()
        try:
            partitions = [TopicPartition(topic, number) for number in range(TOPICS[topic].partitions)]
            ends = await consumer.end_offsets(partitions)
            return {partition.partition: offset for partition, offset in ends.items()}
        finally:
            await consumer.stop()

    async def values(
        self, topic: str, since: dict[int, int], until: Callable[[list[bytes]], bool], *, seconds: float = 15
    ) -> list[bytes]:
        """The topic's values from the given offsets on, once `until` holds for them."""
        consumer = kafka.consumer(self.infrastructure.kafka_settings(ADMINISTRATOR), group_id=None)
        await consumer.start()
        found: list[bytes] = []
        try:
            partitions = [TopicPartition(topic, number) for number in since]
            consumer.assign(partitions)
            for partition in partitions:
                consumer.seek(partition, since[partition.partition])
            async with asyncio.timeout(seconds):
                while not until(found):
                    for records in (await consumer.getmany(timeout_ms=100)).values():
                        found.extend(record.value for record in records)
            return found
        finally:
            await consumer.stop()

    async def observations(
        self, since: dict[int, int], count: int, *, device_id: str = "", seconds: float = 15
    ) -> list[tuple[ObservationBatch, Observation]]:
        """At least `count` observations (of the device) that came after the given offsets, with their
        batches."""

        def parsed(values: Sequence[bytes]) -> list[tuple[ObservationBatch, Observation]]:
            batches = [ObservationBatch.FromString(value) for value in values]
            return [
                (batch, one)
                for batch in batches
                for one in batch.observations
                if not device_id or one.device_id == device_id
            ]

        values = await self.values(
            "observations", since, lambda found: len(parsed(found)) >= count, seconds=seconds
        )
        return parsed(values)

    async def calls(self, since: dict[int, int], count: int) -> list[DirectCall]:
        values = await self.values("calls", since, lambda found: len(found) >= count)
        return [DirectCall.FromString(value) for value in values]


def _jurisdiction(name: str) -> registry_pb2.Jurisdiction:
    return registry_pb2.Jurisdiction(
        jurisdiction_id=name,
        status=registry_pb2.LIFE_STATUS_ACTIVE,
        name=common_pb2.LocalizedText(chinese="市", english="City"),
    )


def running_gateway(
    infrastructure: Infrastructure, folder: Path, *, mqtt: bool = False
) -> Iterator[GatewayHub]:
    """A gateway with a registry and a watchlist that begin empty, for one module of tests."""
    yield_from = running_registry(infrastructure, folder)
    registry = next(yield_from)
    # Asked for together, they differ from each other.
    ports = free_ports(9)
    watchlist_ports, gateway_ports, broker_ports = ports[:3], ports[3:7], ports[7:]
    try:
        begin_anew(infrastructure, "watchlist", OWNED_TOPICS)
        watchlist = Process(
            "services.watchlist",
            _environment(
                infrastructure,
                "watchlist",
                dict(zip(("grpc_port", "grpc_person_port", "operations_port"), watchlist_ports, strict=True)),
            )
            | {"ALERTHUB_KEYS_FOLDER": str(folder / "keys")},
            folder / "watchlist.log",
        )
        gateway = Process(
            "services.gateway",
            _environment(
                infrastructure,
                "gateway",
                dict(
                    zip(
                        ("grpc_port", "http_port", "operations_port", "plain_http_port"),
                        gateway_ports,
                        strict=True,
                    )
                ),
                {"watchlist": f"127.0.0.1:{watchlist_ports[0]}"}
                | ({"mqtt": f"127.0.0.1:{broker_ports[0]}"} if mqtt else {}),
            ),
            folder / "gateway.log",
        )
        broker = Process(
            "alerthub.embedded.mqtt",
            _environment(
                infrastructure, "mqtt", dict(zip(("mqtt_port", "operations_port"), broker_ports, strict=True))
            ),
            folder / "mqtt.log",
        )
        hub = GatewayHub(infrastructure, registry, watchlist, gateway, folder, broker if mqtt else None)
        try:
            if mqtt:
                broker.start()
            watchlist.start()
            gateway.start()
            watchlist.wait_until_ready()
            gateway.wait_until_ready()
            yield hub
        finally:
            gateway.stop()
            broker.stop()
            watchlist.stop()
    finally:
        next(yield_from, None)


def _environment(
    infrastructure: Infrastructure,
    service: str,
    ports: dict[str, int],
    addresses: dict[str, str] | None = None,
) -> dict[str, str]:
    environment = service_environment(
        infrastructure.folder,
        service,
        kafka=infrastructure.kafka_settings(service),
        postgres_port=infrastructure.postgres_settings("").port,
        ports=ports,
        addresses=addresses,
    )
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), environment.get("PYTHONPATH", "")])
    return environment
