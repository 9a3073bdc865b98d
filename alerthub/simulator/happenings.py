"""What one device has to tell, and what became of telling it. Pure.

Times are milliseconds since the run's beginning.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """What happened."""

    READ = "plate read"
    STANDING = "vehicle stands"
    LEFT = "vehicle left"
    PANIC = "panic call"
    HEARTBEAT = "heartbeat"


@dataclass(frozen=True, slots=True)
class Happening:
    """`plate` is what the device read, right or wrong. `copies`: how often it is told, as one event."""

    device_id: str
    kind: Kind
    seen_ms: int
    send_ms: int
    plate: str = ""
    confidence: float = 0.0
    track: str = ""
    lane: int = 1
    colour: str = "white"
    approaching: bool = True
    copies: int = 1
    number: int = 0
    """Its place in the run, and its event's id."""


@dataclass(frozen=True, slots=True)
class Told:
    """A happening that was sent. `acknowledged_ms` None: nobody knows whether it arrived."""

    happening: Happening
    first_sent_ms: int
    acknowledged_ms: int | None
