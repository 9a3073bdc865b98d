"""State records of passages: what the second agent's state is written down as, and read from (C4)."""

from __future__ import annotations

from collections.abc import Iterable

from alerthub.api.v1.observation_pb2 import PassagePosition, WrappedDataKey
from alerthub.api.v1.state_pb2 import KeptPassage, PassageBucket, PassageFiring, PassageLedger, PassageMark
from alerthub.domain.passage_state import Bucket, Mark, PassageState
from alerthub.domain.passages import SourcePosition
from alerthub.domain.rules.cloned_plate import Read, Seen
from alerthub.passage_batches import read_of
from services.correlator.snapshots import Captured, Snapshot, checked, record_at, snapshot_of

_LEDGER_NAME = "passages"


def capture(partition: int, state: PassageState, topic_id: bytes) -> Captured:
    """The changed pieces of `state` as bytes; they count as written down from now on."""
    buckets = []
    for number, bucket in state.buckets.items():
        if bucket.changed:
            record = record_at(partition, state.offset, topic_id)
            record.passage_bucket.CopyFrom(_bucket_record(number, bucket))
            buckets.append(snapshot_of(partition, f"{_LEDGER_NAME}/{number}", record))
            bucket.changed = False
    ledger: Snapshot | None = None
    if state.changed:
        record = record_at(partition, state.offset, topic_id)
        record.passages.CopyFrom(_ledger_record(state))
        ledger = snapshot_of(partition, _LEDGER_NAME, record)
        state.changed = False
    return Captured(tuple(buckets), ledger)


def restore(
    partition: int, records: Iterable[bytes], topic_id: bytes, source_topic_id: bytes
) -> PassageState:
    """The state that the records of a partition hold.

    Offsets of another topic `passages` say nothing about this one, and marks in another topic `observations`
    nothing about its sources. Raises UnknownSchemaError, DecodeError.
    """
    state = PassageState()
    for value in records:
        record = checked(partition, value)
        offset = record.offset if record.topic_id == topic_id else -1
        if record.HasField("passages"):
            state.offset = offset
            _take_ledger(state, record.passages)
        elif record.HasField("passage_bucket"):
            wire = record.passage_bucket
            state.buckets[wire.number] = Bucket(
                applied_offset=offset, matched=wire.matched, late=wire.late, seen=_seen_of(wire)
            )
    if state.source_topic_id != source_topic_id:
        state.marks = {}
        state.source_topic_id = source_topic_id
    return state


def _ledger_record(state: PassageState) -> PassageLedger:
    return PassageLedger(
        source_topic_id=state.source_topic_id,
        marks=[
            PassageMark(
                source_partition=source,
                position=_position_record(mark.position),
                received_time_ms=mark.received_ms,
            )
            for source, mark in state.marks.items()
        ],
        watermark_ms=state.watermark_ms,
        received=state.received,
        repeats=state.repeats,
        data_keys=[WrappedDataKey.FromString(key) for key in state.data_keys.values()],
    )


def _position_record(position: SourcePosition | None) -> PassagePosition | None:
    if position is None:
        return None
    return PassagePosition(source_offset=position.offset, source_index=position.index)


def _take_ledger(state: PassageState, wire: PassageLedger) -> None:
    state.source_topic_id = wire.source_topic_id
    state.watermark_ms = wire.watermark_ms
    state.received, state.repeats = wire.received, wire.repeats
    state.data_keys = {key.data_key_id: key.SerializeToString() for key in wire.data_keys}
    state.marks = {
        mark.source_partition: Mark(
            SourcePosition(mark.position.source_offset, mark.position.source_index)
            if mark.HasField("position")
            else None,
            mark.received_time_ms,
        )
        for mark in wire.marks
    }


def _bucket_record(number: int, bucket: Bucket) -> PassageBucket:
    return PassageBucket(
        number=number,
        matched=bucket.matched,
        late=bucket.late,
        reads=[read.kept for seen in bucket.seen.values() for read in seen.reads],
        firings=[
            PassageFiring(
                rule_id=rule_id, subject=subject, fired_ms=seen.fired_ms, observation_ids=sorted(seen.fired)
            )
            for (rule_id, subject), seen in bucket.seen.items()
            if seen.fired_ms
        ],
    )


def _seen_of(wire: PassageBucket) -> Iterable[tuple[str, str, Seen]]:
    reads: dict[tuple[str, str], list[Read]] = {}
    for packed in wire.reads:
        kept = KeptPassage.FromString(packed)
        reads.setdefault((kept.rule_id, kept.subject), []).append(read_of(kept))
    fired = {(one.rule_id, one.subject): one for one in wire.firings}
    # In the order in which they were touched, of which those come first that have no reads any more.
    for subject in [*(one for one in fired if one not in reads), *reads]:
        firing = fired.get(subject)
        yield (
            *subject,
            Seen(
                tuple(reads.get(subject, ())),
                frozenset(firing.observation_ids) if firing is not None else frozenset(),
                firing.fired_ms if firing is not None else 0,
            ),
        )
