"""`alerthub watchlist`: entries are entered by one person, approved by another, withdrawn, listed."""

from __future__ import annotations

import json
import sys
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from alerthub.api.v1 import common_pb2, watchlist_pb2, watchlist_pb2_grpc
from alerthub.cli.context import (
    CALL_SECONDS,
    DEFAULT_DATA,
    DataOption,
    JsonOption,
    first_account,
    run,
    signed_in,
)
from alerthub.cli.watchlist_documents import kind_of, read_entries, valid_until_ms
from alerthub.domain.errors import Refuse

IMPORT_SIZE = 500
"""Entries of one request; each request is all or nothing."""
EDITOR, APPROVER = "ROLE_WATCHLIST_EDITOR", "ROLE_WATCHLIST_APPROVER"
LISTERS = (EDITOR, APPROVER, "ROLE_SUPERVISOR", "ROLE_AUDITOR")

AccountOption = Annotated[
    str,
    typer.Option(
        "--account",
        envvar="ALERTHUB_ACCOUNT",
        help="Who you are; otherwise the first account of the data folder's accounts.json that may do it.",
    ),
]

_watchlist = typer.Typer(
    no_args_is_help=True,
    help="The watchlist: one person enters, another approves. Identifiers are never shown again.",
)


def register(app: typer.Typer) -> None:
    """Adds `watchlist add|approve|withdraw|list|categories`."""
    app.add_typer(_watchlist, name="watchlist")


@_watchlist.command("add")
def add(
    *,
    identifier: Annotated[
        str,
        typer.Argument(
            help="The plate, document number or tag; - reads it from standard input. Left out, you are asked"
            " (an argument stays in the shell's history)."
        ),
    ] = "",
    identifier_file: Annotated[
        Path | None, typer.Option(help="A file whose first line is the identifier.")
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option("--file", "-f", help="YAML with one entry a document, instead of everything else."),
    ] = None,
    category: Annotated[str, typer.Option(help="See `alerthub watchlist categories`.")] = "stolen_vehicle",
    kind: Annotated[str, typer.Option(help="plate, document or tag.")] = "plate",
    mask: Annotated[
        list[str] | None,
        typer.Option(
            help="exact (default), confusable, no-province or a wildcard such as 1110111. Repeatable."
        ),
    ] = None,
    case_number: Annotated[str, typer.Option(help="The case that it belongs to.")] = "",
    legal_basis: Annotated[str, typer.Option(help="What allows it.")] = "",
    authority: Annotated[str, typer.Option(help="Who issued it.")] = "",
    contact: Annotated[str, typer.Option(help="The authority's number that is answered at any hour.")] = "",
    instruction_zh: Annotated[str, typer.Option(help="What the officer is to do, in Chinese.")] = "",
    instruction_en: Annotated[str, typer.Option(help="The same in English.")] = "",
    valid_days: Annotated[str, typer.Option(help="How long it is valid, in days from now.")] = "",
    valid_until: Annotated[str, typer.Option(help="Or until when: 2026-12-31T00:00:00+08:00.")] = "",
    account: AccountOption = "",
    data: DataOption = DEFAULT_DATA,
    as_json: JsonOption = False,
) -> None:
    """Enter an entry, or all of a file. It matches nothing until somebody else approves it.

    Examples:

    alerthub watchlist add --case-number A-2026-17 --legal-basis "CPL 117" --authority "Traffic police"
    --contact 0311-5550100 --instruction-zh 拦下车辆 --instruction-en "Stop the vehicle" --valid-days 30

    echo 冀RA8HK5 | alerthub watchlist add - --mask exact --mask confusable --case-number ...

    alerthub watchlist add -f entries.yaml --json
    """

    async def work() -> list[str]:
        if file is not None:
            entries = read_entries(file)
            if not entries:
                raise Refuse("--file", "at least one document")
        else:
            entries = [
                watchlist_pb2.NewEntry(
                    category=category,
                    identifiers=[
                        watchlist_pb2.EntryIdentifier(
                            kind=kind_of(kind, field="--kind"),
                            text=_identifier(identifier, identifier_file),
                            masks=mask or [],
                        )
                    ],
                    case_number=case_number,
                    legal_basis=legal_basis,
                    issuing_authority=authority,
                    authority_contact=contact,
                    instruction=common_pb2.LocalizedText(chinese=instruction_zh, english=instruction_en),
                    valid_until_ms=valid_until_ms(days=valid_days, until=valid_until, field="--valid-days"),
                )
            ]
        async with _service(data, account, EDITOR) as stub:
            return await _add(stub, entries)

    entry_ids = run(work(), as_json=as_json)
    if as_json:
        _print({"ok": True, "entry_ids": entry_ids})
    else:
        for entry_id in entry_ids:
            typer.echo(entry_id)
        typer.echo(
            f"{len(entry_ids)} entered; another person approves: alerthub watchlist approve ID...", err=True
        )


