"""Kafka, PostgreSQL and the authority of one data folder, started and stopped together."""

from __future__ import annotations

import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from alerthub.domain.errors import Refuse
from alerthub.embedded import processes
from alerthub.embedded.folder import HubFolder, HubLock, random_secret
from alerthub.embedded.jars import Progress
from alerthub.embedded.kafka_node import KafkaNode
from alerthub.embedded.postgres_node import PostgresNode
from alerthub.provision import pki
from alerthub.provision.files import PROVISIONED
from alerthub.settings import KafkaSettings, PostgresSettings, TlsSettings
from alerthub.topics import TOPICS, TopicSpecification


def silent(_: str) -> None:
    """Progress for nobody."""


@dataclass(frozen=True, slots=True)
class Ports:
    """The loopback ports of the infrastructure."""

    kafka: int
    kafka_controller: int
    postgres: int


class Infrastructure:
    """What services need, in one folder: `with Infrastructure(folder) as it: ...` or start() and stop().

    Start continues what the folder holds (same topics, tables, secrets and, where still free, ports). It
    refuses a folder whose hub runs. Nothing that it starts outlives this process, even after kill -9. To be
    started on a thread that lives as long as the process: the kernel ties children to the thread that made
    them.
    """

    def __init__(
        self,
        folder: HubFolder,
        *,
        progress: Progress = silent,
        table: dict[str, TopicSpecification] | None = None,
        kafka_node: type[KafkaNode] = KafkaNode,
        postgres_node: type[PostgresNode] = PostgresNode,
    ) -> None:
        """`kafka_node` and `postgres_node`: how the two are run, where not as processes of this one."""
        self.folder = folder
        self._kafka_node = kafka_node
        self._postgres_node = postgres_node
        self._progress = progress
        self._table = TOPICS if table is None else table
        self._lock = HubLock(folder)
        self._kafka: KafkaNode | None = None
        self._postgres: PostgresNode | None = None

    @property
    def kafka(self) -> KafkaNode:
        """The running broker."""
        if self._kafka is None:
            raise RuntimeError("the infrastructure is not started")
        return self._kafka

    @property
    def postgres(self) -> PostgresNode:
        """The running database server."""
        if self._postgres is None:
            raise RuntimeError("the infrastructure is not started")
        return self._postgres

    def start(self, *, fresh: bool = False) -> None:
        """Starts everything; returns when Kafka and PostgreSQL answer. `fresh` deletes what the folder
        holds first."""
        if self.folder.hub_file.exists() and self.folder.read_hub().get("state") == PROVISIONED:
            raise Refuse("data", f"another folder; {self.folder.root} is that of a hub in containers")
        self._lock.acquire()
        try:
            if fresh:
                self.folder.empty()
            self.folder.create()
            self._progress("making certificates and secrets")
            pki.ensure_pki(self.folder, now=pki.utc_now())
            random_secret(self.folder.digest_key_file)
            ports = self._ports()
            self._postgres = self._postgres_node(self.folder, port=ports.postgres)
            self._kafka = self._kafka_node(
                self.folder, port=ports.kafka, controller_port=ports.kafka_controller, table=self._table
            )
            self._postgres.start(self._progress)
            self._kafka.start(self._progress)
            self.write_hub(state="infrastructure")
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stops what runs, cleanly, and gives the folder back. Can be called again."""
        if self._kafka is not None and self._postgres is not None and self.folder.hub_file.exists():
            self.write_hub(state="stopped")
        if self._kafka is not None:
            self._kafka.stop()
            self._kafka = None
        if self._postgres is not None:
            self._postgres.stop()
            self._postgres = None
        self._lock.release()

    def write_hub(self, **changes: Any) -> None:
        """Writes `hub.json`: what the infrastructure knows, and these changes to the rest."""
        content: dict[str, Any] = self.folder.read_hub() if self.folder.hub_file.exists() else {}
        kafka, postgres = self.kafka.settings(""), self.postgres.settings("")
        content.update(
            {
                "version": 1,
                "ca_file": str(self.folder.ca_file),
                "kafka": {
                    "bootstrap": kafka.bootstrap,
                    "controller_port": self.kafka.controller_port,
                    "pid": self.kafka.pid,
                },
                "postgres": {"host": postgres.host, "port": postgres.port, "pid": self.postgres.pid},
                "written_at": time.time(),
            },
        )
        content.update(changes)
        self.folder.write_hub(content)

    def kafka_settings(self, principal: str) -> KafkaSettings:
        """How `principal` connects to Kafka; `admin` is the administrator."""
        return self.kafka.settings(principal)

    def postgres_settings(self, role: str) -> PostgresSettings:
        """How `role` connects to PostgreSQL; `postgres` is the administrator."""
        return self.postgres.settings(role)

    def tls_settings(self, service: str) -> TlsSettings:
        """The service's certificate, its key and the authority."""
        return pki.tls_settings(self.folder, service)

    def _ports(self) -> Ports:
        """The ports of the last time, where nobody has taken one since; else free ones."""
        if self.folder.hub_file.exists():
            hub = self.folder.read_hub()
            last = [
                int(hub["kafka"]["bootstrap"].rpartition(":")[2]),
                int(hub["kafka"]["controller_port"]),
                int(hub["postgres"]["port"]),
            ]
            if all(processes.can_bind(port) for port in last):
                return Ports(*last)
        return Ports(*processes.free_ports(3))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
