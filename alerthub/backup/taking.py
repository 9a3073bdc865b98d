"""Taking a backup: the database in one snapshot of all schemas, the pictures of alerts, the witness, and what
makes the hub itself.

Never in it: what waits in streaming topics, the pictures that wait, and every key of the key provider
(docs/adr: what is a key).
"""

from __future__ import annotations

import asyncio
import base64
import io
import os
import secrets
import shutil
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from alerthub.backup import postgres_tools
from alerthub.backup.keeper_keys import fingerprint
from alerthub.backup.manifest import (
    DAY_MS,
    FILE_NAME,
    KEPT_DAYS_CAP,
    KEY_ID,
    Manifest,
    Part,
    SchemaState,
    read,
)
from alerthub.backup.place import HubPlace
from alerthub.backup.sealed_stream import SealingWriter, part_key
from alerthub.domain.errors import Refuse
from alerthub.durable_files import synchronise_folder
from alerthub.embedded.folder import write_file
from alerthub.evidence import EvidenceStore
from alerthub.provision.database import ROLES
from alerthub.sealing import DATA_KEY_ID_BYTES, Recipient, wrap

Progress = Callable[[str], None]

DEFAULT_KEPT_DAYS = 14
_PREFIX, _UNFINISHED = "alerthub-", ".partial"
_LEFT_OVER_MS = DAY_MS

WITHOUT_ROWS = (
    # On its way to Kafka, like a streaming topic: what the topics lack is published again from the tables.
    "*.outbox",
    # Read again from the topics, whole.
    "dispatch.topic_position",
    # Who is connected, and who is signed in. A session or a code that was ended must not come back.
    "dispatch.connection",
    "watchlist.gateway_report",
    "registry.person_session",
    "registry.enrolment_code",
)
"""Tables of which a backup has the definition alone."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A backup that is whole."""

    folder: Path
    manifest: Manifest
    ended: tuple[str, ...]
    """Names of older ones whose time was over, and which are gone."""


async def take(place: HubPlace, to: Path, public_key: bytes, *, kept_days: int, progress: Progress) -> Taken:
    """Writes a backup below `to` and ends those there whose time is over.

    A folder that is being written has another name and no manifest. Raises Refuse, Retry, OSError; then
    nothing of it is left.
    """
    if not 1 <= kept_days <= KEPT_DAYS_CAP:
        raise Refuse("--keep-days", f"from 1 to {KEPT_DAYS_CAP}: a backup holds what the hub has forgotten")
    now_ms = time.time_ns() // 1_000_000
    moment = datetime.fromtimestamp(now_ms / 1000, UTC)
    backup_id = f"{moment:%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"
    unfinished = to / f"{_PREFIX}{backup_id}{_UNFINISHED}"
    await asyncio.to_thread(unfinished.mkdir, mode=0o700, parents=True)
    try:
        key = AESGCM.generate_key(256)
        writer = _Parts(unfinished, key, progress)
        schemas = await _write_parts(place, writer)
        data_key_id = os.urandom(DATA_KEY_ID_BYTES)
        wrapped = wrap(Recipient(KEY_ID, public_key, 2**62), data_key_id, key)
        manifest = Manifest(
            backup_id=backup_id,
            taken_at_ms=now_ms,
            expires_at_ms=now_ms + kept_days * DAY_MS,
            software=metadata.version("alerthub"),
            keeper=fingerprint(public_key),
            data_key_id=data_key_id.hex(),
            wrapped_key=base64.b64encode(wrapped.wrapped).decode("ascii"),
            entry_key_check=place.entry_key_check(),
            schemas=schemas,
            parts=tuple(writer.parts),
        ).signed_by(place.authority_key_file, place.ca_file)
        write_file(unfinished / FILE_NAME, manifest.to_json(), mode=0o600)
        whole = to / f"{_PREFIX}{backup_id}"
        unfinished.rename(whole)
        synchronise_folder(to)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    return Taken(whole, manifest, tuple(end_expired(to, now_ms=now_ms)))


