"""MQTT 3.1.1 on the wire (OASIS Standard, 29 October 2014): the packets that the embedded broker reads and
writes.

Pure: bytes in, values out. Everything malformed raises Refuse, which closes the connection (section 4.8).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from alerthub.domain.errors import Refuse

MAXIMUM_LENGTH_BYTES = 4
"""Of the field "remaining length" (section 2.2.3)."""
MAXIMUM_FILTERS = 64
"""Of one SUBSCRIBE."""
_LEVEL = 4
"""MQTT 3.1.1 (section 3.1.2.2)."""


class Kind(IntEnum):
    """Control packets by their number (section 2.2.1)."""

    CONNECT = 1
    CONNACK = 2
    PUBLISH = 3
    PUBACK = 4
    PUBREC = 5
    PUBREL = 6
    PUBCOMP = 7
    SUBSCRIBE = 8
    SUBACK = 9
    UNSUBSCRIBE = 10
    UNSUBACK = 11
    PINGREQ = 12
    PINGRESP = 13
    DISCONNECT = 14


class ReturnCode(IntEnum):
    """Of CONNACK (section 3.2.2.3)."""

    ACCEPTED = 0
    UNACCEPTABLE_LEVEL = 1
    UNAVAILABLE = 3
    NOT_AUTHORISED = 5


SUBSCRIPTION_REFUSED = 0x80


class UnacceptableLevel(Refuse):
    """A client of another version of MQTT: it is told so before its connection is closed."""


@dataclass(frozen=True, slots=True)
class Connect:
    """What a client says of itself."""

    client_id: str
    keep_alive_seconds: int
    """0: it promises nothing."""
    username: str | None = None
    password: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Publish:
    """An application message."""

    topic: str = field(repr=False)
    payload: bytes = field(repr=False)
    quality: int
    """Of service: 0, 1 or 2."""
    packet_id: int = 0
    """0 at quality 0."""
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Filters with the highest quality of service wanted for each."""

    packet_id: int
    filters: tuple[tuple[str, int], ...]


class _Body:
    """Reads a packet's body from its front."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    @property
    def ended(self) -> bool:
        return self._at >= len(self._content)

    def take(self, count: int) -> bytes:
        found = self._content[self._at : self._at + count]
        if len(found) < count:
            raise Refuse("packet", "as many bytes as its fields say")
        self._at += count
        return found

    def number(self, count: int) -> int:
        return int.from_bytes(self.take(count), "big")

    def binary(self) -> bytes:
        return self.take(self.number(2))

    def text(self) -> str:
        try:
            found = self.binary().decode("utf-8")
        except UnicodeDecodeError:
            raise Refuse("packet", "texts in UTF-8") from None
        if "\x00" in found:
            raise Refuse("packet", "texts without U+0000")
        return found

    def rest(self) -> bytes:
        return self.take(len(self._content) - self._at)


def decode_connect(content: bytes) -> Connect:
    """The body of a CONNECT (section 3.1). A will is read and passed over: nobody is told of it here."""
    body = _Body(content)
    protocol = body.text()
    level, flags, keep_alive = body.number(1), body.number(1), body.number(2)
    if protocol != "MQTT" or level != _LEVEL:
        raise UnacceptableLevel("packet", "MQTT 3.1.1")
    has_name, has_password, has_will = bool(flags & 0x80), bool(flags & 0x40), bool(flags & 0x04)
    if flags & 0x01 or (has_password and not has_name) or (not has_will and flags & 0x38):
        raise Refuse("packet", "flags of a CONNECT that fit each other")
    client_id = body.text()
    if has_will:
        body.text()
        body.binary()
    username = body.text() if has_name else None
    password = body.binary() if has_password else None
    if not body.ended:
        raise Refuse("packet", "nothing behind its last field")
    return Connect(client_id, keep_alive, username, password)


def decode_publish(flags: int, content: bytes) -> Publish:
    """The body of a PUBLISH and the flags before it (section 3.3)."""
    quality = flags >> 1 & 0x03
    if quality > 2:
        raise Refuse("packet", "a quality of service of 0, 1 or 2")
    body = _Body(content)
    topic = body.text()
    if not topic or "+" in topic or "#" in topic:
        raise Refuse("packet", "a topic without wildcards")
    packet_id = _packet_id(body) if quality else 0
    return Publish(topic, body.rest(), quality, packet_id, repeated=bool(flags & 0x08))


def decode_subscribe(content: bytes) -> Subscribe:
    """The body of a SUBSCRIBE (section 3.8)."""
    body = _Body(content)
    packet_id = _packet_id(body)
    filters: list[tuple[str, int]] = []
    while not body.ended and len(filters) < MAXIMUM_FILTERS:
        wanted, quality = body.text(), body.number(1)
        if quality > 2:
            raise Refuse("packet", "a quality of service of 0, 1 or 2")
        filters.append((wanted, quality))
    if not filters or not body.ended:
        raise Refuse("packet", f"1 to {MAXIMUM_FILTERS} filters")
    return Subscribe(packet_id, tuple(filters))


def decode_packet_id(content: bytes) -> int:
    """The packet id with which the body of an acknowledgement or an UNSUBSCRIBE begins."""
    return _packet_id(_Body(content))


def _packet_id(body: _Body) -> int:
    found = body.number(2)
    if not found:
        raise Refuse("packet", "a packet id that is not 0")
    return found


def connack(code: ReturnCode) -> bytes:
    """No session is ever present: what was not acknowledged is published again by whoever kept it."""
    return bytes((Kind.CONNACK << 4, 2, 0, code))


def publish(message: Publish) -> bytes:
    """A PUBLISH."""
    topic = message.topic.encode("utf-8")
    head = len(topic).to_bytes(2, "big") + topic
    if message.quality:
        head += message.packet_id.to_bytes(2, "big")
    flags = message.quality << 1 | (0x08 if message.repeated else 0)
    length = remaining_length(len(head) + len(message.payload))
    return b"".join((bytes((Kind.PUBLISH << 4 | flags,)), length, head, message.payload))


def acknowledgement(kind: Kind, packet_id: int) -> bytes:
    """A PUBACK, PUBREC, PUBCOMP or UNSUBACK."""
    return bytes((kind << 4, 2)) + packet_id.to_bytes(2, "big")


def suback(packet_id: int, codes: tuple[int, ...]) -> bytes:
    """A SUBACK: for each filter the quality granted, or `SUBSCRIPTION_REFUSED`."""
    return bytes((Kind.SUBACK << 4, 2 + len(codes))) + packet_id.to_bytes(2, "big") + bytes(codes)


def pingresp() -> bytes:
    """A PINGRESP."""
    return bytes((Kind.PINGRESP << 4, 0))


def remaining_length(length: int) -> bytes:
    """Seven bits a byte, the lowest first (section 2.2.3)."""
    found = bytearray()
    while True:
        length, low = length >> 7, length & 0x7F
        found.append(low | (0x80 if length else 0))
        if not length:
            return bytes(found)
