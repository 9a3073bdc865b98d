"""What the second agent writes down of its state, and what is read of it after a restart."""

from __future__ import annotations

from dataclasses import replace

from correlator_builders import HIT_RULE, NOW
from passage_builders import HERE, TOPIC, SecondAgent, at, configuration, packed, passed, seen

from alerthub import passage_batches
from alerthub.api.v1.observation_pb2 import WrappedDataKey
from alerthub.api.v1.state_pb2 import StateRecord
from alerthub.domain.passage_state import MAXIMUM_BUCKET_BYTES, MAXIMUM_DATA_KEYS, Bucket, PassageState
from alerthub.domain.rules.cloned_plate import MAXIMUM_READS, Seen
from alerthub.passage_batches import Sent
from services.correlator import passage_snapshots, snapshots

MINUTE = 60_000


def written(state: PassageState) -> list[bytes]:
    captured = passage_snapshots.capture(3, state, b"passages-1")
    assert captured.ledger is not None
    return [*(one.value for one in captured.pieces), captured.ledger.value]


def restored(records: list[bytes], *, topic: bytes = b"passages-1", source: bytes = TOPIC) -> PassageState:
    return passage_snapshots.restore(3, records, topic, source)


def real_agent() -> SecondAgent:
    """With reads as they are on the wire: what is written down is what was kept."""
    agent, sent = SecondAgent(), Sent()
    agent.take(passed(0, watermarks=(at(1, NOW - MINUTE),)))
    for _, value in packed(sent):
        agent.take(passage_batches.read(value))
    return agent


def test_a_state_that_was_written_down_is_read_as_it_was() -> None:
    agent = real_agent()
    [bucket] = agent.state.buckets.values()
    [(key, known)] = bucket.seen.items()
    bucket.keep(*key, replace(known, fired=frozenset({known.reads[0].observation_id}), fired_ms=NOW))
    again = restored(written(agent.state))

    assert (again.offset, again.watermark_ms, again.marks) == (1, agent.state.watermark_ms, agent.state.marks)
    assert again.data_keys == agent.state.data_keys
    [after] = again.buckets.values()
    assert (after.seen, after.bytes, after.applied_offset) == (bucket.seen, bucket.bytes, 1)


def test_only_what_changed_is_captured() -> None:
    agent = real_agent()
    written(agent.state)

    assert passage_snapshots.capture(3, agent.state, b"passages-1") == snapshots.Captured((), None)


def test_a_bucket_that_is_ahead_of_its_ledger_takes_nothing_twice() -> None:
    # given a worker that was killed after it wrote the bucket and before it wrote the ledger
    agent = real_agent()
    before = written(PassageState(offset=0, source_topic_id=TOPIC, changed=True))
    buckets = written(agent.state)[:-1]
    again = SecondAgent()
    again.state, again.offset = restored([*before, *buckets]), 1

    # when its successor applies the record again
    [(_, value)] = packed(Sent())
    result = again.take(passage_batches.read(value))

    assert (result.fired, result.late) == ([], 0)
    assert again.state.buckets.keys() == agent.state.buckets.keys()
    assert [one.seen for one in again.state.buckets.values()] == [
        one.seen for one in agent.state.buckets.values()
    ]
    assert again.state.data_keys == agent.state.data_keys


def test_offsets_and_marks_of_topics_that_were_created_anew_skip_nothing() -> None:
    records = written(real_agent().state)

    assert restored(records, topic=b"passages-2").offset == -1
    assert restored(records, source=b"observations-2").marks == {}


def test_each_agent_reads_its_own_records_alone() -> None:
    of_passages = written(real_agent().state)

    state = snapshots.restore(3, of_passages, b"passages-1")
    assert (state.offset, state.districts) == (-1, {})
    assert restored([StateRecord(topic_id=b"passages-1", offset=9).SerializeToString()]).offset == -1


def test_what_is_over_is_not_written_down() -> None:
    agent = real_agent()
    agent.state.forget_what_is_over(agent.configuration, NOW + 2 * 3_600_000)

    records = [StateRecord.FromString(one) for one in written(agent.state)]
    assert all(not record.passage_bucket.reads for record in records)
    assert all(not record.passages.data_keys for record in records)


def test_without_its_rule_a_read_is_forgotten_at_the_next_checkpoint() -> None:
    agent = real_agent()
    agent.state.forget_what_is_over(configuration([HIT_RULE]), NOW)

    assert all(not bucket.seen for bucket in agent.state.buckets.values())


def test_a_bucket_is_bounded_and_its_record_is_of_at_most_512_kib() -> None:
    bucket = Bucket()
    heavy = [replace(seen(str(n), HERE, NOW + n), kept=bytes(700)) for n in range(MAXIMUM_READS)]
    ids = frozenset(read.observation_id for read in heavy)
    for number in range(200):
        bucket.keep("r" * 64, f"{number:032}", Seen(tuple(heavy), ids, NOW))

    assert bucket.bytes <= MAXIMUM_BUCKET_BYTES
    assert bucket.overflowed > 0
    # then those that were touched last are kept
    assert ("r" * 64, f"{199:032}") in bucket.seen
    [record] = passage_snapshots.capture(3, PassageState(buckets={31: bucket}), TOPIC).pieces
    assert len(record.value) <= snapshots.MAXIMUM_RECORD_BYTES


def test_the_keys_of_a_partition_fit_one_record() -> None:
    state = PassageState(changed=True)
    for number in range(2 * MAXIMUM_DATA_KEYS):
        key_id = number.to_bytes(8, "big")
        key = WrappedDataKey(data_key_id=key_id, recipient_key_id="r" * 64, wrapped=bytes(1_300))
        state.note_keys({key_id: key.SerializeToString()})

    captured = passage_snapshots.capture(3, state, TOPIC)

    assert captured.ledger is not None
    assert len(state.data_keys) == MAXIMUM_DATA_KEYS
    assert len(captured.ledger.value) <= snapshots.MAXIMUM_RECORD_BYTES