def end_expired(folder: Path, *, now_ms: int) -> list[str]:
    """Deletes backups whose time is over, and what a killed backup left a day ago; returns their names.

    What is no backup is left alone.
    """
    ended = []
    for path in sorted(folder.glob(f"{_PREFIX}*")):
        if not path.is_dir() or path.is_symlink():
            continue
        if path.name.endswith(_UNFINISHED):
            over = path.stat().st_mtime * 1000 < now_ms - _LEFT_OVER_MS
        else:
            try:
                over = read(path).expires_at_ms <= now_ms
            except Refuse:
                over = False
        if over:
            shutil.rmtree(path)
            ended.append(path.name)
    return ended


async def _write_parts(place: HubPlace, parts: _Parts) -> tuple[SchemaState, ...]:
    evidence = EvidenceStore(place.evidence_url)
    # Listed before the snapshot: each of these belongs to an alert that the snapshot has.
    pictures = await evidence.promoted()
    schemas = await _write_database(place, parts)
    with parts.archive("evidence") as archive:
        for alert_id, picture_id in pictures:
            sealed = await evidence.get_promoted(alert_id, picture_id)
            if sealed is not None:
                _add(archive, f"{alert_id}/{picture_id}", sealed)
    with parts.archive("witness") as archive:
        for path in sorted(place.witness.glob("*.heads")):
            _add(archive, path.name, path.read_bytes())
    with parts.archive("identity") as archive:
        for name, path in place.identity_files().items():
            _add(archive, name, path.read_bytes())
    return schemas


async def _write_database(place: HubPlace, parts: _Parts) -> tuple[SchemaState, ...]:
    """Dumps all schemas as they are at one moment, and says how each stood then."""
    connection = await postgres_tools.connect(place.postgres)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            snapshot = await connection.fetchval("SELECT pg_export_snapshot()")
            schemas = tuple([await _state_of(connection, schema) for schema in ROLES])
            arguments = ["--format=custom", "--compress=1", f"--snapshot={snapshot}"]
            arguments += [f"--schema={schema}" for schema in ROLES]
            arguments += [f"--exclude-table-data={pattern}" for pattern in WITHOUT_ROWS]
            await asyncio.to_thread(_dump, place, parts, arguments)
    finally:
        await connection.close()
    return schemas


def _dump(place: HubPlace, parts: _Parts, arguments: list[str]) -> None:
    with parts.part("database") as sealing, postgres_tools.dumping(place.postgres, arguments) as pieces:
        for piece in pieces:
            sealing.write(piece)


async def _state_of(connection: Any, schema: str) -> SchemaState:
    version, newest, link = [
        await connection.fetchval(f"SELECT {what} FROM {schema}.{table}")  # noqa: S608 - names of ours
        for what, table in (
            ("max(version_num)", "schema_version"),
            ("coalesce(max(time_ms), 0)", "audit_entry"),
            ("coalesce(max(chain_index), 0)", "audit_entry"),
        )
    ]
    return SchemaState(schema, str(version), int(newest), int(link))


class _Parts:
    """The sealed files of one backup, in the order in which they are written."""

    def __init__(self, folder: Path, key: bytes, progress: Progress) -> None:
        self._folder = folder
        self._key = key
        self._progress = progress
        self.parts: list[Part] = []

    @contextmanager
    def part(self, name: str) -> Iterator[SealingWriter]:
        file_name = f"{name}.sealed"
        descriptor = os.open(self._folder / file_name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            sealing = SealingWriter(_Told(file, name, self._progress), part_key(self._key, name))
            yield sealing
            sealing.finish()
            file.flush()
            os.fsync(file.fileno())
        self.parts.append(Part(file_name, sealing.sealed_bytes, sealing.sha256))
        self._progress(f"{name}: {sealing.plain_bytes / 1e6:.1f} MB sealed")

    @contextmanager
    def archive(self, name: str) -> Iterator[tarfile.TarFile]:
        with self.part(name) as sealing, tarfile.open(fileobj=sealing, mode="w|") as archive:
            yield archive


class _Told:
    """A file that tells how far it is, every two seconds."""

    def __init__(self, file: io.BufferedWriter, name: str, progress: Progress) -> None:
        self._file = file
        self._name = name
        self._progress = progress
        self._bytes = 0
        self._told_at = time.monotonic()

    def write(self, data: bytes, /) -> int:
        self._bytes += len(data)
        if time.monotonic() - self._told_at > 2:
            self._told_at = time.monotonic()
            self._progress(f"{self._name}: {self._bytes / 1e6:.0f} MB so far")
        return self._file.write(data)


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))
