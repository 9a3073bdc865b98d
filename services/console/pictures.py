"""Pictures that were opened, for the session that opened them, for moments. Never on a disk."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from alerthub.domain.denials import Denial
from alerthub.domain.device_events import picture_format
from alerthub.domain.errors import NotFound
from services.console.sessions import Session


@dataclass(frozen=True, slots=True)
class Picture:
    """`media_type` by its first bytes: nothing here decodes it (S4)."""

    content: bytes = field(repr=False)
    media_type: str


def picture_of(content: bytes) -> Picture | None:
    """None for what is neither JPEG nor PNG."""
    kind = picture_format(content)
    return None if kind is None else Picture(content, f"image/{kind}")


class OpenedPictures:
    """Bounded in bytes and in time; the oldest give way."""

    def __init__(self, *, seconds: float, bound_bytes: int, monotonic: Callable[[], float]) -> None:
        self._seconds = seconds
        self._bound_bytes = bound_bytes
        self._monotonic = monotonic
        self._bytes = 0
        self._kept: OrderedDict[tuple[Session, str], tuple[float, Picture]] = OrderedDict()

    def put(self, session: Session, alert_id: str, picture: Picture) -> None:
        self._drop((session, alert_id))
        self._kept[(session, alert_id)] = (self._monotonic(), picture)
        self._bytes += len(picture.content)
        session.on_end(lambda _: self._drop((session, alert_id)))
        while self._bytes > self._bound_bytes:
            self._drop(next(iter(self._kept)))

    def get(self, session: Session, alert_id: str) -> Picture:
        """Raises NotFound where this session has not just opened it."""
        self.sweep()
        found = self._kept.get((session, alert_id))
        if found is None:
            raise NotFound("alert_id", Denial.PICTURE_NOT_OPENED.value)
        return found[1]

    def sweep(self) -> None:
        """Drops what has had its time."""
        before = self._monotonic() - self._seconds
        while self._kept and next(iter(self._kept.values()))[0] < before:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: tuple[Session, str]) -> None:
        found = self._kept.pop(key, None)
        if found is not None:
            self._bytes -= len(found[1].content)
