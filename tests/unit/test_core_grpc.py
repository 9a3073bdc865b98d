"""Around every RPC: who may call, what is valid, what errors tell (S2, S5). A real server and real TLS on the
loopback.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from core_authority import Authority
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from alerthub import grpc_interceptor
from alerthub.api.v1 import (
    access_pb2,
    alert_pb2,
    alert_pb2_grpc,
    patrol_pb2,
    patrol_pb2_grpc,
    registry_pb2,
    registry_pb2_grpc,
)
from alerthub.api.v1.access_pb2 import ROLE_OPERATOR, ROLE_REGISTRY_EDITOR
from alerthub.domain.errors import (
    AlertHubError,
    Conflict,
    DeadLetter,
    NotAllowed,
    NotFound,
    Refuse,
    Retry,
    TooOften,
)
from alerthub.grpc import GrpcServer, certificate_channel, person_channel, serve
from alerthub.grpc_errors import error_of, field_violations
from alerthub.identity import (
    Caller,
    CallerKind,
    RevocationEntry,
    RevocationList,
    TokenSigner,
    caller_of_certificate,
    current_caller,
)
from alerthub.settings import ServiceSettings

CANARY = "冀RA8HK52"


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
    written: int = 0

    async def Connect(  # noqa: N802
        self, requests: AsyncIterator[patrol_pb2.TerminalMessage], context: Any
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


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[Hub]:
    authority = Authority.create(tmp_path)
    key, public_file = authority.token_keys()
    settings = ServiceSettings(
        tls=authority.issue("spiffe://alerthub/service/registry"), token_verification_key_file=public_file
    )
    revocations, registry, patrol = RevocationList(), Registry(), Patrol()
    server = await serve(
        settings,
        [registry, Session(), patrol, Watching()],
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


async def test_a_person_with_the_role_is_let_in(hub: Hub) -> None:
    await list_resources(hub.as_person(hub.token(ROLE_OPERATOR)))
    assert [(caller.kind, caller.name) for caller in hub.registry.callers] == [(CallerKind.PERSON, "li.wei")]


async def test_a_person_without_the_role_is_told_who_may(hub: Hub) -> None:
    refused = await refusal(hub.as_person(hub.token(access_pb2.ROLE_OFFICER)))
    assert refused.code() is grpc.StatusCode.PERMISSION_DENIED
    assert "ROLE_OPERATOR" in str(refused.details())
    assert not hub.registry.callers


@pytest.mark.parametrize(
    "metadata",
    [
        (),
        (("x-account", "li.wei"), ("x-roles", "ROLE_OPERATOR")),
        (("authorization", "Basic bGkud2VpOng="),),
        (("authorization", "Bearer nonsense"),),
        (("authorization", "Bearer"),),
    ],
    ids=["nothing", "claims in metadata", "basic", "nonsense", "empty"],
)
async def test_a_person_is_known_by_a_signed_token_only(hub: Hub, metadata: Any) -> None:
    refused = await refusal(hub.as_person(), metadata=metadata)
    assert refused.code() is grpc.StatusCode.UNAUTHENTICATED
    assert not hub.registry.callers


async def test_two_tokens_are_none(hub: Hub) -> None:
    token = ("authorization", f"Bearer {hub.token(ROLE_OPERATOR)}")
    refused = await refusal(hub.as_person(), metadata=(token, token))
    assert refused.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_a_token_for_another_audience_is_refused(hub: Hub) -> None:
    refused = await refusal(hub.as_person(hub.token(ROLE_OPERATOR, audience="dispatch")))
    assert refused.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_a_token_does_not_count_on_the_listener_for_certificates(hub: Hub) -> None:
    channel = hub.as_certificate("spiffe://alerthub/service/push")
    token = (("authorization", f"Bearer {hub.token(ROLE_OPERATOR)}"),)
    refused = await refusal(channel, metadata=token)
    assert refused.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_the_listener_for_certificates_wants_one(hub: Hub) -> None:
    refused = await refusal(hub.as_person(hub.token(ROLE_OPERATOR), on_mutual_port=True))
    assert refused.code() is grpc.StatusCode.UNAVAILABLE
    assert not hub.registry.callers


async def test_a_certificate_of_another_authority_is_refused(hub: Hub, tmp_path: Path) -> None:
    stranger = Authority.create(tmp_path / "stranger")
    refused = await refusal(hub.as_certificate("spiffe://alerthub/service/push", authority=stranger))
    assert refused.code() is grpc.StatusCode.UNAVAILABLE
    assert not hub.registry.callers


async def test_a_certificate_with_two_identities_is_refused(hub: Hub) -> None:
    refused = await refusal(
        hub.as_certificate("spiffe://alerthub/terminal/T1", "spiffe://alerthub/service/push")
    )
    assert refused.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_anyone_may_sign_in_even_with_an_old_token(hub: Hub) -> None:
    old = hub.token(ROLE_OPERATOR, at_ms=time.time_ns() // 1_000_000 - 3_600_000)
    stub = registry_pb2_grpc.SessionServiceStub(hub.as_person(old))
    request = registry_pb2.SignInRequest(account="a", password="b", audience="registry")  # noqa: S106
    assert (await stub.SignIn(request, timeout=5)).token == "anonymous"  # noqa: S105


async def test_an_invalid_request_names_the_field_and_never_the_value(hub: Hub) -> None:
    refused = await refusal(hub.as_person(hub.token(ROLE_OPERATOR)), kind=CANARY * 5)
    assert refused.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert [violation.field for violation in field_violations(refused)] == ["kind"]
    assert CANARY not in repr(refused)
    assert not hub.registry.callers


@pytest.mark.parametrize(
    ("raised", "code", "back"),
    [
        (Refuse("plate", "a plate"), grpc.StatusCode.INVALID_ARGUMENT, Refuse),
        (NotFound("entry", "an entry"), grpc.StatusCode.NOT_FOUND, NotFound),
        (NotAllowed("approver", "another person"), grpc.StatusCode.PERMISSION_DENIED, NotAllowed),
        (Conflict("entry", "active"), grpc.StatusCode.FAILED_PRECONDITION, Conflict),
        (Retry("Kafka does not answer"), grpc.StatusCode.UNAVAILABLE, Retry),
        (TooOften("too many", after_seconds=9), grpc.StatusCode.RESOURCE_EXHAUSTED, TooOften),
        (DeadLetter("not an event"), grpc.StatusCode.INVALID_ARGUMENT, Refuse),
    ],
)
async def test_an_error_keeps_its_meaning_over_the_wire(
    hub: Hub, raised: AlertHubError, code: grpc.StatusCode, back: type[AlertHubError]
) -> None:
    hub.registry.raises = raised
    refused = await refusal(hub.as_person(hub.token(ROLE_OPERATOR)))
    assert refused.code() is code
    found = error_of(refused)
    assert type(found) is back
    if isinstance(raised, Refuse) and isinstance(found, Refuse):
        assert (found.field, found.expected) == (raised.field, raised.expected)


async def test_an_unexpected_error_tells_nothing(hub: Hub) -> None:
    hub.registry.raises = ValueError(CANARY)
    refused = await refusal(hub.as_person(hub.token(ROLE_OPERATOR)))
    assert refused.code() is grpc.StatusCode.INTERNAL
    assert CANARY not in repr(refused)


async def test_a_call_without_a_deadline_gets_one(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alerthub.grpc_interceptor.DEFAULT_DEADLINE_SECONDS", 0.05)
    hub.registry.waits_seconds = 30
    refused = await refusal(hub.as_person(hub.token(ROLE_OPERATOR)), timeout=None)
    assert refused.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_a_message_above_the_limit_is_refused_whatever_the_client_is(hub: Hub) -> None:
    credentials = grpc.composite_channel_credentials(
        grpc.ssl_channel_credentials((hub.authority.folder / "ca.pem").read_bytes()),
        grpc.access_token_call_credentials(hub.token(ROLE_OPERATOR)),
    )
    address = f"127.0.0.1:{hub.server.person_port}"
    async with grpc.aio.secure_channel(address, credentials) as channel:
        refused = await refusal(channel, kind="x" * (4 * 1024 * 1024 + 1))
    assert refused.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_persons_stream_ends_with_the_token(hub: Hub) -> None:
    nearly_over = hub.token(ROLE_OPERATOR, at_ms=time.time_ns() // 1_000_000 - 299_000)
    stub = alert_pb2_grpc.DispatchServiceStub(hub.as_person(nearly_over))
    stream = stub.WatchAlerts(alert_pb2.WatchAlertsRequest())
    await stream.read()
    async with asyncio.timeout(3):
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await stream.read()
    assert ended.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert "sign in again" in str(ended.value.details())


def terminal_message() -> patrol_pb2.TerminalMessage:
    accept = patrol_pb2.AcceptAssignment(alert_id="a", assignment_id="b")
    return patrol_pb2.TerminalMessage(command_id=str(uuid.uuid4()), accept=accept)


async def open_stream(hub: Hub) -> Any:
    channel = hub.as_certificate("spiffe://alerthub/terminal/T1")
    call = patrol_pb2_grpc.PatrolServiceStub(channel).Connect()
    await call.write(terminal_message())
    await call.read()
    return call


async def test_every_message_of_a_stream_is_validated(hub: Hub) -> None:
    call = await open_stream(hub)
    await call.write(patrol_pb2.TerminalMessage(command_id=CANARY))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call.read()
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "command_id" in str(refused.value.details())
    assert CANARY not in repr(refused.value)


@pytest.mark.parametrize("subject", ["terminal:T1", "certificate"])
async def test_a_revocation_ends_open_streams_within_two_seconds(hub: Hub, subject: str) -> None:
    hub.registry.callers.clear()
    call = await open_stream(hub)
    if subject == "certificate":
        found = [path for path in hub.authority.folder.glob("*.pem") if len(path.stem) == 32]
        subject = f"certificate:{fingerprint(found[0])}"
    hub.revocations.put(RevocationEntry(subject, 1, 0))
    async with asyncio.timeout(2):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call.read()
        await hub.patrol.ended.wait()
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_a_revocation_while_a_message_is_written_is_told_after_it(hub: Hub) -> None:
    hub.patrol.while_writing = lambda: hub.revocations.put(RevocationEntry("terminal:T1", 1, 0))
    call = await open_stream(hub)
    async with asyncio.timeout(2):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call.read()
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_a_revoked_terminal_that_does_not_read_is_cut(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grpc_interceptor, "LAST_WRITE_SECONDS", 0.05)
    hub.patrol.floods = True
    await open_stream(hub)
    await full(hub.patrol)
    hub.revocations.put(RevocationEntry("terminal:T1", 1, 0))
    async with asyncio.timeout(2):
        await hub.patrol.ended.wait()


async def full(patrol: Patrol) -> None:
    """Until nothing more fits between server and client, so that a write waits."""
    before = -1
    while patrol.written != before:
        before = patrol.written
        await asyncio.sleep(0.05)


def fingerprint(path: Path) -> str:
    return caller_of_certificate(path.read_bytes()).certificate_fingerprint


async def test_another_terminals_revocation_leaves_the_stream_open(hub: Hub) -> None:
    call = await open_stream(hub)
    hub.revocations.put(RevocationEntry("terminal:T2", 1, 0))
    message = terminal_message()
    await call.write(message)
    assert (await call.read()).resume_token == message.command_id


async def test_a_revoked_terminal_cannot_connect_again(hub: Hub) -> None:
    hub.revocations.put(RevocationEntry("terminal:T1", 1, 0))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await open_stream(hub)
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_a_revoked_account_is_refused(hub: Hub) -> None:
    channel = hub.as_person(hub.token(ROLE_OPERATOR))
    await list_resources(channel)
    hub.revocations.put(RevocationEntry("account:li.wei", 1, time.time_ns() // 1_000_000))
    assert (await refusal(channel)).code() is grpc.StatusCode.UNAUTHENTICATED


async def test_health_is_for_anyone_and_follows_the_service(hub: Hub) -> None:
    stub = health_pb2_grpc.HealthStub(hub.as_person())
    request = health_pb2.HealthCheckRequest(service="alerthub.api.v1.RegistryService")
    assert (await stub.Check(request, timeout=5)).status == health_pb2.HealthCheckResponse.SERVING
    await hub.server.set_serving(False)
    assert (await stub.Check(request, timeout=5)).status == health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.mark.parametrize("with_token", [True, False])
async def test_reflection_is_for_persons_who_signed_in(hub: Hub, with_token: bool) -> None:
    channel = hub.as_person(hub.token(ROLE_REGISTRY_EDITOR) if with_token else "")
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    call = stub.ServerReflectionInfo(
        iter([reflection_pb2.ServerReflectionRequest(list_services="")]), timeout=5
    )
    if not with_token:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call.read()
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
        return
    names = {service.name for service in (await call.read()).list_services_response.service}
    assert "alerthub.api.v1.RegistryService" in names
