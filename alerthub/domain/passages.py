"""What cross-district rules are given: passages, in the order in which their sources sent them (C7)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from alerthub.domain.rules.cloned_plate import Read


@dataclass(frozen=True, slots=True, order=True)
class SourcePosition:
    """An observation: the offset of its batch in its partition, and its index in the batch."""

    offset: int
    index: int


@dataclass(frozen=True, slots=True)
class Passage:
    """A read that a rule asked for. `subject`: its token in hexadecimal."""

    rule_id: str
    subject: str
    index: int
    read: Read


@dataclass(frozen=True, slots=True)
class SourceWatermark:
    """Up to when a source has been evaluated; `sent`: what it had sent here by then, None: not known."""

    source_partition: int
    received_ms: int
    sent: SourcePosition | None


@dataclass(frozen=True, slots=True)
class PassageBatch:
    """Passages of one batch of observations, in its order; or watermarks alone.

    `previous` is what the same source sent here before it, None where that is not known. `data_keys` are
    wrapped, by id; nothing here looks into them.
    """

    source_topic_id: bytes
    source_partition: int
    source_offset: int
    received_ms: int
    previous: SourcePosition | None
    passages: tuple[Passage, ...]
    watermarks: tuple[SourceWatermark, ...] = ()
    data_keys: Mapping[bytes, bytes] = field(default_factory=dict)
