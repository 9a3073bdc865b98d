"""Restoring: a new database beside the old one, put in its place at once, and everything else around it.

What it leaves in each schema's audit log is the event from which the chain goes on, and by which a service
knows at its start that it must ask its topics for what they know newer (C19).
"""

from __future__ import annotations

import asyncio
import io
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from alerthub.backup import postgres_tools
from alerthub.backup.manifest import Manifest
from alerthub.backup.place import HubPlace
from alerthub.backup.verifying import backup_key, plain_pieces, verify
from alerthub.domain.errors import Conflict, Refuse
from alerthub.domain.restores import RESTORED, Restore, detail_of, subject_of
from alerthub.embedded.folder import write_file
from alerthub.evidence import EvidenceStore
from alerthub.provision.database import ADMINISTRATOR, ROLES
from alerthub.settings import PostgresSettings

Progress = Callable[[str], None]

ACTOR = "command:alerthub-restore"
MAXIMUM_FILE_BYTES = 512 * 1024 * 1024
"""Of one file in an archive: a witness file of sixty years is smaller."""
_UNREADABLE = "its identifiers cannot be opened: the key that sealed them is not here"


@dataclass(frozen=True, slots=True)
class Wish:
    """What whoever restores has said, in so many words."""

    replace: bool = False
    """The database holds what is newer than the backup, and that may go."""
    topics_lost: bool = False
    """Kafka's topics are gone too: withdrawals since the backup are known to nobody."""
    without_entry_key: bool = False
    """The key that sealed entries' identifiers is gone: entries that are open end."""
    expired: bool = False
    """The backup's time is over, and there is no other."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What was done."""

    manifest: Manifest
    pictures: int
    ended_entries: int


def check(
    folder: Path, *, private_key: bytes, authority_pem: bytes | None, wish: Wish, progress: Progress
) -> tuple[Manifest, bytes]:
    """Everything that can be asked of the backup itself: its manifest and key, or a refusal."""
    manifest = verify(folder, private_key=private_key, authority_pem=authority_pem, progress=progress)
    if manifest.expires_at_ms <= time.time_ns() // 1_000_000 and not wish.expired:
        raise Refuse(
            "--expired",
            "a backup whose time is not over: this one holds what the hub has forgotten since. Give --expired"
            " if there is no younger one, and end this one afterwards",
        )
    return manifest, backup_key(manifest, private_key)


def restore_identity(folder: Path, key: bytes, place: HubPlace) -> None:
    """Puts the authority and the Digest key where there are none. Refuses another hub's place."""
    found = dict(_files(folder, "identity", key))
    for name, path in place.identity_files().items():
        content = found.get(name)
        if content is None:
            raise Refuse("identity", f"a backup with {name}")
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_file(path, content.decode("ascii"), mode=0o644 if name.endswith(".pem") else 0o600)
        elif path.read_bytes() != content:
            raise Conflict("--data", f"a place of the same hub: its {name} is another's")


async def restore(
    folder: Path, manifest: Manifest, key: bytes, place: HubPlace, *, wish: Wish, progress: Progress
) -> Restored:
    """Restores database, pictures and witness. The old database stays until the new one is whole.

    Raises Refuse or Conflict with what to say to go on; Retry, and then the same command can run again.
    """
    await asyncio.to_thread(_check_place, place, manifest, wish)
    temporary = f"{place.postgres.database}_restoring"
    await asyncio.to_thread(_restore_database, folder, key, place, temporary, progress)
    progress("recording the restore in each audit log")
    ended = await asyncio.to_thread(_record, place, manifest, temporary, wish)
    pictures = await _restore_evidence(folder, key, place, progress)
    _restore_witness(folder, key, place)
    progress("putting the restored database in the place of the old one")
    await asyncio.to_thread(_swap, place, temporary)
    return Restored(manifest, pictures, ended)


