"""The supervisor keeps services alive, says what it does, and leaves nothing behind.

The child is a real process that answers /ready; Kafka and PostgreSQL are stood in for (tests/integration
has them).
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from pydantic import ValidationError

from alerthub.domain.errors import Refuse, Retry
from alerthub.embedded import supervisor as supervisor_module
from alerthub.embedded.catalogue import SERVICES, ServiceSpecification
from alerthub.embedded.child import LONGEST_WAIT_SECONDS, wait_after
from alerthub.embedded.environment import retention_environment
from alerthub.embedded.folder import HubFolder
from alerthub.embedded.infrastructure import Infrastructure
from alerthub.embedded.supervisor import HubShape, Supervisor
from alerthub.settings import KafkaSettings, PostgresSettings
from services.correlator.settings import CorrelatorSettings
from services.gateway.settings import GatewaySettings
from services.watchlist.settings import WatchlistSettings

DUMMY = """
import http.server, os, pathlib

class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(503 if pathlib.Path("{busy}").exists() else 200)
        self.end_headers()
        self.wfile.write(b'{{"checks": {{"kafka": "the gate is closed"}}}}')

http.server.HTTPServer(("127.0.0.1", int(os.environ["ALERTHUB_OPERATIONS_PORT"])), Ready).serve_forever()
"""


class Node:
    log_file = Path("none")
    launches = 0
    alive = True

    def is_alive(self) -> bool:
        return self.alive

    def launch(self) -> None:
        self.launches += 1
        self.alive = True


class StandIn:
    """What the supervisor needs of `Infrastructure`, without Kafka and PostgreSQL."""

    def __init__(self, folder: HubFolder) -> None:
        self.folder = folder
        self.kafka = Node()
        self.postgres = Node()

    def start(self, *, fresh: bool) -> None:
        self.folder.create()
        if not self.folder.hub_file.exists():
            self.folder.write_hub({})

    def stop(self) -> None:
        pass

    def write_hub(self, **changes: Any) -> None:
        self.folder.write_hub(self.folder.read_hub() | changes)

    def kafka_settings(self, principal: str) -> KafkaSettings:
        return KafkaSettings()

    def postgres_settings(self, role: str) -> PostgresSettings:
        return PostgresSettings()


class Stage:
    """A supervisor over dummies, the lines that it told, and the file that makes them not ready."""

    def __init__(self, root: Path) -> None:
        self.folder = HubFolder(root / "data")
        self.infrastructure = StandIn(self.folder)
        self.told: list[str] = []
        self.busy = root / "busy"
        package = root / "dummies"
        package.mkdir()
        (package / "console.py").write_text(DUMMY.format(busy=self.busy), encoding="utf-8")
        self.supervisor = Supervisor(
            self.folder,
            shape=HubShape(services=(ServiceSpecification("console", package="dummies"),)),
            tell=self.told.append,
            infrastructure=cast(Infrastructure, self.infrastructure),
        )

    @property
    def pid(self) -> int:
        return self.supervisor.children[0].pid

    def run_until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 15
        self.supervisor.run(lambda: condition() or time.monotonic() > deadline)
        assert condition()


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    stage = Stage(tmp_path)
    yield stage
    stage.supervisor.stop()


def never() -> bool:
    return False


def test_a_start_returns_when_every_service_is_ready_and_hub_json_says_so(stage: Stage) -> None:
    stage.supervisor.start(fresh=False, stopping=never)
    hub = stage.folder.read_hub()
    assert hub["state"] == "ready"
    assert [(each["service"], each["pid"]) for each in hub["services"]] == [("console", stage.pid)]


def test_prometheus_is_told_where_each_service_is_scraped(stage: Stage) -> None:
    stage.supervisor.start(fresh=False, stopping=never)
    told = json.loads(stage.folder.metrics_targets_file.read_text(encoding="utf-8"))
    port = stage.folder.read_hub()["services"][0]["operations_port"]
    assert told == [{"targets": [f"127.0.0.1:{port}"], "labels": {"service": "console"}}]


def test_a_service_killed_with_kill_minus_nine_is_started_again_and_that_is_said(stage: Stage) -> None:
    stage.supervisor.start(fresh=False, stopping=never)
    killed = stage.pid
    os.kill(killed, signal.SIGKILL)
    stage.run_until(lambda: stage.pid not in {0, killed})
    assert any("console-1 ended (killed by SIGKILL); starting it again" in line for line in stage.told)
    assert stage.folder.read_hub()["services"][0]["pid"] == stage.pid


def test_a_service_that_is_not_ready_in_time_is_named_with_its_reason(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor_module, "START_SECONDS", 2.0)
    stage.busy.touch()
    with pytest.raises(Retry, match=r"console-1 was not ready after 2 s \(kafka: the gate is closed\)"):
        stage.supervisor.start(fresh=False, stopping=never)


def test_a_stop_leaves_no_process_behind(stage: Stage) -> None:
    stage.supervisor.start(fresh=False, stopping=never)
    pid = stage.pid
    stage.supervisor.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_stop_asked_for_during_the_start_is_heard(stage: Stage) -> None:
    stage.busy.touch()
    stage.supervisor.start(fresh=False, stopping=lambda: True)
    assert stage.folder.read_hub()["state"] == "stopping"


@pytest.mark.parametrize("name", ["kafka", "postgres"])
def test_a_dead_kafka_or_postgresql_is_started_again(name: str, stage: Stage) -> None:
    stage.supervisor.start(fresh=False, stopping=never)
    node = getattr(stage.infrastructure, name)
    node.alive = False
    stage.run_until(node.is_alive)
    assert node.launches == 1


def test_a_second_start_on_the_folder_keeps_the_ports(stage: Stage) -> None:
    stage.supervisor.start(fresh=False, stopping=never)
    first = stage.folder.read_hub()["services"][0]["ports"]
    stage.supervisor.stop()
    stage.supervisor.start(fresh=False, stopping=never)
    assert stage.folder.read_hub()["services"][0]["ports"] == first


def test_each_death_in_a_row_doubles_the_wait_up_to_half_a_minute() -> None:
    assert [wait_after(deaths) for deaths in (1, 2, 3, 4)] == [0.5, 1.0, 2.0, 4.0]
    assert wait_after(1_000) == LONGEST_WAIT_SECONDS


def test_owners_of_data_start_before_the_door_for_devices() -> None:
    names = [service.name for service in SERVICES]
    assert names[:2] == ["registry", "watchlist"]
    assert names[-2:] == ["gateway", "canary"]


def test_a_hub_that_would_keep_what_did_not_hit_for_more_than_24_hours_is_refused(tmp_path: Path) -> None:
    folder = HubFolder(tmp_path / "data")
    with pytest.raises(Refuse, match="observations_retention_ms"):
        Supervisor(folder, shape=HubShape(retention_minutes=24 * 60 + 1), tell=print)
    assert not folder.root.exists()


@pytest.mark.parametrize(
    ("service", "settings", "kept_minutes"),
    [
        ("correlator", CorrelatorSettings, lambda s: s.observations_retention_seconds / 60),
        ("watchlist", WatchlistSettings, lambda s: s.observations_retention_minutes),
        ("gateway", GatewaySettings, lambda s: s.picture_retention_ms / 60_000),
    ],
)
def test_a_service_forgets_when_the_topics_do(
    service: str,
    settings: Callable[[], Any],
    kept_minutes: Callable[[Any], float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in retention_environment(service, 90).items():
        monkeypatch.setenv(name, value)
    assert kept_minutes(settings()) == 90


@pytest.mark.parametrize("service", ["correlator", "watchlist", "gateway"])
def test_a_service_refuses_a_retention_above_24_hours(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"correlator": CorrelatorSettings, "watchlist": WatchlistSettings, "gateway": GatewaySettings}
    for name, value in retention_environment(service, 24 * 60 + 1).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError, match="retention"):
        settings[service]()
