"""What a device says, in the hub's terms: the one value that every adapter makes and the gateway takes.

Identifiers in it are readable, so it lives only between an adapter and the blinding in the same process; what
could name somebody is left out of its representation.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum

from alerthub.domain.identifiers import IdentifierKind
from alerthub.domain.light_values import light_value

OBSERVATION_ID_BYTES = 16
MAXIMUM_IDENTIFIERS = 8
MAXIMUM_EVENT_ID_CHARACTERS = 128
MAXIMUM_TRACK_ID_CHARACTERS = 64
MAXIMUM_LANE = 64
MAXIMUM_PICTURE_BYTES = 2 * 1024 * 1024
LATEST_TIME_MS = 253_402_300_799_999
"""The end of the year 9999: no clock of a device says more, and every later sum stays within 64 bits."""

_ID_PERSONALISATION = b"alerthub-event-1"
"""Keeps these hashes apart from any other use of BLAKE2b (16 bytes, as it takes)."""


class ObservationKind(IntEnum):
    """What a device saw. The numbers are those of the wire (observation.proto)."""

    IDENTIFIER_READ = 1
    VEHICLE_STANDING = 2
    VEHICLE_LEFT = 3
    LINE_CROSSED = 4
    PRESENCE = 5
    HEARTBEAT = 6


class Direction(IntEnum):
    """Where a vehicle was going. The numbers are those of the wire."""

    UNSPECIFIED = 0
    APPROACHING = 1
    DEPARTING = 2


class CallKind(IntEnum):
    """What somebody asks for. The numbers are those of the wire (`DirectCallKind`)."""

    PANIC = 1
    ESCORT_REQUEST = 2
    SERVICE_REQUEST = 3


@light_value
class ReadIdentifier:
    """An identifier as the device read it."""

    kind: IdentifierKind
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Place:
    """Degrees, WGS 84."""

    latitude: float
    longitude: float


@light_value
class DeviceEvent:
    """One event of one device. Which device it was is not in it: identity comes from the credential (S3)."""

    kind: ObservationKind
    device_time_ms: int
    """Milliseconds since 1970 as the device's own clock says; 0 where it said nothing."""
    event_id: str = field(default="")
    """The device's own id of the event: a repeat of it is the same event. Empty: the payload's digest
    counts."""
    payload_digest: bytes = field(default=b"", repr=False)
    """A digest of what the device sent for this event. Needed where there is no event id."""
    identifiers: tuple[ReadIdentifier, ...] = ()
    track_id: str = ""
    read_confidence: float = 0.0
    """0 to 1; 0 where the device said nothing."""
    direction: Direction = Direction.UNSPECIFIED
    lane: int = 0
    picture: bytes = field(default=b"", repr=False)
    """JPEG or PNG; empty where there is none that may be kept."""
    make: str = field(default="", repr=False)
    colour: str = field(default="", repr=False)
    plate_colour: str = field(default="", repr=False)
    call: CallKind | None = None
    """Given: somebody asks for help, and this is no observation."""
    place: Place | None = None
    """Where a moving device was; None: its registered place."""


def observation_id(device_id: str, event: DeviceEvent, *, key: bytes) -> bytes:
    """The event's id wherever and however often it arrives (C1), 16 bytes.

    A hash of device and device event id, else of device, device time and payload digest. A payload that
    holds an identifier has few possible values beside the rest of the observation, so without an event id
    its hash is keyed with the blinding epoch's `key` (equal in all gateways): a reader of Kafka cannot try
    them out.
    """
    if event.event_id:
        return _hash(b"", (b"event", device_id.encode(), event.event_id.encode()))
    parts = (b"payload", device_id.encode(), str(event.device_time_ms).encode(), event.payload_digest)
    return _hash(key if event.identifiers else b"", parts)


def payload_digest(*parts: bytes) -> bytes:
    """A digest of what a device sent, for `DeviceEvent.payload_digest`."""
    return _hash(b"", parts)


def _hash(key: bytes, parts: Iterable[bytes]) -> bytes:
    digest = _begun(key) if key else _UNKEYED.copy()
    for part in parts:
        digest.update(len(part).to_bytes(4, "big"))
        digest.update(part)
    return digest.digest()


def _begun(key: bytes) -> hashlib.blake2b:
    return hashlib.blake2b(key=key, digest_size=OBSERVATION_ID_BYTES, person=_ID_PERSONALISATION)


_UNKEYED = _begun(b"")
"""Nearly every id begins with it, and a copy costs half of what making it does."""


def picture_format(content: bytes) -> str | None:
    """`jpeg` or `png` by the first bytes, whatever a sender calls it; None for anything else (S4)."""
    if content.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    return None


def kept_picture(content: bytes) -> bytes:
    """The picture if it may be kept, else nothing: JPEG or PNG of at most 2 MiB. It is never decoded."""
    if len(content) > MAXIMUM_PICTURE_BYTES or picture_format(content) is None:
        return b""
    return content
