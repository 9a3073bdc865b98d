"""The correlator on real Kafka: batches in, alerts out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from correlator_city import City, Kafka, alerts_of, batch_of, now_ms
from prometheus_client import CollectorRegistry

from alerthub.api.v1 import alert_pb2, common_pb2, observation_pb2
from alerthub.settings import KafkaSettings
from services.correlator.service import Service
from services.correlator.settings import CorrelatorSettings

Settings = Callable[[str], KafkaSettings]


@pytest.fixture
async def kafka(kafka_settings: Settings) -> AsyncIterator[Kafka]:
    async with Kafka(kafka_settings) as running:
        yield running


@pytest.fixture
async def city(kafka: Kafka, unique: Callable[[str], str]) -> City:
    city = City(unique("district"))
    await kafka.publish_city(city)
    return city


@asynccontextmanager
async def correlator(
    kafka_settings: Settings, instance: str = "1", **settings: float
) -> AsyncIterator[Service]:
    service = Service(
        CorrelatorSettings(
            kafka=kafka_settings("correlator"),
            instance=instance,
            **{"checkpoint_seconds": 0.5, **settings},
        ),
        registry=CollectorRegistry(),
    )
    await service.start()
    try:
        yield service
    finally:
        await service.stop()


async def ready(service: Service) -> None:
    async with asyncio.timeout(30):
        while not service.working.open or service.replicas.closed_because():
            await asyncio.sleep(0.05)


async def test_one_batch_with_a_listed_plate_gives_one_alert(
    kafka_settings: Settings, kafka: Kafka, city: City
) -> None:
    async with correlator(kafka_settings) as service, kafka.reader("dispatch", "alerts") as alerts:
        await ready(service)

        # when a batch holds the listed plate and another one
        await kafka.observe(city.partition, batch_of([city.read("a", plate=city.plate), city.read("b")]))

        # then one alert is raised, with what its entry, its rule and its device say
        records = await alerts.until(lambda found: len(found) >= 1)
        [alert] = alerts_of(records)
        assert records[0][0] == f"entry:{city.entry}".encode()
        assert alert.watchlist.entry_id == city.entry
        assert alert.severity == common_pb2.SEVERITY_MAJOR
        assert alert.policy == common_pb2.DISPATCH_POLICY_SEND_AT_ONCE
        assert alert.jurisdiction == f"jurisdiction-{city.name}"
        assert [key.data_key_id for key in alert.data_keys] == [b"key-1"]
