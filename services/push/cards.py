"""What a terminal is told of an alert: pure, from the alert and the unit whose terminal it is."""

from __future__ import annotations

from dataclasses import dataclass

from alerthub.api.v1 import alert_pb2, common_pb2

_LIVE = frozenset(
    {
        alert_pb2.ASSIGNMENT_STATUS_OFFERED,
        alert_pb2.ASSIGNMENT_STATUS_DELIVERED,
        alert_pb2.ASSIGNMENT_STATUS_ACCEPTED,
    }
)
_OVER = frozenset(
    {alert_pb2.ALERT_STATUS_CLOSED, alert_pb2.ALERT_STATUS_REJECTED, alert_pb2.ALERT_STATUS_CANCELLED}
)


@dataclass(frozen=True, slots=True)
class Card:
    """One unit's own part of an alert: its assignments, and no other unit's.

    `shown`: the unit has the alert now; otherwise it is to leave the screen.
    """

    assignments: tuple[alert_pb2.Assignment, ...]
    assignment_id: str
    shown: bool


class UnconfirmedError(Exception):
    """The alert must not reach a terminal: nobody has confirmed it (refusal 6)."""


def card_for(alert: alert_pb2.Alert, unit_id: str) -> Card | None:
    """The card of this unit's terminals; None where the unit has no part in the alert.

    Raises UnconfirmedError for an alert that names a person, or must be confirmed first, and was not:
    dispatch never assigns one, and push does not rely on it.
    """
    own = tuple(each for each in alert.assignments if each.unit_id == unit_id)
    if not own:
        return None
    newest = own[-1]
    if alert.status in _OVER:
        return Card((newest,), newest.assignment_id, shown=False)
    if newest.status not in _LIVE:
        return Card((newest,), "", shown=False)
    confirm_first = alert.policy != common_pb2.DISPATCH_POLICY_SEND_AT_ONCE
    if (alert.names_person or confirm_first) and not alert.confirmed_by:
        raise UnconfirmedError
    return Card(own, newest.assignment_id, shown=True)


def common_alert(alert: alert_pb2.Alert, *, shown: bool) -> alert_pb2.Alert:
    """What every unit's terminals are told alike: all but the assignments."""
    if not shown:
        # No more than what takes it off the screen and says why.
        return alert_pb2.Alert(
            alert_id=alert.alert_id,
            version=alert.version,
            status=alert.status,
            cancelled_reason=alert.cancelled_reason,
            cancelled_reason_chinese=alert.cancelled_reason_chinese,
            rejected_reason=alert.rejected_reason,
            outcome=alert.outcome,
        )
    common = alert_pb2.Alert()
    common.CopyFrom(alert)
    del common.assignments[:]
    # What waits for a confirmation of its own (C6) is not the officer's.
    del common.sightings[:]
    common.sightings.extend(each for each in alert.sightings if not each.needs_confirmation)
    return common


def read_age_ms(newest_read_ms: int, now_ms: int) -> int:
    """How old a read of this time is; 0 where there is none (time 0)."""
    return min(max(0, now_ms - newest_read_ms), 2**32 - 1) if newest_read_ms else 0
