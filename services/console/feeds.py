"""The streams of all pages: snapshot and tail, bounded, ended with their session (C10)."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from alerthub.alert_events import AlertEventTail, TailedEvent
from alerthub.api.v1 import alert_pb2
from alerthub.domain.canary import is_canary
from alerthub.domain.errors import Retry
from alerthub.identity import NotAuthenticatedError
from services.console import metrics, models
from services.console.sessions import Session, Sessions
from services.console.views import because_of, summary_of

SnapshotReader = Callable[[Session], Awaitable[Sequence[alert_pb2.Alert]]]


@dataclass(frozen=True, slots=True)
class FeedEvent:
    """One event for a page. `event_id` empty: the page's last id stays."""

    name: str
    data: models.Answer
    event_id: str = ""


@dataclass(frozen=True, slots=True)
class End:
    """Why a stream ends; `label` for the metric."""

    label: str
    reason: str
    signed_out: bool = False


HUNG_UP = End("hung_up", "")


class Feed:
    """One page's stream. `ended` is set the moment that nothing may be sent any more."""

    def __init__(self, feeds: Feeds, session: Session, since: str) -> None:
        self._feeds = feeds
        self._session = session
        self._since = since
        self._queue: deque[TailedEvent] = deque()
        self._wake = asyncio.Event()
        self._versions: dict[str, int] = {}
        self._beat_at = 0.0
        self.ended = asyncio.Event()
        self.why = HUNG_UP

    def end(self, why: End) -> None:
        """Ends the stream; the first reason counts."""
        if not self.ended.is_set():
            self.why = why
            self.ended.set()
            self._wake.set()

    async def events(self) -> AsyncGenerator[FeedEvent, None]:
        """What the page is told, until the stream ends. Raises what reading the snapshot raises."""
        tail = self._feeds.tail
        unsubscribe = tail.subscribe(self._take)
        try:
            # No await between subscribing and asking what was missed: nothing falls in between, nothing
            # comes twice.
            began_at = tail.resume_token()
            missed = tail.replay(self._since) if self._since else None
            if missed is None:
                alerts = await self._feeds.read_snapshot(self._session)
                self._versions = {alert.alert_id: alert.version for alert in alerts}
                metrics.SNAPSHOTS.inc()
                yield FeedEvent(
                    "snapshot", models.FeedSnapshot(alerts=[summary_of(each) for each in alerts]), began_at
                )
            for each in missed or ():
                if self.ended.is_set():
                    break
                if not is_canary(each.event.alert.category) and self._is_news(each):
                    yield _told(each)
            while not self.ended.is_set():
                if time.monotonic() >= self._beat_at:
                    yield self._heartbeat()
                elif self._queue:
                    tailed = self._queue.popleft()
                    if self._is_news(tailed):
                        yield _told(tailed)
                else:
                    self._wake.clear()
                    with suppress(TimeoutError):
                        async with asyncio.timeout(self._beat_at - time.monotonic()):
                            await self._wake.wait()
            yield FeedEvent("end", models.FeedEnd(reason=self.why.reason, signed_out=self.why.signed_out))
        finally:
            unsubscribe()

    def _take(self, tailed: TailedEvent) -> None:
        if self.ended.is_set() or is_canary(tailed.event.alert.category):
            return
        if len(self._queue) >= self._feeds.queue_events:
            self.end(End("too_slow", "the page is too slow: it resumes where it was"))
            return
        self._queue.append(tailed)
        self._wake.set()

    def _is_news(self, tailed: TailedEvent) -> bool:
        """Whether the page does not have this version yet; it has it then."""
        alert = tailed.event.alert
        if alert.version <= self._versions.get(alert.alert_id, 0):
            return False
        self._versions[alert.alert_id] = alert.version
        return True

    def _heartbeat(self) -> FeedEvent:
        self._beat_at = time.monotonic() + self._feeds.heartbeat_seconds
        beat = self._feeds.heartbeat(self._session)
        # The page has everything up to here: a quiet one does not resume from long ago.
        return FeedEvent("heartbeat", beat, "" if self._queue else self._feeds.tail.resume_token())


def _told(tailed: TailedEvent) -> FeedEvent:
    event = tailed.event
    if event.occurred_at_ms:
        metrics.FEED_SECONDS.observe(max(0.0, time.time() - event.occurred_at_ms / 1_000))
    data = models.FeedAlert(
        alert=summary_of(event.alert), because=because_of(event.kind), occurred_at_ms=event.occurred_at_ms
    )
    return FeedEvent("alert", data, tailed.resume_token)


class Feeds:
    """All streams of this process."""

    def __init__(
        self,
        tail: AlertEventTail,
        sessions: Sessions,
        *,
        read_snapshot: SnapshotReader,
        watch: Callable[[], models.WatchState],
        now_ms: Callable[[], int],
        heartbeat_seconds: float,
        queue_events: int,
        per_session: int,
    ) -> None:
        self.tail = tail
        self.read_snapshot = read_snapshot
        self.heartbeat_seconds = heartbeat_seconds
        self.queue_events = queue_events
        self._sessions = sessions
        self._watch = watch
        self._now_ms = now_ms
        self._per_session = per_session
        self._open: dict[Feed, tuple[Session, Callable[[], None]]] = {}

    def heartbeat(self, session: Session) -> models.FeedHeartbeat:
        return models.FeedHeartbeat(
            server_time_ms=self._now_ms(),
            watch=self._watch(),
            session_ends_at_ms=self._sessions.ends_at_ms(session),
        )

    def open(self, session: Session, since: str) -> Feed:
        """A stream for this session. Raises Retry where its tail is not read yet, or it has too many."""
        if session.ended is not None:
            raise NotAuthenticatedError(session.ended.value)
        waiting = self.tail.check()
        if waiting is not None:
            raise Retry(waiting)
        if sum(1 for owner, _ in self._open.values() if owner is session) >= self._per_session:
            raise Retry("this session has too many streams: close a tab", after_seconds=5)
        feed = Feed(self, session, since)
        forget = session.on_end(lambda why: feed.end(End("session", why.value.english, signed_out=True)))
        self._open[feed] = (session, forget)
        metrics.FEEDS.set(len(self._open))
        return feed

    def close(self, feed: Feed) -> None:
        """The page has hung up, or nothing more is sent to it."""
        found = self._open.pop(feed, None)
        if found is not None:
            found[1]()
            metrics.FEEDS.set(len(self._open))
            metrics.FEEDS_ENDED.labels(feed.why.label).inc()

    def end_all(self, reason: str) -> None:
        """The process stops: pages resume at another, or at the next one."""
        for feed in tuple(self._open):
            feed.end(End("stopping", reason))
