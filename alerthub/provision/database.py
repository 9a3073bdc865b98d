"""PostgreSQL before any service starts: a database, and a role and a schema for each service that has tables.

Every step looks first and changes only what differs, so a second run changes nothing, and whoever may do less
than a superuser is asked for no more than is missing.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from alerthub import postgres
from alerthub.domain.errors import Refuse, Retry
from alerthub.provision.changes import Change
from alerthub.settings import PostgresSettings

ROLES = ("registry", "watchlist", "dispatch")
"""A role owns the schema of its name and has no right in another."""

ADMINISTRATOR = "postgres"
DATABASE = "alerthub"
_MAINTENANCE_DATABASE = "postgres"
"""The one that exists in every cluster."""

_SCRAM_ITERATIONS = 4_096
_TIMEOUT_SECONDS = 10.0
_FORBIDDEN = ("rolsuper", "rolcreatedb", "rolcreaterole", "rolreplication", "rolbypassrls")
"""What a service's role must not be, by the column that says so."""

LOGGING = """\
password_encryption = 'scram-sha-256'
timezone = 'UTC'
log_timezone = 'UTC'
# A statement, its parameters and the detail of an error can hold an identifier: none of them is logged (S5).
log_statement = 'none'
log_min_error_statement = 'panic'
log_error_verbosity = 'terse'
log_parameter_max_length = 0
log_parameter_max_length_on_error = 0
"""
"""What every server of the hub is configured with, wherever it runs."""


def access_file(connection: str, address: str) -> str:
    """`pg_hba.conf`: the hub's roles in its database, the administrator everywhere, nobody else anywhere.

    `connection` is `host` or `hostssl`, `address` what they may come from.
    """
    return (
        f"{connection} {DATABASE} {','.join(ROLES)} {address} scram-sha-256\n"
        f"{connection} all {ADMINISTRATOR} {address} scram-sha-256\n"
    )


async def ensure_database(administrator: PostgresSettings, passwords: Mapping[str, str]) -> list[Change]:
    """Makes roles, database, rights and schemas what they should be; `passwords` by role, one for each.

    Runs again without effect, and at the same time as another. Raises Retry when the server does not answer,
    Refuse when the administrator is not known or may not do what is needed.
    """
    for role in ROLES:
        if not passwords.get(role, "").isascii() or not passwords.get(role):
            raise Refuse(f"password of {role}", "a password of plain ASCII characters")
    async with _connected(administrator, database=_MAINTENANCE_DATABASE) as cluster:
        # Given back when the connection ends.
        await cluster.execute("SELECT pg_advisory_lock($1)", postgres.lock_number("alerthub provision"))
        changes = await _ensure_roles(cluster, passwords)
        changes += await _ensure_rights(cluster)
        async with _connected(administrator, database=DATABASE) as inside:
            changes += await _ensure_schemas(inside)
        for role in ROLES:
            if not await _admits(administrator, role, passwords[role]):
                await cluster.execute(f"ALTER ROLE {role} PASSWORD '{scram_verifier(passwords[role])}'")
                changes.append(_change(f"role {role}", "given its password"))
    return changes


def scram_verifier(password: str, *, salt: bytes | None = None) -> str:
    """What PostgreSQL keeps of an ASCII password: made here, the password reaches neither server nor log."""
    salt = secrets.token_bytes(16) if salt is None else salt
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, _SCRAM_ITERATIONS)
    client = hmac.digest(salted, b"Client Key", "sha256")
    parts = (salt, hashlib.sha256(client).digest(), hmac.digest(salted, b"Server Key", "sha256"))
    text = [base64.b64encode(part).decode("ascii") for part in parts]
    return f"SCRAM-SHA-256${_SCRAM_ITERATIONS}:{text[0]}${text[1]}:{text[2]}"


