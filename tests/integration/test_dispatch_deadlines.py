"""Deadlines that fire, and the grace after an outage (C14), on real PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from dispatch_support import (
    Hub,
    eventually,
    hub_fixture,  # noqa: F401 - pytest finds it by its name
    now_ms,
    settings_changed_fixture,  # noqa: F401 - pytest finds it by its name
    start_dispatch_fixture,  # noqa: F401 - pytest finds it by its name
    unit,
    watchlist_hit,
)
from prometheus_client import REGISTRY

from alerthub.api.v1 import alert_pb2, common_pb2, delivery_pb2, patrol_pb2
from alerthub.domain.deadlines import DeadlineTimes
from services.dispatch.timers import Timers
from services.dispatch.work import Surroundings

ESCALATED = alert_pb2.ALERT_STATUS_ESCALATED
CONFIRM_FIRST = common_pb2.DISPATCH_POLICY_CONFIRM_FIRST
DONE = patrol_pb2.CommandAnswer.RESULT_DONE
SUPERSEDED = patrol_pb2.CommandAnswer.RESULT_SUPERSEDED
AWAITING = alert_pb2.ALERT_STATUS_AWAITING_CONFIRMATION


async def _opened(hub: Hub, raised: alert_pb2.AlertRaised) -> alert_pb2.Alert:
    await hub.raise_alert(raised)
    return await hub.alert(raised.raised_id.hex())


def _receipts() -> tuple[float, float]:
    """How many receipts were measured so far, and their seconds together."""
    name = "alerthub_dispatch_confirmed_to_received_seconds"
    return (
        REGISTRY.get_sample_value(f"{name}_count") or 0.0,
        REGISTRY.get_sample_value(f"{name}_sum") or 0.0,
    )


class TestAfterAnOutage:
    """With a delivery deadline that is over before anybody looks at it, and a grace."""

    @pytest.fixture
    def settings_changed(self) -> dict[str, object]:
        return {"delivery_deadline_ms": 500, "outage_grace_ms": 3_000}

    async def test_c14_an_overdue_deadline_waits_for_the_receipt_that_is_queued(
        self, hub: Hub, unique: Callable[[str], str]
    ) -> None:
        # given an alert whose delivery deadline passes while nobody watches deadlines
        car = unique("car")
        await hub.units(unit(car, jurisdiction=car))
        await hub.service.timers.stop()
        alert = await _opened(hub, watchlist_hit(unique("entry"), jurisdiction=car))

        async def overdue() -> bool:
            return bool(await hub.sql("SELECT 1 FROM deadline WHERE due_at < clock_timestamp()"))

        await eventually(overdue)

        # when watching begins again, then nothing fires, and the queued receipt counts
        again = Timers(hub.service.engine, Surroundings(hub.service.fleet, DeadlineTimes()), grace_ms=3_000)
        assert await again.fire_due() == 0
        receipt = patrol_pb2.Receipt(
            alert_id=alert.alert_id, assignment_id=alert.assignments[0].assignment_id
        )
        assert (await hub.answer("t1", car, receipt=receipt)).result == DONE

        # and once the grace is over the deadline is void
        async def taken() -> int:
            return await again.fire_due()

        assert await eventually(taken) == 1
        after = await hub.alert(alert.alert_id)
        assert after.assignments[0].status == alert_pb2.ASSIGNMENT_STATUS_DELIVERED


class TestDeadlines:
    """With short waits."""

    @pytest.fixture
    def settings_changed(self) -> dict[str, object]:
        return {
            "confirmation_deadline_ms": 1_000,
            "delivery_deadline_ms": 1_000,
            "acknowledgement_deadline_ms": 1_000,
            "outage_grace_ms": 0,
        }

    async def test_c14_no_receipt_then_the_next_unit_then_no_answer_then_the_supervisor(
        self, hub: Hub, unique: Callable[[str], str]
    ) -> None:
        # given two units, neither of which answers; the second one's terminal shows the alert
        near, far, east = unique("near"), unique("far"), unique("east")
        await hub.units(unit(near, jurisdiction=east), unit(far, jurisdiction=east, latitude=38.5))
        raised = watchlist_hit(unique("entry"), jurisdiction=east)
        await hub.raise_alert(raised)
        alert_id = raised.raised_id.hex()

        # when the first one's receipt does not come, the next is asked
        alert = await hub.alert(alert_id, lambda each: len(each.assignments) == 2)
        assert alert.assignments[0].status == alert_pb2.ASSIGNMENT_STATUS_TIMED_OUT
        second = alert.assignments[1]
        receipt = patrol_pb2.Receipt(alert_id=alert_id, assignment_id=second.assignment_id)
        assert (await hub.answer("t2", far, receipt=receipt)).result == DONE

        # then, when its answer does not come, the supervisor is
        alert = await hub.alert(alert_id, lambda each: each.status == ESCALATED)
        assert alert.assignments[1].delivered_at_ms > 0
        assert not alert.call_by_radio
        assert alert.escalated_reason_chinese == "已询问 2 个单位，均未接警，无其他合适单位"

        # and a late acceptance makes no owner
        accept = patrol_pb2.AcceptAssignment(alert_id=alert_id, assignment_id=second.assignment_id)
        assert (await hub.answer("t2", far, accept=accept)).result == SUPERSEDED
        assert (await hub.alert(alert_id)).status == ESCALATED
        late = await hub.sql("SELECT 1 FROM audit_entry WHERE action = 'late_accept'")
        assert len(late) == 1

    async def test_a_canary_that_nobody_answers_is_closed_and_wakes_nobody(
        self, hub: Hub, unique: Callable[[str], str]
    ) -> None:
        # given the canary's unit, with nobody at its terminal
        canary = unique("canary")
        await hub.units(unit(canary, jurisdiction=canary))
        alert = await _opened(hub, watchlist_hit(unique("entry"), jurisdiction=canary, category="canary"))

        # when its deadline passes, then the alert is over, and its entry free for the next read
        after = await hub.alert(
            alert.alert_id, lambda each: each.status != alert_pb2.ALERT_STATUS_DISPATCHING
        )
        assert after.status == alert_pb2.ALERT_STATUS_CANCELLED

    async def test_an_answer_in_time_stops_the_deadline(self, hub: Hub, unique: Callable[[str], str]) -> None:
        car = unique("car")
        await hub.units(unit(car, jurisdiction=car))
        alert = await _opened(hub, watchlist_hit(unique("entry"), jurisdiction=car))
        accept = patrol_pb2.AcceptAssignment(
            alert_id=alert.alert_id, assignment_id=alert.assignments[0].assignment_id
        )
        assert (await hub.answer("t1", car, accept=accept)).result == DONE

        async def no_deadline_left() -> bool:
            return not await hub.sql("SELECT 1 FROM deadline")

        await eventually(no_deadline_left)
        assert (await hub.alert(alert.alert_id)).status == alert_pb2.ALERT_STATUS_ACCEPTED

    async def test_an_overdue_confirmation_is_told_once(self, hub: Hub, unique: Callable[[str], str]) -> None:
        alert = await _opened(hub, watchlist_hit(unique("entry"), policy=CONFIRM_FIRST))

        async def told() -> list[Any]:
            return await hub.sql("SELECT 1 FROM audit_entry WHERE action = 'alert_confirmation_overdue'")

        assert len(await eventually(told)) == 1
        assert (await hub.alert(alert.alert_id)).status == AWAITING

    async def test_a_receipt_that_does_not_come_from_a_connected_terminal_is_told_to_sre(
        self, hub: Hub, unique: Callable[[str], str]
    ) -> None:
        # given a unit whose terminal is connected, and one whose terminal is not
        there, away = unique("there"), unique("away")
        await hub.units(unit(there, jurisdiction=there), unit(away, jurisdiction=away))
        connected = delivery_pb2.ConnectedTerminal(terminal_id="t1", unit_id=there, connected_at_ms=now_ms())
        report = delivery_pb2.ReportConnectionsRequest(instance="1", terminals=[connected])
        await hub.as_service().ReportConnections(report)
        count_before, seconds_before = _receipts()

        # when neither gives its receipt in time
        for each in (there, away):
            alert = await _opened(hub, watchlist_hit(unique("entry"), jurisdiction=each))
            await hub.alert(alert.alert_id, lambda each: each.status == ESCALATED)

        # then the connected one counts, with what was waited for it
        count, seconds = _receipts()
        assert count - count_before == 1
        assert seconds - seconds_before >= 1.0
