"""`alerthub apply -f FILE`: the city's description from YAML, after a look at what it would change."""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from collections.abc import Awaitable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import grpc
import typer
from rich.console import Console
from rich.text import Text

from alerthub.activation import until_in_force
from alerthub.api.v1 import registry_pb2
from alerthub.cli import identities
from alerthub.cli.context import DEFAULT_DATA, DataOption, JsonOption, fail, run
from alerthub.cli.documents import read_documents
from alerthub.cli.registry_calls import OptionalAccount, registry
from alerthub.cli.resource_documents import KINDS, Document, read_resources
from alerthub.domain.errors import Refuse
from alerthub.grpc_errors import error_of

Answer = TypeVar("Answer")

CREATE = registry_pb2.ResourceChange.ACTION_CREATE
UPDATE = registry_pb2.ResourceChange.ACTION_UPDATE
APPLY_SECONDS = 300.0
"""A city of thousands of devices is one transaction."""
LARGEST_PART = 5_000
"""Resources that one request may hold."""
LARGEST_PART_BYTES = 3_500_000
LONGEST_WAIT_MS = 60_000
"""For a version to come into force; a registry that is told to wait longer is not waited for."""
_FIELD = re.compile(r"resources\[(\d+)\]\.?[a-z]*\.?(.*)")


def register(app: typer.Typer) -> None:
    """Adds `apply`, and what belongs to it: devices, terminals, accounts, revoke."""
    app.command("apply")(apply_command)
    identities.register(app)


def apply_command(
    *,
    files: Annotated[list[Path], typer.Option("--file", "-f", help="YAML; may be given several times.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would change, change nothing.")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Return when it is in force.")] = True,
    account: OptionalAccount = "",
    data: DataOption = DEFAULT_DATA,
    as_json: JsonOption = False,
) -> None:
    """Apply devices, authorisations, zones, rules, units, shifts and jurisdictions. Shows the difference
    first.

    What is equal stays as it is, so applying a file twice changes nothing. Either all of it is applied or
    nothing.
    """

    if as_json and not (yes or dry_run):
        fail(Refuse("--json", "with --yes or --dry-run, since there is nobody to ask"), as_json=True)

    async def work() -> Applied:
        documents = read_resources([node for path in files for node in read_documents(path)])
        if not documents:
            raise Refuse("--file", "at least one document")
        async with registry(data, account) as stub:
            return await _apply(stub, documents, yes=yes, dry_run=dry_run, quiet=as_json)

    applied = run(work(), as_json=as_json)
    if wait and applied.active_from_ms:
        asyncio.run(until_in_force(applied.active_from_ms, longest_wait_ms=LONGEST_WAIT_MS))
    if as_json:
        typer.echo(json.dumps(applied.as_json(), ensure_ascii=False))
    raise typer.Exit(0 if applied.done or dry_run else 1)


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of it. `done` False: somebody said no, or it was only a look."""

    done: bool
    changes: tuple[registry_pb2.ResourceChange, ...]
    active_from_ms: int = 0

    def as_json(self) -> dict[str, Any]:
        return {
            "ok": True,
            "applied": self.done,
            "active_from_ms": self.active_from_ms,
            "changes": [
                {
                    "action": registry_pb2.ResourceChange.Action.Name(change.action)
                    .removeprefix("ACTION_")
                    .lower(),
                    "kind": change.kind,
                    "id": change.id,
                    "version": change.version,
                    "differences": [
                        {"field": each.field, "before": each.before, "after": each.after}
                        for each in change.differences
                    ],
                }
                for change in self.changes
            ],
        }


async def _apply(
    stub: Any, documents: Sequence[Document], *, yes: bool, dry_run: bool, quiet: bool
) -> Applied:
    parts = list(in_parts(documents))
    if dry_run and len(parts) > 1:
        raise Refuse("--dry-run", f"at most {LARGEST_PART} resources: later parts refer to earlier ones")
    changes: list[registry_pb2.ResourceChange] = []
    active_from_ms = 0
    for number, part in enumerate(parts, start=1):
        resources = [document.resource for document in part]
        asked = registry_pb2.PlanResourcesRequest(resources=resources)
        plan = await _named(part, stub.PlanResources(asked, timeout=APPLY_SECONDS))
        if not quiet:
            show(plan.changes, title=f"Part {number} of {len(parts)}: " if len(parts) > 1 else "")
        changes += plan.changes
        if dry_run:
            return Applied(False, tuple(changes))
        if not any(change.action in (CREATE, UPDATE) for change in plan.changes):
            continue
        if not yes and not typer.confirm("Apply?", err=True):
            return Applied(False, tuple(changes))
        request = registry_pb2.ApplyResourcesRequest(command_id=str(uuid.uuid4()), resources=resources)
        answer = await _named(part, stub.ApplyResources(request, timeout=APPLY_SECONDS))
        active_from_ms = max(active_from_ms, answer.active_from_ms)
    return Applied(True, tuple(changes), active_from_ms)


async def _named(part: Sequence[Document], call: Awaitable[Answer]) -> Answer:
    """The call's answer; a refusal names the document as the file has it."""
    try:
        return await call
    except grpc.RpcError as error:
        refused = error_of(error)
    found = _FIELD.fullmatch(refused.field) if isinstance(refused, Refuse) else None
    if not isinstance(refused, Refuse) or found is None or int(found[1]) >= len(part):
        raise refused
    raise type(refused)(f"{part[int(found[1])].name}: {found[2]}".rstrip(": "), refused.expected)


def in_parts(documents: Sequence[Document]) -> Iterator[list[Document]]:
    """The documents in requests that the registry takes: all in one where that fits.

    Otherwise what others refer to comes first.
    """
    order = list(KINDS.values())
    sizes = [document.resource.ByteSize() for document in documents]
    if len(documents) <= LARGEST_PART and sum(sizes) <= LARGEST_PART_BYTES:
        yield list(documents)
        return
    part: list[Document] = []
    size = 0
    for document in sorted(
        documents, key=lambda each: order.index(each.resource.WhichOneof("resource") or "")
    ):
        own = document.resource.ByteSize()
        if part and (len(part) == LARGEST_PART or size + own > LARGEST_PART_BYTES):
            yield part
            part, size = [], 0
        part.append(document)
        size += own
    yield part


def show(changes: Sequence[registry_pb2.ResourceChange], *, title: str = "") -> None:
    """The difference for a person."""
    console = Console(highlight=False)
    counts = {CREATE: 0, UPDATE: 0}
    for change in changes:
        if change.action not in counts:
            continue
        counts[change.action] += 1
        new = change.action == CREATE
        line = Text(f"{'+' if new else '~'} {change.kind} {change.id}", style="green" if new else "yellow")
        line.append(f"  version {change.version}", style="dim")
        console.print(line)
        for each in change.differences:
            before = "" if new else f"{each.before or 'nothing'} → "
            console.print(Text(f"    {each.field}: {before}{each.after or 'nothing'}"))
    unchanged = len(changes) - sum(counts.values())
    summary = f"{title}{counts[CREATE]} to create, {counts[UPDATE]} to change, {unchanged} as they are."
    console.print(Text(summary, style="bold"))
