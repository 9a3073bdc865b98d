"""What the second agent remembers of one partition of passages: its sources, and the reads of plates.

As a partition's state, it follows from the records of the partition in their order (C4), and is bounded.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from alerthub.domain.catalogue import Configuration
from alerthub.domain.passages import SourcePosition
from alerthub.domain.rules import cloned_plate
from alerthub.domain.rules.cloned_plate import Seen

BUCKETS = 32
"""The plates of a partition are kept in so many pieces, each a record of at most 512 KiB."""
MAXIMUM_BUCKET_BYTES = 448 * 1_024
_FIRING_BYTES = 192
"""What a plate's rule, token and times take beside its reads, at most."""
MAXIMUM_DATA_KEYS = 256
"""A gateway has a new one each minute: two gateways' of two hours. At 1.3 KiB each they fit a record."""
SILENT_MS = 60 * 60 * 1_000
"""A source that is this far behind the newest is not waited for: Kafka keeps what it holds no longer, and a
partition that no gateway writes to must not hold up the others."""
KEPT_AT_MOST_MS = 60 * 60 * 1_000
"""Beyond the newest passage: where none comes any more, what was read is forgotten by the wall clock."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Up to where a source's passages are in the state, None: not known; and up to when it was evaluated."""

    position: SourcePosition | None
    received_ms: int


class Bucket:
    """A part of a partition's plates, under each rule that compares them, and what its rules counted."""

    __slots__ = ("applied_offset", "bytes", "changed", "late", "matched", "overflowed", "seen")

    def __init__(
        self,
        *,
        applied_offset: int = -1,
        matched: int = 0,
        late: int = 0,
        seen: Iterable[tuple[str, str, Seen]] = (),
    ) -> None:
        """`seen`: each with its rule's id and its subject, those that were touched last at the end."""
        self.applied_offset = applied_offset
        self.matched = matched
        self.late = late
        self.overflowed = 0
        """Plates that were given up for want of room, since the process started."""
        self.changed = False
        self.bytes = 0
        self.seen: dict[tuple[str, str], Seen] = {}
        for rule_id, subject, known in seen:
            self.seen[rule_id, subject] = known
            self.bytes += _size(known)

    def keep(self, rule_id: str, subject: str, after: Seen) -> None:
        """Replaces what is known of the plate. Too much: what was touched longest ago is given up."""
        self.drop(rule_id, subject)
        self.seen[rule_id, subject] = after
        self.bytes += _size(after)
        self.changed = True
        while self.bytes > MAXIMUM_BUCKET_BYTES and len(self.seen) > 1:
            self.drop(*next(iter(self.seen)))
            self.overflowed += 1

    def drop(self, rule_id: str, subject: str) -> None:
        """Forgets the plate under the rule."""
        known = self.seen.pop((rule_id, subject), None)
        if known is not None:
            self.bytes -= _size(known)
            self.changed = True

    def forget(self, configuration: Configuration, watermark_ms: int) -> None:
        """Drops what nothing that may still come is compared with."""
        for (rule_id, subject), known in list(self.seen.items()):
            rule = configuration.rule(rule_id)
            if rule is None:
                self.drop(rule_id, subject)
                continue
            rest = cloned_plate.without_old(known, rule.value, watermark_ms)
            if rest is known:
                continue
            if rest.reads or rest.fired_ms:
                # In its place: what was not touched does not become the newest.
                self.seen[rule_id, subject] = rest
                self.bytes += _size(rest) - _size(known)
                self.changed = True
            else:
                self.drop(rule_id, subject)


def _size(seen: Seen) -> int:
    return _FIRING_BYTES + sum(len(read.kept) + 2 * len(read.observation_id) for read in seen.reads)


def bucket_of(subject: str) -> int:
    """Which piece of the state holds the subject. Part of what is written down: it never changes."""
    return zlib.crc32(subject.encode()) % BUCKETS


@dataclass(slots=True)
class PassageState:
    """One partition of `passages`, up to and including the record at `offset`. -1: none yet."""

    offset: int = -1
    source_topic_id: bytes = b""
    marks: dict[int, Mark] = field(default_factory=dict)
    watermark_ms: int = 0
    """Up to when the slowest source has been evaluated, as far as it has ever been: it never goes back."""
    received: int = 0
    repeats: int = 0
    data_keys: dict[bytes, bytes] = field(default_factory=dict)
    buckets: dict[int, Bucket] = field(default_factory=dict)
    changed: bool = False

    def bucket(self, number: int) -> Bucket:
        try:
            return self.buckets[number]
        except KeyError:
            bucket = self.buckets[number] = Bucket()
            return bucket

    def advance(self) -> None:
        """Takes the slowest source's watermark over, leaving out those that are silent."""
        newest_ms = max((mark.received_ms for mark in self.marks.values()), default=0)
        slowest_ms = min(
            (mark.received_ms for mark in self.marks.values() if mark.received_ms >= newest_ms - SILENT_MS),
            default=0,
        )
        self.watermark_ms = max(self.watermark_ms, slowest_ms)

    def forget_sources(self) -> None:
        """Offsets say nothing any more: the topic is another one, or records of this one were lost."""
        self.marks = {}
        self.changed = True

    def forget_what_is_over(self, configuration: Configuration, now_ms: int) -> None:
        """Drops reads, and keys that none of them is sealed with (refusal 2). Changes no later evaluation."""
        horizon_ms = max(self.watermark_ms, now_ms - KEPT_AT_MOST_MS)
        for bucket in self.buckets.values():
            bucket.forget(configuration, horizon_ms)
        if not self.data_keys:
            return
        needed = {
            key_id
            for bucket in self.buckets.values()
            for seen in bucket.seen.values()
            for read in seen.reads
            for key_id in read.data_key_ids
        }
        if not needed.issuperset(self.data_keys):
            self.data_keys = {key_id: key for key_id, key in self.data_keys.items() if key_id in needed}
            self.changed = True

    def note_keys(self, keys: dict[bytes, bytes]) -> None:
        """Takes the keys in; of too many the oldest goes, and what it seals is shown without its text."""
        for key_id, key in keys.items():
            self.data_keys.pop(key_id, None)
            self.data_keys[key_id] = key
        while len(self.data_keys) > MAXIMUM_DATA_KEYS:
            del self.data_keys[next(iter(self.data_keys))]
