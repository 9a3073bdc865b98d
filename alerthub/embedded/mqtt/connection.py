"""One client's connection to the embedded broker: MQTT 3.1.1 behind TLS, bounded in size, time and number."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from alerthub.domain.errors import Refuse, Retry
from alerthub.embedded.mqtt import metrics, packets
from alerthub.embedded.mqtt.logins import Login
from alerthub.embedded.mqtt.packets import Kind, ReturnCode
from alerthub.embedded.mqtt.relay import Listener, Message, Relay
from alerthub.embedded.mqtt.settings import BrokerSettings
from alerthub.identity import NotAuthenticatedError
from alerthub.telemetry import logger

log = logger(__name__)

_KEEP_ALIVE_FACTOR = 1.5
"""Section 3.1.2.10: a client that is silent for longer is gone."""
_LONGEST_SILENCE_SECONDS = 3_600.0
"""Of a client that promises nothing."""
_SHARED = "$share"


class ConnectionEnded(Exception):
    """The client is gone, or said that it goes."""


@dataclass(slots=True, eq=False)
class Connection:
    """An admitted client. Run by one task; its acknowledgements come from callbacks in the same loop."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    login: Login
    connect: packets.Connect
    relay: Relay
    settings: BrokerSettings
    _unfinished: dict[int, Message] = field(default_factory=dict)
    _received: set[int] = field(default_factory=set)
    """Packet ids of quality 2 that wait for PUBREL."""
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _listener: Listener | None = None
    _task: asyncio.Task[object] | None = None

    async def run(self) -> None:
        """Serves the client until it goes, or breaks a rule (Refuse)."""
        promised = self.connect.keep_alive_seconds * _KEEP_ALIVE_FACTOR
        silence = promised or _LONGEST_SILENCE_SECONDS
        self._task = asyncio.current_task()
        try:
            while True:
                kind, flags, content = await read_packet(
                    self.reader,
                    silence_seconds=silence,
                    packet_seconds=self.settings.packet_seconds,
                    maximum_bytes=self.settings.maximum_packet_bytes,
                )
                await self._handle(kind, flags, content)
                await self.writer.drain()
        finally:
            self._leave()

    def close(self) -> None:
        """Ends the connection from outside: what it was admitted by holds no more."""
        self.writer.transport.abort()
        # It may be waiting for something else than its client.
        if self._task is not None:
            self._task.cancel()

    async def _handle(self, kind: int, flags: int, content: bytes) -> None:
        match kind:
            case Kind.PUBLISH:
                await self._published(packets.decode_publish(flags, content))
            case Kind.PUBACK:
                if self._listener is not None:
                    self.relay.acknowledged(self._listener, packets.decode_packet_id(content))
            case Kind.PUBREL:
                packet_id = packets.decode_packet_id(content)
                self._received.discard(packet_id)
                self._send(packets.acknowledgement(Kind.PUBCOMP, packet_id))
            case Kind.SUBSCRIBE:
                self._subscribed(packets.decode_subscribe(content))
            case Kind.UNSUBSCRIBE:
                self._leave()
                self._send(packets.acknowledgement(Kind.UNSUBACK, packets.decode_packet_id(content)))
            case Kind.PINGREQ:
                self._send(packets.pingresp())
            case Kind.DISCONNECT:
                raise ConnectionEnded
            case _:
                raise Refuse("packet", "a packet that a client may send now")

    async def _published(self, publish: packets.Publish) -> None:
        if not self.login.may_publish(publish.topic):
            # 3.1.1 knows no refusal of one message (section 3.3.5): the connection is closed.
            metrics.refused.labels("topic").inc()
            raise Refuse("topic", "a topic below the login's own name; gateways publish nothing")
        if not publish.quality:
            self.relay.take_once(publish)
            return
        if publish.packet_id in self._received:
            self._send(packets.acknowledgement(Kind.PUBREC, publish.packet_id))
            return
        if publish.packet_id in self._unfinished:
            # Again, before the first was acknowledged: it shares the first one's fate.
            return
        await self.relay.room()
        while len(self._unfinished) >= self.settings.device_window:
            self._changed.clear()
            await self._changed.wait()
        message = self.relay.take(publish)
        self._unfinished[publish.packet_id] = message
        message.done.add_done_callback(lambda done: self._arrived(publish, done))

    def _arrived(self, publish: packets.Publish, done: asyncio.Future[None]) -> None:
        """A gateway has the message: only now the device is told so (C1)."""
        self._unfinished.pop(publish.packet_id, None)
        self._changed.set()
        if done.cancelled():
            return
        if publish.quality == 1:
            self._send(packets.acknowledgement(Kind.PUBACK, publish.packet_id))
        else:
            self._received.add(publish.packet_id)
            self._send(packets.acknowledgement(Kind.PUBREC, publish.packet_id))

    def _subscribed(self, subscribe: packets.Subscribe) -> None:
        codes = []
        for wanted, quality in subscribe.filters:
            if self.login.listens:
                taken = _is_everything(wanted) and quality >= 1
                if taken and self._listener is None:
                    self._listener = Listener(
                        self._send,
                        window=self.settings.gateway_window,
                        window_bytes=self.settings.gateway_window_bytes,
                    )
            else:
                # Bridges listen for commands below their own name; there are none.
                taken = self.login.may_publish(wanted)
            codes.append(min(quality, 1) if taken else packets.SUBSCRIPTION_REFUSED)
        self._send(packets.suback(subscribe.packet_id, tuple(codes)))
        if self._listener is not None:
            self.relay.listen(self._listener)
            metrics.gateways.set(self.relay.listeners)

    def _leave(self) -> None:
        if self._listener is not None:
            self.relay.leave(self._listener)
            self._listener = None
            metrics.gateways.set(self.relay.listeners)
        for message in list(self._unfinished.values()):
            message.done.cancel()

    def _send(self, packet: bytes) -> None:
        if not self.writer.transport.is_closing():
            self.writer.write(packet)


