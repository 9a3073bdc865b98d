"""What was pulled from a camera and is not on Kafka yet: in memory alone, bounded in bytes, number, age."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

MAXIMUM_BYTES = 16 * 1024 * 1024
MAXIMUM_MESSAGES = 4_096
KEPT_SECONDS = 3_600.0
"""As long as the streaming topics keep an observation."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One notification, with the declarations of its prefixes. Without content: the camera had none."""

    content: bytes = field(repr=False)
    declared: str = field(repr=False)
    at: float
    """When it was pulled, in seconds of a clock that only goes forward."""


class KeptMessages:
    """A queue that is never full for what has been pulled already: whoever pulls asks for room before."""

    def __init__(self) -> None:
        self._waiting: deque[Kept] = deque()
        self._bytes = 0
        self._changed = asyncio.Condition()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def has_room(self) -> bool:
        return self._bytes < MAXIMUM_BYTES and len(self._waiting) < MAXIMUM_MESSAGES

    async def room(self) -> None:
        """Returns once there is room."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.has_room)

    async def put(self, messages: Sequence[Kept]) -> None:
        async with self._changed:
            self._waiting.extend(messages)
            self._bytes += sum(len(each.content) for each in messages)
            self._changed.notify_all()

    async def first(self, *, limit: int, maximum_bytes: int) -> list[Kept]:
        """The oldest, at least one, with the same declarations; waits for it. They stay until `forget`."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._waiting)
            found: list[Kept] = []
            total = 0
            for each in self._waiting:
                total += len(each.content)
                different = bool(found) and each.declared != found[0].declared
                if len(found) == limit or different or (found and total > maximum_bytes):
                    break
                found.append(each)
            return found

    async def forget(self, count: int) -> None:
        """The `count` oldest: they are on Kafka, or never will be."""
        async with self._changed:
            for _ in range(count):
                self._bytes -= len(self._waiting.popleft().content)
            self._changed.notify_all()

    async def forget_older(self, than: float) -> int:
        """Those that were pulled before; how many they were."""
        async with self._changed:
            count = 0
            while self._waiting and self._waiting[0].at < than:
                self._bytes -= len(self._waiting.popleft().content)
                count += 1
            self._changed.notify_all()
            return count

    async def empty(self) -> None:
        """Returns once nothing waits."""
        async with self._changed:
            await self._changed.wait_for(lambda: not self._waiting)
