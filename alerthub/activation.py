"""Waiting for a version to come into force (C5)."""

from __future__ import annotations

import asyncio
import math
import time


async def until_in_force(active_from_ms: int, *, longest_wait_ms: float = math.inf) -> None:
    """Waits until a version that comes into force then, ms since 1970, has done so; not at all where that
    is more than `longest_wait_ms` away."""
    left_ms = active_from_ms - time.time_ns() // 1_000_000
    if 0 < left_ms <= longest_wait_ms:
        await asyncio.sleep(left_ms / 1_000)
