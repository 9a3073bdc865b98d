"""The precision floor of a running dispatch: two persons change it (S6)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import grpc
import pytest
from dispatch_support import (
    Hub,
    command,
    hub_fixture,  # noqa: F401 - pytest finds it by its name
    now_ms,
    settings_changed_fixture,  # noqa: F401 - pytest finds it by its name
    start_dispatch_fixture,  # noqa: F401 - pytest finds it by its name
    unit,
    watchlist_hit,
)
from sqlalchemy.exc import DBAPIError

from alerthub.api.v1 import alert_pb2, alert_pb2_grpc, patrol_pb2, registry_pb2
from alerthub.api.v1.access_pb2 import ROLE_SUPERVISOR
from alerthub.postgres import violated_constraint


async def propose(
    person: alert_pb2_grpc.DispatchServiceAsyncStub, floor: float = 0.7, *, command_id: str = ""
) -> str:
    request = alert_pb2.ProposePrecisionFloorRequest(
        command_id=command_id or command(), floor=floor, reason="new cameras"
    )
    return (await person.ProposePrecisionFloor(request)).proposal_id


async def approve(person: alert_pb2_grpc.DispatchServiceAsyncStub, proposal_id: str) -> float:
    request = alert_pb2.ApprovePrecisionFloorRequest(command_id=command(), proposal_id=proposal_id)
    return (await person.ApprovePrecisionFloor(request)).floor


async def floor_of(person: alert_pb2_grpc.DispatchServiceAsyncStub) -> float:
    return (await person.ListPrecision(alert_pb2.ListPrecisionRequest())).floor


async def code_of(awaitable: Awaitable[object]) -> grpc.StatusCode:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await awaitable
    return refused.value.code()


async def test_s6_a_floor_is_in_force_once_a_second_person_approved_it(hub: Hub) -> None:
    zhao, qian = hub.as_person("zhao", ROLE_SUPERVISOR), hub.as_person("qian", ROLE_SUPERVISOR)
    before = await floor_of(zhao)
    proposal = await propose(zhao, before / 2)
    listed = await qian.ListPrecision(alert_pb2.ListPrecisionRequest())
    assert listed.floor == before
    assert [each.proposal_id for each in listed.floor_proposals] == [proposal]
    assert await approve(qian, proposal) == before / 2
    after = await qian.ListPrecision(alert_pb2.ListPrecisionRequest())
    assert (after.floor, list(after.floor_proposals)) == (before / 2, [])


async def test_s6_nobody_approves_the_floor_that_they_proposed(hub: Hub) -> None:
    zhao = hub.as_person("zhao", ROLE_SUPERVISOR)
    before = await floor_of(zhao)
    proposal = await propose(zhao)
    assert await code_of(approve(zhao, proposal)) is grpc.StatusCode.PERMISSION_DENIED
    assert await floor_of(zhao) == before


@pytest.mark.parametrize(
    ("proposer_made_by", "approver_made_by"), [((), ("li", "zhao")), (("qian", "li"), ())]
)
async def test_s6_nobody_approves_a_floor_with_an_account_that_they_made(
    hub: Hub, proposer_made_by: tuple[str, ...], approver_made_by: tuple[str, ...]
) -> None:
    zhao = hub.as_person("zhao", ROLE_SUPERVISOR, made_by=proposer_made_by)
    qian = hub.as_person("qian", ROLE_SUPERVISOR, made_by=approver_made_by)
    proposal = await propose(zhao)
    assert await code_of(approve(qian, proposal)) is grpc.StatusCode.PERMISSION_DENIED


async def test_nobody_approves_the_floor_of_a_person_who_has_left(
    hub: Hub, unique: Callable[[str], str]
) -> None:
    leaver = unique("leaver")
    person = hub.as_person(leaver, ROLE_SUPERVISOR)
    proposal = await propose(person)
    subject = f"account:{leaver}"
    revocation = registry_pb2.Revocation(version=1, subject=subject, revoked_at_ms=now_ms())
    await hub.put("revocations", subject, revocation.SerializeToString())

    async with asyncio.timeout(10):
        while await is_answered(person):
            pass
    other = hub.as_person("qian", ROLE_SUPERVISOR)
    assert await code_of(approve(other, proposal)) is grpc.StatusCode.FAILED_PRECONDITION


async def is_answered(person: alert_pb2_grpc.DispatchServiceAsyncStub) -> bool:
    try:
        await floor_of(person)
    except grpc.aio.AioRpcError as error:
        return error.code() is not grpc.StatusCode.UNAUTHENTICATED
    return True


async def test_a_proposal_is_approved_once_and_within_a_week(hub: Hub) -> None:
    zhao, qian = hub.as_person("zhao", ROLE_SUPERVISOR), hub.as_person("qian", ROLE_SUPERVISOR)
    proposal = await propose(zhao)
    await approve(qian, proposal)
    assert await code_of(approve(qian, proposal)) is grpc.StatusCode.FAILED_PRECONDITION
    old = command()
    await hub.sql(
        "INSERT INTO precision_floor_change (proposal_id, floor, reason, proposed_by, proposed_at_ms, "
        "proposer_made_by) VALUES (:id, 0, 'once', 'zhao', 1, '{}')",
        id=old,
    )
    assert await code_of(approve(qian, old)) is grpc.StatusCode.FAILED_PRECONDITION
    assert await code_of(approve(qian, command())) is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("floor", [-0.1, 1.1, float("nan")])
async def test_a_floor_is_a_share(hub: Hub, floor: float) -> None:
    refused = propose(hub.as_person("zhao", ROLE_SUPERVISOR), floor)
    assert await code_of(refused) is grpc.StatusCode.INVALID_ARGUMENT


async def test_the_floor_in_force_decides_what_is_suspended(hub: Hub, unique: Callable[[str], str]) -> None:
    # given a floor that two persons have raised, and a device that is right in nine of ten cases
    zhao, qian = hub.as_person("zhao", ROLE_SUPERVISOR), hub.as_person("qian", ROLE_SUPERVISOR)
    await approve(qian, await propose(zhao, 0.999))
    device, car = unique("camera"), unique("car")
    await hub.units(unit(car, jurisdiction=car))
    await hub.sql(
        "INSERT INTO precision_record (kind, subject, outcomes, right_outcomes) "
        "VALUES ('device', :d, 39, 36)",
        d=device,
    )
    raised = watchlist_hit(unique("entry"), jurisdiction=car, device=device)
    await hub.raise_alert(raised)
    alert = await hub.alert(raised.raised_id.hex())
    assignment_id = alert.assignments[0].assignment_id
    await hub.answer(
        "t1", car, accept=patrol_pb2.AcceptAssignment(alert_id=alert.alert_id, assignment_id=assignment_id)
    )

    # when its next outcome comes
    await hub.answer(
        "t1",
        car,
        record_outcome=patrol_pb2.RecordOutcome(
            alert_id=alert.alert_id, assignment_id=assignment_id, outcome=alert_pb2.OUTCOME_MISREAD
        ),
    )

    # then it is suspended
    measured = (await zhao.ListPrecision(alert_pb2.ListPrecisionRequest())).records
    assert [each.suspended for each in measured if each.subject == device] == [True]


async def test_both_persons_of_a_floor_are_in_the_audit_log(hub: Hub) -> None:
    zhao, qian = hub.as_person("zhao", ROLE_SUPERVISOR), hub.as_person("qian", ROLE_SUPERVISOR)
    proposal = await propose(zhao, 0.4)
    await approve(qian, proposal)
    rows = await hub.sql(
        "SELECT action, actor FROM audit_entry WHERE detail LIKE :id ORDER BY row_number", id=f"%{proposal}%"
    )
    assert [(row.action, row.actor) for row in rows] == [
        ("precision_floor_proposed", "person:zhao"),
        ("precision_floor_changed", "person:qian"),
    ]


INSERTED = (
    "INSERT INTO precision_floor_change (proposal_id, floor, reason, proposed_by, proposed_at_ms, "
    "proposer_made_by) VALUES (:id, 0.5, 'why', 'zhao', 1, '{wang}')"
)


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ("approved_by = 'zhao', approved_at_ms = 2, approver_made_by = '{}'", "precision_floor_two_persons"),
        (
            "approved_by = 'wang', approved_at_ms = 2, approver_made_by = '{}'",
            "precision_floor_not_by_a_made_account",
        ),
        (
            "approved_by = 'qian', approved_at_ms = 2, approver_made_by = '{zhao}'",
            "precision_floor_not_by_a_made_account",
        ),
        ("approved_by = 'qian'", "precision_floor_approval_is_whole"),
        ("floor = 0", "precision_floor_is_final"),
        (
            "approved_by = 'qian', approved_at_ms = 2, approver_made_by = '{}', floor = 0",
            "precision_floor_is_final",
        ),
    ],
)
async def test_s6_the_database_refuses_a_floor_without_two_persons(
    hub: Hub, change: str, constraint: str
) -> None:
    proposal = command()
    await hub.sql(INSERTED, id=proposal)
    with pytest.raises(DBAPIError) as refused:
        await hub.sql(
            f"UPDATE precision_floor_change SET {change} WHERE proposal_id = :id",  # noqa: S608 - of this file
            id=proposal,
        )
    assert violated_constraint(refused.value) == constraint


async def test_s6_the_database_refuses_a_floor_that_begins_as_approved_or_is_taken_back(hub: Hub) -> None:
    with pytest.raises(DBAPIError) as refused:
        await hub.sql(
            "INSERT INTO precision_floor_change VALUES (:id, 0.5, 'why', 'zhao', 1, '{}', 'qian', 2, '{}')",
            id=command(),
        )
    assert violated_constraint(refused.value) == "precision_floor_is_proposed"
    proposal = command()
    await hub.sql(INSERTED, id=proposal)
    with pytest.raises(DBAPIError) as refused:
        await hub.sql("DELETE FROM precision_floor_change WHERE proposal_id = :id", id=proposal)
    assert violated_constraint(refused.value) == "precision_floor_is_final"
