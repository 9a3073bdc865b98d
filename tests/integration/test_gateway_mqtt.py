"""MQTT into the hub: devices, a real broker, a gateway in a process of its own, a real Kafka."""

from __future__ import annotations

import asyncio
import json
import ssl
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import aiomqtt
import pytest
from gateway_hub import Camera, GatewayHub, running_gateway

from alerthub.api.v1 import common_pb2, registry_pb2
from alerthub.embedded.infrastructure import Infrastructure
from alerthub.embedded.kafka_node import KafkaNode
from alerthub.settings import TlsSettings

CERTIFICATE = common_pb2.AUTHENTICATION_CLASS_CERTIFICATE


@pytest.fixture(scope="module")
def hub(infrastructure: Infrastructure, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayHub]:
    yield from running_gateway(infrastructure, tmp_path_factory.mktemp("gateway-mqtt"), mqtt=True)


@asynccontextmanager
async def connected(
    hub: GatewayHub, camera: Camera | None, *, certificate: TlsSettings | None = None, **options: Any
) -> AsyncIterator[aiomqtt.Client]:
    """A client with the camera's credential, or with a certificate, or with none."""
    trust = ssl.create_default_context(cafile=str(hub.infrastructure.folder.ca_file))
    if certificate is not None:
        trust.load_cert_chain(str(certificate.certificate_file), str(certificate.key_file))
    host, _, port = hub.mqtt_address.rpartition(":")
    async with aiomqtt.Client(
        host,
        int(port),
        username=camera.device_id if camera else None,
        password=camera.secret if camera else None,
        tls_context=trust,
        **{"timeout": 10, "identifier": uuid.uuid4().hex, **options},
    ) as client:
        yield client


def event(event_id: str = "") -> bytes:
    return json.dumps(
        {
            "specversion": "1.0",
            "id": event_id or uuid.uuid4().hex,
            "source": "/camera",
            "type": "alerthub.presence",
            "data": {},
        }
    ).encode()


def topic_of(camera: Camera) -> str:
    return f"{camera.device_id}/cloudevents/presence"


@pytest.fixture(scope="module")
def known() -> dict[str, Camera]:
    return {}


async def camera_of(hub: GatewayHub, known: dict[str, Camera], name: str = "camera") -> Camera:
    if name not in known:
        known[name] = await hub.device()
    return known[name]


async def test_c1_a_message_that_is_acknowledged_is_on_kafka(
    hub: GatewayHub, known: dict[str, Camera]
) -> None:
    camera = await camera_of(hub, known)
    since = await hub.ends("observations")
    async with connected(hub, camera) as client:
        await client.publish(topic_of(camera), event(), qos=1)
    # Before the acknowledgement: what the topic holds now is enough.
    ((_, observation),) = await hub.observations(since, 1, device_id=camera.device_id)
    assert observation.authentication_class == common_pb2.AUTHENTICATION_CLASS_PASSWORD_OVER_TLS


async def test_a_device_with_a_certificate_needs_no_secret(hub: GatewayHub) -> None:
    device = await hub.device(registered=CERTIFICATE, secret=False)
    tls = await hub.certificate(device.device_id)
    since = await hub.ends("observations")
    async with connected(hub, None, certificate=tls) as client:
        await client.publish(topic_of(device), event(), qos=1)
    ((_, observation),) = await hub.observations(since, 1, device_id=device.device_id)
    assert observation.authentication_class == CERTIFICATE


async def test_s3_a_login_that_publishes_under_anothers_name_is_cut_off(
    hub: GatewayHub, known: dict[str, Camera]
) -> None:
    camera, other = await camera_of(hub, known), await camera_of(hub, known, "other")
    since = await hub.ends("observations")
    with pytest.raises(aiomqtt.MqttError):
        async with connected(hub, camera) as client:
            await client.publish(topic_of(other), event(), qos=1, timeout=5)
    async with connected(hub, other) as client:
        await client.publish(topic_of(other), event(mark := uuid.uuid4().hex), qos=1)
    # What came after it is there, and nothing else of that device.
    found = await hub.observations(since, 1, device_id=other.device_id)
    assert (len(found), bool(mark)) == (1, True)


async def test_s3_nobody_logs_in_without_a_credential(hub: GatewayHub, known: dict[str, Camera]) -> None:
    camera = await camera_of(hub, known)
    for stranger in (None, Camera(camera.device_id, "not-its-secret"), Camera("camera-of-nobody", "secret")):
        with pytest.raises(aiomqtt.MqttError, match="ot authori"):
            async with connected(hub, stranger):
                pass


async def test_s3_a_device_hears_nothing_of_the_others(hub: GatewayHub, known: dict[str, Camera]) -> None:
    camera, other = await camera_of(hub, known), await camera_of(hub, known, "other")
    async with connected(hub, camera) as client:
        for wanted in ("#", "+/#", f"{other.device_id}/#"):
            (code,) = await client.subscribe(wanted, qos=1)
            assert (code if isinstance(code, int) else code.value) == 0x80


