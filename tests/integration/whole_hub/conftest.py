"""One whole hub for all tests of this folder: a start takes longer than most of its stories."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from otlp_receiver import Receiver, receiving
from running_hub import CANARY_SECONDS, RunningHub
from town import Patrol, Town, town_of
from typer.testing import CliRunner

from alerthub.cli.main import application


@pytest.fixture(scope="package")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    """Where the hub sends its traces: of every batch, and of every alert."""
    with receiving(tmp_path_factory.mktemp("collector")) as receiver:
        yield receiver


@pytest.fixture(scope="package")
def hub(tmp_path_factory: pytest.TempPathFactory, collector: Receiver) -> Iterator[RunningHub]:
    running = RunningHub(tmp_path_factory.mktemp("whole") / "hub", collector.environment)
    yield running
    running.stop()


@pytest.fixture(scope="package")
def canary(hub: RunningHub) -> None:
    """The hub's own reads are set up, by the commands that persons use."""
    for step in (
        ("propose", "--account", "administrator-one"),
        ("approve", "--account", "administrator-two"),
        ("list-plates", "--account", "editor", "--gateways", "1", "--every-seconds", str(CANARY_SECONDS)),
        ("approve-plates", "--account", "approver"),
        ("status",),
    ):
        done = CliRunner().invoke(application(), ["canary", *step, "--data", str(hub.folder.root)])
        assert done.exit_code == 0, done.output


@pytest.fixture
async def town(hub: RunningHub) -> AsyncIterator[Town]:
    async with town_of(hub) as town:
        yield town


@pytest.fixture
async def patrol(town: Town, tmp_path: Path) -> AsyncIterator[Patrol]:
    async with town.patrol(tmp_path / "terminal") as patrol:
        yield patrol
