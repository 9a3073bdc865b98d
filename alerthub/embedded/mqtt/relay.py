"""Messages of devices on their way to gateways: each goes to one gateway, and is done once that one
acknowledged it.

Nothing is kept beyond that: a device whose message is not done has no acknowledgement, and publishes it
again. So the broker may be killed at any moment and loses nothing that it took.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from alerthub.embedded.mqtt import metrics, packets

_HIGHEST_PACKET_ID = 0xFFFF


@dataclass(slots=True, eq=False)
class Message:
    """A device's message. `done` is set once a gateway has acknowledged it."""

    publish: packets.Publish = field(repr=False)
    done: asyncio.Future[None]
    sent_before: bool = False

    @property
    def size(self) -> int:
        return len(self.publish.payload) + len(self.publish.topic)


class Listener:
    """A gateway's connection: what it was sent and has not acknowledged."""

    def __init__(self, send: Callable[[bytes], None], *, window: int, window_bytes: int) -> None:
        """`window`, `window_bytes`: messages that may wait for this gateway's acknowledgement."""
        self._send = send
        self._window = window
        self._window_bytes = window_bytes
        self._bytes = 0
        self._last_id = 0
        self.pending: dict[int, Message] = {}

    @property
    def has_room(self) -> bool:
        return len(self.pending) < self._window and self._bytes < self._window_bytes

    def settle(self, packet_id: int) -> Message | None:
        """The message that waited under the id; it waits no more."""
        message = self.pending.pop(packet_id, None)
        if message is not None:
            self._bytes -= message.size
        return message

    def deliver(self, message: Message) -> None:
        """Sends it at quality 1."""
        self._last_id = self._last_id % _HIGHEST_PACKET_ID + 1
        while self._last_id in self.pending:
            self._last_id = self._last_id % _HIGHEST_PACKET_ID + 1
        self.pending[self._last_id] = message
        self._bytes += message.size
        told = message.publish
        self._send(
            packets.publish(
                packets.Publish(told.topic, told.payload, 1, self._last_id, repeated=message.sent_before)
            )
        )
        message.sent_before = True

    def deliver_once(self, publish: packets.Publish) -> None:
        """Sends it at quality 0, as it came."""
        self._send(packets.publish(publish))


class Relay:
    """The gateways that listen, and what waits for one that has room. All of them share one subscription:
    a message goes to the one with the least to do."""

    def __init__(self, *, waiting_bytes: int) -> None:
        """`waiting_bytes`: what may wait while no gateway has room. Beyond it devices are read no further."""
        self._waiting_bytes = waiting_bytes
        self._listeners: list[Listener] = []
        self._waiting: deque[Message] = deque()
        self._bytes = 0
        self._room = asyncio.Event()
        self._room.set()

    @property
    def listeners(self) -> int:
        """Gateways that listen now."""
        return len(self._listeners)

    async def room(self) -> None:
        """Returns once more messages may wait."""
        await self._room.wait()

    def take(self, publish: packets.Publish) -> Message:
        """Takes a message that must arrive: at quality 1 or 2."""
        message = Message(publish, asyncio.get_running_loop().create_future())
        self._put(message)
        self._serve()
        return message

    def take_once(self, publish: packets.Publish) -> None:
        """Takes a message of quality 0: without a gateway that has room it is lost, and counted."""
        free = self._free()
        if free is None or self._waiting:
            metrics.messages.labels("lost_at_quality_0").inc()
            return
        free.deliver_once(publish)
        metrics.messages.labels("sent_at_quality_0").inc()

    def listen(self, listener: Listener) -> None:
        """Lets the gateway have messages from now on."""
        if listener not in self._listeners:
            self._listeners.append(listener)
        self._serve()

    def leave(self, listener: Listener) -> None:
        """The gateway is gone: what it has not acknowledged goes to another, or to it when it is back."""
        if listener in self._listeners:
            self._listeners.remove(listener)
        pending = [message for message in listener.pending.values() if not message.done.done()]
        listener.pending.clear()
        for message in reversed(pending):
            self._put(message, first=True)
        self._serve()

    def acknowledged(self, listener: Listener, packet_id: int) -> None:
        """The gateway has the message."""
        message = listener.settle(packet_id)
        if message is not None and not message.done.done():
            metrics.messages.labels("acknowledged").inc()
            message.done.set_result(None)
        self._serve()

    def _free(self) -> Listener | None:
        return min(
            (one for one in self._listeners if one.has_room), key=lambda one: len(one.pending), default=None
        )

    def _put(self, message: Message, *, first: bool = False) -> None:
        if first:
            self._waiting.appendleft(message)
        else:
            self._waiting.append(message)
        self._bytes += message.size
        self._note_room()

    def _serve(self) -> None:
        while self._waiting and (free := self._free()) is not None:
            message = self._waiting.popleft()
            self._bytes -= message.size
            # Cancelled: its device has gone, and publishes again.
            if not message.done.done():
                free.deliver(message)
        self._note_room()

    def _note_room(self) -> None:
        if self._bytes >= self._waiting_bytes:
            # Devices that went away publish again: what they left behind must not fill the room.
            self._waiting = deque(message for message in self._waiting if not message.done.done())
            self._bytes = sum(message.size for message in self._waiting)
        if self._bytes < self._waiting_bytes:
            self._room.set()
        else:
            self._room.clear()
