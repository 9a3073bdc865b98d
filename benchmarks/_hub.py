"""A hub under load: an edge server that sends at a rate, and a terminal that answers what reaches it."""

from __future__ import annotations

import asyncio
import secrets
import time
import uuid
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from alerthub.api.v1 import ingest_pb2_grpc, registry_pb2_grpc, watchlist_pb2_grpc
from alerthub.api.v1.common_pb2 import (
    AUTHENTICATION_CLASS_CERTIFICATE,
    AUTHENTICATION_CLASS_PASSWORD_OVER_TLS,
    DISPATCH_POLICY_SEND_AT_ONCE,
    IDENTIFIER_KIND_PLATE,
    SEVERITY_MAJOR,
    LocalizedText,
    Position,
)
from alerthub.api.v1.ingest_pb2 import DeviceEvent, ReadIdentifier, StreamEventsRequest
from alerthub.api.v1.observation_pb2 import OBSERVATION_KIND_IDENTIFIER_READ
from alerthub.api.v1.registry_pb2 import (
    RULE_KIND_WATCHLIST_HIT,
    ApplyResourcesRequest,
    CheckAuthorisation,
    CreateEnrolmentCodeRequest,
    Device,
    IssueDeviceCertificateRequest,
    IssueDeviceCredentialRequest,
    Jurisdiction,
    Resource,
    Rule,
    Shift,
    Unit,
    WatchlistHitParameters,
)
from alerthub.api.v1.watchlist_pb2 import (
    ApproveEntryRequest,
    EntryIdentifier,
    ImportEntriesRequest,
    NewEntry,
)
from alerthub.cli.context import signed_in
from alerthub.domain.versions import ACTIVATION_LEAD_MS
from alerthub.grpc_client import certificate_channel
from alerthub.selftest.hub import HubFacts
from alerthub.settings import TlsSettings
from alerthub.simulator.device import DeviceLogin

EDGE, CITY = "edge-1", "city"
DISTRICTS = 12
UNITS = 12
"""Each with a terminal. One alone would be asked to open and to answer four alerts a second."""
_ACTIVATION_SECONDS = ACTIVATION_LEAD_MS / 1000 + 1
PLACE = Position(latitude=39.5, longitude=116.7)
_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ0123456789"


def random_plates(count: int) -> list[str]:
    """Different plates."""
    chosen: set[str] = set()
    while len(chosen) < count:
        chosen.add("冀R" + "".join(secrets.choice(_LETTERS) for _ in range(5)))
    return sorted(chosen)


async def prepare(
    facts: HubFacts, *, cameras: list[str], officer: str, folder: Path
) -> tuple[TlsSettings, list[str]]:
    """Applies the city; gives the edge server's certificate and the terminals' enrolment codes."""
    data = facts.folder.root
    async with signed_in(data, "administrator-one", "registry") as channel:
        registry = registry_pb2_grpc.RegistryServiceStub(channel)
        applied = await registry.ApplyResources(
            ApplyResourcesRequest(command_id=str(uuid.uuid4()), resources=_city(cameras, officer)), timeout=30
        )
        key = ec.generate_private_key(ec.SECP256R1())
        request = x509.CertificateSigningRequestBuilder().subject_name(
            x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, EDGE)])
        )
        issued = await registry.IssueDeviceCertificate(
            IssueDeviceCertificateRequest(
                device_id=EDGE,
                signing_request_pem=request.sign(key, hashes.SHA256())
                .public_bytes(serialization.Encoding.PEM)
                .decode(),
            ),
            timeout=30,
        )
        codes = [
            await registry.CreateEnrolmentCode(
                CreateEnrolmentCodeRequest(terminal_id=f"terminal-{number}", unit_id=f"unit-{number}"),
                timeout=30,
            )
            for number in range(UNITS)
        ]
    tls = TlsSettings(
        certificate_file=folder / "edge.pem", key_file=folder / "edge.key", ca_file=facts.folder.ca_file
    )
    tls.certificate_file.write_text(issued.certificate_pem, encoding="utf-8")
    tls.key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    await asyncio.sleep(max(0.0, applied.active_from_ms / 1000 - time.time()))
    return tls, [each.code for each in codes]


