"""What must hold before a command changes an alert. Each refuses, saying why in both languages."""

from __future__ import annotations

from alerthub.domain.alerts import Alert, Assignment, Policy
from alerthub.domain.denials import Denial, not_as_seen, not_open
from alerthub.domain.errors import Conflict, NotFound


def check_open(alert: Alert) -> None:
    """Refuses what would change an alert that is over."""
    if not alert.open:
        raise Conflict("alert_id", not_open(alert.status))


def check_seen(alert: Alert, seen_version: int) -> None:
    """Refuses a decision on an alert that is not as the operator saw it; `seen_version` 0: as it is now."""
    if seen_version and seen_version != alert.version:
        raise Conflict("alert_version", not_as_seen(alert.version))


def check_confirmed(alert: Alert) -> None:
    """Refuses to send anybody to what must be confirmed first and was not (refusal 6)."""
    if (alert.names_person or alert.policy is Policy.CONFIRM_FIRST) and not alert.confirmed_by:
        raise Conflict("alert_id", Denial.NOT_CONFIRMED.value)


def assignment_of(alert: Alert, assignment_id: str) -> Assignment:
    """The alert's assignment with this id. Raises NotFound."""
    for assignment in alert.assignments:
        if assignment.assignment_id == assignment_id:
            return assignment
    raise NotFound("assignment_id", Denial.NO_ASSIGNMENT.value)


def assignment_of_unit(alert: Alert, assignment_id: str, unit_id: str) -> Assignment:
    """The same, where it is this unit's. Raises NotFound."""
    assignment = assignment_of(alert, assignment_id)
    if assignment.unit_id != unit_id:
        raise NotFound("assignment_id", Denial.ASSIGNMENT_OF_ANOTHER.value)
    return assignment
