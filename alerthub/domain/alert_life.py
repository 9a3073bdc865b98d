"""The life of an alert: commands in, the alert after it and what happened out, or `Refuse`.

Promises, whatever order commands come in:
- a person alert is never offered to a unit before a named person confirmed it (refusal 6);
- one assignment at most is live, so an alert never has two owners (C14);
- a closed, rejected or cancelled alert stays so;
- every event raises the version by one.
"""

from __future__ import annotations

from dataclasses import replace

from alerthub.domain.alert_checks import assignment_of_unit, check_confirmed, check_open
from alerthub.domain.alerts import (
    Alert,
    Answer,
    Assignment,
    AssignmentStatus,
    Change,
    Event,
    EventKind,
    OutcomeKind,
    Policy,
    Status,
)
from alerthub.domain.deadlines import DeadlineKind, Waiting
from alerthub.domain.denials import Denial, newest_is
from alerthub.domain.errors import Conflict, NotAllowed, Refuse
from alerthub.domain.reasons import assignment_is, too_late
from alerthub.domain.texts import LocalizedText


def _changed(
    alert: Alert, kind: EventKind, actor: str, now_ms: int, reason: str | LocalizedText = ""
) -> Change:
    """`alert` (its fields already changed) one version later."""
    after = replace(alert, version=alert.version + 1)
    if isinstance(reason, LocalizedText):
        event = Event(kind, after, actor, now_ms, reason.english, reason.chinese)
    else:
        event = Event(kind, after, actor, now_ms, reason)
    return Change(after, (event,))


def _with(alert: Alert, changed: Assignment) -> tuple[Assignment, ...]:
    return tuple(
        changed if assignment.assignment_id == changed.assignment_id else assignment
        for assignment in alert.assignments
    )


def _ended(alert: Alert, status: AssignmentStatus, now_ms: int) -> tuple[Assignment, ...]:
    """All assignments, the live one ended as `status`."""
    return tuple(
        replace(assignment, status=status, answered_at_ms=now_ms) if assignment.live else assignment
        for assignment in alert.assignments
    )


def effective_policy(
    *, policy: Policy, names_person: bool, qualified_device: bool, suspended: bool
) -> Policy:
    """The policy that an alert gets. Nothing that names a person is ever sent at once (refusal 6), nor what a
    device reported that proves itself weakly (S3), nor what is suspended (refusal 9)."""
    if names_person or not qualified_device or suspended:
        return Policy.CONFIRM_FIRST
    return policy


def open_alert(
    *,
    alert_id: str,
    policy: Policy,
    names_person: bool,
    severity: int,
    supervisor_required: bool,
    actor: str,
    now_ms: int,
) -> Change:
    """A new alert: it waits for confirmation, or goes out at once where its policy says so."""
    if names_person and policy is not Policy.CONFIRM_FIRST:
        raise Refuse("policy", "confirm first: the entry names a person")
    waits = policy is Policy.CONFIRM_FIRST
    alert = Alert(
        alert_id=alert_id,
        version=0,
        status=Status.AWAITING_CONFIRMATION if waits else Status.DISPATCHING,
        policy=policy,
        names_person=names_person,
        severity=severity,
        supervisor_required=supervisor_required,
        opened_at_ms=now_ms,
        waiting=Waiting(DeadlineKind.CONFIRMATION, 1) if waits else None,
    )
    return _changed(alert, EventKind.OPENED, actor, now_ms)


def add_sighting(alert: Alert, *, covered: bool, severity: int, actor: str, now_ms: int) -> Change:
    """A repeat. `covered`: the confirmed match holds for it too; otherwise it needs its own confirmation
    (C6).

    It joins an alert that is no longer open without opening it again.
    """
    version = alert.version + 1
    return _changed(
        replace(
            alert,
            sighting_count=alert.sighting_count + 1,
            severity=max(alert.severity, severity) if alert.open else alert.severity,
            pending=alert.pending if covered else (*alert.pending, version),
        ),
        EventKind.SIGHTING_ADDED,
        actor,
        now_ms,
    )


def evidence_sealed(alert: Alert, *, of_basis: bool, has_picture: bool, actor: str, now_ms: int) -> Change:
    """A sighting's text and picture can now be opened, or it is now known why the picture cannot."""
    return _changed(
        replace(alert, has_picture=has_picture if of_basis else alert.has_picture),
        EventKind.EVIDENCE_SEALED,
        actor,
        now_ms,
    )


