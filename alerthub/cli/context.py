"""What commands share: which hub, which person, how to call it, how to say what went wrong."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Collection, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import grpc
import typer

from alerthub.api.v1 import registry_pb2, registry_pb2_grpc
from alerthub.domain.errors import AlertHubError, NotFound, Refuse, Retry
from alerthub.embedded.folder import HubFolder
from alerthub.grpc_client import person_channel
from alerthub.grpc_errors import error_of

Result = TypeVar("Result")

CALL_SECONDS = 15.0
"""The deadline of a call: a person waits no longer for an answer."""
EXIT_REFUSED = 2
EXIT_RETRY = 75
"""EX_TEMPFAIL of sysexits.h: the same command may work later."""

DEFAULT_DATA = Path(os.environ.get("ALERTHUB_DATA", ".alerthub"))

DataOption = Annotated[
    Path, typer.Option("--data", help="The hub's data folder. Default: ALERTHUB_DATA, else .alerthub here.")
]
AccountOption = Annotated[
    str,
    typer.Option(
        "--account",
        envvar="ALERTHUB_ACCOUNT",
        help="Who you are. The password comes from accounts.json of the data folder, else from"
        " ALERTHUB_PASSWORD_FILE, else you are asked.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="JSON on standard output, for machines.")]


def password_of(account: str, folder: HubFolder) -> str:
    """The account's password: from the hub's own file, a file that the environment names, or a question."""
    if folder.accounts_file.exists():
        for each in json.loads(folder.accounts_file.read_text(encoding="utf-8"))["accounts"]:
            if each["account"] == account:
                return str(each["password"])
    named = os.environ.get("ALERTHUB_PASSWORD_FILE")
    if named:
        return Path(named).read_text(encoding="utf-8").strip()
    if not sys.stdin.isatty():
        raise Refuse("--account", "an account of accounts.json, or ALERTHUB_PASSWORD_FILE with its password")
    return str(typer.prompt(f"Password of {account}", hide_input=True, err=True))


def first_account(data: Path, roles: Collection[str]) -> str:
    """The first account of the hub's accounts.json that holds one of `roles`. Raises NotFound."""
    folder = HubFolder(data)
    if folder.accounts_file.exists():
        for each in json.loads(folder.accounts_file.read_text(encoding="utf-8"))["accounts"]:
            if not set(roles).isdisjoint(each["roles"]):
                return str(each["account"])
    raise NotFound("--account", f"an account with {' or '.join(roles)}")


def new_password_of(account: str) -> str:
    """The password that is to be: from a file that the environment names, or asked for twice."""
    named = os.environ.get("ALERTHUB_NEW_PASSWORD_FILE")
    if named:
        return Path(named).read_text(encoding="utf-8").strip()
    if not sys.stdin.isatty():
        raise Refuse("new password", "a terminal to type it at, or ALERTHUB_NEW_PASSWORD_FILE that holds it")
    question = f"New password of {account}"
    return str(typer.prompt(question, hide_input=True, confirmation_prompt=True, err=True))


@asynccontextmanager
async def registry_sessions(folder: HubFolder) -> AsyncIterator[registry_pb2_grpc.SessionServiceAsyncStub]:
    """SessionService, for who brings a password. Errors of the calls come out as `Refuse` or `Retry`."""
    try:
        address = folder.read_hub().get("addresses", {})["registry_person"]
    except KeyError:
        raise _not_started(folder.root) from None
    try:
        async with person_channel(folder.ca_file, address) as channel:
            stub: registry_pb2_grpc.SessionServiceAsyncStub = registry_pb2_grpc.SessionServiceStub(channel)
            yield stub
    except grpc.RpcError as error:
        raise error_of(error) from None


def _not_started(data: Path) -> Retry:
    return Retry(f"the hub in {data} is not started; start it with `alerthub up --data {data}`")


@asynccontextmanager
async def signed_in(data: Path, account: str, audience: str) -> AsyncIterator[grpc.aio.Channel]:
    """A channel to the service `audience` (registry, watchlist or dispatch) as `account`.

    Errors of the calls made through it come out as `Refuse` or `Retry`.
    """
    folder = HubFolder(data)
    addresses = folder.read_hub().get("addresses", {})
    try:
        registry, address = addresses["registry_person"], addresses[f"{audience}_person"]
    except KeyError:
        raise _not_started(data) from None
    password = password_of(account, folder)
    try:
        async with person_channel(folder.ca_file, registry) as channel:
            answer = await registry_pb2_grpc.SessionServiceStub(channel).SignIn(
                registry_pb2.SignInRequest(account=account, password=password, audience=audience),
                timeout=CALL_SECONDS,
            )
        async with person_channel(folder.ca_file, address, answer.token) as channel:
            yield channel
    except grpc.RpcError as error:
        raise error_of(error) from None


def run(work: Coroutine[Any, Any, Result], *, as_json: bool = False) -> Result:
    """The result of `work`; ends the command with one sentence and an exit code when the hub says no."""
    try:
        return asyncio.run(work)
    except grpc.RpcError as error:
        fail(error_of(error), as_json=as_json)
    except AlertHubError as error:
        fail(error, as_json=as_json)


def fail(error: AlertHubError, *, as_json: bool = False) -> NoReturn:
    """Ends the command: one sentence on standard error (or JSON on standard output), and its exit code. What
    officers and operators can be refused has its Chinese behind the English."""
    code = EXIT_RETRY if isinstance(error, Retry) else EXIT_REFUSED
    chinese = error.words.chinese
    if as_json:
        answer = {
            "ok": False,
            "reason": str(error),
            "reason_chinese": chinese,
            "retry": isinstance(error, Retry),
        }
        if isinstance(error, Refuse):
            answer |= {"field": error.field, "expected": error.expected}
        typer.echo(json.dumps(answer, ensure_ascii=False))
    else:
        typer.echo(" / ".join(filter(None, (f"alerthub: {error}", chinese))), err=True)
    raise typer.Exit(code)
