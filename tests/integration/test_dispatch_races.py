"""What happens at the same moment on real PostgreSQL: raising, confirming and withdrawing on one entry (C8),
and instances and receipts at one deadline (C14).

Each test holds one side in the middle of its transaction, lets the other come as far as it gets, lets go.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import grpc
import pytest
from dispatch_support import (
    OPERATOR,
    Hub,
    command,
    eventually,
    hub_fixture,  # noqa: F401 - pytest finds it by its name
    settings_changed_fixture,  # noqa: F401 - pytest finds it by its name
    start_dispatch_fixture,  # noqa: F401 - pytest finds it by its name
    unit,
    watchlist_hit,
)
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from alerthub.api.v1 import alert_pb2, common_pb2, watchlist_pb2
from alerthub.domain import alert_life
from alerthub.domain.deadlines import DeadlineTimes
from services.dispatch.timers import Timers
from services.dispatch.work import Surroundings, working

Value = TypeVar("Value")
CONFIRM_FIRST = common_pb2.DISPATCH_POLICY_CONFIRM_FIRST
DELIVERED = alert_pb2.ASSIGNMENT_STATUS_DELIVERED
TIMED_OUT = alert_pb2.ASSIGNMENT_STATUS_TIMED_OUT
OFFERED = alert_pb2.ASSIGNMENT_STATUS_OFFERED
CANCELLED = alert_pb2.ALERT_STATUS_CANCELLED
WITHDRAWN = watchlist_pb2.ENTRY_STATUS_WITHDRAWN


@asynccontextmanager
async def _held(hub: Hub, statement: str, **values: object) -> AsyncIterator[AsyncConnection]:
    """A transaction that has done `statement`; undone at the end of the block unless it was committed."""
    async with hub.service.engine.connect() as connection:
        await connection.execute(text(statement), values)
        yield connection


async def _as_far_as_it_gets(hub: Hub, work: Awaitable[Value], waits_at: str) -> asyncio.Future[Value]:
    """Begins `work`, and returns it once it has ended or waits for a lock in a statement on `waits_at`."""
    begun = asyncio.ensure_future(work)

    async def ended_or_waits() -> bool:
        return begun.done() or await _waits(hub, waits_at)

    await eventually(ended_or_waits)
    return begun


async def _waits(hub: Hub, at: str) -> bool:
    return bool(
        await hub.sql(
            "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE :pattern",
            pattern=f"%{at}%",
        )
    )


async def _known_entry(hub: Hub, entry_id: str) -> None:
    """An entry of version 2 that dispatch has applied."""
    await hub.entry(entry_id, 2)

    async def known() -> list[Any]:
        return await hub.sql("SELECT 1 FROM entry_status WHERE entry_id = :id", id=entry_id)

    await eventually(known)


@asynccontextmanager
async def _withdrawing(hub: Hub, entry_id: str) -> AsyncIterator[None]:
    """A withdrawal that has the entry's row, and changes it at the end of the block.

    Only the row's lock stands between it and the others: what it has not written yet nobody can wait for.
    """
    lock = "SELECT 1 FROM entry_status WHERE entry_id = :id FOR UPDATE"
    async with _held(hub, lock, id=entry_id) as connection:
        yield
        await connection.execute(
            text("UPDATE entry_status SET active = false, version = 3 WHERE entry_id = :id"), {"id": entry_id}
        )
        await connection.commit()


async def test_c8_raising_waits_for_a_withdrawal_under_way_and_opens_nothing(
    hub: Hub, unique: Callable[[str], str]
) -> None:
    # given a withdrawal that is not committed yet
    entry_id = unique("entry")
    await _known_entry(hub, entry_id)
    async with _withdrawing(hub, entry_id):
        # when a hit of the entry comes
        raising = await _as_far_as_it_gets(
            hub, hub.service.intake.take([watchlist_hit(entry_id)]), "entry_status"
        )
    await raising

    # then it has waited, and opened nothing
    taken = await hub.sql("SELECT alert_id, disposition FROM raised")
    assert [tuple(row) for row in taken] == [(None, "entry_ended")]


async def test_c8_withdrawing_waits_for_an_alert_that_is_being_raised_and_cancels_it(
    hub: Hub, unique: Callable[[str], str]
) -> None:
    # given a hit that is being raised, and cannot write yet, since somebody else is about to write its id
    entry_id = unique("entry")
    await _known_entry(hub, entry_id)
    raised = watchlist_hit(entry_id)
    id_taken = "INSERT INTO raised (raised_id, alert_id, disposition) VALUES (:id, NULL, 'suppressed')"
    async with _held(hub, id_taken, id=raised.raised_id):
        raising = await _as_far_as_it_gets(hub, hub.service.intake.take([raised]), "INSERT INTO raised")
        assert not raising.done()

        # when the withdrawal comes in between
        await hub.entry(entry_id, 3, WITHDRAWN)

        async def applied_or_waits() -> bool:
            ended = "SELECT 1 FROM entry_status WHERE entry_id = :id AND NOT active"
            return await _waits(hub, "INTO entry_status") or bool(await hub.sql(ended, id=entry_id))

        await eventually(applied_or_waits)
    await raising

    # then it has waited, found the alert and taken it along, and left nothing to the search for ended entries
    ended = await hub.alert(raised.raised_id.hex(), lambda each: each.status == CANCELLED)
    assert ended.cancelled_reason == "the watchlist entry was withdrawn"


async def test_c8_confirming_waits_for_a_withdrawal_under_way_and_is_refused(
    hub: Hub, unique: Callable[[str], str]
) -> None:
    # given an alert that waits for confirmation, and a withdrawal of its entry that is not committed yet
    entry_id = unique("entry")
    raised = watchlist_hit(entry_id, policy=CONFIRM_FIRST)
    await hub.raise_alert(raised)
    alert = await hub.alert(raised.raised_id.hex())
    request = alert_pb2.ConfirmAlertRequest(command_id=command(), alert_id=alert.alert_id)
    async with _withdrawing(hub, entry_id):
        # when somebody confirms it
        confirming = await _as_far_as_it_gets(
            hub, hub.as_person("li", OPERATOR).ConfirmAlert(request), "entry_status"
        )

    # then that has waited, and is refused
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await confirming
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION


def _surroundings(hub: Hub) -> Surroundings:
    return Surroundings(hub.service.fleet, DeadlineTimes())


def _instance(hub: Hub) -> Timers:
    """The deadlines of one more instance; it looks when the test says so."""
    return Timers(hub.service.engine, _surroundings(hub), grace_ms=0)


async def _offered(hub: Hub, place: str) -> alert_pb2.Alert:
    """An alert that was offered to the nearer one of two units; nobody looks at deadlines meanwhile."""
    await hub.service.timers.stop()
    await hub.units(
        unit(f"{place}-near", jurisdiction=place), unit(f"{place}-far", jurisdiction=place, latitude=38.5)
    )
    raised = watchlist_hit(f"{place}-entry", jurisdiction=place)
    await hub.raise_alert(raised)
    return await hub.alert(raised.raised_id.hex(), lambda each: len(each.assignments) == 1)


async def _let_it_run_out(hub: Hub, alert: alert_pb2.Alert) -> None:
    past = "UPDATE deadline SET due_at = clock_timestamp() - interval '1 s' WHERE alert_id = :id"
    await hub.sql(past, id=alert.alert_id)


async def _assignments(hub: Hub, alert: alert_pb2.Alert) -> list[alert_pb2.AssignmentStatus.ValueType]:
    return [each.status for each in (await hub.alert(alert.alert_id)).assignments]


async def test_c14_one_of_two_instances_fires_a_deadline_and_the_other_fires_the_next(
    hub: Hub, unique: Callable[[str], str]
) -> None:
    # given two instances, and one that has taken an overdue deadline and waits for its alert
    one, other = _instance(hub), _instance(hub)
    first, second = [await _offered(hub, unique(place)) for place in ("east", "west")]
    await _let_it_run_out(hub, first)
    async with _held(hub, "SELECT 1 FROM alert WHERE alert_id = :id FOR UPDATE", id=first.alert_id):
        firing = await _as_far_as_it_gets(hub, one.fire_due(), "FROM alert")
        assert not firing.done()

        # when the other one looks, then there is nothing for it, and it does not wait
        async with asyncio.timeout(5):
            assert await other.fire_due() == 0

        # and what runs out next it fires, while the first still waits
        await _let_it_run_out(hub, second)
        async with asyncio.timeout(5):
            assert await other.fire_due() == 1
        assert await _assignments(hub, second) == [TIMED_OUT, OFFERED]
    assert await firing == 1

    # then each has fired once
    assert await _assignments(hub, first) == [TIMED_OUT, OFFERED]
    fired = await hub.sql("SELECT subject FROM audit_entry WHERE action = 'alert_assignment_timed_out'")
    assert sorted(row[0] for row in fired) == sorted(f"alert:{each.alert_id}" for each in (first, second))


async def test_c14_a_receipt_under_way_makes_the_deadline_void_that_an_instance_has_taken(
    hub: Hub, unique: Callable[[str], str]
) -> None:
    # given an overdue deadline, and the terminal's receipt in a transaction that is not committed yet
    alert = await _offered(hub, unique("east"))
    await _let_it_run_out(hub, alert)
    offered = alert.assignments[0]
    async with working(hub.service.engine, _surroundings(hub)) as receiving:
        known = await receiving.load(alert.alert_id)
        assert known is not None
        receiving.apply(
            alert_life.deliver(
                known,
                assignment_id=offered.assignment_id,
                unit_id=offered.unit_id,
                actor="terminal:t1",
                now_ms=receiving.now_ms,
            )
        )

        # when an instance fires the deadline
        firing = await _as_far_as_it_gets(hub, _instance(hub).fire_due(), "FROM alert")
        assert not firing.done()
    await firing

    # then the alert's newer version counts, and nobody else was asked
    assert await _assignments(hub, alert) == [DELIVERED]
    # and the wait that began with the receipt goes on
    assert [row[0] for row in await hub.sql("SELECT kind FROM deadline")] == ["acknowledgement"]


async def test_c8_a_deadline_asks_nobody_else_for_an_entry_that_ends_at_the_same_moment(
    hub: Hub, unique: Callable[[str], str]
) -> None:
    # given an offer that ran out unanswered, and an end of its entry that is not committed yet
    alert = await _offered(hub, unique("east"))
    await _let_it_run_out(hub, alert)
    async with _held(
        hub, "UPDATE entry_status SET valid_until_ms = 1 WHERE entry_id = :id", id=alert.entry_id
    ) as ending:
        # when the deadline fires
        firing = await _as_far_as_it_gets(hub, _instance(hub).fire_due(), "entry_status")
        await ending.commit()
    await firing

    # then the alert is cancelled, and the next unit was never asked
    ended = await hub.alert(alert.alert_id)
    assert ended.status == CANCELLED
    assert len(ended.assignments) == 1
