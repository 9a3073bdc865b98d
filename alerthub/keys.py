"""Keys that must end: epoch keys, hourly key pairs, the entries' key and the alerts' key (the key provider).

They live outside PostgreSQL, its write-ahead log and its backups, since a key in a backup outlives its
destruction. Only the watchlist service uses this module. `FileKeyProvider` keeps each key in a file of its
own (mode 0600 in a folder of mode 0700), which is overwritten and removed when its time has come; a hardware
or cloud key service is another implementation of `KeyProvider`.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from alerthub.domain.errors import Retry
from alerthub.durable_files import synchronise_folder
from alerthub.sealing import CannotOpenError, Recipient, generate_private_key, public_key_of
from alerthub.tokens import EPOCH_KEY_BYTES

EPOCH_LIFE_CAP_MS = 24 * 3_600_000
"""An epoch's key is destroyed at the latest this long after it was made."""

RETENTION_CAP_MS = 24 * 3_600_000
"""The longest retention of observations, so the longest life of a private key after its hour."""

_NAME = re.compile("[A-Za-z0-9][A-Za-z0-9-]{0,62}")


class KeyUnavailableError(Retry):
    """The key does not exist, was destroyed, or its store cannot be read. The text names the key, never its
    bytes."""


@dataclass(frozen=True, slots=True)
class KeyInventory:
    """What the provider holds, by name: for readiness and for `docs/retention.md`. No key bytes."""

    epochs: tuple[str, ...]
    recipients: tuple[str, ...]


class KeyProvider(Protocol):
    """Makes, gives and destroys keys. Times are milliseconds since 1970."""

    def create_epoch(self, epoch: str, *, now_ms: int, destroy_at_ms: int) -> None:
        """Makes the key of a new epoch. ValueError where it would live longer than 24 h or its name is
        taken."""

    def epoch_key(self, epoch: str, *, now_ms: int) -> bytes:
        """32 bytes. Raises KeyUnavailableError once its time has come, even where its file still waits for
        the job."""

    def destroy_epoch(self, epoch: str) -> None:
        """Destroys it now; no effect where it is gone already."""

    def create_recipient(self, *, now_ms: int, valid_until_ms: int, destroy_at_ms: int) -> Recipient:
        """Makes a key pair to which data keys are wrapped until `valid_until_ms`."""

    def recipients(self, *, now_ms: int) -> list[Recipient]:
        """Those whose private half still exists, newest last."""

    def private_key(self, key_id: str, *, now_ms: int) -> bytes:
        """The private half. Raises CannotOpenError once its time has come."""

    def entry_key(self) -> bytes:
        """32 bytes: seals the readable identifiers of entries in the database. Lives as long as the hub."""

    def alert_key(self) -> bytes:
        """32 bytes: wraps the key of each alert in the database. Lives as long as the hub."""

    def destroy_due(self, *, now_ms: int) -> list[str]:
        """Destroys every key whose time has come and returns their names."""

    def inventory(self) -> KeyInventory:
        """Names of what exists. Raises KeyUnavailableError where the store cannot be read."""


