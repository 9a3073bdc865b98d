"""Migrations expand, then contract: the release before goes on with the schema that this one leaves.

What was released is in `releases/migrations.txt` and never changes. What is new may only add. A migration
that removes or narrows says `contracts = "REVISION"`: the migration of a release before, whose leftovers no
code uses any more.
"""

from __future__ import annotations

import re

import pytest
from release_records import MIGRATIONS_FILE, Migration, every_migration

RELEASED = {
    (schema, revision): digest
    for schema, revision, digest, _ in (
        line.split() for line in MIGRATIONS_FILE.read_text(encoding="utf-8").splitlines()
    )
}
MIGRATIONS = every_migration()
_NARROWS = (
    r"\bDROP (TABLE|COLUMN|FUNCTION|TRIGGER|SCHEMA|TYPE|VIEW)\b",
    r"\bRENAME\b",
    r"\bALTER (COLUMN )?\w+ (SET DATA )?TYPE\b",
    r"\bSET NOT NULL\b",
    r"\bADD COLUMN (IF NOT EXISTS )?\w+ (?![^,;]*\bDEFAULT\b)[^,;]*\bNOT NULL\b",
    r"\bALTER TABLE\b.*\bADD (CONSTRAINT|CHECK|UNIQUE|FOREIGN|PRIMARY)\b",
    r"\b(TRUNCATE|DELETE FROM|REVOKE)\b",
)
"""What the code of the release before would stumble over: what it uses is gone, or what it writes is
refused."""


def narrowing(migration: Migration) -> list[str]:
    """The statements that take something away from whoever uses the schema as it was."""
    created = {
        name
        for statement in migration.statements
        for name in re.findall(r"CREATE TABLE (?:IF NOT EXISTS )?(\w+)", statement)
    }
    found = []
    for statement in migration.statements:
        on = re.search(r"\b(?:ON|ALTER TABLE|UPDATE)\s+(?:ONLY )?(\w+)", statement)
        fresh = on is not None and on[1] in created
        unique = re.match(r"CREATE UNIQUE INDEX", statement) is not None
        narrows = any(re.search(each, _outside_bodies(statement), re.IGNORECASE) for each in _NARROWS)
        if (narrows or unique) and not fresh:
            found.append(statement)
    return found


def _outside_bodies(statement: str) -> str:
    """Without the bodies of functions, which run later and on their own tables."""
    return re.sub(r"\$\$.*?\$\$", "", statement)


def test_what_was_released_does_what_it_did() -> None:
    now = {(each.schema, each.revision): each.digest for each in MIGRATIONS}
    assert {key: now.get(key) for key in RELEASED} == RELEASED


@pytest.mark.parametrize(
    "migration",
    [each for each in MIGRATIONS if each.revision != "0001"],
    ids=lambda each: f"{each.schema}-{each.revision}",
)
def test_a_migration_expands_or_contracts_what_an_earlier_release_left(migration: Migration) -> None:
    if migration.contracts:
        assert (migration.schema, migration.contracts) in RELEASED
        assert migration.contracts < migration.revision
    else:
        assert narrowing(migration) == []


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE entry DROP COLUMN masks",
        "ALTER TABLE entry RENAME COLUMN masks TO mask_names",
        "ALTER TABLE entry ALTER COLUMN version TYPE integer",
        "ALTER TABLE entry ALTER COLUMN approved_by SET NOT NULL",
        "ALTER TABLE entry ADD COLUMN source text NOT NULL",
        "ALTER TABLE entry ADD COLUMN source text NOT NULL, ADD COLUMN since bigint NOT NULL DEFAULT 0",
        "ALTER TABLE entry ADD CONSTRAINT entry_is_young CHECK (version < 5)",
        "CREATE UNIQUE INDEX one_entry ON entry (case_number)",
        "DROP TABLE mask_use",
        "DELETE FROM mask_use",
    ],
)
def test_what_the_release_before_would_stumble_over_is_found(statement: str) -> None:
    assert narrowing(Migration("watchlist", "0009", (statement,), "")) == [statement]


@pytest.mark.parametrize(
    "statements",
    [
        ("ALTER TABLE entry ADD COLUMN source text",),
        ("ALTER TABLE entry ADD COLUMN source text NOT NULL DEFAULT ''",),
        ("CREATE INDEX ix_entry_case ON entry (case_number)",),
        (
            "CREATE TABLE note (id text PRIMARY KEY, about text NOT NULL)",
            "CREATE UNIQUE INDEX one_note ON note (about)",
        ),
    ],
)
def test_what_only_adds_is_let_through(statements: tuple[str, ...]) -> None:
    assert narrowing(Migration("watchlist", "0009", statements, "")) == []
