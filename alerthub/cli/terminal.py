"""`alerthub terminal`: enrol a patrol terminal, and run it with a screen or without."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from alerthub.api.v1 import registry_pb2, registry_pb2_grpc
from alerthub.api.v1.alert_pb2 import Outcome
from alerthub.api.v1.common_pb2 import Position
from alerthub.cli.context import (
    CALL_SECONDS,
    DEFAULT_DATA,
    AccountOption,
    DataOption,
    fail,
    password_of,
    run,
    signed_in,
)
from alerthub.domain.errors import AlertHubError, Refuse
from alerthub.embedded.folder import HubFolder
from alerthub.terminal.client import TerminalClient
from alerthub.terminal.database import TerminalDatabase
from alerthub.terminal.enrolment import TerminalIdentity, enrol, load_identity
from alerthub.terminal.events import TerminalEvent
from alerthub.terminal.headless import Automation, TerminalAddresses, client_for, now_ms, run_headless
from alerthub.terminal.program import TerminalProgram
from alerthub.terminal.words import Language

_ADDRESSES = "addresses.json"
_OUTCOMES = {
    Outcome.Name(value).removeprefix("OUTCOME_").lower(): value for value in Outcome.values() if value
}

application = typer.Typer(help="Enrol a patrol terminal, and run it.", no_args_is_help=True)

Folder = Annotated[
    Path, typer.Option("--folder", help="Where this terminal keeps its key, outbox and screen.")
]
_FOLDER = Path(".alerthub-terminal")


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.add_typer(application, name="terminal")


@application.command("code")
def code_command(
    terminal_id: Annotated[str, typer.Argument(help="What the terminal is to be called.")],
    *,
    unit: Annotated[str, typer.Option("--unit", help="The unit that carries it.")],
    account: AccountOption,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Make a one-time code with which a terminal enrols within the hour. It is shown once."""
    typer.echo(run(_code(data, account, terminal_id, unit)))


async def _code(data: Path, account: str, terminal_id: str, unit: str) -> str:
    async with signed_in(data, account, "registry") as channel:
        created = await registry_pb2_grpc.RegistryServiceStub(channel).CreateEnrolmentCode(
            registry_pb2.CreateEnrolmentCodeRequest(terminal_id=terminal_id, unit_id=unit),
            timeout=CALL_SECONDS,
        )
    return str(created.code)


@application.command("enrol")
def enrol_command(
    code: Annotated[str, typer.Argument(help="The one-time code.")],
    *,
    folder: Folder = _FOLDER,
    data: DataOption = DEFAULT_DATA,
    registry: Annotated[str, typer.Option(help="host:port of the registry's listener for persons.")] = "",
    push: Annotated[str, typer.Option(help="host:port of push, for terminals.")] = "",
    authority: Annotated[Path | None, typer.Option("--authority", help="The hub's ca.pem.")] = None,
) -> None:
    """Make a key, and get this terminal's certificate for a one-time code."""
    try:
        hub = HubFolder(data)
        if not registry or not push:
            known = hub.read_hub()["addresses"]
            registry, push = registry or known["registry_person"], push or known["push"]
        identity = asyncio.run(
            enrol(
                code=code,
                registry_address=registry,
                ca_file=_readable(authority or hub.ca_file),
                folder=folder,
            )
        )
        _keep_addresses(folder, TerminalAddresses(registry=registry, push=push))
    except AlertHubError as error:
        fail(error)
    typer.echo(f"Enrolled as {identity.terminal_id} of the unit {identity.unit_id}, in {folder}.")


