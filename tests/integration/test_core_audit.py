"""The audit log on the real database: with the change or not at all, append-only, chained, signed (C16,
refusal 8).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import cast

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from alerthub import audit, postgres
from alerthub.audit import AuditSequencer
from alerthub.audit_file import head_line
from alerthub.audit_signing import HeadSigner, signature_verifier
from alerthub.domain.audit_chain import AuditRow, Verification, verify
from alerthub.settings import PostgresSettings, TlsSettings
from alerthub.witness_webhook import WitnessWebhook


@pytest.fixture
async def database(
    fresh_schemas: None, postgres_settings: Callable[[str], PostgresSettings]
) -> AsyncIterator[AsyncEngine]:
    settings = postgres_settings("registry")
    await postgres.migrate(settings, "core_service")
    engine = postgres.engine(settings)
    yield engine
    await engine.dispose()


@pytest.fixture
def signer(tls_settings: Callable[[str], TlsSettings]) -> HeadSigner:
    return HeadSigner.from_tls(tls_settings("registry"))


@pytest.fixture
def authority_pem(ca_file: Path) -> bytes:
    return ca_file.read_bytes()


def sequencer(database: AsyncEngine, signer: HeadSigner, witness: Path) -> AuditSequencer:
    return AuditSequencer(database, signer=signer, witness_file=witness, every_seconds=0.05)


async def note(database: AsyncEngine, subject: str) -> None:
    async with postgres.transaction(database) as connection:
        await audit.record(connection, action="Tried", actor="person:li.wei", subject=subject)


async def rows(database: AsyncEngine) -> list[AuditRow]:
    return [row async for row in audit.export(database)]


async def verified(database: AsyncEngine, authority_pem: bytes) -> Verification:
    return verify(
        await rows(database),
        await audit.heads(database),
        signature_problem=signature_verifier(authority_pem=authority_pem),
    )


async def test_a_row_exists_only_with_what_it_records(database: AsyncEngine) -> None:
    async def failing() -> None:
        async with postgres.transaction(database) as connection:
            await audit.record(connection, action="Tried", actor="person:a", subject="entry:1")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await failing()
    assert await rows(database) == []


async def test_time_and_service_are_the_databases(database: AsyncEngine) -> None:
    await note(database, "entry:1")
    (row,) = await rows(database)
    async with postgres.transaction(database) as connection:
        now_ms = await connection.scalar(text("SELECT extract(epoch FROM clock_timestamp()) * 1000"))
    assert row.service == "registry"
    assert 0 <= float(now_ms or 0) - row.time_ms < 10_000


async def test_a_row_that_claims_a_place_in_the_chain_gets_none(database: AsyncEngine) -> None:
    async with postgres.transaction(database) as connection:
        await connection.execute(
            text(
                "INSERT INTO audit_entry"
                " (time_ms, service, actor, action, subject, chain_index, previous_hash, hash)"
                " VALUES (1, 'dispatch', 'person:a', 'Tried', 'entry:1', 1, '\\x00', '\\x00')"
            )
        )
    (row,) = await rows(database)
    assert (row.chain_index, row.hash, row.service) == (0, b"", "registry")


async def test_only_the_elected_sequencer_chains_and_signs(
    database: AsyncEngine, signer: HeadSigner, tmp_path: Path
) -> None:
    await note(database, "entry:1")
    standby = sequencer(database, signer, tmp_path / "witness")
    async with postgres.transaction(database) as elected:
        await elected.execute(select(func.pg_advisory_xact_lock(audit.LOCK)))
        assert await standby.chain_once() == 0
        assert await standby.sign_head() is None
    assert await standby.chain_once() == 1


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_entry SET actor = 'person:other'",
        "UPDATE audit_entry SET chain_index = 1, hash = 'x', previous_hash = 'y', reason = 'z'",
        "DELETE FROM audit_entry",
        "TRUNCATE audit_entry",
        "UPDATE audit_head SET chain_index = 2",
        "DELETE FROM audit_head",
        "TRUNCATE audit_head",
    ],
)
@pytest.mark.parametrize("granted", [False, True], ids=["as it is", "though the right was granted again"])
async def test_the_database_refuses_what_is_not_appending(
    database: AsyncEngine, signer: HeadSigner, tmp_path: Path, statement: str, granted: bool
) -> None:
    await note(database, "entry:1")
    chaining = sequencer(database, signer, tmp_path / "witness")
    await chaining.chain_once()
    await chaining.sign_head()
    if granted:
        async with postgres.transaction(database) as connection:
            await connection.execute(text("GRANT ALL ON audit_entry, audit_head TO CURRENT_USER"))
    with pytest.raises(DBAPIError) as refused:
        async with postgres.transaction(database) as connection:
            await connection.execute(text(statement))
    assert ("23001" if granted else "42501") in str(refused.value)


async def test_a_chained_row_cannot_be_chained_again(
    database: AsyncEngine, signer: HeadSigner, tmp_path: Path
) -> None:
    await note(database, "entry:1")
    await sequencer(database, signer, tmp_path / "witness").chain_once()
    with pytest.raises(DBAPIError) as refused:
        async with postgres.transaction(database) as connection:
            await connection.execute(text("UPDATE audit_entry SET chain_index = 7, hash = '\\x00'"))
    assert "23001" in str(refused.value)


async def test_rows_that_commit_late_come_later_in_the_chain(
    database: AsyncEngine, signer: HeadSigner, tmp_path: Path, authority_pem: bytes
) -> None:
    chaining = sequencer(database, signer, tmp_path / "witness")
    async with postgres.transaction(database) as slow:
        await audit.record(slow, action="Tried", actor="person:a", subject="late")
        await note(database, "early")
        assert await chaining.chain_once() == 1
    assert await chaining.chain_once() == 1
    assert [row.subject for row in await rows(database)] == ["early", "late"]
    assert (await verified(database, authority_pem)).intact


async def test_committed_rows_are_chained_by_themselves(
    database: AsyncEngine, signer: HeadSigner, tmp_path: Path
) -> None:
    chaining = AuditSequencer(database, signer=signer, witness_file=tmp_path / "witness")
    await chaining.start()
    await note(database, "entry:1")
    # A second, and what a busy machine adds.
    async with asyncio.timeout(3.0):
        while True:
            if all(row.chain_index for row in await rows(database)):
                break
            await asyncio.sleep(0.02)
    await chaining.stop()


async def test_many_sequencers_and_writers_make_one_chain(
    database: AsyncEngine, signer: HeadSigner, tmp_path: Path, authority_pem: bytes
) -> None:
    both = [sequencer(database, signer, tmp_path / "witness") for _ in range(2)]
    for one in both:
        await one.start()
    await asyncio.gather(*(note(database, f"entry:{number}") for number in range(60)))
    for one in both:
        await one.stop()
    seen = await verified(database, authority_pem)
    assert seen.intact
    assert (seen.chained, seen.unchained) == (60, 0)


async def test_stopping_leaves_a_signed_head_at_the_witness(
    database: AsyncEngine, signer: HeadSigner, tmp_path: Path, authority_pem: bytes
) -> None:
    witness = tmp_path / "witness" / "heads.jsonl"
    chaining = sequencer(database, signer, witness)
    await chaining.start()
    await note(database, "entry:1")
    await chaining.stop()
    (line,) = witness.read_text().splitlines()
    assert json.loads(line)["chain_index"] == 1
    assert (await verified(database, authority_pem)).heads == 1


async def test_a_head_is_signed_when_its_hour_has_come(
    database: AsyncEngine, signer: HeadSigner, tmp_path: Path
) -> None:
    witness = tmp_path / "heads.jsonl"
    chaining = AuditSequencer(
        database, signer=signer, witness_file=witness, every_seconds=0.05, head_every_seconds=0.1
    )
    await chaining.start()
    await note(database, "entry:1")
    async with asyncio.timeout(5):
        while True:
            if witness.exists():
                break
            await asyncio.sleep(0.02)
    await chaining.stop()


class Webhook:
    """Notes what it is to send."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._came = asyncio.Event()

    async def start(self) -> None:
        """Nothing to begin."""

    async def stop(self) -> None:
        """Nothing to end."""

    def put(self, line: str) -> None:
        self.lines.append(line)
        self._came.set()

    async def has(self, count: int) -> None:
        while len(self.lines) < count:
            self._came.clear()
            await self._came.wait()


