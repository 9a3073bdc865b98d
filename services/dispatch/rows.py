"""The rows of dispatch's tables: what is written to them, and the alert that is read from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import text

from alerthub.api.v1 import alert_pb2
from alerthub.domain import alerts as domain
from alerthub.domain.alerts import OPEN_STATUSES, AssignmentStatus, OutcomeKind, Policy, Status
from alerthub.domain.deadlines import DeadlineKind, Waiting
from alerthub.domain.reasons import reason_of, reasons_of
from alerthub.domain.texts import LocalizedText
from services.dispatch.wire import Facts

OPEN = sorted(status.value for status in OPEN_STATUSES)
"""What the column `status` says of open alerts."""
_FACT_COLUMNS = tuple(Facts.__dataclass_fields__)
_STATE_COLUMNS = (
    "version",
    "status",
    "severity",
    "supervisor_required",
    "has_picture",
    "confirmed_by",
    "confirmed_at_ms",
    "rejected_reason",
    "cancelled_reason",
    "escalated_at_ms",
    "escalated_reason",
    "escalated_reason_chinese",
    "outcome",
    "closed_at_ms",
    "call_by_radio",
    "sighting_count",
    "pending",
    "waiting_kind",
    "waiting_since",
    "waiting_assignment",
)
_INSERT_COLUMNS = ("alert_id", "policy", "names_person", "opened_at_ms", *_STATE_COLUMNS, *_FACT_COLUMNS)


def _insert(table: str, columns: Sequence[str]) -> str:
    """The names come from this module, never from outside."""
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES (:{', :'.join(columns)})"  # noqa: S608


INSERT_ALERT = text(_insert("alert", _INSERT_COLUMNS))
UPDATE_ALERT = text(
    "UPDATE alert SET "  # noqa: S608 - as above
    + ", ".join(f"{name} = :{name}" for name in _STATE_COLUMNS)
    + " WHERE alert_id = :alert_id"
)
_ASSIGNMENT_COLUMNS = (
    "assignment_id",
    "alert_id",
    "ordinal",
    "unit_id",
    "status",
    "offered_at_ms",
    "delivered_at_ms",
    "answered_at_ms",
    "reasons",
    "reasons_chinese",
    "by_voice",
    "officer",
)
UPSERT_ASSIGNMENT = text(
    _insert("assignment", _ASSIGNMENT_COLUMNS) + " "
    "ON CONFLICT (assignment_id) DO UPDATE SET status = excluded.status, "
    "delivered_at_ms = excluded.delivered_at_ms, answered_at_ms = excluded.answered_at_ms, "
    "by_voice = excluded.by_voice, officer = excluded.officer"
)


@dataclass(frozen=True, slots=True)
class StoredAlert:
    """An alert as the database has it."""

    facts: Facts
    alert: domain.Alert


@dataclass(frozen=True, slots=True)
class NewSighting:
    """A row of `sighting`."""

    raised_id: bytes
    alert_id: str
    added_version: int
    device_id: str
    token: bytes
    needs_confirmation: bool
    picture_missing_reason: str
    body: bytes


def sighting_of(
    body: bytes, *, needs_confirmation: bool, has_picture: bool, picture_missing_reason: str
) -> alert_pb2.Sighting:
    """The sighting of a row, as it goes onto the wire."""
    message = alert_pb2.Sighting.FromString(body)
    message.needs_confirmation = needs_confirmation
    message.has_picture = has_picture
    message.picture_missing_reason = picture_missing_reason
    message.picture_missing_reason_chinese = reason_of(picture_missing_reason).chinese
    return message


@dataclass(frozen=True, slots=True)
class NewSealing:
    """A row of `sealing`: `request` is a SealForAlertRequest without the picture."""

    raised_id: bytes
    alert_id: str
    request: bytes
    picture_id: str


def _state_values(alert: domain.Alert) -> dict[str, Any]:
    waiting = alert.waiting
    return {
        "version": alert.version,
        "status": alert.status.value,
        "severity": alert.severity,
        "supervisor_required": alert.supervisor_required,
        "has_picture": alert.has_picture,
        "confirmed_by": alert.confirmed_by,
        "confirmed_at_ms": alert.confirmed_at_ms,
        "rejected_reason": alert.rejected_reason,
        "cancelled_reason": alert.cancelled_reason.english,
        "escalated_at_ms": alert.escalated_at_ms,
        "escalated_reason": alert.escalated_reason.english,
        "escalated_reason_chinese": alert.escalated_reason.chinese,
        "outcome": alert.outcome.value if alert.outcome else None,
        "closed_at_ms": alert.closed_at_ms,
        "call_by_radio": alert.call_by_radio,
        "sighting_count": alert.sighting_count,
        "pending": list(alert.pending),
        "waiting_kind": waiting.kind.value if waiting else None,
        "waiting_since": waiting.since_version if waiting else None,
        "waiting_assignment": waiting.assignment_id if waiting else None,
    }


def inserted_values(stored: StoredAlert) -> dict[str, Any]:
    """The row of a new alert."""
    alert = stored.alert
    return {
        "alert_id": alert.alert_id,
        "policy": alert.policy.value,
        "names_person": alert.names_person,
        "opened_at_ms": alert.opened_at_ms,
        **_state_values(alert),
        **asdict(stored.facts),
    }


def updated_values(alert: domain.Alert) -> dict[str, Any]:
    """What of an alert's row changes in its life, and which row it is."""
    return {"alert_id": alert.alert_id, **_state_values(alert)}


