"""PostgreSQL: one engine a service, bound to the service's own schema, and migrations that run once.

Parameters hold identifiers, and PostgreSQL repeats them in its error texts. So nothing here lets a parameter
into a log or an error: every database error leaves this module with its kind, SQLSTATE and constraint, and
without its text (S5).
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import asyncpg
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, ColumnElement, Connection, MetaData, TextClause, event, func, text
from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_dbapi
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError, DisconnectionError, InterfaceError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from alerthub.domain.denials import Denial
from alerthub.domain.errors import Refuse, Retry
from alerthub.kafka import is_loopback
from alerthub.settings import PostgresSettings
from alerthub.telemetry import logger

log = logger(__name__)

CONNECT_TIMEOUT_SECONDS = 5.0
STATEMENT_TIMEOUT_SECONDS = 30.0
"""No statement of a service takes longer by design; one that does is stuck and must not hold its locks."""
_LOCK_TIMEOUT_SECONDS = 10.0
ERRORS: tuple[type[Exception], ...] = (SQLAlchemyError,)
"""What SQLAlchemy raises, for `alerthub.loops.repeat`; what passes is Retry already."""

_NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


@lru_cache(maxsize=1_024)
def sql(statement: str) -> TextClause:
    """`text`, made once for each statement: parsing it and making its cache key costs as much as the rest of
    what SQLAlchemy does for a short one.
    """
    return text(statement)


def metadata() -> MetaData:
    """Metadata for a service's tables, with predictable constraint names. The schema is the role's own search
    path.
    """
    return MetaData(naming_convention=_NAMING)


def engine(settings: PostgresSettings) -> AsyncEngine:
    """An engine whose connections see the schema of `settings.role` only. Connects when first used.

    Raises Refuse for an address off the loopback without an authority (S2).
    """
    over_socket = settings.host.startswith("/")
    tls = tls_of(settings)
    created = create_async_engine(
        URL.create(
            "postgresql+asyncpg",
            username=settings.role,
            password=settings.password() or None,
            host=None if over_socket else settings.host,
            port=settings.port,
            database=settings.database,
        ),
        hide_parameters=True,
        pool_size=settings.pool_size,
        max_overflow=0,
        pool_timeout=CONNECT_TIMEOUT_SECONDS,
        connect_args={
            **({"host": settings.host} if over_socket else {}),
            "ssl": tls,
            "timeout": CONNECT_TIMEOUT_SECONDS,
            "command_timeout": STATEMENT_TIMEOUT_SECONDS + 5,
            "server_settings": {
                "search_path": settings.role,
                "application_name": settings.role,
                "statement_timeout": str(int(STATEMENT_TIMEOUT_SECONDS * 1000)),
                "lock_timeout": str(int(_LOCK_TIMEOUT_SECONDS * 1000)),
                "idle_in_transaction_session_timeout": "60000",
            },
        },
    )
    event.listen(created.sync_engine, "handle_error", _take_values_out)
    event.listen(created.sync_engine, "checkout", _refuse_closed)
    return created


def tls_of(settings: PostgresSettings) -> ssl.SSLContext | bool:
    """With an authority: its context. Without: False, and Refuse for an address off the loopback (S2)."""
    if settings.ca_file is not None:
        return ssl.create_default_context(cafile=str(settings.ca_file))
    if not settings.host.startswith("/") and not is_loopback(settings.host):
        raise Refuse("postgres.ca_file", "an authority's certificate: an address off the loopback needs TLS")
    return False


def _refuse_closed(connection: Any, _record: object, _proxy: object) -> None:
    """After a restart of PostgreSQL the pool's connections are closed, which the driver knows without asking:
    the pool then opens another before a request finds out."""
    if connection.driver_connection.is_closed():
        raise DisconnectionError("the connection is closed")


def _take_values_out(context: ExceptionContext) -> None:
    """Replaces an error's text by what holds no value: kind, SQLSTATE, table, column, constraint."""
    cause = context.original_exception.__cause__ or context.original_exception
    described = _description(cause)
    for error in (context.original_exception, context.sqlalchemy_exception, cause):
        if error is not None:
            error.args = (described,)
    # What asyncpg adds to its text.
    for attribute in ("detail", "hint", "message", "internal_query", "context"):
        if isinstance(getattr(cause, attribute, None), str):
            setattr(cause, attribute, None)


