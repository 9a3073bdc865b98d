"""`alerthub import accounts`, `alerthub accounts list|approve-import|leave`: many persons' accounts by two
persons, and the end of one person's access."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from alerthub.api.v1 import access_pb2, registry_pb2
from alerthub.cli.apply import APPLY_SECONDS
from alerthub.cli.bulk import DryRun, Encoding, File, Output, Yes, exports, imports, write_text
from alerthub.cli.bulk_columns import LIST
from alerthub.cli.bulk_view import show_problems
from alerthub.cli.context import CALL_SECONDS, DEFAULT_DATA, AccountOption, DataOption, JsonOption, fail, run
from alerthub.cli.csv_table import Column, Problems, read_table, write_table
from alerthub.cli.identities import accounts
from alerthub.cli.registry_calls import OptionalAccount, call, registry
from alerthub.cli.role_words import ROLE_OF_WORD, word_of
from alerthub.domain.accounts import Grant, digest_of
from alerthub.domain.errors import Refuse
from alerthub.domain.texts import ROLES_IN_CHINESE

ACCOUNT = Column(("account", "账号", "帐号"), required=True)
ROLES = Column(("roles", "角色"), required=True)
STATE = Column(("state", "状态"))
COLUMNS = (ACCOUNT, ROLES, STATE)
_PAGE = 500

CHINESE_ROLES = {chinese: word_of(role) for role, chinese in ROLES_IN_CHINESE.items()}


def register(app: typer.Typer) -> None:
    """The commands are parts of `import`, `export` and `accounts`, which are added already."""


@dataclass(frozen=True, slots=True)
class Change:
    """What one line changes. `before` empty: the account is new."""

    grant: Grant
    before: tuple[str, ...]
    returns: bool

    @property
    def action(self) -> str:
        if self.returns:
            return "return"
        return "change" if self.before else "add"

    def __str__(self) -> str:
        now = _spoken(self.grant.roles)
        if self.returns:
            return f"! {self.grant.account}: RETURNS, had left: {now}"
        if self.before:
            return f"~ {self.grant.account}: {_spoken(self.before)} → {now}"
        return f"+ {self.grant.account}: {now}"


def _spoken(roles: Sequence[str]) -> str:
    return ", ".join(word_of(role) for role in roles)


@imports.command("accounts")
def import_accounts(
    file: File,
    *,
    dry_run: DryRun = False,
    yes: Yes = False,
    encoding: Encoding = "",
    account: OptionalAccount = "",
    data: DataOption = DEFAULT_DATA,
    as_json: JsonOption = False,
) -> None:
    """Propose accounts and changes of roles from a CSV file, for a second person to approve as a whole.

    Only what differs is proposed. Nobody is removed: see `alerthub accounts leave`.

    alerthub import accounts staff.csv --dry-run
    """
    if as_json and not (yes or dry_run):
        fail(Refuse("--json", "with --yes or --dry-run, since there is nobody to ask"), as_json=True)

    async def work() -> int:
        problems = Problems()
        wanted = read_grants(file, problems, encoding=encoding)
        async with registry(data, account) as stub:
            there = {each.account: each for each in await _list(stub)}
            if problems.count:
                return show_problems(problems, as_json=as_json)
            changes = changes_of(wanted, there)
            told: dict[str, Any] = {"ok": True, "proposed": False, "unchanged": len(wanted) - len(changes)}
            told["changes"] = [
                {"action": each.action, "account": each.grant.account, "roles": _spoken(each.grant.roles)}
                for each in changes
            ]
            if not as_json:
                _show(changes, len(wanted))
            if changes and not dry_run:
                if not yes and not typer.confirm("Propose?", err=True):
                    return 1
                told |= await _propose(stub, changes, as_json=as_json)
        if as_json:
            typer.echo(json.dumps(told, ensure_ascii=False))
        return 0

    raise typer.Exit(run(work(), as_json=as_json))


def read_grants(path: Path, problems: Problems, *, encoding: str = "") -> list[Grant]:
    """The file's accounts, each once. Lines of accounts that have left are passed over."""
    table = read_table(path, COLUMNS, problems, encoding=encoding)
    known = ROLE_OF_WORD | {chinese: ROLE_OF_WORD[word] for chinese, word in CHINESE_ROLES.items()}
    lines: dict[str, int] = {}
    grants = []
    for row in table.rows:
        name = row.get(ACCOUNT.name)
        roles = [role for role in LIST.split(row.get(ROLES.name)) if role]
        if any(role not in known for role in roles):
            problems.add(row.line, ROLES.title, row.get(ROLES.name), f"some of {', '.join(known)}")
            continue
        if row.get(STATE.name) not in ("", "active", "left"):
            problems.add(row.line, STATE.title, row.get(STATE.name), "active or left, or nothing")
            continue
        if name in lines:
            problems.add(row.line, ACCOUNT.title, None, f"each account once: it is on line {lines[name]} too")
            continue
        lines[name] = row.line
        if row.get(STATE.name) == "left" or row.line in problems.lines:
            continue
        grants.append(Grant(name, tuple(sorted({known[role] for role in roles}))))
    return grants


