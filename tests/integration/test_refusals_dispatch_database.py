"""Refusal 9 in dispatch's database itself, whatever program writes to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError

from alerthub.postgres import violated_constraint
from tests.integration.dispatch_support import Hub, running, watchlist_hit


@pytest.fixture
async def hub(
    *,
    fresh_topics: None,
    fresh_schemas: None,
    tmp_path: Path,
    service_environment: Callable[..., dict[str, str]],
    kafka_settings: Any,
    tls_settings: Any,
    token_signing_key_file: Path,
    free_port: Callable[[], int],
) -> AsyncIterator[Hub]:
    async with running(
        folder=tmp_path,
        environment=service_environment,
        kafka_settings=kafka_settings,
        tls_settings=tls_settings,
        signing_key_file=token_signing_key_file,
        ports=(free_port(), free_port()),
    ) as hub:
        yield hub


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
