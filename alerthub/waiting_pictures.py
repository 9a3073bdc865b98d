"""Where sealed pictures wait for a hit: what the picture store asks of such a place, and a bucket as one."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from alerthub.objects import Objects

MAXIMUM_PICTURE_BYTES: Final = 2_200_000
"""A picture of 2 MiB and what sealing adds; the wire carries no more."""

_PREFIX = "streaming/"


@dataclass(frozen=True, slots=True)
class WaitingFile:
    """What is forgotten at once: one picture, or several."""

    name: str
    since_ms: int
    """When its first picture came."""
    size: int


class WaitingPictures(Protocol):
    """A place. All but `reserve` raise Retry where it cannot be reached."""

    def reserve(self, size: int, now_ms: int) -> str:
        """The id of a picture of `size` bytes that `put` may then keep."""

    async def put(self, picture_id: str, sealed: bytes) -> None:
        """Keeps a picture under the id that was reserved for it."""

    async def get(self, picture_id: str) -> bytes | None:
        """The picture; None where it was never put, or is forgotten."""

    async def files(self) -> list[WaitingFile]:
        """All that waits, in no order."""

    async def delete(self, names: Sequence[str]) -> None:
        """Forgets files. One that is gone already is none the less forgotten: several gateways sweep."""


class PictureObjects:
    """An object a picture, since nothing can be added to an object of S3."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def reserve(self, size: int, now_ms: int) -> str:
        return secrets.token_hex(16)

    async def put(self, picture_id: str, sealed: bytes) -> None:
        await self._objects.put(_PREFIX + picture_id, sealed)

    async def get(self, picture_id: str) -> bytes | None:
        return await self._objects.get(_PREFIX + picture_id, maximum_bytes=MAXIMUM_PICTURE_BYTES)

    async def files(self) -> list[WaitingFile]:
        return [
            WaitingFile(
                str(item["path"]).removeprefix(_PREFIX),
                int(item["last_modified"].timestamp() * 1000),
                item["size"],
            )
            for item in await self._objects.list(_PREFIX)
        ]

    async def delete(self, names: Sequence[str]) -> None:
        await self._objects.delete(_PREFIX + name for name in names)
