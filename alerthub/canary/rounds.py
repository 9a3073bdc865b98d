"""One read through each gateway at a time, and which of them arrived at the terminal."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Sequence

from alerthub.api.v1.ingest_pb2 import DeviceEvent
from alerthub.canary import metrics
from alerthub.canary.gateways import event_of
from alerthub.canary.set_up import SetUp
from alerthub.domain.canary import lanes, plate, turn
from alerthub.domain.errors import AlertHubError, Retry
from alerthub.telemetry import logger
from alerthub.terminal.headless import now_ms

log = logger(__name__)

Find = Callable[[], Awaitable[Sequence[str]]]
"""Where the gateways are now. Retry where nobody can say."""
Send = Callable[[str, DeviceEvent], Awaitable[None]]
"""A read through a gateway; returns once it is taken, raises an AlertHubError where it is not."""


class Rounds:
    """Sends, and is told what arrived."""

    def __init__(self, set_up: SetUp, *, every_ms: int, find: Find, send: Send) -> None:
        self._set_up = set_up
        self._every_ms = every_ms
        self._find = find
        self._send = send
        self._known: frozenset[str] = frozenset()
        self._lanes: dict[str, int] = {}
        self._devices = itertools.cycle(set_up.devices)
        self._under_way: dict[str, tuple[str, int]] = {}
        """By entry: its gateway, and when its read was sent (milliseconds since 1970)."""

    async def run(self) -> None:
        """A round after the other, at their times. Never returns."""
        while True:
            begun = time.monotonic()
            await self.round()
            await asyncio.sleep(max(0.0, self._every_ms / 1_000 - (time.monotonic() - begun)))

    async def round(self) -> None:
        """One read through each gateway, at once. What does not work is logged and counted."""
        await self._look_for_gateways()
        await asyncio.gather(*(self._read(gateway, lane) for gateway, lane in self._lanes.items()))

    def arrived(self, entry_id: str) -> None:
        """The terminal's receipt for this entry's alert is with the hub."""
        found = self._under_way.pop(entry_id, None)
        if found is None:
            return
        gateway, sent_ms = found
        if gateway in self._lanes:
            metrics.ARRIVED.labels(gateway).set_to_current_time()
            metrics.READ_TO_RECEIPT.labels(gateway).observe(max(0, now_ms() - sent_ms) / 1_000)

    async def _look_for_gateways(self) -> None:
        try:
            found = await self._find()
        except Retry as error:
            # Those that are known may be there still: what does not arrive is told by itself.
            log.warning("gateways_not_found", reason=error.reason)
            return
        before, self._known = self._known, frozenset(found)
        self._lanes = lanes(self._lanes, found, count=self._set_up.lanes)
        for gateway in before - self._known:
            metrics.ARRIVED.remove(gateway)
        for gateway in self._known - before:
            # Where there is no lane for it this stays, which is what is told.
            metrics.ARRIVED.labels(gateway).set(0)
        if len(self._lanes) < len(self._known):
            log.warning("canary_set_up_for_fewer_gateways", lanes=self._set_up.lanes, gateways=len(found))

    async def _read(self, gateway: str, lane: int) -> None:
        time_ms = now_ms()
        number = lane * self._set_up.lane + turn(time_ms, every_ms=self._every_ms, entries=self._set_up.lane)
        self._under_way[self._set_up.entries[number]] = (gateway, time_ms)
        try:
            await self._send(gateway, event_of(next(self._devices), plate(number), now_ms=time_ms))
        except AlertHubError as error:
            metrics.SENT.labels("refused").inc()
            log.warning("canary_not_taken", error_type=type(error).__name__, reason=str(error))
        else:
            metrics.SENT.labels("taken").inc()
