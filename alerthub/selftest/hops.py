"""The hops of the main job: each measured, or the one that failed named."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from alerthub.domain.errors import AlertHubError


@dataclass(frozen=True, slots=True)
class Hop:
    """One step and how long it took, in milliseconds."""

    name: str
    ms: float


class HopFailedError(AlertHubError):
    """The hop `name` did not happen. `reason` holds no identifying data."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.name = name
        self.reason = reason


class Stopwatch:
    """Collects hops in their order."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self.hops: list[Hop] = []
        self._tell = tell

    def add(self, name: str, milliseconds: float) -> None:
        """Records a hop that was measured elsewhere, such as by times that an observation carries."""
        self.hops.append(Hop(name, round(milliseconds, 1)))
        self._tell(f"{name}: {milliseconds:.0f} ms")

    @asynccontextmanager
    async def hop(self, name: str, *, at_most_seconds: float | None) -> AsyncIterator[None]:
        """Measures the block. Too long, or an error of the hub, is `HopFailedError` with this name. Without a
        limit what is in the block has its own."""
        self._tell(f"{name} …")
        started = time.monotonic()
        try:
            async with asyncio.timeout(at_most_seconds):
                yield
        except TimeoutError:
            limit = "its time" if at_most_seconds is None else f"{at_most_seconds:.0f} s"
            raise HopFailedError(name, f"did not happen within {limit}") from None
        except HopFailedError:
            raise
        except AlertHubError as error:
            raise HopFailedError(name, str(error)) from None
        self.add(name, (time.monotonic() - started) * 1000)


def success_json(hops: list[Hop]) -> str:
    """The machine's answer when every hop happened."""
    return json.dumps({"ok": True, "hops": [{"name": hop.name, "ms": hop.ms} for hop in hops]})


def failure_json(failed: HopFailedError) -> str:
    """The machine's answer when a hop did not happen."""
    return json.dumps({"ok": False, "failed_hop": failed.name, "reason": failed.reason}, ensure_ascii=False)
