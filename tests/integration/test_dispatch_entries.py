"""What happens to alerts when their watchlist entry ends (refusal 7, C8), on real Kafka and PostgreSQL."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

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
    watchlist_hit,
)

from alerthub.api.v1 import alert_pb2, common_pb2, watchlist_pb2

AWAITING = alert_pb2.ALERT_STATUS_AWAITING_CONFIRMATION
CANCELLED = alert_pb2.ALERT_STATUS_CANCELLED
CONFIRM_FIRST = common_pb2.DISPATCH_POLICY_CONFIRM_FIRST
WITHDRAWN = watchlist_pb2.ENTRY_STATUS_WITHDRAWN


async def _opened(hub: Hub, raised: alert_pb2.AlertRaised) -> alert_pb2.Alert:
    await hub.raise_alert(raised)
    return await hub.alert(raised.raised_id.hex())


def _code(error: grpc.aio.AioRpcError) -> grpc.StatusCode:
    return error.code()


async def test_refusal_7_an_entry_withdrawn_in_flight_opens_nothing(
    hub: Hub, unique: Callable[[str], str]
) -> None:
    # given a hit that was raised before the withdrawal, and comes after it
    entry_id = unique("entry")
    raised = watchlist_hit(entry_id, entry_version=2)
    await hub.entry(entry_id, 3, WITHDRAWN)

    async def applied() -> bool:
        return bool(
            await hub.sql("SELECT 1 FROM entry_status WHERE entry_id = :id AND NOT active", id=entry_id)
        )

    await eventually(applied)

    # when it comes
    await hub.raise_alert(raised)

    # then it is known, and opened nothing
    async def taken() -> list[Any]:
        return await hub.sql("SELECT alert_id, disposition FROM raised")

    assert [tuple(row) for row in await eventually(taken)] == [(None, "entry_ended")]
    assert await hub.alerts() == []


async def test_refusal_7_a_withdrawal_cancels_the_open_alert_within_a_second(
    hub: Hub, unique: Callable[[str], str]
) -> None:
    entry_id = unique("entry")
    alert = await _opened(hub, watchlist_hit(entry_id))
    began = time.monotonic()

    await hub.entry(entry_id, 3, WITHDRAWN)

    cancelled = await hub.alert(alert.alert_id, lambda each: each.status == CANCELLED)
    assert time.monotonic() - began < 2.0
    assert "withdrawn" in cancelled.cancelled_reason
    assert cancelled.cancelled_reason_chinese == "布控条目已撤销"


async def test_c8_an_older_version_of_an_entry_changes_nothing(
    hub: Hub, unique: Callable[[str], str]
) -> None:
    entry_id, other = unique("entry"), unique("entry")
    alert = await _opened(hub, watchlist_hit(entry_id, entry_version=4, policy=CONFIRM_FIRST))

    await hub.entry(entry_id, 3, WITHDRAWN)
    await hub.entry(other, 1)

    async def applied() -> bool:
        return bool(await hub.sql("SELECT 1 FROM entry_status WHERE entry_id = :id", id=other))

    await eventually(applied)
    known = await hub.sql("SELECT version, active FROM entry_status WHERE entry_id = :id", id=entry_id)
    assert tuple(known[0]) == (4, True)
    assert alert.status == AWAITING


async def test_refusal_7_an_entry_that_expires_cancels_without_any_message(
    hub: Hub, unique: Callable[[str], str]
) -> None:
    raised = watchlist_hit(unique("entry"), policy=CONFIRM_FIRST, valid_for_ms=2_500)
    alert = await _opened(hub, raised)
    assert alert.status == AWAITING

    cancelled = await hub.alert(alert.alert_id, lambda each: each.status == CANCELLED)

    assert "ended" in cancelled.cancelled_reason


async def test_c8_an_alert_whose_entry_has_ended_is_not_confirmed(
    hub: Hub, unique: Callable[[str], str]
) -> None:
    # given an open alert and an entry that ends before the cancellation has run
    entry_id = unique("entry")
    alert = await _opened(hub, watchlist_hit(entry_id, policy=CONFIRM_FIRST))
    await hub.sql("UPDATE entry_status SET active = false WHERE entry_id = :id", id=entry_id)

    # when it is confirmed at once
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await hub.as_person("li", OPERATOR).ConfirmAlert(
            alert_pb2.ConfirmAlertRequest(command_id=command(), alert_id=alert.alert_id)
        )

    # then that is refused, however near the cancellation is
    assert _code(refused.value) is grpc.StatusCode.FAILED_PRECONDITION
    await hub.alert(alert.alert_id, lambda each: each.status == CANCELLED)
