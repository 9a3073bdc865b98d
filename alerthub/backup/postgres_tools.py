"""PostgreSQL's own programs, from the wheel, against any server: psql, pg_dump, pg_restore."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import asyncpg

from alerthub import postgres
from alerthub.domain.errors import Retry
from alerthub.embedded.postgres_node import program
from alerthub.settings import PostgresSettings

PIECE_BYTES = 256 * 1024


@contextmanager
def environment(settings: PostgresSettings) -> Iterator[dict[str, str]]:
    """What libpq needs to connect. The password is in a file for its owner's eyes, for as long as needed.

    Refuses an address off the loopback without an authority (S2): libpq itself would go on unencrypted.
    """
    postgres.tls_of(settings)
    with tempfile.TemporaryDirectory(prefix="alerthub-backup-") as folder:
        passwords = Path(folder) / "pgpass"
        descriptor = os.open(passwords, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            secret = settings.password().replace("\\", "\\\\").replace(":", "\\:")
            file.write(f"*:*:*:*:{secret}\n")
        variables = {
            "PGHOST": settings.host,
            "PGPORT": str(settings.port),
            "PGUSER": settings.role,
            "PGPASSFILE": str(passwords),
            "PGCONNECT_TIMEOUT": "10",
            "LC_ALL": "C",
        }
        if settings.ca_file is not None:
            variables |= {"PGSSLMODE": "verify-full", "PGSSLROOTCERT": str(settings.ca_file)}
        yield variables


def execute(
    settings: PostgresSettings, sql: str, *, database: str, values: Mapping[str, str] | None = None
) -> list[str]:
    """Runs SQL in psql and returns its lines. `values` are psql's variables: `:'name'` in the text.

    Raises Retry with the server's first line, which holds no row's content in what is run here.
    """
    command = [str(program("psql")), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", database]
    for name, value in (values or {}).items():
        command += ["-v", f"{name}={value}"]
    with environment(settings) as variables:
        done = subprocess.run(command, input=sql.encode(), capture_output=True, env=variables, check=False)
    if done.returncode != 0:
        raise Retry(f"PostgreSQL refused: {_first_line(done.stderr)}")
    return done.stdout.decode().splitlines()


async def connect(settings: PostgresSettings) -> asyncpg.Connection:
    """A session of the administrator, for as long as a snapshot is needed. Raises Retry, or Refuse for an
    address off the loopback without an authority (S2)."""
    tls = postgres.tls_of(settings)
    try:
        return await asyncpg.connect(
            host=settings.host,
            port=settings.port,
            user=settings.role,
            password=settings.password() or None,
            database=settings.database,
            ssl=tls,
            timeout=10,
        )
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        raise Retry(f"PostgreSQL does not let the backup in: {type(error).__name__}") from None


@contextmanager
def dumping(settings: PostgresSettings, arguments: list[str]) -> Iterator[Iterator[bytes]]:
    """The pieces of pg_dump's output. Raises Retry at the end where it failed."""
    command = [str(program("pg_dump")), "--no-password", *arguments, "-d", settings.database]
    with environment(settings) as variables, tempfile.TemporaryFile() as errors:
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, env=variables) as process:
            out = process.stdout
            if out is None:
                raise RuntimeError("pg_dump has no output")
            try:
                yield iter(lambda: out.read(PIECE_BYTES), b"")
            except BaseException:
                process.kill()
                raise
            code = process.wait()
        if code != 0:
            errors.seek(0)
            raise Retry(f"pg_dump failed: {_first_line(errors.read())}")


def restore(settings: PostgresSettings, pieces: Iterator[bytes], *, database: str) -> None:
    """Feeds pg_restore. Nothing is left of a restore that fails in the middle but an unused database."""
    command = [str(program("pg_restore")), "--no-password", "--exit-on-error", "--single-transaction"]
    with environment(settings) as variables, tempfile.TemporaryFile() as errors:
        with subprocess.Popen(
            [*command, "-d", database], stdin=subprocess.PIPE, stderr=errors, env=variables
        ) as process:
            into = process.stdin
            if into is None:
                raise RuntimeError("pg_restore has no input")
            try:
                for piece in pieces:
                    into.write(piece)
                into.close()
            except BrokenPipeError:
                pass  # it says why by its exit code
            except BaseException:
                # Its transaction is not committed before its input ends.
                process.kill()
                raise
            code = process.wait()
        if code != 0:
            errors.seek(0)
            raise Retry(f"pg_restore failed: {_first_line(errors.read())}")


def _first_line(text: bytes) -> str:
    # More could repeat a row.
    return text.decode("utf-8", "replace").strip().partition("\n")[0][:300]
