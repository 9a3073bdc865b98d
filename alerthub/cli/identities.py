"""`alerthub devices|terminals|accounts|revoke`: how devices, terminals and persons get their proofs, and lose
them."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Annotated

import typer

from alerthub.api.v1 import access_pb2, registry_pb2
from alerthub.cli.context import (
    CALL_SECONDS,
    DEFAULT_DATA,
    AccountOption,
    DataOption,
    JsonOption,
    fail,
    new_password_of,
    password_of,
    registry_sessions,
    run,
)
from alerthub.cli.registry_calls import OptionalAccount, call
from alerthub.cli.role_words import ROLE_OF_WORD
from alerthub.domain.errors import Refuse
from alerthub.domain.http_digest import password_of as password_of_digest
from alerthub.embedded.folder import HubFolder
from alerthub.provision.accounts import forget_password

devices = typer.Typer(help="Secrets and certificates of devices.", no_args_is_help=True)
terminals = typer.Typer(help="Codes with which patrol terminals enrol.", no_args_is_help=True)
accounts = typer.Typer(help="Persons' accounts: one proposes, another approves.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.add_typer(devices, name="devices")
    app.add_typer(terminals, name="terminals")
    app.add_typer(accounts, name="accounts")
    app.command("revoke")(revoke_command)


@devices.command("secret")
def secret_command(
    device: Annotated[str, typer.Argument(help="The device's id.")],
    *,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Otherwise DATA/devices/ID.secret.")
    ] = None,
    account: OptionalAccount = "",
    data: DataOption = DEFAULT_DATA,
    as_json: JsonOption = False,
) -> None:
    """Give a device a new secret, and write it to a file for its owner's eyes. The one before ends at
    once."""
    path = output or data / "devices" / f"{_file_name(device)}.secret"

    async def work() -> str:
        request = registry_pb2.IssueDeviceCredentialRequest(device_id=device)
        return str((await call(data, account, "IssueDeviceCredential", request)).secret)

    # Made before the secret is: a secret that cannot be written would be lost.
    descriptor = run(_private_file(path), as_json=as_json)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        secret = run(work(), as_json=as_json)
        file.truncate(0)
        file.write(f"{secret}\n")
    if as_json:
        typer.echo(json.dumps({"ok": True, "device": device, "file": str(path)}))
    else:
        typer.echo(f"The secret of {device} is in {path}.")


async def _private_file(path: Path) -> int:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    except OSError as error:
        raise Refuse("--output", f"a file that can be written ({type(error).__name__})") from None
    os.fchmod(descriptor, 0o600)
    return descriptor


def _file_name(device: str) -> str:
    if not device or not all(letter.isalnum() or letter in "._-" for letter in device) or device[0] == ".":
        fail(Refuse("device", "the id of a device"))
    return device


@devices.command("digest-password")
def digest_password_command(
    device: Annotated[str, typer.Argument(help="The device's id.")],
    *,
    secret_file: Annotated[
        Path | None, typer.Option("--secret-file", help="Default: DATA/devices/ID.secret.")
    ] = None,
    key_file: Annotated[
        Path | None, typer.Option("--key-file", help="The gateways' key. Default: that of the data folder.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Otherwise DATA/devices/ID.digest.")
    ] = None,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Write the password with which a device answers HTTP Digest. It changes with the device's secret."""

    async def work() -> str:
        secret = _content_of(
            secret_file or data / "devices" / f"{_file_name(device)}.secret", "--secret-file"
        )
        key = _content_of(key_file or HubFolder(data).digest_key_file, "--key-file")
        return password_of_digest(key, device, hashlib.sha256(secret).digest())

    password = run(work())
    path = output or data / "devices" / f"{_file_name(device)}.digest"
    with os.fdopen(run(_private_file(path)), "w", encoding="utf-8") as file:
        file.truncate(0)
        file.write(f"{password}\n")
    typer.echo(f"The Digest password of {device} is in {path}.")


def _content_of(file: Path, name: str) -> bytes:
    try:
        found = file.read_bytes().strip()
    except OSError as error:
        raise Refuse(name, f"a file that can be read ({type(error).__name__})") from None
    if not found:
        raise Refuse(name, f"a file with a secret; {file} is empty")
    return found


