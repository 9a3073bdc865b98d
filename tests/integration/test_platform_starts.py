"""A data folder over several starts: it continues, refuses a second hub, and leaves no process behind."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from aiokafka import TopicPartition

from alerthub import kafka
from alerthub.domain.errors import Refuse
from alerthub.embedded.folder import HubFolder
from alerthub.embedded.infrastructure import Infrastructure

HOLD = """
import pathlib, sys, time
from alerthub.embedded.folder import HubFolder
from alerthub.embedded.infrastructure import Infrastructure
running = Infrastructure(HubFolder(pathlib.Path(sys.argv[1])))
running.start()
print("started", flush=True)
time.sleep(300)
"""


def test_a_running_hub_refuses_a_second_start_on_its_folder(infrastructure: Infrastructure) -> None:
    with pytest.raises(Refuse, match="already running"):
        Infrastructure(infrastructure.folder).start()


def test_the_command_line_refuses_it_with_one_sentence(infrastructure: Infrastructure) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "alerthub.cli.main", "up", "--data", str(infrastructure.folder.root)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "is already running in" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_second_start_continues_where_the_first_stopped_and_fresh_begins_again(tmp_path: Path) -> None:
    folder = HubFolder(tmp_path / "data")
    with Infrastructure(folder) as first:
        ports = (first.kafka.bootstrap, first.postgres_settings("registry").port)
        passwords = {path.name: path.read_text() for path in folder.secrets.glob("*.password")}
        first.postgres.execute("CREATE TABLE registry.kept AS SELECT 7 AS number;")
        asyncio.run(_write(first, b"kept"))

    with Infrastructure(folder) as second:
        assert (second.kafka.bootstrap, second.postgres_settings("registry").port) == ports
        assert {path.name: path.read_text() for path in folder.secrets.glob("*.password")} == passwords
        assert second.postgres.execute("SELECT number FROM registry.kept;").strip() == "7"
        assert asyncio.run(_read_first(second)) == b"kept"

    third = Infrastructure(folder)
    third.start(fresh=True)
    try:
        assert third.postgres.execute("SELECT count(*) FROM pg_tables WHERE tablename = 'kept';") == "0\n"
    finally:
        third.stop()


def test_nothing_runs_on_after_the_hub_was_killed(tmp_path: Path) -> None:
    folder = HubFolder(tmp_path / "data")
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder.root)], stdout=subprocess.PIPE, text=True
    ) as hub:
        assert hub.stdout is not None
        assert hub.stdout.readline() == "started\n"
        assert _processes_of(folder)
        hub.kill()
    _wait_for(lambda: not _processes_of(folder))


def _processes_of(folder: HubFolder) -> list[int]:
    """Processes whose command line names the folder, or that work in it."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            command = (entry / "cmdline").read_bytes().decode("utf-8", "replace")
            works_in = str((entry / "cwd").readlink())
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        if str(folder.root) in command or works_in.startswith(str(folder.root)):
            found.append(int(entry.name))
    return found


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "the condition never held"
        time.sleep(0.05)


async def _write(running: Infrastructure, value: bytes) -> None:
    producer = kafka.producer(running.kafka_settings("gateway"), client_id="test")
    await producer.start()
    try:
        await producer.send_and_wait("calls", value)
    finally:
        await producer.stop()


async def _read_first(running: Infrastructure) -> bytes:
    consumer = kafka.consumer(running.kafka_settings("dispatch"), group_id=None)
    await consumer.start()
    try:
        consumer.assign([TopicPartition("calls", 0)])
        async with asyncio.timeout(20):
            return bytes((await consumer.getone()).value)
    finally:
        await consumer.stop()
