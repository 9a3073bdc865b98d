"""What SREs see: each panel of each dashboard has a series, from a real Prometheus over a whole hub."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from browsing import Browser, command_id, eventually
from running_hub import RunningHub
from town import CAMERA, PERSON, VEHICLE, Patrol, town_of

from alerthub.api.v1.alert_pb2 import OUTCOME_FOUND
from alerthub.embedded.processes import free_ports
from alerthub.simulator.device import gateway_client
from alerthub.terminal.screen_state import ScreenChange

ROOT = Path(__file__).resolve().parents[3]
DASHBOARDS = sorted((ROOT / "deploy" / "grafana" / "dashboards").glob("*.json"))
_SERIES_A_PROCESS = 2_000
"""A tenth of what the design allows. A hub that runs has some hundreds a process, and no more in a larger
city: no label is a device, a unit, a person, an entry or a token."""
_SOON_SECONDS = 90.0


class Prometheus:
    """The real one, over the hub, with the rules of deploy/prometheus. It scrapes each second."""

    def __init__(self, hub: RunningHub) -> None:
        self.url = f"http://127.0.0.1:{free_ports(1)[0]}"
        port = self.url.rpartition(":")[2]
        self._process = subprocess.Popen(
            [
                *(sys.executable, str(ROOT / "tools" / "run_prometheus.py"), "--interval", "1s"),
                *("--port", port, "--data", str(hub.folder.root)),
            ],
            stdin=subprocess.DEVNULL,
        )

    async def query(self, expression: str) -> list[dict[str, Any]]:
        """The series that it gives now; none while Prometheus starts."""
        async with httpx.AsyncClient(base_url=self.url, timeout=10) as client:
            try:
                answer = await client.get("/api/v1/query", params={"query": expression})
            except httpx.ConnectError:
                return []
        assert answer.status_code in (200, 503), answer.text
        return answer.json()["data"]["result"] if answer.status_code == 200 else []

    async def get(self, path: str) -> Any:
        async with httpx.AsyncClient(base_url=self.url, timeout=10) as client:
            return (await client.get(path)).json()["data"]

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(30)


def queries() -> Iterator[tuple[str, str]]:
    """Each panel with each of its queries, as Grafana would send it."""
    for path in DASHBOARDS:
        for panel in json.loads(path.read_text(encoding="utf-8"))["panels"]:
            for target in panel.get("targets", ()):
                yield (
                    f"{path.stem}: {panel['title']}",
                    target["expr"].replace("$__rate_interval", "1m"),
                )


def names_in_rules() -> set[str]:
    """Every metric that a rule asks for."""
    named: set[str] = set()
    for path in sorted((ROOT / "deploy" / "prometheus" / "rules").glob("*.yml")):
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]:
            for rule in group["rules"]:
                without_values = re.sub(r'"[^"]*"', "", rule["expr"])
                named |= set(re.findall(r"\b(?:alerthub|grpc|process|scrape)[a-z0-9_:]*", without_values))
    return named


async def _live_a_day(hub: RunningHub, prometheus: Prometheus, folder: Path) -> None:
    """A page is live, a person is confirmed and sent, a patrol gets both alerts, entries are withdrawn."""
    await eventually(lambda: prometheus.query("up == 1"))
    browser = Browser(hub)
    try:
        async with town_of(hub) as town, town.patrol(folder) as patrol:
            await browser.sign_in(town.operator)
            async with browser.feed() as feed:
                await feed.until(lambda name, _: name == "heartbeat")
                for category in (PERSON, VEHICLE):
                    plate, entry_id = await town.list_plate(category)
                    await town.read(plate)
                    if category == PERSON:
                        await _confirm(browser, await browser.alert_of(entry_id))
                    shown = await patrol.shows_entry(entry_id)
                    if category == VEHICLE:
                        await _found(patrol, shown)
                    await town.withdraw(entry_id)
            await _turned_away(hub)
    finally:
        await browser.client.aclose()


async def _found(patrol: Patrol, shown: ScreenChange) -> None:
    alert_id, assignment_id = shown.alert_id, shown.push.assignment_id
    await patrol.client.accept(alert_id, assignment_id)
    await patrol.answered(alert_id, "accept")
    await patrol.client.record_outcome(alert_id, assignment_id, OUTCOME_FOUND)
    await patrol.answered(alert_id, "record_outcome")


async def _turned_away(hub: RunningHub) -> None:
    """A camera with a wrong secret."""
    async with gateway_client(hub.facts.gateway_url, hub.folder.ca_file) as client:
        answer = await client.post("/v1/ingest/hikvision-anpr", content=b"", auth=(CAMERA, "wrong"))
        assert answer.status_code == 401


async def _confirm(browser: Browser, card: Any) -> None:
    alert_id, version = card["summary"]["alert_id"], card["summary"]["version"]
    await browser.post(f"/api/alerts/{alert_id}/open", reason="compare with the picture")
    items = [each["item"] for each in card["checklist"]]
    await browser.post(
        f"/api/alerts/{alert_id}/confirm", checklist=items, version=version, command_id=command_id()
    )


@pytest.fixture(scope="module")
def prometheus(
    hub: RunningHub, canary: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    """Over a hub that has lived a day."""
    running = Prometheus(hub)
    asyncio.run(_live_a_day(hub, running, tmp_path_factory.mktemp("patrol") / "terminal"))
    yield running
    running.stop()


async def test_every_panel_of_every_dashboard_has_a_series(prometheus: Prometheus) -> None:
    asked = list(dict.fromkeys(queries()))
    assert len({panel for panel, _ in asked}) > 80
    empty = asked

    async def all_answered() -> bool:
        nonlocal empty
        answers = await asyncio.gather(*(prometheus.query(expression) for _, expression in empty))
        empty = [each for each, series in zip(empty, answers, strict=True) if not series]
        return not empty

    try:
        await eventually(all_answered, within=_SOON_SECONDS)
    except AssertionError:
        pytest.fail("no series: " + "\n".join(f"{panel}: {expression}" for panel, expression in empty))


async def test_every_rule_is_evaluated_and_asks_for_metrics_that_exist(prometheus: Prometheus) -> None:
    missing: set[str] = set()

    async def all_known() -> bool:
        missing.clear()
        missing.update(names_in_rules() - set(await prometheus.get("/api/v1/label/__name__/values")))
        return not missing

    try:
        await eventually(all_known, within=_SOON_SECONDS)
    except AssertionError:
        pytest.fail(f"no metric of a hub: {sorted(missing)}")
    groups = (await prometheus.get("/api/v1/rules"))["groups"]
    ill = [rule["name"] for group in groups for rule in group["rules"] if rule["health"] != "ok"]
    assert ill == []


async def test_a_process_has_few_series_whatever_the_city_does(prometheus: Prometheus) -> None:
    scraped = await prometheus.query("max by (service) (scrape_samples_scraped)")
    counts = {each["metric"]["service"]: int(each["value"][1]) for each in scraped}
    assert counts
    assert {service: count for service, count in counts.items() if count > _SERIES_A_PROCESS} == {}
