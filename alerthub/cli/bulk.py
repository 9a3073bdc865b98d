"""`alerthub import devices|units|shifts FILE.csv` and `alerthub export …`: a whole city from a spreadsheet,
after a look at what it would change."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import grpc
import typer

from alerthub import resource_wire
from alerthub.activation import until_in_force
from alerthub.api.v1 import registry_pb2
from alerthub.cli.apply import APPLY_SECONDS, LARGEST_PART, LARGEST_PART_BYTES, LONGEST_WAIT_MS
from alerthub.cli.bulk_columns import LAYOUTS, Layout, Reading, check_reading, column_at_fault, read_row
from alerthub.cli.bulk_view import ImportView, show_problems
from alerthub.cli.context import (
    CALL_SECONDS,
    DEFAULT_DATA,
    DataOption,
    JsonOption,
    fail,
    run,
)
from alerthub.cli.csv_table import Problems, Row, Table, read_table, write_table
from alerthub.cli.registry_calls import OptionalAccount, registry
from alerthub.domain.bulk_changes import BulkPlan, faults, in_parts, plan_bulk
from alerthub.domain.datum import Datum
from alerthub.domain.errors import Refuse
from alerthub.domain.resource_changes import Current
from alerthub.domain.resources import Key, Kind, LifeStatus, Resource, key_of
from alerthub.grpc_validation import violations_of

imports = typer.Typer(
    help="Set up many devices, units or shifts from a CSV file. The difference is shown first.",
    no_args_is_help=True,
)
exports = typer.Typer(help="Write devices, units or shifts to a CSV file.", no_args_is_help=True)

PART = 1_000
"""Resources that one transaction applies: about a second, so that others are served in between."""
PAGE = 250
"""Resources that one answer lists: devices carry their authorisations with them."""

File = Annotated[Path, typer.Argument(help="CSV with a first line of column names, English or Chinese.")]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="Otherwise standard output.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would change, change nothing.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Prune = Annotated[bool, typer.Option("--prune", help="Remove what is in force and not in the file.")]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Return when it is in force.")]
Encoding = Annotated[str, typer.Option("--encoding", help="utf-8 or gb18030. Otherwise found out.")]
EveryLine = Annotated[bool, typer.Option("--all", help="Show every line of the difference.")]
DatumOption = Annotated[
    str,
    typer.Option("--datum", help="wgs-84, or gcj-02, which is converted: of a file without a column datum."),
]


def register(app: typer.Typer) -> None:
    """Adds `import` and `export`."""
    app.add_typer(imports, name="import")
    app.add_typer(exports, name="export")


@imports.command("devices")
def import_devices(
    file: File,
    *,
    dry_run: DryRun = False,
    yes: Yes = False,
    prune: Prune = False,
    datum: DatumOption = "",
    wait: Wait = True,
    encoding: Encoding = "",
    every_line: EveryLine = False,
    account: OptionalAccount = "",
    data: DataOption = DEFAULT_DATA,
    as_json: JsonOption = False,
) -> None:
    """Add and change devices from a CSV file. Nothing is changed when any line is wrong.

    alerthub import devices cameras.csv --datum gcj-02 --dry-run

    alerthub import devices cameras.csv --datum gcj-02 --yes
    """
    asked = _Asked("devices", file, dry_run, yes, prune, wait, encoding, every_line)
    _import(asked, _reading(datum, "", as_json=as_json), account, data, as_json=as_json)


@imports.command("units")
def import_units(
    file: File,
    *,
    dry_run: DryRun = False,
    yes: Yes = False,
    prune: Prune = False,
    datum: DatumOption = "",
    wait: Wait = True,
    encoding: Encoding = "",
    every_line: EveryLine = False,
    account: OptionalAccount = "",
    data: DataOption = DEFAULT_DATA,
    as_json: JsonOption = False,
) -> None:
    """Add and change units from a CSV file. Nothing is changed when any line is wrong.

    alerthub import units units.csv --datum wgs-84
    """
    asked = _Asked("units", file, dry_run, yes, prune, wait, encoding, every_line)
    _import(asked, _reading(datum, "", as_json=as_json), account, data, as_json=as_json)


@imports.command("shifts")
def import_shifts(
    file: File,
    *,
    dry_run: DryRun = False,
    yes: Yes = False,
    prune: Prune = False,
    zone: Annotated[
        str, typer.Option("--time-zone", help="Of times without an offset, such as Asia/Shanghai.")
    ] = "",
    wait: Wait = True,
    encoding: Encoding = "",
    every_line: EveryLine = False,
    account: OptionalAccount = "",
    data: DataOption = DEFAULT_DATA,
    as_json: JsonOption = False,
) -> None:
    """Add and change shifts from a roster in CSV. --prune removes those that the roster has no more, from its
    first beginning to its last end.

    alerthub import shifts roster.csv --time-zone Asia/Shanghai --prune
    """
    asked = _Asked("shifts", file, dry_run, yes, prune, wait, encoding, every_line)
    _import(asked, _reading("", zone, as_json=as_json), account, data, as_json=as_json)


def _export_command(what: str) -> Callable[..., None]:
    def command(
        *,
        output: Output = None,
        account: OptionalAccount = "",
        data: DataOption = DEFAULT_DATA,
    ) -> None:
        async def work() -> str:
            async with registry(data, account) as stub:
                found = await list_resources(stub, [LAYOUTS[what].kind])
            return table_of(LAYOUTS[what], [known.resource for known in found.values()])

        write_text(run(work()), output)

    command.__doc__ = f"Write the {what} as `alerthub import {what}` reads them. Positions are in WGS 84."
    return command


for _what in LAYOUTS:
    exports.command(_what)(_export_command(_what))


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the person wants done with which file."""

    what: str
    file: Path
    dry_run: bool
    yes: bool
    prune: bool
    wait: bool
    encoding: str
    every_line: bool

    @property
    def layout(self) -> Layout:
        return LAYOUTS[self.what]


