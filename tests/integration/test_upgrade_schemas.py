"""The tables of the last release are found again in those of now, as PostgreSQL itself describes them.

`tests/contract/test_upgrade_migrations.py` looks at the statements, and knows the ways to write them that
somebody thought of. Here they have run.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

# What a release is, the contract tests say.
sys.path.append(str(Path(__file__).parents[1] / "contract"))

from release_records import MIGRATIONS_FILE, SCHEMAS, every_migration

from alerthub import postgres
from alerthub.settings import PostgresSettings

RELEASED = {
    schema: revision
    for schema, revision, *_ in sorted(
        line.split() for line in MIGRATIONS_FILE.read_text(encoding="utf-8").splitlines()
    )
}
"""The last migration of the last release."""
CONTRACTED = {
    each.schema for each in every_migration() if each.contracts and each.revision > RELEASED[each.schema]
}
"""What a contraction takes away is what nobody uses any more: that is for persons to see."""

_TABLES = (
    "FROM pg_class AS t JOIN {0} ON {1} = t.oid "
    "WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'"
)
_COLUMNS = (
    "SELECT relname, attname, format_type(atttypid, atttypmod) AS type, attnotnull, "
    "atthasdef OR attidentity <> '' AS filled "
    + _TABLES.format("pg_attribute", "attrelid")
    + " AND attnum > 0 AND NOT attisdropped"
)
_CONDITIONS = (
    "SELECT relname, pg_get_constraintdef(c.oid) AS condition "
    + _TABLES.format("pg_constraint AS c", "conrelid")
    # Which columns may be empty is told by the columns.
    + " AND contype <> 'n'",
    "SELECT relname, pg_get_indexdef(indexrelid) AS condition "
    + _TABLES.format("pg_index", "indrelid")
    + " AND indisunique",
    "SELECT relname, pg_get_triggerdef(g.oid) AS condition "
    + _TABLES.format("pg_trigger AS g", "tgrelid")
    + " AND NOT tgisinternal",
)


@dataclass(frozen=True, slots=True)
class Tables:
    """What they offer to whoever knows them, and what they ask of each row."""

    columns: dict[tuple[str, str], str]
    needed: set[tuple[str, str]]
    """Columns that a row must name, since nothing fills them."""
    never_empty: set[tuple[str, str]]
    conditions: set[tuple[str, str]]


async def tables_of(connection: AsyncConnection) -> Tables:
    columns = list(await connection.exec_driver_sql(_COLUMNS))
    return Tables(
        columns={(each.relname, each.attname): each.type for each in columns},
        needed={(each.relname, each.attname) for each in columns if each.attnotnull and not each.filled},
        never_empty={(each.relname, each.attname) for each in columns if each.attnotnull},
        conditions={
            (each.relname, each.condition)
            for statement in _CONDITIONS
            for each in await connection.exec_driver_sql(statement)
        },
    )


def stumbled_over(before: Tables, now: Tables) -> list[str]:
    """What the code that knows the tables of before would stumble over in those of now."""
    known = {table for table, _ in before.columns}
    gone = {each for each, type_of in before.columns.items() if now.columns.get(each) != type_of}
    needed = {each for each in now.needed - before.needed if each[0] in known}
    never_empty = (now.never_empty - before.never_empty) & before.columns.keys()
    conditions = {each for each in now.conditions - before.conditions if each[0] in known}
    return sorted(" ".join(each) for each in gone | needed | never_empty | conditions)


async def migrated(settings: PostgresSettings, schema: str, target: str, *statements: str) -> Tables:
    """The tables after this migration, and after these statements."""
    await postgres.migrate(settings, f"services.{schema}", target=target)
    database = postgres.engine(settings)
    try:
        async with postgres.transaction(database) as connection:
            for statement in statements:
                await connection.exec_driver_sql(statement)
            return await tables_of(connection)
    finally:
        await database.dispose()


@pytest.mark.parametrize("schema", sorted(set(SCHEMAS) - CONTRACTED))
async def test_the_code_of_the_last_release_finds_its_tables_in_those_of_now(
    schema: str, fresh_schemas: None, postgres_settings: Callable[[str], PostgresSettings]
) -> None:
    before = await migrated(postgres_settings(schema), schema, RELEASED[schema])
    assert stumbled_over(before, await migrated(postgres_settings(schema), schema, "head")) == []


@pytest.mark.parametrize(
    ("statement", "stumbling"),
    [
        ("ALTER TABLE alert ADD why text NOT NULL, ADD since bigint NOT NULL DEFAULT 0", "alert why"),
        ("ALTER TABLE deadline DROP kind", "deadline kind"),
        ("ALTER TABLE deadline RENAME TO timer", "deadline kind"),
        ("ALTER TABLE alert ALTER sighting_count TYPE bigint", "alert sighting_count"),
        ("ALTER TABLE alert ALTER waiting_kind SET NOT NULL", "alert waiting_kind"),
        ("ALTER TABLE sealing ALTER attempts DROP DEFAULT", "sealing attempts"),
        ("ALTER TABLE alert ADD CHECK (severity < 5)", "alert CHECK ((severity < 5))"),
    ],
)
async def test_what_it_would_stumble_over_is_found(
    statement: str,
    stumbling: str,
    fresh_schemas: None,
    postgres_settings: Callable[[str], PostgresSettings],
) -> None:
    before = await migrated(postgres_settings("dispatch"), "dispatch", "head")
    now = await migrated(postgres_settings("dispatch"), "dispatch", "head", statement)
    assert stumbling in stumbled_over(before, now)


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE UNIQUE INDEX one_call ON alert (device_id)",
        "CREATE TRIGGER once_more BEFORE INSERT ON alert FOR EACH ROW EXECUTE FUNCTION alert_end_is_final()",
    ],
)
async def test_a_condition_that_its_rows_never_had_is_found(
    statement: str, fresh_schemas: None, postgres_settings: Callable[[str], PostgresSettings]
) -> None:
    before = await migrated(postgres_settings("dispatch"), "dispatch", "head")
    now = await migrated(postgres_settings("dispatch"), "dispatch", "head", statement)
    assert len(stumbled_over(before, now)) == 1