def _check_place(place: HubPlace, manifest: Manifest, wish: Wish) -> None:
    postgres, database = place.postgres, place.postgres.database
    roles = ",".join(f"'{role}'" for role in ROLES)
    present = _ask(postgres, f"SELECT rolname FROM pg_roles WHERE rolname IN ({roles})")  # noqa: S608
    if set(present) != set(ROLES):
        raise Refuse("PostgreSQL", f"a server with the roles {', '.join(ROLES)}")
    busy = _ask(
        postgres,
        f"SELECT DISTINCT usename FROM pg_stat_activity WHERE usename IN ({roles}) AND datname = :'name'",  # noqa: S608
        name=database,
    )
    if busy:
        raise Conflict("hub", f"a hub that is stopped: {', '.join(busy)} is connected to its database")
    if not wish.without_entry_key and place.entry_key_check() != manifest.entry_key_check:
        raise Refuse(
            "--without-entry-key",
            f"the key that sealed the entries' identifiers, in {place.keys}/long-lived: put that folder back."
            " A backup never holds it. If it is lost, give --without-entry-key: every open entry then ends"
            " and must be entered again",
        )
    if not _ask(postgres, "SELECT datname FROM pg_database WHERE datname = :'name'", name=database):
        return
    for schema in manifest.schemas:
        [table] = postgres_tools.execute(
            postgres, f"SELECT to_regclass('{schema.schema}.audit_entry') IS NOT NULL;", database=database
        )
        if table != "t":
            continue
        [newest] = postgres_tools.execute(
            postgres,
            f"SELECT coalesce(max(time_ms), 0) FROM {schema.schema}.audit_entry;",  # noqa: S608
            database=database,
        )
        if int(newest) > schema.newest_audit_ms and not wish.replace:
            raise Conflict(
                "--replace",
                f"a database that holds nothing newer than the backup: the audit log of {schema.schema} does."
                " Give --replace to give that up",
            )


def _restore_database(folder: Path, key: bytes, place: HubPlace, temporary: str, progress: Progress) -> None:
    progress("restoring the database")
    quoted = _identifier(temporary)
    postgres_tools.execute(
        place.postgres,
        f"SET client_min_messages = warning; DROP DATABASE IF EXISTS {quoted} WITH (FORCE);"
        f"CREATE DATABASE {quoted} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C';",
        database=ADMINISTRATOR,
    )
    with plain_pieces(folder, "database", key) as pieces:
        postgres_tools.restore(place.postgres, pieces, database=temporary)
    rights = [f"REVOKE ALL ON DATABASE {quoted} FROM PUBLIC;", "REVOKE ALL ON SCHEMA public FROM PUBLIC;"]
    rights += [f"GRANT CONNECT ON DATABASE {quoted} TO {role};" for role in ROLES]
    postgres_tools.execute(place.postgres, "".join(rights), database=temporary)


def _record(place: HubPlace, manifest: Manifest, temporary: str, wish: Wish) -> int:
    """One row a service, and one for each entry that ends for want of its key; returns how many ended."""
    statements = ["BEGIN;"]
    values = {"actor": ACTOR, "subject": subject_of(manifest.backup_id), "action": RESTORED}
    for schema in manifest.schemas:
        values[f"detail_{schema.schema}"] = detail_of(
            Restore(
                manifest.backup_id, manifest.taken_at_ms, schema.last_link, topics_kept=not wish.topics_lost
            )
        )
        statements.append(
            f"SET LOCAL search_path = {schema.schema};"  # noqa: S608 - names of ours
            "INSERT INTO audit_entry (time_ms, service, actor, action, subject, reason, detail)"
            f" VALUES (0, '', :'actor', :'action', :'subject', :'reason', :'detail_{schema.schema}');"
        )
    values["reason"] = "; ".join(
        said
        for said, given in (
            ("what was newer was given up", wish.replace),
            ("the topics were lost too", wish.topics_lost),
            ("the entries' key was lost too", wish.without_entry_key),
            ("the backup had expired", wish.expired),
        )
        if given
    )
    if wish.without_entry_key:
        values["unreadable"] = _UNREADABLE
        statements.append(
            "SET LOCAL search_path = watchlist;"
            "WITH ended AS (UPDATE entry SET status = 3, version = version + 1,"
            " ended_at_ms = floor(extract(epoch FROM clock_timestamp()) * 1000)"
            " WHERE status IN (1, 2) RETURNING entry_id),"
            " told AS (INSERT INTO audit_entry (time_ms, service, actor, action, subject, reason, detail)"
            " SELECT 0, '', :'actor', 'EntryWithdrawn', 'entry:' || entry_id, :'unreadable', '' FROM ended)"
            " SELECT count(*) FROM ended;"
        )
    lines = postgres_tools.execute(
        place.postgres, "\n".join([*statements, "COMMIT;"]), database=temporary, values=values
    )
    return int(lines[-1]) if wish.without_entry_key else 0