@dataclass(frozen=True, slots=True)
class _FromFile:
    """The file's resources with the rows that they came from."""

    table: Table
    resources: tuple[Resource, ...]
    rows: Mapping[Key, Row]


def _reading(datum: str, zone: str, *, as_json: bool) -> Reading:
    known = {each.value: each for each in Datum}
    if datum and datum.lower() not in known:
        fail(Refuse("--datum", f"one of {', '.join(known)}"), as_json=as_json)
    try:
        time_zone = ZoneInfo(zone) if zone else None
    except (ZoneInfoNotFoundError, ValueError):
        fail(Refuse("--time-zone", "the name of a time zone, such as Asia/Shanghai"), as_json=as_json)
    return Reading(known.get(datum.lower()), time_zone)


def _import(asked: _Asked, reading: Reading, account: str, data: Path, *, as_json: bool) -> None:
    view = ImportView(asked.what, as_json=as_json, every_line=asked.every_line)
    if as_json and not (asked.yes or asked.dry_run):
        fail(Refuse("--json", "with --yes or --dry-run, since there is nobody to ask"), as_json=True)

    async def work() -> int:
        problems = Problems()
        found = read_file(asked.file, asked.layout, reading, problems, encoding=asked.encoding)
        view.show_reading(found.table, reading.datum if asked.layout.has_positions else None)
        async with registry(data, account) as stub:
            kinds = [asked.layout.kind, *asked.layout.needs, *(asked.layout.used_by if asked.prune else ())]
            current = await list_resources(stub, kinds)
            bulk = plan_bulk(found.resources, current, prune=asked.prune)
            _find_faults(asked.layout, bulk, current, found, problems)
            if problems.count:
                return show_problems(problems, as_json=as_json)
            view.show_plan(bulk)
            if asked.dry_run or not bulk.changing:
                return view.end(bulk, applied=not asked.dry_run)
            if not asked.yes and not typer.confirm("Apply?", err=True):
                return 1
            parts = in_parts(
                bulk, current, size=PART, largest=LARGEST_PART, weight=_weight, heaviest=LARGEST_PART_BYTES
            )
            active_from_ms = await _apply(stub, parts, view)
        if asked.wait:
            await until_in_force(active_from_ms, longest_wait_ms=LONGEST_WAIT_MS)
        return view.end(bulk, applied=True)

    raise typer.Exit(run(work(), as_json=as_json))


