"""Pictures that wait lie behind each other in segments of a folder, or each by itself in a bucket."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some
from obstore.store import LocalStore

from alerthub.domain.errors import Refuse, Retry
from alerthub.objects import Objects
from alerthub.picture_segments import PictureSegments
from alerthub.waiting_pictures import PictureObjects, WaitingPictures

HOUR_MS = 3_600_000
START_MS = 1_795_000_000_000


def segments_in(
    folder: Path, *, retention_ms: int = HOUR_MS, bound_bytes: int = 1_000_000
) -> PictureSegments:
    streaming = folder / "streaming"
    streaming.mkdir(exist_ok=True)
    return PictureSegments(streaming, retention_ms=retention_ms, bound_bytes=bound_bytes)


def sealed_bytes(size: int) -> bytes:
    """As after sealing: never zeros alone, which are a hole."""
    return b"s" + os.urandom(size - 1)


def objects_in(folder: Path) -> PictureObjects:
    return PictureObjects(Objects(LocalStore(folder)))


@pytest.mark.parametrize("place", [segments_in, objects_in])
async def test_what_was_put_is_there_until_its_file_is_deleted(
    tmp_path: Path, place: Callable[[Path], WaitingPictures]
) -> None:
    # given three pictures
    waiting = place(tmp_path)
    pictures = {waiting.reserve(size, START_MS): sealed_bytes(size) for size in (1, 200_000, 17)}
    for picture_id, content in pictures.items():
        await waiting.put(picture_id, content)
    # then each is found, as it was
    assert {picture_id: await waiting.get(picture_id) for picture_id in pictures} == pictures
    # when all files are deleted, twice, then none is found and nothing is left
    names = [file.name for file in await waiting.files()]
    await waiting.delete(names)
    await waiting.delete(names)
    assert [await waiting.get(picture_id) for picture_id in pictures] == [None] * 3
    assert await waiting.files() == []


async def test_pictures_of_a_minute_share_a_file(tmp_path: Path) -> None:
    segments = segments_in(tmp_path)
    for second in (0, 30, 59, 60, 119):
        await segments.put(segments.reserve(1, START_MS + second * 1_000), b"x")
    found = sorted((file.since_ms, file.size) for file in await segments.files())
    assert found == [(START_MS, 3), (START_MS + 60_000, 2)]


async def test_a_short_retention_makes_short_segments(tmp_path: Path) -> None:
    segments = segments_in(tmp_path, retention_ms=60_000)
    for second in (0, 9, 10):
        await segments.put(segments.reserve(1, START_MS + second * 1_000), b"x")
    assert len(await segments.files()) == 2


async def test_a_segment_is_small_beside_the_bound(tmp_path: Path) -> None:
    segments = segments_in(tmp_path, bound_bytes=1_600)
    for _ in range(5):
        await segments.put(segments.reserve(40, START_MS), b"x" * 40)
    assert sorted(file.size for file in await segments.files()) == [40, 80, 80]


async def test_a_clock_that_was_set_back_begins_a_segment(tmp_path: Path) -> None:
    segments = segments_in(tmp_path)
    for at_ms in (START_MS, START_MS - HOUR_MS):
        await segments.put(segments.reserve(1, at_ms), b"x")
    assert {file.since_ms for file in await segments.files()} == {START_MS, START_MS - HOUR_MS}


async def test_two_processes_never_write_to_one_segment(tmp_path: Path) -> None:
    here, there = segments_in(tmp_path), segments_in(tmp_path)
    one, other = here.reserve(3, START_MS), there.reserve(3, START_MS)
    await here.put(one, b"one")
    await there.put(other, b"two")
    assert (await there.get(one), await here.get(other)) == (b"one", b"two")


async def test_a_picture_of_another_size_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    segments = segments_in(tmp_path)
    picture_id = segments.reserve(4, START_MS)
    with pytest.raises(Refuse, match="picture_id"):
        await segments.put(picture_id, b"longer")
    assert await segments.files() == []


async def test_a_picture_cut_short_is_none(tmp_path: Path) -> None:
    segments = segments_in(tmp_path)
    picture_id = segments.reserve(100, START_MS)
    await segments.put(picture_id, b"x" * 100)
    (file,) = await segments.files()
    os.truncate(tmp_path / "streaming" / file.name, 99)
    assert await segments.get(picture_id) is None


async def test_an_id_that_claims_more_than_a_picture_may_have_is_none(tmp_path: Path) -> None:
    assert await segments_in(tmp_path).get("0" * 28 + "-0-ffffff") is None


async def test_a_folder_that_is_gone_is_made_again(tmp_path: Path) -> None:
    segments = segments_in(tmp_path)
    (tmp_path / "streaming").rmdir()
    assert await segments.files() == []
    picture_id = segments.reserve(1, START_MS)
    await segments.put(picture_id, b"x")
    assert await segments.get(picture_id) == b"x"


async def test_one_put_late_brings_back_none_that_was_swept(tmp_path: Path) -> None:
    # given a segment that was swept between the writing of two of its pictures
    segments = segments_in(tmp_path)
    earlier, late = segments.reserve(3, START_MS), segments.reserve(3, START_MS)
    await segments.put(earlier, b"one")
    await segments.delete([file.name for file in await segments.files()])
    # when the second is written after all
    await segments.put(late, b"two")
    # then it is there, and the first is none rather than zeros
    assert await segments.get(late) == b"two"
    assert await segments.get(earlier) is None


async def test_pictures_that_come_at_once_are_written_together_and_each_is_there(tmp_path: Path) -> None:
    segments = segments_in(tmp_path, bound_bytes=1_000_000_000)
    pictures = {segments.reserve(size, START_MS + size): sealed_bytes(size) for size in range(1, 60)}
    await asyncio.gather(*(segments.put(picture_id, content) for picture_id, content in pictures.items()))
    assert {picture_id: await segments.get(picture_id) for picture_id in pictures} == pictures


async def test_one_that_cannot_be_written_loses_none_that_came_with_it(tmp_path: Path) -> None:
    # given two segments, of which the second cannot be opened
    segments = segments_in(tmp_path)
    first, second = segments.reserve(1, START_MS), segments.reserve(1, START_MS + HOUR_MS)
    (tmp_path / "streaming" / second.partition("-")[0]).mkdir()
    # when a picture of each comes at once
    outcomes = await asyncio.gather(
        segments.put(first, b"a"), segments.put(second, b"b"), return_exceptions=True
    )
    # then only the second is told to be lost
    assert outcomes[0] is None
    assert isinstance(outcomes[1], Retry)
    assert await segments.get(first) == b"a"


async def test_who_goes_away_takes_no_other_picture_along(tmp_path: Path) -> None:
    segments = segments_in(tmp_path)
    gone, stays = segments.reserve(1, START_MS), segments.reserve(1, START_MS)
    going = asyncio.ensure_future(segments.put(gone, b"a"))
    staying = asyncio.ensure_future(segments.put(stays, b"b"))
    await asyncio.sleep(0)
    going.cancel()
    await staying
    assert await segments.get(stays) == b"b"
    assert going.cancelled()


async def test_a_picture_that_nobody_waits_for_any_more_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given a disk that hangs at the first picture, with a second behind it
    segments = segments_in(tmp_path)
    first, second = segments.reserve(1, START_MS), segments.reserve(1, START_MS)
    hangs, goes_on = threading.Event(), threading.Event()
    pwrite = os.pwrite

    def hanging(descriptor: int, content: bytes, offset: int) -> int:
        hangs.set()
        goes_on.wait(30)
        return pwrite(descriptor, content, offset)

    monkeypatch.setattr(os, "pwrite", hanging)
    writing = asyncio.create_task(segments.put(first, b"a"))
    await asyncio.to_thread(hangs.wait, 30)
    behind = asyncio.create_task(segments.put(second, b"b"))
    await asyncio.sleep(0)
    # when whoever brought the second gives up
    behind.cancel()
    await asyncio.wait([behind])
    goes_on.set()
    await writing
    # then only the first was written
    assert await segments.get(first) == b"a"
    assert await segments.get(second) is None


async def test_without_a_thread_it_is_retry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def no_thread(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    segments = segments_in(tmp_path)
    monkeypatch.setattr(asyncio, "to_thread", no_thread)
    with pytest.raises(Retry):
        await segments.put(segments.reserve(1, START_MS), b"x")


async def test_one_that_cannot_be_deleted_keeps_none_of_the_others(tmp_path: Path) -> None:
    segments = segments_in(tmp_path)
    await segments.put(segments.reserve(1, START_MS), b"x")
    (file,) = await segments.files()
    (tmp_path / "streaming" / "folder").mkdir()
    with pytest.raises(Retry):
        await segments.delete(["folder", file.name])
    assert await segments.files() == []


async def test_files_of_one_instant_keep_the_order_of_their_names(tmp_path: Path) -> None:
    # given segments that began just after the time that the file system says
    segments = segments_in(tmp_path)
    file_ms = time.time_ns() // 1_000_000
    began = [file_ms + 1, file_ms + 70_000]
    for at_ms in began:
        await segments.put(segments.reserve(1, at_ms), b"x")
        (newest,) = [file for file in (tmp_path / "streaming").iterdir() if int(file.name[:12], 16) == at_ms]
        os.utime(newest, ns=((at_ms - 4) * 1_000_000,) * 2)
    assert sorted(file.since_ms for file in await segments.files()) == began


async def test_a_disk_that_fails_is_retry(tmp_path: Path) -> None:
    segments = segments_in(tmp_path)
    (tmp_path / "streaming").rmdir()
    (tmp_path / "streaming").touch()
    with pytest.raises(Retry):
        await segments.put(segments.reserve(1, START_MS), b"x")


async def test_a_place_that_was_not_used_counts_no_bytes(tmp_path: Path) -> None:
    segments = segments_in(tmp_path, bound_bytes=1_000_000_000)
    segments.reserve(10_000_000, START_MS)
    await segments.put(segments.reserve(4_096, START_MS), b"x" * 4_096)
    (file,) = await segments.files()
    assert file.size < 100_000


async def test_what_is_no_file_is_not_swept(tmp_path: Path) -> None:
    segments = segments_in(tmp_path)
    (tmp_path / "streaming" / "lost+found").mkdir()
    assert await segments.files() == []


async def test_a_segment_of_a_clock_ahead_is_as_old_as_its_last_picture(tmp_path: Path) -> None:
    segments = segments_in(tmp_path)
    ahead_ms = time.time_ns() // 1_000_000 + 24 * HOUR_MS
    await segments.put(segments.reserve(1, ahead_ms), b"x")
    (file,) = await segments.files()
    assert file.since_ms < ahead_ms - HOUR_MS


@given(some.lists(some.tuples(some.integers(1, 500), some.integers(0, 90_000)), max_size=40))
def test_no_two_pictures_overlap(reserved: list[tuple[int, int]]) -> None:
    segments = PictureSegments(Path("/nowhere"), retention_ms=HOUR_MS, bound_bytes=16_000)
    places: dict[str, list[tuple[int, int]]] = {}
    for size, later_ms in reserved:
        segment, offset, length = segments.reserve(size, START_MS + later_ms).split("-")
        assert int(length, 16) == size
        places.setdefault(segment, []).append((int(offset, 16), size))
    for within in places.values():
        ends = [offset + size for offset, size in within]
        assert [offset for offset, _ in within] == [0, *ends[:-1]]
