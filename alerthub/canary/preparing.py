"""What persons do to set the canary up: one proposes, another approves, at the registry and at the watchlist.

Each step is one person's, through the API that people use, and writes its result into the set-up's folder.
Done again, a step renews what it made before.
"""

from __future__ import annotations

import uuid
from pathlib import Path

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from alerthub.activation import until_in_force
from alerthub.api.v1 import registry_pb2_grpc, watchlist_pb2_grpc
from alerthub.api.v1.access_pb2 import ROLE_OFFICER
from alerthub.api.v1.common_pb2 import IDENTIFIER_KIND_PLATE, LocalizedText
from alerthub.api.v1.registry_pb2 import (
    ApplyResourcesRequest,
    ApproveAccountRequest,
    CreateEnrolmentCodeRequest,
    IssueDeviceCertificateRequest,
    ProposeAccountRequest,
)
from alerthub.api.v1.watchlist_pb2 import (
    ApproveEntryRequest,
    EntryIdentifier,
    ImportEntriesRequest,
    NewEntry,
)
from alerthub.canary.resources import DAY_MS, device_ids, resources
from alerthub.canary.set_up import ACCOUNT, EDGE, TERMINAL, UNIT, SetUpFolder
from alerthub.domain.canary import CATEGORY, entries_needed, plate
from alerthub.domain.errors import Conflict, NotFound
from alerthub.embedded.folder import write_file
from alerthub.terminal.enrolment import enrol
from alerthub.terminal.headless import now_ms

_CALL_SECONDS = 30.0
DAYS = 90
"""As long as a terminal's certificate: everything is renewed together."""
_TERMINAL_FILES = ("terminal.key", "terminal.pem", "terminal.id", "unit.id", "authority.pem")


async def propose(
    channel: grpc.aio.Channel, folder: SetUpFolder, *, registry_address: str, ca_file: Path, days: int = DAYS
) -> None:
    """A registry editor: registers devices and unit, enrols both, and proposes the canary's account.

    `registry_address`: the registry's listener for persons, at which the terminal enrols. Raises what the
    registry says no with.
    """
    registry = registry_pb2_grpc.RegistryServiceStub(channel)
    valid_until_ms = now_ms() + days * DAY_MS
    request = ApplyResourcesRequest(
        command_id=str(uuid.uuid4()), resources=resources(now_ms=now_ms(), days=days, account=ACCOUNT)
    )
    applied = await registry.ApplyResources(request, timeout=_CALL_SECONDS)
    await until_in_force(applied.active_from_ms)
    folder.change(devices=device_ids(), valid_until_ms=valid_until_ms)
    for name in _TERMINAL_FILES:
        (folder.root / name).unlink(missing_ok=True)
    code = await registry.CreateEnrolmentCode(
        CreateEnrolmentCodeRequest(terminal_id=TERMINAL, unit_id=UNIT), timeout=_CALL_SECONDS
    )
    await enrol(code=code.code, registry_address=registry_address, ca_file=ca_file, folder=folder.root)
    await _certify(registry, folder)
    if not folder.password_file.exists():
        proposed = await registry.ProposeAccount(
            ProposeAccountRequest(account=ACCOUNT, roles=[ROLE_OFFICER]), timeout=_CALL_SECONDS
        )
        folder.change(proposal_id=proposed.proposal_id)


async def approve(channel: grpc.aio.Channel, folder: SetUpFolder) -> None:
    """Another registry editor: puts the account into force. Its password is for the canary alone.

    Raises Conflict where there is such an account already: nobody is told its password again.
    """
    known = folder.read()
    if folder.password_file.exists():
        return
    if not known.proposal_id:
        raise NotFound("account", "one that was proposed: alerthub canary propose")
    approved = await registry_pb2_grpc.RegistryServiceStub(channel).ApproveAccount(
        ApproveAccountRequest(proposal_id=known.proposal_id), timeout=_CALL_SECONDS
    )
    if not approved.first_password:
        raise Conflict(
            "account",
            f"{ACCOUNT} is there already: copy {folder.password_file.name} from the folder of the earlier"
            f" set-up; where it is lost: `alerthub accounts leave {ACCOUNT} --reason lost`; propose again",
        )
    write_file(folder.password_file, f"{approved.first_password}\n", mode=0o600)


async def list_plates(
    channel: grpc.aio.Channel, folder: SetUpFolder, *, gateways: int, every_seconds: float, days: int = DAYS
) -> None:
    """A watchlist editor: lists the canary's plates, enough for so many gateways."""
    lane = entries_needed(round(every_seconds * 1_000))
    valid_until_ms = now_ms() + days * DAY_MS
    added = await watchlist_pb2_grpc.WatchlistServiceStub(channel).ImportEntries(
        ImportEntriesRequest(
            command_id=str(uuid.uuid4()),
            entries=[_entry(number, valid_until_ms) for number in range(lane * gateways)],
        ),
        timeout=_CALL_SECONDS,
    )
    folder.change(lane=lane, entries=tuple(added.entry_ids), approved=False)


async def approve_plates(channel: grpc.aio.Channel, folder: SetUpFolder) -> None:
    """Another person who may approve entries: approves all of them, and waits until they are in force."""
    known = folder.read()
    if not known.entries:
        raise NotFound("plates", "plates that were listed: alerthub canary list-plates")
    stub = watchlist_pb2_grpc.WatchlistServiceStub(channel)
    active_from_ms = 0
    for entry_id in known.entries if not known.approved else ():
        # Always the same command for an entry, so that a run that was broken off goes on.
        command_id = str(uuid.uuid5(uuid.NAMESPACE_OID, f"approve {entry_id}"))
        approved = await stub.ApproveEntry(
            ApproveEntryRequest(command_id=command_id, entry_id=entry_id), timeout=_CALL_SECONDS
        )
        active_from_ms = max(active_from_ms, approved.active_from_ms)
    # The canary begins with what is written next: a read of before hits nothing.
    await until_in_force(active_from_ms)
    folder.change(approved=True)


async def _certify(registry: registry_pb2_grpc.RegistryServiceAsyncStub, folder: SetUpFolder) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, EDGE)])
    signing = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    issued = await registry.IssueDeviceCertificate(
        IssueDeviceCertificateRequest(
            device_id=EDGE,
            signing_request_pem=signing.public_bytes(serialization.Encoding.PEM).decode("ascii"),
        ),
        timeout=_CALL_SECONDS,
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_file(folder.edge.key_file, private.decode("ascii"), mode=0o600)
    write_file(folder.edge.certificate_file, issued.certificate_pem, mode=0o600)


def _entry(number: int, valid_until_ms: int) -> NewEntry:
    return NewEntry(
        category=CATEGORY,
        identifiers=[EntryIdentifier(kind=IDENTIFIER_KIND_PLATE, text=plate(number), masks=["exact"])],
        case_number="CANARY",
        legal_basis="operation of the hub",
        issuing_authority="Alert Hub",
        authority_contact="0000",
        instruction=LocalizedText(chinese="系统自检，无需处置", english="The hub's own: nothing to do"),
        valid_until_ms=valid_until_ms,
    )
