"""An alert that a restored database takes back from its topic (C19): what a person has to look at again."""

from __future__ import annotations

from dataclasses import replace

from alerthub.domain.alert_life import deadline_passed, escalate
from alerthub.domain.alerts import Alert, Change, Status
from alerthub.domain.deadlines import DeadlineKind, Waiting
from alerthub.domain.reasons import Reason


def after_restore(alert: Alert, *, actor: str, now_ms: int) -> Change:
    """`alert` is as the topic has it, whose deadlines are lost. What still waits is told at once.

    Nobody can know whether the unit that was asked has answered meanwhile, so the supervisor decides; a late
    answer is recorded as one (C14). Whoever accepted stays.
    """
    match alert.status:
        case Status.AWAITING_CONFIRMATION:
            return _overdue(alert, DeadlineKind.CONFIRMATION, actor, now_ms)
        case Status.DISPATCHING:
            live = alert.live_assignment
            asked = Change(alert)
            if live is not None:
                asked = _overdue(alert, DeadlineKind.ACKNOWLEDGEMENT, actor, now_ms, live.assignment_id)
            return asked.then(escalate(asked.alert, reason=Reason.RESTORED.value, actor=actor, now_ms=now_ms))
        case _:
            return Change(alert)


def _overdue(alert: Alert, kind: DeadlineKind, actor: str, now_ms: int, assignment_id: str = "") -> Change:
    waiting = replace(alert, waiting=Waiting(kind, alert.version, assignment_id))
    return deadline_passed(waiting, since_version=alert.version, actor=actor, now_ms=now_ms)
