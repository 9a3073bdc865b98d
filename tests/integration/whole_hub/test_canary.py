"""The hub's own reads on a whole hub: they arrive, nobody is bothered by them, and their absence is told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from browsing import Browser, eventually
from running_hub import RunningHub
from town import Town

from alerthub.api.v1.alert_pb2 import OUTCOME_FOUND, Alert, AlertStatus, ListAlertsRequest
from alerthub.domain.canary import CATEGORY
from alerthub.terminal.headless import now_ms

pytestmark = pytest.mark.usefixtures("canary")


@pytest.fixture
async def browser(hub: RunningHub, town: Town) -> AsyncIterator[Browser]:
    """Somebody signed in as operator."""
    browser = Browser(hub)
    try:
        assert (await browser.sign_in(town.operator)).status_code == 204
        yield browser
    finally:
        await browser.client.aclose()


async def closed_canaries(town: Town) -> list[Alert]:
    """The canary's alerts that have run their whole way."""
    statuses = [number for number in AlertStatus.values() if number]
    request = ListAlertsRequest(statuses=statuses, page_size=500)
    listed = (await town.dispatch.ListAlerts(request, timeout=15)).alerts
    return [each for each in listed if each.category == CATEGORY and each.outcome == OUTCOME_FOUND]


def beat_after(time_ms: int, *, watching: bool) -> Callable[[str, Any], bool]:
    """A heartbeat of later than this that says so."""
    return lambda name, data: (
        name == "heartbeat" and data["server_time_ms"] > time_ms and data["watch"]["watching"] == watching
    )


async def test_a_canary_runs_from_the_gateway_to_its_terminal_and_is_on_no_page(
    hub: RunningHub, town: Town, browser: Browser
) -> None:
    # when one has run its way, with receipt, acceptance and outcome
    async def arrived() -> list[Alert]:
        return await closed_canaries(town)

    (alert, *_) = await eventually(arrived)

    # then it was not opened for its terminal, no page shows it, nothing is measured by it
    assert alert.assignments[-1].delivered_at_ms
    page = await browser.get("/api/alerts?state=closed&size=500")
    assert CATEGORY not in {each["category"] for each in page["alerts"]}
    assert CATEGORY not in {
        each["district"].partition("-")[0] for each in (await browser.get("/api/map"))["devices"]
    }

    # and its program says when it arrived
    async def measured() -> bool:
        port = next(
            each["operations_port"]
            for each in hub.folder.read_hub()["services"]
            if each["service"] == "canary"
        )
        async with httpx.AsyncClient() as client:
            text = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
        return 'alerthub_canary_read_to_receipt_seconds_count{gateway="127.0.0.1:' in text

    assert await eventually(measured)


async def test_while_no_canary_arrives_the_office_is_told_not_watching_with_its_districts(
    hub: RunningHub, browser: Browser
) -> None:
    async with browser.feed() as feed:
        # given an office that is told that all is watched
        await feed.until(beat_after(0, watching=True))

        # when nothing reaches terminals any more, though all is evaluated
        with hub.hung("push"):
            beat = await feed.until(beat_after(now_ms(), watching=False))

        # then it is told, and of which districts
        assert beat["watch"]["silent_districts"] == ["story-district"]
        assert "canary" in beat["watch"]["reason"]

        # and when push goes on, all is watched again by itself
        await feed.until(beat_after(now_ms(), watching=True))
