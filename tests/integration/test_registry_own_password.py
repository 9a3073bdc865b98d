"""A person chooses another password at a running registry."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import grpc
import pytest
from registry_hub import PASSWORD, RunningRegistry, running_registry

from alerthub.api.v1 import registry_pb2, registry_pb2_grpc
from alerthub.embedded.infrastructure import Infrastructure
from alerthub.grpc_client import certificate_channel, person_channel
from alerthub.identity import RevocationEntry, RevocationList, TokenVerifier
from alerthub.settings import TlsSettings

NEW = "a staple that nobody corrected"


@pytest.fixture(scope="module")
def registry(
    infrastructure: Infrastructure, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningRegistry]:
    yield from running_registry(infrastructure, tmp_path_factory.mktemp("registry"))


async def change(registry: RunningRegistry, account: str, *, old: str = PASSWORD, new: str = NEW) -> None:
    async with person_channel(registry.ca_file, registry.person_address) as channel:
        await registry_pb2_grpc.SessionServiceStub(channel).ChangePassword(
            registry_pb2.ChangePasswordRequest(account=account, old_password=old, new_password=new),
            timeout=20,
        )


async def code_of(awaitable: Awaitable[object]) -> grpc.StatusCode:
    try:
        await awaitable
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


async def test_the_new_password_works_and_the_old_one_does_not(registry: RunningRegistry) -> None:
    await change(registry, "operator")
    assert await code_of(registry.sign_in("operator", NEW)) is grpc.StatusCode.OK
    assert await code_of(registry.sign_in("operator", PASSWORD)) is grpc.StatusCode.UNAUTHENTICATED


async def test_who_does_not_know_the_old_password_changes_nothing(registry: RunningRegistry) -> None:
    assert await code_of(change(registry, "editor-3", old="a guess")) is grpc.StatusCode.UNAUTHENTICATED
    assert await code_of(registry.sign_in("editor-3", PASSWORD)) is grpc.StatusCode.OK


async def test_guesses_at_the_old_password_lock_the_account_as_at_signing_in(
    registry: RunningRegistry,
) -> None:
    for _ in range(5):
        await code_of(change(registry, "editor-2", old="a guess"))
    assert await code_of(change(registry, "editor-2")) is grpc.StatusCode.UNAUTHENTICATED


async def test_of_two_changes_at_once_the_second_no_longer_knows_the_password(
    registry: RunningRegistry,
) -> None:
    codes = await asyncio.gather(
        *(code_of(change(registry, "officer", new=f"{NEW} {number}")) for number in range(2))
    )
    assert sorted(codes, key=str) == [grpc.StatusCode.OK, grpc.StatusCode.UNAUTHENTICATED]


async def test_sessions_and_tokens_of_before_end(
    registry: RunningRegistry,
    tls_settings: Callable[[str], TlsSettings],
    token_verification_key_file: Path,
) -> None:
    token = (await registry.sign_in("supervisor")).token
    async with certificate_channel(tls_settings("console"), registry.mutual_address) as channel:
        console = registry_pb2_grpc.SessionServiceStub(channel)
        session = await console.OpenSession(
            registry_pb2.OpenSessionRequest(account="supervisor", password=PASSWORD), timeout=20
        )
        renewal = registry_pb2.RenewTokenRequest(session_secret=session.session_secret, audience="dispatch")
        assert await code_of(console.RenewToken(renewal, timeout=20)) is grpc.StatusCode.OK
        await change(registry, "supervisor")
        assert await code_of(console.RenewToken(renewal, timeout=20)) is grpc.StatusCode.UNAUTHENTICATED
    told = registry_pb2.Revocation.FromString(
        await registry.published("revocations", "account:supervisor", 1)
    )
    revocations = RevocationList()
    revocations.put(RevocationEntry(told.subject, told.version, told.revoked_at_ms, told.reinstated))
    verifier = TokenVerifier.from_file(token_verification_key_file, audience="registry")
    assert revocations.is_revoked(verifier.verify(token))


async def test_a_change_is_in_the_audit_log_and_no_password_is(registry: RunningRegistry) -> None:
    await change(registry, "auditor")
    rows = registry.sql(
        "SELECT actor FROM audit_entry WHERE subject = 'account:auditor' AND action = 'PasswordChanged'"
    )
    assert rows == "person:auditor"
    assert registry.sql("SELECT count(*) FROM audit_entry WHERE detail LIKE '%staple%'") == "0"
    assert NEW not in registry.log_file.read_text(encoding="utf-8")