def _description(error: BaseException) -> str:
    parts = [type(error).__name__]
    for name in ("sqlstate", "table_name", "column_name", "constraint_name"):
        value = getattr(error, name, None)
        if value:
            parts.append(f"{name.removesuffix('_name')} {value}")
    return " ".join(parts)


def violated_constraint(error: BaseException) -> str | None:
    """The name of the constraint that a statement violated; None when the error is of another kind."""
    seen: BaseException | None = error
    while seen is not None:
        name = getattr(seen, "constraint_name", None)
        if name:
            return str(name)
        seen = getattr(seen, "orig", None) or seen.__cause__
    return None


# A connection that failed, a server that starts or stops or is full, and a lost race: the same transaction
# may succeed.
_TRANSIENT_CLASSES = ("08", "53", "57", "40")
_TRANSIENT_STATES = ("55P03",)


def is_transient(error: BaseException) -> bool:
    """Whether the database did not answer, or asked for the transaction to be tried again."""
    if isinstance(error, (OSError, TimeoutError, PoolTimeoutError, asyncpg.InterfaceError, InterfaceError)):
        return True
    if isinstance(error, DBAPIError):
        # The next release's migration changed a table after the statement was prepared. SQLAlchemy has
        # forgotten all that were prepared by now; it cannot repeat the transaction (docs/upgrading.md).
        planned_before = isinstance(error.orig, AsyncAdapt_asyncpg_dbapi.InvalidCachedStatementError)
        if error.connection_invalidated or planned_before:
            return True
        state = getattr(error.orig, "sqlstate", None) or getattr(error.orig, "pgcode", None)
    else:
        state = getattr(error, "sqlstate", None)
    return isinstance(state, str) and (state[:2] in _TRANSIENT_CLASSES or state in _TRANSIENT_STATES)