def confirm(alert: Alert, *, by: str, supervisor: bool, seen_version: int, now_ms: int) -> Change:
    """`by` compared the alert with its evidence as of `seen_version` (0: as it is now).

    Confirms the alert that waits; on one that is confirmed already, the sightings seen that still need a
    confirmation of their own. A person alert without a picture, and one whose rule, source or device is
    suspended, needs a supervisor.
    """
    check_open(alert)
    if seen_version > alert.version:
        raise Conflict("alert_version", newest_is(alert.version))
    seen = seen_version or alert.version
    if not by:
        raise NotAllowed("by", Denial.NAMED_PERSON.value)
    if alert.status is Status.AWAITING_CONFIRMATION:
        if alert.names_person and not alert.has_picture and not supervisor:
            raise NotAllowed("role", Denial.SUPERVISOR_WITHOUT_PICTURE.value)
        if alert.supervisor_required and not supervisor:
            raise NotAllowed("role", Denial.SUPERVISOR_SUSPENDED.value)
        return _changed(
            replace(alert, status=Status.DISPATCHING, confirmed_by=by, confirmed_at_ms=now_ms, waiting=None),
            EventKind.CONFIRMED,
            by,
            now_ms,
        )
    remaining = tuple(version for version in alert.pending if version > seen)
    if remaining == alert.pending:
        raise Conflict("alert_id", Denial.CONFIRMED.value)
    return _changed(replace(alert, pending=remaining), EventKind.CONFIRMED, by, now_ms)


def reject(alert: Alert, *, by: str, reason: str, now_ms: int) -> Change:
    """The evidence does not hold. A unit that has it in hand ends it with its outcome instead."""
    check_open(alert)
    if alert.status is Status.ACCEPTED:
        raise Conflict("alert_id", Denial.IN_HAND.value)
    return _changed(
        replace(
            alert,
            status=Status.REJECTED,
            rejected_reason=reason,
            closed_at_ms=now_ms,
            assignments=_ended(alert, AssignmentStatus.CANCELLED, now_ms),
            waiting=None,
        ),
        EventKind.REJECTED,
        by,
        now_ms,
        reason,
    )


def cancel(alert: Alert, *, reason: LocalizedText, actor: str, now_ms: int) -> Change:
    """What it stands on is gone: the entry was withdrawn or has expired (refusal 7). A repeat changes
    nothing."""
    if not alert.open:
        return Change(alert)
    return _changed(
        replace(
            alert,
            status=Status.CANCELLED,
            cancelled_reason=reason,
            closed_at_ms=now_ms,
            assignments=_ended(alert, AssignmentStatus.CANCELLED, now_ms),
            waiting=None,
        ),
        EventKind.CANCELLED,
        actor,
        now_ms,
        reason,
    )


def offer(
    alert: Alert,
    *,
    assignment_id: str,
    unit_id: str,
    reasons: tuple[LocalizedText, ...],
    reachable: bool,
    actor: str,
    now_ms: int,
) -> Change:
    """The unit is asked to take the alert. Another unit's live assignment ends as superseded.

    `reachable`: a terminal of the unit is connected; otherwise the card says "call by radio" (C18).
    """
    check_open(alert)
    check_confirmed(alert)
    live = alert.live_assignment
    if live is not None and live.unit_id == unit_id:
        raise Conflict("unit_id", Denial.UNIT_HAS_IT.value)
    assignment = Assignment(assignment_id, unit_id, AssignmentStatus.OFFERED, now_ms, reasons=reasons)
    version = alert.version + 1
    return _changed(
        replace(
            alert,
            status=Status.DISPATCHING,
            assignments=(*_ended(alert, AssignmentStatus.SUPERSEDED, now_ms), assignment),
            call_by_radio=not reachable,
            waiting=Waiting(DeadlineKind.DELIVERY, version, assignment_id),
        ),
        EventKind.UNIT_ASSIGNED,
        actor,
        now_ms,
        unit_id,
    )


def escalate(alert: Alert, *, reason: LocalizedText, actor: str, now_ms: int) -> Change:
    """No unit is left to ask: the supervisor decides."""
    if not alert.needs_unit:
        raise Conflict("alert_id", "an alert for which a unit is sought")
    check_confirmed(alert)
    reached = any(assignment.delivered_at_ms for assignment in alert.assignments)
    return _changed(
        replace(
            alert,
            status=Status.ESCALATED,
            waiting=None,
            call_by_radio=not reached,
            escalated_at_ms=now_ms,
            escalated_reason=reason,
        ),
        EventKind.ESCALATED,
        actor,
        now_ms,
        reason,
    )


