"""State records: what a partition's state is written down as, and read from (C4)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from alerthub.api.v1.state_pb2 import (
    DistrictState,
    DwellSpan,
    DwellStay,
    PartitionLedger,
    RecentObservations,
    StateRecord,
)
from alerthub.domain.partition_state import (
    ID_BYTES,
    Counts,
    District,
    Generation,
    PartitionState,
    RecentIds,
)
from alerthub.domain.rules.dwell import Span, Stay

SCHEMA = 2
"""What this software writes. It reads every older one. 2: passages beside observations."""
READABLE_FROM = 1
"""The oldest schema whose software may go on from what this one writes: what it does not know is lost with
its next checkpoint. Raised one release after the software that reads the new form (docs/upgrading.md)."""
MAXIMUM_RECORD_BYTES = 512 * 1_024
_LEDGER_KEY = "ledger"


class UnknownSchemaError(Exception):
    """A later version of this software wrote the state, and says that this one must not go on from it."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One record of the changelog, ready to be sent."""

    partition: int
    key: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class Captured:
    """What changed in a partition since the last capture: of observations the districts, of passages the
    buckets. The ledger is written after they were acknowledged: a partition's offset must not be ahead of any
    of theirs."""

    pieces: tuple[Snapshot, ...]
    ledger: Snapshot | None


def key_of(partition: int, name: str) -> bytes:
    return f"{partition}/{name}".encode()


def checked(partition: int, value: bytes) -> StateRecord:
    """The record, if this software may go on from it. Raises DecodeError, UnknownSchemaError."""
    record = StateRecord.FromString(value)
    # Records of before the field: whoever knew the schema, and nobody older, could read it.
    if (record.readable_from or record.schema) > SCHEMA:
        raise UnknownSchemaError(f"schema {record.schema} of the state of partition {partition}")
    return record


def capture(partition: int, state: PartitionState, topic_id: bytes) -> Captured:
    """The changed pieces of `state` as bytes; they count as written down from now on."""
    districts = []
    for name, district in state.districts.items():
        if district.changed:
            record = record_at(partition, state.offset, topic_id)
            record.district.CopyFrom(_district_record(name, district))
            districts.append(snapshot_of(partition, f"district/{name}", record))
            district.changed = False
    ledger = None
    if state.changed:
        record = record_at(partition, state.offset, topic_id)
        record.ledger.CopyFrom(_ledger_record(state))
        ledger = snapshot_of(partition, _LEDGER_KEY, record)
        state.changed = False
    return Captured(tuple(districts), ledger)


def restore(partition: int, records: Iterable[bytes], topic_id: bytes) -> PartitionState:
    """The state that the records of a partition hold.

    Offsets of another topic say nothing about this one: its batches are all applied. Raises
    UnknownSchemaError.
    """
    state = PartitionState()
    for value in records:
        record = checked(partition, value)
        offset = record.offset if record.topic_id == topic_id else -1
        if record.HasField("ledger"):
            state.offset = offset
            _take_ledger(state, record.ledger)
        elif record.HasField("district"):
            wire = record.district
            state.districts[wire.district] = District(
                applied_offset=offset,
                matched=wire.matched,
                late=wire.late,
                stays=((stay.rule_id, _stay_of(stay)) for stay in wire.stays),
            )
    return state


def prefer(known: bytes | None, candidate: bytes) -> bytes:
    """Which of two records of a key holds: the higher offset (C4); of two topics, the one that came later."""
    if known is None:
        return candidate
    before, after = StateRecord.FromString(known), StateRecord.FromString(candidate)
    if before.topic_id == after.topic_id and before.offset > after.offset:
        return known
    return candidate


def record_at(partition: int, offset: int, topic_id: bytes) -> StateRecord:
    """A record without a state, as of the topic's offset."""
    return StateRecord(
        topic_id=topic_id,
        partition=partition,
        offset=offset,
        schema=SCHEMA,
        readable_from=READABLE_FROM,
    )


def snapshot_of(partition: int, name: str, record: StateRecord) -> Snapshot:
    """The record ready to be sent. Raises ValueError for one of more than 512 KiB."""
    value = record.SerializeToString()
    if len(value) > MAXIMUM_RECORD_BYTES:
        raise ValueError(f"the state record {name.partition('/')[0]} has {len(value)} bytes")
    return Snapshot(partition, key_of(partition, name), value)


def _ledger_record(state: PartitionState) -> PartitionLedger:
    counts = state.counts
    return PartitionLedger(
        received=counts.received,
        repeats=counts.repeats,
        matched=counts.matched,
        late=counts.late,
        without_identifiers=counts.without_identifiers,
        dead_lettered_batches=counts.dead_lettered_batches,
        received_time_ms=state.received_ms,
        recent=[
            RecentObservations(
                first_received_time_ms=generation.first_received_ms,
                observation_ids=b"".join(generation.ids),
            )
            for generation in state.recent.generations
        ],
    )


def _take_ledger(state: PartitionState, wire: PartitionLedger) -> None:
    state.received_ms = wire.received_time_ms
    state.counts = Counts(
        received=wire.received,
        repeats=wire.repeats,
        matched=wire.matched,
        late=wire.late,
        without_identifiers=wire.without_identifiers,
        dead_lettered_batches=wire.dead_lettered_batches,
    )
    state.recent = RecentIds(
        Generation(recent.first_received_time_ms, _ids(recent.observation_ids)) for recent in wire.recent
    )


def _ids(joined: bytes) -> set[bytes]:
    return {joined[start : start + ID_BYTES] for start in range(0, len(joined), ID_BYTES)}


def _district_record(name: str, district: District) -> DistrictState:
    return DistrictState(
        district=name,
        matched=district.matched,
        late=district.late,
        stays=[
            DwellStay(
                rule_id=rule_id,
                subject=stay.subject,
                device_id=stay.device_id,
                track_id=stay.track_id,
                left_ms=stay.left_ms,
                fired_ms=stay.fired_ms,
                spans=[
                    DwellSpan(first_ms=span.first_ms, last_ms=span.last_ms, fired=span.fired)
                    for span in stay.spans
                ],
            )
            for (rule_id, _), stay in district.stays.items()
        ],
    )


def _stay_of(wire: DwellStay) -> Stay:
    return Stay(
        subject=wire.subject,
        device_id=wire.device_id,
        track_id=wire.track_id,
        spans=tuple(Span(span.first_ms, span.last_ms, span.fired) for span in wire.spans),
        left_ms=wire.left_ms,
        fired_ms=wire.fired_ms,
    )