def changes_of(wanted: Sequence[Grant], there: dict[str, registry_pb2.ListedAccount]) -> list[Change]:
    """What differs from the accounts that there are."""
    changes = []
    for grant in wanted:
        known = there.get(grant.account)
        before = tuple(sorted(access_pb2.Role.Name(role) for role in known.roles)) if known else ()
        if known is None or known.revoked or before != grant.roles:
            changes.append(Change(grant, before, returns=known is not None and known.revoked))
    return changes


def _show(changes: Sequence[Change], whole: int) -> None:
    kinds = [change.action for change in changes]
    typer.echo(
        f"accounts: {kinds.count('add'):,} to add, {kinds.count('change'):,} to change, "
        f"{kinds.count('return'):,} to return, {whole - len(changes):,} as they are."
    )
    for each in changes:
        typer.echo(str(each))


async def _list(stub: Any) -> list[registry_pb2.ListedAccount]:
    found: list[registry_pb2.ListedAccount] = []
    request = registry_pb2.ListAccountsRequest(page_size=_PAGE)
    while True:
        answer = await stub.ListAccounts(request, timeout=CALL_SECONDS)
        found += answer.accounts
        if not answer.next_page_token:
            return found
        request.page_token = answer.next_page_token


async def _propose(stub: Any, changes: Sequence[Change], *, as_json: bool) -> dict[str, Any]:
    grants = [change.grant for change in changes]
    request = registry_pb2.ProposeAccountsRequest()
    for grant in grants:
        request.accounts.add(
            account=grant.account, roles=[access_pb2.Role.Value(name) for name in grant.roles]
        )
    answer = await stub.ProposeAccounts(request, timeout=APPLY_SECONDS)
    if answer.digest != digest_of(grants):
        raise Refuse("digest", "that of the file: the registry noted something else")
    if not as_json:
        typer.echo(f"Proposed as a whole. Digest: {answer.digest}")
        command = f"alerthub accounts approve-import {answer.import_id} --account THEIRS"
        typer.echo(f"A second person approves it: {command}")
    return {"proposed": True, "import": answer.import_id, "digest": answer.digest}


@accounts.command("approve-import")
def approve_import_command(
    import_id: Annotated[str, typer.Argument(help="What `alerthub import accounts` printed.")],
    *,
    digest: Annotated[
        str, typer.Option("--digest", help="The digest that you were given; needed with --yes.")
    ] = "",
    yes: Yes = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Otherwise DATA/accounts/IMPORT.csv.")
    ] = None,
    account: AccountOption,
    data: DataOption = DEFAULT_DATA,
    as_json: JsonOption = False,
) -> None:
    """Show what somebody else proposed, every line of it, and approve it as a whole.

    First passwords go into a file for your eyes, each as its account comes into force. Cut off in between,
    the same command goes on with the rest.
    """
    path = output or data / "accounts" / f"{password_file_name(import_id)}.csv"
    if yes and not digest:
        fail(Refuse("--digest", "that of the import, with --yes: nobody looks at the lines"), as_json=as_json)
    if as_json and not yes:
        fail(Refuse("--json", "with --yes and --digest, since there is nobody to ask"), as_json=True)

    async def work() -> int:
        async with registry(data, account) as stub:
            asked = registry_pb2.GetAccountImportRequest(import_id=import_id)
            found = await stub.GetAccountImport(asked, timeout=CALL_SECONDS)
            seen = digest_of(
                Grant(line.account, tuple(access_pb2.Role.Name(role) for role in line.roles))
                for line in found.lines
            )
            if digest and digest.lower() != seen:
                raise Refuse("--digest", "that of the import: this one has other lines")
            waiting = [line for line in found.lines if not line.approved]
            if not as_json:
                _show_import(found, waiting, seen)
            if not yes and not typer.confirm(f"Approve all {len(waiting)}?", err=True):
                return 1
            request = registry_pb2.ApproveAccountsRequest(import_id=import_id, digest=seen)
            new = await _approve(stub, request, path, quiet=as_json)
        if as_json:
            answer = {"ok": True, "approved": len(waiting), "passwords": new, "file": str(path)}
            typer.echo(json.dumps(answer))
        else:
            typer.echo(f"Approved. {new} first passwords are in {path}.")
        return 0

    raise typer.Exit(run(work(), as_json=as_json))


