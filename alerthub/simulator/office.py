"""What people do for a run: register the city, list and approve entries, and say what the hub raised.

Everything goes through the API that people use, each with an account of their own.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from alerthub.api.v1 import alert_pb2_grpc, registry_pb2_grpc, watchlist_pb2_grpc
from alerthub.api.v1.alert_pb2 import Alert, AlertStatus, ListAlertsRequest
from alerthub.api.v1.common_pb2 import IDENTIFIER_KIND_PLATE, LocalizedText
from alerthub.api.v1.registry_pb2 import (
    LIFE_STATUS_ACTIVE,
    RULE_KIND_WATCHLIST_HIT,
    ApplyResourcesRequest,
    IssueDeviceCertificateRequest,
    IssueDeviceCredentialRequest,
    ListResourcesRequest,
    Resource,
    Rule,
)
from alerthub.api.v1.watchlist_pb2 import (
    ApproveEntryRequest,
    EntryIdentifier,
    ImportEntriesRequest,
    NewEntry,
    WithdrawEntryRequest,
)
from alerthub.domain.versions import ACTIVATION_LEAD_MS
from alerthub.settings import TlsSettings
from alerthub.simulator.cast import Listed, Standing

SignIn = Callable[[str, str], AbstractAsyncContextManager[grpc.aio.Channel]]
"""A channel for an account with this role to this service."""

_CALL_SECONDS = 30.0
_RESOURCES_A_CALL = 2_000
_ENTRIES_A_CALL = 500
_ISSUED_AT_ONCE = 16
_PAGE = 500
_EXPIRING_MS = 8_000
_EXPIRING_EACH_MS = 30
"""From entering to the end of an entry that is to be over when the run begins: long enough to approve it, and
longer for each entry that is entered beside it."""


def now_ms() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


class Office:
    """The people. Raises what the hub says no with: Refuse or Retry."""

    def __init__(self, sign_in: SignIn, tell: Callable[[str], None]) -> None:
        self._sign_in = sign_in
        self._tell = tell

    async def apply(self, wanted: Sequence[Resource]) -> None:
        """Registers everything. A second time changes nothing."""
        async with self._sign_in("ROLE_REGISTRY_EDITOR", "registry") as channel:
            stub = registry_pb2_grpc.RegistryServiceStub(channel)
            for at in range(0, len(wanted), _RESOURCES_A_CALL):
                some = wanted[at : at + _RESOURCES_A_CALL]
                await stub.ApplyResources(
                    ApplyResourcesRequest(command_id=str(uuid.uuid4()), resources=some), timeout=_CALL_SECONDS
                )

    async def other_rules(self) -> list[str]:
        """Rules for listed vehicles that hold everywhere, and so for what a run's devices read too."""
        found: list[str] = []
        async with self._sign_in("ROLE_REGISTRY_EDITOR", "registry") as channel:
            stub = registry_pb2_grpc.RegistryServiceStub(channel)
            request = ListResourcesRequest(kind="rule", page_size=_PAGE)
            while True:
                listed = await stub.ListResources(request, timeout=_CALL_SECONDS)
                found += [each.rule.rule_id for each in listed.resources if _holds_everywhere(each.rule)]
                if not listed.next_page_token:
                    return found
                request.page_token = listed.next_page_token

    async def secrets(self, device_ids: Sequence[str]) -> dict[str, str]:
        """A new secret for each device; the last one's is in force when this returns."""
        found: dict[str, str] = {}
        slots = asyncio.Semaphore(_ISSUED_AT_ONCE)
        async with self._sign_in("ROLE_REGISTRY_EDITOR", "registry") as channel:
            stub = registry_pb2_grpc.RegistryServiceStub(channel)

            async def one(device_id: str) -> None:
                async with slots:
                    request = IssueDeviceCredentialRequest(device_id=device_id)
                    found[device_id] = (
                        await stub.IssueDeviceCredential(request, timeout=_CALL_SECONDS)
                    ).secret
                if len(found) % 500 == 0:
                    self._tell(f"{len(found)} of {len(device_ids)} devices have their secrets")

            await asyncio.gather(*(one(device_id) for device_id in device_ids))
        await asyncio.sleep(ACTIVATION_LEAD_MS / 1_000 + 1)
        return found

    async def certificate(self, device_id: str, folder: Path, ca_file: Path) -> TlsSettings:
        """An edge server's certificate, written with its key into `folder`."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, device_id)])
        signing = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
        async with self._sign_in("ROLE_REGISTRY_EDITOR", "registry") as channel:
            issued = await registry_pb2_grpc.RegistryServiceStub(channel).IssueDeviceCertificate(
                IssueDeviceCertificateRequest(
                    device_id=device_id,
                    signing_request_pem=signing.public_bytes(serialization.Encoding.PEM).decode(),
                ),
                timeout=_CALL_SECONDS,
            )
        tls = TlsSettings(
            certificate_file=folder / f"{device_id}.pem",
            key_file=folder / f"{device_id}.key",
            ca_file=ca_file,
        )
        tls.certificate_file.write_text(issued.certificate_pem, encoding="utf-8")
        tls.key_file.touch(mode=0o600)
        tls.key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return tls

    async def list_vehicles(self, cast: Sequence[Listed], *, valid_ms: int) -> dict[str, int]:
        """Enters every entry, and another person approves those that are to be approved. Gives entry ids with
        the numbers of the cast, once all are in force or over."""
        entered_ms = now_ms()
        expiring_ms = _EXPIRING_MS + _EXPIRING_EACH_MS * len(cast)
        entry_ids: list[str] = []
        async with self._sign_in("ROLE_WATCHLIST_EDITOR", "watchlist") as channel:
            stub = watchlist_pb2_grpc.WatchlistServiceStub(channel)
            for at in range(0, len(cast), _ENTRIES_A_CALL):
                entries = [
                    _entry(each, entered_ms + (expiring_ms if _expires(each) else valid_ms))
                    for each in cast[at : at + _ENTRIES_A_CALL]
                ]
                request = ImportEntriesRequest(command_id=str(uuid.uuid4()), entries=entries)
                entry_ids += (await stub.ImportEntries(request, timeout=_CALL_SECONDS)).entry_ids
        ready_ms = entered_ms + expiring_ms
        async with self._sign_in("ROLE_WATCHLIST_APPROVER", "watchlist") as channel:
            stub = watchlist_pb2_grpc.WatchlistServiceStub(channel)
            # Those that are to expire first: they must be approved before they do.
            for listed, entry_id in sorted(
                zip(cast, entry_ids, strict=True),
                key=lambda pair: pair[0].role.standing is not Standing.EXPIRED,
            ):
                if listed.role.standing is Standing.NOT_APPROVED:
                    continue
                approval = ApproveEntryRequest(command_id=str(uuid.uuid4()), entry_id=entry_id)
                approved = await stub.ApproveEntry(approval, timeout=_CALL_SECONDS)
                ready_ms = max(ready_ms, approved.active_from_ms)
        await asyncio.sleep(max(0.0, (ready_ms - now_ms()) / 1_000 + 0.5))
        return {entry_id: listed.number for listed, entry_id in zip(cast, entry_ids, strict=True)}

    async def withdraw(self, entries: Mapping[str, int], cast: Sequence[Listed]) -> None:
        """Ends the run's entries, and with them their alerts, on every screen."""
        async with self._sign_in("ROLE_WATCHLIST_EDITOR", "watchlist") as channel:
            stub = watchlist_pb2_grpc.WatchlistServiceStub(channel)
            for entry_id, number in entries.items():
                if cast[number].role.standing is Standing.EXPIRED:
                    continue
                request = WithdrawEntryRequest(
                    command_id=str(uuid.uuid4()), entry_id=entry_id, reason="the simulation is over"
                )
                await stub.WithdrawEntry(request, timeout=_CALL_SECONDS)

    async def alerts(self, since_ms: int) -> list[Alert]:
        """All alerts, whatever became of them, with a sighting since `since_ms`."""
        found: list[Alert] = []
        statuses = [number for number in AlertStatus.values() if number]
        async with self._sign_in("ROLE_OPERATOR", "dispatch") as channel:
            stub = alert_pb2_grpc.DispatchServiceStub(channel)
            page = ""
            while True:
                request = ListAlertsRequest(page_size=_PAGE, page_token=page)
                request.statuses.extend(statuses)
                listed = await stub.ListAlerts(request, timeout=_CALL_SECONDS)
                found += [
                    alert
                    for alert in listed.alerts
                    if alert.sightings and alert.sightings[-1].received_time_ms >= since_ms
                ]
                page = listed.next_page_token
                if not page:
                    return found


def _holds_everywhere(rule: Rule) -> bool:
    return (
        rule.kind == RULE_KIND_WATCHLIST_HIT
        and rule.status == LIFE_STATUS_ACTIVE
        and not rule.zone_ids
        and not rule.device_ids
    )


def _expires(listed: Listed) -> bool:
    return listed.role.standing is Standing.EXPIRED


def _entry(listed: Listed, valid_until_ms: int) -> NewEntry:
    return NewEntry(
        category=listed.role.category,
        identifiers=[
            EntryIdentifier(kind=IDENTIFIER_KIND_PLATE, text=listed.plate, masks=list(listed.role.masks))
        ],
        case_number=f"SIM-{listed.number + 1}",
        legal_basis="simulation",
        issuing_authority="simulation desk",
        authority_contact="110",
        instruction=LocalizedText(
            chinese="模拟：核对车辆，不得拦截", english="Simulation: compare, stop nobody"
        ),
        valid_until_ms=valid_until_ms,
    )
