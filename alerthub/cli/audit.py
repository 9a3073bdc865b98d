"""`alerthub audit`: export a service's audit log, and verify an export without the hub (C16)."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, NoReturn

import grpc
import typer

from alerthub import audit_file
from alerthub.api.v1 import audit_pb2, audit_pb2_grpc, registry_pb2, registry_pb2_grpc
from alerthub.audit_signing import signature_verifier
from alerthub.cli.context import DEFAULT_DATA, AccountOption, DataOption, password_of
from alerthub.domain.audit_chain import AuditHead, Verification, verify
from alerthub.domain.errors import AlertHubError, Refuse
from alerthub.embedded.folder import HubFolder
from alerthub.grpc_client import person_channel
from alerthub.grpc_errors import error_of

SERVICES = ("registry", "watchlist", "dispatch")
"""Those that have a database, and so a log."""
_DEADLINE_SECONDS = 30.0
_EXPORT_DEADLINE_SECONDS = 3_600.0

application = typer.Typer(help="Export the audit log, and verify an export.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.add_typer(application, name="audit")


@application.command("verify")
def verify_command(
    file: Annotated[Path, typer.Argument(help="An export: JSON lines of rows and heads.")],
    *,
    heads: Annotated[
        Path | None, typer.Option("--heads", help="The witness file: signed heads kept outside the database.")
    ] = None,
    authority: Annotated[
        Path | None, typer.Option("--authority", help="The hub's ca.pem: heads must be signed under it.")
    ] = None,
    signer: Annotated[
        Path | None, typer.Option("--signer", help="The one key or certificate (PEM) that signs heads.")
    ] = None,
    accepted: Annotated[
        list[str] | None,
        typer.Option(
            "--accept-restore",
            help="The id of a backup that you know the hub was restored from: rows that it lost are told, and"
            " the exit code is 0.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Find rows that were changed, moved, added, taken out, cut off or lost by a restore. Needs no hub. Exit
    1 when it finds one.
    """
    try:
        exported = audit_file.read(file)
        witnessed = audit_file.read(heads).heads if heads else ()
        problem_of = signature_verifier(authority_pem=_bytes(authority), trusted_key_pem=_bytes(signer))
    except (Refuse, ValueError, TypeError) as error:
        _fail(str(error), as_json=as_json)
    seen = verify(exported.rows, _of_this_log(exported, witnessed), signature_problem=problem_of)
    sentence = _sentence(seen, trusted=authority is not None or signer is not None)
    right = seen.accepting(accepted or ())
    if as_json:
        finding = seen.finding
        result: dict[str, Any] = {
            "ok": right,
            "rows": seen.rows,
            "chained": seen.chained,
            "unchained": seen.unchained,
            "heads": seen.heads,
            "sentence": sentence,
            "finding": finding
            and {
                "service": finding.service,
                "chain_index": finding.chain_index,
                "row_id": finding.row_id,
                "problem": finding.problem,
            },
            "losses": [
                {
                    "service": loss.service,
                    "backup_id": loss.backup_id,
                    "restored_at_link": loss.restored_at_link,
                    "first_link": loss.first_link,
                    "last_witnessed_link": loss.last_witnessed_link,
                }
                for loss in seen.losses
            ],
        }
        typer.echo(json.dumps(result, ensure_ascii=False))
    else:
        typer.echo(sentence, err=not right)
    raise typer.Exit(0 if right else 1)


def _of_this_log(exported: audit_file.AuditFile, witnessed: tuple[AuditHead, ...]) -> list[AuditHead]:
    """The export's heads and the witness's for its service; one witness file may serve several services."""
    services = {row.service for row in exported.rows} | {head.service for head in exported.heads}
    return [*exported.heads, *(head for head in witnessed if not services or head.service in services)]


