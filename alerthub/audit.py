"""The audit log of a service: append-only rows, a hash chain over them, signed heads outside the database
(C16).

`record` writes a row in the transaction that it records, so neither exists without the other (refusal 8).
Rows are written unchained, since a chain in the transaction would make every change wait for every other; the
sequencer of one elected instance chains what is committed at least every second.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import Counter, Gauge
from sqlalchemy import (
    MetaData,
    Row,
    bindparam,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from alerthub import disk
from alerthub.audit_file import head_line
from alerthub.audit_signing import HeadSigner
from alerthub.audit_tables import audit_tables, create_audit
from alerthub.domain.audit_chain import GENESIS_HASH, AuditHead, AuditRow, chain
from alerthub.domain.errors import Retry
from alerthub.postgres import schema_lock, transaction
from alerthub.telemetry import logger
from alerthub.witness_webhook import WitnessWebhook

__all__ = [
    "AuditSequencer",
    "Entry",
    "audit_tables",
    "create_audit",
    "export",
    "heads",
    "record",
    "record_all",
]

log = logger(__name__)

LOCK = schema_lock("alerthub audit sequencer")
_CHAIN_BATCH = 1_000
_EXPORT_BATCH = 500
_STALE_SECONDS = 10.0
HEAD_EVERY_SECONDS = 3_600.0

_pass_age = Gauge(
    "alerthub_audit_pass_age_seconds",
    "Since a pass last looked for rows to chain (C16: at least every second).",
)
_chained = Counter("alerthub_audit_chained_total", "Audit rows that got their place in the chain.")
_unchained = Gauge("alerthub_audit_unchained_rows", "Committed audit rows that wait for their place.")
_heads = Counter("alerthub_audit_heads_total", "Signed heads written to the witness.")


_entry, _head = audit_tables(MetaData())


@dataclass(frozen=True, slots=True)
class Entry:
    """What happened, for the audit log.

    `actor` and `subject` are KIND:NAME, such as `person:li.wei` (Caller.actor) and `entry:ID`. Neither they
    nor `reason` and `detail` may hold an identifier in readable form.
    """

    action: str
    actor: str
    subject: str
    reason: str = ""
    detail: str = ""


async def record(
    connection: AsyncConnection,
    *,
    action: str,
    actor: str,
    subject: str,
    reason: str = "",
    detail: str = "",
) -> None:
    """Writes one row in the caller's transaction; the arguments are those of `Entry`.

    Time and service are the database's. Raises ValueError for an empty action, actor or subject: what cannot
    be recorded must not happen.
    """
    await record_all(connection, [Entry(action, actor, subject, reason, detail)])


async def record_all(connection: AsyncConnection, entries: Sequence[Entry]) -> None:
    """`record` for several, in their order and in one round."""
    if entries:
        await connection.execute(insert(_entry), [_row_of(entry) for entry in entries])


def _row_of(entry: Entry) -> dict[str, object]:
    for name in ("action", "actor", "subject"):
        if not getattr(entry, name):
            raise ValueError(f"an audit row needs {name}")
    values = {
        "action": entry.action[:100],
        "actor": entry.actor[:200],
        "subject": entry.subject[:200],
        "reason": entry.reason[:2_000],
        "detail": entry.detail[:4_000],
    }
    # PostgreSQL's text has no NUL, and a row that cannot be written must not stop a look that is recorded
    # otherwise.
    clean = {name: value.replace("\x00", "\ufffd") for name, value in values.items()}
    return {"time_ms": 0, "service": "", **clean}


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class AuditSequencer:
    """Chains committed rows every `every_seconds` (at most one), and signs the head hourly and when it stops.
    What it signed goes to the witness file before it counts, and to the webhook as soon as that takes it.

    Any number of instances may run; an advisory lock elects the one that works, pass by pass. `check` is a
    readiness check: it fails while rows are not chained, or a head that is due cannot be signed and written.
    Without a witness file heads are kept in the database alone, where whoever rewrites the log can reach
    them; that is logged.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        signer: HeadSigner | None,
        witness_file: Path | None,
        webhook: WitnessWebhook | None = None,
        every_seconds: float = 0.5,
        head_every_seconds: float = HEAD_EVERY_SECONDS,
        now_ms: Callable[[], int] = _now_ms,
    ) -> None:
        self._engine = engine
        self._signer = signer
        self._witness_file = witness_file
        self._webhook = webhook
        self._webhook_has_newest = webhook is None
        self._every_seconds = every_seconds
        self._head_every_seconds = head_every_seconds
        self._now_ms = now_ms
        self._task: asyncio.Task[None] | None = None
        self._last_pass = time.monotonic()
        self._head_at = time.monotonic()
        self._head_problem: str | None = None

    async def start(self) -> None:
        if self._witness_file is None and self._webhook is None:
            log.warning("audit_without_witness")
        if self._witness_file is not None:
            disk.watch("witness", self._witness_file.parent)
        if self._webhook is not None:
            await self._webhook.start()
        self._last_pass = self._head_at = time.monotonic()
        _pass_age.set_function(lambda: time.monotonic() - self._last_pass)
        self._task = asyncio.create_task(self._run(), name="audit-sequencer")

    async def stop(self) -> None:
        """Chains what is left and signs a last head, for as long as the database answers."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._task = None
        try:
            async with asyncio.timeout(5):
                await self.chain_once()
                await self.sign_head()
        except (SQLAlchemyError, Retry, OSError, TimeoutError) as error:
            log.warning("audit_last_head_missing", error_type=type(error).__name__)
        if self._webhook is not None:
            await self._webhook.stop()

    def check(self) -> str | None:
        """None while rows are chained in time and heads can be signed, else the reason."""
        waited = time.monotonic() - self._last_pass
        if waited > _STALE_SECONDS:
            return f"the audit log has not been chained for {int(waited)} s"
        return self._head_problem

    async def _run(self) -> None:
        while True:
            try:
                while await self.chain_once() == _CHAIN_BATCH:
                    continue
                self._last_pass = time.monotonic()
                await self._offer_newest_head()
                if time.monotonic() - self._head_at >= self._head_every_seconds:
                    await self._sign_due_head()
            except Exception:
                # A sequencer that ended would leave rows without protection for ever; `check` tells
                # meanwhile.
                log.exception("audit_pass_failed")
            await asyncio.sleep(self._every_seconds)

    async def _sign_due_head(self) -> None:
        try:
            await self.sign_head()
        except OSError as error:
            self._head_problem = f"the witness of the audit log cannot be written: {type(error).__name__}"
            raise
        self._head_problem = None
        self._head_at = time.monotonic()

    async def _offer_newest_head(self) -> None:
        """Once after the start: nobody knows whether the webhook took it before the process ended."""
        if self._webhook is not None and not self._webhook_has_newest:
            for head in await heads(self._engine, newest_only=True):
                self._webhook.put(head_line(head))
            self._webhook_has_newest = True

    async def chain_once(self) -> int:
        """Gives committed rows their places, in the order seen; returns how many got one."""
        async with transaction(self._engine) as connection:
            if not await connection.scalar(select(func.pg_try_advisory_xact_lock(LOCK))):
                return 0
            last_index, last_hash = await _newest_link(connection)
            # Only committed rows are visible here. One with a lower number that commits later comes later in
            # the chain.
            found = await connection.execute(
                select(_entry)
                .where(_entry.c.chain_index.is_(None))
                .order_by(_entry.c.row_number)
                .limit(_CHAIN_BATCH)
            )
            links = chain((_audit_row(row) for row in found), last_index=last_index, last_hash=last_hash)
            if links:
                await connection.execute(
                    update(_entry)
                    .where(_entry.c.row_id == bindparam("of_row"))
                    .values(
                        chain_index=bindparam("index"),
                        previous_hash=bindparam("previous"),
                        hash=bindparam("own"),
                    ),
                    [
                        {
                            "of_row": link.row_id,
                            "index": link.chain_index,
                            "previous": link.previous_hash,
                            "own": link.hash,
                        }
                        for link in links
                    ],
                )
        _chained.inc(len(links))
        _unchained.set(0 if len(links) < _CHAIN_BATCH else _CHAIN_BATCH)
        return len(links)

    async def sign_head(self) -> AuditHead | None:
        """Signs the newest link, stores the head and appends it to the witness file; None where nothing is
        new.
        """
        if self._signer is None:
            return None
        async with transaction(self._engine) as connection:
            if not await connection.scalar(select(func.pg_try_advisory_xact_lock(LOCK))):
                return None
            index, newest = await _newest_link(connection)
            known = await connection.scalar(select(func.max(_head.c.chain_index)))
            if index in (0, known):
                return None
            service = str(await connection.scalar(text("SELECT current_schema()")))
            head = self._signer.sign(
                AuditHead(service=service, chain_index=index, hash=newest, time_ms=self._now_ms())
            )
            await connection.execute(
                insert(_head).values(
                    service=head.service,
                    chain_index=head.chain_index,
                    hash=head.hash,
                    time_ms=head.time_ms,
                    signature=head.signature,
                    signer_pem=head.signer_pem,
                )
            )
            # In the transaction: a head that the witness does not have is not taken for witnessed.
            if self._witness_file is not None:
                await asyncio.to_thread(_append, self._witness_file, head_line(head))
        _heads.inc()
        if self._webhook is not None:
            self._webhook.put(head_line(head))
        return head


def _append(path: Path, line: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(line + "\n")
        file.flush()
        os.fsync(file.fileno())


async def _newest_link(connection: AsyncConnection) -> tuple[int, bytes]:
    newest = (
        await connection.execute(
            select(_entry.c.chain_index, _entry.c.hash)
            .where(_entry.c.chain_index.is_not(None))
            .order_by(_entry.c.chain_index.desc())
            .limit(1)
        )
    ).first()
    return (0, GENESIS_HASH) if newest is None else (newest.chain_index, bytes(newest.hash))


def _audit_row(row: Row[tuple[object, ...]]) -> AuditRow:
    return AuditRow(
        row_id=str(row.row_id),
        time_ms=row.time_ms,
        service=row.service,
        actor=row.actor,
        action=row.action,
        subject=row.subject,
        reason=row.reason,
        detail=row.detail,
        chain_index=row.chain_index or 0,
        previous_hash=bytes(row.previous_hash or b""),
        hash=bytes(row.hash or b""),
    )


async def export(engine: AsyncEngine) -> AsyncIterator[AuditRow]:
    """Every committed row: those of the chain in its order, then those that have no place yet."""
    async with transaction(engine) as connection:
        await connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
        result = await connection.stream(
            select(_entry).order_by(_entry.c.chain_index.asc().nulls_last(), _entry.c.row_number)
        )
        async for rows in result.partitions(_EXPORT_BATCH):
            for row in rows:
                yield _audit_row(row)


async def heads(engine: AsyncEngine, *, newest_only: bool = False) -> list[AuditHead]:
    """Every signed head so far, oldest first; or the newest alone."""
    every = select(_head).order_by(_head.c.row_number)
    newest = select(_head).order_by(_head.c.row_number.desc()).limit(1)
    async with transaction(engine) as connection:
        found = await connection.execute(newest if newest_only else every)
        return [
            AuditHead(
                service=row.service,
                chain_index=row.chain_index,
                hash=bytes(row.hash),
                time_ms=row.time_ms,
                signature=bytes(row.signature),
                signer_pem=row.signer_pem,
            )
            for row in found
        ]
