"""Correlators that are killed or replaced in the middle of a stream lose no alert and invent none (C2 to
C5)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path

import pytest
from correlator_city import (
    DWELL_SECONDS,
    PARTITIONS,
    City,
    Kafka,
    Reader,
    alerts_of,
    batch_of,
    now_ms,
    raised_id,
)
from correlator_processes import Correlator, Environment, killed_again_and_again, settled, until

from alerthub.settings import KafkaSettings
from services.correlator.application import APPLICATION_ID
from services.correlator.consumer import OBSERVATIONS
from services.correlator.positions import Positions

KILLS_EACH = 10
TICK_SECONDS = 0.1
DWELL_STEP_SECONDS = 60

THE_NEXT_RELEASE = """
import runpy
from services.correlator import snapshots

made = snapshots.record_at

def newer(*arguments):
    record = made(*arguments)
    record.MergeFromString(bytes.fromhex("f8ff0701"))  # a field that this release does not know
    return record

snapshots.SCHEMA, snapshots.record_at = snapshots.SCHEMA + 1, newer
runpy.run_module("services.correlator", run_name="__main__")
"""
"""A release that writes state of a newer schema, from which this one may go on."""
NEXT, THIS = ("-c", THE_NEXT_RELEASE), ("-m", "services.correlator")


@pytest.fixture
async def kafka(kafka_settings: Callable[[str], KafkaSettings]) -> AsyncIterator[Kafka]:
    async with Kafka(kafka_settings) as running:
        yield running


@pytest.fixture
async def correlators(
    service_environment: Environment, free_port: Callable[[], int], tmp_path: Path
) -> AsyncIterator[list[Correlator]]:
    both = [
        Correlator(service_environment, name, free_port(), tmp_path / f"{name}.log") for name in ("a", "b")
    ]
    yield both
    for one in both:
        one.go_on()
        one.kill()


class Stream:
    """What the gateways send, and what must be raised of it.

    Every tick, for every city, a batch with a listed plate, two others, and vehicles that stand. The vehicle
    of tick T stands in ticks T, T+10, ... T+40, a minute apart by its camera's clock: its alert needs what
    was seen four seconds before.
    """

    def __init__(self, kafka: Kafka, cities: list[City]) -> None:
        self._kafka = kafka
        self._cities = cities
        self._base_ms = now_ms() - 3_000_000
        self.rules = {rule for city in cities for rule in (city.hit_rule, city.dwell_rule)}
        self.expected: set[bytes] = set()
        self.observations = 0
        self._tick = 0

    async def run(self, ended: asyncio.Event) -> None:
        while not ended.is_set():
            for city in self._cities:
                await self._observe(city)
            self._tick += 1
            await asyncio.sleep(TICK_SECONDS)

    async def _observe(self, city: City) -> None:
        tick = f"tick-{self._tick}"
        observations = [
            city.read(f"{tick}-listed", plate=city.plate),
            city.read(f"{tick}-a"),
            city.read(f"{tick}-b"),
        ]
        for step in range(DWELL_SECONDS // DWELL_STEP_SECONDS + 1):
            first = self._tick - 10 * step
            if first >= 0:
                at_ms = self._base_ms + step * DWELL_STEP_SECONDS * 1_000
                name = f"{first}-stands-{step}"
                observations.append(city.standing(name, track=f"track-{first}", at_ms=at_ms))
                if step * DWELL_STEP_SECONDS == DWELL_SECONDS:
                    subject = f"track:{city.device}:track-{first}"
                    self._expect(city, city.dwell_rule, subject, name)
        self._expect(city, city.hit_rule, f"entry:{city.entry}", f"{tick}-listed")
        await self._kafka.observe(city.partition, batch_of(observations))
        self.observations += len(observations)

    def _expect(self, city: City, rule_id: str, subject: str, name: str) -> None:
        self.expected.add(raised_id(rule_id.encode(), subject.encode(), city.observation_id(name)))


async def ledger_of(correlators: list[Correlator]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for one in correlators:
        for result, count in (await one.ledger()).items():
            sums[result] = sums.get(result, 0) + count
    return sums


async def nothing_is_left(settings: KafkaSettings) -> None:
    """Returns once all that was sent before is applied and acknowledged, also what other tests left."""
    async with aclosing(Positions(settings, topic=OBSERVATIONS, group=APPLICATION_ID)) as positions:

        async def acknowledged() -> bool:
            found = await positions.read(range(PARTITIONS))
            return all((one.committed or 0) >= one.end for one in found.values())

        await until(acknowledged)


async def complete(correlators: list[Correlator], received: int) -> bool:
    return (await ledger_of(correlators)).get("received", 0) >= received


async def all_raised(alerts: Reader, stream: Stream) -> set[bytes]:
    """The ids of what was raised of the stream: as many as expected, and whatever came beside them."""
    raised: set[bytes] = set()

    def take(records: list[tuple[bytes, bytes]]) -> None:
        raised.update(one.raised_id for one in alerts_of(records) if one.rule_id in stream.rules)

    def enough(records: list[tuple[bytes, bytes]]) -> bool:
        take(records)
        records.clear()
        return len(raised) >= len(stream.expected)

    # Longer than a client waits for an answer of Kafka while the group changes.
    await alerts.until(enough, seconds=150)
    take(await alerts.all_now())
    return raised


@pytest.mark.timeout(600)
async def test_twenty_kills_in_a_stream_lose_no_alert_and_invent_none(
    kafka: Kafka, correlators: list[Correlator], unique: Callable[[str], str]
) -> None:
    cities = [City(unique("district")) for _ in range(6)]
    for city in cities:
        await kafka.publish_city(city)
    for one in correlators:
        one.start()
    await settled(correlators)
    before = await ledger_of(correlators)
    stream, ended = Stream(kafka, cities), asyncio.Event()
    async with kafka.reader("dispatch", "alerts") as alerts:
        # given a stream of batches
        sending = asyncio.create_task(stream.run(ended))

        # when each of the two is killed ten times, at random moments after it has begun to work
        await asyncio.gather(*(killed_again_and_again(one, times=KILLS_EACH) for one in correlators))
        ended.set()
        await sending
        await settled(correlators)

        # then what is raised is what should be, some of it more than once, under the same ids
        raised = await all_raised(alerts, stream)
        assert raised == stream.expected

        # and the ledger holds each observation once
        await until(lambda: complete(correlators, before["received"] + stream.observations))
        after = await ledger_of(correlators)
        assert after["received"] - before["received"] == stream.observations
        assert after["matched"] - before["matched"] == len(stream.expected)
        assert after["repeat"] == before["repeat"]


async def test_a_worker_that_stood_still_and_lost_its_partitions_changes_nothing(
    kafka: Kafka, correlators: list[Correlator], unique: Callable[[str], str]
) -> None:
    # given two correlators in a stream, of which one stands still for longer than the group waits
    cities = [City(unique("district")) for _ in range(6)]
    for city in cities:
        await kafka.publish_city(city)
    for one in correlators:
        one.start()
    for one in correlators:
        await one.until_ready()
    stream, ended = Stream(kafka, cities), asyncio.Event()
    async with kafka.reader("dispatch", "alerts") as alerts:
        sending = asyncio.create_task(stream.run(ended))
        await asyncio.sleep(2)
        correlators[0].pause()
        await asyncio.sleep(10)

        # when it wakes up, writes what it has in hand, and the other has gone on meanwhile
        correlators[0].go_on()
        await asyncio.sleep(5)
        ended.set()
        await sending

        # and everything is recovered once more
        correlators[1].kill()
        correlators[1].start()

        # then nothing is missing and nothing is invented
        raised = await all_raised(alerts, stream)
        assert raised == stream.expected


async def test_correlators_replaced_one_by_one_and_back_lose_nothing_and_double_nothing(
    kafka: Kafka,
    correlators: list[Correlator],
    unique: Callable[[str], str],
    kafka_settings: Callable[[str], KafkaSettings],
) -> None:
    # given two correlators of this release in a stream
    cities = [City(unique("district")) for _ in range(6)]
    for city in cities:
        await kafka.publish_city(city)
    for one in correlators:
        one.start()
    await settled(correlators)
    await nothing_is_left(kafka_settings("correlator"))
    before = await ledger_of(correlators)
    stream, ended = Stream(kafka, cities), asyncio.Event()
    async with kafka.reader("dispatch", "alerts") as alerts:
        sending = asyncio.create_task(stream.run(ended))

        # when one after the other is replaced by the next release, and then the first goes back
        first, second = correlators
        for one, program in ((first, NEXT), (second, NEXT), (first, THIS)):
            assert await one.stop() == 0
            one.start(program)
            await settled(correlators)
        ended.set()
        await sending

        # then everything was raised and counted once, whichever release went on from whose state
        raised = await all_raised(alerts, stream)
        assert raised == stream.expected
        await until(lambda: complete(correlators, before["received"] + stream.observations))
        after = await ledger_of(correlators)
        assert after["received"] - before["received"] == stream.observations
        assert after["matched"] - before["matched"] == len(stream.expected)
        assert after["repeat"] == before["repeat"]