def assignment_values(alert: domain.Alert) -> list[dict[str, Any]]:
    """The rows of an alert's assignments, in order."""
    return [
        {
            "assignment_id": each.assignment_id,
            "alert_id": alert.alert_id,
            "ordinal": ordinal,
            "unit_id": each.unit_id,
            "status": each.status.value,
            "offered_at_ms": each.offered_at_ms,
            "delivered_at_ms": each.delivered_at_ms,
            "answered_at_ms": each.answered_at_ms,
            "reasons": [why.english for why in each.reasons],
            "reasons_chinese": [why.chinese for why in each.reasons],
            "by_voice": each.by_voice,
            "officer": each.officer,
        }
        for ordinal, each in enumerate(alert.assignments)
    ]


def stored_alert(row: Any, assignments: Sequence[domain.Assignment]) -> StoredAlert:
    """The alert of a row of `alert`."""
    waiting = None
    if row.waiting_kind is not None:
        waiting = Waiting(DeadlineKind(row.waiting_kind), row.waiting_since, row.waiting_assignment)
    alert = domain.Alert(
        alert_id=row.alert_id,
        version=row.version,
        status=Status(row.status),
        policy=Policy(row.policy),
        names_person=row.names_person,
        severity=row.severity,
        opened_at_ms=row.opened_at_ms,
        supervisor_required=row.supervisor_required,
        has_picture=row.has_picture,
        confirmed_by=row.confirmed_by,
        confirmed_at_ms=row.confirmed_at_ms,
        rejected_reason=row.rejected_reason,
        cancelled_reason=reason_of(row.cancelled_reason),
        escalated_at_ms=row.escalated_at_ms,
        escalated_reason=LocalizedText(row.escalated_reason_chinese, row.escalated_reason),
        outcome=OutcomeKind(row.outcome) if row.outcome else None,
        closed_at_ms=row.closed_at_ms,
        call_by_radio=row.call_by_radio,
        sighting_count=row.sighting_count,
        pending=tuple(row.pending),
        assignments=tuple(assignments),
        waiting=waiting,
    )
    return StoredAlert(Facts(**{name: getattr(row, name) for name in _FACT_COLUMNS}), alert)


def assignment_of(row: Any) -> domain.Assignment:
    """The assignment of a row of `assignment`."""
    return domain.Assignment(
        assignment_id=row.assignment_id,
        unit_id=row.unit_id,
        status=AssignmentStatus(row.status),
        offered_at_ms=row.offered_at_ms,
        delivered_at_ms=row.delivered_at_ms,
        answered_at_ms=row.answered_at_ms,
        reasons=reasons_of(row.reasons, row.reasons_chinese),
        by_voice=row.by_voice,
        officer=row.officer,
    )
