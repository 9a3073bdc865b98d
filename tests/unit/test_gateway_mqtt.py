"""The gateway's MQTT edge at the embedded broker, with a Kafka that tests steer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from core_authority import Authority
from gateway_parts import PLATE, Clock, Gateway, gateway
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mqtt_parts import Mqtt, running_broker

from alerthub.api.v1 import common_pb2
from alerthub.identity import RevocationList
from services.gateway.authentication import Authenticator
from services.gateway.mqtt import MqttEdge


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.create(tmp_path_factory.mktemp("authority"))


def event(event_id: str) -> bytes:
    attributes = {
        "specversion": "1.0",
        "id": event_id,
        "source": "/camera",
        "type": "alerthub.identifier.read",
    }
    return json.dumps(attributes | {"data": {"plate": PLATE}}, ensure_ascii=False).encode()


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(3_000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come about within half a minute")


@asynccontextmanager
async def joined(
    mqtt: Mqtt, folder: Path, *, instance: str = "1", **changed: Any
) -> AsyncIterator[tuple[Gateway, MqttEdge]]:
    """A gateway that listens at the broker."""
    tls = mqtt.authority.issue("spiffe://alerthub/service/gateway")
    made = await gateway(folder, tls=tls, addresses={"mqtt": mqtt.address}, instance=instance, **changed)
    made.register("camera-2")
    authenticator = Authenticator(made.devices, RevocationList(), failures_per_minute=10, now_ms=Clock())
    edge = MqttEdge(made.settings, made.intake, authenticator)
    running = asyncio.create_task(edge.run())
    try:
        await until(lambda: edge.not_ready_because() is None)
        yield made, edge
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@asynccontextmanager
async def listening(
    authority: Authority, folder: Path, **changed: Any
) -> AsyncIterator[tuple[Mqtt, Gateway, MqttEdge]]:
    """A broker and a gateway that listens at it."""
    async with running_broker(authority) as mqtt, joined(mqtt, folder, **changed) as (made, edge):
        yield mqtt, made, edge


async def test_c1_a_device_is_told_when_kafka_has_its_event_and_not_before(
    authority: Authority, tmp_path: Path
) -> None:
    async with listening(authority, tmp_path) as (mqtt, made, _), mqtt.client() as client:
        made.broker.holds = True
        publishing = asyncio.create_task(client.publish("camera-1/cloudevents/x", event("e1"), qos=1))
        await made.broker.holds_a_record()
        done, _pending = await asyncio.wait({publishing}, timeout=0.05)
        assert not done
        made.broker.answer()
        await publishing
    assert [one.device_id for one in made.broker.observations()] == ["camera-1"]


async def test_c1_at_quality_2_too(authority: Authority, tmp_path: Path) -> None:
    async with listening(authority, tmp_path) as (mqtt, made, _), mqtt.client() as client:
        await client.publish("camera-1/cloudevents", event("e1"), qos=2)
        await client.publish("camera-1/cloudevents", event("e2"), qos=2)
    assert len({one.observation_id for one in made.broker.observations()}) == 2


async def test_c1_while_the_gateway_takes_nothing_nothing_is_acknowledged(
    authority: Authority, tmp_path: Path
) -> None:
    async with listening(authority, tmp_path) as (mqtt, made, _), mqtt.client() as client:
        made.devices_reason = "the replica of devices is still reading"
        publishing = asyncio.create_task(client.publish("camera-1/cloudevents", event("e1"), qos=1))
        done, _pending = await asyncio.wait({publishing}, timeout=0.3)
        assert (done, made.broker.observations()) == (set(), [])
        made.devices_reason = None
        await publishing
    assert len(made.broker.observations()) == 1


async def test_s3_the_login_says_whose_event_it_is_and_nothing_in_topic_or_payload(
    authority: Authority, tmp_path: Path
) -> None:
    body = json.dumps(
        {
            "specversion": "1.0",
            "id": "e",
            "source": "camera-1",
            "type": "alerthub.presence",
            "subject": "camera-1",
        }
    ).encode()
    async with listening(authority, tmp_path) as (mqtt, made, _), mqtt.client("camera-2") as client:
        await client.publish("camera-2/cloudevents/camera-1", body, qos=1)
    assert [one.device_id for one in made.broker.observations()] == ["camera-2"]


@pytest.mark.parametrize(
    ("registered", "shown"),
    [
        (
            common_pb2.AUTHENTICATION_CLASS_PASSWORD_OVER_TLS,
            common_pb2.AUTHENTICATION_CLASS_PASSWORD_OVER_TLS,
        ),
        (common_pb2.AUTHENTICATION_CLASS_URL_TOKEN, common_pb2.AUTHENTICATION_CLASS_URL_TOKEN),
        (common_pb2.AUTHENTICATION_CLASS_CERTIFICATE, common_pb2.AUTHENTICATION_CLASS_CERTIFICATE),
    ],
)
async def test_s3_an_observation_carries_the_class_that_the_device_is_registered_with(
    authority: Authority, tmp_path: Path, registered: int, shown: int
) -> None:
    async with listening(authority, tmp_path) as (mqtt, made, _), mqtt.client() as client:
        made.register(version=2, authentication_class=registered)
        await client.publish("camera-1/cloudevents", event("e1"), qos=1)
    assert [one.authentication_class for one in made.broker.observations()] == [shown]


async def test_s3_a_device_that_is_known_by_its_network_alone_has_no_login(
    authority: Authority, tmp_path: Path
) -> None:
    async with listening(authority, tmp_path) as (mqtt, made, _), mqtt.client() as client:
        made.register(version=2, authentication_class=common_pb2.AUTHENTICATION_CLASS_NETWORK_ONLY)
        await client.publish("camera-1/cloudevents", event("e1"), qos=1)
    assert made.broker.observations() == []


async def test_what_cannot_be_taken_stops_nothing_behind_it(authority: Authority, tmp_path: Path) -> None:
    async with listening(authority, tmp_path) as (mqtt, made, _), mqtt.client() as client:
        for topic, payload in (
            ("camera-1/no-such-adapter/x", event("e0")),
            ("camera-1/", b""),
            ("camera-1//", b"x"),
            ("camera-1/cloudevents", b"{"),
            ("camera-1/frigate/events", b"\xff\xd8\xff"),
            ("camera-1/zigbee2mqtt/bridge/devices", b"[]"),
        ):
            await client.publish(topic, payload, qos=1)
        await client.publish("camera-1/cloudevents", event("e1"), qos=1)
    assert len(made.broker.observations()) == 1


async def test_a_device_above_its_rate_waits_unacknowledged_and_holds_up_nobody(
    authority: Authority, tmp_path: Path
) -> None:
    changed = {"device_burst": 256, "device_events_per_second": 0.001}
    async with listening(authority, tmp_path, **changed) as (mqtt, made, _), mqtt.client() as client:
        publishing = [
            asyncio.create_task(client.publish("camera-1/cloudevents", event(f"e{number}"), qos=1))
            for number in range(266)
        ]
        await until(lambda: sum(task.done() for task in publishing) == 256)
        async with mqtt.client("camera-2") as other:
            await other.publish("camera-2/cloudevents", event("other"), qos=1)
        assert sum(task.done() for task in publishing) == 256
        for task in publishing:
            task.cancel()
        await asyncio.gather(*publishing, return_exceptions=True)
    devices = [one.device_id for one in made.broker.observations()]
    assert (devices.count("camera-1"), devices.count("camera-2")) == (256, 1)


async def test_of_one_login_no_more_than_a_quarter_of_the_window_waits(
    authority: Authority, tmp_path: Path
) -> None:
    changed = {"device_burst": 256, "device_events_per_second": 0.001, "mqtt_window": 8}
    async with listening(authority, tmp_path, **changed) as (mqtt, made, _), mqtt.client() as client:
        publishing = [
            asyncio.create_task(client.publish("camera-1/cloudevents", event(f"e{number}"), qos=1))
            for number in range(270)
        ]
        # All but two are answered: on Kafka, or counted as refused.
        await until(lambda: sum(task.done() for task in publishing) == 268)
        for task in publishing:
            task.cancel()
        await asyncio.gather(*publishing, return_exceptions=True)
    assert len(made.broker.observations()) == 256


def ids_of(one: Gateway) -> set[bytes]:
    return {each.observation_id for each in one.broker.observations()}


async def test_c1_of_several_gateways_one_has_a_message_and_who_goes_leaves_it_to_the_others(
    authority: Authority, tmp_path: Path
) -> None:
    async with listening(authority, tmp_path / "1") as (mqtt, one, _), mqtt.client() as client:
        async with joined(mqtt, tmp_path / "2", instance="2") as (two, _edge):
            one.broker.holds = two.broker.holds = True
            publishing = [
                asyncio.create_task(client.publish("camera-1/cloudevents", event(f"e{number}"), qos=1))
                for number in range(20)
            ]
            await until(lambda: len(ids_of(one) | ids_of(two)) == 20)
            shared = (ids_of(one), ids_of(two))
        # The second has gone, and acknowledged nothing.
        one.broker.answer()
        await asyncio.gather(*publishing)
    assert (bool(shared[0]), bool(shared[1]), shared[0] & shared[1]) == (True, True, set())
    assert len(ids_of(one)) == 20


async def test_a_repeat_is_the_same_observation(authority: Authority, tmp_path: Path) -> None:
    async with listening(authority, tmp_path) as (mqtt, made, _), mqtt.client() as client:
        for _ in range(3):
            await client.publish("camera-1/cloudevents", event("e1"), qos=1)
    assert len({one.observation_id for one in made.broker.observations()}) == 1


async def test_it_says_when_the_broker_is_away(authority: Authority, tmp_path: Path) -> None:
    async with listening(authority, tmp_path) as (mqtt, _made, edge):
        await mqtt.broker.stop()
        await until(lambda: edge.not_ready_because() is not None)


async def test_any_payload_is_on_kafka_or_refused_and_the_next_is_taken(
    authority: Authority, tmp_path: Path
) -> None:
    async with listening(authority, tmp_path) as (mqtt, made, _), mqtt.client() as client:
        loop_payloads: list[tuple[str, bytes]] = []

        @settings(max_examples=60, database=None, suppress_health_check=list(HealthCheck))
        @given(
            topic=st.sampled_from(
                ["cloudevents", "frigate/events", "onvif-ej/a/b", "zigbee2mqtt/x", "axis", "x"]
            ),
            payload=st.one_of(st.binary(max_size=200), st.sampled_from([b"{}", b"[]", b"<a/>", b"--x", b""])),
        )
        def collect(topic: str, payload: bytes) -> None:
            loop_payloads.append((topic, payload))

        collect()
        for topic, payload in loop_payloads:
            await client.publish(f"camera-1/{topic}", payload, qos=1)
        await client.publish("camera-1/cloudevents", event("last"), qos=1)
    assert made.broker.observations()[-1].identifiers
