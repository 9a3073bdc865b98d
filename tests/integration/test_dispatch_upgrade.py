"""Dispatch during an upgrade: processes of this release and of the next one on one schema and one set of
topics."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import grpc
import pytest
from alembic.script import ScriptDirectory
from dispatch_support import (
    alert_events,
    command,
    eventually,
    now_ms,
    unit,
    watchlist_hit,
)
from service_process import ROOT, Process

from alerthub import audit, kafka, postgres
from alerthub.api.v1 import access_pb2, alert_pb2, alert_pb2_grpc, common_pb2, delivery_pb2, delivery_pb2_grpc
from alerthub.api.v1.observation_pb2 import DeadLetter
from alerthub.api.v1.patrol_pb2 import AcceptAssignment, CommandAnswer, RecordOutcome
from alerthub.domain.audit_chain import verify
from alerthub.grpc_client import certificate_channel, person_channel
from alerthub.identity import TokenSigner
from alerthub.settings import KafkaSettings, PostgresSettings, TlsSettings

SIGHTINGS = 3
TICK_SECONDS = 0.1
DONE = CommandAnswer.RESULT_DONE

THE_NEXT_RELEASE = """
import runpy, sys
from alembic.script import ScriptDirectory
from alerthub import postgres

made = postgres._scripts

def with_one_more(package):
    known = made(package)
    return ScriptDirectory(known.dir, version_locations=[*known.version_locations, sys.argv[1]])

postgres._scripts = with_one_more
runpy.run_module("services.dispatch", run_name="__main__")
"""
"""A release with a migration more than this one."""
ITS_MIGRATION = """
from alembic import op
from sqlalchemy import text

revision, down_revision = "9999", "{newest}"

def upgrade():
    tables = "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace"
    for name in op.get_bind().scalars(text(tables + " AND relkind = 'r' AND relname <> 'schema_version'")):
        op.execute(f"ALTER TABLE {{name}} ADD COLUMN of_the_next_release text NOT NULL DEFAULT ''")
"""
"""It adds what this release does not know to every table."""
THIS_RELEASE = ("-m", "services.dispatch")

Value = TypeVar("Value")


@pytest.fixture(name="the_next")
def the_next_fixture(tmp_path: Path) -> tuple[str, ...]:
    """What Python runs as the next release."""
    folder = ROOT / "services" / "dispatch" / "migrations"
    known = ScriptDirectory(str(folder), version_locations=[str(folder / "versions")])
    its_own = tmp_path / "versions"
    its_own.mkdir()
    (its_own / "version_9999.py").write_text(ITS_MIGRATION.format(newest=known.get_current_head()))
    return ("-c", THE_NEXT_RELEASE, str(its_own))


@pytest.fixture(name="both")
def both_fixture(
    *,
    fresh_topics: None,
    fresh_schemas: None,
    tmp_path: Path,
    service_environment: Callable[..., dict[str, str]],
    free_port: Callable[[], int],
) -> Iterator[list[Process]]:
    """Two instances of dispatch, not started. No deadline passes in a test's time."""
    made = [
        Process(
            "services.dispatch",
            service_environment(
                "dispatch",
                ALERTHUB_INSTANCE=name,
                ALERTHUB_GRPC_PORT=str(free_port()),
                ALERTHUB_GRPC_PERSON_PORT=str(free_port()),
                ALERTHUB_OPERATIONS_PORT=str(free_port()),
                ALERTHUB_DELIVERY_DEADLINE_MS="600000",
                ALERTHUB_ACKNOWLEDGEMENT_DEADLINE_MS="600000",
            ),
            tmp_path / f"{name}.log",
        )
        for name in ("a", "b")
    ]
    yield made
    for each in made:
        each.kill()


class Stream:
    """Hits of entries, each of which is seen several times."""

    def __init__(self, producer: Any, jurisdiction: str) -> None:
        self._producer = producer
        self._jurisdiction = jurisdiction
        self.raised: list[alert_pb2.AlertRaised] = []

    async def run(self, ended: asyncio.Event) -> None:
        while not ended.is_set() or len(self.raised) % SIGHTINGS:
            entry = f"{self._jurisdiction}-{len(self.raised) // SIGHTINGS}"
            await self.sends(watchlist_hit(entry, jurisdiction=self._jurisdiction))
            await asyncio.sleep(TICK_SECONDS)

    async def sends(self, hit: alert_pb2.AlertRaised) -> None:
        self.raised.append(hit)
        await self._producer.send_and_wait("alerts", hit.SerializeToString(), key=hit.fold_key.encode())


async def working(dispatch: Process) -> None:
    """Returns once it has taken something of the stream."""

    async def has_taken() -> bool:
        return "alerthub_dispatch_raised_total{" in await asyncio.to_thread(dispatch.metrics)

    await asyncio.to_thread(dispatch.wait_until, lambda told: "alerts" in told.get("checks", {}))
    await eventually(has_taken, within=40)


async def told(call: Callable[[], Awaitable[Value]]) -> Value:
    """The answer, asked for again as whoever calls dispatch does, for as long as it is to be asked again."""
    while True:
        try:
            return await call()
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE:
                raise
            await asyncio.sleep(0.2)


async def dead_letters(settings: KafkaSettings) -> list[str]:
    """Why records were put aside."""
    consumer = kafka.consumer(settings, "dead-letter", group_id=None)
    await consumer.start()
    try:
        batches = await consumer.getmany(timeout_ms=2_000)
    finally:
        await consumer.stop()
    return [DeadLetter.FromString(each.value).reason for records in batches.values() for each in records]


