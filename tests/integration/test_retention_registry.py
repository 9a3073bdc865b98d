"""What the registry forgets, and when: rows older and younger than each life of `docs/retention.md`."""

from __future__ import annotations

import hashlib
import time
from collections.abc import AsyncIterator, Callable

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from alerthub import postgres
from alerthub.domain.accounts import SESSION_IDLE_MS, SESSION_LIFE_MS
from alerthub.postgres import transaction
from alerthub.settings import PostgresSettings
from services.registry.housekeeping import DAY_MS, Housekeeping
from services.registry.settings import RegistrySettings

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS


@pytest.fixture
async def database(
    fresh_schemas: None, postgres_settings: Callable[[str], PostgresSettings]
) -> AsyncIterator[AsyncEngine]:
    settings = postgres_settings("registry")
    await postgres.migrate(settings, "services.registry")
    engine = postgres.engine(settings)
    yield engine
    await engine.dispose()


async def sql(database: AsyncEngine, statement: str, **values: object) -> list[str]:
    async with transaction(database) as connection:
        result = await connection.execute(text(statement), values)
        return [str(row[0]) for row in result] if result.returns_rows else []


async def _code(database: AsyncEngine, name: str, *, created_ms: int, used: bool) -> None:
    await sql(
        database,
        "INSERT INTO enrolment_code VALUES (:hash, :name, 'u1', 'editor', :created, :until, :used)",
        hash=hashlib.sha256(name.encode()).digest(),
        name=name,
        created=created_ms,
        until=created_ms + HOUR_MS,
        used=created_ms + 1 if used else None,
    )


async def _accounts(database: AsyncEngine, *names: str) -> None:
    """In one statement, as the first accounts are made."""
    await sql(
        database,
        "INSERT INTO account SELECT name, '$argon2id$', '{ROLE_OPERATOR}', 0, 0, NULL, true, '', '', NULL, 1 "
        "FROM unnest(CAST(:names AS text[])) AS given (name)",
        names=list(names),
    )


async def _session(database: AsyncEngine, name: str, *, opened_ms: int, used_ms: int) -> None:
    await sql(
        database,
        "INSERT INTO person_session VALUES (:hash, :name, :opened, :until, :used)",
        hash=hashlib.sha256(name.encode()).digest(),
        name=name,
        opened=opened_ms,
        until=opened_ms + SESSION_LIFE_MS,
        used=used_ms,
    )


async def test_the_registry_forgets_exactly_what_has_had_its_time(database: AsyncEngine) -> None:
    # given of everything one that has had its time, and one that has a minute left
    now_ms = time.time_ns() // 1_000_000
    await _accounts(database, "old-ended", "old-unused", "young-ended", "young-unused")
    for name, beside_ms in (("old", -MINUTE_MS), ("young", MINUTE_MS)):
        for used in (False, True):
            used_or_not = f"{name}-used" if used else f"{name}-unused"
            await _code(database, used_or_not, created_ms=now_ms - HOUR_MS + beside_ms, used=used)
        await sql(
            database,
            "INSERT INTO command VALUES (:name, '', '', 'editor', :created)",
            name=name,
            created=now_ms - 7 * DAY_MS + beside_ms,
        )
        await _session(
            database, f"{name}-ended", opened_ms=now_ms - SESSION_LIFE_MS + beside_ms, used_ms=now_ms
        )
        await _session(
            database, f"{name}-unused", opened_ms=now_ms, used_ms=now_ms - SESSION_IDLE_MS + beside_ms
        )

    # when
    memory_days = RegistrySettings().command_memory_days
    housekeeping = Housekeeping(database, command_memory_days=memory_days, now_ms=lambda: now_ms)
    await housekeeping.forget(now_ms)

    # then exactly the old ones are gone
    assert await sql(database, "SELECT command_id FROM command") == ["young"]
    codes = await sql(database, "SELECT terminal_id FROM enrolment_code ORDER BY 1")
    assert codes == ["young-unused", "young-used"]
    sessions = await sql(database, "SELECT account FROM person_session ORDER BY 1")
    assert sessions == ["young-ended", "young-unused"]


async def test_the_registry_forgets_by_itself(database: AsyncEngine) -> None:
    now_ms = time.time_ns() // 1_000_000
    await _code(database, "old", created_ms=now_ms - HOUR_MS - MINUTE_MS, used=False)
    housekeeping = Housekeeping(database, command_memory_days=7, now_ms=lambda: now_ms)

    await housekeeping.start()
    try:
        await _until_empty(database)
    finally:
        await housekeeping.stop()


async def _until_empty(database: AsyncEngine) -> None:
    deadline = time.monotonic() + 15
    while await sql(database, "SELECT terminal_id FROM enrolment_code"):
        assert time.monotonic() < deadline
