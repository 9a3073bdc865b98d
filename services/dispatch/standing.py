"""What of dispatch's work is open, for Prometheus: read from the database, whichever instance did it."""

from __future__ import annotations

import asyncio

from sqlalchemy.ext.asyncio import AsyncEngine

from alerthub import loops, postgres
from alerthub.domain.alerts import OPEN_STATUSES
from alerthub.postgres import sql, transaction
from services.dispatch.metrics import OLDEST_OPEN, OPEN_ALERTS, PENDING_SEALINGS, SUSPENDED

EVERY_SECONDS = 10.0
_SUSPENDABLE = ("rule", "source", "device")
_OPEN = (
    "SELECT status, count(*) AS number, greatest(0, extract(epoch FROM clock_timestamp()) * 1000 "
    "- min(opened_at_ms))::float8 AS oldest_ms FROM alert WHERE status = ANY(:statuses) GROUP BY status"
)
_SUSPENDED = "SELECT kind, count(*) AS number FROM precision_record WHERE suspended_at_ms > 0 GROUP BY kind"
_PENDING = "SELECT count(*) FROM sealing WHERE pending"


class Standing:
    """Reads it every `every_seconds`; instances all say the same."""

    def __init__(self, database: AsyncEngine, *, every_seconds: float = EVERY_SECONDS) -> None:
        self._database = database
        self._every_seconds = every_seconds
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = loops.begin(
            loops.repeat(
                self.read,
                every_seconds=self._every_seconds,
                waiting_event="standing_waits",
                waits_out=postgres.ERRORS,
            ),
            name="standing",
            on_failure=loops.ignore,
        )

    async def stop(self) -> None:
        await loops.end(self._task)

    async def read(self) -> None:
        """Reads it once. Raises Retry."""
        statuses = [status.value for status in OPEN_STATUSES]
        async with transaction(self._database) as connection:
            rows = (await connection.execute(sql(_OPEN), {"statuses": statuses})).all()
            suspended = (await connection.execute(sql(_SUSPENDED))).all()
            pending = await connection.scalar(sql(_PENDING))
        numbers = {row.status: row.number for row in rows}
        oldest_ms = {row.status: row.oldest_ms for row in rows}
        for status in statuses:
            OPEN_ALERTS.labels(status).set(numbers.get(status, 0))
            OLDEST_OPEN.labels(status).set(oldest_ms.get(status, 0.0) / 1_000)
        by_kind = {row.kind: row.number for row in suspended}
        for kind in _SUSPENDABLE:
            SUSPENDED.labels(kind).set(by_kind.get(kind, 0))
        PENDING_SEALINGS.set(pending or 0)
