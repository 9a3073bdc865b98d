"""A feed as Server-Sent Events. It ends within moments of its feed, whether the page reads or not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

from fastapi.sse import EventSourceResponse, format_sse_event
from starlette.types import Receive, Scope, Send

from services.console.feeds import Feed, FeedEvent, Feeds
from services.console.sessions import Session

_LAST_WORDS_SECONDS = 1.0
"""For the event `end` to reach a page that reads; one that does not is hung up on."""
_RETRY_MS = 1_000


async def feed_response(feeds: Feeds, session: Session, since: str) -> EventSourceResponse:
    """The stream, begun: what keeps it from beginning is raised here, while a status can still say so."""
    feed = feeds.open(session, since)
    events = feed.events()
    try:
        first = await anext(events)
    except BaseException:
        feeds.close(feed)
        raise
    return _FeedResponse(feeds, feed, first, events)


class _FeedResponse(EventSourceResponse):
    def __init__(
        self, feeds: Feeds, feed: Feed, first: FeedEvent, events: AsyncGenerator[FeedEvent, None]
    ) -> None:
        super().__init__(_encoded(first, events), headers={"x-accel-buffering": "no"})
        self._feeds = feeds
        self._feed = feed
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        streaming = asyncio.create_task(super().__call__(scope, receive, send), name="feed")
        ending = asyncio.create_task(self._feed.ended.wait(), name="feed-end")
        try:
            await asyncio.wait({streaming, ending}, return_when=asyncio.FIRST_COMPLETED)
            if not streaming.done():
                await asyncio.wait({streaming}, timeout=_LAST_WORDS_SECONDS)
        finally:
            for task in (streaming, ending):
                task.cancel()
            await asyncio.gather(streaming, ending, return_exceptions=True)
            # Cancelled in the midst of sending, they wait for somebody to ask for more.
            await self._events.aclose()
            self._feeds.close(self._feed)


async def _encoded(first: FeedEvent, rest: AsyncIterator[FeedEvent]) -> AsyncIterator[bytes]:
    # No browser reconnects faster than this after the stream breaks off.
    yield format_sse_event(data_str=None, retry=_RETRY_MS)
    yield _event(first)
    async for event in rest:
        yield _event(event)


def _event(event: FeedEvent) -> bytes:
    return format_sse_event(
        data_str=event.data.model_dump_json(), event=event.name, id=event.event_id or None
    )
