"""Refusals 6, 7 and 9, C6 and C14 in dispatch's database itself, whatever program writes to it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from dispatch_support import (
    OPERATOR,
    Hub,
    command,
    hub_fixture,  # noqa: F401 - pytest finds it by its name
    settings_changed_fixture,  # noqa: F401 - pytest finds it by its name
    start_dispatch_fixture,  # noqa: F401 - pytest finds it by its name
    unit,
    watchlist_hit,
)
from sqlalchemy.exc import DBAPIError

from alerthub.api.v1 import alert_pb2, common_pb2
from alerthub.postgres import violated_constraint

CONFIRM_FIRST = common_pb2.DISPATCH_POLICY_CONFIRM_FIRST


async def _opened(hub: Hub, raised: alert_pb2.AlertRaised) -> alert_pb2.Alert:
    await hub.raise_alert(raised)
    return await hub.alert(raised.raised_id.hex())


async def test_refusal_9_the_database_closes_no_alert_without_an_outcome(
    hub: Hub, unique: Callable[[str], str]
) -> None:
    # given an alert that went out
    raised = watchlist_hit(unique("entry"))
    await hub.raise_alert(raised)
    alert = await hub.alert(raised.raised_id.hex())

    # when it is closed without what was found
    with pytest.raises(DBAPIError) as refused:
        await hub.sql("UPDATE alert SET status = 'closed' WHERE alert_id = :id", id=alert.alert_id)

    # then the database refuses
    assert violated_constraint(refused.value) == "closed_alert_has_outcome"


async def test_refusal_7_the_database_keeps_a_cancelled_alert_cancelled(
    hub: Hub, unique: Callable[[str], str]
) -> None:
    raised = watchlist_hit(unique("entry"))
    await hub.raise_alert(raised)
    alert = await hub.alert(raised.raised_id.hex())
    await hub.sql("UPDATE alert SET status = 'cancelled' WHERE alert_id = :id", id=alert.alert_id)

    # when a program writes that it goes on
    with pytest.raises(DBAPIError) as refused:
        await hub.sql("UPDATE alert SET status = 'escalated' WHERE alert_id = :id", id=alert.alert_id)

    # then the trigger that keeps an end final refuses (restrict_violation)
    assert "sqlstate 23001" in str(refused.value)


async def test_c6_the_database_allows_one_open_alert_a_fold_key(
    hub: Hub, unique: Callable[[str], str]
) -> None:
    alert = await _opened(hub, watchlist_hit(unique("entry"), policy=CONFIRM_FIRST))

    with pytest.raises(DBAPIError) as refused:
        await _copy(hub, alert.alert_id, alert_id="'copy'", basis_raised_id="'\\x00'::bytea")

    assert violated_constraint(refused.value) == "alert_one_open_per_fold_key"


async def _copy(hub: Hub, of: str, /, **changed: str) -> None:
    """Inserts a copy of the alert with columns changed, past all code."""
    columns = [
        row[0]
        for row in await hub.sql(
            "SELECT column_name FROM information_schema.columns WHERE table_name = 'alert' "
            "AND table_schema = current_schema() AND column_name <> 'ordinal'"
        )
    ]
    chosen = ", ".join(changed.get(name, name) for name in columns)
    await hub.sql(
        f"INSERT INTO alert ({', '.join(columns)}) SELECT {chosen} FROM alert WHERE alert_id = :of",  # noqa: S608
        of=of,
    )


async def test_refusal_6_the_database_refuses_a_person_alert_that_is_sent_at_once(
    hub: Hub, unique: Callable[[str], str]
) -> None:
    alert = await _opened(hub, watchlist_hit(unique("entry"), names_person=True))

    with pytest.raises(DBAPIError) as refused:
        await hub.sql("UPDATE alert SET policy = 'send_at_once' WHERE alert_id = :id", id=alert.alert_id)

    assert violated_constraint(refused.value) == "person_alert_is_confirmed_first"


@pytest.mark.parametrize("status", ["dispatching", "accepted", "escalated", "closed"])
async def test_refusal_6_the_database_refuses_a_person_alert_that_goes_on_unconfirmed(
    hub: Hub, unique: Callable[[str], str], status: str
) -> None:
    alert = await _opened(hub, watchlist_hit(unique("entry"), names_person=True))

    with pytest.raises(DBAPIError) as refused:
        await hub.sql(
            "UPDATE alert SET status = :status, outcome = 'found' WHERE alert_id = :id",
            status=status,
            id=alert.alert_id,
        )

    assert violated_constraint(refused.value) == "dispatched_alert_was_confirmed"


async def test_refusal_6_the_database_refuses_an_assignment_of_an_unconfirmed_alert(
    hub: Hub, unique: Callable[[str], str]
) -> None:
    alert = await _opened(hub, watchlist_hit(unique("entry"), names_person=True))

    with pytest.raises(DBAPIError):
        await hub.sql(
            "INSERT INTO assignment VALUES ('x', :id, 0, 'u', 'offered', 1, 0, 0, '{}', false, '')",
            id=alert.alert_id,
        )


async def test_c14_the_database_refuses_a_second_owner(hub: Hub, unique: Callable[[str], str]) -> None:
    car = unique("car")
    await hub.units(unit(car, jurisdiction=car))
    alert = await _opened(hub, watchlist_hit(unique("entry"), jurisdiction=car))
    assert alert.assignments

    with pytest.raises(DBAPIError) as refused:
        await hub.sql(
            "INSERT INTO assignment VALUES ('x', :id, 9, 'u', 'accepted', 1, 0, 0, '{}', false, '')",
            id=alert.alert_id,
        )

    assert violated_constraint(refused.value) == "assignment_one_live_per_alert"


async def test_the_database_keeps_an_end_final(hub: Hub, unique: Callable[[str], str]) -> None:
    alert = await _opened(hub, watchlist_hit(unique("entry"), policy=CONFIRM_FIRST))
    await hub.as_person("li", OPERATOR).RejectAlert(
        alert_pb2.RejectAlertRequest(command_id=command(), alert_id=alert.alert_id, reason="another colour")
    )

    with pytest.raises(DBAPIError):
        await hub.sql(
            "UPDATE alert SET status = 'awaiting_confirmation' WHERE alert_id = :id", id=alert.alert_id
        )
