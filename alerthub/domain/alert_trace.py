"""The hops of an alert's way from the device to the terminal, from the times that it carries.

An alert's id is its trace's id. A hop's key tells it apart within the trace, and any service knows the key of
a hop that another one tells of; so nothing of an observation that matched nothing has to be carried along.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from alerthub.domain.alerts import Alert, Event, EventKind


class Place(StrEnum):
    """Where a hop's time was spent."""

    DEVICE = "device"
    GATEWAY = "gateway"
    CORRELATOR = "correlator"
    DISPATCH = "dispatch"
    PUSH = "push"
    TERMINAL = "terminal"


OPENED = "opened"
CORRELATED = "correlated"
CALL_ACCEPTED = "call_accepted"


@dataclass(frozen=True, slots=True)
class Hop:
    """A piece of the way. `after` is the key of the hop that it follows; empty: it is the first.

    Times are in milliseconds since 1970; `until_ms` is never before `from_ms`.
    """

    name: str
    place: Place
    key: str
    after: str
    from_ms: int
    until_ms: int

    def as_first(self) -> Hop:
        """The same as the first of its trace."""
        return replace(self, after="")

    def beginning_at(self, from_ms: int) -> Hop:
        """The same from another time on."""
        return replace(self, from_ms=min(from_ms, self.until_ms))


def _way(pieces: Sequence[tuple[str, Place]], times_ms: Sequence[int]) -> tuple[Hop, ...]:
    """The pieces in order between the times, of which there is one more. Clocks differ by a little: no hop
    ends before it begins."""
    hops: list[Hop] = []
    at_ms, after = times_ms[0], ""
    for (name, place), until_ms in zip(pieces, times_ms[1:], strict=True):
        hops.append(Hop(name, place, name, after, at_ms, max(at_ms, until_ms)))
        at_ms, after = hops[-1].until_ms, name
    return tuple(hops)


def observation_way(
    *, corrected_ms: int, received_ms: int, on_kafka_ms: int, correlated_ms: int
) -> tuple[Hop, ...]:
    """From the device to the rule that fired. A device's clock that is ahead counts as the gateway's."""
    return _way(
        (("observed", Place.DEVICE), ("packed", Place.GATEWAY), (CORRELATED, Place.CORRELATOR)),
        (min(corrected_ms, received_ms), received_ms, on_kafka_ms, correlated_ms),
    )


def call_way(*, device_ms: int, received_ms: int, on_kafka_ms: int) -> tuple[Hop, ...]:
    """Of a direct call, from the device to Kafka."""
    return _way(
        (("called", Place.DEVICE), (CALL_ACCEPTED, Place.GATEWAY)),
        (min(device_ms, received_ms), received_ms, on_kafka_ms),
    )


def taken(disposition: str, *, raised_ms: int, at_ms: int) -> Hop:
    """What became of a rule's firing; `opened` where it is an alert now."""
    return Hop(disposition, Place.DISPATCH, disposition, CORRELATED, min(raised_ms, at_ms), at_ms)


def standing(*, assignments: int, confirmed_at_ms: int) -> str:
    """The key of the hop at which an alert with so many assignments stands: what comes next follows it."""
    if assignments:
        return f"assigned {assignments}"
    return f"confirmed {confirmed_at_ms}" if confirmed_at_ms else OPENED


def life_hop(event: Event) -> Hop:
    """The hop that ends with this event of an alert's life; of every kind but `opened`, which `taken` is."""
    alert, number = event.alert, len(event.alert.assignments)
    key, after, from_ms = f"{event.kind.value} {alert.version}", OPENED, alert.opened_at_ms
    match event.kind:
        case EventKind.CONFIRMED:
            key = standing(assignments=0, confirmed_at_ms=alert.confirmed_at_ms)
        case EventKind.UNIT_ASSIGNED:
            key = standing(assignments=number, confirmed_at_ms=0)
            after, from_ms = _before(alert, number)
        case EventKind.DELIVERED if number:
            key, after = f"delivered {number}", f"assigned {number}"
            from_ms = alert.assignments[-1].offered_at_ms
        case (
            EventKind.ACCEPTED | EventKind.DECLINED | EventKind.ASSIGNMENT_TIMED_OUT | EventKind.ESCALATED
        ) if number:
            newest = alert.assignments[-1]
            delivered = bool(newest.delivered_at_ms)
            after = f"delivered {number}" if delivered else f"assigned {number}"
            from_ms = newest.delivered_at_ms or newest.offered_at_ms
            if event.kind is EventKind.ACCEPTED:
                key = f"accepted {number}"
        case EventKind.OUTCOME_RECORDED if number:
            after, from_ms = f"accepted {number}", alert.assignments[-1].answered_at_ms
        case EventKind.SIGHTING_ADDED:
            from_ms = event.at_ms
        case _:
            pass
    return Hop(event.kind.value, Place.DISPATCH, key, after, min(from_ms, event.at_ms), event.at_ms)


def _before(alert: Alert, number: int) -> tuple[str, int]:
    """What an assignment follows, and when that was."""
    if number > 1:
        before = alert.assignments[-2]
        at_ms = max(before.offered_at_ms, before.delivered_at_ms, before.answered_at_ms)
        return standing(assignments=number - 1, confirmed_at_ms=0), at_ms
    after = standing(assignments=0, confirmed_at_ms=alert.confirmed_at_ms)
    return after, alert.confirmed_at_ms or alert.opened_at_ms
