"""Kafka and PostgreSQL in containers, behind the interface of the embedded nodes: `--backend=testcontainers`.

They are started as compose starts them (`deploy/kafka/start.sh`, `deploy/postgres/start.sh`), with as few
rights, from a share each; clients reach them through published ports of the loopback. The images are those of
compose unless ALERTHUB_KAFKA_IMAGE and ALERTHUB_POSTGRES_IMAGE name others.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer

from alerthub.domain.errors import Retry
from alerthub.embedded.folder import HubFolder, write_file
from alerthub.embedded.jars import Progress
from alerthub.embedded.kafka_node import KafkaNode
from alerthub.embedded.postgres_node import PostgresNode
from alerthub.provision import broker, database
from alerthub.provision.cluster import ensure_cluster
from alerthub.provision.containers import SHARE
from alerthub.topics import PERMISSIONS, PRINCIPALS, Permission, TopicSpecification

ROOT = Path(__file__).resolve().parents[2]
KAFKA_IMAGE = os.environ.get("ALERTHUB_KAFKA_IMAGE", "apache/kafka:4.3.1")
POSTGRES_IMAGE = os.environ.get("ALERTHUB_POSTGRES_IMAGE", "postgres:18")
START_SECONDS = 120.0
_START = "/usr/local/bin/start.sh"

# It would need an image of its own. Containers end with the session, and with an engine started for it.
testcontainers_config.ryuk_disabled = True


class Contained:
    """One server's container: killed and started again, it is the same one with the same port and data."""

    def __init__(
        self,
        image: str,
        *,
        port: int,
        share: Path,
        start: Path,
        data: Path | None = None,
        environment: dict[str, str] | None = None,
        **options: Any,
    ) -> None:
        self._made = (
            DockerContainer(image)
            .with_volume_mapping(share, SHARE)
            .with_volume_mapping(start, _START)
            .with_command(_START)
            .with_kwargs(entrypoint=["sh"], cap_drop=["ALL"], security_opt=["no-new-privileges"], **options)
        )
        # On the loopback alone, which neither with_bind_ports nor the type of its ports can say.
        self._made.ports = {f"{port}/tcp": ("127.0.0.1", port)}  # type: ignore[dict-item]
        self._made.with_envs(**(environment or {}))
        if data is not None:
            self._made.with_volume_mapping(data, "/var/lib/kafka/data", "rw")
        self._container: Any = None

    def launch(self, answers: Callable[[], bool]) -> None:
        """Starts it, the first time or again, and waits until it answers."""
        if self._container is None:
            self._container = self._made.start().get_wrapped_container()
        else:
            self._container.start()
        deadline = time.monotonic() + START_SECONDS
        while not answers():
            if not self.is_alive() or time.monotonic() > deadline:
                raise Retry(f"it did not start: {self._container.logs(tail=20).decode('utf-8', 'replace')}")
            time.sleep(0.05)

    def stop(self) -> None:
        if self._container is not None:
            self._container.stop(timeout=20)
            self._made.stop()
            self._container = None

    def kill(self) -> None:
        if self.is_alive():
            self._container.kill()
            self._container.wait()

    def is_alive(self) -> bool:
        if self._container is None:
            return False
        self._container.reload()
        return bool(self._container.status == "running")

    @property
    def pid(self) -> int:
        return int(self._container.attrs["State"]["Pid"]) if self.is_alive() else 0


class ContainerKafka(KafkaNode):
    """The broker in a container. Its data lies in the hub's folder, where tests look for what was
    forgotten."""

    def __init__(
        self, folder: HubFolder, *, port: int, controller_port: int, table: dict[str, TopicSpecification]
    ) -> None:
        super().__init__(folder, port=port, controller_port=controller_port, table=table)
        self._share = folder.root / "shares" / "kafka"
        self._contained = Contained(
            KAFKA_IMAGE,
            port=port,
            share=self._share,
            start=ROOT / "deploy" / "kafka" / "start.sh",
            user=f"{os.geteuid()}:{os.getegid()}",
            environment={"KAFKA_RUNTIME_OPTIONS": "-Xms96m -Xmx448m -XX:TieredStopAtLevel=1"},
            data=folder.kafka,
        )

    def start(self, progress: Progress, permissions: tuple[Permission, ...] = PERMISSIONS) -> None:
        self._share.mkdir(parents=True, exist_ok=True)
        properties = broker.broker_properties(
            {name: self._password(name) for name in (broker.ADMINISTRATOR, broker.CONTROLLER)},
            port=self._port,
            controller_port=self.controller_port,
            logs="/var/lib/kafka/data/logs",
            listen_host="0.0.0.0",
            advertised=self.bootstrap,
        )
        write_file(self._share / "server.properties", properties, mode=0o600)
        arguments = broker.format_arguments(
            f"{SHARE}/server.properties",
            {name: self._password(name) for name in (broker.ADMINISTRATOR, *PRINCIPALS)},
            broker.cluster_id(uuid.uuid4()),
        )
        write_file(self._share / "format.arguments", arguments, mode=0o600)
        self.launch()
        passwords = {name: self._password(name) for name in PRINCIPALS}
        ensure_cluster(
            self.settings(broker.ADMINISTRATOR), passwords, table=self._table, permissions=permissions
        )

    def launch(self) -> None:
        self._contained.launch(self._answers)

    def stop(self) -> None:
        self._contained.stop()

    def kill(self) -> None:
        self._contained.kill()

    def is_alive(self) -> bool:
        return self._contained.is_alive()

    @property
    def pid(self) -> int:
        return self._contained.pid


class ContainerPostgres(PostgresNode):
    """The server in a container, as its image's own user, with its data in a volume."""

    def __init__(self, folder: HubFolder, *, port: int) -> None:
        super().__init__(folder, port=port)
        self._share = folder.root / "shares" / "postgres"
        self._contained = Contained(
            POSTGRES_IMAGE,
            port=port,
            share=self._share,
            start=ROOT / "deploy" / "postgres" / "start.sh",
            user="postgres",
            group_add=[os.getegid()],
        )

    def start(self, progress: Progress) -> None:
        self._share.mkdir(mode=0o750, parents=True, exist_ok=True)
        files = {
            "administrator.password": self._password(database.ADMINISTRATOR),
            "pg_hba.conf": database.access_file("host", "all"),
            "postgresql.auto.conf": f"listen_addresses = '*'\nport = {self._port}\n"
            "unix_socket_directories = ''\nmax_connections = 120\n" + database.LOGGING,
        }
        for name, text in files.items():
            write_file(self._share / name, text, mode=0o640)
        self.launch()
        self._ensure_database()

    def launch(self) -> None:
        self._contained.launch(self._answers)

    def stop(self) -> None:
        self._contained.stop()

    def kill(self) -> None:
        self._contained.kill()

    def is_alive(self) -> bool:
        return self._contained.is_alive()

    @property
    def pid(self) -> int:
        return self._contained.pid
