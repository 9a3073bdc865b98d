"""MQTT 3.1.1 on the wire: what is written reads back, and what is malformed is refused, never worse."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerthub.domain.errors import Refuse
from alerthub.embedded.mqtt import packets


def text(value: str) -> bytes:
    return len(value.encode()).to_bytes(2, "big") + value.encode()


def connect(flags: int, *fields: bytes, protocol: str = "MQTT", level: int = 4) -> bytes:
    return text(protocol) + bytes((level, flags)) + (30).to_bytes(2, "big") + b"".join(fields)


def test_a_connect_tells_who_asks() -> None:
    found = packets.decode_connect(connect(0xC2, text("client"), text("camera"), text("secret")))
    assert found == packets.Connect("client", 30, "camera", b"secret")


def test_a_connect_without_a_name_has_none() -> None:
    assert packets.decode_connect(connect(0x02, text(""))) == packets.Connect("", 30, None, None)


def test_a_will_is_passed_over() -> None:
    found = packets.decode_connect(
        connect(0x84 | 0x40, text("c"), text("a/will"), text("gone"), text("n"), text("s"))
    )
    assert (found.username, found.password) == ("n", b"s")


@pytest.mark.parametrize(
    "content",
    [
        connect(0x40, text("c"), text("password without a name")),
        connect(0x03, text("c")),
        connect(0x0A, text("c")),
        connect(0x82, text("c")),
        connect(0x02, text("c"), b"more"),
        connect(0x02, b"\x00\x01\xff"),
        connect(0x02, text("a\x00b")),
    ],
)
def test_a_connect_that_contradicts_itself_is_refused(content: bytes) -> None:
    with pytest.raises(Refuse):
        packets.decode_connect(content)


@pytest.mark.parametrize(("protocol", "level"), [("MQTT", 5), ("MQTT", 3), ("MQIsdp", 3)])
def test_another_version_is_told_so(protocol: str, level: int) -> None:
    with pytest.raises(packets.UnacceptableLevel):
        packets.decode_connect(connect(0x02, text("c"), protocol=protocol, level=level))


@given(
    topic=st.text(st.characters(exclude_characters="#+\x00", exclude_categories=["Cs"]), min_size=1),
    payload=st.binary(max_size=300),
    quality=st.integers(0, 2),
    packet_id=st.integers(1, 65_535),
)
def test_a_publish_reads_back(topic: str, payload: bytes, quality: int, packet_id: int) -> None:
    sent = packets.Publish(topic, payload, quality, packet_id if quality else 0)
    packet = packets.publish(sent)
    length, size = 0, 1
    while True:
        length |= (packet[size] & 0x7F) << 7 * (size - 1)
        size += 1
        if not packet[size - 1] & 0x80:
            break
    assert len(packet) == size + length
    assert packet[0] >> 4 == packets.Kind.PUBLISH
    assert packets.decode_publish(packet[0] & 0x0F, packet[size:]) == sent


@pytest.mark.parametrize(
    ("flags", "content"),
    [
        (0x06, text("a") + b"\x00\x01"),
        (0x02, text("a") + b"\x00\x00"),
        (0x00, text("a/#")),
        (0x00, text("a/+/b")),
        (0x00, text("")),
        (0x02, text("a")),
    ],
)
def test_a_publish_that_breaks_a_rule_is_refused(flags: int, content: bytes) -> None:
    with pytest.raises(Refuse):
        packets.decode_publish(flags, content)


def test_a_subscribe_names_its_filters() -> None:
    found = packets.decode_subscribe(b"\x00\x07" + text("a/#") + b"\x01" + text("b") + b"\x00")
    assert found == packets.Subscribe(7, (("a/#", 1), ("b", 0)))


def test_a_subscribe_has_a_bounded_number_of_filters() -> None:
    many = b"\x00\x07" + (text("a") + b"\x01") * (packets.MAXIMUM_FILTERS + 1)
    for content in (b"\x00\x07", many, b"\x00\x07" + text("a") + b"\x03"):
        with pytest.raises(Refuse):
            packets.decode_subscribe(content)


@given(flags=st.integers(0, 15), content=st.binary(max_size=120))
def test_any_bytes_are_a_packet_or_are_refused(flags: int, content: bytes) -> None:
    for read in (
        packets.decode_connect,
        lambda body: packets.decode_publish(flags, body),
        packets.decode_subscribe,
        packets.decode_packet_id,
    ):
        with contextlib.suppress(Refuse):
            read(content)
