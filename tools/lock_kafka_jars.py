"""Writes alerthub/embedded/kafka-jars.lock: every jar that Kafka needs, with its version and sha256.

Run it by hand to take a new version of Kafka; the change of the lock is then reviewed like code.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from jgo.env import EnvironmentBuilder
from jgo.maven import MavenContext

from alerthub.embedded.jars import KAFKA_VERSION, LOCK_FILE, locked_jars

# slf4j-simple rather than log4j: with log4j-core as an end point another kafka-clients is resolved.
END_POINT = f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}+org.slf4j:slf4j-simple:1.7.36"


def main() -> None:
    """Resolves the end point from nothing and replaces the lock."""
    with tempfile.TemporaryDirectory() as folder:
        context = MavenContext(repo_cache=Path(folder) / "maven", timeout=60)
        environment = EnvironmentBuilder(context=context, cache_dir=Path(folder)).from_endpoint(END_POINT)
        lock = environment.lockfile
        if lock is None:
            raise SystemExit("jgo resolved nothing")
        lines = sorted(
            f"{jar.groupId}:{jar.artifactId}:{jar.version} {jar.sha256}" for jar in lock.dependencies
        )
    LOCK_FILE.write_text(
        f"# Written by tools/lock_kafka_jars.py from {END_POINT}\n" + "\n".join(lines) + "\n",
        encoding="utf-8",
    )
    locked_jars()


if __name__ == "__main__":
    main()
