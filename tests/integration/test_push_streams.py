"""Terminals on their streams: delivery, resume, cancellation, revocation, on real Kafka, PostgreSQL and
TLS."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from dispatch_support import (
    OTHER_TOKEN,
    SUPERVISOR,
    Hub,
    command,
    eventually,
    hub_fixture,  # noqa: F401 - pytest finds it by its name
    settings_changed_fixture,  # noqa: F401 - pytest finds it by its name
    start_dispatch_fixture,  # noqa: F401 - pytest finds it by its name
    unit,
    watchlist_hit,
)
from push_support import (
    PushHub,
    car_fixture,  # noqa: F401 - pytest finds it by its name
    connected,
    known_units,
    push_fixture,  # noqa: F401 - pytest finds it by its name
)

from alerthub.api.v1 import alert_pb2, common_pb2, patrol_pb2, watchlist_pb2

DONE = patrol_pb2.CommandAnswer.RESULT_DONE
SUPERSEDED = patrol_pb2.CommandAnswer.RESULT_SUPERSEDED
REFUSED = patrol_pb2.CommandAnswer.RESULT_REFUSED


def _hit(car: str, entry_id: str, **changed: Any) -> alert_pb2.AlertRaised:
    """A hit for which this unit alone fits."""
    return watchlist_hit(entry_id, jurisdiction=car, **changed)


async def test_an_alert_is_received_accepted_and_closed_with_its_outcome(
    hub: Hub, push: PushHub, car: str, unique: Callable[[str], str]
) -> None:
    # given a terminal of the unit that is on shift
    terminal = await connected(push, unique("t"), car)
    raised = _hit(car, unique("entry"))

    # when a vehicle alert fires
    await hub.raise_alert(raised)
    shown = await terminal.alert(lambda each: bool(each.assignment_id))
    alert_id, assignment_id = shown.alert.alert_id, shown.assignment_id

    # then receipt, acceptance and outcome are each answered, and the alert is closed
    receipt = await terminal.send(
        receipt=patrol_pb2.Receipt(
            alert_id=alert_id, alert_version=shown.alert.version, assignment_id=assignment_id
        )
    )
    assert (await terminal.answer(receipt)).result == DONE
    accept = await terminal.send(
        accept=patrol_pb2.AcceptAssignment(alert_id=alert_id, assignment_id=assignment_id)
    )
    assert (await terminal.answer(accept)).result == DONE
    outcome = await terminal.send(
        record_outcome=patrol_pb2.RecordOutcome(
            alert_id=alert_id, assignment_id=assignment_id, outcome=alert_pb2.OUTCOME_FOUND
        )
    )
    assert (await terminal.answer(outcome)).result == DONE
    closed = await hub.alert(alert_id, lambda each: each.status == alert_pb2.ALERT_STATUS_CLOSED)
    assert closed.outcome == alert_pb2.OUTCOME_FOUND
    assert closed.assignments[0].officer == "wang"


async def test_refusal_6_an_unconfirmed_person_alert_reaches_no_terminal_and_a_confirmed_one_does(
    hub: Hub, push: PushHub, car: str, unique: Callable[[str], str]
) -> None:
    # given a connected terminal, and a person alert that nobody has confirmed
    terminal = await connected(push, unique("t"), car)
    raised = _hit(car, unique("entry"), names_person=True)
    await hub.raise_alert(raised)
    await hub.alert(raised.raised_id.hex())

    # when time passes, nothing comes
    await terminal.nothing_but_heartbeats(2)

    # then, once a supervisor has confirmed it, it comes
    await hub.as_person("zhao", SUPERVISOR).ConfirmAlert(
        alert_pb2.ConfirmAlertRequest(command_id=command(), alert_id=raised.raised_id.hex())
    )
    shown = await terminal.alert()
    assert shown.alert.confirmed_by == "person:zhao"


async def test_refusal_7_a_cancellation_reaches_the_terminal_in_seconds_and_says_why(
    hub: Hub, push: PushHub, car: str, unique: Callable[[str], str]
) -> None:
    terminal = await connected(push, unique("t"), car)
    entry_id = unique("entry")
    await hub.raise_alert(_hit(car, entry_id))
    await terminal.alert()
    began = time.monotonic()

    await hub.entry(entry_id, 9, watchlist_pb2.ENTRY_STATUS_WITHDRAWN)

    cancelled = await terminal.alert(lambda each: each.alert.status == alert_pb2.ALERT_STATUS_CANCELLED)
    assert time.monotonic() - began < 3
    assert "withdrawn" in cancelled.alert.cancelled_reason
    assert cancelled.alert.cancelled_reason_chinese == "布控条目已撤销"


async def test_a_later_sighting_of_an_accepted_alert_goes_to_its_unit_as_an_update(
    hub: Hub, push: PushHub, car: str, unique: Callable[[str], str]
) -> None:
    # given an accepted alert
    terminal = await connected(push, unique("t"), car)
    entry_id = unique("entry")
    await hub.raise_alert(_hit(car, entry_id))
    shown = await terminal.alert()
    await terminal.send(
        accept=patrol_pb2.AcceptAssignment(alert_id=shown.alert.alert_id, assignment_id=shown.assignment_id)
    )
    await terminal.alert(lambda each: each.alert.status == alert_pb2.ALERT_STATUS_ACCEPTED)

    # when the vehicle passes another camera, and when another plate of the entry is read
    await hub.raise_alert(
        _hit(car, entry_id, device="camera-2"),
        _hit(car, entry_id, device="camera-3", token=OTHER_TOKEN),
    )

    # then the unit sees the first, and not the second, which needs its own confirmation (C6)
    update = await terminal.alert(lambda each: each.alert.sighting_count == 3)
    assert [each.device_id for each in update.alert.sightings] == ["camera-1", "camera-2"]
    assert update.assignment_id == shown.assignment_id


async def test_c10_a_terminal_that_was_away_gets_what_it_missed_and_nothing_twice(
    hub: Hub, push: PushHub, car: str, unique: Callable[[str], str]
) -> None:
    # given a terminal that has one alert and goes away
    terminal_id = unique("t")
    terminal = await connected(push, terminal_id, car)
    first = _hit(car, unique("entry"))
    await hub.raise_alert(first)
    shown = await terminal.alert()
    await terminal.nothing_but_heartbeats(1)
    token = terminal.resume_token
    await terminal.close()

    # when another alert comes, and the first one's entry is withdrawn
    second = _hit(car, unique("entry"))
    await hub.raise_alert(second)
    await hub.alert(second.raised_id.hex(), lambda each: bool(each.assignments))
    await hub.entry(first.watchlist.entry_id, 9, watchlist_pb2.ENTRY_STATUS_WITHDRAWN)
    await hub.alert(first.raised_id.hex(), lambda each: each.status == alert_pb2.ALERT_STATUS_CANCELLED)

    # then it is told both when it comes back
    back = push.terminal(terminal_id, car)
    welcome = await back.connect(push.token("wang"), token)
    assert not welcome.welcome.snapshot_follows
    told: dict[str, list[int]] = {}
    ended = False
    while not ended or len(told) < 2:
        push_message = await back.alert()
        told.setdefault(push_message.alert.alert_id, []).append(push_message.alert.version)
        ended = ended or push_message.alert.status == alert_pb2.ALERT_STATUS_CANCELLED
    assert set(told) == {first.raised_id.hex(), second.raised_id.hex()}
    assert all(versions == sorted(set(versions)) for versions in told.values())
    assert min(told[first.raised_id.hex()]) > shown.alert.version


async def test_c10_a_token_that_is_no_longer_good_gets_a_snapshot(
    hub: Hub, push: PushHub, car: str, unique: Callable[[str], str]
) -> None:
    raised = _hit(car, unique("entry"))
    await hub.raise_alert(raised)
    await hub.alert(raised.raised_id.hex(), lambda each: bool(each.assignments))
    terminal = push.terminal(unique("t"), car)
    of_another_topic = "another-topic.0-3"

    welcome = await terminal.connect(push.token("wang"), of_another_topic)

    assert welcome.welcome.snapshot_follows
    shown = await terminal.alert()
    assert shown.alert.alert_id == raised.raised_id.hex()
    complete = await terminal.until(lambda message: message.WhichOneof("message") == "heartbeat")
    assert complete.heartbeat.snapshot_complete
    assert complete.resume_token


async def test_a_declined_alert_goes_to_the_next_unit_and_leaves_the_first_ones_screen(
    hub: Hub, push: PushHub, unique: Callable[[str], str]
) -> None:
    # given two units with a terminal each
    near, far, east = unique("near"), unique("far"), unique("east")
    await known_units(hub, push, unit(near, jurisdiction=east), unit(far, jurisdiction=east, latitude=38.5))
    first, second = await connected(push, unique("t"), near), await connected(push, unique("t"), far)
    await hub.raise_alert(watchlist_hit(unique("entry"), jurisdiction=east))
    shown = await first.alert()

    # when the first declines
    await first.send(
        decline=patrol_pb2.DeclineAssignment(
            alert_id=shown.alert.alert_id, assignment_id=shown.assignment_id, reason="a puncture"
        )
    )

    # then the second is asked, and the first is told no more than that it is not theirs
    assert (await second.alert()).alert.alert_id == shown.alert.alert_id
    gone = await first.alert(lambda each: not each.assignment_id)
    assert not gone.alert.sightings
    # and an answer of the first comes too late
    late = await first.send(
        accept=patrol_pb2.AcceptAssignment(alert_id=shown.alert.alert_id, assignment_id=shown.assignment_id)
    )
    assert (await first.answer(late)).result == SUPERSEDED


async def test_a_terminal_neither_sees_nor_answers_the_alerts_of_another_unit(
    hub: Hub, push: PushHub, car: str, unique: Callable[[str], str]
) -> None:
    # given an alert of one unit, and a terminal of another
    stranger_unit = unique("other")
    await known_units(hub, push, unit(stranger_unit, jurisdiction="west"))
    stranger = await connected(push, unique("t"), stranger_unit)
    raised = _hit(car, unique("entry"))
    await hub.raise_alert(raised)
    alert = await hub.alert(raised.raised_id.hex(), lambda each: bool(each.assignments))

    # when it answers for it
    accept = await stranger.send(
        accept=patrol_pb2.AcceptAssignment(
            alert_id=alert.alert_id, assignment_id=alert.assignments[0].assignment_id
        )
    )

    # then it is refused, and was shown nothing
    answer = await stranger.answer(accept)
    assert answer.result == REFUSED
    assert "this terminal's unit" in answer.detail
    assert answer.detail_chinese == "本终端的单位没有此警情"


async def test_c14_a_repeated_command_on_a_new_stream_gets_the_first_answer(
    hub: Hub, push: PushHub, car: str, unique: Callable[[str], str]
) -> None:
    # given an acceptance whose answer the terminal may have missed
    terminal_id = unique("t")
    terminal = await connected(push, terminal_id, car)
    await hub.raise_alert(_hit(car, unique("entry")))
    shown = await terminal.alert()
    accept = patrol_pb2.AcceptAssignment(alert_id=shown.alert.alert_id, assignment_id=shown.assignment_id)
    command_id = await terminal.send(accept=accept)
    first = await terminal.answer(command_id)

    # when it sends it again on a new stream
    again = await connected(push, terminal_id, car)
    await again.send(command_id, accept=accept)

    # then the answer is the same, and there was one acceptance
    assert await again.answer(command_id) == first
    rows = await hub.sql("SELECT 1 FROM audit_entry WHERE action = 'alert_accepted'")
    assert len(rows) == 1


async def test_the_position_that_a_terminal_reports_decides_who_is_nearest(
    hub: Hub, push: PushHub, unique: Callable[[str], str]
) -> None:
    # given two units, the one with the farther station standing at the camera
    near, far, east = unique("near"), unique("far"), unique("east")
    await known_units(hub, push, unit(near, jurisdiction=east), unit(far, jurisdiction=east, latitude=38.9))
    terminal = await connected(push, unique("t"), far)
    position = await terminal.send(
        report_position=patrol_pb2.ReportPosition(
            position=common_pb2.Position(latitude=38.04, longitude=114.51)
        )
    )
    assert (await terminal.answer(position)).result == DONE

    async def known() -> bool:
        return far in hub.service.fleet.positions

    await eventually(known)

    # when an alert fires there, then that unit is asked
    await hub.raise_alert(watchlist_hit(unique("entry"), jurisdiction=east))
    assert any(
        "by its position" in reason for reason in (await terminal.alert()).alert.assignments[0].reasons
    )


async def test_c18_a_connected_unit_is_not_called_by_radio(
    hub: Hub, push: PushHub, car: str, unique: Callable[[str], str]
) -> None:
    await connected(push, unique("t"), car)

    async def reported() -> bool:
        return bool(await hub.sql("SELECT 1 FROM connection WHERE unit_id = :unit", unit=car))

    await eventually(reported)
    raised = _hit(car, unique("entry"))
    await hub.raise_alert(raised)
    alert = await hub.alert(raised.raised_id.hex(), lambda each: bool(each.assignments))
    assert not alert.call_by_radio