async def test_c16_the_webhook_gets_each_head_and_after_a_start_the_newest_again(
    database: AsyncEngine, signer: HeadSigner
) -> None:
    # given a head that was signed as a process ended
    await note(database, "entry:1")
    (first,) = await sent_until_stopped(database, signer, at_least=0)

    # when the next one starts and ends
    await note(database, "entry:2")
    again, second = await sent_until_stopped(database, signer, at_least=1)

    # then its webhook has both
    assert again == first
    assert [head_line(head) for head in await audit.heads(database)] == [first, second]


async def sent_until_stopped(database: AsyncEngine, signer: HeadSigner, *, at_least: int) -> list[str]:
    """What one sequencer gave to its webhook; it is stopped once that is so much."""
    webhook = Webhook()
    chaining = AuditSequencer(
        database,
        signer=signer,
        witness_file=None,
        webhook=cast(WitnessWebhook, webhook),
        every_seconds=0.05,
    )
    await chaining.start()
    async with asyncio.timeout(5):
        await webhook.has(at_least)
    await chaining.stop()
    return webhook.lines


async def test_a_witness_that_cannot_be_written_is_told_and_rows_are_still_chained(
    database: AsyncEngine, signer: HeadSigner, tmp_path: Path
) -> None:
    in_the_way = tmp_path / "heads.jsonl"
    in_the_way.mkdir()
    chaining = AuditSequencer(
        database, signer=signer, witness_file=in_the_way, every_seconds=0.05, head_every_seconds=0.1
    )
    await chaining.start()
    await note(database, "entry:1")
    async with asyncio.timeout(10):
        while True:
            if chaining.check() is not None:
                break
            await asyncio.sleep(0.02)
    assert "witness" in str(chaining.check())
    assert all(row.chain_index for row in await rows(database))
    assert await audit.heads(database) == [], "a head that the witness lacks is not taken for witnessed"
    await chaining.stop()


async def test_a_rewritten_database_contradicts_the_witness(
    database: AsyncEngine, signer: HeadSigner, tmp_path: Path, authority_pem: bytes
) -> None:
    for subject in ("entry:1", "entry:2"):
        await note(database, subject)
    chaining = sequencer(database, signer, tmp_path / "witness")
    await chaining.chain_once()
    await chaining.sign_head()
    async with postgres.transaction(database) as connection:
        await connection.execute(text("ALTER TABLE audit_entry DISABLE TRIGGER ALL"))
        await connection.execute(text("GRANT ALL ON audit_entry TO CURRENT_USER"))
        await connection.execute(text("DELETE FROM audit_entry WHERE subject = 'entry:2'"))
    finding = (await verified(database, authority_pem)).finding
    assert finding is not None
    assert "cut off" in finding.problem


async def test_text_that_postgres_cannot_hold_is_recorded_without_it(database: AsyncEngine) -> None:
    await note(database, "entry:\x001")
    assert (await rows(database))[0].subject == "entry:\ufffd1"