def _show_import(
    found: registry_pb2.GetAccountImportResponse,
    waiting: Sequence[registry_pb2.AccountImportLine],
    digest: str,
) -> None:
    typer.echo(f"Proposed by {found.proposed_by}: {len(found.lines)} accounts, {len(waiting)} wait.")
    for line in waiting:
        roles = tuple(access_pb2.Role.Name(role) for role in line.roles)
        before = tuple(access_pb2.Role.Name(role) for role in line.roles_now)
        typer.echo(str(Change(Grant(line.account, roles), before, returns=line.revoked)))
    typer.echo(f"Digest: {digest}")


async def _approve(
    stub: Any, request: registry_pb2.ApproveAccountsRequest, path: Path, *, quiet: bool
) -> int:
    """How many first passwords were written. Each is on the disk before the next account is asked for."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    except OSError as error:
        raise Refuse("--output", f"a file that can be written ({type(error).__name__})") from None
    os.fchmod(descriptor, 0o600)
    new = 0
    with os.fdopen(descriptor, "a", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        async for approved in stub.ApproveAccounts(request, timeout=APPLY_SECONDS):
            if approved.first_password:
                writer.writerow([approved.account, approved.first_password])
                file.flush()
                os.fsync(file.fileno())
                new += 1
            if not quiet and (approved.done % 25 == 0 or approved.done == approved.whole):
                typer.echo(f"{approved.done} of {approved.whole} in force", err=True)
    return new


def password_file_name(import_id: str) -> str:
    """What the file of an import's first passwords is called. Ends the command for what is no id."""
    if not import_id.isalnum():
        fail(Refuse("import", "the id of an import"))
    return import_id


@accounts.command("list")
def list_command(
    *, account: OptionalAccount = "", data: DataOption = DEFAULT_DATA, as_json: JsonOption = False
) -> None:
    """Show every account with its roles, and who has left."""

    async def work() -> list[registry_pb2.ListedAccount]:
        async with registry(data, account) as stub:
            return await _list(stub)

    found = run(work(), as_json=as_json)
    rows = [(each.account, _names(each), "left" if each.revoked else "active") for each in found]
    if as_json:
        names = ("account", "roles", "state")
        typer.echo(json.dumps({"ok": True, "accounts": [dict(zip(names, row, strict=True)) for row in rows]}))
        return
    for name, roles, state in rows:
        typer.echo(f"{name}  {roles}" + ("  (left)" if state == "left" else ""))


def _names(account: registry_pb2.ListedAccount) -> str:
    return _spoken([access_pb2.Role.Name(role) for role in account.roles])


@exports.command("accounts")
def export_accounts(
    *, output: Output = None, account: OptionalAccount = "", data: DataOption = DEFAULT_DATA
) -> None:
    """Write the accounts with their roles as `alerthub import accounts` reads them. No password is in it."""

    async def work() -> list[registry_pb2.ListedAccount]:
        async with registry(data, account) as stub:
            return await _list(stub)

    rows = [
        (each.account, _names(each).replace(",", ";"), "left" if each.revoked else "active")
        for each in run(work())
    ]
    write_text(write_table([column.name for column in COLUMNS], rows), output)


@accounts.command("leave")
def leave_command(
    person: Annotated[str, typer.Argument(help="The account of who leaves.")],
    *,
    reason: Annotated[str, typer.Option("--reason", help="Why; it goes into the audit log.")],
    account: OptionalAccount = "",
    data: DataOption = DEFAULT_DATA,
    as_json: JsonOption = False,
) -> None:
    """End everything that a person who leaves can do, everywhere and at once. Doing it again ends what has
    come since.

    Ends sign-in, sessions, tokens, and the stream of every terminal that they are signed on at; takes them
    off every shift from now on; ends what waits for approval by them or for them, and their enrolment codes.

    alerthub accounts leave li.wei --reason "retired"
    """

    async def work() -> registry_pb2.EndAccessResponse:
        request = registry_pb2.EndAccessRequest(account=person, reason=reason)
        answer: registry_pb2.EndAccessResponse = await call(data, account, "EndAccess", request)
        return answer

    ended = run(work(), as_json=as_json)
    if as_json:
        told = {
            "ok": True,
            "account_ended": ended.account_ended,
            "sessions": ended.sessions,
            "shifts": list(ended.shift_ids),
            "proposals": ended.proposals,
            "enrolment_codes": ended.enrolment_codes,
            "devices_with_a_known_secret": list(ended.device_ids),
        }
        typer.echo(json.dumps(told, ensure_ascii=False))
        return
    first = f"The access of {person} has ended" if ended.account_ended else f"{person} had left before"
    typer.echo(
        f"{first}: {ended.sessions} sessions, {len(ended.shift_ids)} shifts, {ended.proposals} proposals, "
        f"{ended.enrolment_codes} enrolment codes."
    )
    if ended.device_ids:
        typer.echo(f"Devices with a secret that {person} was shown; give each a new one:")
        for device in ended.device_ids:
            typer.echo(f"  alerthub devices secret {device}")
