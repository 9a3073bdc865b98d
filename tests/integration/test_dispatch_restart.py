"""Dispatch as its own process, killed in the middle of a stream."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from dispatch_support import alert_events, eventually, unit, watchlist_hit

from alerthub import kafka, postgres
from alerthub.api.v1 import alert_pb2, common_pb2
from alerthub.embedded.postgres_node import PostgresNode

ENTRIES = 60
REPEATS = 4


class Process:
    """`python -m services.dispatch`."""

    def __init__(self, environment: dict[str, str], log_file: Path) -> None:
        self._environment = environment
        self._log_file = log_file
        self._process: subprocess.Popen[bytes] | None = None

    def launch(self) -> None:
        with self._log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "services.dispatch"], env=self._environment, stdout=log, stderr=log
            )

    def kill(self) -> None:
        """kill -9"""
        assert self._process is not None
        self._process.kill()
        self._process.wait()


@asynccontextmanager
async def _database(settings: Any) -> AsyncIterator[Callable[..., Any]]:
    engine = postgres.engine(settings)

    async def sql(statement: str) -> list[Any]:
        try:
            async with postgres.transaction(engine) as connection:
                return list(await connection.exec_driver_sql(statement))
        except Exception as error:  # noqa: BLE001 - the tables are not there before the first migration
            return [] if "Undefined" in str(error) else _raised(error)

    try:
        yield sql
    finally:
        await engine.dispose()


def _raised(error: Exception) -> list[Any]:
    raise error


async def test_kill_9_in_the_middle_of_a_stream_loses_nothing_and_doubles_nothing(
    *,
    fresh_topics: None,
    fresh_schemas: None,
    tmp_path: Path,
    service_environment: Callable[..., dict[str, str]],
    kafka_settings: Any,
    postgres_settings: Any,
    unique: Callable[[str], str],
) -> None:
    # given dispatch as a process, a unit, and hits of many entries that each come several times
    east = unique("east")
    producer = kafka.producer(kafka_settings("admin"), client_id="test")
    await producer.start()
    car = unit(unique("car"), jurisdiction=east)
    await producer.send_and_wait("units", car.SerializeToString(), key=car.unit_id.encode())
    hits = [
        watchlist_hit(f"{east}-{entry}", jurisdiction=east, policy=common_pb2.DISPATCH_POLICY_SEND_AT_ONCE)
        for _ in range(REPEATS)
        for entry in range(ENTRIES)
    ]
    dispatch = Process(
        service_environment("dispatch", ALERTHUB_DELIVERY_DEADLINE_MS="600000"), tmp_path / "log"
    )
    dispatch.launch()

    # when it is killed three times while they come
    async with _database(postgres_settings("dispatch")) as sql:
        try:
            for number, hit in enumerate(hits):
                await producer.send_and_wait("alerts", hit.SerializeToString(), key=hit.fold_key.encode())
                if number in {20, 90, 160}:
                    await eventually(lambda: sql("SELECT 1 FROM raised LIMIT 1"), within=60)
                    dispatch.kill()
                    dispatch.launch()

            async def all_taken() -> bool:
                return len(await sql("SELECT raised_id FROM raised")) == len(hits)

            await eventually(all_taken, within=90)

            async def all_sent() -> bool:
                return not await sql("SELECT 1 FROM outbox")

            await eventually(all_sent, within=30)
            alerts = await sql("SELECT alert_id, version, sighting_count FROM alert")
            assignments = await sql("SELECT assignment_id FROM assignment")
        finally:
            dispatch.kill()
            await producer.stop()

    # then each entry has one alert with all its sightings and one unit
    assert len(alerts) == ENTRIES
    assert {row.sighting_count for row in alerts} == {REPEATS}
    assert len(assignments) == ENTRIES
    # and the topic has every version of each, whatever was sent twice
    wanted = sum(row.version for row in alerts)
    events = await alert_events(kafka_settings("push"), wanted)
    versions = {(each.alert.alert_id, each.alert.version) for each in events}
    assert versions == {(row.alert_id, number) for row in alerts for number in range(1, row.version + 1)}
    opened = Counter(each.alert.alert_id for each in events if each.kind == alert_pb2.ALERT_EVENT_KIND_OPENED)
    assert set(opened) == {row.alert_id for row in alerts}


async def test_postgres_killed_while_alerts_come_loses_none(
    *,
    fresh_topics: None,
    fresh_schemas: None,
    tmp_path: Path,
    service_environment: Callable[..., dict[str, str]],
    kafka_settings: Any,
    postgres_settings: Any,
    postgres_server: PostgresNode,
    unique: Callable[[str], str],
) -> None:
    # given dispatch as a process that takes alerts
    producer = kafka.producer(kafka_settings("admin"), client_id="test")
    await producer.start()
    hits = [
        watchlist_hit(unique("entry"), policy=common_pb2.DISPATCH_POLICY_CONFIRM_FIRST) for _ in range(60)
    ]
    dispatch = Process(service_environment("dispatch"), tmp_path / "log")
    dispatch.launch()
    try:
        async with _database(postgres_settings("dispatch")) as sql:
            for hit in hits[:30]:
                await producer.send_and_wait("alerts", hit.SerializeToString(), key=hit.fold_key.encode())
            await eventually(lambda: sql("SELECT 1 FROM raised LIMIT 1"), within=60)

            # when PostgreSQL is killed, and comes back after more have come
            postgres_server.kill()
            for hit in hits[30:]:
                await producer.send_and_wait("alerts", hit.SerializeToString(), key=hit.fold_key.encode())
            # In this thread: the server ends with the thread that started it.
            postgres_server.launch()

        # then each is there once
        async with _database(postgres_settings("dispatch")) as sql:

            async def all_taken() -> bool:
                return len(await sql("SELECT raised_id FROM raised")) == len(hits)

            await eventually(all_taken, within=60)
            assert len(await sql("SELECT alert_id FROM alert")) == len(hits)
    finally:
        dispatch.kill()
        await producer.stop()