async def _restore_evidence(folder: Path, key: bytes, place: HubPlace, progress: Progress) -> int:
    evidence = EvidenceStore(place.evidence_url)
    present = set(await evidence.promoted())
    count = 0
    for name, content in _files(folder, "evidence", key):
        alert_id, _, picture_id = name.partition("/")
        if (alert_id, picture_id) not in present:
            await evidence.promote(alert_id, picture_id, content)
            count += 1
            if count % 1_000 == 0:
                progress(f"{count} pictures")
    return count


def _restore_witness(folder: Path, key: bytes, place: HubPlace) -> None:
    """Adds heads that the place lacks. What it has stays: a witness is only ever added to."""
    place.witness.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, content in _files(folder, "witness", key):
        path = place.witness / Path(name).name
        text = content.decode("utf-8")
        if not path.exists():
            write_file(path, text, mode=0o600)
            continue
        known = set(path.read_text(encoding="utf-8").splitlines())
        missing = [line for line in text.splitlines() if line not in known]
        if missing:
            with path.open("a", encoding="utf-8") as file:
                file.writelines(f"{line}\n" for line in missing)


def _swap(place: HubPlace, temporary: str) -> None:
    """Both names change in one transaction: there is always one whole database."""
    postgres, database = place.postgres, place.postgres.database
    replaced = f"{database}_replaced"
    old, new, gone = _identifier(database), _identifier(temporary), _identifier(replaced)
    quiet = "SET client_min_messages = warning;"
    renames = [f"ALTER DATABASE {new} RENAME TO {old};"]
    if _ask(postgres, "SELECT datname FROM pg_database WHERE datname = :'name'", name=database):
        renames.insert(0, f"ALTER DATABASE {old} RENAME TO {gone};")
    statements = [quiet, f"DROP DATABASE IF EXISTS {gone} WITH (FORCE);", "BEGIN;", *renames, "COMMIT;"]
    statements.append(f"DROP DATABASE IF EXISTS {gone};")
    postgres_tools.execute(postgres, "\n".join(statements), database=ADMINISTRATOR)


def _ask(postgres: PostgresSettings, sql: str, **values: str) -> list[str]:
    return postgres_tools.execute(postgres, f"{sql};", database=ADMINISTRATOR, values=values)


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _files(folder: Path, part: str, key: bytes) -> Iterator[tuple[str, bytes]]:
    """Names and contents of an archive's files. Refuses what this software does not write."""
    with plain_pieces(folder, part, key) as pieces, _archive(pieces) as archive:
        try:
            for member in archive:
                file = archive.extractfile(member) if member.isreg() else None
                if file is None or member.size > MAXIMUM_FILE_BYTES:
                    raise Refuse(part, "an archive of files of the size that the hub writes")
                yield member.name, file.read()
        except tarfile.TarError:
            raise Refuse(part, "an archive that the hub wrote") from None


@contextmanager
def _archive(pieces: Iterator[bytes]) -> Iterator[tarfile.TarFile]:
    with tarfile.open(fileobj=_Reader(pieces), mode="r|") as archive:
        yield archive


class _Reader(io.RawIOBase):
    """The pieces as a file that is read forwards."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        super().__init__()
        self._pieces = pieces
        self._waiting = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        found = [self._waiting]
        length = len(self._waiting)
        while size < 0 or length < size:
            piece = next(self._pieces, b"")
            if not piece:
                break
            found.append(piece)
            length += len(piece)
        joined = b"".join(found)
        end = length if size < 0 else size
        self._waiting = joined[end:]
        return joined[:end]
