"""Fires deadlines (C14)."""

from __future__ import annotations

import asyncio

from sqlalchemy.ext.asyncio import AsyncEngine

from alerthub import loops, postgres
from alerthub.domain import alert_life
from alerthub.domain.alerts import Alert
from alerthub.domain.deadlines import DeadlineKind, may_fire
from alerthub.domain.reasons import Reason
from alerthub.postgres import sql
from services.dispatch.metrics import DEADLINES, RECEIPT_SECONDS
from services.dispatch.work import ACTOR, Surroundings, working

_EVERY_SECONDS = 0.2
_GAP_MS = 5_000
"""Deadlines that nobody looked at for this long: that was an outage."""


class Timers:
    """Any number of instances: each takes due rows that no other one has taken."""

    def __init__(
        self,
        database: AsyncEngine,
        surroundings: Surroundings,
        *,
        grace_ms: int,
        on_failure: loops.OnFailure = loops.ignore,
    ) -> None:
        self._on_failure = on_failure
        self._database = database
        self._surroundings = surroundings
        self._grace_ms = grace_ms
        self._watching_since_ms = 0
        self._looked_at_ms = 0
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = loops.begin(
            loops.repeat(
                self.fire_due,
                every_seconds=_EVERY_SECONDS,
                waiting_event="deadlines_wait",
                waits_out=postgres.ERRORS,
            ),
            name="deadlines",
            on_failure=self._on_failure,
        )

    async def stop(self) -> None:
        await loops.end(self._task)

    async def fire_due(self) -> int:
        """Acts on what is due; returns how many rows were taken."""
        async with working(self._database, self._surroundings) as work:
            if work.now_ms - self._looked_at_ms > _GAP_MS:
                self._watching_since_ms = work.now_ms
            self._looked_at_ms = work.now_ms
            rows = await work.connection.execute(
                sql(
                    "SELECT alert_id, since_version, kind, floor(extract(epoch FROM due_at) * "
                    "1000)::bigint AS due_ms "
                    "FROM deadline WHERE due_at <= clock_timestamp() ORDER BY due_at LIMIT 500 "
                    "FOR UPDATE SKIP LOCKED"
                )
            )
            due = [
                row
                for row in rows
                if may_fire(
                    due_ms=row.due_ms,
                    now_ms=work.now_ms,
                    watching_since_ms=self._watching_since_ms,
                    grace_ms=self._grace_ms,
                )
            ]
            if not due:
                return 0
            in_force = await work.load_with_entries({row.alert_id for row in due})
            for row in due:
                alert = work.alert(row.alert_id)
                if in_force[row.alert_id]:
                    change = alert_life.deadline_passed(
                        alert, since_version=row.since_version, actor=ACTOR, now_ms=work.now_ms
                    )
                    if change.events and row.kind == DeadlineKind.DELIVERY:
                        _note_no_receipt(alert, work.now_ms)
                else:
                    # Nobody else is asked to go for what nobody looks for any more (refusal 7).
                    change = alert_life.cancel(
                        alert, reason=Reason.ENTRY_ENDED.value, actor=ACTOR, now_ms=work.now_ms
                    )
                work.apply(change)
                await work.seek_unit(row.alert_id)
                DEADLINES.labels(row.kind, "fired" if change.events else "void").inc()
            await work.connection.execute(
                sql("DELETE FROM deadline WHERE alert_id = :alert_id AND since_version = :since"),
                [{"alert_id": row.alert_id, "since": row.since_version} for row in due],
            )
            return len(due)


def _note_no_receipt(alert: Alert, now_ms: int) -> None:
    """A terminal that was connected when the alert was offered has not said that it has it."""
    waited_for = alert.live_assignment
    if waited_for is not None and not alert.call_by_radio:
        RECEIPT_SECONDS.observe(max(0, now_ms - waited_for.offered_at_ms) / 1_000)
