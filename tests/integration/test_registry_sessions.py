"""Sessions at a browser, as the registry keeps them: tokens for the console alone, and no longer than they
may live (docs/adr/0010)."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from registry_hub import PASSWORD, RunningRegistry, running_registry

from alerthub.api.v1 import access_pb2, registry_pb2, registry_pb2_grpc
from alerthub.embedded.infrastructure import Infrastructure
from alerthub.grpc_client import certificate_channel, person_channel
from alerthub.identity import TokenVerifier
from alerthub.settings import TlsSettings

Tls = Callable[[str], TlsSettings]


@pytest.fixture(scope="module")
def registry(
    infrastructure: Infrastructure, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningRegistry]:
    yield from running_registry(infrastructure, tmp_path_factory.mktemp("registry"))


@asynccontextmanager
async def sessions_as(
    registry: RunningRegistry, tls_settings: Tls, service: str = "console"
) -> AsyncIterator[registry_pb2_grpc.SessionServiceAsyncStub]:
    async with certificate_channel(tls_settings(service), registry.mutual_address) as channel:
        yield registry_pb2_grpc.SessionServiceStub(channel)


async def opened(
    sessions: registry_pb2_grpc.SessionServiceAsyncStub, account: str = "operator"
) -> registry_pb2.OpenSessionResponse:
    return await sessions.OpenSession(
        registry_pb2.OpenSessionRequest(account=account, password=PASSWORD), timeout=20
    )


async def renewed(
    sessions: registry_pb2_grpc.SessionServiceAsyncStub, secret: str, audience: str = "dispatch"
) -> registry_pb2.RenewTokenResponse:
    return await sessions.RenewToken(
        registry_pb2.RenewTokenRequest(session_secret=secret, audience=audience), timeout=20
    )


async def code_of(call: Awaitable[object]) -> grpc.StatusCode:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    return refused.value.code()


async def test_a_session_gives_tokens_of_five_minutes_for_one_service_each(
    registry: RunningRegistry, tls_settings: Tls, token_verification_key_file: Path
) -> None:
    async with sessions_as(registry, tls_settings) as sessions:
        session = await opened(sessions)
        answer = await renewed(sessions, session.session_secret)
    caller = TokenVerifier.from_file(token_verification_key_file, audience="dispatch").verify(answer.token)
    assert caller.actor == "person:operator"
    assert caller.roles == {access_pb2.ROLE_OPERATOR}
    assert list(session.roles) == list(answer.roles) == [access_pb2.ROLE_OPERATOR]
    assert session.expires_at_ms - session.opened_at_ms == 12 * 3_600_000


async def test_the_database_has_a_hash_and_not_the_secret(
    registry: RunningRegistry, tls_settings: Tls
) -> None:
    async with sessions_as(registry, tls_settings) as sessions:
        secret = (await opened(sessions)).session_secret
    kept = registry.sql("SELECT encode(secret_sha256, 'hex') FROM person_session")
    assert hashlib.sha256(secret.encode()).hexdigest() in kept.split()
    assert secret not in registry.sql("SELECT * FROM audit_entry") + registry.log_file.read_text()


@pytest.mark.parametrize("service", ["gateway", "correlator", "dispatch", "push", "watchlist", "registry"])
async def test_s2_no_other_service_opens_a_session_or_gets_a_token_by_one(
    registry: RunningRegistry, tls_settings: Tls, service: str
) -> None:
    async with sessions_as(registry, tls_settings) as sessions:
        secret = (await opened(sessions)).session_secret
    async with sessions_as(registry, tls_settings, service) as sessions:
        assert await code_of(opened(sessions)) is grpc.StatusCode.PERMISSION_DENIED
        assert await code_of(renewed(sessions, secret)) is grpc.StatusCode.PERMISSION_DENIED


async def test_s2_nobody_gets_a_token_by_a_session_at_the_persons_port(
    registry: RunningRegistry, tls_settings: Tls
) -> None:
    async with sessions_as(registry, tls_settings) as sessions:
        secret = (await opened(sessions, "supervisor")).session_secret
    token = await registry.token("supervisor")
    async with person_channel(registry.ca_file, registry.person_address, token) as channel:
        stub: registry_pb2_grpc.SessionServiceAsyncStub = registry_pb2_grpc.SessionServiceStub(channel)
        assert await code_of(renewed(stub, secret)) is grpc.StatusCode.PERMISSION_DENIED


async def test_a_wrong_password_opens_nothing_and_counts(
    registry: RunningRegistry, tls_settings: Tls
) -> None:
    wrong = registry_pb2.OpenSessionRequest(account="officer", password="wrong")  # noqa: S106
    async with sessions_as(registry, tls_settings) as sessions:
        for _ in range(5):
            assert await code_of(sessions.OpenSession(wrong, timeout=20)) is grpc.StatusCode.UNAUTHENTICATED
        locked = await code_of(opened(sessions, "officer"))
    assert locked is grpc.StatusCode.UNAUTHENTICATED


async def test_a_closed_session_gives_no_token(registry: RunningRegistry, tls_settings: Tls) -> None:
    async with sessions_as(registry, tls_settings) as sessions:
        secret = (await opened(sessions)).session_secret
        for _ in range(2):
            await sessions.CloseSession(registry_pb2.CloseSessionRequest(session_secret=secret), timeout=20)
        assert await code_of(renewed(sessions, secret)) is grpc.StatusCode.UNAUTHENTICATED
        unknown = await code_of(renewed(sessions, "A" * 43))
    assert unknown is grpc.StatusCode.UNAUTHENTICATED
    assert registry.sql("SELECT count(*) FROM audit_entry WHERE action = 'SignedOut'") == "1"


@pytest.mark.parametrize(
    "aged",
    [
        # Twelve hours ago, and used ever since.
        "opened_at_ms = opened_at_ms - 43200000, expires_at_ms = expires_at_ms - 43200000",
        # Not used for 40 minutes.
        "renewed_at_ms = renewed_at_ms - 2400000",
    ],
)
async def test_a_session_that_has_had_its_time_gives_no_token(
    registry: RunningRegistry, tls_settings: Tls, aged: str
) -> None:
    async with sessions_as(registry, tls_settings) as sessions:
        secret = (await opened(sessions)).session_secret
        await renewed(sessions, secret)
        digest = hashlib.sha256(secret.encode()).hexdigest()
        registry.sql(
            f"UPDATE person_session SET {aged} WHERE encode(secret_sha256, 'hex') = '{digest}'"  # noqa: S608
        )
        assert await code_of(renewed(sessions, secret)) is grpc.StatusCode.UNAUTHENTICATED


async def test_the_database_gives_no_session_more_than_twelve_hours(
    registry: RunningRegistry, tls_settings: Tls
) -> None:
    async with sessions_as(registry, tls_settings) as sessions:
        await opened(sessions)
    with pytest.raises(Exception, match="person_session_lives_twelve_hours"):
        registry.sql("UPDATE person_session SET expires_at_ms = expires_at_ms + 1")


async def test_s2_a_revoked_account_and_other_roles_end_what_was_opened_before(
    registry: RunningRegistry, tls_settings: Tls
) -> None:
    async with sessions_as(registry, tls_settings) as sessions:
        first = (await opened(sessions, "auditor")).session_secret
        await registry.call("Revoke", registry_pb2.RevokeRequest(account="auditor", reason="left"))
        assert await code_of(renewed(sessions, first)) is grpc.StatusCode.UNAUTHENTICATED

        second = (await opened(sessions, "operator")).session_secret
        proposed = await registry.call(
            "ProposeAccount",
            registry_pb2.ProposeAccountRequest(account="operator", roles=[access_pb2.ROLE_SUPERVISOR]),
        )
        await registry.call(
            "ApproveAccount",
            registry_pb2.ApproveAccountRequest(proposal_id=proposed.proposal_id),
            as_account="editor-2",
        )
        assert await code_of(renewed(sessions, second)) is grpc.StatusCode.UNAUTHENTICATED
        # A millisecond later the account signs in anew, with the roles of now.
        await asyncio.sleep(0.01)
        third = await opened(sessions, "operator")
        answer = await renewed(sessions, third.session_secret)
    assert list(answer.roles) == [access_pb2.ROLE_SUPERVISOR]
