"""Sealed pictures that wait for a hit, in a folder: one behind the other in files of a minute.

Making a file for each picture costs the kernel more than its bytes do (docs/adr/0027). A picture's id says
where it lies, so nothing has to be looked for.
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

from alerthub.domain.errors import Refuse, Retry
from alerthub.waiting_pictures import MAXIMUM_PICTURE_BYTES, WaitingFile

_LIFE_MS: Final = 60_000
_MOST_BYTES: Final = 64 * 1024**2
_SEGMENT = re.compile(r"([0-9a-f]{12})[0-9a-f]{16}")
"""When it began, and what tells it from others."""
_PLACE = re.compile(r"([0-9a-f]{28})-([0-9a-f]{1,8})-([0-9a-f]{1,6})")
"""The segment, where in it the picture begins, and how long it is."""
_NAMED_AHEAD_MS: Final = 1_000
"""A file's own time is that of the kernel's last tick, a little before what its name says."""

_Given = ParamSpec("_Given")
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True, eq=False)
class _Write:
    """One picture on its way to the disk."""

    file: Path
    offset: int
    content: bytes
    done: asyncio.Future[None]


@dataclass(slots=True)
class _Filling:
    """The segment that this process fills."""

    name: str
    began_ms: int
    ends_at_ms: int
    used: int = 0


class PictureSegments:
    """`WaitingPictures` in one folder. Each process writes to segments of its own.

    A segment is forgotten as a whole, by the age of its first picture: the last one in it goes up to a
    minute, or a sixth of the retention where that is less, before its own time.
    """

    def __init__(self, folder: Path, *, retention_ms: int, bound_bytes: int) -> None:
        self._folder = folder
        self._life_ms = min(_LIFE_MS, retention_ms // 6)
        # Small beside the bound, so that making room does not reach what a few gateways are filling.
        self._most_bytes = min(_MOST_BYTES, bound_bytes // 16)
        self._filling: _Filling | None = None
        self._writes: list[_Write] = []
        self._writer: asyncio.Task[None] | None = None

    def reserve(self, size: int, now_ms: int) -> str:
        filling = self._filling
        if (
            filling is None
            or not filling.began_ms <= now_ms < filling.ends_at_ms
            or filling.used + size > self._most_bytes
        ):
            name = f"{now_ms:012x}{secrets.token_hex(8)}"
            filling = self._filling = _Filling(name, now_ms, now_ms + self._life_ms)
        picture_id = f"{filling.name}-{filling.used:x}-{size:x}"
        filling.used += size
        return picture_id

    async def put(self, picture_id: str, sealed: bytes) -> None:
        place = _PLACE.fullmatch(picture_id)
        if place is None or int(place[3], 16) != len(sealed):
            raise Refuse("picture_id", "one that was reserved for a picture of this size")
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        write = _Write(self._folder / place[1], int(place[2], 16), sealed, done)
        self._writes.append(write)
        if self._writer is None:
            self._writer = asyncio.create_task(self._write_waiting(), name="picture-writer")
        try:
            await done
        finally:
            # Behind a disk that hangs, pictures that nobody waits for any more must not fill the memory.
            if write in self._writes:
                self._writes.remove(write)

    async def _write_waiting(self) -> None:
        """Writes what waits, all of it in one thread: one for each picture costs more than the writing
        (docs/adr/0027)."""
        try:
            while self._writes:
                writes, self._writes = self._writes, []
                await self._write_all(writes)
        finally:
            self._writer = None

    async def _write_all(self, writes: Sequence[_Write]) -> None:
        outcomes: Sequence[str] = ["nothing was written"] * len(writes)
        try:
            outcomes = await _on_disk(_write, writes)
        except Retry as error:
            outcomes = [error.reason] * len(writes)
        finally:
            # Whatever happens, nobody waits for ever.
            for each, failure in zip(writes, outcomes, strict=True):
                if each.done.done():
                    # Who waited has gone.
                    continue
                if failure:
                    each.done.set_exception(Retry(f"the picture store did not take it: {failure}"))
                else:
                    each.done.set_result(None)

    async def get(self, picture_id: str) -> bytes | None:
        place = _PLACE.fullmatch(picture_id)
        if place is None:
            # The release before gave each picture a file of its own.
            content = await _on_disk(_read, self._folder / picture_id, 0, MAXIMUM_PICTURE_BYTES + 1)
            return content if content and len(content) <= MAXIMUM_PICTURE_BYTES else None
        size = int(place[3], 16)
        if size > MAXIMUM_PICTURE_BYTES:
            return None
        content = await _on_disk(_read, self._folder / place[1], int(place[2], 16), size)
        return content if content and len(content) == size else None

    async def files(self) -> list[WaitingFile]:
        return await _on_disk(_files, self._folder)

    async def delete(self, names: Sequence[str]) -> None:
        await _on_disk(_delete, [self._folder / name for name in names])


async def _on_disk(work: Callable[_Given, _Result], *args: _Given.args, **kwargs: _Given.kwargs) -> _Result:
    """Does it in a thread, since a disk may let whoever writes wait; Retry where it fails."""
    try:
        return await asyncio.to_thread(work, *args, **kwargs)
    except (OSError, RuntimeError) as error:
        # RuntimeError: no thread can be started.
        raise Retry(f"the picture store does not work: {type(error).__name__}") from None


def _write(writes: Sequence[_Write]) -> list[str]:
    """What failed of each: nothing where it is written."""
    outcomes: list[str] = []
    for file, of_file in groupby(writes, lambda each: each.file):
        group = list(of_file)
        try:
            # Opened each time: whoever kept it open would keep the bytes of a segment that was deleted.
            descriptor = _opened(file)
        except OSError as error:
            outcomes += [type(error).__name__] * len(group)
            continue
        try:
            outcomes += [_written(descriptor, each) for each in group]
        finally:
            os.close(descriptor)
    return outcomes


def _written(descriptor: int, one: _Write) -> str:
    offset, rest = one.offset, memoryview(one.content)
    try:
        while rest:
            count = os.pwrite(descriptor, rest, offset)
            offset, rest = offset + count, rest[count:]
    except OSError as error:
        return type(error).__name__
    return ""


def _opened(file: Path) -> int:
    try:
        return os.open(file, os.O_WRONLY | os.O_CREAT, 0o600)
    except FileNotFoundError:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(file, os.O_WRONLY | os.O_CREAT, 0o600)


def _read(file: Path, offset: int, most: int) -> bytes | None:
    try:
        with file.open("rb") as opened:
            opened.seek(offset)
            content = opened.read(most)
    except FileNotFoundError:
        return None
    # Zeros are a hole: one put late into a segment that had been swept makes the file anew.
    return content if any(content) else None


def _files(folder: Path) -> list[WaitingFile]:
    found = []
    for file in folder.iterdir() if folder.exists() else ():
        try:
            stated = file.lstat()
        except FileNotFoundError:
            # Another gateway sweeps the same folder.
            continue
        if stat.S_ISREG(stated.st_mode):
            since_ms = stated.st_mtime_ns // 1_000_000
            began = _SEGMENT.fullmatch(file.name)
            # A name that is later than the file is of a clock that was ahead.
            if began is not None and int(began[1], 16) < since_ms + _NAMED_AHEAD_MS:
                since_ms = int(began[1], 16)
            # What was reserved and not kept is a hole: long, and without bytes.
            found.append(WaitingFile(file.name, since_ms, min(stated.st_size, stated.st_blocks * 512)))
    return found


def _delete(files: Sequence[Path]) -> None:
    failures = []
    for file in files:
        try:
            file.unlink(missing_ok=True)
        except OSError as error:
            # One that cannot be deleted keeps none of the others.
            failures.append(error)
    if failures:
        raise failures[0]