@devices.command("certificate")
def certificate_command(
    device: Annotated[str, typer.Argument(help="The device's id.")],
    request_file: Annotated[Path, typer.Argument(help="Its signing request (PKCS #10, PEM).")],
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="The certificate (PEM) to write.")],
    account: OptionalAccount = "",
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Give a device or an edge server a certificate for the key of its signing request."""

    async def work() -> str:
        try:
            pem = request_file.read_text(encoding="ascii")
        except (OSError, ValueError) as error:
            raise Refuse("REQUEST_FILE", f"a file in PEM ({type(error).__name__})") from None
        request = registry_pb2.IssueDeviceCertificateRequest(device_id=device, signing_request_pem=pem)
        return str((await call(data, account, "IssueDeviceCertificate", request)).certificate_pem)

    output.write_text(run(work()), encoding="ascii")
    typer.echo(f"The certificate of {device} is in {output}.")


@terminals.command("enrol-code")
def enrol_code_command(
    terminal: Annotated[str, typer.Argument(help="What the terminal is to be called.")],
    *,
    unit: Annotated[str, typer.Option("--unit", help="The unit that carries it.")],
    account: OptionalAccount = "",
    data: DataOption = DEFAULT_DATA,
    as_json: JsonOption = False,
) -> None:
    """Make a one-time code with which a terminal enrols within the hour. It is shown once."""

    async def work() -> registry_pb2.CreateEnrolmentCodeResponse:
        request = registry_pb2.CreateEnrolmentCodeRequest(terminal_id=terminal, unit_id=unit)
        answer: registry_pb2.CreateEnrolmentCodeResponse = await call(
            data, account, "CreateEnrolmentCode", request
        )
        return answer

    answer = run(work(), as_json=as_json)
    if as_json:
        told = {
            "ok": True,
            "terminal": terminal,
            "code": answer.code,
            "valid_until_ms": answer.valid_until_ms,
        }
        typer.echo(json.dumps(told))
    else:
        typer.echo(answer.code)


@accounts.command("propose")
def propose_command(
    name: Annotated[str, typer.Argument(help="The account that is to be, or to have other roles.")],
    roles: Annotated[list[str], typer.Option("--role", help="Such as operator; may be given several times.")],
    *,
    account: OptionalAccount = "",
    data: DataOption = DEFAULT_DATA,
    as_json: JsonOption = False,
) -> None:
    """Propose an account with these roles. It works once a second person approved it."""
    numbers = [_role(role) for role in roles]

    async def work() -> str:
        request = registry_pb2.ProposeAccountRequest(account=name, roles=numbers)
        return str((await call(data, account, "ProposeAccount", request)).proposal_id)

    proposal = run(work(), as_json=as_json)
    if as_json:
        typer.echo(json.dumps({"ok": True, "proposal": proposal}))
    else:
        typer.echo(
            f"Proposed. A second person approves it: alerthub accounts approve {proposal} --account THEIRS"
        )


def _role(name: str) -> access_pb2.Role.ValueType:
    if name not in ROLE_OF_WORD:
        fail(Refuse("--role", f"one of {', '.join(ROLE_OF_WORD)}"))
    return access_pb2.Role.Value(ROLE_OF_WORD[name])


@accounts.command("approve")
def approve_command(
    proposal: Annotated[str, typer.Argument(help="The proposal's id.")],
    *,
    account: AccountOption,
    data: DataOption = DEFAULT_DATA,
    as_json: JsonOption = False,
) -> None:
    """Approve what somebody else proposed. A new account's first password is shown once."""

    async def work() -> str:
        request = registry_pb2.ApproveAccountRequest(proposal_id=proposal)
        return str((await call(data, account, "ApproveAccount", request)).first_password)

    password = run(work(), as_json=as_json)
    if as_json:
        typer.echo(json.dumps({"ok": True, "first_password": password}))
    elif password:
        typer.echo(f"Approved. The first password, shown once: {password}")
    else:
        typer.echo("Approved. The account keeps its password.")


@accounts.command("change-password")
def change_password_command(
    *,
    account: AccountOption,
    data: DataOption = DEFAULT_DATA,
    as_json: JsonOption = False,
) -> None:
    """Change your own password. You are signed out everywhere, and the hub's file forgets your first one."""
    folder = HubFolder(data)

    async def work() -> None:
        old, new = password_of(account, folder), new_password_of(account)
        request = registry_pb2.ChangePasswordRequest(account=account, old_password=old, new_password=new)
        async with registry_sessions(folder) as sessions:
            await sessions.ChangePassword(request, timeout=CALL_SECONDS)
        forget_password(folder, account)

    run(work(), as_json=as_json)
    typer.echo(json.dumps({"ok": True}) if as_json else f"The password of {account} is changed.")


def revoke_command(
    *,
    reason: Annotated[str, typer.Option("--reason", help="Why; it goes into the audit log.")],
    person: Annotated[str, typer.Option("--person", help="The account that ends.")] = "",
    terminal: Annotated[str, typer.Option("--terminal", help="The terminal that ends.")] = "",
    certificate: Annotated[str, typer.Option("--certificate", help="SHA-256 fingerprint.")] = "",
    account: OptionalAccount = "",
    data: DataOption = DEFAULT_DATA,
    as_json: JsonOption = False,
) -> None:
    """End a person's account, a terminal or a certificate, everywhere and at once."""
    named = [value for value in (person, terminal, certificate) if value]
    if len(named) != 1:
        fail(Refuse("--person, --terminal, --certificate", "exactly one of them"), as_json=as_json)
    request = registry_pb2.RevokeRequest(reason=reason)
    if person:
        request.account = person
    elif terminal:
        request.terminal_id = terminal
    else:
        request.certificate_fingerprint = certificate

    async def work() -> None:
        await call(data, account, "Revoke", request)

    run(work(), as_json=as_json)
    typer.echo(json.dumps({"ok": True}) if as_json else f"Revoked {named[0]}.")
