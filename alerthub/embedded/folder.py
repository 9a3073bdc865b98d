"""The data folder: where everything of one hub lies, and which hub holds it now.

`hub.json` is what other programs read: addresses, ports, process ids. It holds no secret.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alerthub.domain.errors import NotFound, Refuse


@dataclass(frozen=True, slots=True)
class HubFolder:
    """Names of everything in one data folder. Nothing is created by naming it."""

    root: Path

    def __post_init__(self) -> None:
        # Kafka and the services do not run in the folder of whoever starts them: a relative path is another
        # one there.
        object.__setattr__(self, "root", self.root.absolute())

    @property
    def hub_file(self) -> Path:
        return self.root / "hub.json"

    @property
    def lock_file(self) -> Path:
        return self.root / "hub.lock"

    @property
    def pki(self) -> Path:
        return self.root / "pki"

    @property
    def ca_file(self) -> Path:
        return self.pki / "ca.pem"

    @property
    def keys(self) -> Path:
        """The key provider's folder: the watchlist service alone is told of it."""
        return self.root / "keys"

    @property
    def evidence(self) -> Path:
        return self.root / "evidence"

    @property
    def witness(self) -> Path:
        return self.root / "witness"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def secrets(self) -> Path:
        return self.root / "secrets"

    @property
    def kafka(self) -> Path:
        return self.root / "kafka"

    @property
    def postgres(self) -> Path:
        return self.root / "postgres"

    @property
    def canary(self) -> Path:
        """What persons made for the canary: it alone is told of it."""
        return self.root / "canary"

    @property
    def accounts_file(self) -> Path:
        return self.root / "accounts.json"

    @property
    def metrics_targets_file(self) -> Path:
        """Where each service is scraped, in the form of Prometheus's `file_sd_configs`."""
        return self.root / "metrics-targets.json"

    @property
    def digest_key_file(self) -> Path:
        """What gateways make Digest passwords of devices with."""
        return self.secrets / "gateway-digest.key"

    def kafka_password_file(self, principal: str) -> Path:
        return self.secrets / f"kafka-{principal}.password"

    def postgres_password_file(self, role: str) -> Path:
        return self.secrets / f"postgres-{role}.password"

    def create(self) -> None:
        """Makes the folders, open to nobody else."""
        for folder in (
            self.root,
            self.pki,
            self.keys,
            self.evidence,
            self.witness,
            self.logs,
            self.secrets,
            self.kafka,
            self.postgres,
        ):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def empty(self) -> None:
        """Deletes everything but the lock file. Refuses a folder with content that no hub made."""
        if not self.root.exists():
            return
        present = {path.name for path in self.root.iterdir()}
        if present - {self.lock_file.name} and not {self.hub_file.name, self.secrets.name} & present:
            raise Refuse("data", f"a folder that a hub made, or an empty one: {self.root} is neither")
        for path in self.root.iterdir():
            if path == self.lock_file:
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()

    def read_hub(self) -> dict[str, Any]:
        """What `hub.json` says. Raises `NotFound` where there is none."""
        try:
            content: dict[str, Any] = json.loads(self.hub_file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise NotFound(
                "data", f"the folder of a hub; {self.root} has no hub.json: start one with `alerthub up`"
            ) from None
        return content

    def write_hub(self, content: dict[str, Any]) -> None:
        """Replaces `hub.json` at once: a reader sees the old or the new, never a part."""
        write_file(self.hub_file, json.dumps(content, indent=2) + "\n", mode=0o600)


class HubLock:
    """At most one hub in a folder. The kernel gives the lock back when the process ends, however it ends."""

    def __init__(self, folder: HubFolder) -> None:
        self._folder = folder
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Refuses, with a sentence for a person, while another hub runs in the folder."""
        self._folder.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._folder.lock_file, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 32).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            raise Refuse(
                "data",
                f"a folder without a running hub; a hub (process {holder}) is already running in"
                f" {self._folder.root}: stop it with Ctrl-C, or give another folder with --data",
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def is_running(folder: HubFolder) -> bool:
    """Whether a hub holds the folder now."""
    if not folder.lock_file.exists():
        return False
    descriptor = os.open(folder.lock_file, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def write_file(path: Path, text: str, *, mode: int) -> None:
    """Writes a whole file at once with these rights, through a temporary file beside it."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), mode)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def random_secret(path: Path) -> str:
    """The secret in the file; a new one of 192 bits, for its owner's eyes, where there is none."""
    if not path.exists():
        write_file(path, secrets.token_hex(24) + "\n", mode=0o600)
    return path.read_text(encoding="utf-8").strip()
