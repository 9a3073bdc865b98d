"""A correlator in the test's own process: what it is wired of can be looked at and broken."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from prometheus_client import CollectorRegistry

from alerthub.settings import KafkaSettings
from services.correlator.service import Service
from services.correlator.settings import CorrelatorSettings

Settings = Callable[[str], KafkaSettings]


@asynccontextmanager
async def correlator(
    kafka_settings: Settings, instance: str = "1", *, watchdog_seconds: float = 60.0
) -> AsyncIterator[Service]:
    service = Service(
        CorrelatorSettings(
            kafka=kafka_settings("correlator"),
            instance=instance,
            checkpoint_seconds=0.5,
            watchdog_seconds=watchdog_seconds,
        ),
        registry=CollectorRegistry(),
    )
    await service.start()
    try:
        yield service
    finally:
        await service.stop()


async def committed(service: Service, partition: int, offset: int) -> None:
    """Returns once the group has committed beyond `offset`."""
    async with asyncio.timeout(30):
        while True:
            position = (await service.positions.read([partition]))[partition]
            if position.committed is not None and position.committed > offset:
                return
            await asyncio.sleep(0.1)
