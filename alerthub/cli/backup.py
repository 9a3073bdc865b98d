"""`alerthub backup` and `alerthub restore`: take, verify and restore an encrypted backup (C19)."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from alerthub.backup import keeper_keys, restoring, taking, verifying
from alerthub.backup.manifest import KEPT_DAYS_CAP, Manifest
from alerthub.backup.place import HubPlace, PlaceSettings
from alerthub.cli.context import DEFAULT_DATA, DataOption, JsonOption, fail
from alerthub.domain.errors import AlertHubError, Refuse, Retry
from alerthub.embedded import processes
from alerthub.embedded.folder import HubFolder, HubLock, write_file
from alerthub.embedded.postgres_node import PostgresNode
from alerthub.provision import pki
from alerthub.provision.database import ADMINISTRATOR, DATABASE
from alerthub.settings import PostgresSettings

application = typer.Typer(
    help="Take an encrypted backup, and verify one. Examples:  alerthub backup key keeper.key keeper.pub   |"
    "   alerthub backup --to /mnt/backups --key keeper.pub   |   alerthub backup verify"
    " /mnt/backups/alerthub-…",
)


AuthorityOption = Annotated[
    Path | None,
    typer.Option("--authority", help="The hub's ca.pem, kept apart. Default: that of the data folder."),
]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.add_typer(application, name="backup")
    app.command(
        "restore",
        epilog="Example:  alerthub restore /mnt/backups/alerthub-… --key keeper.key --data /srv/hub",
    )(restore)


@application.callback(invoke_without_command=True)
def backup(
    context: typer.Context,
    *,
    to: Annotated[
        Path | None, typer.Option("--to", help="The folder of backups, best on another disk.")
    ] = None,
    key: Annotated[
        Path | None, typer.Option("--key", help="The public key of whoever keeps backups: `backup key`.")
    ] = None,
    data: DataOption = DEFAULT_DATA,
    keep_days: Annotated[
        int, typer.Option(help=f"After how many days it is ended, {KEPT_DAYS_CAP} at most.")
    ] = taking.DEFAULT_KEPT_DAYS,
    as_json: JsonOption = False,
) -> None:
    """Take an encrypted backup of a running hub, and end those in the folder whose time is over."""
    if context.invoked_subcommand is not None:
        return
    try:
        if to is None or key is None:
            raise Refuse("--to, --key", "both: where backups go, and the public key that they are sealed to")
        public_key = keeper_keys.read_public(key)
        taken = asyncio.run(
            taking.take(
                _running_place(data), to, public_key, kept_days=keep_days, progress=_progress(as_json)
            )
        )
    except (AlertHubError, OSError) as error:
        _fail(error, as_json=as_json)
    answer = _answer(taken.manifest) | {"folder": str(taken.folder), "ended": list(taken.ended)}
    if as_json:
        typer.echo(json.dumps({"ok": True} | answer))
        return
    typer.echo(f"Backed up to {taken.folder}, sealed to the key {taken.manifest.keeper}.")
    typer.echo(f"It ends {_day(taken.manifest.expires_at_ms)}; ended now: {len(taken.ended)}.")


@application.command("key", epilog="Example:  alerthub backup key keeper.key keeper.pub")
def key_command(
    private_file: Annotated[Path, typer.Argument(help="The private key: never on the hub.")],
    public_file: Annotated[Path, typer.Argument(help="The public key: for the hub.")],
    as_json: JsonOption = False,
) -> None:
    """Make the key pair of whoever keeps backups. To be run on their machine, not on the hub."""
    try:
        made = keeper_keys.make_pair(private_file=private_file, public_file=public_file)
    except (AlertHubError, OSError) as error:
        _fail(error, as_json=as_json)
    if as_json:
        typer.echo(json.dumps({"ok": True, "fingerprint": made}))
    else:
        typer.echo(f"Made {private_file} and {public_file}; fingerprint {made}.")
        typer.echo(f"Without {private_file} no backup can be opened: keep two copies of it in two places.")


@application.command(
    "verify", epilog="Example:  alerthub backup verify /mnt/backups/alerthub-… --authority ca.pem"
)
def verify_command(
    folder: Annotated[Path, typer.Argument(help="One backup: a folder alerthub-….")],
    *,
    key: Annotated[
        Path | None, typer.Option("--key", help="The private key: opens every part to its end as well.")
    ] = None,
    authority: AuthorityOption = None,
    data: DataOption = DEFAULT_DATA,
    as_json: JsonOption = False,
) -> None:
    """Say whether a backup is whole and what the hub wrote. Needs no hub. Exit 2 when it is not."""
    try:
        private_key = None if key is None else keeper_keys.read_private(key)
        authority_pem = _authority(authority, data)
        manifest = verifying.verify(
            folder, private_key=private_key, authority_pem=authority_pem, progress=_progress(as_json)
        )
    except (AlertHubError, OSError) as error:
        _fail(error, as_json=as_json)
    over = manifest.expires_at_ms <= time.time_ns() // 1_000_000
    answer = _answer(manifest) | {
        "expired": over,
        "opened": private_key is not None,
        "authority_checked": authority_pem is not None,
    }
    if as_json:
        typer.echo(json.dumps({"ok": True} | answer))
        return
    typer.echo(f"Whole: backup {manifest.backup_id} of {_day(manifest.taken_at_ms)}.")
    if private_key is None:
        typer.echo("Its parts are as they were written; with --key they are opened as well.")
    if authority_pem is None:
        typer.echo("Its signature vouches for itself: give --authority to hold it to the hub's authority.")
    if over:
        typer.echo(f"Its time was over {_day(manifest.expires_at_ms)}: end it.")


def restore(
    folder: Annotated[Path, typer.Argument(metavar="FROM", help="One backup: a folder alerthub-….")],
    *,
    key: Annotated[Path, typer.Option("--key", help="The private key of whoever keeps backups.")],
    data: DataOption = DEFAULT_DATA,
    authority: AuthorityOption = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Give up what the database holds newer than the backup.")
    ] = False,
    topics_lost: Annotated[
        bool,
        typer.Option(
            "--topics-lost", help="Kafka is lost too: withdrawals since the backup are known to nobody."
        ),
    ] = False,
    without_entry_key: Annotated[
        bool,
        typer.Option("--without-entry-key", help="The key of the entries is lost: every open entry ends."),
    ] = False,
    expired: Annotated[bool, typer.Option("--expired", help="Take a backup whose time is over.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Restore a stopped hub from a backup. It starts in the state restored: see docs/backup.md."""
    wish = restoring.Wish(
        replace=replace, topics_lost=topics_lost, without_entry_key=without_entry_key, expired=expired
    )
    progress = _progress(as_json)
    try:
        authority_pem = _authority(authority, data)
        if authority_pem is None:
            raise Refuse("--authority", "the hub's ca.pem: the data folder has none to hold the backup to")
        manifest, backup_key = restoring.check(
            folder,
            private_key=keeper_keys.read_private(key),
            authority_pem=authority_pem,
            wish=wish,
            progress=progress,
        )
        with _stopped_place(data, manifest, folder, backup_key, wish) as place:
            done = asyncio.run(
                restoring.restore(folder, manifest, backup_key, place, wish=wish, progress=progress)
            )
    except (AlertHubError, OSError) as error:
        _fail(error, as_json=as_json)
    answer = _answer(manifest) | {"pictures": done.pictures, "ended_entries": done.ended_entries}
    if as_json:
        typer.echo(json.dumps({"ok": True} | answer))
        return
    typer.echo(f"Restored from backup {manifest.backup_id} of {_day(manifest.taken_at_ms)}.")
    if done.ended_entries:
        typer.echo(
            f"{done.ended_entries} entries ended, since nobody can open their identifiers: enter them again."
        )
    if topics_lost:
        typer.echo(
            f"Whatever was withdrawn or revoked after {_day(manifest.taken_at_ms)} is in force again: ask the"
            " issuing authorities before you start the hub."
        )
    typer.echo(f"Start it: alerthub up --data {data}. Then verify the audit log: docs/backup.md says how.")


