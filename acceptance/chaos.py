"""Kills: every some seconds a random process of the hub, with SIGKILL."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
from collections import Counter
from collections.abc import Callable

from hub import Hub


async def kill_forever(
    hub: Hub,
    chance: random.Random,
    *,
    every_seconds: float,
    calm: asyncio.Lock,
    tell: Callable[[str], None],
    killed: Counter[str],
) -> None:
    """Until cancelled; waits while somebody holds `calm`. A process that was not started again since its last
    kill is not killed twice."""
    dead: set[int] = set()
    while True:
        await asyncio.sleep(every_seconds)
        async with calm:
            pass
        candidates = [process for process in hub.processes() if process.pid not in dead]
        if not candidates:
            continue
        victim = chance.choice(candidates)
        tell(f"kill -9 {victim.name} ({victim.pid})")
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim.pid, signal.SIGKILL)
        dead.add(victim.pid)
        killed[victim.name] += 1
