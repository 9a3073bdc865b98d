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
    """`shown`: the unit has the alert now; otherwise it is to leave the screen."""

    alert: alert_pb2.Alert
    assignment_id: str
    shown: bool


class UnconfirmedError(Exception):
    """The alert must not reach a terminal: nobody has confirmed it (refusal 6)."""


def card_for(alert: alert_pb2.Alert, unit_id: str) -> Card | None:
    """The card of this unit's terminals; None where the unit has no part in the alert.

    Raises UnconfirmedError for an alert that names a person, or must be confirmed first, and was not:
    dispatch never assigns one, and push does not rely on it.
    """
    own = [each for each in alert.assignments if each.unit_id == unit_id]
    if not own:
        return None
    newest = own[-1]
    if alert.status in _OVER:
        return Card(_ended(alert, newest), newest.assignment_id, shown=False)
    if newest.status not in _LIVE:
        return Card(_ended(alert, newest), "", shown=False)
    confirm_first = alert.policy != common_pb2.DISPATCH_POLICY_SEND_AT_ONCE
    if (alert.names_person or confirm_first) and not alert.confirmed_by:
        raise UnconfirmedError
    shown = alert_pb2.Alert()
    shown.CopyFrom(alert)
    # What waits for a confirmation of its own (C6), and the parts of other units, are not the officer's.
    del shown.sightings[:]
    shown.sightings.extend(each for each in alert.sightings if not each.needs_confirmation)
    del shown.assignments[:]
    shown.assignments.extend(own)
    return Card(shown, newest.assignment_id, shown=True)


def _ended(alert: alert_pb2.Alert, newest: alert_pb2.Assignment) -> alert_pb2.Alert:
    """No more than what takes it off the screen and says why."""
    return alert_pb2.Alert(
        alert_id=alert.alert_id,
        version=alert.version,
        status=alert.status,
        cancelled_reason=alert.cancelled_reason,
        rejected_reason=alert.rejected_reason,
        outcome=alert.outcome,
        assignments=[newest],
    )


def read_age_ms(alert: alert_pb2.Alert, now_ms: int) -> int:
    """How old the newest read of the card is; 0 where there is none."""
    newest = max((each.received_time_ms for each in alert.sightings), default=0)
    return min(max(0, now_ms - newest), 2**32 - 1) if newest else 0
