"""Forgets what is kept long enough; `docs/retention.md` has the times."""

from __future__ import annotations

import asyncio

from sqlalchemy.ext.asyncio import AsyncEngine

from alerthub import loops, postgres
from alerthub.domain.reasons import Reason
from alerthub.evidence import EvidenceStore
from alerthub.postgres import sql, transaction

_EVERY_SECONDS = 600.0
_AT_ONCE = 200
_FORGET_RAISED = (
    "DELETE FROM raised WHERE alert_id IS NULL "
    "AND taken_at < now() - CAST(:days AS integer) * interval '1 day'"
)
# The subject in a rule's fold key is a token where an identifier was read: 16 bytes in hexadecimal.
_ENDED_WITH_EVIDENCE = (
    "SELECT alert_id FROM alert WHERE status IN ('closed', 'rejected', 'cancelled') "
    "AND closed_at_ms < extract(epoch FROM now() - CAST(:days AS integer) * interval '1 day') * 1000 "
    "AND (basis_token <> '' OR (entry_id = '' AND fold_key ~ ':[0-9a-f]{32}$') "
    "OR EXISTS (SELECT FROM sealing WHERE sealing.alert_id = alert.alert_id) "
    "OR EXISTS (SELECT FROM sighting WHERE sighting.alert_id = alert.alert_id AND token <> '')) "
    "ORDER BY alert_id LIMIT :most FOR UPDATE SKIP LOCKED"
)
_FORGET_TOKENS_OF_SIGHTINGS = (
    "UPDATE sighting SET token = '', has_picture = false, "
    "picture_missing_reason = :forgotten WHERE alert_id = ANY(:ids)"
)
# Alerts of one subject still share a fold key. Nothing folds into them any more, so long after their end.
_FORGET_TOKENS_OF_FOLD_KEYS = (
    "UPDATE alert SET fold_key = 'rule:' || rule_id || ':' "
    "|| left(encode(sha256(convert_to(fold_key, 'UTF8')), 'hex'), 16) "
    "WHERE alert_id = ANY(:ids) AND entry_id = '' AND fold_key ~ ':[0-9a-f]{32}$'"
)
_FORGET_EVIDENCE = (
    "UPDATE alert SET basis_token = '' WHERE alert_id = ANY(:ids)",
    _FORGET_TOKENS_OF_FOLD_KEYS,
    _FORGET_TOKENS_OF_SIGHTINGS,
    "DELETE FROM sealing WHERE alert_id = ANY(:ids)",
)


class Housekeeping:
    """Runs in every instance; what one has taken the others leave alone."""

    def __init__(
        self,
        database: AsyncEngine,
        evidence: EvidenceStore,
        *,
        raised_kept_days: int,
        evidence_kept_days: int,
        on_failure: loops.OnFailure = loops.ignore,
    ) -> None:
        self._database = database
        self._evidence = evidence
        self._raised_kept_days = raised_kept_days
        self._evidence_kept_days = evidence_kept_days
        self._on_failure = on_failure
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = loops.begin(
            loops.repeat(
                self.forget,
                every_seconds=_EVERY_SECONDS,
                waiting_event="housekeeping_waits",
                waits_out=postgres.ERRORS,
            ),
            name="housekeeping",
            on_failure=self._on_failure,
        )

    async def stop(self) -> None:
        await loops.end(self._task)

    async def forget(self) -> None:
        """Deletes what has served: ids that no replay can bring again, old commands, ended suppressions; and
        of alerts that ended long ago, tokens and evidence. Raises Retry."""
        async with transaction(self._database) as connection:
            await connection.execute(sql(_FORGET_RAISED), {"days": self._raised_kept_days})
            for statement in (
                "DELETE FROM command WHERE answered_at < now() - interval '7 days'",
                "DELETE FROM suppression WHERE until_ms < extract(epoch FROM now()) * 1000",
                "DELETE FROM connection WHERE seen_at < now() - interval '1 day'",
            ):
                await connection.execute(sql(statement))
        while await self._forget_evidence() == _AT_ONCE:
            continue

    async def _forget_evidence(self) -> int:
        async with transaction(self._database) as connection:
            rows = await connection.execute(
                sql(_ENDED_WITH_EVIDENCE), {"days": self._evidence_kept_days, "most": _AT_ONCE}
            )
            alert_ids = [row.alert_id for row in rows]
            for alert_id in alert_ids:
                await self._evidence.delete_alert(alert_id)
            forgotten = Reason.EVIDENCE_FORGOTTEN.value.english
            for statement in _FORGET_EVIDENCE:
                await connection.execute(sql(statement), {"ids": alert_ids, "forgotten": forgotten})
        return len(alert_ids)
