"""Accounts by the hundred through two persons, and the end of one person's access, at a running registry."""

from __future__ import annotations

import asyncio
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest
from registry_city import device, jurisdiction, shift, unit
from registry_hub import PASSWORD, RunningRegistry, command_line, data_folder, running_registry
from typer.testing import Result

from alerthub.api.v1 import access_pb2, audit_pb2, audit_pb2_grpc, registry_pb2, registry_pb2_grpc
from alerthub.cli import account_imports, bulk, identities
from alerthub.domain.accounts import Grant, digest_of
from alerthub.embedded.infrastructure import Infrastructure
from alerthub.grpc_client import certificate_channel
from alerthub.settings import TlsSettings

Unique = Callable[[str], str]
Run = Callable[..., Result]
Tls = Callable[[str], TlsSettings]
OFFICER = access_pb2.ROLE_OFFICER


@pytest.fixture(scope="module")
def registry(
    infrastructure: Infrastructure, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningRegistry]:
    yield from running_registry(infrastructure, tmp_path_factory.mktemp("registry"))


@pytest.fixture(scope="module")
def data(registry: RunningRegistry, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return data_folder(registry, tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def run(data: Path) -> Run:
    return command_line(data, identities.register, bulk.register, account_imports.register)


def grants(*names: str, role: access_pb2.Role.ValueType = OFFICER) -> registry_pb2.ProposeAccountsRequest:
    return registry_pb2.ProposeAccountsRequest(
        accounts=[registry_pb2.AccountGrant(account=name, roles=[role]) for name in names]
    )


async def approve(
    registry: RunningRegistry, import_id: str, digest: str, *, as_account: str = "editor-2", most: int = 99
) -> dict[str, str]:
    """First passwords by account, of at most so many accounts before the caller goes away."""
    passwords: dict[str, str] = {}
    async with registry.channel(as_account) as channel:
        request = registry_pb2.ApproveAccountsRequest(import_id=import_id, digest=digest)
        call = registry_pb2_grpc.RegistryServiceStub(channel).ApproveAccounts(request, timeout=280)
        async for approved in call:
            passwords[approved.account] = approved.first_password
            if len(passwords) == most:
                break
        call.cancel()
    return passwords


async def refused(call: object) -> grpc.StatusCode:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call  # type: ignore[misc]
    return error.value.code()


async def made(registry: RunningRegistry, name: str, role: access_pb2.Role.ValueType = OFFICER) -> str:
    answer = await registry.call("ProposeAccounts", grants(name, role=role))
    return (await approve(registry, answer.import_id, answer.digest))[name]


def test_a_file_of_accounts_is_proposed_by_one_and_approved_as_a_whole_by_another(
    run: Run, unique: Unique, tmp_path: Path, data: Path
) -> None:
    first, second = unique("li"), unique("wang")
    file = tmp_path / "staff.csv"
    file.write_text(f"账号,角色\n{first},警员\n{second},接警员;值班长\n", encoding="utf-8")
    look = run("import", "accounts", str(file), "--dry-run")
    assert look.exit_code == 0
    assert "accounts: 2 to add, 0 to change, 0 to return, 0 as they are." in look.stdout
    assert f"+ {second}: operator, supervisor" in look.stdout

    proposed = run("import", "accounts", str(file), "--yes")
    import_id = proposed.stdout.split("approve-import ")[1].split()[0]
    digest = proposed.stdout.split("Digest: ")[1].split()[0]
    alone = run("accounts", "approve-import", import_id, "--account", "editor", answer="y\n")
    assert (alone.exit_code, "S6" in alone.output) == (2, True)
    other = run(
        "accounts", "approve-import", import_id, "--account", "editor-2", "--digest", "0" * 64, "--yes"
    )
    assert other.exit_code == 2

    shown = run(
        "accounts", "approve-import", import_id, "--account", "editor-2", "--digest", digest, answer="y\n"
    )
    assert (shown.exit_code, f"+ {first}: officer" in shown.stdout) == (0, True)
    passwords = data / "accounts" / f"{import_id}.csv"
    assert stat.S_IMODE(passwords.stat().st_mode) == 0o600
    assert [line.split(",")[0] for line in passwords.read_text().splitlines()] == sorted([first, second])
    again = run("import", "accounts", str(file), "--yes")
    assert "accounts: 0 to add, 0 to change, 0 to return, 2 as they are." in again.stdout


def test_what_was_exported_imports_as_it_is(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "exported.csv"
    assert run("export", "accounts", "-o", str(file)).exit_code == 0
    look = run("import", "accounts", str(file), "--dry-run", "--json", "--account", "editor")
    assert '"changes": []' in look.stdout


async def test_s6_a_whole_that_holds_one_line_for_its_approver_is_not_approved_at_all(
    registry: RunningRegistry, unique: Unique
) -> None:
    name = unique("zhao")
    answer = await registry.call("ProposeAccounts", grants(name, "editor-2"))
    assert (
        await refused(approve(registry, answer.import_id, answer.digest)) is grpc.StatusCode.PERMISSION_DENIED
    )
    assert registry.sql("SELECT count(*) FROM account WHERE account = :'name'", name=name) == "0"
    assert await refused(registry.call("ProposeAccounts", grants(name, "editor"))) is (
        grpc.StatusCode.PERMISSION_DENIED
    )


async def test_s6_nothing_but_what_the_digest_names_is_approved(
    registry: RunningRegistry, unique: Unique
) -> None:
    name = unique("zhao")
    answer = await registry.call("ProposeAccounts", grants(name))
    another = digest_of([Grant(name, ("ROLE_SUPERVISOR",))])
    assert await refused(approve(registry, answer.import_id, another)) is grpc.StatusCode.FAILED_PRECONDITION


async def test_an_approval_that_was_cut_off_goes_on_where_it_ended(
    registry: RunningRegistry, unique: Unique
) -> None:
    names = [unique("sun") for _ in range(6)]
    answer = await registry.call("ProposeAccounts", grants(*names))
    assert (await registry.call("ProposeAccounts", grants(*names))).import_id == answer.import_id
    told = await approve(registry, answer.import_id, answer.digest, most=2)
    told |= await approve(registry, answer.import_id, answer.digest)
    assert len(told) >= len(names) - 2, "what was in force when the caller went away is not told again"
    in_force = registry.sql(
        "SELECT count(*) FROM account_proposal AS p JOIN account AS a USING (account)"
        " WHERE p.import_id = :'import' AND a.proposal_id = p.proposal_id",
        **{"import": answer.import_id},
    )
    assert in_force == "6"


async def test_who_leaves_is_out_everywhere_with_one_command(
    registry: RunningRegistry, run: Run, unique: Unique, tls_settings: Tls
) -> None:
    person, other, city, patrol = unique("leaver"), unique("friend"), unique("city"), unique("patrol")
    password = await made(registry, person, access_pb2.ROLE_REGISTRY_EDITOR)
    registry.tokens.pop((person, "registry"), None)
    token = await registry.token(person, password=password)
    registry.tokens[person, "registry"] = (token, time.time() + 200)
    early, late, past = f"{patrol}-early", f"{patrol}-late", f"{patrol}-past"
    hour = 3_600_000
    now = time.time_ns() // 1_000_000
    await registry.apply(
        jurisdiction(city),
        unit(patrol, city),
        device(f"{city}-cam", city),
        shift(early, patrol, person, "wang.fang"),
        shift(late, patrol, person, from_ms=now + 9 * hour, until_ms=now + 17 * hour),
        shift(past, patrol, person, from_ms=now - 9 * hour, until_ms=now - hour),
    )
    issued = registry_pb2.IssueDeviceCredentialRequest(device_id=f"{city}-cam")
    await registry.call("IssueDeviceCredential", issued, as_account=person)
    code = registry_pb2.CreateEnrolmentCodeRequest(terminal_id=unique("t"), unit_id=patrol)
    await registry.call("CreateEnrolmentCode", code, as_account=person)
    by_them = await registry.call("ProposeAccounts", grants(other), as_account=person)
    for_them = await registry.call("ProposeAccounts", grants(person, role=access_pb2.ROLE_SUPERVISOR))
    async with certificate_channel(tls_settings("console"), registry.mutual_address) as channel:
        opened = registry_pb2.OpenSessionRequest(account=person, password=password)
        await registry_pb2_grpc.SessionServiceStub(channel).OpenSession(opened, timeout=20)

    left = await asyncio.to_thread(
        run, "accounts", "leave", person, "--reason", "retired", "--account", "supervisor"
    )
    assert left.exit_code == 0
    assert "has ended: 1 sessions, 2 shifts, 2 proposals, 1 enrolment codes." in left.stdout
    assert f"alerthub devices secret {city}-cam" in left.stdout

    assert await refused(registry.sign_in(person, password)) is grpc.StatusCode.UNAUTHENTICATED
    began = time.monotonic()
    listing = registry_pb2.ListResourcesRequest()
    while await still_answered(registry, listing, person):
        assert time.monotonic() - began < 2, "S2: a token of before is dead within two seconds"
    published = registry_pb2.Unit.FromString(await registry.published("units", patrol, 2))
    officers = {each.shift_id: list(each.officers) for each in published.shifts}
    assert officers == {early: ["wang.fang"], late: [], past: [person]}
    for proposed in (by_them, for_them):
        third = approve(registry, proposed.import_id, proposed.digest, as_account="editor-3")
        assert await refused(third) is grpc.StatusCode.FAILED_PRECONDITION

    again = await asyncio.to_thread(run, "accounts", "leave", person, "--reason", "retired")
    assert f"{person} had left before: 0 sessions, 0 shifts, 0 proposals, 0 enrolment codes." in again.stdout
    async with registry.channel("auditor") as channel:
        export = audit_pb2_grpc.AuditServiceStub(channel).Export(audit_pb2.ExportRequest())
        rows = [
            row async for row in export if row.action == "AccessEnded" and row.subject == f"account:{person}"
        ]
    assert [(row.actor, row.reason) for row in rows] == [("person:supervisor", "retired")]


async def still_answered(
    registry: RunningRegistry, request: registry_pb2.ListResourcesRequest, person: str
) -> bool:
    try:
        await registry.call("ListResources", request, as_account=person)
    except grpc.aio.AioRpcError as error:
        if error.code() is not grpc.StatusCode.UNAUTHENTICATED:
            raise
        return False
    return True


async def test_only_who_exists_leaves(registry: RunningRegistry) -> None:
    nobody = registry_pb2.EndAccessRequest(account="nobody", reason="left")
    assert await refused(registry.call("EndAccess", nobody)) is grpc.StatusCode.NOT_FOUND
    assert PASSWORD not in registry.log_file.read_text(encoding="utf-8")
