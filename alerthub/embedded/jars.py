"""Kafka's jars: fetched once into the user's cache, each held against a committed sha256.

`kafka-jars.lock` names every jar (tools/lock_kafka_jars.py wrote it), so nothing is resolved at run time
and a jar that is not the one of the lock never reaches a class path.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from alerthub.domain.errors import Refuse, Retry

KAFKA_VERSION = "4.3.1"
LOCK_FILE = Path(__file__).with_name("kafka-jars.lock")

Progress = Callable[[str], None]
"""Is told, in one short line for a person, what is being waited for."""


@dataclass(frozen=True, slots=True)
class LockedJar:
    """One jar of the lock: Maven coordinates and the sha256 of its bytes in hexadecimal."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def file_name(self) -> str:
        return f"{self.artifact}-{self.version}.jar"


def cache_folder() -> Path:
    """Where downloads are kept between hubs: `$XDG_CACHE_HOME/alerthub`, by default `~/.cache/alerthub`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "alerthub"


def locked_jars(lock_file: Path = LOCK_FILE) -> tuple[LockedJar, ...]:
    """The jars of the lock. Refuses a lock whose kafka-clients is not the broker's version.

    A second logging end point makes Maven resolve another kafka-clients, with which the broker does not
    start.
    """
    jars = []
    for line in lock_file.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            coordinates, sha256 = line.split()
            group, artifact, version = coordinates.split(":")
            jars.append(LockedJar(group, artifact, version, sha256))
    for artifact in ("kafka_2.13", "kafka-clients"):
        versions = [jar.version for jar in jars if jar.artifact == artifact]
        if versions != [KAFKA_VERSION]:
            raise Refuse(lock_file.name, f"{artifact} in version {KAFKA_VERSION}, once")
    return tuple(jars)


def class_path(jars: tuple[LockedJar, ...], *, cache: Path, progress: Progress) -> str:
    """A Java class path of exactly these jars, fetching what the cache lacks.

    Every jar's bytes are hashed at each call (54 MB: a tenth of a second). A cached jar that differs is
    fetched again; a fetched one that differs is deleted and raises `Refuse`. Raises `Retry` when it cannot
    be fetched.
    """
    folder = cache / "maven"
    paths = []
    for number, jar in enumerate(jars, start=1):
        path = _path(folder, jar)
        if not path.is_file() or _sha256(path) != jar.sha256:
            path.unlink(missing_ok=True)
            progress(f"fetching Kafka's jars: {number} of {len(jars)} ({jar.file_name})")
            _fetch(folder, jar)
            if _sha256(path) != jar.sha256:
                path.unlink(missing_ok=True)
                raise Refuse(jar.file_name, "the sha256 of kafka-jars.lock; the fetched file was deleted")
        paths.append(str(path))
    return os.pathsep.join(paths)


def missing_jars(jars: tuple[LockedJar, ...], *, cache: Path) -> list[str]:
    """The names of locked jars that the cache does not hold with the right bytes."""
    paths = [(jar, _path(cache / "maven", jar)) for jar in jars]
    return [jar.file_name for jar, path in paths if not path.is_file() or _sha256(path) != jar.sha256]


def _path(folder: Path, jar: LockedJar) -> Path:
    return folder.joinpath(*jar.group.split("."), jar.artifact, jar.version, jar.file_name)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fetch(folder: Path, jar: LockedJar) -> None:
    from jgo.maven import MavenContext  # costs half a second, and only a first start needs it

    context = MavenContext(repo_cache=folder, timeout=60)
    artifact = context.project(jar.group, jar.artifact).at_version(jar.version).artifact()
    last: Exception | None = None
    for _ in range(3):
        try:
            artifact.resolve()
        except (OSError, RuntimeError, AssertionError) as error:
            # An interrupted download leaves a part behind that jgo would take for the whole.
            _path(folder, jar).unlink(missing_ok=True)
            last = error
        else:
            return
    raise Retry(f"{jar.file_name} could not be fetched from Maven Central: {type(last).__name__}") from last