@asynccontextmanager
async def transaction(database: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """One transaction: committed at the end, rolled back by an exception.

    Raises Retry when the database does not answer or asks to try again. When the commit itself is not
    answered its result is unknown, so commands carry an id and a repeat of one changes nothing.
    """
    async with _connected(database) as connection, connection.begin():
        yield connection


@asynccontextmanager
async def reading(database: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """For one statement that reads: it is its own transaction, a third of the round trips of `transaction`.
    Raises Retry as that does."""
    async with _connected(database.execution_options(isolation_level="AUTOCOMMIT")) as connection:
        yield connection


@asynccontextmanager
async def _connected(database: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    connection = database.connect()
    try:
        await connection.start()
    except Exception as error:
        if is_transient(error):
            raise Retry(Denial.DATABASE_SILENT.value) from None
        raise
    try:
        yield connection
    except (SQLAlchemyError, TimeoutError) as error:
        if is_transient(error):
            raise Retry(Denial.DATABASE_ASKS_AGAIN.value) from None
        raise
    finally:
        await connection.close()


def lock_number(name: str) -> int:
    """A number for PostgreSQL's advisory locks, the same for the same name in every process."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)


def schema_lock(name: str) -> ColumnElement[int]:
    """The number of an advisory lock that the instances of one service share, and no other service.

    Advisory locks are the database's, which all services use: with one number for all, a relay would wait
    whenever another service's works.
    """
    return func.hashtextextended(func.concat(name, " ", func.current_schema()), 0)


async def migrate(
    settings: PostgresSettings, package: str, *, wait_seconds: float = 60.0, target: str = "head"
) -> None:
    """Brings the schema of `settings.role` to the newest version in `package`'s `migrations/versions`.

    `package` is the service's package, such as `services.registry`. All versions that are missing run in one
    transaction under an advisory lock, so instances that start together migrate once, and a failure changes
    nothing. Waits up to `wait_seconds` for a database that is starting, then raises Retry.

    A schema that a later release has migrated is left as it is: during an upgrade, and after going back,
    this release works on it. Raises Refuse where that one has removed what this one uses.
    """
    scripts = _scripts(package)
    deadline = time.monotonic() + wait_seconds
    database = engine(settings.model_copy(update={"pool_size": 1}))
    try:
        while True:
            try:
                async with transaction(database) as connection:
                    await connection.execute(text("SET LOCAL statement_timeout = 0"))
                    await connection.execute(text("SET LOCAL lock_timeout = 0"))
                    await connection.execute(
                        text("SELECT pg_advisory_xact_lock(:number)"),
                        {"number": lock_number(f"alerthub migrations {settings.role}")},
                    )
                    await connection.run_sync(_upgrade, scripts, target)
            except Retry:
                if time.monotonic() > deadline:
                    raise
                log.info("database_awaited")
                await asyncio.sleep(0.5)
            else:
                return
    finally:
        await database.dispose()


def _scripts(package: str) -> ScriptDirectory:
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError(f"{package} is not a package")
    folder = Path(found.submodule_search_locations[0]) / "migrations"
    return ScriptDirectory(str(folder), version_locations=[str(folder / "versions")])


def _upgrade(connection: Connection, scripts: ScriptDirectory, target: str) -> None:
    known = {each.revision: each for each in scripts.walk_revisions()}
    later: list[str] = []

    def steps(revision: Any, context: Any) -> Any:
        later.extend(each for each in revision if each not in known)
        return [] if later else scripts._upgrade_revs(target, revision)

    # The environment is made here instead of in an env.py, so that a service adds versions and nothing else.
    with EnvironmentContext(Config(), scripts, fn=steps) as environment:
        environment.configure(connection=connection, version_table="schema_version")
        environment.run_migrations()
    if later:
        _check_usable(connection, max(known))
        log.warning("schema_is_of_a_later_release", schema_version=max(later), known_up_to=max(known))
        return
    # Kept in the database: a release that knows nothing of these migrations has to read it.
    contracted = max((getattr(each.module, "contracts", "") for each in known.values()), default="")
    if contracted:
        connection.exec_driver_sql(f"COMMENT ON TABLE schema_version IS '{contracted}'")


def _check_usable(connection: Connection, newest_known: str) -> None:
    """Raises Refuse where a later release's migration has removed what was of use before `contracts`."""
    contracted = connection.scalar(text("SELECT obj_description('schema_version'::regclass, 'pg_class')"))
    if contracted and newest_known < contracted:
        expected = f"of a release that knows version {contracted}; this one knows them up to {newest_known}"
        raise Refuse("schema_version", expected)


class DatabaseCheck:
    """A readiness check: asks the database every two seconds whether it answers and takes writes."""

    def __init__(self, database: AsyncEngine, *, every_seconds: float = 2.0) -> None:
        self._database = database
        self._every_seconds = every_seconds
        self._reason: str | None = "the database has not answered yet"
        self._task: asyncio.Task[None] | None = None

    def __call__(self) -> str | None:
        """None while the database answers, else why not."""
        return self._reason

    async def start(self) -> None:
        await self._ask()
        self._task = asyncio.create_task(self._watch(), name="database-check")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._every_seconds)
            await self._ask()

    async def _ask(self) -> None:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_SECONDS), transaction(self._database) as connection:
                read_only = await connection.scalar(text("SHOW transaction_read_only"))
        except (Retry, TimeoutError):
            self._reason = "the database does not answer"
        except SQLAlchemyError as error:
            self._reason = f"the database refuses: {type(error).__name__}"
        else:
            self._reason = None if read_only == "off" else "the database takes no writes"
