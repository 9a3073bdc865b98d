"""The picture store forgets by age and by size, and keeps what an alert took."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from alerthub.domain.errors import Refuse, Retry
from alerthub.evidence import HOUR_MS, EvidenceStore
from alerthub.picture_segments import PictureSegments
from alerthub.waiting_pictures import MAXIMUM_PICTURE_BYTES, WaitingFile


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def store_in(folder: Path, *, bound_bytes: int = 1_000_000) -> EvidenceStore:
    return EvidenceStore(f"file://{folder}/evidence", bound_bytes=bound_bytes)


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def put(store: EvidenceStore, content: bytes, *, at_ms: int | None = None) -> str:
    """Keeps a picture; gives its id."""
    picture_id = store.reserve(len(content), now_ms() if at_ms is None else at_ms)
    await store.put_streaming(picture_id, content)
    return picture_id


async def test_a_picture_that_was_put_is_there(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    picture_id = await put(store, b"sealed")
    assert await store.get_streaming(picture_id) == b"sealed"


async def test_another_process_finds_a_picture_by_its_id_alone(tmp_path: Path) -> None:
    picture_id = await put(store_in(tmp_path), b"sealed")
    assert await store_in(tmp_path).get_streaming(picture_id) == b"sealed"


async def test_a_picture_that_the_release_before_kept_is_found_and_forgotten(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    (tmp_path / "evidence" / "streaming").mkdir()
    (tmp_path / "evidence" / "streaming" / ("ab" * 16)).write_bytes(b"sealed")
    assert await store.get_streaming("ab" * 16) == b"sealed"
    assert (await store.sweep(now_ms() + HOUR_MS + 1_000)).expired == 1
    assert files_in(tmp_path) == []


async def test_a_picture_that_was_never_put_is_none(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    assert await store.get_streaming("abc") is None
    assert await store.get_streaming(store.reserve(6, now_ms())) is None


async def test_a_picture_over_age_leaves_no_file(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    began_ms = now_ms()
    for second in range(59):
        await put(store, b"sealed", at_ms=began_ms + second * 1_000)
    result = await store.sweep(began_ms + HOUR_MS + 1)
    assert result.expired == 1
    assert files_in(tmp_path) == []


async def test_a_picture_within_its_age_is_kept_by_a_sweep(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    picture_id = await put(store, b"sealed")
    await store.sweep(now_ms() + HOUR_MS - 10_000)
    assert await store.get_streaming(picture_id) == b"sealed"


async def test_a_promoted_picture_outlives_the_sweep(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    await store.promote("alert1", "abc", b"resealed")
    await store.sweep(now_ms() + 10 * HOUR_MS)
    assert await store.get_promoted("alert1", "abc") == b"resealed"


async def test_deleting_an_alert_deletes_its_pictures_only(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    await store.promote("alert1", "abc", b"one")
    await store.promote("alert2", "abc", b"two")
    await store.delete_alert("alert1")
    assert await store.get_promoted("alert1", "abc") is None
    assert await store.get_promoted("alert2", "abc") == b"two"


async def test_a_picture_of_no_known_age_leaves_no_file(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    began_ms = now_ms()
    await put(store, b"sealed", at_ms=began_ms)
    # when the clock is set back by a day
    result = await store.sweep(began_ms - 24 * HOUR_MS)
    assert result.expired == 1
    assert files_in(tmp_path) == []


async def test_a_picture_of_a_clock_a_little_ahead_is_kept(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    picture_id = await put(store, b"sealed")
    await store.sweep(now_ms() - 10 * 60_000)
    assert await store.get_streaming(picture_id) == b"sealed"


def test_a_place_that_is_taken_counts_before_it_is_written(tmp_path: Path) -> None:
    store = store_in(tmp_path, bound_bytes=100)
    store.reserve(80, now_ms())
    with pytest.raises(Retry):
        store.reserve(30, now_ms())


async def test_a_place_that_is_taken_during_a_sweep_counts_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = store_in(tmp_path, bound_bytes=100)
    await put(store, b"x" * 40)
    files = PictureSegments.files

    async def meanwhile(segments: PictureSegments) -> list[WaitingFile]:
        found = await files(segments)
        store.reserve(50, now_ms())
        return found

    monkeypatch.setattr(PictureSegments, "files", meanwhile)

    await store.sweep(now_ms())

    with pytest.raises(Retry):
        store.reserve(20, now_ms())


def test_a_picture_too_large_for_the_store_takes_no_place(tmp_path: Path) -> None:
    with pytest.raises(Refuse, match="picture"):
        store_in(tmp_path, bound_bytes=10**9).reserve(MAXIMUM_PICTURE_BYTES + 1, now_ms())


async def test_a_file_that_cannot_be_deleted_does_not_fill_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given a full store of two files, of which the first cannot be deleted
    store = store_in(tmp_path, bound_bytes=1_600)
    began_ms = now_ms()
    for number in range(15):
        await put(store, b"x" * 100, at_ms=began_ms + number * 60_000)
    stuck = min(files_in(tmp_path)).name
    unlink = Path.unlink

    def failing(path: Path, missing_ok: bool = False) -> None:
        if path.name == stuck:
            raise PermissionError(path)
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", failing)
    # when all are over age and two sweeps have tried
    for _ in range(2):
        with pytest.raises(Retry):
            await store.sweep(began_ms + 2 * HOUR_MS)
    # then there is room again for all but the first
    for _ in range(15):
        store.reserve(100, began_ms + 2 * HOUR_MS)


async def test_a_full_store_takes_no_more(tmp_path: Path) -> None:
    store = store_in(tmp_path, bound_bytes=100)
    await put(store, b"x" * 80)
    with pytest.raises(Retry):
        await put(store, b"x" * 30)


async def test_a_sweep_of_a_full_store_makes_room_by_the_oldest(tmp_path: Path) -> None:
    store = store_in(tmp_path, bound_bytes=100)
    began_ms = now_ms()
    oldest = await put(store, b"x" * 60, at_ms=began_ms)
    newest = await put(store, b"y" * 38, at_ms=began_ms + 1)
    assert (await store.sweep(began_ms + 2)).displaced == 1
    assert await store.get_streaming(oldest) is None
    assert await store.get_streaming(newest) == b"y" * 38
    await put(store, b"x" * 30)


async def test_a_restarted_gateway_counts_what_is_already_there(tmp_path: Path) -> None:
    await put(store_in(tmp_path, bound_bytes=100), b"x" * 80)
    restarted = store_in(tmp_path, bound_bytes=100)
    await restarted.sweep(now_ms())
    with pytest.raises(Retry):
        await put(restarted, b"x" * 30)


@pytest.mark.parametrize("name", ["", "../x", "a/b", "a.b", "x" * 65, "中", "abc"])
async def test_a_name_that_was_not_reserved_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(Refuse):
        await store_in(tmp_path).put_streaming(name, b"sealed")
    assert files_in(tmp_path) == []


@pytest.mark.parametrize("name", ["", "../x", "a/b", "a.b", "x" * 65, "中"])
async def test_a_name_that_could_leave_the_folder_is_not_looked_for(tmp_path: Path, name: str) -> None:
    with pytest.raises(Refuse):
        await store_in(tmp_path).get_streaming(name)


def test_keeping_pictures_longer_than_a_day_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refuse, match="24 h"):
        EvidenceStore(f"file://{tmp_path}", retention_ms=24 * HOUR_MS + 1)


@pytest.mark.parametrize("url", ["", "http://host/x", "file://host/x", "/folder", "s3://"])
def test_a_store_of_another_kind_is_refused(url: str) -> None:
    with pytest.raises(Refuse, match="evidence_url"):
        EvidenceStore(url)
