"""The hops of an alert's way: in order, each after one that is there, and none that ends before it begins."""

from __future__ import annotations

import itertools
from typing import TypedDict

from hypothesis import given
from hypothesis import strategies as st

from alerthub.domain import alert_life, alert_trace
from alerthub.domain.alert_trace import Place
from alerthub.domain.alerts import Alert, Change, EventKind, Policy

OPENED_MS = 1_800_000_000_000
times = st.integers(min_value=0, max_value=2**41)


@given(corrected=times, received=times, on_kafka=times, correlated=times)
def test_an_observations_way_is_a_chain_whatever_the_clocks_say(
    corrected: int, received: int, on_kafka: int, correlated: int
) -> None:
    way = alert_trace.observation_way(
        corrected_ms=corrected, received_ms=received, on_kafka_ms=on_kafka, correlated_ms=correlated
    )

    assert [hop.place for hop in way] == [Place.DEVICE, Place.GATEWAY, Place.CORRELATOR]
    assert [hop.after for hop in way] == ["", *(hop.key for hop in way[:-1])]
    assert all(hop.from_ms <= hop.until_ms for hop in way)
    assert all(before.until_ms == hop.from_ms for before, hop in itertools.pairwise(way))
    # The gateway's clock is the one that everybody shares.
    assert way[0].until_ms == received


class _Offered(TypedDict):
    assignment_id: str
    unit_id: str


def _life() -> list[Change]:
    """An alert from its opening until its outcome, offered to a second unit after the first declined it."""
    at = iter(range(OPENED_MS, OPENED_MS + 1_000_000, 1_000))
    changes = [
        alert_life.open_alert(
            alert_id="0a" * 16,
            policy=Policy.CONFIRM_FIRST,
            names_person=True,
            severity=3,
            supervisor_required=False,
            actor="service:dispatch",
            now_ms=next(at),
        )
    ]

    def then(change: Change) -> None:
        changes.append(change)

    def alert() -> Alert:
        return changes[-1].alert

    then(
        alert_life.evidence_sealed(
            alert(), of_basis=True, has_picture=True, actor="service:dispatch", now_ms=next(at)
        )
    )
    then(alert_life.confirm(alert(), by="person:o", supervisor=False, seen_version=0, now_ms=next(at)))
    for number, unit in enumerate(("u1", "u2"), start=1):
        offered: _Offered = {
            "assignment_id": f"{'0a' * 16}-{number}",
            "unit_id": unit,
        }
        then(
            alert_life.offer(
                alert(), **offered, reasons=(), reachable=True, actor="service:dispatch", now_ms=next(at)
            )
        )
        then(alert_life.deliver(alert(), **offered, actor="terminal:t", now_ms=next(at)))
        if number == 1:
            then(alert_life.decline(alert(), **offered, reason="busy", actor="person:p", now_ms=next(at)))
    then(alert_life.accept(alert(), **offered, officer="p", actor="person:p", now_ms=next(at)))
    return changes


def test_each_event_of_a_life_follows_what_it_answers() -> None:
    events = [event for change in _life() for event in change.events]

    hops = [alert_trace.life_hop(event) for event in events if event.kind is not EventKind.OPENED]

    named = [(hop.name, hop.after.partition(" ")[0]) for hop in hops]
    assert named == [
        ("evidence_sealed", "opened"),
        ("confirmed", "opened"),
        ("unit_assigned", "confirmed"),
        ("delivered", "assigned"),
        ("declined", "delivered"),
        ("unit_assigned", "assigned"),
        ("delivered", "assigned"),
        ("accepted", "delivered"),
    ]


def test_each_hop_of_a_life_follows_one_that_is_told_and_has_a_key_of_its_own() -> None:
    events = [event for change in _life() for event in change.events]

    hops = [alert_trace.life_hop(event) for event in events if event.kind is not EventKind.OPENED]

    keys = [alert_trace.OPENED, *(hop.key for hop in hops)]
    assert len(set(keys)) == len(keys)
    assert all(hop.after in keys[: place + 1] for place, hop in enumerate(hops))
    assert all(hop.from_ms <= hop.until_ms for hop in hops)
    # From the moment of what it answers: what was waited for is what the hop shows.
    assert all(hop.until_ms > hop.from_ms for hop in hops)


def test_where_an_alert_stands_is_the_key_of_its_newest_offer() -> None:
    for change in _life():
        alert, events = change.alert, change.events
        assigned = [event for event in events if event.kind is EventKind.UNIT_ASSIGNED]
        key = alert_trace.standing(assignments=len(alert.assignments), confirmed_at_ms=alert.confirmed_at_ms)
        assert [alert_trace.life_hop(event).key for event in assigned] in ([], [key])
