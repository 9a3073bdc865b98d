"""The precision below which a rule, source or device is suspended: proposed by one person, approved by
another (S6). Until the first change it is the deployment's setting."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from alerthub import audit
from alerthub.api.v1.alert_pb2 import PrecisionFloorProposal
from alerthub.domain.accounts import Maker, check_author_stays, check_second_person
from alerthub.domain.errors import Conflict, NotFound
from alerthub.identity import Caller
from alerthub.postgres import sql

PROPOSAL_LIFE_MS = 7 * 24 * 3_600_000
"""What nobody approved for a week is not what anybody has in mind any more."""
_SUBJECT = "setting:precision_floor"


@dataclass(frozen=True, slots=True)
class FloorProposal:
    """What a person wants the floor to be. `floor`: 0 to 1."""

    proposal_id: str
    floor: float
    reason: str


async def in_force(connection: AsyncConnection, *, before_any_change: float) -> float:
    """The floor of now."""
    found = await connection.scalar(
        sql(
            "SELECT floor FROM precision_floor_change WHERE approved_by IS NOT NULL "
            "ORDER BY approved_at_ms DESC LIMIT 1"
        )
    )
    return before_any_change if found is None else float(found)


async def propose(connection: AsyncConnection, proposal: FloorProposal, *, by: Caller, now_ms: int) -> None:
    """Notes a proposal that waits for its second person. Raises Conflict for an id that is taken."""
    made = await connection.execute(
        sql(
            "INSERT INTO precision_floor_change (proposal_id, floor, reason, proposed_by, proposed_at_ms, "
            "proposer_made_by) VALUES (:id, :floor, :reason, :by, :now, :made_by) ON CONFLICT DO NOTHING"
        ),
        {
            "id": proposal.proposal_id,
            "floor": proposal.floor,
            "reason": proposal.reason,
            "by": by.name,
            "now": now_ms,
            "made_by": sorted(by.made_by),
        },
    )
    if made.rowcount == 0:
        raise Conflict("command_id", "an id that no proposal has")
    await audit.record(
        connection,
        action="precision_floor_proposed",
        actor=by.actor,
        subject=_SUBJECT,
        reason=proposal.reason,
        detail=f"proposal {proposal.proposal_id}: {proposal.floor:g}",
    )


async def approve(
    connection: AsyncConnection,
    proposal_id: str,
    *,
    by: Caller,
    has_left: Callable[[str], bool],
    now_ms: int,
) -> float:
    """Puts a proposal into force; returns the floor. Raises NotFound, Conflict for one that was approved,
    is too old, or is by somebody who has left, and NotAllowed for anybody but a second person."""
    row = await _locked(connection, proposal_id)
    check_author_stays(field="proposal_id", left=has_left(row.proposed_by))
    check_second_person(
        field="proposal_id",
        proposer=row.proposed_by,
        approver=by.name,
        proposer_made_by=Maker(*row.proposer_made_by),
        approver_made_by=Maker(*sorted(by.made_by)),
    )
    if row.approved_by is not None:
        raise Conflict("proposal_id", "a proposal that waits for approval: this one was approved")
    if now_ms - row.proposed_at_ms > PROPOSAL_LIFE_MS:
        raise Conflict("proposal_id", "a proposal of this week: propose it anew")
    await connection.execute(
        sql(
            "UPDATE precision_floor_change SET approved_by = :by, approved_at_ms = :now, "
            "approver_made_by = :made_by WHERE proposal_id = :id"
        ),
        {"by": by.name, "now": now_ms, "made_by": sorted(by.made_by), "id": proposal_id},
    )
    await audit.record(
        connection,
        action="precision_floor_changed",
        actor=by.actor,
        subject=_SUBJECT,
        reason=row.reason,
        detail=f"proposal {proposal_id} by {row.proposed_by}: {row.floor:g}",
    )
    return float(row.floor)


async def waiting(connection: AsyncConnection, *, now_ms: int) -> list[PrecisionFloorProposal]:
    """The proposals that somebody may still approve, the newest first."""
    rows = await connection.execute(
        sql(
            "SELECT * FROM precision_floor_change WHERE approved_by IS NULL AND proposed_at_ms >= :since "
            "ORDER BY proposed_at_ms DESC LIMIT 100"
        ),
        {"since": now_ms - PROPOSAL_LIFE_MS},
    )
    return [
        PrecisionFloorProposal(
            proposal_id=row.proposal_id,
            floor=row.floor,
            reason=row.reason,
            proposed_by=row.proposed_by,
            proposed_at_ms=row.proposed_at_ms,
        )
        for row in rows
    ]


async def _locked(connection: AsyncConnection, proposal_id: str) -> Any:
    row = (
        await connection.execute(
            sql("SELECT * FROM precision_floor_change WHERE proposal_id = :id FOR UPDATE"),
            {"id": proposal_id},
        )
    ).one_or_none()
    if row is None:
        raise NotFound("proposal_id", "a proposal that exists")
    return row
