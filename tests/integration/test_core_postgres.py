"""The shared PostgreSQL edge against the real server."""

from __future__ import annotations

import asyncio
import shutil
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from alerthub import postgres
from alerthub.domain.errors import Refuse, Retry
from alerthub.embedded.postgres_node import PostgresNode
from alerthub.settings import PostgresSettings

CANARY = "冀RA8HK52"
Connected = Callable[[AsyncEngine], AbstractAsyncContextManager[AsyncConnection]]


@pytest.fixture
async def database(
    fresh_schemas: None, postgres_settings: Callable[[str], PostgresSettings]
) -> AsyncIterator[AsyncEngine]:
    settings = postgres_settings("registry")
    await postgres.migrate(settings, "core_service")
    engine = postgres.engine(settings)
    yield engine
    await engine.dispose()


async def test_instances_that_start_together_migrate_once(
    fresh_schemas: None, postgres_settings: Callable[[str], PostgresSettings]
) -> None:
    settings = postgres_settings("registry")
    await asyncio.gather(*(postgres.migrate(settings, "core_service") for _ in range(4)))
    engine = postgres.engine(settings)
    async with postgres.transaction(engine) as connection:
        assert await connection.scalar(text("SELECT version_num FROM schema_version")) == "0001"
    await engine.dispose()


async def test_a_second_start_migrates_nothing(
    database: AsyncEngine, postgres_settings: Callable[[str], PostgresSettings]
) -> None:
    async with postgres.transaction(database) as connection:
        await connection.execute(text("INSERT INTO thing VALUES ('a', 1)"))
    await postgres.migrate(postgres_settings("registry"), "core_service")
    async with postgres.transaction(database) as connection:
        assert await connection.scalar(text("SELECT count(*) FROM thing")) == 1


# A schema that the next release has migrated


