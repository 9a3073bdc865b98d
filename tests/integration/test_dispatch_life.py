"""An alert's life on real Kafka and PostgreSQL."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from dispatch_support import (
    OPERATOR,
    OTHER_TOKEN,
    SUPERVISOR,
    Hub,
    command,
    eventually,
    hub_fixture,  # noqa: F401 - pytest finds it by its name
    now_ms,
    settings_changed_fixture,  # noqa: F401 - pytest finds it by its name
    start_dispatch_fixture,  # noqa: F401 - pytest finds it by its name
    unit,
    watchlist_hit,
)

from alerthub import kafka
from alerthub.api.v1 import alert_pb2, common_pb2, observation_pb2, patrol_pb2, watchlist_pb2

DISPATCHING = alert_pb2.ALERT_STATUS_DISPATCHING
AWAITING = alert_pb2.ALERT_STATUS_AWAITING_CONFIRMATION
CANCELLED = alert_pb2.ALERT_STATUS_CANCELLED
ESCALATED = alert_pb2.ALERT_STATUS_ESCALATED
CONFIRM_FIRST = common_pb2.DISPATCH_POLICY_CONFIRM_FIRST
DONE = patrol_pb2.CommandAnswer.RESULT_DONE
SUPERSEDED = patrol_pb2.CommandAnswer.RESULT_SUPERSEDED
WITHDRAWN = watchlist_pb2.ENTRY_STATUS_WITHDRAWN


def _code(error: grpc.aio.AioRpcError) -> grpc.StatusCode:
    return error.code()


# Opening, folding


async def test_a_vehicle_alert_goes_to_the_nearest_unit_on_shift(
    hub: Hub, unique: Callable[[str], str]
) -> None:
    # given a near unit, a far one, one of another kind and one off shift
    near, far, other, off = (unique(name) for name in ("near", "far", "other", "off"))
    east = unique("east")
    await hub.units(
        unit(near, jurisdiction=east),
        unit(far, jurisdiction=east, latitude=38.5),
        unit(other, jurisdiction=east, kind="tow", latitude=38.04),
        unit(off, jurisdiction=east, on_shift=False),
    )
    raised = watchlist_hit(unique("entry"), jurisdiction=east)

    # when a rule fires
    await hub.raise_alert(raised)

    # then the near one is asked, and the card says why
    alert = await hub.alert(raised.raised_id.hex(), lambda each: each.status == DISPATCHING)
    assert [each.unit_id for each in alert.assignments] == [near]
    assert any("km away" in reason for reason in alert.assignments[0].reasons)
    assert any("公里" in reason for reason in alert.assignments[0].reasons_chinese)


async def test_c6_repeats_fold_into_one_alert_and_every_raised_id_is_kept(
    hub: Hub, unique: Callable[[str], str]
) -> None:
    # given three hits of one entry, one of them delivered twice by Kafka
    entry_id = unique("entry")
    hits = [watchlist_hit(entry_id, policy=CONFIRM_FIRST) for _ in range(3)]

    # when they come
    await hub.raise_alert(*hits, hits[1])

    # then there is one alert with three sightings, and the topic may forget them
    alert = await hub.alert(hits[0].raised_id.hex(), lambda each: each.sighting_count == 3)
    assert len(alert.sightings) == 3
    assert len(await hub.alerts()) == 1
    raised = await hub.sql("SELECT disposition FROM raised ORDER BY disposition")
    assert [row[0] for row in raised] == ["joined", "joined", "opened"]


async def test_a_record_that_cannot_be_decoded_is_put_aside_and_the_next_is_taken(
    hub: Hub, unique: Callable[[str], str]
) -> None:
    raised = watchlist_hit(unique("entry"), policy=CONFIRM_FIRST)
    await hub.put("alerts", raised.fold_key, b"\xff\xff not protobuf")

    await hub.raise_alert(raised)

    await hub.alert(raised.raised_id.hex())
    consumer = kafka.consumer(hub.kafka_settings("admin"), "dead-letter", group_id=None)
    await consumer.start()
    try:
        record = await consumer.getone()
    finally:
        await consumer.stop()
    letter = observation_pb2.DeadLetter.FromString(record.value)
    assert (letter.source_topic, letter.reason) == ("alerts", "cannot be decoded")
    assert b"not protobuf" not in record.value


# Refusal 6: persons


async def test_refusal_6_a_person_alert_waits_whatever_policy_it_came_with(
    hub: Hub, unique: Callable[[str], str]
) -> None:
    # given a unit that could go, and a person alert that claims to be sent at once
    await hub.units(unit(unique("car")))
    raised = watchlist_hit(unique("entry"), names_person=True)

    # when it comes
    alert = await hub.opened(raised)

    # then it waits, with nobody asked
    assert (alert.status, alert.policy, len(alert.assignments)) == (AWAITING, CONFIRM_FIRST, 0)


async def test_a_device_that_proves_itself_weakly_never_sends_at_once(
    hub: Hub, unique: Callable[[str], str]
) -> None:
    weak = watchlist_hit(unique("entry"), authentication_class=common_pb2.AUTHENTICATION_CLASS_URL_TOKEN)
    assert (await hub.opened(weak)).status == AWAITING


async def test_a_person_alert_without_a_picture_is_confirmed_by_a_supervisor_only(
    hub: Hub, unique: Callable[[str], str]
) -> None:
    # given a person alert whose device sent no picture
    car = unique("car")
    await hub.units(unit(car, jurisdiction=car))
    alert = await hub.opened(watchlist_hit(unique("entry"), names_person=True, jurisdiction=car))
    assert alert.sightings[0].picture_missing_reason == "the device sent no picture"
    assert alert.sightings[0].picture_missing_reason_chinese == "设备未上传图片"
    request = alert_pb2.ConfirmAlertRequest(command_id=command(), alert_id=alert.alert_id, alert_version=1)

    # when an operator confirms it, that is refused
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await hub.as_person("li", OPERATOR).ConfirmAlert(request)
    assert _code(refused.value) is grpc.StatusCode.PERMISSION_DENIED

    # then a supervisor may, and it goes to the unit
    answer = await hub.as_person("zhao", SUPERVISOR).ConfirmAlert(request)
    assert answer.alert.confirmed_by == "person:zhao"
    assert [each.unit_id for each in answer.alert.assignments] == [car]


# Commands


async def test_a_repeated_command_gets_the_first_answer_and_changes_nothing(
    hub: Hub, unique: Callable[[str], str]
) -> None:
    alert = await hub.opened(watchlist_hit(unique("entry"), policy=CONFIRM_FIRST, jurisdiction="nowhere"))
    request = alert_pb2.ConfirmAlertRequest(command_id=command(), alert_id=alert.alert_id)
    operator = hub.as_person("li", OPERATOR)

    first = await operator.ConfirmAlert(request)
    again = await operator.ConfirmAlert(request)

    assert again == first
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await operator.ConfirmAlert(
            alert_pb2.ConfirmAlertRequest(
                command_id=request.command_id, alert_id=alert.alert_id, note="other"
            )
        )
    assert _code(refused.value) is grpc.StatusCode.INVALID_ARGUMENT


async def test_an_alert_for_which_no_unit_fits_goes_to_the_supervisor_at_once(
    hub: Hub, unique: Callable[[str], str]
) -> None:
    alert = await hub.opened(watchlist_hit(unique("entry"), jurisdiction=unique("nowhere")))
    assert (alert.status, alert.call_by_radio) == (ESCALATED, True)
    assert alert.escalated_at_ms >= alert.opened_at_ms
    assert (alert.escalated_reason, alert.escalated_reason_chinese) == (
        "no unit of the kind is on shift in the jurisdiction",
        "辖区内无该类型当班单位",
    )


async def test_a_supervisor_assigns_a_unit_and_notes_its_answer_by_radio(
    hub: Hub, unique: Callable[[str], str]
) -> None:
    # given an alert that nobody could be found for
    car = unique("car")
    await hub.units(unit(car, jurisdiction="elsewhere"))
    alert = await hub.opened(watchlist_hit(unique("entry"), jurisdiction=unique("nowhere")))
    supervisor = hub.as_person("zhao", SUPERVISOR)

    # when the supervisor sends a unit from elsewhere, and it answers by radio
    assigned = await supervisor.AssignUnit(
        alert_pb2.AssignUnitRequest(command_id=command(), alert_id=alert.alert_id, unit_id=car)
    )
    assert assigned.alert.call_by_radio
    answer = await supervisor.AcknowledgeByVoice(
        alert_pb2.AcknowledgeByVoiceRequest(
            command_id=command(),
            alert_id=alert.alert_id,
            assignment_id=assigned.alert.assignments[-1].assignment_id,
            spoken_with="East 3",
        )
    )

    # then the unit has it
    assert answer.alert.status == alert_pb2.ALERT_STATUS_ACCEPTED
    assert answer.alert.assignments[-1].by_voice


async def test_c6_a_rejection_suppresses_the_same_token_at_the_same_device_only(
    hub: Hub, unique: Callable[[str], str]
) -> None:
    # given a rejected alert
    entry_id = unique("entry")
    alert = await hub.opened(watchlist_hit(entry_id, policy=CONFIRM_FIRST))
    await hub.as_person("li", OPERATOR).RejectAlert(
        alert_pb2.RejectAlertRequest(command_id=command(), alert_id=alert.alert_id, reason="another colour")
    )

    # when the same token comes from the same device, then from another one
    same = watchlist_hit(entry_id, policy=CONFIRM_FIRST)
    await hub.raise_alert(same)

    async def taken() -> list[Any]:
        return await hub.sql("SELECT disposition FROM raised WHERE raised_id = :id", id=same.raised_id)

    assert [row[0] for row in await eventually(taken)] == ["suppressed"]

    # then only the second opens an alert
    elsewhere = watchlist_hit(entry_id, policy=CONFIRM_FIRST, device="camera-2")
    assert (await hub.opened(elsewhere)).status == AWAITING


async def test_another_token_is_not_suppressed_by_a_rejection(hub: Hub, unique: Callable[[str], str]) -> None:
    entry_id = unique("entry")
    alert = await hub.opened(watchlist_hit(entry_id, policy=CONFIRM_FIRST))
    await hub.as_person("li", OPERATOR).RejectAlert(
        alert_pb2.RejectAlertRequest(command_id=command(), alert_id=alert.alert_id, reason="another colour")
    )
    other = watchlist_hit(entry_id, policy=CONFIRM_FIRST, token=OTHER_TOKEN)
    assert (await hub.opened(other)).status == AWAITING


async def test_c6_a_weaker_sighting_of_a_dispatched_alert_waits_for_its_own_confirmation(
    hub: Hub, unique: Callable[[str], str]
) -> None:
    # given an alert that is on its way
    car, entry_id = unique("car"), unique("entry")
    await hub.units(unit(car, jurisdiction=car))
    first = watchlist_hit(entry_id, jurisdiction=car)
    await hub.opened(first)

    # when another identifier of the entry is read
    await hub.raise_alert(watchlist_hit(entry_id, jurisdiction=car, token=OTHER_TOKEN))
    alert = await hub.alert(first.raised_id.hex(), lambda each: each.sighting_count == 2)
    assert [each.needs_confirmation for each in alert.sightings] == [False, True]

    # then an operator confirms that sighting by itself
    await hub.as_person("li", OPERATOR).ConfirmAlert(
        alert_pb2.ConfirmAlertRequest(
            command_id=command(), alert_id=alert.alert_id, alert_version=alert.version
        )
    )
    alert = await hub.alert(alert.alert_id)
    assert [each.needs_confirmation for each in alert.sightings] == [False, False]


# Direct calls and precision


async def test_a_panic_button_is_an_alert_at_once_and_critical(
    hub: Hub, unique: Callable[[str], str]
) -> None:
    await hub.units(unit(unique("car")))
    call = observation_pb2.DirectCall(
        call_id=uuid.uuid4().bytes,
        device_id="button-1",
        kind=observation_pb2.DIRECT_CALL_KIND_PANIC,
        received_time_ms=now_ms(),
        position=common_pb2.Position(latitude=38.04, longitude=114.5),
        authentication_class=common_pb2.AUTHENTICATION_CLASS_CERTIFICATE,
    )

    await hub.put("calls", call.device_id, call.SerializeToString())

    alert = await hub.alert(call.call_id.hex(), lambda each: each.status == DISPATCHING)
    assert alert.severity == common_pb2.SEVERITY_CRITICAL
    assert alert.assignments


async def test_every_change_is_in_the_audit_log_and_on_the_topic(
    hub: Hub, unique: Callable[[str], str]
) -> None:
    alert = await hub.opened(
        watchlist_hit(unique("entry"), policy=CONFIRM_FIRST, jurisdiction=unique("nowhere"))
    )
    await hub.as_person("li", OPERATOR).ConfirmAlert(
        alert_pb2.ConfirmAlertRequest(command_id=command(), alert_id=alert.alert_id)
    )

    rows = await hub.sql(
        "SELECT action, actor FROM audit_entry WHERE subject = :subject ORDER BY row_number",
        subject=f"alert:{alert.alert_id}",
    )
    assert [tuple(row) for row in rows] == [
        ("alert_opened", "service:dispatch"),
        ("alert_confirmed", "person:li"),
        ("alert_escalated", "service:dispatch"),
    ]
    consumer = kafka.consumer(hub.kafka_settings("push"), "alert-events", group_id=None)
    await consumer.start()
    try:
        events = [alert_pb2.AlertEvent.FromString((await consumer.getone()).value) for _ in range(3)]
    finally:
        await consumer.stop()
    assert [each.alert.version for each in events] == [1, 2, 3]


async def test_c10_a_watcher_gets_a_snapshot_then_changes_and_resumes_where_it_was(
    hub: Hub, unique: Callable[[str], str]
) -> None:
    # given an open alert
    first = watchlist_hit(unique("entry"), policy=CONFIRM_FIRST)
    await hub.opened(first)
    operator = hub.as_person("li", OPERATOR)

    # when somebody watches
    watch: Any = operator.WatchAlerts(alert_pb2.WatchAlertsRequest())
    snapshot = await watch.read()
    assert snapshot.event.alert.alert_id == first.raised_id.hex()
    complete = await watch.read()
    assert complete.snapshot_complete
    second = watchlist_hit(unique("entry"), policy=CONFIRM_FIRST)
    await hub.raise_alert(second)
    change = await watch.read()
    assert change.event.alert.alert_id == second.raised_id.hex()
    watch.cancel()

    # then whoever resumes gets what came after, and nothing twice
    third = watchlist_hit(unique("entry"), policy=CONFIRM_FIRST)
    await hub.raise_alert(third)
    await hub.alert(third.raised_id.hex())
    resumed: Any = operator.WatchAlerts(alert_pb2.WatchAlertsRequest(resume_token=change.resume_token))
    seen = [(await resumed.read()) for _ in range(2)]
    assert [each.event.alert.alert_id for each in seen if not each.snapshot_complete] == [
        third.raised_id.hex()
    ]
    resumed.cancel()

    # and a token of another topic begins with a snapshot
    other_topic = "another.0-1"
    foreign: Any = operator.WatchAlerts(alert_pb2.WatchAlertsRequest(resume_token=other_topic))
    snapshots = [(await foreign.read()).event.alert.alert_id for _ in range(3)]
    assert len(set(snapshots)) == 3
    foreign.cancel()


async def test_an_ended_alerts_tokens_and_evidence_are_forgotten_in_time(
    hub: Hub, unique: Callable[[str], str]
) -> None:
    # given a rejected alert with its evidence, and one that ended just now
    old, fresh = [await hub.opened(watchlist_hit(unique("entry"), policy=CONFIRM_FIRST)) for _ in range(2)]
    for alert in (old, fresh):
        await hub.as_person("li", OPERATOR).RejectAlert(
            alert_pb2.RejectAlertRequest(
                command_id=command(), alert_id=alert.alert_id, reason="another colour"
            )
        )

    # when 31 days have passed for the first
    await hub.sql(
        "UPDATE alert SET closed_at_ms = :then WHERE alert_id = :id",
        then=now_ms() - 31 * 86_400_000,
        id=old.alert_id,
    )
    await hub.service.housekeeping.forget()

    # then only the second has tokens and sealed text
    kept = [row[0] for row in await hub.sql("SELECT alert_id FROM sealing")]
    assert kept == [fresh.alert_id]
    with_tokens = await hub.sql(
        "SELECT alert_id FROM alert WHERE basis_token <> '' "
        "UNION SELECT alert_id FROM sighting WHERE token <> ''"
    )
    assert [row[0] for row in with_tokens] == [fresh.alert_id]