def deliver(alert: Alert, *, assignment_id: str, unit_id: str, actor: str, now_ms: int) -> Change:
    """The alert is on a screen of the unit. A repeat, or a receipt for what is over, changes nothing."""
    assignment = assignment_of_unit(alert, assignment_id, unit_id)
    if not assignment.live or not alert.open:
        return Change(alert, answer=Answer.SUPERSEDED, detail=assignment_is(assignment.status))
    if assignment.delivered_at_ms:
        return Change(alert)
    version = alert.version + 1
    waits = assignment.status is AssignmentStatus.OFFERED
    return _changed(
        replace(
            alert,
            assignments=_with(
                alert,
                replace(
                    assignment,
                    status=AssignmentStatus.DELIVERED if waits else assignment.status,
                    delivered_at_ms=now_ms,
                ),
            ),
            call_by_radio=False,
            waiting=Waiting(DeadlineKind.ACKNOWLEDGEMENT, version, assignment_id) if waits else alert.waiting,
        ),
        EventKind.DELIVERED,
        actor,
        now_ms,
        unit_id,
    )


def accept(
    alert: Alert,
    *,
    assignment_id: str,
    unit_id: str,
    officer: str,
    actor: str,
    now_ms: int,
    by_voice: bool = False,
) -> Change:
    """The unit takes it. Too late (somebody else was asked, or it is over): answered "superseded" (C14)."""
    assignment = assignment_of_unit(alert, assignment_id, unit_id)
    if not assignment.live or not alert.open:
        state = assignment.status if alert.open else alert.status
        return Change(alert, answer=Answer.SUPERSEDED, detail=too_late(state))
    if assignment.status is AssignmentStatus.ACCEPTED:
        return Change(alert)
    return _changed(
        replace(
            alert,
            status=Status.ACCEPTED,
            assignments=_with(
                alert,
                replace(
                    assignment,
                    status=AssignmentStatus.ACCEPTED,
                    answered_at_ms=now_ms,
                    by_voice=by_voice,
                    officer=officer,
                ),
            ),
            call_by_radio=False,
            waiting=None,
        ),
        EventKind.ACCEPTED,
        actor,
        now_ms,
        unit_id,
    )


def decline(
    alert: Alert, *, assignment_id: str, unit_id: str, reason: str, actor: str, now_ms: int
) -> Change:
    """The unit cannot take it: the next one is sought. Too late: answered "superseded"."""
    assignment = assignment_of_unit(alert, assignment_id, unit_id)
    if assignment.status is AssignmentStatus.DECLINED:
        return Change(alert)
    if not assignment.live or not alert.open:
        return Change(alert, answer=Answer.SUPERSEDED, detail=assignment_is(assignment.status))
    return _changed(
        replace(
            alert,
            status=Status.DISPATCHING,
            assignments=_ended(alert, AssignmentStatus.DECLINED, now_ms),
            waiting=None,
        ),
        EventKind.DECLINED,
        actor,
        now_ms,
        reason,
    )


def deadline_passed(alert: Alert, *, since_version: int, actor: str, now_ms: int) -> Change:
    """The wait that began with `since_version` ran out. If the alert no longer waits since then: nothing."""
    waiting = alert.waiting
    if not alert.open or waiting is None or waiting.since_version != since_version:
        return Change(alert)
    if waiting.kind is DeadlineKind.CONFIRMATION:
        return _changed(replace(alert, waiting=None), EventKind.CONFIRMATION_OVERDUE, actor, now_ms)
    return _changed(
        replace(alert, assignments=_ended(alert, AssignmentStatus.TIMED_OUT, now_ms), waiting=None),
        EventKind.ASSIGNMENT_TIMED_OUT,
        actor,
        now_ms,
        waiting.kind.value,
    )


def record_outcome(
    alert: Alert, *, assignment_id: str, unit_id: str, outcome: OutcomeKind, actor: str, now_ms: int
) -> Change:
    """What the unit found: closes the alert. On one that was cancelled under the unit, it is recorded
    only."""
    assignment = assignment_of_unit(alert, assignment_id, unit_id)
    if alert.outcome is not None:
        if alert.outcome is outcome:
            return Change(alert)
        raise Conflict("outcome", Denial.OUTCOME_RECORDED.value)
    if alert.status is Status.CANCELLED and assignment.officer:
        return _changed(replace(alert, outcome=outcome), EventKind.OUTCOME_RECORDED, actor, now_ms)
    if not alert.open or not assignment.live:
        return Change(alert, answer=Answer.SUPERSEDED, detail=assignment_is(assignment.status))
    if assignment.status is not AssignmentStatus.ACCEPTED:
        raise Conflict("assignment_id", Denial.NOT_ACCEPTED.value)
    return _changed(
        replace(alert, status=Status.CLOSED, outcome=outcome, closed_at_ms=now_ms, waiting=None),
        EventKind.OUTCOME_RECORDED,
        actor,
        now_ms,
        outcome.value,
    )
