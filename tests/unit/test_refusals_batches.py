"""C2 and C3: a batch is acknowledged only after the broker has what it raised, or why it was put aside."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from correlator_builders import NOW, Event, Message, batch_value, read, run

from alerthub.domain import correlation
from alerthub.domain.correlation import Evaluation
from alerthub.tracing import Headers
from services.correlator.application import build_application, build_table
from services.correlator.handlers import BatchHandler
from services.correlator.outgoing import EventView, Outgoing
from services.correlator.passage_sending import PassageSender
from services.correlator.replicas import Reference
from services.correlator.settings import CorrelatorSettings
from services.correlator.state import Working


class OpenGate:
    def closed_because(self, as_of_ms: int = 0) -> str | None:
        return None

    async def wait(self, as_of_ms: int = 0) -> None:
        """It is open."""


@dataclass
class Noted:
    """A checkpoint that keeps what it is told to wait for."""

    waits_for: list[list[Awaitable[object]]] = field(default_factory=list)

    def note(self, event: object, sent: Sequence[Awaitable[object]] = ()) -> None:
        self.waits_for.append(list(sent))


class Broker:
    """Acknowledges nothing until it is told to."""

    def __init__(self) -> None:
        self.deliveries: list[asyncio.Future[object]] = []

    def send(self, key: bytes, value: bytes, headers: Headers = (), /) -> asyncio.Future[object]:
        self.deliveries.append(asyncio.get_running_loop().create_future())
        return self.deliveries[-1]


async def taken(event: EventView) -> tuple[Noted, Broker, Broker]:
    """What a handler left with its checkpoint, with the brokers of alerts and of dead letters."""
    noted, alerts, letters = Noted(), Broker(), Broker()
    working = Working(build_table(build_application(CorrelatorSettings())))
    working.begin({3: 0}, b"topic")

    async def read_again(_: int, __: int) -> None: ...

    checkpoint: Any = noted
    reference = Reference()
    handler = BatchHandler(
        gate=OpenGate(),
        reference=reference,
        working=working,
        checkpoint=checkpoint,
        outgoing=Outgoing(
            send_alert=alerts.send, send_dead_letter=letters.send, reference=reference, clock=lambda: NOW
        ),
        passages=PassageSender(working, lambda _, __: Broker().send(b"", b""), 8),
        read_again=read_again,
        clock=lambda: NOW,
    )
    await handler.take(event)
    return noted, alerts, letters


async def test_c2_what_cannot_be_decoded_is_acknowledged_only_once_its_letter_is_written() -> None:
    # given a record that is no batch
    event = Event(Message(0, b"\xff"))

    # when it is taken
    noted, _, letters = await taken(event)

    # then the checkpoint waits for the letter, and the record is not acknowledged before it
    assert len(letters.deliveries) == 1
    assert noted.waits_for == [letters.deliveries]
    assert not event.acknowledged


async def test_c3_a_batch_is_acknowledged_only_once_its_alerts_are_with_the_broker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # given a batch that raises an alert
    raised = run(read("a", "listed")).raised
    monkeypatch.setattr(correlation, "evaluate", lambda *_, **__: Evaluation(raised=raised))
    event = Event(Message(0, batch_value(read("a", "listed"))))

    # when it is taken
    noted, alerts, _ = await taken(event)

    # then the checkpoint waits for the alert's delivery
    assert len(alerts.deliveries) == 1
    assert noted.waits_for == [alerts.deliveries]
    assert not event.acknowledged
