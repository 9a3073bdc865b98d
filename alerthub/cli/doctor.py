"""`alerthub doctor`: what is wrong with this hub, where, and what to do."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

import typer
from cryptography import x509

from alerthub.cli.context import DEFAULT_DATA, DataOption, JsonOption
from alerthub.embedded import processes
from alerthub.embedded.child import readiness
from alerthub.embedded.folder import HubFolder, is_running
from alerthub.embedded.jars import cache_folder, locked_jars, missing_jars

ENOUGH_DISK_BYTES = 5 * 1024**3
"""An hour of the reference city's observations and pictures, and room for PostgreSQL."""
SOON = timedelta(days=14)


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: what was looked at, whether it is right, and what it says: what, where, what to do."""

    check: str
    ok: bool
    sentence: str


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(
        "doctor", epilog="Examples:  alerthub doctor   |   alerthub doctor --data /srv/alerthub --json"
    )(doctor)


def doctor(*, data: DataOption = DEFAULT_DATA, as_json: JsonOption = False) -> None:
    """Check this machine and the hub in the data folder. Exit 1 when something is wrong."""
    findings = list(examine(HubFolder(data)))
    if as_json:
        typer.echo(json.dumps({"ok": all(f.ok for f in findings), "findings": [asdict(f) for f in findings]}))
    else:
        for finding in findings:
            typer.echo(f"{'ok  ' if finding.ok else 'BAD '} {finding.check:<24} {finding.sentence}")
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


def examine(folder: HubFolder) -> Iterator[Finding]:
    """Every check, in the order in which one would look."""
    version = ".".join(str(part) for part in sys.version_info[:3])
    yield Finding("Python", sys.version_info >= (3, 11), f"{version}; 3.11 or newer is needed")
    missing = missing_jars(locked_jars(), cache=cache_folder())
    yield Finding(
        "Kafka's jars",
        not missing,
        f"{len(missing)} are missing in {cache_folder()}: run `make setup`"
        if missing
        else f"all in {cache_folder()}",
    )
    free = shutil.disk_usage(folder.root if folder.root.exists() else folder.root.resolve().parent).free
    yield Finding(
        "disk", free >= ENOUGH_DISK_BYTES, f"{free / 1024**3:.0f} GiB free; 5 are enough for a city's hour"
    )
    if not folder.hub_file.exists():
        yield Finding(
            "hub", False, f"{folder.root} holds no hub: start one with `alerthub up --data {folder.root}`"
        )
        return
    running = is_running(folder)
    yield Finding(
        "hub",
        running,
        "running"
        if running
        else f"not running in {folder.root}: start it with `alerthub up --data {folder.root}`",
    )
    yield from _certificates(folder)
    yield from _private_files(folder)
    if running:
        yield from _processes(folder)


def _processes(folder: HubFolder) -> Iterator[Finding]:
    hub = folder.read_hub()
    kafka_port = int(hub["kafka"]["bootstrap"].rpartition(":")[2])
    for name, port in (("Kafka", kafka_port), ("PostgreSQL", int(hub["postgres"]["port"]))):
        listening = processes.is_listening(port)
        says = f"listens at 127.0.0.1:{port}" if listening else f"does not listen at 127.0.0.1:{port}"
        yield Finding(name, listening, says if listening else f"{says}; see {folder.logs}/{name.lower()}.log")
    for each in hub.get("services", []):
        reason = readiness(int(each["operations_port"]))
        yield Finding(
            f"{each['service']}-{each['instance']}",
            reason is None,
            f"ready; metrics at http://127.0.0.1:{each['operations_port']}/metrics"
            if reason is None
            else f"{reason}; see {each['log']}",
        )


def _certificates(folder: HubFolder) -> Iterator[Finding]:
    now = datetime.now(UTC)
    ends = {
        path.name: x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc
        for path in sorted(folder.pki.glob("*.pem"))
    }
    if not ends:
        yield Finding("certificates", False, f"none in {folder.pki}: start the hub again to make them")
        return
    first = min(ends, key=lambda name: ends[name])
    yield Finding(
        "certificates",
        ends[first] - now > SOON,
        f"the first to end is {first}, on {ends[first]:%Y-%m-%d}; a start of the hub renews what ends soon",
    )


def _private_files(folder: HubFolder) -> Iterator[Finding]:
    secret = [*folder.secrets.glob("*"), *folder.pki.glob("*.key"), folder.accounts_file]
    open_to_others = [path.name for path in secret if path.exists() and path.stat().st_mode & 0o077]
    yield Finding(
        "secrets",
        not open_to_others,
        f"readable by others in {folder.root}: {', '.join(open_to_others)}; run chmod 600 on them"
        if open_to_others
        else f"for {os.environ.get('USER') or 'their owner'} alone",
    )