async def test_the_gateways_login_may_not_publish(hub: GatewayHub, known: dict[str, Camera]) -> None:
    camera = await camera_of(hub, known)
    tls = hub.infrastructure.tls_settings("gateway")
    with pytest.raises(aiomqtt.MqttError):
        async with connected(hub, None, certificate=tls) as client:
            await client.publish(topic_of(camera), event(), qos=1, timeout=5)


async def test_what_no_adapter_reads_stops_nothing_behind_it(
    hub: GatewayHub, known: dict[str, Camera]
) -> None:
    camera = await camera_of(hub, known)
    since = await hub.ends("observations")
    async with connected(hub, camera) as client:
        for payload in (b"{", b"\xff\xfe\x00", b"[" * 5000):
            await client.publish(topic_of(camera), payload, qos=1)
        await client.publish(f"{camera.device_id}/no-such-make/x", event(), qos=1)
        await client.publish(topic_of(camera), event(), qos=1)
    assert len(await hub.observations(since, 1, device_id=camera.device_id)) == 1


async def test_c1_while_kafka_is_away_nothing_is_acknowledged_and_it_comes_after(
    hub: GatewayHub, kafka_broker: KafkaNode
) -> None:
    camera = await hub.device()
    since = await hub.ends("observations")
    async with connected(hub, camera) as client:
        kafka_broker.kill()
        publishing = asyncio.create_task(client.publish(topic_of(camera), event(), qos=1, timeout=60))
        # Longer than the gateway waits for Kafka at once.
        done, _ = await asyncio.wait({publishing}, timeout=6)
        assert not done
        # On this thread: the broker ends with the one that started it.
        kafka_broker.launch()
        await publishing
    found = await hub.observations(since, 1, device_id=camera.device_id, seconds=40)
    assert len({one.observation_id for _, one in found}) == 1


async def test_c1_a_gateway_that_is_killed_in_between_loses_nothing(hub: GatewayHub) -> None:
    camera = await hub.device()
    since = await hub.ends("observations")
    marks = [uuid.uuid4().hex for _ in range(300)]
    async with connected(hub, camera) as client:
        publishing = [
            asyncio.create_task(client.publish(topic_of(camera), event(mark), qos=1, timeout=90))
            for mark in marks[:150]
        ]
        hub.gateway.kill()
        publishing += [
            asyncio.create_task(client.publish(topic_of(camera), event(mark), qos=1, timeout=90))
            for mark in marks[150:]
        ]
        hub.gateway.start()
        await asyncio.to_thread(hub.gateway.wait_until_ready)
        await asyncio.gather(*publishing)
    found = await hub.observations(since, 300, device_id=camera.device_id, seconds=40)
    assert len({one.observation_id for _, one in found}) == 300


async def test_c1_a_broker_that_is_killed_in_between_loses_nothing(hub: GatewayHub) -> None:
    camera = await hub.device()
    since = await hub.ends("observations")
    acknowledged: list[str] = []

    async def publish_until(count: int) -> None:
        while len(acknowledged) < count:
            try:
                async with connected(hub, camera) as client:
                    while len(acknowledged) < count:
                        await client.publish(topic_of(camera), event(mark := uuid.uuid4().hex), qos=1)
                        acknowledged.append(mark)
            except aiomqtt.MqttError:
                await asyncio.sleep(0.2)

    await publish_until(30)
    hub.mqtt.kill()
    hub.mqtt.start()
    await publish_until(60)
    found = await hub.observations(since, 60, device_id=camera.device_id, seconds=40)
    assert len({one.observation_id for _, one in found}) >= 60


async def test_readiness_tells_of_a_broker_that_is_away(hub: GatewayHub) -> None:
    hub.mqtt.kill()
    await asyncio.to_thread(hub.gateway.wait_until, lambda told: bool(told["checks"].get("mqtt")))
    hub.mqtt.start()
    await asyncio.to_thread(hub.gateway.wait_until_ready)


async def test_s2_a_device_whose_secret_is_changed_is_put_out_within_two_seconds(hub: GatewayHub) -> None:
    camera = await hub.device()
    async with connected(hub, camera) as client:
        await client.publish(topic_of(camera), event(), qos=1)
        await hub.registry.call(
            "IssueDeviceCredential", registry_pb2.IssueDeviceCredentialRequest(device_id=camera.device_id)
        )
        with pytest.raises(aiomqtt.MqttError):
            await asyncio.wait_for(anext(aiter(client.messages)), 2)
    with pytest.raises(aiomqtt.MqttError, match="ot authori"):
        async with connected(hub, camera):
            pass


async def test_s5_no_log_of_broker_or_gateway_holds_a_secret_or_a_topic(
    hub: GatewayHub, known: dict[str, Camera]
) -> None:
    camera = await camera_of(hub, known)
    async with connected(hub, camera) as client:
        await client.publish(f"{camera.device_id}/cloudevents/canary-in-the-topic", b"{canary-payload", qos=1)
    shown = hub.gateway.log_file.read_text() + hub.mqtt.log_file.read_text()
    shown += hub.gateway.metrics() + hub.mqtt.metrics()
    assert "mqtt_message_refused" in shown
    assert [word for word in (camera.secret, "canary-in-the-topic", "canary-payload") if word in shown] == []
