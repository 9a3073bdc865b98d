"""The picture store: sealed pictures that wait for a hit, and those that an alert took, in a folder or in S3.

`streaming/` holds what devices sent, bounded in age and in bytes: what did not hit is forgotten (refusal 2).
`alerts/ALERT/PICTURE` holds what an alert took, sealed again under its own key, until the alert's data is
deleted (obstore). Every byte in it is sealed: the store opens nothing and never sees a picture.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from obstore.store import LocalStore, S3Store

from alerthub import disk
from alerthub.domain.errors import Refuse, Retry
from alerthub.objects import Objects
from alerthub.picture_segments import PictureSegments
from alerthub.waiting_pictures import MAXIMUM_PICTURE_BYTES, PictureObjects, WaitingFile, WaitingPictures

HOUR_MS: Final = 3_600_000
_CLOCKS_DIFFER_MS: Final = 15 * 60_000
"""What is from later than that has a wrong time, so nothing tells how old it is. S3 refuses requests at the
same difference (RequestTimeTooSkewed)."""
RETENTION_CAP_MS: Final = 24 * HOUR_MS
"""No picture that did not hit is kept longer than this, whatever is configured (refusal 2)."""
DEFAULT_BOUND_BYTES: Final = 4 * 1024**3
"""Four gibibytes: an hour of one read a second with its picture, and no full disk."""

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class SweepResult:
    """What one sweep of the streaming pictures did, in files: pictures in a bucket, segments in a folder."""

    expired: int
    """Deleted because of their age."""
    displaced: int
    """Deleted because the store was over its bound, oldest first."""
    kept: int
    kept_bytes: int


class EvidenceStore:
    """Sealed pictures by id. Unreachable storage is Retry; an id that is none is Refuse."""

    def __init__(
        self, url: str, *, retention_ms: int = HOUR_MS, bound_bytes: int = DEFAULT_BOUND_BYTES
    ) -> None:
        """`file:///folder` (made if absent, for this user only) or `s3://bucket/prefix`.

        Refuses a retention above 24 h.
        """
        if not 0 < retention_ms <= RETENTION_CAP_MS:
            raise Refuse("retention_ms", f"between 1 and {RETENTION_CAP_MS} (24 h): no longer is allowed")
        self._waiting: WaitingPictures
        folder = _folder(url)
        if folder is None:
            self._objects = Objects(S3Store.from_url(url))
            self._waiting = PictureObjects(self._objects)
        else:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            disk.watch("evidence", folder)
            self._objects = Objects(LocalStore(folder))
            self._waiting = PictureSegments(
                folder / "streaming", retention_ms=retention_ms, bound_bytes=bound_bytes
            )
        self._retention_ms = retention_ms
        self._bound_bytes = bound_bytes
        self._found = 0
        """Bytes that the last sweep found and left."""
        self._reserved = 0
        """Bytes that were reserved since it began to look."""

    def reserve(self, size: int, now_ms: int) -> str:
        """The id under which `put_streaming` may keep a picture of `size` sealed bytes.

        Refuse for one that is too large; Retry when the store is over its bound: the caller goes on without
        the picture.
        """
        if size > MAXIMUM_PICTURE_BYTES:
            raise Refuse("picture", f"at most {MAXIMUM_PICTURE_BYTES} bytes sealed")
        if self._found + self._reserved + size > self._bound_bytes:
            raise Retry("the picture store is full", after_seconds=60)
        # Counted from now on, whether it is kept or not, until a sweep counts what is there.
        self._reserved += size
        return self._waiting.reserve(size, now_ms)

    async def put_streaming(self, picture_id: str, sealed: bytes) -> None:
        """Keeps a sealed picture under the id that was reserved for it, until it is swept."""
        await self._waiting.put(_checked(picture_id, "picture_id"), sealed)

    async def get_streaming(self, picture_id: str) -> bytes | None:
        """The sealed picture; None where it was never kept, or is forgotten."""
        return await self._waiting.get(_checked(picture_id, "picture_id"))

    async def promote(self, alert_id: str, picture_id: str, resealed: bytes) -> None:
        """Keeps the picture that an alert took, sealed under the alert's own key. Repeating it changes
        nothing."""
        if len(resealed) > MAXIMUM_PICTURE_BYTES:
            raise Refuse("picture", f"at most {MAXIMUM_PICTURE_BYTES} bytes sealed")
        await self._objects.put(_promoted(alert_id, picture_id), resealed)

    async def get_promoted(self, alert_id: str, picture_id: str) -> bytes | None:
        """The alert's sealed picture; None where there is none."""
        return await self._objects.get(_promoted(alert_id, picture_id), maximum_bytes=MAXIMUM_PICTURE_BYTES)

    async def promoted(self) -> list[tuple[str, str]]:
        """Alert and id of every picture that an alert took, in order."""
        found = await self._objects.list("alerts/")
        parts = sorted(str(item["path"]).split("/") for item in found)
        return [(each[1], each[2]) for each in parts if len(each) == 3]

    async def delete_alert(self, alert_id: str) -> None:
        """Forgets every picture of the alert."""
        found = await self._objects.list(f"alerts/{_checked(alert_id, 'alert_id')}/")
        await self._objects.delete(item["path"] for item in found)

    async def sweep(self, now_ms: int) -> SweepResult:
        """Deletes streaming pictures that are over age, then the oldest while the store is over its bound."""
        reserved_before = self._reserved
        found = sorted(await self._waiting.files(), key=lambda file: file.since_ms)
        expired: list[WaitingFile] = []
        kept: list[WaitingFile] = []
        for file in found:
            within = now_ms - self._retention_ms <= file.since_ms <= now_ms + _CLOCKS_DIFFER_MS
            (kept if within else expired).append(file)
        total = sum(file.size for file in kept)
        displaced = 0
        # Down to nine tenths, so that a store at its bound takes pictures again until the next sweep.
        target = self._bound_bytes if total <= self._bound_bytes * 0.95 else self._bound_bytes * 9 // 10
        while total > target:
            total -= kept[displaced].size
            displaced += 1
        # Where one cannot be deleted, all count until the next sweep, and no longer.
        self._found = sum(file.size for file in found)
        # Looking takes a while in a bucket: what was reserved meanwhile counts on, some of it twice until the
        # next sweep. What was on its way when this one began to look is missed until then.
        self._reserved -= reserved_before
        await self._waiting.delete([file.name for file in [*expired, *kept[:displaced]]])
        self._found = total
        return SweepResult(len(expired), displaced, len(kept) - displaced, total)


def _folder(url: str) -> Path | None:
    """The folder that the address names; None for a bucket."""
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path.startswith("/"):
        return Path(unquote(parts.path))
    if parts.scheme == "s3" and parts.netloc:
        return None
    raise Refuse("evidence_url", "file:///folder or s3://bucket/prefix")


def _checked(name: str, field: str) -> str:
    """Names become paths, so they hold nothing but letters, digits, - and _."""
    if _NAME.fullmatch(name) is None:
        raise Refuse(field, "1 to 64 letters, digits, - and _")
    return name


def _promoted(alert_id: str, picture_id: str) -> str:
    return f"alerts/{_checked(alert_id, 'alert_id')}/{_checked(picture_id, 'picture_id')}"