def _running_place(data: Path) -> HubPlace:
    """The hub of the data folder, which has to run; else the one that the environment names."""
    folder = HubFolder(data)
    if not folder.hub_file.exists():
        return PlaceSettings().place()
    port = int(folder.read_hub()["postgres"]["port"])
    if not processes.is_listening(port):
        raise Retry(f"the hub in {data} is not running: start it with `alerthub up --data {data}`")
    return _place_of(folder, port)


@contextmanager
def _stopped_place(
    data: Path, manifest: Manifest, backup: Path, key: bytes, wish: restoring.Wish
) -> Iterator[HubPlace]:
    """The place to restore to: of the data folder, with PostgreSQL alone; or the one that the environment
    names."""
    folder = HubFolder(data)
    settings = PlaceSettings()
    if not folder.hub_file.exists() and settings.postgres.role:
        place = settings.place()
        restoring.restore_identity(backup, key, place)
        yield place
        return
    lock = HubLock(folder)
    lock.acquire()
    try:
        if not wish.topics_lost and not any(folder.kafka.glob("logs/watchlist-*")):
            raise Refuse(
                "--topics-lost",
                f"Kafka's topics in {folder.kafka}, which tell what was withdrawn since the backup. If they"
                " are lost, give --topics-lost and ask the issuing authorities",
            )
        folder.create()
        node = PostgresNode(folder, port=processes.free_ports(1)[0])
        restoring.restore_identity(backup, key, _place_of(folder, 0))
        try:
            node.start(lambda _: None)
            place = _place_of(folder, node.settings(ADMINISTRATOR).port)
            yield place
        finally:
            node.stop()
        if not folder.accounts_file.exists():
            # The accounts are the restored ones: passwords that nobody has would only mislead.
            write_file(folder.accounts_file, '{"accounts": []}\n', mode=0o600)
    finally:
        lock.release()


