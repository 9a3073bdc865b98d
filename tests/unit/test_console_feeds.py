"""The feed: snapshot and tail without a gap or a repeat, bounded, and ended with its session (C10, S2)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from console_parts import PLATE, Console, a_console, an_alert
from hypothesis import given, settings
from hypothesis import strategies as st

from alerthub.alert_events import HISTORY_EVENTS
from alerthub.domain.denials import Denial
from alerthub.domain.errors import Retry
from alerthub.identity import NotAuthenticatedError, RevocationEntry
from services.console import models
from services.console.feeds import Feed, FeedEvent
from services.console.sessions import Session
from services.console.sse import feed_response


@pytest.fixture
def console(tmp_path: Path) -> Console:
    return a_console(tmp_path)


class Page:
    """A page that reads one feed."""

    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self._events = feed.events()
        self.last_id = ""

    async def next(self) -> FeedEvent:
        async with asyncio.timeout(3):
            event = await anext(self._events)
        self.last_id = event.event_id or self.last_id
        return event

    async def until(self, wanted: Callable[[FeedEvent], bool]) -> FeedEvent:
        while True:
            event = await self.next()
            if wanted(event):
                return event

    async def versions(self, count: int) -> list[tuple[str, int]]:
        """The next alerts, with their versions."""
        found: list[tuple[str, int]] = []
        while len(found) < count:
            event = await self.next()
            if isinstance(event.data, models.FeedAlert):
                found.append((event.data.alert.alert_id, event.data.alert.version))
        return found

    async def close(self) -> None:
        await self._events.aclose()


@asynccontextmanager
async def reading(console: Console, session: Session, since: str = "") -> AsyncIterator[Page]:
    feed = console.parts.feeds.open(session, since)
    page = Page(feed)
    try:
        yield page
    finally:
        await page.close()
        console.parts.feeds.close(feed)


async def test_a_feed_begins_with_all_open_alerts_and_then_says_that_it_lives(console: Console) -> None:
    async with reading(console, await console.sign_in()) as page:
        snapshot = await page.next()
        beat = await page.next()
    assert isinstance(snapshot.data, models.FeedSnapshot)
    assert [each.alert_id for each in snapshot.data.alerts] == ["a1"]
    assert isinstance(beat.data, models.FeedHeartbeat)
    assert beat.data.watch.watching


async def test_what_happens_is_told_in_its_order(console: Console) -> None:
    async with reading(console, await console.sign_in()) as page:
        await page.next()
        for version in (3, 4, 5):
            console.happen(an_alert(version=version))
        assert await page.versions(3) == [("a1", 3), ("a1", 4), ("a1", 5)]


async def test_what_the_snapshot_has_is_not_told_again(console: Console) -> None:
    # given an event that comes while the snapshot is being read
    session = await console.sign_in()
    console.services.alert = an_alert(version=5)
    async with reading(console, session) as page:
        began = asyncio.create_task(page.next())
        await asyncio.sleep(0)
        for version in (4, 5, 6):
            console.happen(an_alert(version=version))
        await began
        assert await page.versions(1) == [("a1", 6)]


async def test_a_record_that_the_relay_wrote_twice_is_told_once(console: Console) -> None:
    async with reading(console, await console.sign_in()) as page:
        await page.next()
        for version in (3, 3, 4):
            console.happen(an_alert(version=version))
        assert await page.versions(2) == [("a1", 3), ("a1", 4)]


@settings(max_examples=25)
@given(before=st.integers(0, 5), missed=st.integers(0, 5), after=st.integers(1, 3))
def test_c10_a_page_that_comes_back_gets_what_it_missed_once(
    tmp_path_factory: pytest.TempPathFactory, before: int, missed: int, after: int
) -> None:
    async def story() -> None:
        console = a_console(tmp_path_factory.getbasetemp())
        session = await console.sign_in()
        async with reading(console, session) as page:
            await page.next()
            for number in range(before):
                console.happen(an_alert(f"b{number}", 1))
            await page.versions(before)
        for number in range(missed):
            console.happen(an_alert(f"m{number}", 1))
        async with reading(console, session, page.last_id) as again:
            told = await again.versions(missed)
            for number in range(after):
                console.happen(an_alert(f"n{number}", 1))
            told += await again.versions(after)
        assert [name for name, _ in told] == [f"m{number}" for number in range(missed)] + [
            f"n{number}" for number in range(after)
        ]

    asyncio.run(story())


@pytest.mark.parametrize("token", ["nonsense", "another-topic.0-1", "topic.0-999", "topic.1-0"])
async def test_c10_a_token_that_says_nothing_here_gets_a_snapshot(console: Console, token: str) -> None:
    async with reading(console, await console.sign_in(), token) as page:
        assert (await page.next()).name == "snapshot"


async def test_c10_a_token_that_is_too_old_gets_a_snapshot(console: Console) -> None:
    for number in range(HISTORY_EVENTS + 1):
        console.happen(an_alert(version=number + 1))
    session = await console.sign_in()
    async with reading(console, session, "topic.0-0") as page:
        assert (await page.next()).name == "snapshot"
    async with reading(console, session, "topic.0-1") as page:
        assert (await page.next()).name == "alert"


async def test_a_quiet_page_does_not_resume_from_long_ago(tmp_path: Path) -> None:
    # given a page that had its last alert before many others that it has too
    console = a_console(tmp_path, heartbeat_seconds=0.2)
    async with reading(console, await console.sign_in()) as page:
        await page.next()
        console.happen(an_alert(version=1))  # known: not told
        beat = await page.until(lambda event: event.name == "heartbeat" and event.event_id == "topic.0-1")
    assert beat.event_id == console.tail.resume_token()


async def test_a_heartbeat_says_when_the_hub_does_not_watch(console: Console) -> None:
    console.watch = models.WatchState(
        watching=False,
        silent_districts=["d1"],
        silent_district_count=1,
        silent_gateways=["g1"],
        reason="2 of 8 partitions are not being evaluated",
        reason_chinese="8 个分区中有 2 个未被研判",
    )
    async with reading(console, await console.sign_in()) as page:
        beat = await page.until(lambda event: event.name == "heartbeat")
    assert isinstance(beat.data, models.FeedHeartbeat)
    assert beat.data.watch.silent_districts == ["d1"]


async def test_heartbeats_come_in_the_midst_of_much_that_happens(tmp_path: Path) -> None:
    console = a_console(tmp_path, heartbeat_seconds=0.2)
    async with reading(console, await console.sign_in()) as page:
        await page.next()
        beats = 0
        for version in range(3, 63):
            console.happen(an_alert(version=version))
            await asyncio.sleep(0.01)
            beats += (await page.next()).name == "heartbeat"
        assert beats >= 2


# Bounds


async def test_a_slow_page_is_cut_off_and_resumes_where_it_was(tmp_path: Path) -> None:
    console = a_console(tmp_path, feed_queue_events=4)
    session = await console.sign_in()
    async with reading(console, session) as page:
        await page.next()
        for number in range(6):
            console.happen(an_alert(f"a{number}", 9))
        end = await page.until(lambda event: event.name == "end")
    assert isinstance(end.data, models.FeedEnd)
    assert not end.data.signed_out
    async with reading(console, session, page.last_id) as again:
        told = await again.versions(6)
    assert [name for name, _ in told] == [f"a{number}" for number in range(6)]


async def test_a_session_has_so_many_streams_and_no_more(tmp_path: Path) -> None:
    console = a_console(tmp_path, feeds_per_session=2)
    session = await console.sign_in()
    feeds = [console.parts.feeds.open(session, "") for _ in range(2)]
    with pytest.raises(Retry):
        console.parts.feeds.open(session, "")
    console.parts.feeds.close(feeds[0])
    console.parts.feeds.open(session, "")


async def test_before_the_tail_is_read_nobody_is_fed(console: Console) -> None:
    session = await console.sign_in()
    console.tail._caught_up.clear()
    answer = await console.browser.get("/api/feed")
    assert answer.status_code == 503
    assert not console.parts.feeds._open
    assert not session.ended


async def test_a_snapshot_that_cannot_be_read_is_a_status_and_leaves_nothing_open(console: Console) -> None:
    await console.sign_in()
    console.services.failure = Retry("dispatch does not answer")
    answer = await console.browser.get("/api/feed")
    assert answer.status_code == 503
    assert not console.parts.feeds._open
    assert not console.tail._subscribers


# The end


async def test_s2_a_revoked_sessions_stream_ends_at_once_and_says_so(console: Console) -> None:
    session = await console.sign_in()
    async with reading(console, session) as page:
        await page.next()
        await page.next()
        console.revocations.put(RevocationEntry("account:li.wei", 1, console.clock.now_ms))
        console.happen(an_alert(version=9))
        end = await page.next()
    assert isinstance(end.data, models.FeedEnd)
    assert end.data.signed_out


async def test_a_session_that_has_run_its_time_ends_its_stream(console: Console) -> None:
    session = await console.sign_in()
    async with reading(console, session) as page:
        await page.next()
        console.clock.now_ms += 13 * 3_600_000
        console.parts.sessions.sweep()
        assert (await page.until(lambda event: event.name == "end")).data.signed_out  # type: ignore[attr-defined]


async def test_s2_a_page_that_reads_nothing_is_hung_up_on_when_its_session_ends(console: Console) -> None:
    # given a stream whose page takes nothing after the first bytes
    session = await console.sign_in()
    response = await feed_response(console.parts.feeds, session, "")
    sent: list[object] = []

    async def send(message: dict[str, object]) -> None:
        sent.append(message)
        if len(sent) > 1:
            await asyncio.Event().wait()

    serving = asyncio.create_task(
        response({"type": "http", "asgi": {"spec_version": "2.4"}}, asyncio.Event().wait, send)  # type: ignore[arg-type]
    )
    await asyncio.sleep(0.05)
    assert not serving.done()

    session.end(Denial.SESSION_REVOKED)

    async with asyncio.timeout(2):
        await serving
    assert not console.parts.feeds._open
    assert not console.tail._subscribers


async def test_a_session_that_ended_meanwhile_gets_no_stream(console: Console) -> None:
    session = await console.sign_in()
    session.end(Denial.SESSION_REVOKED)
    with pytest.raises(NotAuthenticatedError):
        console.parts.feeds.open(session, "")


async def test_what_is_streamed_is_server_sent_events_with_ids(console: Console) -> None:
    session = await console.sign_in()
    asking = asyncio.create_task(console.browser.get("/api/feed", headers={"last-event-id": "topic.0-0"}))
    while not console.parts.feeds._open:  # noqa: ASYNC110 - of another's state
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.01)
    console.happen(an_alert(version=7))
    await asyncio.sleep(0.01)
    session.end(Denial.SIGNED_OUT)
    answer = await asking

    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["cache-control"] == "no-store"
    blocks = [block for block in answer.text.split("\n\n") if "event:" in block]
    names = [
        line.removeprefix("event: ") for block in blocks for line in block.split("\n") if "event:" in line
    ]
    assert names == ["heartbeat", "alert", "end"]
    assert "id: topic.0-1" in blocks[1]


# Refusal 3: no identifier, no token


async def test_no_token_and_no_key_is_in_the_feed_the_list_or_the_card(console: Console) -> None:
    token = "3f" * 16
    console.services.alert = an_alert(fold_key=f"rule:r1:{token}")
    await console.sign_in()
    answers = [await console.browser.get(path) for path in ("/api/alerts", "/api/alerts/a1", "/api/map")]
    session = next(iter(console.parts.sessions))
    async with reading(console, session) as page:
        snapshot = await page.next()
    for text in (*(answer.text for answer in answers), snapshot.data.model_dump_json()):
        assert token not in text
        assert "fold_key" not in text
        assert "secret" not in text
        assert PLATE not in text


async def test_a_canary_is_on_no_page(console: Console) -> None:
    # given a canary among the open alerts, and a page that reads
    console.services.alert = an_alert("c1", category="canary")
    async with reading(console, await console.sign_in()) as page:
        snapshot = await page.next()
        resumable = console.tail.resume_token()

        # when another is raised before a vehicle
        console.happen(an_alert("c2", category="canary"))
        console.happen(an_alert("a2"))

        # then the vehicle is the first that the page is told
        assert await page.versions(1) == [("a2", 2)]
    assert isinstance(snapshot.data, models.FeedSnapshot)
    assert snapshot.data.alerts == []

    # and the first that a page is told that was away meanwhile
    async with reading(console, await console.sign_in(), since=resumable) as page:
        assert await page.versions(1) == [("a2", 2)]
