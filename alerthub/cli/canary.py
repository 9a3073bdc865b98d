"""`alerthub canary`: the persons' part of the hub's own reads, and whether it is done."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import grpc
import typer

from alerthub.canary import preparing
from alerthub.canary.set_up import SetUpFolder
from alerthub.cli.context import DEFAULT_DATA, DataOption, JsonOption, first_account, run, signed_in
from alerthub.cli.registry_calls import EDITOR, OptionalAccount
from alerthub.cli.watchlist import APPROVER
from alerthub.cli.watchlist import EDITOR as WATCHLIST_EDITOR
from alerthub.embedded.folder import HubFolder

_canary = typer.Typer(
    no_args_is_help=True,
    help="The hub's own reads, which say each half minute that a match reaches a terminal. Set up in four"
    " steps, by two persons at least: propose, approve, list-plates, approve-plates.",
)
FolderOption = Annotated[
    Path | None, typer.Option("--folder", help="Where the set-up is written. Default: DATA/canary.")
]
AccountOption = Annotated[
    str,
    typer.Option(
        "--account",
        envvar="ALERTHUB_ACCOUNT",
        help="Who you are; otherwise the first account of the data folder's accounts.json that may do it.",
    ),
]
DaysOption = Annotated[int, typer.Option("--days", min=1, max=365, help="How long it is to hold.")]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.add_typer(_canary, name="canary")


@_canary.command("propose", epilog="Example:  alerthub canary propose --account administrator-one")
def propose_command(
    *,
    days: DaysOption = preparing.DAYS,
    account: OptionalAccount = "",
    folder: FolderOption = None,
    data: DataOption = DEFAULT_DATA,
    as_json: JsonOption = False,
) -> None:
    """Register its devices and its unit, enrol both, and propose its account (a registry editor)."""
    hub = HubFolder(data)

    async def work(channel: grpc.aio.Channel, target: SetUpFolder) -> None:
        address = str(hub.read_hub()["addresses"]["registry_person"])
        await preparing.propose(channel, target, registry_address=address, ca_file=hub.ca_file, days=days)

    _step(work, data, folder, account, role=EDITOR, audience="registry", as_json=as_json)


@_canary.command("approve", epilog="Example:  alerthub canary approve --account administrator-two")
def approve_command(
    *,
    account: Annotated[str, typer.Option("--account", envvar="ALERTHUB_ACCOUNT", help="Who you are.")],
    folder: FolderOption = None,
    data: DataOption = DEFAULT_DATA,
    as_json: JsonOption = False,
) -> None:
    """Approve its account (another registry editor). Its password is written for the canary alone."""
    _step(preparing.approve, data, folder, account, role=EDITOR, audience="registry", as_json=as_json)


@_canary.command("list-plates", epilog="Example:  alerthub canary list-plates --gateways 3 --account editor")
def list_command(
    *,
    gateways: Annotated[
        int, typer.Option("--gateways", min=1, max=40, help="For how many gateways at the same time.")
    ] = 4,
    every_seconds: Annotated[
        float, typer.Option("--every-seconds", min=1, max=300, help="Its setting of the same name.")
    ] = 30.0,
    days: DaysOption = preparing.DAYS,
    account: AccountOption = "",
    folder: FolderOption = None,
    data: DataOption = DEFAULT_DATA,
    as_json: JsonOption = False,
) -> None:
    """List the plates that it reads, which no vehicle can have (a watchlist editor)."""

    async def work(channel: grpc.aio.Channel, target: SetUpFolder) -> None:
        await preparing.list_plates(
            channel, target, gateways=gateways, every_seconds=every_seconds, days=days
        )

    _step(work, data, folder, account, role=WATCHLIST_EDITOR, audience="watchlist", as_json=as_json)


@_canary.command("approve-plates", epilog="Example:  alerthub canary approve-plates --account approver")
def approve_plates_command(
    *,
    account: AccountOption = "",
    folder: FolderOption = None,
    data: DataOption = DEFAULT_DATA,
    as_json: JsonOption = False,
) -> None:
    """Approve its plates (another person than the one who listed them)."""
    _step(
        preparing.approve_plates, data, folder, account, role=APPROVER, audience="watchlist", as_json=as_json
    )


@_canary.command("status", epilog="Example:  alerthub canary status --json")
def status_command(
    *,
    folder: FolderOption = None,
    data: DataOption = DEFAULT_DATA,
    as_json: JsonOption = False,
) -> None:
    """Say what is still missing of the set-up, or until when it holds. Exit code 1: something is missing."""
    target = _target(data, folder)

    async def work() -> tuple[tuple[str, ...], int]:
        return target.missing(), target.read().valid_until_ms

    missing, valid_until_ms = run(work(), as_json=as_json)
    if as_json:
        said = {"missing": missing, "folder": str(target.root), "valid_until_ms": valid_until_ms}
        typer.echo(json.dumps({"ok": not missing, **said}))
    else:
        until = datetime.fromtimestamp(valid_until_ms / 1_000, UTC).date()
        typer.echo("\n".join(missing) or f"The canary is set up in {target.root} until {until} (UTC).")
    if missing:
        raise typer.Exit(1)


def _target(data: Path, folder: Path | None) -> SetUpFolder:
    return SetUpFolder(folder or HubFolder(data).canary)


def _step(
    work: Callable[[grpc.aio.Channel, SetUpFolder], Awaitable[None]],
    data: Path,
    folder: Path | None,
    account: str,
    *,
    role: str,
    audience: str,
    as_json: bool,
) -> None:
    target = _target(data, folder)

    async def whole() -> tuple[str, ...]:
        async with signed_in(data, account or first_account(data, [role]), audience) as channel:
            await work(channel, target)
        return target.missing()

    missing = run(whole(), as_json=as_json)
    if as_json:
        typer.echo(json.dumps({"ok": True, "missing": missing, "folder": str(target.root)}))
    else:
        typer.echo("\n".join(missing) or f"The canary is set up in {target.root}.")