def _place_of(folder: HubFolder, port: int) -> HubPlace:
    return HubPlace(
        postgres=PostgresSettings(
            port=port,
            database=DATABASE,
            role=ADMINISTRATOR,
            password_file=folder.postgres_password_file(ADMINISTRATOR),
        ),
        evidence_url=folder.evidence.as_uri(),
        witness=folder.witness,
        authority_key_file=pki.authority_key_file(folder),
        ca_file=folder.ca_file,
        digest_key_file=folder.digest_key_file,
        keys=folder.keys,
    )


def _authority(named: Path | None, data: Path) -> bytes | None:
    path = named or HubFolder(data).ca_file
    if named is None and not path.exists():
        return None
    return path.read_bytes()


def _progress(as_json: bool) -> taking.Progress:
    if as_json:
        return lambda _: None
    return lambda line: typer.echo(f"  {line}", err=True)


def _answer(manifest: Manifest) -> dict[str, object]:
    return {
        "backup_id": manifest.backup_id,
        "taken_at_ms": manifest.taken_at_ms,
        "expires_at_ms": manifest.expires_at_ms,
        "keeper": manifest.keeper,
    }


def _day(time_ms: int) -> str:
    return f"{datetime.fromtimestamp(time_ms / 1000, UTC):%Y-%m-%d %H:%M UTC}"


def _fail(error: AlertHubError | OSError, *, as_json: bool) -> None:
    if isinstance(error, OSError):
        error = Retry(f"a file or disk failed: {type(error).__name__} {error.strerror or ''}".strip())
    fail(error, as_json=as_json)
