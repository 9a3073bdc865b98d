"""Refusal 9 in dispatch's database itself, whatever program writes to it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy.exc import DBAPIError

from alerthub.postgres import violated_constraint
from tests.integration.dispatch_support import (
    Hub,
    hub_fixture,  # noqa: F401 - pytest finds it by its name
    settings_changed_fixture,  # noqa: F401 - pytest finds it by its name
    start_dispatch_fixture,  # noqa: F401 - pytest finds it by its name
    watchlist_hit,
)


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
