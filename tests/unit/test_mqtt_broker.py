"""The embedded broker's connections: bounded, and nobody's but their own client's."""

from __future__ import annotations

import asyncio

import aiomqtt
import pytest
from core_authority import Authority
from gateway_parts import SECRET, device_record
from mqtt_parts import Mqtt, running_broker

from alerthub.cli.send_mqtt import Publication, publish
from alerthub.domain.errors import NotAllowed
from alerthub.embedded.mqtt import packets


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.create(tmp_path_factory.mktemp("authority"))


async def put_out(client: aiomqtt.Client, topic: str = "", payload: bytes = b"x") -> None:
    """Returns once the broker has closed the client's connection, after this publication of it."""
    publishing = asyncio.create_task(client.publish(topic, payload, qos=1)) if topic else None
    with pytest.raises(aiomqtt.MqttError):
        await asyncio.wait_for(anext(aiter(client.messages)), 3)
    if publishing is not None:
        assert not publishing.done()
        publishing.cancel()
        await asyncio.gather(publishing, return_exceptions=True)


async def answer(mqtt: Mqtt, *sent: bytes) -> bytes:
    """What the broker says until it closes the connection."""
    reader, writer = await mqtt.stream()
    for part in sent:
        writer.write(part)
    try:
        return await asyncio.wait_for(reader.read(), 5)
    except ConnectionError:
        return b""
    finally:
        writer.close()


def connect(level: int = 4) -> bytes:
    body = b"\x00\x04MQTT" + bytes((level, 0xC2)) + b"\x00\x3c" + b"\x00\x01c"
    body += b"\x00\x08camera-1" + b"\x00\x05wrong"
    return bytes((0x10, len(body))) + body


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (connect(), packets.connack(packets.ReturnCode.NOT_AUTHORISED)),
        (connect(level=5), packets.connack(packets.ReturnCode.UNACCEPTABLE_LEVEL)),
        (b"\x30\x04\x00\x01ax", b""),
        (b"\x10\xff\xff\xff\xff\x7f", b""),
        (b"\x10\xff\xff\xff\x7f", b""),
        (b"GET / HTTP/1.1\r\n\r\n", b""),
    ],
)
async def test_s4_what_is_no_login_is_answered_in_a_word_and_closed(
    authority: Authority, sent: bytes, said: bytes
) -> None:
    async with running_broker(authority, packet_seconds=0.5) as mqtt:
        assert await answer(mqtt, sent) == said


async def test_s4_who_says_nothing_is_put_out(authority: Authority) -> None:
    async with running_broker(authority, packet_seconds=0.3) as mqtt:
        assert await answer(mqtt) == b""
        assert await answer(mqtt, connect()[:9]) == b""


async def test_s4_a_packet_beyond_the_bound_ends_the_connection(authority: Authority) -> None:
    async with running_broker(authority, maximum_packet_bytes=2_000) as mqtt, mqtt.client() as client:
        await put_out(client, "camera-1/x", bytes(3_000))


async def test_s4_there_is_a_bound_to_connections(authority: Authority) -> None:
    async with running_broker(authority, maximum_connections=1) as mqtt, mqtt.client():
        with pytest.raises(aiomqtt.MqttError):
            async with mqtt.client("camera-2", timeout=0.5):
                pass


async def test_s3_failed_attempts_are_limited(authority: Authority) -> None:
    async with running_broker(authority, failed_logins_per_minute=2) as mqtt:
        for _ in range(3):
            with pytest.raises(aiomqtt.MqttError):
                async with mqtt.client(secret="wrong"):  # noqa: S106 - it is
                    pass
        # The right one waits too; another device does not.
        with pytest.raises(aiomqtt.MqttError, match="navailable"):
            async with mqtt.client():
                pass
        async with mqtt.client("camera-2"):
            pass


async def test_the_newer_of_two_connections_of_one_client_counts(authority: Authority) -> None:
    async with (
        running_broker(authority) as mqtt,
        mqtt.client(identifier="one") as first,
        mqtt.client(identifier="one"),
    ):
        await put_out(first)


async def test_s3_nobody_ends_anothers_connection_by_its_client_id(authority: Authority) -> None:
    async with running_broker(authority) as mqtt, mqtt.client(identifier="one") as first:
        async with mqtt.client("camera-2", identifier="one"):
            pass
        with pytest.raises(aiomqtt.MqttError):
            async with mqtt.client(secret="wrong", identifier="one"):  # noqa: S106 - it is
                pass
        assert await first.subscribe("camera-1/set", qos=1)


async def test_s2_a_connection_ends_when_its_credential_does_even_while_it_waits(
    authority: Authority,
) -> None:
    async with running_broker(authority) as mqtt, mqtt.client() as client:
        # No gateway listens: the message waits, and with it the connection's task.
        waiting = [
            asyncio.create_task(client.publish("camera-1/x", b"x", qos=1, timeout=20)) for _ in range(40)
        ]
        await asyncio.sleep(0)
        mqtt.logins.apply("camera-1", device_record(version=2, secret_sha256=b"x" * 32))
        await put_out(client)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def test_s3_a_publish_outside_its_own_name_is_never_acknowledged(authority: Authority) -> None:
    async with running_broker(authority) as mqtt:
        for topic in ("camera-2/x", "x", "camera-1"):
            async with mqtt.client() as client:
                await put_out(client, topic)


async def test_send_publishes_as_the_device_would(authority: Authority) -> None:
    def publication(mqtt: Mqtt, **changed: str) -> Publication:
        told = {
            "address": mqtt.address,
            "device": "camera-1",
            "secret": SECRET,
            "topic": "camera-1/x",
            **changed,
        }
        return Publication(ca_file=authority.folder / "ca.pem", body=b"{}", **told)

    async with running_broker(authority) as mqtt:
        async with mqtt.client(
            None, None, tls_context=mqtt.trust_as(authority.issue("spiffe://alerthub/service/gateway"))
        ) as listening:
            await listening.subscribe("#", qos=1)
            sending = asyncio.create_task(asyncio.to_thread(publish, publication(mqtt)))
            message = await asyncio.wait_for(anext(aiter(listening.messages)), 5)
            assert (str(message.topic), message.payload) == ("camera-1/x", b"{}")
            await sending
        with pytest.raises(NotAllowed):
            await asyncio.to_thread(publish, publication(mqtt, secret="wrong"))  # noqa: S106 - it is
