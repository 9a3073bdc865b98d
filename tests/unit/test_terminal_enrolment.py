"""How a terminal gets its certificate, and its officer a token."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509

from alerthub.api.v1 import registry_pb2_grpc
from alerthub.api.v1.registry_pb2 import (
    EnrolTerminalRequest,
    EnrolTerminalResponse,
    SignInRequest,
    SignInResponse,
)
from alerthub.domain.errors import Conflict, NotAllowed, NotFound, Retry
from alerthub.embedded.folder import HubFolder
from alerthub.provision import pki
from alerthub.terminal.enrolment import enrol, load_identity
from alerthub.terminal.session import RENEW_BEFORE_END_MS, RENEWAL_SPREAD_MS, OfficerSession, OfficerToken

CODE = "ABCD-EFGH"
NOW = 1_780_000_000_000


class Registry(registry_pb2_grpc.EnrolmentServiceServicer, registry_pb2_grpc.SessionServiceServicer):
    """The registry's side, in the test's hands."""

    def __init__(self, authority_pem: str) -> None:
        self.authority_pem = authority_pem
        self.requests: list[EnrolTerminalRequest] = []
        self.sign_ins: list[SignInRequest] = []
        self.life_ms = 300_000

    async def EnrolTerminal(self, request: EnrolTerminalRequest, context: Any) -> EnrolTerminalResponse:  # noqa: N802
        self.requests.append(request)
        if request.code != CODE:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "the code is unknown")
        return EnrolTerminalResponse(
            terminal_id="t1", unit_id="u1", certificate_pem="certificate", authority_pem=self.authority_pem
        )

    async def SignIn(self, request: SignInRequest, context: Any) -> SignInResponse:  # noqa: N802
        self.sign_ins.append(request)
        if request.password != "right":  # noqa: S105
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "account or password")
        return SignInResponse(token=f"token-{len(self.sign_ins)}", expires_at_ms=NOW + self.life_ms)


@dataclass
class Hub:
    registry: Registry
    address: str
    ca_file: Path
    now_ms: list[int] = field(default_factory=lambda: [NOW])

    def session(self, password: str = "right") -> OfficerSession:  # noqa: S107
        return OfficerSession(
            registry_address=self.address,
            ca_file=self.ca_file,
            account="li",
            password=password,
            now_ms=lambda: self.now_ms[0],
        )


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[Hub]:
    folder = HubFolder(tmp_path / "hub")
    folder.create()
    pki.ensure_pki(folder, now=pki.utc_now())
    tls = pki.tls_settings(folder, "registry")
    registry = Registry(folder.ca_file.read_text())  # type: ignore[abstract]  # nothing else is called
    server = grpc.aio.server()
    registry_pb2_grpc.add_EnrolmentServiceServicer_to_server(registry, server)
    registry_pb2_grpc.add_SessionServiceServicer_to_server(registry, server)
    credentials = grpc.ssl_server_credentials(
        [(tls.key_file.read_bytes(), tls.certificate_file.read_bytes())]
    )
    port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    yield Hub(registry, f"127.0.0.1:{port}", folder.ca_file)
    await server.stop(None)


async def _enrolled(hub: Hub, folder: Path, code: str = CODE) -> None:
    await enrol(code=code, registry_address=hub.address, ca_file=hub.ca_file, folder=folder)


def _modes(folder: Path) -> set[int]:
    return {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


async def test_a_code_becomes_a_terminal_whose_key_only_its_owner_reads(hub: Hub, tmp_path: Path) -> None:
    folder = tmp_path / "terminal"
    await _enrolled(hub, folder)
    identity = load_identity(folder)
    assert (identity.terminal_id, identity.unit_id) == ("t1", "u1")
    assert _modes(folder) == {0o600}


async def test_the_key_never_leaves_the_terminal(hub: Hub, tmp_path: Path) -> None:
    await _enrolled(hub, tmp_path / "terminal")
    (request,) = hub.registry.requests
    assert x509.load_pem_x509_csr(request.signing_request_pem.encode()).is_signature_valid
    assert "PRIVATE" not in request.signing_request_pem


async def test_a_wrong_code_enrols_nothing_and_a_right_one_then_does(hub: Hub, tmp_path: Path) -> None:
    folder = tmp_path / "terminal"
    with pytest.raises(NotAllowed, match="one-time code"):
        await _enrolled(hub, folder, "WRONG")
    with pytest.raises(NotFound):
        load_identity(folder)
    await _enrolled(hub, folder)
    first, second = (
        x509.load_pem_x509_csr(request.signing_request_pem.encode()) for request in hub.registry.requests
    )
    assert first.public_key() == second.public_key()


async def test_an_enrolled_terminal_is_not_enrolled_over(hub: Hub, tmp_path: Path) -> None:
    await _enrolled(hub, tmp_path / "terminal")
    with pytest.raises(Conflict, match="without an enrolled terminal"):
        await _enrolled(hub, tmp_path / "terminal")
    assert len(hub.registry.requests) == 1


async def test_a_server_of_another_authority_learns_no_code(hub: Hub, tmp_path: Path) -> None:
    other = HubFolder(tmp_path / "other")
    other.create()
    pki.ensure_pki(other, now=pki.utc_now())
    with pytest.raises(Retry):
        await enrol(
            code=CODE, registry_address=hub.address, ca_file=other.ca_file, folder=tmp_path / "terminal"
        )
    assert hub.registry.requests == []


async def test_a_token_is_for_push_and_is_used_until_it_is_time_to_renew(hub: Hub) -> None:
    session = hub.session()
    first = await session.token()
    hub.now_ms[0] = NOW + 300_000 - RENEW_BEFORE_END_MS - RENEWAL_SPREAD_MS
    assert await session.token() == first
    hub.now_ms[0] = NOW + 300_000 - RENEW_BEFORE_END_MS
    assert (await session.token()).text == "token-2"
    assert {each.audience for each in hub.registry.sign_ins} == {"push"}


async def test_two_who_ask_at_once_sign_in_once(hub: Hub) -> None:
    session = hub.session()
    await asyncio.gather(session.token(), session.token())
    assert len(hub.registry.sign_ins) == 1


async def test_a_token_that_the_hub_did_not_take_is_not_used_again(hub: Hub) -> None:
    session = hub.session()
    session.discard(await session.token())
    assert (await session.token()).text == "token-2"


async def test_a_wrong_password_is_refused_and_not_tried_again(hub: Hub) -> None:
    with pytest.raises(NotAllowed, match="account"):
        await hub.session("wrong").token()
    assert len(hub.registry.sign_ins) == 1


async def test_an_unreachable_registry_is_worth_another_try(hub: Hub) -> None:
    hub.address = "127.0.0.1:1"
    with pytest.raises(Retry):
        await hub.session().token()


def test_no_token_is_in_what_a_log_would_show() -> None:
    assert "secret" not in repr(OfficerToken("secret", NOW))
