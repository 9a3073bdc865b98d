"""What dispatch forgets, and when: rows older and younger than each life of `docs/retention.md`."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from alerthub import postgres
from alerthub.domain.deadlines import DeadlineTimes
from alerthub.evidence import EvidenceStore
from alerthub.postgres import transaction
from alerthub.settings import KafkaSettings, PostgresSettings
from services.dispatch.fleet import Fleet
from services.dispatch.housekeeping import Housekeeping
from services.dispatch.settings import DispatchSettings
from services.dispatch.timers import Timers
from services.dispatch.work import Surroundings

TOKEN = bytes(range(16))
# Just outside and just inside of a life, in PostgreSQL's words.
OLDER, YOUNGER = "+ interval '1 minute'", "- interval '1 minute'"

_ALERT = """
INSERT INTO alert (alert_id, version, status, policy, names_person, severity, opened_at_ms,
    supervisor_required, has_picture, confirmed_by, confirmed_at_ms, rejected_reason, cancelled_reason,
    closed_at_ms, call_by_radio, sighting_count, pending, fold_key, rule_id, rule_version, rule_kind,
    unit_kind, officer_text_chinese, officer_text_english, jurisdiction, district, entry_id, entry_version,
    category, device_id, basis_raised_id, basis_token, cooldown_ms)
VALUES (:alert_id, 2, :status, 'confirm_first', false, 2, 1, false, true, '', 0, '', '',
    (extract(epoch FROM now() - CAST(CAST(:age AS text) AS interval)) * 1000)::bigint, false, 1, '{}',
    :fold_key, 'parking', 1, 2, '', '', '', '', '', :entry_id, 0, '', 'camera-1', :raised_id, :basis_token, 0)