def _sentence(seen: Verification, *, trusted: bool) -> str:
    if seen.finding is not None:
        finding = seen.finding
        at = f" at link {finding.chain_index}" if finding.chain_index else ""
        row = f" (row {finding.row_id})" if finding.row_id else ""
        return f"Not intact: {finding.service or 'the log'}{at}{row}: {finding.problem}."
    counted = f"{seen.rows} rows, {seen.chained} in the chain, {seen.heads} signed heads."
    parts = [
        f"Rows were lost by a restore; what is left is intact: {counted}"
        if seen.losses
        else f"Intact: {counted}"
    ]
    parts += [
        f"Link {loss.restored_at_link} of {loss.service} records a restore from backup {loss.backup_id}:"
        f" links {loss.first_link} to {loss.last_witnessed_link} at least are gone, and signed heads vouch"
        " for them."
        for loss in seen.losses
    ]
    if seen.unchained:
        parts.append(f"{seen.unchained} rows are not chained yet: nothing protects them.")
    if not seen.heads:
        parts.append(
            "Without signed heads a log that was cut off or computed anew looks the same: give --heads."
        )
    elif not trusted:
        parts.append("The heads vouch for themselves: give --authority to hold them to the hub's authority.")
    return " ".join(parts)


def _bytes(path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        return path.read_bytes()
    except OSError:
        raise Refuse(str(path), "a file that can be read") from None


@application.command("export")
def export_command(
    *,
    service: Annotated[str, typer.Option("--service", help="registry, watchlist or dispatch.")],
    account: AccountOption,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The file to write; otherwise standard output.")
    ] = None,
    data: DataOption = DEFAULT_DATA,
    password_file: Annotated[
        Path | None, typer.Option("--password-file", help="Instead of the ways that --account names.")
    ] = None,
    address: Annotated[str, typer.Option(help="host:port of the service's listener for persons.")] = "",
    registry: Annotated[str, typer.Option(help="host:port of the registry's listener for persons.")] = "",
    authority: Annotated[Path | None, typer.Option("--authority", help="The hub's ca.pem.")] = None,
) -> None:
    """Write all rows of a service's log and its signed heads as JSON lines. The export itself is recorded."""
    try:
        if service not in SERVICES:
            raise Refuse("--service", f"one of {', '.join(SERVICES)}")
        folder = HubFolder(data)
        if not address or not registry:
            known = folder.read_hub()["addresses"]
            address = address or known[f"{service}_person"]
            registry = registry or known["registry_person"]
        ca_file = authority or folder.ca_file
        password = (
            password_of(account, folder)
            if password_file is None
            else password_file.read_text(encoding="utf-8").strip()
        )
        lines = asyncio.run(
            _export(
                ca_file=ca_file,
                registry=registry,
                address=address,
                service=service,
                account=account,
                password=password,
            )
        )
    except (AlertHubError, KeyError, OSError, ValueError) as error:
        _fail(str(error) if isinstance(error, AlertHubError) else f"{type(error).__name__}: {error}")
    text = "".join(f"{line}\n" for line in lines)
    if output is None:
        sys.stdout.write(text)
        return
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    stamp = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    typer.echo(f"Exported {len(lines)} lines of the log of {service} at {stamp} to {output}.", err=True)


async def _export(
    *, ca_file: Path, registry: str, address: str, service: str, account: str, password: str
) -> list[str]:
    try:
        async with person_channel(ca_file, registry) as channel:
            signed_in = await registry_pb2_grpc.SessionServiceStub(channel).SignIn(
                registry_pb2.SignInRequest(account=account, password=password, audience=service),
                timeout=_DEADLINE_SECONDS,
            )
        async with person_channel(ca_file, address, signed_in.token) as channel:
            stub = audit_pb2_grpc.AuditServiceStub(channel)
            # Before the rows: every head is then older than the export, and one that the rows do not reach
            # tells that rows were cut off.
            listed = await stub.ListHeads(audit_pb2.ListHeadsRequest(), timeout=_DEADLINE_SECONDS)
            rows = [
                audit_file.row_line(audit_file.row_of(row))
                async for row in stub.Export(audit_pb2.ExportRequest(), timeout=_EXPORT_DEADLINE_SECONDS)
            ]
    except grpc.RpcError as error:
        raise error_of(error) from None
    return rows + [audit_file.head_line(audit_file.head_of(head)) for head in listed.heads]


def _fail(sentence: str, *, as_json: bool = False) -> NoReturn:
    if as_json:
        typer.echo(json.dumps({"ok": False, "sentence": sentence}, ensure_ascii=False))
    else:
        typer.echo(sentence, err=True)
    raise typer.Exit(2)