@application.command("run")
def run_command(
    *,
    account: AccountOption,
    folder: Folder = _FOLDER,
    data: DataOption = DEFAULT_DATA,
    language: Annotated[Language, typer.Option("--language", help="zh or en.")] = Language.CHINESE,
    headless: Annotated[bool, typer.Option("--headless", help="No screen: one line an event.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Lines of JSON (with --headless).")] = False,
    accept: Annotated[bool, typer.Option("--accept", help="Accept everything (with --headless).")] = False,
    outcome: Annotated[
        str, typer.Option("--outcome", help=f"Record it for all: {', '.join(_OUTCOMES)} (with --headless).")
    ] = "",
    position: Annotated[
        str, typer.Option("--position", help="LATITUDE,LONGITUDE to report, WGS 84 (with --headless).")
    ] = "",
) -> None:
    """Sign on and stay connected. What was not answered is sent again at the next start."""
    try:
        identity = load_identity(folder)
        addresses = _addresses(folder, data)
        automation = Automation(accepts=accept, outcome=_outcome(outcome), position=_position(position))
        password = password_of(account, HubFolder(data))
        if headless:
            _run_headless(identity, addresses, account, password, automation, as_json=as_json)
        else:
            asyncio.run(_run_program(identity, addresses, account, password, language))
    except AlertHubError as error:
        fail(error)


def _run_headless(
    identity: TerminalIdentity,
    addresses: TerminalAddresses,
    account: str,
    password: str,
    automation: Automation,
    *,
    as_json: bool,
) -> None:
    def write(line: str) -> None:
        if not as_json:
            values = json.loads(line)
            line = " ".join(str(values.get(name) or "") for name in ("event", "alert_id", "status", "reason"))
        sys.stdout.write(line.rstrip() + "\n")
        sys.stdout.flush()

    async def main() -> None:
        task = asyncio.ensure_future(
            run_headless(
                identity, addresses, account=account, password=password, automation=automation, write=write
            )
        )
        for ending in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(ending, task.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await task

    asyncio.run(main())


async def _run_program(
    identity: TerminalIdentity,
    addresses: TerminalAddresses,
    account: str,
    password: str,
    language: Language,
) -> None:
    database = await TerminalDatabase.open(identity.database_file)

    def client(tell: Callable[[TerminalEvent], None]) -> TerminalClient:
        return client_for(identity, addresses, database, account=account, password=password, tell=tell)

    try:
        await TerminalProgram(client, language=language, now_ms=now_ms).run_async()
    finally:
        await database.close()


def _keep_addresses(folder: Path, addresses: TerminalAddresses) -> None:
    content = json.dumps({"registry": addresses.registry, "push": addresses.push})
    temporary = folder / f".{_ADDRESSES}.{uuid.uuid4().hex}"
    with os.fdopen(os.open(temporary, os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
        file.write(content)
    temporary.replace(folder / _ADDRESSES)


def _addresses(folder: Path, data: Path) -> TerminalAddresses:
    """Those of the hub in `data` where there is one (its ports may change), else those of the enrolment."""
    hub = HubFolder(data)
    if hub.hub_file.exists():
        known = hub.read_hub().get("addresses", {})
        if "registry_person" in known and "push" in known:
            return TerminalAddresses(registry=known["registry_person"], push=known["push"])
    try:
        kept = json.loads((folder / _ADDRESSES).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Refuse("--folder", "a folder that `alerthub terminal enrol` made") from None
    return TerminalAddresses(registry=kept["registry"], push=kept["push"])


def _outcome(name: str) -> Outcome.ValueType | None:
    if not name:
        return None
    if name not in _OUTCOMES:
        raise Refuse("--outcome", f"one of {', '.join(_OUTCOMES)}")
    return _OUTCOMES[name]


def _position(text: str) -> Position | None:
    if not text:
        return None
    try:
        latitude, longitude = (float(part) for part in text.split(","))
    except ValueError:
        raise Refuse("--position", "LATITUDE,LONGITUDE in degrees, such as 39.52,116.70") from None
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
        raise Refuse("--position", "a latitude from -90 to 90 and a longitude from -180 to 180")
    return Position(latitude=latitude, longitude=longitude)


def _readable(path: Path) -> Path:
    if not path.is_file():
        raise Refuse(str(path), "a file that can be read")
    return path