async def _add(stub: Any, entries: Sequence[watchlist_pb2.NewEntry]) -> list[str]:
    if len(entries) == 1:
        request = watchlist_pb2.AddEntryRequest(command_id=str(uuid.uuid4()), entry=entries[0])
        return [(await stub.AddEntry(request, timeout=CALL_SECONDS)).entry_id]
    entry_ids: list[str] = []
    for start in range(0, len(entries), IMPORT_SIZE):
        part = watchlist_pb2.ImportEntriesRequest(
            command_id=str(uuid.uuid4()), entries=entries[start : start + IMPORT_SIZE]
        )
        entry_ids += (await stub.ImportEntries(part, timeout=CALL_SECONDS * 4)).entry_ids
    return entry_ids


def _identifier(argument: str, path: Path | None) -> str:
    """From the argument, a file, standard input or a question: an argument is seen by other users and
    kept."""
    if path is not None:
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            raise Refuse("--identifier-file", "a file in UTF-8 that can be read") from None
    elif argument == "-" or (not argument and not sys.stdin.isatty()):
        text = sys.stdin.readline(1024)
    elif argument:
        text = argument
    else:
        text = str(typer.prompt("Identifier", hide_input=True, err=True))
    lines = text.splitlines()
    if not lines or not lines[0].strip():
        raise Refuse("identifier", "a plate, a document number or a tag")
    return lines[0].strip()


@_watchlist.command("approve")
def approve(
    *,
    entry_ids: Annotated[list[str], typer.Argument(help="Ids of entries that somebody else entered.")],
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Return when they match.")] = True,
    account: AccountOption = "",
    data: DataOption = DEFAULT_DATA,
    as_json: JsonOption = False,
) -> None:
    """Approve entries that another person entered; from a second later reads match.

    Example: alerthub watchlist approve 019e3c5b6f1a9c0e4d7b2a31f
    """

    async def work() -> list[dict[str, object]]:
        done: list[dict[str, object]] = []
        async with _service(data, account, APPROVER) as stub:
            for entry_id in entry_ids:
                request = watchlist_pb2.ApproveEntryRequest(command_id=str(uuid.uuid4()), entry_id=entry_id)
                answer = await stub.ApproveEntry(request, timeout=CALL_SECONDS)
                done.append({"entry_id": entry_id, "active_from_ms": answer.active_from_ms})
        return done

    done = run(work(), as_json=as_json)
    if wait:
        latest = max(int(str(each["active_from_ms"])) for each in done)
        time.sleep(max(0.0, latest / 1000 - time.time()))
    if as_json:
        _print({"ok": True, "entries": done})
    else:
        for each in done:
            typer.echo(f"{each['entry_id']} matches from {_time(int(str(each['active_from_ms'])))}")


@_watchlist.command("withdraw")
def withdraw(
    *,
    entry_id: Annotated[str, typer.Argument(help="The entry's id.")],
    reason: Annotated[str, typer.Option(help="Why; kept in the audit log.")],
    account: AccountOption = "",
    data: DataOption = DEFAULT_DATA,
    as_json: JsonOption = False,
) -> None:
    """Withdraw an entry at once; its open alerts are cancelled everywhere.

    Example: alerthub watchlist withdraw 019e3c5b6f1a9c0e4d7b2a31f --reason "vehicle returned"
    """

    async def work() -> int:
        async with _service(data, account, EDITOR) as stub:
            request = watchlist_pb2.WithdrawEntryRequest(
                command_id=str(uuid.uuid4()), entry_id=entry_id, reason=reason
            )
            return int((await stub.WithdrawEntry(request, timeout=CALL_SECONDS)).withdrawn_at_ms)

    withdrawn_at_ms = run(work(), as_json=as_json)
    if as_json:
        _print({"ok": True, "entry_id": entry_id, "withdrawn_at_ms": withdrawn_at_ms})
    else:
        typer.echo(f"{entry_id} withdrawn at {_time(withdrawn_at_ms)}")