"""


@pytest.fixture
async def database(
    fresh_schemas: None, postgres_settings: Callable[[str], PostgresSettings]
) -> AsyncIterator[AsyncEngine]:
    settings = postgres_settings("dispatch")
    await postgres.migrate(settings, "services.dispatch")
    engine = postgres.engine(settings)
    yield engine
    await engine.dispose()


@pytest.fixture
def evidence(tmp_path: Path) -> EvidenceStore:
    return EvidenceStore((tmp_path / "evidence").as_uri())


@pytest.fixture
def housekeeping(database: AsyncEngine, evidence: EvidenceStore) -> Housekeeping:
    settings = DispatchSettings()
    return Housekeeping(
        database,
        evidence,
        raised_kept_days=settings.raised_kept_days,
        evidence_kept_days=settings.evidence_kept_days,
    )


async def sql(database: AsyncEngine, statement: str, **values: object) -> list[Any]:
    async with transaction(database) as connection:
        result = await connection.execute(text(statement), values)
        return list(result) if result.returns_rows else []


async def _rows_of_each_table(database: AsyncEngine, name: str, beside: str) -> None:
    """A row of each table that only its own age ends, `beside` its life."""
    age = {"raised": "30 days", "command": "7 days", "connection": "1 day"}
    then = {table: f"now() - (interval '{life}' {beside})" for table, life in age.items()}
    await sql(
        database,
        "INSERT INTO raised (raised_id, disposition, taken_at) "  # noqa: S608 - of this file
        f"VALUES (:id, 'suppressed', {then['raised']})",
        id=uuid.uuid5(uuid.NAMESPACE_OID, name).bytes,
    )
    await sql(
        database,
        "INSERT INTO command (actor, command_id, request_sha256, answer, answered_at) "  # noqa: S608
        f"VALUES ('li', :name, '', '', {then['command']})",
        name=name,
    )
    await sql(
        database,
        "INSERT INTO connection (terminal_id, unit_id, instance, connected_at_ms, seen_at) "  # noqa: S608
        f"VALUES (:name, 'u1', '1', 1, {then['connection']})",
        name=name,
    )
    await sql(
        database,
        "INSERT INTO suppression (fold_key, token, device_id, until_ms) "  # noqa: S608
        "VALUES ('rule:parking:1', :token, :name, "
        f"extract(epoch FROM now() - (interval '0' {beside})) * 1000)",
        token=TOKEN,
        name=name,
    )


async def _alert(
    database: AsyncEngine,
    evidence: EvidenceStore,
    alert_id: str,
    *,
    age: str,
    status: str = "rejected",
    entry_id: str = "",
) -> None:
    """An alert that ended `age` ago, with everything that is kept for it."""
    raised_id = uuid.uuid5(uuid.NAMESPACE_OID, alert_id).bytes
    await sql(
        database,
        "INSERT INTO raised (raised_id, alert_id, disposition, taken_at) "
        "VALUES (:id, :alert_id, 'opened', now() - interval '40 days')",
        id=raised_id,
        alert_id=alert_id,
    )
    await sql(
        database,
        _ALERT,
        alert_id=alert_id,
        status=status,
        age=age,
        entry_id=entry_id,
        raised_id=raised_id,
        basis_token=TOKEN if entry_id else b"",
        fold_key=f"entry:{entry_id}" if entry_id else f"rule:parking:{TOKEN.hex()}",
    )
    await sql(
        database,
        "INSERT INTO sighting VALUES (:id, :alert_id, 1, 'camera-1', :token, false, true, '', '')",
        id=raised_id,
        alert_id=alert_id,
        token=TOKEN if entry_id else b"",
    )
    if entry_id:
        await sql(
            database,
            "INSERT INTO sealing (raised_id, alert_id, pending, picture_id, sealed_details) "
            "VALUES (:id, :alert_id, false, 'p', 'sealed')",
            id=raised_id,
            alert_id=alert_id,
        )
        await evidence.promote(alert_id, "p", b"sealed")


_WHAT_IS_KEPT = """
SELECT 'alert.basis_token' FROM alert WHERE alert_id = :alert_id AND basis_token <> ''
UNION ALL SELECT 'alert.fold_key' FROM alert WHERE alert_id = :alert_id AND fold_key LIKE '%' || :hex
UNION ALL SELECT 'sighting.token' FROM sighting WHERE alert_id = :alert_id AND token <> ''
UNION ALL SELECT 'sealing' FROM sealing WHERE alert_id = :alert_id
ORDER BY 1
"""


async def kept_of(database: AsyncEngine, evidence: EvidenceStore, alert_id: str) -> list[str]:
    """Where a token or evidence of the alert is."""
    found = [row[0] for row in await sql(database, _WHAT_IS_KEPT, alert_id=alert_id, hex=TOKEN.hex())]
    picture = await evidence.get_promoted(alert_id, "p")
    return found if picture is None else [*found, "evidence/alerts"]


async def test_dispatch_forgets_exactly_what_has_had_its_time(
    database: AsyncEngine, evidence: EvidenceStore, housekeeping: Housekeeping
) -> None:
    # given of everything one that has had its time, and one that has a minute left
    for name, beside in (("old", OLDER), ("young", YOUNGER)):
        await _rows_of_each_table(database, name, beside)
    for alert_id, age in (("a-old", "30 days 1 minute"), ("a-young", "29 days 23:59")):
        await _alert(database, evidence, f"{alert_id}-hit", age=age, entry_id=f"e-{alert_id}")
        await _alert(database, evidence, f"{alert_id}-rule", age=age)
    before = await kept_of(database, evidence, "a-old-hit"), await kept_of(database, evidence, "a-old-rule")

    # when
    await housekeeping.forget()

    # then exactly the old ones are gone
    assert before == (
        ["alert.basis_token", "sealing", "sighting.token", "evidence/alerts"],
        ["alert.fold_key"],
    )
    young = uuid.uuid5(uuid.NAMESPACE_OID, "young").bytes
    assert [row[0] for row in await sql(database, "SELECT raised_id FROM raised WHERE alert_id IS NULL")] == [
        young
    ]
    for column, table in (
        ("command_id", "command"),
        ("terminal_id", "connection"),
        ("device_id", "suppression"),
    ):
        rows = await sql(database, f"SELECT {column} FROM {table}")  # noqa: S608 - of this file
        assert [row[0] for row in rows] == ["young"], table
    for kind, kept in zip(("hit", "rule"), before, strict=True):
        assert await kept_of(database, evidence, f"a-old-{kind}") == []
        assert await kept_of(database, evidence, f"a-young-{kind}") == kept


async def test_of_an_alert_its_life_stays_when_its_tokens_are_forgotten(
    database: AsyncEngine, evidence: EvidenceStore, housekeeping: Housekeeping
) -> None:
    # given two alerts of one rule and subject that ended long ago
    for alert_id in ("a1", "a2"):
        await _alert(database, evidence, alert_id, age="31 days")

    # when
    await housekeeping.forget()

    # then they are there with their sightings and raised ids, and still share their subject
    rows = await sql(
        database, "SELECT alert_id, fold_key FROM alert JOIN sighting USING (alert_id) ORDER BY alert_id"
    )
    assert [row.alert_id for row in rows] == ["a1", "a2"]
    assert len({row.fold_key for row in rows}) == 1
    assert rows[0].fold_key.startswith("rule:parking:")
    assert len(await sql(database, "SELECT raised_id FROM raised")) == 2


async def test_an_open_alert_keeps_its_evidence_however_old(
    database: AsyncEngine, evidence: EvidenceStore, housekeeping: Housekeeping
) -> None:
    await _alert(database, evidence, "a1", age="400 days", status="awaiting_confirmation", entry_id="e1")

    await housekeeping.forget()

    assert "sealing" in await kept_of(database, evidence, "a1")


async def test_a_deadline_is_kept_until_it_is_due(
    database: AsyncEngine, evidence: EvidenceStore, kafka_settings: Callable[[str], KafkaSettings]
) -> None:
    # given a deadline that has passed, and one that has a minute left
    for alert_id, due in (("a-due", "- interval '1 second'"), ("a-later", "+ interval '1 minute'")):
        await _alert(database, evidence, alert_id, age="1 minute", entry_id=alert_id)
        await sql(
            database,
            "INSERT INTO deadline VALUES (:alert_id, 1, 'confirmation', "  # noqa: S608 - of this file
            f"clock_timestamp() {due})",
            alert_id=alert_id,
        )
    settings = DispatchSettings.model_validate({"kafka": kafka_settings("dispatch")})
    timers = Timers(database, Surroundings(Fleet(settings, client_id="test"), DeadlineTimes()), grace_ms=0)

    # when
    await timers.fire_due()

    # then
    assert [row[0] for row in await sql(database, "SELECT alert_id FROM deadline")] == ["a-later"]
