"""What outcomes say of devices, on real Kafka and PostgreSQL (refusal 9)."""

from __future__ import annotations

from collections.abc import Callable

from dispatch_support import (
    SUPERVISOR,
    Hub,
    command,
    hub_fixture,  # noqa: F401 - pytest finds it by its name
    settings_changed_fixture,  # noqa: F401 - pytest finds it by its name
    start_dispatch_fixture,  # noqa: F401 - pytest finds it by its name
    unit,
    watchlist_hit,
)

from alerthub.api.v1 import alert_pb2, patrol_pb2

DISPATCHING = alert_pb2.ALERT_STATUS_DISPATCHING
AWAITING = alert_pb2.ALERT_STATUS_AWAITING_CONFIRMATION
DONE = patrol_pb2.CommandAnswer.RESULT_DONE


async def test_refusal_9_a_device_that_is_mostly_wrong_is_suspended_until_a_supervisor_looks(
    hub: Hub, unique: Callable[[str], str]
) -> None:
    # given a device with twenty outcomes, all but the last one misread
    device, car = unique("camera"), unique("car")
    await hub.units(unit(car, jurisdiction=car))
    await hub.sql(
        "INSERT INTO precision_record (kind, subject, outcomes, right_outcomes) VALUES ('device', :d, 19, 0)",
        d=device,
    )
    raised = watchlist_hit(unique("entry"), jurisdiction=car, device=device)
    alert = await hub.opened(raised)
    assignment_id = alert.assignments[0].assignment_id
    for command_name, message in (
        ("accept", patrol_pb2.AcceptAssignment(alert_id=alert.alert_id, assignment_id=assignment_id)),
        (
            "record_outcome",
            patrol_pb2.RecordOutcome(
                alert_id=alert.alert_id, assignment_id=assignment_id, outcome=alert_pb2.OUTCOME_MISREAD
            ),
        ),
    ):
        assert (await hub.answer("t1", car, **{command_name: message})).result == DONE

    # when it raises the next one
    following = await hub.opened(watchlist_hit(unique("entry"), jurisdiction=car, device=device))

    # then that waits for a supervisor, until one has lifted the suspension
    assert (following.status, following.supervisor_required) == (AWAITING, True)
    supervisor = hub.as_person("zhao", SUPERVISOR)
    measured = (await supervisor.ListPrecision(alert_pb2.ListPrecisionRequest())).records
    assert [(each.kind, each.outcomes) for each in measured if each.suspended] == [("device", 20)]
    await supervisor.LiftSuspension(
        alert_pb2.LiftSuspensionRequest(
            command_id=command(), kind="device", subject=device, reason="the lens was cleaned"
        )
    )
    lifted = await hub.opened(watchlist_hit(unique("entry"), jurisdiction=car, device=device))
    assert lifted.status == DISPATCHING


async def test_a_canarys_outcome_speaks_for_nobody(hub: Hub, unique: Callable[[str], str]) -> None:
    # given a canary that its unit has in hand
    device, car = unique("camera"), unique("car")
    await hub.units(unit(car, jurisdiction=car))
    raised = watchlist_hit(unique("entry"), jurisdiction=car, device=device, category="canary")
    alert = await hub.opened(raised)
    mine = {"alert_id": alert.alert_id, "assignment_id": alert.assignments[0].assignment_id}
    assert (await hub.answer("t1", car, accept=patrol_pb2.AcceptAssignment(**mine))).result == DONE

    # when it says what it found
    found = patrol_pb2.RecordOutcome(**mine, outcome=alert_pb2.OUTCOME_FOUND)
    assert (await hub.answer("t1", car, record_outcome=found)).result == DONE

    # then nothing is measured by it
    counted = await hub.sql(
        "SELECT 1 FROM precision_record WHERE subject IN (:device, 'canary')", device=device
    )
    assert counted == []
