"""The agents: they hand each record of `observations` and of `passages` to their handlers, in order, and
acknowledge nothing themselves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

import faust
from faust.types import AgentT
from mode.supervisors import CrashingSupervisor

from services.correlator.application import raw_topic
from services.correlator.consumer import OBSERVATIONS, PASSAGES, Budget
from services.correlator.outgoing import EventView

Take = Callable[[EventView], Awaitable[None]]


def register(application: faust.App, take: Take, take_passages: Take, budget: Budget) -> None:
    """Declares both agents."""
    _agent(application, OBSERVATIONS, "correlate", take, budget)
    _agent(application, PASSAGES, "correlate-districts", take_passages, budget)


def _agent(application: faust.App, topic: str, name: str, take: Take, budget: Budget) -> AgentT[Any]:
    """One at a time and in order: an exception would otherwise leave its batch acknowledged and go on (faust
    issue 606). An exception ends the process, by its supervisor.
    """

    @application.agent(
        raw_topic(application, topic),
        name=name,
        concurrency=1,
        supervisor_strategy=CrashingSupervisor,
    )
    async def correlate(batches: faust.StreamT[Any]) -> None:
        # Faust's declared type lacks what every stream has.
        stream = cast("faust.Stream[Any]", batches)
        async for event in stream.noack().events():
            await take(event)
            budget.release(len(event.message.value or b""))

    return correlate
