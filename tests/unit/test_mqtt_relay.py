"""The embedded broker's relay: a device's message is done when a gateway acknowledged it, and not before."""

from __future__ import annotations

import asyncio

from alerthub.embedded.mqtt.packets import Publish, decode_publish
from alerthub.embedded.mqtt.relay import Listener, Message, Relay

MANY = 1 << 30


class Gateway:
    """What one gateway was sent."""

    def __init__(self, *, window: int = 100, window_bytes: int = MANY) -> None:
        self.sent: list[Publish] = []
        self.listener = Listener(self._take, window=window, window_bytes=window_bytes)

    def _take(self, packet: bytes) -> None:
        size = 2
        while packet[size - 1] & 0x80:
            size += 1
        self.sent.append(decode_publish(packet[0] & 0x0F, packet[size:]))

    @property
    def payloads(self) -> list[bytes]:
        return [publish.payload for publish in self.sent]


def message(relay: Relay, payload: bytes = b"x") -> Message:
    return relay.take(Publish("camera/cloudevents", payload, 1, 1))


async def test_c1_a_message_is_done_when_the_gateway_acknowledged_it() -> None:
    relay, gateway = Relay(waiting_bytes=MANY), Gateway()
    relay.listen(gateway.listener)
    taken = message(relay)
    assert not taken.done.done()
    relay.acknowledged(gateway.listener, gateway.sent[0].packet_id)
    assert taken.done.done()


async def test_c1_without_a_gateway_a_message_waits() -> None:
    relay, gateway = Relay(waiting_bytes=MANY), Gateway()
    taken = message(relay)
    assert not taken.done.done()
    relay.listen(gateway.listener)
    assert gateway.payloads == [b"x"]


async def test_c1_what_a_gateway_left_unacknowledged_goes_to_the_next_in_order_and_says_so() -> None:
    relay, first, second = Relay(waiting_bytes=MANY), Gateway(), Gateway()
    relay.listen(first.listener)
    taken = [message(relay, payload) for payload in (b"1", b"2", b"3")]
    relay.acknowledged(first.listener, first.sent[0].packet_id)
    relay.leave(first.listener)
    relay.listen(second.listener)
    assert second.payloads == [b"2", b"3"]
    assert all(publish.repeated for publish in second.sent)
    assert [one.done.done() for one in taken] == [True, False, False]


async def test_an_acknowledgement_counts_for_the_gateway_that_was_sent_the_message() -> None:
    relay, one, other = Relay(waiting_bytes=MANY), Gateway(), Gateway()
    relay.listen(one.listener)
    taken = message(relay)
    relay.listen(other.listener)
    relay.acknowledged(other.listener, one.sent[0].packet_id)
    assert not taken.done.done()


async def test_each_message_goes_to_one_gateway_the_one_with_the_least_to_do() -> None:
    relay, one, other = Relay(waiting_bytes=MANY), Gateway(), Gateway()
    relay.listen(one.listener)
    relay.listen(other.listener)
    for number in range(10):
        message(relay, bytes((number,)))
    assert (len(one.sent), len(other.sent)) == (5, 5)


async def test_a_gateway_has_no_more_than_its_window() -> None:
    relay, gateway = Relay(waiting_bytes=MANY), Gateway(window=2)
    relay.listen(gateway.listener)
    for _ in range(5):
        message(relay)
    assert len(gateway.sent) == 2
    relay.acknowledged(gateway.listener, gateway.sent[0].packet_id)
    assert len(gateway.sent) == 3


async def test_a_window_counts_bytes_too() -> None:
    relay, gateway = Relay(waiting_bytes=MANY), Gateway(window_bytes=100)
    relay.listen(gateway.listener)
    for _ in range(5):
        message(relay, bytes(90))
    assert len(gateway.sent) == 1


async def test_packet_ids_in_use_are_not_given_again() -> None:
    relay, gateway = Relay(waiting_bytes=MANY), Gateway(window=3)
    relay.listen(gateway.listener)
    oldest = message(relay)
    # As after 65,000 further messages.
    gateway.listener._last_id = 65_530
    for _ in range(10):
        message(relay)
        relay.acknowledged(gateway.listener, gateway.sent[-1].packet_id)
    given = [publish.packet_id for publish in gateway.sent[1:]]
    assert given == [65_531, 65_532, 65_533, 65_534, 65_535, 2, 3, 4, 5, 6]
    assert not oldest.done.done()


async def test_s4_beyond_its_bound_devices_are_read_no_further_until_there_is_room() -> None:
    relay, gateway = Relay(waiting_bytes=1_000), Gateway()
    message(relay, bytes(2_000))
    room = asyncio.create_task(relay.room())
    await asyncio.sleep(0)
    assert not room.done()
    relay.listen(gateway.listener)
    await asyncio.wait_for(room, 1)


async def test_what_devices_left_behind_makes_room() -> None:
    relay = Relay(waiting_bytes=1_000)
    for _ in range(3):
        message(relay, bytes(600)).done.cancel()
    await asyncio.wait_for(relay.room(), 1)


async def test_at_quality_0_a_message_is_sent_or_lost() -> None:
    relay, gateway = Relay(waiting_bytes=MANY), Gateway(window=1)
    relay.take_once(Publish("a/b", b"nobody listens", 0))
    relay.listen(gateway.listener)
    relay.take_once(Publish("a/b", b"heard", 0))
    message(relay, b"fills the window")
    relay.take_once(Publish("a/b", b"no room", 0))
    assert gateway.payloads == [b"heard", b"fills the window"]
