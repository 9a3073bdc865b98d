"""What push's integration tests share: the real service, enrolled terminals, and what they receive."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from dispatch_support import OFFICER, Hub, command, eventually, now_ms, unit, values_of

from alerthub.api.v1 import access_pb2, patrol_pb2, patrol_pb2_grpc, registry_pb2
from alerthub.grpc_client import certificate_channel
from alerthub.identity import CallerKind, TokenSigner
from alerthub.settings import TlsSettings
from services.push.service import Service, build
from services.push.settings import PushSettings
from services.registry.certificates import CertificateAuthority


@dataclass
class PushHub:
    """A running push and terminals for it."""

    service: Service
    settings: PushSettings
    signer: TokenSigner
    authority: CertificateAuthority
    folder: Path
    terminals: list[TestTerminal] = field(default_factory=list)

    def token(
        self,
        account: str,
        *roles: access_pb2.Role.ValueType,
        audience: str = "push",
        at_ms: int | None = None,
    ) -> str:
        return self.signer.sign(
            account=account, roles=roles or (OFFICER,), audience=audience, now_ms=at_ms or now_ms()
        )[0]

    def enrolled(self, terminal_id: str, unit_id: str) -> TlsSettings:
        """The files of a terminal that the registry enrolled for this unit."""
        key = ec.generate_private_key(ec.SECP256R1())
        request = (
            x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
        )
        issued = self.authority.issue(
            request.public_bytes(Encoding.PEM).decode(),
            kind=CallerKind.TERMINAL,
            name=terminal_id,
            unit_id=unit_id,
            days=1,
            now_ms=now_ms(),
        )
        certificate_file = self.folder / f"{terminal_id}.pem"
        key_file = self.folder / f"{terminal_id}.key"
        certificate_file.write_text(issued.pem)
        key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return TlsSettings(
            certificate_file=certificate_file, key_file=key_file, ca_file=self.settings.tls.ca_file
        )

    def terminal(self, terminal_id: str, unit_id: str) -> TestTerminal:
        assert self.service.grpc is not None
        terminal = TestTerminal(
            self.enrolled(terminal_id, unit_id), f"127.0.0.1:{self.service.grpc.grpc_port}"
        )
        self.terminals.append(terminal)
        return terminal


class TestTerminal:
    """A terminal as the wire sees it."""

    __test__ = False

    def __init__(self, tls: TlsSettings, address: str) -> None:
        self._channel = certificate_channel(tls, address)
        self._stub = patrol_pb2_grpc.PatrolServiceStub(self._channel)
        self.stream: Any = None
        self.resume_token = ""

    def open(self) -> None:
        """Begins a stream without a word."""
        self.stream = self._stub.Connect()

    async def connect(self, officer_token: str, resume_token: str = "") -> patrol_pb2.HubMessage:
        """Signs on; returns the first message."""
        self.open()
        await self.send(sign_on=patrol_pb2.SignOn(officer_token=officer_token, resume_token=resume_token))
        return await self.read()

    async def send(self, command_id: str = "", **message: Any) -> str:
        command_id = command_id or command()
        await self.stream.write(
            patrol_pb2.TerminalMessage(command_id=command_id, time_ms=now_ms(), **message)
        )
        return command_id

    async def read(self, within: float = 10.0) -> patrol_pb2.HubMessage:
        async with asyncio.timeout(within):
            message = await self.stream.read()
        assert isinstance(message, patrol_pb2.HubMessage), "the stream ended"
        self.resume_token = message.resume_token or self.resume_token
        return message

    async def until(
        self, wanted: Callable[[patrol_pb2.HubMessage], bool], within: float = 10.0
    ) -> patrol_pb2.HubMessage:
        """Reads until a message is as wanted."""
        async with asyncio.timeout(within):
            while True:
                message = await self.read(within)
                if wanted(message):
                    return message

    async def alert(
        self, wanted: Callable[[patrol_pb2.AlertPush], bool] = lambda _: True, within: float = 10.0
    ) -> patrol_pb2.AlertPush:
        return (
            await self.until(
                lambda message: message.WhichOneof("message") == "alert" and wanted(message.alert), within
            )
        ).alert

    async def answer(self, command_id: str, within: float = 10.0) -> patrol_pb2.CommandAnswer:
        return (await self.until(lambda message: message.answer.command_id == command_id, within)).answer

    async def caught_up(self) -> None:
        await self.until(lambda message: message.WhichOneof("message") == "heartbeat")

    async def nothing_but_heartbeats(self, count: int) -> None:
        """The next `count` heartbeats come, and no alert before them."""
        for _ in range(count):
            message = await self.read()
            assert message.WhichOneof("message") == "heartbeat", message.WhichOneof("message")

    async def ended(self, within: float = 10.0) -> grpc.aio.AioRpcError:
        """The error with which the stream ends."""
        async with asyncio.timeout(within):
            while True:
                try:
                    message = await self.stream.read()
                except grpc.aio.AioRpcError as error:
                    return error
                assert message is not grpc.aio.EOF, "the stream ended without an error"

    async def close(self) -> None:
        if self.stream is not None:
            self.stream.cancel()
        await self._channel.close()


@asynccontextmanager
async def running_push(
    *,
    folder: Path,
    environment: Callable[..., dict[str, str]],
    signing_key_file: Path,
    authority_key_file: Path,
    port: int,
    dispatch: str,
    watchlist: str = "127.0.0.1:1",
    **changed: object,
) -> AsyncIterator[PushHub]:
    settings = PushSettings.model_validate(
        values_of(environment("push"))
        | {
            "grpc_port": port,
            "addresses": {"dispatch": dispatch, "watchlist": watchlist},
            "instance": uuid.uuid4().hex[:8],
            "heartbeat_seconds": 0.5,
            **changed,
        }
    )
    service = build(settings)
    hub = PushHub(
        service,
        settings,
        TokenSigner.from_file(signing_key_file),
        CertificateAuthority.from_files(settings.tls.ca_file, authority_key_file),
        folder,
    )
    try:
        await service.start()
        yield hub
    finally:
        for terminal in hub.terminals:
            await terminal.close()
        await service.stop()


@pytest.fixture(name="push")
async def push_fixture(
    *,
    hub: Hub,
    tmp_path: Path,
    service_environment: Callable[..., dict[str, str]],
    token_signing_key_file: Path,
    authority_key_file: Path,
    free_port: Callable[[], int],
) -> AsyncIterator[PushHub]:
    assert hub.service.grpc is not None
    async with running_push(
        folder=tmp_path,
        environment=service_environment,
        signing_key_file=token_signing_key_file,
        authority_key_file=authority_key_file,
        port=free_port(),
        dispatch=f"127.0.0.1:{hub.service.grpc.grpc_port}",
        evidence_wait_ms=0,
    ) as push:
        yield push


@pytest.fixture(name="car")
async def car_fixture(hub: Hub, push: PushHub, unique: Callable[[str], str]) -> str:
    """A unit on shift, known to dispatch and push."""
    unit_id = unique("car")
    await known_units(hub, push, unit(unit_id, jurisdiction=unit_id))
    return unit_id


async def known_units(hub: Hub, push: PushHub, *units: registry_pb2.Unit) -> None:
    await hub.units(*units)

    async def known() -> bool:
        return all(push.service.units.get(each.unit_id, now_ms()) is not None for each in units)

    await eventually(known)


async def connected(push: PushHub, terminal_id: str, unit_id: str) -> TestTerminal:
    terminal = push.terminal(terminal_id, unit_id)
    welcome = await terminal.connect(push.token("wang"))
    assert welcome.welcome.unit_id == unit_id
    await terminal.caught_up()
    return terminal