async def _ensure_roles(cluster: asyncpg.Connection, passwords: Mapping[str, str]) -> list[Change]:
    columns = ", ".join(("rolname", "rolcanlogin", "rolconfig", *_FORBIDDEN))
    rows = await cluster.fetch(f"SELECT {columns} FROM pg_roles WHERE rolname = ANY($1)", list(ROLES))  # noqa: S608 - columns are constants
    known = {row["rolname"]: row for row in rows}
    changes = []
    for role in ROLES:
        row = known.get(role)
        if row is None:
            await cluster.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{scram_verifier(passwords[role])}'")
            changes.append(_change(f"role {role}", "created"))
        else:
            wrong = [f"NO{_attribute(column)}" for column in _FORBIDDEN if row[column]]
            wrong += [] if row["rolcanlogin"] else ["LOGIN"]
            if wrong:
                await cluster.execute(f"ALTER ROLE {role} {' '.join(wrong)}")
                changes.append(_change(f"role {role}", f"changed ({', '.join(wrong)})"))
        if row is None or f"search_path={role}" not in (row["rolconfig"] or ()):
            await cluster.execute(f"ALTER ROLE {role} SET search_path = {role}")
            if row is not None:
                changes.append(_change(f"role {role}", "changed (search_path)"))
    return changes


async def _ensure_rights(cluster: asyncpg.Connection) -> list[Change]:
    changes = []
    if not await cluster.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", DATABASE):
        await cluster.execute(f"CREATE DATABASE {DATABASE}")
        changes.append(_change(f"database {DATABASE}", "created"))
    if await cluster.fetchval("SELECT has_database_privilege('public', $1, 'CONNECT, TEMPORARY')", DATABASE):
        await cluster.execute(f"REVOKE ALL ON DATABASE {DATABASE} FROM PUBLIC")
        changes.append(_change(f"database {DATABASE}", "closed to everybody else"))
    for role in ROLES:
        if not await cluster.fetchval(
            "SELECT has_database_privilege($1::name, $2::text, 'CONNECT')", role, DATABASE
        ):
            await cluster.execute(f"GRANT CONNECT ON DATABASE {DATABASE} TO {role}")
            changes.append(_change(f"role {role}", f"let into database {DATABASE}"))
    return changes


async def _ensure_schemas(inside: asyncpg.Connection) -> list[Change]:
    changes = []
    if await inside.fetchval("SELECT has_schema_privilege('public', 'public', 'USAGE, CREATE')"):
        await inside.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
        changes.append(_change("schema public", "closed"))
    owners = dict(
        await inside.fetch("SELECT nspname::text, pg_get_userbyid(nspowner)::text FROM pg_namespace")
    )
    for role in ROLES:
        if role not in owners:
            await inside.execute(f"CREATE SCHEMA {role} AUTHORIZATION {role}")
            changes.append(_change(f"schema {role}", "created"))
        elif owners[role] != role:
            await inside.execute(f"ALTER SCHEMA {role} OWNER TO {role}")
            changes.append(_change(f"schema {role}", f"given to role {role}"))
    return changes


async def _admits(administrator: PostgresSettings, role: str, password: str) -> bool:
    try:
        connection = await _connect(administrator, user=role, password=password, database=DATABASE)
    except asyncpg.InvalidAuthorizationSpecificationError:
        return False
    await connection.close()
    return True


@asynccontextmanager
async def _connected(administrator: PostgresSettings, *, database: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection as the administrator. Errors leave it without their text, which can repeat a statement."""
    try:
        connection = await _connect(
            administrator, user=administrator.role, password=administrator.password(), database=database
        )
    except asyncpg.InvalidAuthorizationSpecificationError:
        raise Refuse("postgres.role", "an administrator whom the server knows by this password") from None
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        where = f"{administrator.host}:{administrator.port}"
        raise Retry(f"PostgreSQL at {where} does not answer: {type(error).__name__}") from None
    try:
        yield connection
    except asyncpg.InsufficientPrivilegeError:
        raise Refuse("postgres.role", "an administrator who may create roles and databases") from None
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise Retry(f"PostgreSQL refused the administrator: {type(error).__name__}") from None
    finally:
        await connection.close(timeout=_TIMEOUT_SECONDS)


async def _connect(settings: PostgresSettings, *, user: str, password: str, database: str) -> Any:
    return await asyncpg.connect(
        host=settings.host,
        port=settings.port,
        user=user,
        password=password or None,
        database=database,
        ssl=postgres.tls_of(settings),
        timeout=_TIMEOUT_SECONDS,
        command_timeout=60,
    )


def _attribute(column: str) -> str:
    name = column.removeprefix("rol").upper()
    return "SUPERUSER" if name == "SUPER" else name


def _change(subject: str, action: str) -> Change:
    return Change("postgres", subject, action)
