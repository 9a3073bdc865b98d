"""C2: a batch whose evaluation failed is never acknowledged, and nothing after it is applied (faust #606)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from mode.supervisors import CrashingSupervisor

from services.correlator import agents
from services.correlator.consumer import Budget
from services.correlator.outgoing import EventView

TOPICS = ("observations", "passages")


@dataclass
class Message:
    value: bytes = b"batch"


@dataclass
class Event:
    name: str
    message: Message = field(default_factory=Message)
    acknowledged: bool = False

    def ack(self) -> None:
        self.acknowledged = True


class Stream:
    """As Faust's: it acknowledges each event, failed or not, unless it was told not to."""

    def __init__(self, *events: Event) -> None:
        self._events = events
        self._acknowledges = True

    def noack(self) -> Stream:
        self._acknowledges = False
        return self

    async def events(self) -> AsyncIterator[Event]:
        for event in self._events:
            try:
                yield event
            finally:
                if self._acknowledges:
                    event.ack()


class Application:
    """Takes the agents' declarations, by their topics."""

    def __init__(self) -> None:
        self.declared: dict[str, dict[str, Any]] = {}
        self.run: dict[str, Callable[[Stream], Awaitable[None]]] = {}

    def topic(self, name: str, **_: object) -> str:
        return name

    def agent(self, topic: str, **declared: Any) -> Callable[[Any], Any]:
        self.declared[topic] = declared

        def decorate(run: Any) -> Any:
            self.run[topic] = run
            return run

        return decorate


def registered(take: Callable[[EventView], Awaitable[None]]) -> Application:
    application: Any = Application()
    agents.register(application, take, take, Budget(1_024 * 1_024))
    assert isinstance(application, Application)
    return application


@pytest.mark.parametrize("topic", TOPICS)
async def test_c2_an_event_whose_evaluation_failed_is_not_acknowledged(topic: str) -> None:
    # given three batches, of which the second cannot be evaluated
    events = [Event("a"), Event("b"), Event("c")]
    taken: list[str] = []

    async def take(event: Any) -> None:
        taken.append(event.name)
        if event.name == "b":
            raise OSError("the disk is full")

    # when the agent takes them
    with pytest.raises(OSError, match="disk"):
        await registered(take).run[topic](Stream(*events))
    await asyncio.sleep(0)

    # then the third is not applied, and none is acknowledged but by a checkpoint
    assert taken == ["a", "b"]
    assert [event.acknowledged for event in events] == [False, False, False]


@pytest.mark.parametrize("topic", TOPICS)
def test_c2_batches_are_taken_one_at_a_time_and_an_error_ends_the_process(topic: str) -> None:
    async def take(_: EventView) -> None: ...

    declared = registered(take).declared[topic]

    assert declared["concurrency"] == 1
    assert declared["supervisor_strategy"] is CrashingSupervisor