def read_file(
    path: Path, layout: Layout, reading: Reading, problems: Problems, *, encoding: str = ""
) -> _FromFile:
    """The resources of a file, each id once. Raises Refuse for a file that is no such table."""
    table = read_table(path, layout.columns, problems, encoding=encoding)
    check_reading(layout, table.columns, reading)
    rows: dict[Key, Row] = {}
    resources = []
    for row in table.rows:
        resource = read_row(layout, row, problems, reading)
        if resource is None:
            continue
        key = key_of(resource)
        if key in rows:
            problems.add(row.line, layout.columns[0].title, None, f"an id of its own: line {rows[key].line}")
            continue
        rows[key] = row
        resources.append(resource)
    return _FromFile(table, tuple(resources), rows)


def write_text(text: str, output: Path | None) -> None:
    """To the file, for its owner's eyes, or to standard output."""
    if output is None:
        typer.echo(text, nl=False)
        return
    try:
        descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    except OSError as error:
        fail(Refuse("--output", f"a file that can be written ({type(error).__name__})"))
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
        file.write(text)


def table_of(layout: Layout, resources: Iterable[Resource]) -> str:
    """The resources that are not removed, as `read_file` reads them, by id."""
    there = [each for each in resources if key_of(each).kind is layout.kind]
    rows = [
        layout.write(each)
        for each in sorted(there, key=lambda each: key_of(each).id)
        if each.status is not LifeStatus.REMOVED
    ]
    return write_table([column.name for column in layout.columns], rows)


async def list_resources(stub: Any, kinds: Sequence[Kind]) -> dict[Key, Current]:
    """The newest version of every resource of these kinds, as it was declared."""
    found: dict[Key, Current] = {}
    for kind in dict.fromkeys(kinds):
        request = registry_pb2.ListResourcesRequest(kind=kind.value, page_size=PAGE)
        while True:
            try:
                answer = await stub.ListResources(request, timeout=CALL_SECONDS)
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED or request.page_size == 1:
                    raise
                # An authorisation of a whole city fills an answer alone.
                request.page_size = request.page_size // 4 or 1
                continue
            for message in answer.resources:
                resource = resource_wire.from_published(message)
                version = getattr(message, message.WhichOneof("resource") or "").version
                found[key_of(resource)] = Current(version, resource)
            if not answer.next_page_token:
                break
            request.page_token = answer.next_page_token
    return found


def _find_faults(
    layout: Layout, bulk: BulkPlan, current: Mapping[Key, Current], found: _FromFile, problems: Problems
) -> None:
    """Tells `problems` of everything that the registry would refuse."""

    def tell(key: Key, field: str, expected: str) -> None:
        row = found.rows.get(key)
        column = column_at_fault(layout, field)
        if row is None:
            problems.add(0, "", None, f"{key.kind.value} {key.id} in the file, or: {expected}")
        elif column is None:
            problems.add(row.line, "", None, expected)
        else:
            problems.add(row.line, column.title, row.get(column.name), expected)

    told = set()
    for change in bulk.changing:
        violations = violations_of(resource_wire.to_wire(change.resource))
        for violation in violations:
            told.add(change.key)
            tell(change.key, violation.field.partition(".")[2], violation.expected)
    for fault in faults(bulk, current, now_ms=time.time_ns() // 1_000_000):
        if fault.key not in told:
            tell(fault.key, fault.refused.field, fault.refused.expected)


def _weight(resource: Resource) -> int:
    return resource_wire.to_wire(resource).ByteSize() + 8


async def _apply(stub: Any, parts: Sequence[Sequence[Resource]], view: ImportView) -> int:
    """When the last part comes into force, ms since 1970.

    Cut off in between, whole parts are in force, and the same command goes on where it ended.
    """
    active_from_ms = done = 0
    whole = sum(len(part) for part in parts)
    for part in parts:
        request = registry_pb2.ApplyResourcesRequest(
            command_id=str(uuid.uuid4()), resources=[resource_wire.to_wire(each) for each in part]
        )
        try:
            answer = await stub.ApplyResources(request, timeout=APPLY_SECONDS)
        except grpc.RpcError:
            view.show_cut_off(done, whole)
            raise
        done += len(part)
        active_from_ms = max(active_from_ms, answer.active_from_ms)
        view.show_progress(done, whole)
    return active_from_ms