async def register_with_passwords(facts: HubFacts, devices: Sequence[str]) -> list[DeviceLogin]:
    """More cameras of the city, each with a secret, authorised; returns once they are in force."""
    now_ms = int(time.time() * 1000)
    resources = [_camera(device, number % DISTRICTS) for number, device in enumerate(devices)]
    for each in resources:
        each.device.authentication_class = AUTHENTICATION_CLASS_PASSWORD_OVER_TLS
    resources.append(_authorisation("authorisation-2", devices, now_ms))
    async with signed_in(facts.folder.root, "administrator-one", "registry") as channel:
        registry = registry_pb2_grpc.RegistryServiceStub(channel)
        await registry.ApplyResources(
            ApplyResourcesRequest(command_id=str(uuid.uuid4()), resources=resources), timeout=30
        )
        logins = [
            DeviceLogin(
                device,
                (
                    await registry.IssueDeviceCredential(
                        IssueDeviceCredentialRequest(device_id=device), timeout=30
                    )
                ).secret,
            )
            for device in devices
        ]
    # A new secret is a new version, which comes into force after a lead.
    await asyncio.sleep(_ACTIVATION_SECONDS)
    return logins


async def list_vehicles(facts: HubFacts, plates: list[str]) -> None:
    """Stolen vehicles, entered by one person and approved by another; returns when all are in force."""
    valid_until_ms = int(time.time() * 1000) + 3_600_000
    entries = [
        NewEntry(
            category="stolen_vehicle",
            identifiers=[EntryIdentifier(kind=IDENTIFIER_KIND_PLATE, text=plate, masks=["exact"])],
            case_number="BENCH-1",
            legal_basis="a benchmark",
            issuing_authority="benchmark desk",
            authority_contact="110",
            instruction=LocalizedText(chinese="测试", english="test"),
            valid_until_ms=valid_until_ms,
        )
        for plate in plates
    ]
    async with signed_in(facts.folder.root, "editor", "watchlist") as channel:
        stub = watchlist_pb2_grpc.WatchlistServiceStub(channel)
        imported = await stub.ImportEntries(
            ImportEntriesRequest(command_id=str(uuid.uuid4()), entries=entries), timeout=60
        )
    active_from_ms = 0
    async with signed_in(facts.folder.root, "approver", "watchlist") as channel:
        stub = watchlist_pb2_grpc.WatchlistServiceStub(channel)
        for entry_id in imported.entry_ids:
            request = ApproveEntryRequest(command_id=str(uuid.uuid4()), entry_id=entry_id)
            active_from_ms = (await stub.ApproveEntry(request, timeout=30)).active_from_ms
    await asyncio.sleep(max(0.0, active_from_ms / 1000 - time.time()))


_EDGE_LINGER_SECONDS = 0.002
"""How long an edge server collects what its cameras send."""
_EVENTS_A_MESSAGE = 64


