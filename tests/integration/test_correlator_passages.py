"""Two correlators, and a plate that is read in two districts of different partitions (C7)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path

import pytest
from correlator_city import PARTITIONS, City, Kafka, Reader, alerts_of, batch_of, now_ms, raised_id, token_of
from correlator_processes import Correlator, Environment, killed_again_and_again, settled, until

from alerthub.api.v1 import alert_pb2, common_pb2, observation_pb2, registry_pb2
from alerthub.domain.versions import ACTIVATION_LEAD_MS
from alerthub.settings import KafkaSettings
from services.correlator.application import APPLICATION_ID
from services.correlator.consumer import OBSERVATIONS, PASSAGES
from services.correlator.positions import Positions

HERE = common_pb2.Position(latitude=38.0, longitude=114.5)
FAR = common_pb2.Position(latitude=38.3, longitude=114.5)
KILLS_EACH = 3
TICK_SECONDS = 0.1


class TwoDistricts:
    """Two districts 33 km apart, of different partitions, and a rule for plates that are in both."""

    def __init__(self, unique: Callable[[str], str]) -> None:
        self.rule = unique("cloned")
        self.here = City(unique("district"))
        self.far = City(unique("district"))
        while self.far.partition == self.here.partition:
            self.far = City(unique("district"))

    def rule_value(self) -> bytes:
        return registry_pb2.Rule(
            rule_id=self.rule,
            version=1,
            status=registry_pb2.LIFE_STATUS_ACTIVE,
            kind=registry_pb2.RULE_KIND_CLONED_PLATE,
            device_ids=[self.here.device, self.far.device],
            severity=common_pb2.SEVERITY_MAJOR,
            unit_kind="patrol",
            policy=common_pb2.DISPATCH_POLICY_CONFIRM_FIRST,
            officer_text=common_pb2.LocalizedText(chinese="套牌车", english="Cloned plate"),
            cross_district=True,
            cloned_plate=registry_pb2.ClonedPlateParameters(maximum_speed_kmh=150, window_seconds=600),
        ).SerializeToString()

    def read(self, city: City, name: str, plate: str, *, at_ms: int) -> observation_pb2.Observation:
        observation = city.read(name, plate=plate)
        observation.device_time_ms = observation.corrected_time_ms = at_ms
        observation.clock_uncertainty_ms = 500
        observation.position.CopyFrom(HERE if city is self.here else FAR)
        return observation

    def alert_id(self, plate: str, city: City, name: str) -> bytes:
        return raised_id(self.rule.encode(), token_of(plate).hex().encode(), city.observation_id(name))

    def of(self, records: list[tuple[bytes, bytes]]) -> list[alert_pb2.AlertRaised]:
        return [one for one in alerts_of(records) if one.rule_id == self.rule]


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
    for one in both:
        one.start()
    yield both
    for one in both:
        one.kill()


@pytest.fixture
async def city(kafka: Kafka, unique: Callable[[str], str]) -> AsyncIterator[TwoDistricts]:
    districts = TwoDistricts(unique)
    for one in (districts.here, districts.far):
        await kafka.publish_city(one)
    yield districts
    # Other tests' correlators would pass on what they read.
    await kafka.publish("rules", districts.rule.encode(), None)


async def all_applied(settings: KafkaSettings) -> None:
    """Returns once every batch, and then every passage that one of them sent, is acknowledged."""
    for topic in (OBSERVATIONS, PASSAGES):
        async with aclosing(Positions(settings, topic=topic, group=APPLICATION_ID)) as positions:

            async def acknowledged(positions: Positions = positions) -> bool:
                found = await positions.read(range(PARTITIONS))
                return all((one.committed or 0) >= one.end for one in found.values() if one.end > one.start)

            await until(acknowledged)


async def counted(correlators: list[Correlator], result: str) -> int:
    name = rf'alerthub_correlator_passages_total{{result="{result}"}}'
    pattern = re.compile(rf"^{name} ([0-9.]+)$", re.MULTILINE)
    return sum([int(float(each)) for one in correlators for each in pattern.findall(await one.metrics())])


async def rule_in_force(kafka: Kafka, city: TwoDistricts) -> int:
    """Publishes the rule as its owner does; returns the time from which on it is known to be in force."""
    await kafka.publish("rules", city.rule.encode(), city.rule_value())
    return now_ms() + ACTIVATION_LEAD_MS


async def every_source_told(kafka: Kafka, passages: Reader, received_ms: int) -> None:
    """As each gateway does every second; returns once every partition of passages knows of all of them."""
    for partition in range(PARTITIONS):
        await kafka.observe(partition, batch_of([], received_ms=received_ms))

    def all_know(records: list[tuple[bytes, bytes]]) -> bool:
        told = [observation_pb2.PassageBatch.FromString(value).watermarks for _, value in records]
        newest = [
            mark.source_partition for marks in told for mark in marks if mark.received_time_ms >= received_ms
        ]
        return all(newest.count(partition) >= PARTITIONS for partition in range(PARTITIONS))

    await passages.until(all_know, seconds=60)


async def test_a_plate_in_two_districts_fires_in_either_order_once_and_nothing_without_the_rule(
    kafka: Kafka,
    correlators: list[Correlator],
    city: TwoDistricts,
    kafka_settings: Callable[[str], KafkaSettings],
) -> None:
    await settled(correlators)
    now, here, far = now_ms(), city.here, city.far
    async with (
        kafka.reader("correlator", "passages") as passages,
        kafka.reader("dispatch", "alerts") as alerts,
    ):
        # given no cross-district rule: a plate that is in both districts sends no passage
        for one in (here, far):
            await kafka.observe(one.partition, batch_of([city.read(one, "before", "p0", at_ms=now)]))
        await all_applied(kafka_settings("correlator"))
        assert await passages.all_now() == []

        # given the rule, in force
        now = await rule_in_force(kafka, city)
        await every_source_told(kafka, passages, now)

        # when two plates are read in both districts within a minute, each with another half coming first,
        # one half again through another gateway, and a third plate's earlier half comes too late
        first = [
            (here, city.read(here, "a", "p1", at_ms=now - 30_000)),
            (far, city.read(far, "b", "p2", at_ms=now)),
            (far, city.read(far, "e", "p3", at_ms=now)),
        ]
        second = [
            (far, city.read(far, "c", "p1", at_ms=now)),
            (here, city.read(here, "d", "p2", at_ms=now - 30_000)),
            (here, city.read(here, "f", "p3", at_ms=now - 300_000)),
        ]
        for halves in (first, second, first):
            for one, observation in halves:
                await kafka.observe(one.partition, batch_of([observation], received_ms=now))

        # then each of the first two fires, on its later half, with both places
        records = await alerts.until(lambda found: len({one.raised_id for one in city.of(found)}) >= 2)
        await all_applied(kafka_settings("correlator"))
        records += await alerts.all_now()
        raised = city.of(records)
        assert sorted(one.raised_id for one in raised) == sorted(
            [city.alert_id("p1", far, "c"), city.alert_id("p2", far, "b")]
        )
        [alert] = [one for one in raised if one.raised_id == city.alert_id("p1", far, "c")]
        assert alert.fold_key == f"rule:{city.rule}:{token_of('p1').hex()}"
        assert alert.observation.device_id == far.device
        assert alert.cloned_plate.other_device_id == here.device
        assert alert.cloned_plate.other_position == HERE
        assert alert.cloned_plate.speed_kmh > alert.cloned_plate.maximum_speed_kmh
        assert [key.data_key_id for key in alert.data_keys] == [b"key-1"]
        assert alert.jurisdiction == f"jurisdiction-{far.name}"
        # and the late one is counted
        assert await counted(correlators, "late") >= 1


async def test_kills_in_a_stream_of_pairs_lose_none_and_invent_none(
    kafka: Kafka,
    correlators: list[Correlator],
    city: TwoDistricts,
    kafka_settings: Callable[[str], KafkaSettings],
) -> None:
    # given the rule, and a stream of plates of which each is read in both districts, in either order
    await rule_in_force(kafka, city)
    await settled(correlators)
    ended, expected = asyncio.Event(), set[bytes]()

    async def run() -> None:
        tick = 0
        while not ended.is_set():
            received_ms = now_ms() + ACTIVATION_LEAD_MS
            halves = [(city.here, received_ms - 20_000), (city.far, received_ms)]
            for one, at_ms in halves if tick % 2 else reversed(halves):
                read = city.read(one, f"{tick}", f"plate-{tick}", at_ms=at_ms)
                batch = batch_of([read, one.read(f"{tick}-other")], received_ms=received_ms)
                await kafka.observe(one.partition, batch)
            expected.add(city.alert_id(f"plate-{tick}", city.far, f"{tick}"))
            tick += 1
            await asyncio.sleep(TICK_SECONDS)

    async with kafka.reader("dispatch", "alerts") as alerts:
        sending = asyncio.create_task(run())

        # when each of the two is killed again and again
        await asyncio.gather(*(killed_again_and_again(one, times=KILLS_EACH) for one in correlators))
        ended.set()
        await sending
        await settled(correlators)
        await all_applied(kafka_settings("correlator"))

        # then what is raised is what should be, some of it more than once, under the same ids
        raised = {one.raised_id for one in city.of(await alerts.all_now())}
        assert raised == expected
