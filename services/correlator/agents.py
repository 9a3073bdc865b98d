"""The agent: hands each batch of `observations` to the handler, in order, and acknowledges nothing itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

import faust
from faust.types import AgentT
from mode.supervisors import CrashingSupervisor

from services.correlator.application import raw_topic
from services.correlator.consumer import OBSERVATIONS, Budget
from services.correlator.handlers import EventView


def register(
    application: faust.App, take: Callable[[EventView], Awaitable[None]], budget: Budget
) -> AgentT[Any]:
    """Declares the agent.

    One at a time and in order: an exception would otherwise leave its batch acknowledged and go on (faust
    issue 606). An exception ends the process, by its supervisor.
    """

    @application.agent(
        raw_topic(application, OBSERVATIONS),
        name="correlate",
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
