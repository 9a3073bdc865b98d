"""An alert, and what a command makes of it. Every value is whole and never changes; `alert_life` decides."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from alerthub.domain.deadlines import Waiting
from alerthub.domain.texts import NO_TEXT, LocalizedText


class Status(StrEnum):
    """Where in its life an alert is."""

    AWAITING_CONFIRMATION = "awaiting_confirmation"
    DISPATCHING = "dispatching"
    ACCEPTED = "accepted"
    ESCALATED = "escalated"
    CLOSED = "closed"
    REJECTED = "rejected"
    CANCELLED = "cancelled"


OPEN_STATUSES = frozenset(
    {Status.AWAITING_CONFIRMATION, Status.DISPATCHING, Status.ACCEPTED, Status.ESCALATED}
)


class AssignmentStatus(StrEnum):
    """How far a unit's part in an alert has come."""

    OFFERED = "offered"
    DELIVERED = "delivered"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    TIMED_OUT = "timed_out"
    SUPERSEDED = "superseded"
    CANCELLED = "cancelled"


LIVE_STATUSES = frozenset({AssignmentStatus.OFFERED, AssignmentStatus.DELIVERED, AssignmentStatus.ACCEPTED})


class Policy(StrEnum):
    """Whether an alert goes out before somebody confirmed it."""

    CONFIRM_FIRST = "confirm_first"
    SEND_AT_ONCE = "send_at_once"


class EventKind(StrEnum):
    """What happened."""

    OPENED = "opened"
    SIGHTING_ADDED = "sighting_added"
    CONFIRMED = "confirmed"
    REJECTED = "rejected"
    UNIT_ASSIGNED = "unit_assigned"
    DELIVERED = "delivered"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    ASSIGNMENT_TIMED_OUT = "assignment_timed_out"
    ESCALATED = "escalated"
    CANCELLED = "cancelled"
    OUTCOME_RECORDED = "outcome_recorded"
    CONFIRMATION_OVERDUE = "confirmation_overdue"
    EVIDENCE_SEALED = "evidence_sealed"


class Answer(StrEnum):
    """What a unit is told."""

    DONE = "done"
    SUPERSEDED = "superseded"


class OutcomeKind(StrEnum):
    """What the unit found."""

    FOUND = "found"
    MISREAD = "misread"
    ENTRY_WRONG = "entry_wrong"
    NOT_FOUND = "not_found"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Assignment:
    """One unit's part in an alert. Times in milliseconds since 1970; 0: not yet."""

    assignment_id: str
    unit_id: str
    status: AssignmentStatus
    offered_at_ms: int
    delivered_at_ms: int = 0
    answered_at_ms: int = 0
    reasons: tuple[LocalizedText, ...] = ()
    by_voice: bool = False
    officer: str = ""

    @property
    def live(self) -> bool:
        return self.status in LIVE_STATUSES


@dataclass(frozen=True, slots=True)
class Alert:
    """What deciding needs of an alert. `pending` are the versions that added sightings which still need a
    confirmation of their own (C6); `has_picture` is about the sighting on which the alert stands. When and
    why it was last escalated stays with it when a unit is sent after all."""

    alert_id: str
    version: int
    status: Status
    policy: Policy
    names_person: bool
    severity: int
    opened_at_ms: int
    supervisor_required: bool = False
    has_picture: bool = False
    confirmed_by: str = ""
    confirmed_at_ms: int = 0
    rejected_reason: str = ""
    cancelled_reason: LocalizedText = NO_TEXT
    escalated_at_ms: int = 0
    escalated_reason: LocalizedText = NO_TEXT
    outcome: OutcomeKind | None = None
    closed_at_ms: int = 0
    call_by_radio: bool = False
    sighting_count: int = 1
    pending: tuple[int, ...] = ()
    assignments: tuple[Assignment, ...] = ()
    waiting: Waiting | None = None

    @property
    def open(self) -> bool:
        return self.status in OPEN_STATUSES

    @property
    def live_assignment(self) -> Assignment | None:
        return next((assignment for assignment in self.assignments if assignment.live), None)

    @property
    def needs_unit(self) -> bool:
        """A unit is to be sought: it is on its way and with nobody."""
        return self.status is Status.DISPATCHING and self.live_assignment is None

    @property
    def tried_units(self) -> frozenset[str]:
        return frozenset(assignment.unit_id for assignment in self.assignments)


@dataclass(frozen=True, slots=True)
class Event:
    """One change, with the whole alert after it; `actor` is person:NAME, terminal:ID or service:NAME.

    `reason` is as somebody typed it, or the hub's own sentence in English; that one has `reason_chinese` too.
    """

    kind: EventKind
    alert: Alert
    actor: str
    at_ms: int
    reason: str = ""
    reason_chinese: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """The alert after a command, and what happened. No event: the command was a repeat and changed
    nothing."""

    alert: Alert
    events: tuple[Event, ...] = ()
    answer: Answer = Answer.DONE
    detail: LocalizedText = NO_TEXT

    def then(self, other: Change) -> Change:
        """This change followed by one that was decided on its result."""
        return replace(other, events=self.events + other.events)