async def read_packet(
    reader: asyncio.StreamReader, *, silence_seconds: float, packet_seconds: float, maximum_bytes: int
) -> tuple[int, int, bytes]:
    """Kind, flags and body of the next packet. Refuse beyond the bounds; ConnectionEnded at the end."""
    try:
        async with asyncio.timeout(silence_seconds):
            first = (await reader.readexactly(1))[0]
        async with asyncio.timeout(packet_seconds):
            length = 0
            for position in range(packets.MAXIMUM_LENGTH_BYTES):
                byte = (await reader.readexactly(1))[0]
                length |= (byte & 0x7F) << 7 * position
                if not byte & 0x80:
                    break
            else:
                raise Refuse("packet", f"a length of at most {packets.MAXIMUM_LENGTH_BYTES} bytes")
            if length > maximum_bytes:
                raise Refuse("packet", f"at most {maximum_bytes} bytes")
            return first >> 4, first & 0x0F, await reader.readexactly(length)
    except (asyncio.IncompleteReadError, ConnectionError, TimeoutError):
        raise ConnectionEnded from None


async def refuse(writer: asyncio.StreamWriter, error: Exception) -> None:
    """Tells a client that is not admitted why, as far as MQTT has a word for it."""
    code = (
        ReturnCode.UNAVAILABLE
        if isinstance(error, Retry)
        else ReturnCode.NOT_AUTHORISED
        if isinstance(error, NotAuthenticatedError)
        else ReturnCode.UNACCEPTABLE_LEVEL
    )
    writer.write(packets.connack(code))
    await writer.drain()


def _is_everything(wanted: str) -> bool:
    """Whether the filter is for all topics, shared or not: gateways are told everything or nothing."""
    if wanted.startswith(f"{_SHARED}/"):
        wanted = wanted.split("/", 2)[-1]
    return wanted in ("#", "+/#")