@pytest.fixture
def next_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Makes the package of the release after `core_service`, whose last migration says this; its name."""

    def make(migration: str) -> str:
        versions = tmp_path / "next_core_service" / "migrations" / "versions"
        shutil.copytree(Path(__file__).parent / "core_service", tmp_path / "next_core_service")
        for revision, before, says in (("0002", "0001", ""), ("0003", "0002", migration)):
            (versions / f"{revision}_next.py").write_text(
                f"revision, down_revision = {revision!r}, {before!r}\n{says}\ndef upgrade():\n    pass\n",
                encoding="utf-8",
            )
        monkeypatch.syspath_prepend(tmp_path)
        return "next_core_service"

    return make


async def test_a_release_starts_on_the_schema_of_the_next_one(
    database: AsyncEngine,
    postgres_settings: Callable[[str], PostgresSettings],
    next_release: Callable[[str], str],
) -> None:
    # given a schema that the next release has migrated
    settings = postgres_settings("registry")
    await postgres.migrate(settings, next_release(""))

    # when an instance of this release starts, then it leaves the schema as it is
    await postgres.migrate(settings, "core_service")
    async with postgres.transaction(database) as connection:
        assert await connection.scalar(text("SELECT version_num FROM schema_version")) == "0003"


async def test_a_release_does_not_start_where_what_it_uses_was_removed(
    database: AsyncEngine,
    postgres_settings: Callable[[str], PostgresSettings],
    next_release: Callable[[str], str],
) -> None:
    # given a schema from which a later release removed what nobody uses since 0002
    settings = postgres_settings("registry")
    await postgres.migrate(settings, next_release('contracts = "0002"'))

    # when an instance starts that knows 0001 alone, then it refuses and says which release may
    with pytest.raises(Refuse, match="0002"):
        await postgres.migrate(settings, "core_service")


async def test_a_release_starts_where_only_what_it_does_not_use_was_removed(
    database: AsyncEngine,
    postgres_settings: Callable[[str], PostgresSettings],
    next_release: Callable[[str], str],
) -> None:
    settings = postgres_settings("registry")
    await postgres.migrate(settings, next_release('contracts = "0001"'))
    await postgres.migrate(settings, "core_service")


async def test_a_statement_that_was_prepared_before_a_column_came_is_a_retry_once(
    database: AsyncEngine, postgres_settings: Callable[[str], PostgresSettings]
) -> None:
    async def read() -> int:
        async with postgres.transaction(database) as connection:
            return len((await connection.execute(text("SELECT * FROM thing"))).keys())

    # given a connection that has prepared a statement
    assert await read() == 2

    # when another process, the next release's, adds a column
    other = postgres.engine(postgres_settings("registry"))
    async with postgres.transaction(other) as connection:
        await connection.execute(text("ALTER TABLE thing ADD COLUMN colour text NOT NULL DEFAULT ''"))
    await other.dispose()

    # then the transaction is to be tried again, and then it works
    with pytest.raises(Retry):
        await read()
    assert await read() == 3


async def test_a_statement_that_only_reads_holds_no_transaction(database: AsyncEngine) -> None:
    # Given a statement on a connection for reading, whose server process is known.
    async with postgres.reading(database) as connection:
        process = await connection.scalar(text("SELECT pg_backend_pid()"))
        # When another looks, then the first has ended its transaction already.
        async with postgres.reading(database) as other:
            state = await other.scalar(
                text("SELECT state FROM pg_stat_activity WHERE pid = :process"), {"process": process}
            )
    assert state == "idle"


async def test_a_role_sees_its_own_schema_only(
    database: AsyncEngine, postgres_settings: Callable[[str], PostgresSettings]
) -> None:
    other = postgres.engine(postgres_settings("dispatch"))
    with pytest.raises(DBAPIError) as refused:
        async with postgres.transaction(other) as connection:
            await connection.execute(text("SELECT * FROM registry.thing"))
    assert "42501" in str(refused.value)
    await other.dispose()


@pytest.mark.parametrize(
    ("statement", "value"),
    [
        ("INSERT INTO thing VALUES (:value, 1), (:value, 1)", CANARY),
        ("INSERT INTO thing VALUES ('a', CAST(:value AS text)::integer)", CANARY),
        ("SELECT * FROM thing WHERE amount = :value", CANARY),
    ],
    ids=["detail of a constraint", "message of a cast", "argument that the driver refuses"],
)
@pytest.mark.parametrize("connected", [postgres.transaction, postgres.reading])
async def test_a_database_error_tells_no_value(
    database: AsyncEngine, connected: Connected, statement: str, value: str
) -> None:
    with pytest.raises(DBAPIError) as refused:
        async with connected(database) as connection:
            await connection.execute(text(statement), {"value": value})
    told = "".join(traceback.format_exception(refused.value)) + repr(refused.value)
    assert CANARY not in told


async def test_a_violated_constraint_is_known_by_name(database: AsyncEngine) -> None:
    with pytest.raises(IntegrityError) as refused:
        async with postgres.transaction(database) as connection:
            await connection.execute(text("INSERT INTO thing VALUES ('a', 1), ('a', 1)"))
    assert postgres.violated_constraint(refused.value) == "pk_thing"


async def test_a_killed_database_is_a_retry_and_comes_back(
    database: AsyncEngine, postgres_server: PostgresNode
) -> None:
    check = postgres.DatabaseCheck(database, every_seconds=0.1)
    await check.start()
    assert check() is None

    postgres_server.kill()
    with pytest.raises(Retry):
        async with postgres.transaction(database) as connection:
            await connection.execute(text("SELECT 1"))
    await _until(lambda: check() is not None)

    # Not in a thread: the server ends with the thread that started it.
    postgres_server.launch()
    await _until(lambda: check() is None)
    async with postgres.transaction(database) as connection:
        assert await connection.scalar(text("SELECT 1")) == 1
    await check.stop()


async def test_a_database_dying_in_a_transaction_is_a_retry(
    database: AsyncEngine, postgres_server: PostgresNode
) -> None:
    async def interrupted() -> None:
        async with postgres.transaction(database) as connection:
            await connection.execute(text("INSERT INTO thing VALUES ('a', 1)"))
            postgres_server.kill()
            await connection.execute(text("INSERT INTO thing VALUES ('b', 1)"))

    with pytest.raises(Retry):
        await interrupted()
    # Not in a thread: the server ends with the thread that started it.
    postgres_server.launch()
    async with postgres.transaction(database) as connection:
        assert await connection.scalar(text("SELECT count(*) FROM thing")) == 0


async def _until(condition: Callable[[], bool], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while True:
            if condition():
                return
            await asyncio.sleep(0.02)
