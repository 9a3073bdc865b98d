"""The registry while Kafka or PostgreSQL is gone: it says so, keeps what was committed, and comes back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import grpc
import pytest
from registry_city import jurisdiction, zone
from registry_hub import RunningRegistry, running_registry

from alerthub.api.v1 import registry_pb2
from alerthub.embedded.infrastructure import Infrastructure
from alerthub.embedded.kafka_node import KafkaNode
from alerthub.embedded.postgres_node import PostgresNode

Unique = Callable[[str], str]


@pytest.fixture(scope="module")
def registry(
    infrastructure: Infrastructure, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningRegistry]:
    yield from running_registry(infrastructure, tmp_path_factory.mktemp("registry"))


async def test_without_the_database_it_is_not_ready_and_asks_to_come_again(
    registry: RunningRegistry, postgres_server: PostgresNode
) -> None:
    postgres_server.kill()
    assert "database" in await registry.unready_because("database")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await registry.sign_in("operator")
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE

    postgres_server.launch()
    registry.wait_until_ready()
    assert (await registry.sign_in("operator")).token


async def test_what_is_applied_without_kafka_is_published_when_it_returns(
    registry: RunningRegistry, kafka_broker: KafkaNode, unique: Unique
) -> None:
    city, name = unique("city"), unique("zone")
    await registry.apply(jurisdiction(city))
    kafka_broker.kill()
    await registry.apply(zone(name, city))
    assert "outbox" in await registry.unready_because("outbox")

    kafka_broker.launch()
    value = registry_pb2.Zone.FromString(await registry.published("zones", name, 1, seconds=90))
    assert value.zone_id == name
    registry.wait_until_ready()


async def test_a_revocation_without_kafka_holds_at_the_registry_and_goes_out_later(
    registry: RunningRegistry, kafka_broker: KafkaNode
) -> None:
    kafka_broker.kill()
    await registry.call("Revoke", registry_pb2.RevokeRequest(account="officer", reason="outage"))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await registry.sign_in("officer")
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
    kafka_broker.launch()
    assert await registry.published("revocations", "account:officer", 1, seconds=90)


def test_it_stops_cleanly_when_asked(registry: RunningRegistry) -> None:
    registry.wait_until_ready()
    began = time.monotonic()
    assert registry.stop() == 0
    assert time.monotonic() - began < 15
    registry.start()