class FileKeyProvider:
    """A folder that the instances of the watchlist service share, and nobody else.

    Overwriting before removal does not reach copies that a file system or disk keeps by itself (snapshots,
    wear levelling): the folder belongs on a file system without snapshots, best in memory with a sealed
    volume behind.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for name in ("epochs", "recipients", "long-lived"):
            (folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)

    def create_epoch(self, epoch: str, *, now_ms: int, destroy_at_ms: int) -> None:
        if not now_ms < destroy_at_ms <= now_ms + EPOCH_LIFE_CAP_MS:
            raise ValueError("an epoch's key lives at most 24 h")
        key = secrets.token_bytes(EPOCH_KEY_BYTES)
        if not self._write("epochs", epoch, _Stored(key, 0, destroy_at_ms)):
            raise ValueError("an epoch of this name exists")

    def epoch_key(self, epoch: str, *, now_ms: int) -> bytes:
        stored = self._read("epochs", epoch)
        if stored is None or now_ms >= stored.destroy_at_ms:
            raise KeyUnavailableError(f"the key of epoch {_printable(epoch)} was destroyed or never existed")
        return stored.secret

    def destroy_epoch(self, epoch: str) -> None:
        self._destroy("epochs", epoch)

    def create_recipient(self, *, now_ms: int, valid_until_ms: int, destroy_at_ms: int) -> Recipient:
        if not now_ms < valid_until_ms <= destroy_at_ms <= valid_until_ms + RETENTION_CAP_MS:
            raise ValueError("a private key is destroyed at most 24 h after its last use for wrapping")
        key_id = f"r{valid_until_ms // 1000:011d}-{secrets.token_hex(4)}"
        private_key = generate_private_key()
        self._write("recipients", key_id, _Stored(private_key, valid_until_ms, destroy_at_ms))
        return Recipient(key_id, public_key_of(private_key), valid_until_ms)

    def recipients(self, *, now_ms: int) -> list[Recipient]:
        found = []
        for key_id in self._names("recipients"):
            stored = self._read("recipients", key_id)
            if stored is not None and now_ms < stored.destroy_at_ms:
                found.append(Recipient(key_id, public_key_of(stored.secret), stored.valid_until_ms))
        return sorted(found, key=lambda recipient: (recipient.valid_until_ms, recipient.key_id))

    def private_key(self, key_id: str, *, now_ms: int) -> bytes:
        stored = self._read("recipients", key_id)
        if stored is None or now_ms >= stored.destroy_at_ms:
            raise CannotOpenError("the private key of that hour was destroyed or never existed")
        return stored.secret

    def entry_key(self) -> bytes:
        return self._long_lived("entry")

    def alert_key(self) -> bytes:
        return self._long_lived("alert")

    def destroy_due(self, *, now_ms: int) -> list[str]:
        destroyed = []
        for kind in ("epochs", "recipients"):
            for name in self._names(kind):
                stored = self._read(kind, name)
                if stored is not None and now_ms >= stored.destroy_at_ms:
                    self._destroy(kind, name)
                    destroyed.append(name)
        return destroyed

    def inventory(self) -> KeyInventory:
        return KeyInventory(epochs=tuple(self._names("epochs")), recipients=tuple(self._names("recipients")))

    def _long_lived(self, name: str) -> bytes:
        stored = self._read("long-lived", name)
        if stored is None:
            # Another instance may be first: whoever loses reads what the winner wrote.
            self._write("long-lived", name, _Stored(secrets.token_bytes(32), 0, 0))
            stored = self._read("long-lived", name)
        if stored is None:
            raise KeyUnavailableError(f"the long-lived key {name} cannot be read")
        return stored.secret

    def _names(self, kind: str) -> list[str]:
        try:
            return sorted(path.stem for path in (self._folder / kind).glob("*.key"))
        except OSError as error:
            raise KeyUnavailableError(f"the key folder {kind} cannot be read") from error

    def _path(self, kind: str, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise KeyUnavailableError(f"{_printable(name)} is no name of a key")
        return self._folder / kind / f"{name}.key"

    def _read(self, kind: str, name: str) -> _Stored | None:
        path = self._path(kind, name)
        try:
            return _Stored.from_bytes(path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, binascii.Error) as error:
            raise KeyUnavailableError(f"the key {name} of {kind} cannot be read") from error

    def _write(self, kind: str, name: str, stored: _Stored) -> bool:
        """Writes a key that appears whole or not at all; False where one of the name exists."""
        path = self._path(kind, name)
        temporary = path.with_name(f"{path.name}.{secrets.token_hex(6)}.new")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(stored.to_bytes())
                file.flush()
                os.fsync(file.fileno())
            os.link(temporary, path)
        except FileExistsError:
            return False
        finally:
            temporary.unlink()
            synchronise_folder(path.parent)
        return True

    def _destroy(self, kind: str, name: str) -> None:
        path = self._path(kind, name)
        try:
            with path.open("r+b") as file:
                file.write(bytes(path.stat().st_size))
                file.flush()
                os.fsync(file.fileno())
            path.unlink()
        except FileNotFoundError:
            return  # another instance was first
        synchronise_folder(path.parent)


@dataclass(frozen=True, slots=True, repr=False)
class _Stored:
    secret: bytes
    valid_until_ms: int
    destroy_at_ms: int
    """0: never."""

    def to_bytes(self) -> bytes:
        return json.dumps(
            {
                "secret": base64.b64encode(self.secret).decode(),
                "valid_until_ms": self.valid_until_ms,
                "destroy_at_ms": self.destroy_at_ms,
            }
        ).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> _Stored:
        content = json.loads(data)
        return cls(
            secret=base64.b64decode(content["secret"], validate=True),
            valid_until_ms=int(content["valid_until_ms"]),
            destroy_at_ms=int(content["destroy_at_ms"]),
        )


def _printable(name: str) -> str:
    """Names of keys come over the wire too: what is no name is not repeated."""
    return name if _NAME.fullmatch(name) else "(not a name)"