class Persons:
    """An operator and an officer, who ask whichever instance they are connected to."""

    def __init__(self, signer: TokenSigner, tls: TlsSettings) -> None:
        self._signer = signer
        self._tls = tls

    async def confirms(self, at: Process, alert_id: str) -> alert_pb2.Alert:
        token, _ = self._signer.sign(
            account="li", roles=[access_pb2.ROLE_OPERATOR], audience="dispatch", now_ms=now_ms()
        )
        address = f"127.0.0.1:{at.environment['ALERTHUB_GRPC_PERSON_PORT']}"
        request = alert_pb2.ConfirmAlertRequest(command_id=command(), alert_id=alert_id)
        async with person_channel(self._tls.ca_file, address, token) as channel:
            stub: alert_pb2_grpc.DispatchServiceAsyncStub = alert_pb2_grpc.DispatchServiceStub(channel)
            return (await told(lambda: stub.ConfirmAlert(request))).alert

    async def answers(self, at: Process, unit_id: str, **what: Any) -> CommandAnswer.Result.ValueType:
        request = delivery_pb2.AnswerCommandRequest(
            terminal_id="t1", unit_id=unit_id, officer="wang", command_id=command(), time_ms=now_ms(), **what
        )
        address = f"127.0.0.1:{at.environment['ALERTHUB_GRPC_PORT']}"
        async with certificate_channel(self._tls, address) as channel:
            stub: delivery_pb2_grpc.DeliveryServiceAsyncStub = delivery_pb2_grpc.DeliveryServiceStub(channel)
            return (await told(lambda: stub.AnswerCommand(request))).answer.result


@pytest.fixture(name="persons")
def persons_fixture(token_signing_key_file: Path, tls_settings: Callable[[str], TlsSettings]) -> Persons:
    return Persons(TokenSigner.from_file(token_signing_key_file), tls_settings("push"))


@pytest.mark.timeout(180)
async def test_dispatches_replaced_one_by_one_and_back_lose_nothing_and_double_nothing(
    *,
    both: list[Process],
    the_next: tuple[str, ...],
    persons: Persons,
    kafka_settings: Callable[[str], KafkaSettings],
    postgres_settings: Callable[[str], PostgresSettings],
    unique: Callable[[str], str],
) -> None:
    # given two dispatches of this release in a stream, and an alert that somebody has to confirm
    east, car = unique("east"), unique("car")
    producer = kafka.producer(kafka_settings("admin"), client_id="test")
    await producer.start()
    patrol = unit(car, jurisdiction=east)
    await producer.send_and_wait("units", patrol.SerializeToString(), key=car.encode())
    stream, ended = Stream(producer, east), asyncio.Event()
    to_confirm = watchlist_hit(
        unique("entry"), jurisdiction=east, policy=common_pb2.DISPATCH_POLICY_CONFIRM_FIRST
    )
    await stream.sends(to_confirm)
    sending = asyncio.create_task(stream.run(ended))
    first, second = both
    for each in both:
        each.start(THIS_RELEASE)
    for each in both:
        await working(each)

    database = postgres.engine(postgres_settings("dispatch"))

    async def sql(statement: str) -> list[Any]:
        async with postgres.transaction(database) as connection:
            return list(await connection.exec_driver_sql(statement))

    async def all_taken() -> bool:
        return len(await sql("SELECT raised_id FROM raised")) == len(stream.raised)

    # when the first is replaced by the next release, the second one's tables are wider under it
    first.stop()
    await eventually(all_taken, within=30)
    first.start(the_next)
    await working(first)
    alert = await persons.confirms(second, to_confirm.raised_id.hex())
    of_unit = {"alert_id": alert.alert_id, "assignment_id": alert.assignments[0].assignment_id}
    assert await persons.answers(first, car, accept=AcceptAssignment(**of_unit)) == DONE

    # and the second dies, is started again, and both go on
    second.kill()
    second.start(THIS_RELEASE)
    await working(second)
    found = RecordOutcome(**of_unit, outcome=alert_pb2.OUTCOME_FOUND)
    assert await persons.answers(second, car, record_outcome=found) == DONE

    # and the second is replaced too, and the first goes back
    for one, program in ((second, the_next), (first, THIS_RELEASE)):
        one.stop()
        one.start(program)
        await working(one)
    ended.set()
    await sending
    await producer.stop()

    # then everything that was raised is in the one alert of its entry
    async def settled() -> bool:
        waiting = "SELECT 1 FROM outbox UNION ALL SELECT 1 FROM audit_entry WHERE chain_index IS NULL"
        return await all_taken() and not await sql(waiting)

    await eventually(settled, within=30)
    alerts = await sql("SELECT entry_id, alert_id, version, sighting_count FROM alert")
    expected = Counter(each.watchlist.entry_id for each in stream.raised)
    assert Counter({each.entry_id: each.sighting_count for each in alerts}) == expected
    assert len(alerts) == len(expected)
    assert await dead_letters(kafka_settings("admin")) == []

    # and every version of it was told, once, and stands in the audit log, whose chain holds
    versions = [(each.alert_id, number) for each in alerts for number in range(1, each.version + 1)]
    events = await alert_events(kafka_settings("push"), len(versions))
    assert {(each.alert.alert_id, each.alert.version) for each in events} == set(versions)
    log = [row async for row in audit.export(database)]
    assert len([row for row in log if row.action.startswith("alert_")]) == len(versions)
    assert verify(log, await audit.heads(database), signature_problem=lambda _: None).finding is None
    await database.dispose()
