"""A real server with two listeners and real TLS on the loopback, for tests of what is around every RPC."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from core_authority import Authority

from alerthub.api.v1 import (
    access_pb2,
    alert_pb2,
    alert_pb2_grpc,
    patrol_pb2,
    patrol_pb2_grpc,
    registry_pb2,
    registry_pb2_grpc,
)
from alerthub.grpc import GrpcServer, certificate_channel, person_channel, serve
from alerthub.identity import (
    Caller,
    RevocationList,
    TokenSigner,
    current_caller,
)
from alerthub.settings import ServiceSettings


@dataclass
class Registry(registry_pb2_grpc.RegistryServiceServicer):
    """Answers what it is told to."""

    raises: BaseException | None = None
    waits_seconds: float = 0
    callers: list[Caller] = field(default_factory=list)

    async def ListResources(  # noqa: N802
        self, request: registry_pb2.ListResourcesRequest, context: Any
    ) -> registry_pb2.ListResourcesResponse:
        self.callers.append(current_caller())
        await asyncio.sleep(self.waits_seconds)
        if self.raises is not None:
            raise self.raises
        return registry_pb2.ListResourcesResponse(next_page_token="done")  # noqa: S106


@dataclass
class Session(registry_pb2_grpc.SessionServiceServicer):
    """Anyone may sign in."""

    async def SignIn(  # noqa: N802
        self, request: registry_pb2.SignInRequest, context: Any
    ) -> registry_pb2.SignInResponse:
        return registry_pb2.SignInResponse(token=current_caller().kind.value)


@dataclass
class Patrol(patrol_pb2_grpc.PatrolServiceServicer):
    """Echoes the command's id."""

    ended: asyncio.Event = field(default_factory=asyncio.Event)
    while_writing: Callable[[], None] | None = None
    floods: bool = False
    writes_itself: bool = False
    """In a task of its own, as push does."""
    written: int = 0

    # Or a coroutine that writes to the context, which grpc.aio takes as well.
    def Connect(  # type: ignore[override]  # noqa: N802
        self, requests: AsyncIterator[patrol_pb2.TerminalMessage], context: Any
    ) -> AsyncIterator[patrol_pb2.HubMessage] | Awaitable[None]:
        return self._written(requests, context) if self.writes_itself else self._echoes(requests)

    async def _written(self, requests: AsyncIterator[patrol_pb2.TerminalMessage], context: Any) -> None:
        async def write() -> None:
            async for message in self._echoes(requests):
                await context.write(message)

        writer = asyncio.create_task(write())
        try:
            await asyncio.wait({writer})
            writer.result()
        finally:
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)

    async def _echoes(
        self, requests: AsyncIterator[patrol_pb2.TerminalMessage]
    ) -> AsyncIterator[patrol_pb2.HubMessage]:
        try:
            async for message in requests:
                if self.while_writing is not None:
                    asyncio.get_running_loop().call_soon(self.while_writing)
                yield patrol_pb2.HubMessage(resume_token=message.command_id)
                while self.floods:
                    self.written += 1
                    yield patrol_pb2.HubMessage(resume_token="more" * 16_000)
        finally:
            self.ended.set()


class Watching(alert_pb2_grpc.DispatchServiceServicer):
    """A stream to a person that stays open."""

    async def WatchAlerts(  # noqa: N802
        self, request: alert_pb2.WatchAlertsRequest, context: Any
    ) -> AsyncIterator[alert_pb2.WatchAlertsResponse]:
        yield alert_pb2.WatchAlertsResponse()
        await asyncio.Event().wait()


@dataclass
class Hub:
    """A server with two listeners, and ways to call it."""

    authority: Authority
    settings: ServiceSettings
    signer: TokenSigner
    server: GrpcServer
    registry: Registry
    patrol: Patrol
    revocations: RevocationList
    channels: list[grpc.aio.Channel] = field(default_factory=list)

    def token(self, *roles: access_pb2.Role.ValueType, at_ms: int = 0, audience: str = "registry") -> str:
        signed, _ = self.signer.sign(
            account="li.wei", roles=roles, audience=audience, now_ms=at_ms or time.time_ns() // 1_000_000
        )
        return signed

    def as_person(self, token: str = "", *, on_mutual_port: bool = False) -> grpc.aio.Channel:
        port = self.server.grpc_port if on_mutual_port else self.server.person_port
        return self._kept(person_channel(self.settings.tls.ca_file, f"127.0.0.1:{port}", token))

    def as_certificate(self, *uris: str, authority: Authority | None = None) -> grpc.aio.Channel:
        tls = (authority or self.authority).issue(*uris, file_name=uuid.uuid4().hex)
        trusted = tls.model_copy(update={"ca_file": self.settings.tls.ca_file})
        return self._kept(certificate_channel(trusted, f"127.0.0.1:{self.server.grpc_port}"))

    def _kept(self, channel: grpc.aio.Channel) -> grpc.aio.Channel:
        self.channels.append(channel)
        return channel


@pytest.fixture(name="hub")
async def hub_fixture(tmp_path: Path) -> AsyncIterator[Hub]:
    authority = Authority.create(tmp_path)
    key, public_file = authority.token_keys()
    settings = ServiceSettings(
        tls=authority.issue("spiffe://alerthub/service/registry"), token_verification_key_file=public_file
    )
    revocations, patrol = RevocationList(), Patrol()
    registry = Registry()  # type: ignore[abstract]  # the rest is not called
    session = Session()  # type: ignore[abstract]  # the rest is not called
    watching = Watching()  # type: ignore[abstract]  # the rest is not called
    server = await serve(
        settings,
        [registry, session, patrol, watching],
        audience="registry",
        revocations=revocations,
        mutual_port=0,
        person_port=0,
    )
    made = Hub(authority, settings, TokenSigner(key), server, registry, patrol, revocations)
    yield made
    for channel in made.channels:
        await channel.close()
    await server.stop(0)


async def list_resources(
    channel: grpc.aio.Channel, *, kind: str = "", timeout: float | None = 5, metadata: Any = None
) -> registry_pb2.ListResourcesResponse:
    stub = registry_pb2_grpc.RegistryServiceStub(channel)
    request = registry_pb2.ListResourcesRequest(kind=kind)
    response: registry_pb2.ListResourcesResponse = await stub.ListResources(
        request, timeout=timeout, metadata=metadata
    )
    return response


async def refusal(channel: grpc.aio.Channel, **options: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await list_resources(channel, **options)
    return refused.value