@_watchlist.command("list")
def list_entries(
    *,
    status: Annotated[str, typer.Option(help="proposed, active, withdrawn or expired; default: all.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many.")] = 200,
    account: AccountOption = "",
    data: DataOption = DEFAULT_DATA,
    as_json: JsonOption = False,
) -> None:
    """List entries: everything but their identifiers, which are seen through alerts only.

    Example: alerthub watchlist list --status proposed
    """

    async def work() -> list[watchlist_pb2.EntrySummary]:
        request = watchlist_pb2.ListEntriesRequest(status=_status(status), page_size=min(limit, 1000))
        found: list[watchlist_pb2.EntrySummary] = []
        async with _service(data, account, *LISTERS) as stub:
            while len(found) < limit:
                page = await stub.ListEntries(request, timeout=CALL_SECONDS)
                found += page.entries
                request.page_token = page.next_page_token
                if not page.next_page_token:
                    break
        return found[:limit]

    entries = run(work(), as_json=as_json)
    if as_json:
        _print({"ok": True, "entries": [_as_json(entry) for entry in entries]})
        return
    table = Table("entry", "status", "category", "case", "valid until", "entered by", "approved by")
    for entry in entries:
        table.add_row(
            entry.entry_id,
            _status_name(entry.status),
            entry.category + (" (person)" if entry.names_person else ""),
            entry.case_number,
            _time(entry.valid_until_ms),
            entry.entered_by,
            entry.approved_by,
        )
    Console().print(table)


@_watchlist.command("categories")
def categories(
    *, account: AccountOption = "", data: DataOption = DEFAULT_DATA, as_json: JsonOption = False
) -> None:
    """List the categories: whom they name, how long an entry may last, whether its alerts are confirmed
    first."""

    async def work() -> Sequence[watchlist_pb2.Category]:
        async with _service(data, account, EDITOR, APPROVER, "ROLE_SUPERVISOR", "ROLE_OPERATOR") as stub:
            answer = await stub.ListCategories(watchlist_pb2.ListCategoriesRequest(), timeout=CALL_SECONDS)
            return list(answer.categories)

    found = run(work(), as_json=as_json)
    rows = [
        {
            "category": each.category,
            "chinese": each.name.chinese,
            "english": each.name.english,
            "names_person": each.names_person,
            "policy": common_pb2.DispatchPolicy.Name(each.policy).removeprefix("DISPATCH_POLICY_").lower(),
            "maximum_days": each.maximum_days,
        }
        for each in found
    ]
    if as_json:
        _print({"ok": True, "categories": rows})
        return
    table = Table("category", "name", "names a person", "policy", "maximum days")
    for row in rows:
        table.add_row(
            str(row["category"]),
            f"{row['english']} {row['chinese']}",
            "yes" if row["names_person"] else "no",
            str(row["policy"]),
            str(row["maximum_days"]),
        )
    Console().print(table)


@asynccontextmanager
async def _service(data: Path, account: str, *roles: str) -> AsyncIterator[Any]:
    async with signed_in(data, account or first_account(data, roles), "watchlist") as channel:
        yield watchlist_pb2_grpc.WatchlistServiceStub(channel)


def _status(name: str) -> watchlist_pb2.EntryStatus.ValueType:
    if not name:
        return watchlist_pb2.ENTRY_STATUS_UNSPECIFIED
    try:
        return watchlist_pb2.EntryStatus.Value(f"ENTRY_STATUS_{name.upper()}")
    except ValueError:
        raise Refuse("--status", "proposed, active, withdrawn or expired") from None


def _status_name(status: watchlist_pb2.EntryStatus.ValueType) -> str:
    return watchlist_pb2.EntryStatus.Name(status).removeprefix("ENTRY_STATUS_").lower()


def _as_json(entry: watchlist_pb2.EntrySummary) -> dict[str, object]:
    return {
        "entry_id": entry.entry_id,
        "version": entry.version,
        "status": _status_name(entry.status),
        "category": entry.category,
        "names_person": entry.names_person,
        "case_number": entry.case_number,
        "legal_basis": entry.legal_basis,
        "issuing_authority": entry.issuing_authority,
        "valid_until_ms": entry.valid_until_ms,
        "active_from_ms": entry.active_from_ms,
        "entered_by": entry.entered_by,
        "approved_by": entry.approved_by,
        "identifier_count": entry.identifier_count,
    }


def _time(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000).astimezone().isoformat(timespec="seconds")


def _print(answer: dict[str, object]) -> None:
    typer.echo(json.dumps(answer, ensure_ascii=False))
