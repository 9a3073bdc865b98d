"""Persons at a running registry: signing in, locking out, two persons for a grant, revocation (S2, S6)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import grpc
import pytest
from registry_hub import PASSWORD, RunningRegistry, running_registry

from alerthub.api.v1 import access_pb2, audit_pb2, audit_pb2_grpc, registry_pb2, registry_pb2_grpc
from alerthub.domain.sign_in_addresses import ADDRESS_LIMIT
from alerthub.embedded.infrastructure import Infrastructure
from alerthub.grpc_client import certificate_channel, person_channel
from alerthub.identity import NotAuthenticatedError, RevocationEntry, RevocationList, TokenVerifier
from alerthub.settings import TlsSettings

Unique = Callable[[str], str]


@pytest.fixture(scope="module")
def registry(
    infrastructure: Infrastructure, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningRegistry]:
    yield from running_registry(infrastructure, tmp_path_factory.mktemp("registry"))


@pytest.fixture
def verifier(token_verification_key_file: Path) -> Callable[[str], TokenVerifier]:
    return lambda audience: TokenVerifier.from_file(token_verification_key_file, audience=audience)


async def new_account(
    registry: RunningRegistry,
    account: str,
    *roles: access_pb2.Role.ValueType,
    proposer: str = "editor",
    approver: str = "editor-2",
) -> str:
    """An account that two persons made; returns its first password."""
    proposal = await registry.call(
        "ProposeAccount",
        registry_pb2.ProposeAccountRequest(account=account, roles=roles or [access_pb2.ROLE_OFFICER]),
        as_account=proposer,
    )
    approved = await registry.call(
        "ApproveAccount",
        registry_pb2.ApproveAccountRequest(proposal_id=proposal.proposal_id),
        as_account=approver,
    )
    return str(approved.first_password)


async def refusal(awaitable: Awaitable[object]) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await awaitable
    return refused.value


async def is_refused(call: Awaitable[object]) -> bool:
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error.code() is grpc.StatusCode.UNAUTHENTICATED
    return False


async def test_the_right_password_gives_a_token_for_one_audience(
    registry: RunningRegistry, verifier: Callable[[str], TokenVerifier]
) -> None:
    before_ms = time.time() * 1000
    answer = await registry.sign_in("operator", audience="dispatch")
    caller = verifier("dispatch").verify(answer.token)
    assert caller.actor == "person:operator"
    assert caller.roles == {access_pb2.ROLE_OPERATOR}
    assert answer.expires_at_ms <= before_ms + 302_000
    with pytest.raises(NotAuthenticatedError):
        verifier("registry").verify(answer.token)


async def test_a_wrong_password_and_an_unknown_account_are_told_the_same(registry: RunningRegistry) -> None:
    wrong = await refusal(registry.sign_in("auditor", "not the password"))
    unknown = await refusal(registry.sign_in("nobody-of-ours", "not the password"))
    assert wrong.code() is grpc.StatusCode.UNAUTHENTICATED
    assert (wrong.code(), wrong.details()) == (unknown.code(), unknown.details())


async def test_an_account_is_locked_after_the_fifth_wrong_password(
    registry: RunningRegistry, unique: Unique
) -> None:
    account = unique("locked")
    password = await new_account(registry, account)
    for _ in range(4):
        await refusal(registry.sign_in(account, "wrong"))
    await registry.sign_in(account, password)
    # The right password began the count anew: five more.
    for _ in range(5):
        await refusal(registry.sign_in(account, "wrong"))
    locked = await refusal(registry.sign_in(account, password))
    assert locked.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_guesses_that_come_at_once_are_all_counted(registry: RunningRegistry, unique: Unique) -> None:
    account = unique("guessed")
    await new_account(registry, account)
    await asyncio.gather(*(refusal(registry.sign_in(account, "wrong")) for _ in range(12)))
    outcomes = registry.sql(
        "SELECT reason, count(*) FROM audit_entry WHERE subject = 'account:' || :'name'"
        " AND action = 'SignInRefused' GROUP BY reason ORDER BY reason",
        name=account,
    )
    assert outcomes.split() == ["locked|7", "wrong|5"], "the fifth locked it, the others were not looked at"


async def test_an_address_that_failed_at_many_accounts_waits_and_no_other_does(
    registry: RunningRegistry, tls_settings: Callable[[str], TlsSettings], unique: Unique
) -> None:
    account = unique("spared")
    password = await new_account(registry, account)
    async with certificate_channel(tls_settings("console"), registry.mutual_address) as channel:
        stub = registry_pb2_grpc.SessionServiceStub(channel)

        def tried(account: str, password: str, address: str) -> Awaitable[object]:
            return stub.OpenSession(
                registry_pb2.OpenSessionRequest(account=account, password=password, client_address=address),
                timeout=60,
            )

        async def guess(number: int) -> grpc.StatusCode:
            return (await refusal(tried(f"nobody-{number}", "Summer2026", "2001:db8::1"))).code()

        answers = set(await asyncio.gather(*map(guess, range(int(ADDRESS_LIMIT.burst)))))
        assert answers == {grpc.StatusCode.UNAUTHENTICATED}
        # Meanwhile a little of the allowance came back: one every three seconds.
        assert grpc.StatusCode.RESOURCE_EXHAUSTED in [await guess(number) for number in range(20)]
        kept_out = await refusal(tried(account, password, "2001:db8::2"))
        assert kept_out.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        await tried(account, password, "2001:db8:0:1::1")


async def test_an_account_needs_two_persons(registry: RunningRegistry, unique: Unique) -> None:
    account = unique("second")
    password = await new_account(registry, account, access_pb2.ROLE_OPERATOR)
    answer = await registry.sign_in(account, password)
    assert list(answer.roles) == [access_pb2.ROLE_OPERATOR]


async def test_who_proposed_an_account_does_not_approve_it(registry: RunningRegistry, unique: Unique) -> None:
    account = unique("alone")
    refused = await refusal(new_account(registry, account, approver="editor"))
    assert refused.code() is grpc.StatusCode.PERMISSION_DENIED
    assert (await refusal(registry.sign_in(account, "anything"))).code() is grpc.StatusCode.UNAUTHENTICATED


async def test_nobody_proposes_a_role_for_themselves(registry: RunningRegistry) -> None:
    request = registry_pb2.ProposeAccountRequest(account="editor", roles=[access_pb2.ROLE_SUPERVISOR])
    refused = await refusal(registry.call("ProposeAccount", request))
    assert refused.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_who_gains_a_role_does_not_approve_it(registry: RunningRegistry) -> None:
    request = registry_pb2.ProposeAccountRequest(account="editor-3", roles=[access_pb2.ROLE_SUPERVISOR])
    proposal = await registry.call("ProposeAccount", request)
    approval = registry_pb2.ApproveAccountRequest(proposal_id=proposal.proposal_id)
    refused = await refusal(registry.call("ApproveAccount", approval, as_account="editor-3"))
    assert refused.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_nobody_approves_with_an_account_that_they_made(
    registry: RunningRegistry, unique: Unique
) -> None:
    """editor and editor-2 made the puppet: either could be it, so neither gets its approval."""
    puppet, gainer = unique("puppet"), unique("gainer")
    password = await new_account(registry, puppet, access_pb2.ROLE_REGISTRY_EDITOR)
    registry.tokens[puppet, "registry"] = (
        (await registry.sign_in(puppet, password)).token,
        time.time() + 200,
    )
    for maker in ("editor", "editor-2"):
        refused = await refusal(new_account(registry, gainer, proposer=maker, approver=puppet))
        assert refused.code() is grpc.StatusCode.PERMISSION_DENIED
        refused = await refusal(new_account(registry, gainer, proposer=puppet, approver=maker))
        assert refused.code() is grpc.StatusCode.PERMISSION_DENIED
    assert await new_account(registry, gainer, proposer="editor-3", approver=puppet)


async def test_an_approved_proposal_is_not_approved_again(registry: RunningRegistry, unique: Unique) -> None:
    request = registry_pb2.ProposeAccountRequest(account=unique("once"), roles=[access_pb2.ROLE_OFFICER])
    proposal = await registry.call("ProposeAccount", request)
    approval = registry_pb2.ApproveAccountRequest(proposal_id=proposal.proposal_id)
    await registry.call("ApproveAccount", approval, as_account="editor-2")
    again = await refusal(registry.call("ApproveAccount", approval, as_account="editor-3"))
    assert again.code() is grpc.StatusCode.FAILED_PRECONDITION


async def test_a_revoked_account_is_refused_and_told_to_everyone_at_once(
    registry: RunningRegistry, unique: Unique
) -> None:
    account = unique("revoked")
    password = await new_account(registry, account, access_pb2.ROLE_REGISTRY_EDITOR)
    token = (await registry.sign_in(account, password)).token
    began = time.monotonic()
    request = registry_pb2.RevokeRequest(account=account, reason="left the service")
    await registry.call("Revoke", request, as_account="supervisor")

    value = await registry.published("revocations", f"account:{account}", 1)
    assert time.monotonic() - began < 2
    assert not registry_pb2.Revocation.FromString(value).reinstated
    assert (await refusal(registry.sign_in(account, password))).code() is grpc.StatusCode.UNAUTHENTICATED
    async with person_channel(registry.ca_file, registry.person_address, token) as channel:
        listing = registry_pb2_grpc.RegistryServiceStub(channel).ListResources
        async with asyncio.timeout(2):
            while not await is_refused(listing(registry_pb2.ListResourcesRequest(), timeout=5)):
                pass


async def test_two_persons_bring_a_revoked_account_back_with_a_new_password(
    registry: RunningRegistry, unique: Unique, verifier: Callable[[str], TokenVerifier]
) -> None:
    account = unique("back")
    first = await new_account(registry, account)
    old_token = (await registry.sign_in(account, first)).token
    await registry.call("Revoke", registry_pb2.RevokeRequest(account=account, reason="phone lost"))
    second = await new_account(registry, account)
    assert second != first
    assert (await refusal(registry.sign_in(account, first))).code() is grpc.StatusCode.UNAUTHENTICATED
    new_token = (await registry.sign_in(account, second)).token

    value = registry_pb2.Revocation.FromString(
        await registry.published("revocations", f"account:{account}", 2)
    )
    revocations = RevocationList()
    revocations.put(RevocationEntry(value.subject, value.version, value.revoked_at_ms, value.reinstated))
    assert revocations.is_revoked(verifier("registry").verify(old_token))
    assert not revocations.is_revoked(verifier("registry").verify(new_token))


async def test_s6_what_was_proposed_before_a_revocation_does_not_undo_it(
    registry: RunningRegistry, unique: Unique
) -> None:
    account = unique("undone")
    await new_account(registry, account)
    roles = [access_pb2.ROLE_OFFICER]
    proposed = await registry.call(
        "ProposeAccount", registry_pb2.ProposeAccountRequest(account=account, roles=roles)
    )
    await registry.call("Revoke", registry_pb2.RevokeRequest(account=account, reason="phone lost"))
    request = registry_pb2.ApproveAccountRequest(proposal_id=proposed.proposal_id)
    refused = await refusal(registry.call("ApproveAccount", request, as_account="editor-2"))
    assert refused.code() is grpc.StatusCode.FAILED_PRECONDITION


async def test_tokens_with_the_roles_of_before_end_when_roles_change(
    registry: RunningRegistry, unique: Unique
) -> None:
    account = unique("changed")
    await new_account(registry, account, access_pb2.ROLE_SUPERVISOR)
    assert await new_account(registry, account, access_pb2.ROLE_OPERATOR) == "", "it keeps its password"
    value = await registry.published("revocations", f"account:{account}", 1)
    assert registry_pb2.Revocation.FromString(value).reinstated


async def test_every_grant_and_sign_in_is_in_the_audit_log(registry: RunningRegistry, unique: Unique) -> None:
    account = unique("audited")
    password = await new_account(registry, account)
    await registry.sign_in(account, password)
    await refusal(registry.sign_in(account, "wrong"))
    await registry.call("Revoke", registry_pb2.RevokeRequest(account=account, reason="for the log"))
    async with registry.channel("auditor") as channel:
        export = audit_pb2_grpc.AuditServiceStub(channel).Export(audit_pb2.ExportRequest())
        rows = [row async for row in export if row.subject == f"account:{account}"]
    assert [(row.action, row.actor) for row in rows] == [
        ("AccountProposed", "person:editor"),
        ("AccountApproved", "person:editor-2"),
        ("SignedIn", f"person:{account}"),
        ("SignInRefused", f"person:{account}"),
        ("Revoked", "person:editor"),
    ]


async def test_no_password_is_kept_readable(registry: RunningRegistry) -> None:
    hashes = registry.sql("SELECT DISTINCT left(password_hash, 10) FROM account").split()
    assert hashes == ["$argon2id$"]
    assert PASSWORD not in registry.log_file.read_text()


def test_bootstrap_accounts_are_made_once(registry: RunningRegistry) -> None:
    count = registry.sql("SELECT count(*) FROM account WHERE bootstrap")
    registry.stop()
    registry.start()
    assert registry.sql("SELECT count(*) FROM account WHERE bootstrap") == count


def test_a_command_id_is_needed(registry: RunningRegistry) -> None:
    request = registry_pb2.ApplyResourcesRequest(command_id="not-a-uuid")
    refused = asyncio.run(refusal(registry.call("ApplyResources", request)))
    assert refused.code() is grpc.StatusCode.INVALID_ARGUMENT
