"""How often rules, sources, devices and operators were right: counted with outcomes, and suspending (refusal
9)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from alerthub import audit
from alerthub.api.v1 import registry_pb2
from alerthub.api.v1.alert_pb2 import AlertRaised, PrecisionRecord
from alerthub.domain.alerts import OutcomeKind
from alerthub.domain.canary import is_canary
from alerthub.domain.errors import NotFound
from alerthub.domain.precision import Record, below_floor, judges, wilson_upper_bound
from alerthub.postgres import sql
from services.dispatch.wire import Facts

Subject = tuple[str, str]
"""Kind (rule, source, device, operator) and its name. The source of a watchlist hit is the entry's
category."""


def subjects_of(raised: AlertRaised) -> frozenset[Subject]:
    """What is suspended would make this alert wait for a supervisor."""
    return _subjects(raised.rule_id, raised.watchlist.category, raised.observation.device_id)


def _subjects(rule_id: str, category: str, device_id: str) -> frozenset[Subject]:
    found = {("rule", rule_id), ("device", device_id)}
    if category:
        found.add(("source", category))
    return frozenset(found)


async def suspended_subjects(connection: AsyncConnection, subjects: Iterable[Subject]) -> frozenset[Subject]:
    """Those among `subjects` that are suspended."""
    wanted = sorted(set(subjects))
    if not wanted:
        return frozenset()
    rows = await connection.execute(
        sql(
            "SELECT p.kind, p.subject FROM precision_record AS p JOIN unnest(CAST(:kinds AS text[]), "
            "CAST(:names AS text[])) AS given (k, n) ON p.kind = k AND p.subject = n WHERE "
            "p.suspended_at_ms > 0"
        ),
        {"kinds": [each[0] for each in wanted], "names": [each[1] for each in wanted]},
    )
    return frozenset((row.kind, row.subject) for row in rows)


async def count_outcome(
    connection: AsyncConnection,
    facts: Facts,
    outcome: OutcomeKind,
    *,
    confirmed_by: str,
    floor: float,
    now_ms: int,
) -> None:
    """Counts an outcome for all that led to the alert, and suspends what is below its floor. Operators are
    measured, not suspended; direct calls are neither, and a canary's outcome speaks of nobody."""
    right = judges(outcome)
    if right is None or facts.rule_kind == registry_pb2.RULE_KIND_DIRECT_CALL:
        return
    if is_canary(facts.category):
        return
    subjects = _subjects(facts.rule_id, facts.category, facts.device_id)
    if confirmed_by:
        subjects |= {("operator", confirmed_by)}
    for kind, subject in sorted(subjects):
        row = (
            await connection.execute(
                sql(
                    "INSERT INTO precision_record AS p (kind, subject, outcomes, right_outcomes) "
                    "VALUES (:kind, :subject, 1, :right) ON CONFLICT (kind, subject) DO UPDATE SET "
                    "outcomes = p.outcomes + 1, right_outcomes = p.right_outcomes + excluded.right_outcomes "
                    "RETURNING outcomes, right_outcomes, suspended_at_ms"
                ),
                {"kind": kind, "subject": subject, "right": int(right)},
            )
        ).one()
        if kind == "operator" or row.suspended_at_ms:
            continue
        if below_floor(Record(row.outcomes, row.right_outcomes), floor):
            await connection.execute(
                sql(
                    "UPDATE precision_record SET suspended_at_ms = :now WHERE kind = :kind AND "
                    "subject = :subject"
                ),
                {"now": now_ms, "kind": kind, "subject": subject},
            )
            await audit.record(
                connection,
                action="suspended_for_precision",
                actor="service:dispatch",
                subject=f"{kind}:{subject}",
                detail=f"{row.right_outcomes} of {row.outcomes} right",
            )


async def lift(connection: AsyncConnection, kind: str, subject: str, *, actor: str, reason: str) -> None:
    """A supervisor has looked: counting begins anew. Raises NotFound where nothing is suspended."""
    changed = await connection.execute(
        sql(
            "UPDATE precision_record SET suspended_at_ms = 0, outcomes = 0, right_outcomes = 0 "
            "WHERE kind = :kind AND subject = :subject AND suspended_at_ms > 0"
        ),
        {"kind": kind, "subject": subject},
    )
    if changed.rowcount == 0:
        raise NotFound("subject", "one that is suspended")
    await audit.record(
        connection, action="suspension_lifted", actor=actor, subject=f"{kind}:{subject}", reason=reason
    )


async def records(connection: AsyncConnection) -> Sequence[PrecisionRecord]:
    """All that was measured, what is suspended first."""
    rows = await connection.execute(
        sql("SELECT * FROM precision_record ORDER BY suspended_at_ms = 0, kind, subject LIMIT 5000")
    )
    return [
        PrecisionRecord(
            kind=row.kind,
            subject=row.subject,
            outcomes=row.outcomes,
            right=row.right_outcomes,
            upper_bound=wilson_upper_bound(Record(row.outcomes, row.right_outcomes)),
            suspended=row.suspended_at_ms > 0,
        )
        for row in rows
    ]
