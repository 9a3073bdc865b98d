"""Terminals on their streams: delivery, resume, cancellation, revocation, on real Kafka, PostgreSQL and
TLS."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from alerthub.api.v1 import alert_pb2, patrol_pb2, registry_pb2
from tests.integration.dispatch_support import (
    Hub,
    eventually,
    now_ms,
    running,
    unit,
    watchlist_hit,
)
from tests.integration.push_support import PushHub, TestTerminal, running_push

DONE = patrol_pb2.CommandAnswer.RESULT_DONE
SUPERSEDED = patrol_pb2.CommandAnswer.RESULT_SUPERSEDED
REFUSED = patrol_pb2.CommandAnswer.RESULT_REFUSED


@pytest.fixture
async def hub(
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


@pytest.fixture
async def push(
    hub: Hub,
    tmp_path: Path,
    service_environment: Callable[..., dict[str, str]],
    token_signing_key_file: Path,
    authority_key_file: Path,
    free_port: Callable[[], int],
) -> AsyncIterator[PushHub]:
    assert hub.service.grpc is not None
    async with running_push(
        folder=tmp_path,
        environment=service_environment,
        signing_key_file=token_signing_key_file,
        authority_key_file=authority_key_file,
        port=free_port(),
        dispatch=f"127.0.0.1:{hub.service.grpc.grpc_port}",
        evidence_wait_ms=0,
    ) as push:
        yield push


@pytest.fixture
async def car(hub: Hub, push: PushHub, unique: Callable[[str], str]) -> str:
    """A unit on shift, known to dispatch and push."""
    unit_id = unique("car")
    await _known(hub, push, unit(unit_id))
    return unit_id


async def _known(hub: Hub, push: PushHub, *units: registry_pb2.Unit) -> None:
    await hub.units(*units)

    async def known() -> bool:
        return all(push.service.units.get(each.unit_id, now_ms()) is not None for each in units)

    await eventually(known)


async def _connected(push: PushHub, terminal_id: str, unit_id: str) -> TestTerminal:
    terminal = push.terminal(terminal_id, unit_id)
    welcome = await terminal.connect(push.token("wang"))
    assert welcome.welcome.unit_id == unit_id
    await terminal.caught_up()
    return terminal


async def test_an_alert_is_received_accepted_and_closed_with_its_outcome(
    hub: Hub, push: PushHub, car: str, unique: Callable[[str], str]
) -> None:
    # given a terminal of the unit that is on shift
    terminal = await _connected(push, unique("t"), car)
    raised = watchlist_hit(unique("entry"))

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