@dataclass
class EdgeServer:
    """Sends events over one stream, at a rate, and notes when each listed plate was sent."""

    facts: HubFacts
    tls: TlsSettings
    sent_at_ms: dict[str, float] = field(default_factory=dict)
    acknowledged: int = 0
    sent: int = 0

    async def run(self, *, cameras: list[str], rate: int, seconds: float, listed: list[str]) -> None:
        """`listed` are spread over the time, each at any moment of its share of it: services do some things
        once a second, and would otherwise do them beside every one or none. Other plates match nothing."""
        address = str(self.facts.folder.read_hub()["gateway_grpc"])
        async with certificate_channel(self.tls, address) as channel:
            stub = ingest_pb2_grpc.IngestServiceStub(channel)
            stream = stub.StreamEvents(self._events(cameras, rate, int(rate * seconds), listed))
            async for answer in stream:
                self.acknowledged = answer.acknowledged_sequence
                for refusal in answer.refusals:
                    raise RuntimeError(f"refused: {refusal.field}: {refusal.expected}")

    async def _events(
        self, cameras: list[str], rate: int, total: int, listed: list[str]
    ) -> AsyncIterator[StreamEventsRequest]:
        every = max(1, total // max(1, len(listed)))
        chosen = {each * every + secrets.randbelow(every) for each in range(len(listed))}
        plates = random_plates(2_000)
        began = time.monotonic()
        hits = iter(listed)
        while self.sent < total:
            due = min(total, int((time.monotonic() - began) * rate) + 1)
            if due <= self.sent:
                await asyncio.sleep(_EDGE_LINGER_SECONDS)
                continue
            first = self.sent
            events = []
            for number in range(first, min(due, first + _EVENTS_A_MESSAGE)):
                plate = plates[number % len(plates)]
                now = time.time() * 1000
                if number in chosen:
                    plate = next(hits, plate)
                    self.sent_at_ms.setdefault(plate, now)
                events.append(
                    DeviceEvent(
                        device_id=cameras[number % len(cameras)],
                        event_id=f"{began:.3f}-{number}",
                        kind=OBSERVATION_KIND_IDENTIFIER_READ,
                        device_time_ms=int(now),
                        identifiers=[ReadIdentifier(kind=IDENTIFIER_KIND_PLATE, text=plate)],
                        read_confidence=0.95,
                    )
                )
            self.sent += len(events)
            yield StreamEventsRequest(sequence=first + 1, event=events[0], further_events=events[1:])


def _camera(camera: str, district: int) -> Resource:
    return Resource(
        device=Device(
            device_id=camera,
            name=camera,
            adapter="grpc",
            position=PLACE,
            district=f"district-{district}",
            jurisdiction=CITY,
            authentication_class=AUTHENTICATION_CLASS_CERTIFICATE,
        )
    )


def _unit(number: int) -> Resource:
    return Resource(
        unit=Unit(
            unit_id=f"unit-{number}",
            name=LocalizedText(chinese=f"{number}组", english=f"Unit {number}"),
            unit_kind="patrol",
            jurisdiction=CITY,
            station=PLACE,
        )
    )


def _shift(number: int, officer: str, now_ms: int) -> Resource:
    return Resource(
        shift=Shift(
            shift_id=f"shift-{number}",
            unit_id=f"unit-{number}",
            from_ms=now_ms - 3_600_000,
            until_ms=now_ms + 80_000_000,
            officers=[officer],
        )
    )


def _authorisation(name: str, devices: Sequence[str], now_ms: int) -> Resource:
    return Resource(
        authorisation=CheckAuthorisation(
            authorisation_id=name,
            device_ids=devices,
            legal_basis="a benchmark",
            purpose="a benchmark",
            categories=["stolen_vehicle"],
            valid_from_ms=now_ms - 3_600_000,
            valid_until_ms=now_ms + 80_000_000,
        )
    )


def _city(cameras: Iterable[str], officer: str) -> list[Resource]:
    now_ms = int(time.time() * 1000)
    cameras = list(cameras)
    edge = _camera(EDGE, 0)
    edge.device.speaks_for.extend(cameras)
    return [
        Resource(
            jurisdiction=Jurisdiction(jurisdiction_id=CITY, name=LocalizedText(chinese="市", english="City"))
        ),
        *(_camera(camera, number % DISTRICTS) for number, camera in enumerate(cameras)),
        edge,
        _authorisation("authorisation-1", cameras, now_ms),
        Resource(
            rule=Rule(
                rule_id="listed-vehicle",
                name=LocalizedText(chinese="布控车辆", english="Listed vehicle"),
                kind=RULE_KIND_WATCHLIST_HIT,
                severity=SEVERITY_MAJOR,
                unit_kind="patrol",
                policy=DISPATCH_POLICY_SEND_AT_ONCE,
                officer_text=LocalizedText(chinese="发现布控车辆", english="Listed vehicle seen"),
                watchlist_hit=WatchlistHitParameters(masks=["exact"]),
            )
        ),
        *(_unit(number) for number in range(UNITS)),
        *(_shift(number, officer, now_ms) for number in range(UNITS)),
    ]
