"""State records: which one holds, what is read of it, and when nothing may be (C3, C4)."""

from __future__ import annotations

import pytest
from correlator_builders import NOW, catalogue, read, run, standing
from faust.types import TP

from alerthub.api.v1.state_pb2 import StateRecord
from alerthub.domain.partition_state import MAXIMUM_STAYS, Counts, District, PartitionState
from alerthub.domain.rules.dwell import MAXIMUM_SPANS, Span, Stay
from services.correlator import snapshots
from services.correlator.application import build_application, build_table
from services.correlator.metrics import Ledger
from services.correlator.records import _CLASSES, _POLICIES, _RULE_KINDS, _SEVERITIES, _STATUSES, _ZONE_KINDS
from services.correlator.settings import CorrelatorSettings
from services.correlator.snapshots import Snapshot, UnknownSchemaError
from services.correlator.state import StateTable, Working

TOPIC, OTHER_TOPIC = b"topic-1", b"topic-2"


def record(offset: int, *, topic: bytes = TOPIC, received: int = 0) -> bytes:
    made = StateRecord(topic_id=topic, partition=3, offset=offset, schema=snapshots.SCHEMA)
    made.ledger.received = received
    return made.SerializeToString()


@pytest.fixture
def table() -> StateTable:
    return build_table(build_application(CorrelatorSettings()))


def test_a_late_write_of_a_worker_that_lost_its_partition_does_not_hold() -> None:
    newer, late = record(20), record(10)

    assert snapshots.prefer(newer, late) == newer
    assert snapshots.prefer(late, newer) == newer


def test_a_record_of_a_topic_that_was_created_anew_holds_whatever_its_offset() -> None:
    assert snapshots.prefer(record(20), record(1, topic=OTHER_TOPIC)) == record(1, topic=OTHER_TOPIC)


def test_recovery_keeps_the_highest_offset_of_each_key(table: StateTable) -> None:
    for offset in (10, 30, 20):
        table.keep(Snapshot(3, b"3/ledger", record(offset)))

    assert list(table.records(3)) == [record(30)]


def test_offsets_of_another_topic_skip_no_batch() -> None:
    state = snapshots.restore(3, [record(20, topic=OTHER_TOPIC, received=7)], TOPIC)

    assert state.offset == -1
    assert state.counts.received == 7


def test_a_state_of_a_later_schema_is_not_gone_on_from() -> None:
    later = StateRecord(topic_id=TOPIC, schema=snapshots.SCHEMA + 1).SerializeToString()

    with pytest.raises(UnknownSchemaError):
        snapshots.restore(3, [later], TOPIC)


def test_a_state_of_a_later_schema_that_says_who_may_go_on_is_read_and_an_older_one_is() -> None:
    later = StateRecord(
        topic_id=TOPIC, offset=20, schema=snapshots.SCHEMA + 1, readable_from=snapshots.SCHEMA
    )
    later.ledger.received = 7
    # A field that this release does not know.
    value = later.SerializeToString() + b"\xf8\xff\x07\x01"

    assert snapshots.restore(3, [value], TOPIC).counts.received == 7
    too_late = StateRecord(topic_id=TOPIC, schema=snapshots.SCHEMA + 2, readable_from=snapshots.SCHEMA + 1)
    with pytest.raises(UnknownSchemaError):
        snapshots.restore(3, [too_late.SerializeToString()], TOPIC)


def test_a_state_of_an_earlier_schema_is_gone_on_from(monkeypatch: pytest.MonkeyPatch) -> None:
    earlier = record(20, received=7)
    monkeypatch.setattr(snapshots, "SCHEMA", snapshots.SCHEMA + 1)

    assert snapshots.restore(3, [earlier], TOPIC).counts.received == 7


def test_a_state_that_was_written_down_is_read_as_it_was() -> None:
    state = PartitionState()
    run(
        read("a", "listed"),
        standing("b", "plate", at_ms=NOW - 1_000, track="t"),
        state=state,
        offset=7,
    )

    captured = snapshots.capture(3, state, TOPIC)
    assert captured.ledger is not None
    again = snapshots.restore(3, [*(one.value for one in captured.pieces), captured.ledger.value], TOPIC)

    assert (again.offset, again.received_ms, again.counts) == (7, NOW, state.counts)
    assert again.recent.generations == state.recent.generations
    assert again.districts["district-1"].stays == state.districts["district-1"].stays


def test_only_what_changed_is_captured() -> None:
    state = PartitionState()
    run(standing("a", at_ms=NOW, track="t"), state=state, offset=1)
    snapshots.capture(3, state, TOPIC)

    run(state=state, offset=2)  # a watermark: an empty batch

    assert snapshots.capture(3, state, TOPIC) == snapshots.Captured((), None)


def test_the_largest_district_fits_one_record() -> None:
    far = 1 << 50
    stays = [
        (
            "r" * 64,
            Stay(
                subject=f"track:{'d' * 64}:{number:064}",
                device_id="d" * 64,
                track_id=f"{number:064}",
                spans=tuple(Span(far + one, far + one, True) for one in range(MAXIMUM_SPANS)),
                left_ms=far,
                fired_ms=far,
            ),
        )
        for number in range(MAXIMUM_STAYS)
    ]
    district = District(stays=stays)
    district.changed = True

    [captured] = snapshots.capture(3, PartitionState(districts={"d" * 64: district}), TOPIC).pieces

    assert len(captured.value) <= snapshots.MAXIMUM_RECORD_BYTES


async def test_partitions_that_were_lost_are_forgotten(table: StateTable) -> None:
    table.keep(Snapshot(3, b"3/ledger", record(10)))
    table.keep(Snapshot(4, b"4/ledger", record(10)))
    changelog = table.changelog_topic_name

    await table.on_rebalance({TP(changelog, 4)}, {TP(changelog, 3)}, set())

    assert list(table.records(3)) == []
    assert list(table.records(4)) == [record(10)]


def test_nothing_is_loaded_before_recovery_is_complete(table: StateTable) -> None:
    working = Working(table)

    assert not working.holds(3)
    with pytest.raises(KeyError):
        working.state(3)


def test_every_opening_begins_with_what_was_written_down(table: StateTable) -> None:
    table.keep(Snapshot(3, b"3/ledger", record(10, received=5)))
    working = Working(table)
    working.begin({3: 0}, TOPIC)
    run(read("a", "listed"), state=working.state(3), offset=11)

    working.end()
    assert not working.holds(3)
    working.begin({3: 0}, TOPIC)

    assert working.state(3).counts.received == 5


def test_a_table_that_could_not_be_read_is_not_worked_with(table: StateTable) -> None:
    class Event:
        class message:  # noqa: N801 - Faust's attribute
            partition = 3

        key = b"3/ledger"
        value = b"\xff\xff not a record"

    table.keep(Snapshot(3, b"3/ledger", record(10)))
    table.apply_changelog_batch([Event()])  # type: ignore[list-item] # as much of an event as is read

    with pytest.raises(Exception, match="parsing message"):
        Working(table).begin({3: 0}, TOPIC)


def test_what_is_over_is_not_written_down(table: StateTable) -> None:
    working = Working(table)
    working.begin({3: 0}, TOPIC)
    run(standing("a", at_ms=NOW, track="t"), state=working.state(3), offset=1)

    [captured] = working.capture(catalogue().at(NOW), NOW + 3 * 3_600_000)

    assert StateRecord.FromString(captured.pieces[0].value).district.stays == []


def test_the_ledger_balances() -> None:
    counts = Counts(received=10, repeats=1, matched=2, late=1, without_identifiers=1, dead_lettered_batches=4)

    families = list(Ledger(lambda: {0: counts, 1: counts}).collect())

    values = {sample.labels.get("result", ""): sample.value for one in families for sample in one.samples}
    assert values["received"] == 20
    assert values["received"] == sum(
        values[result] for result in ("forgotten", "matched", "late", "without_identifiers", "repeat")
    )
    assert values[""] == 8


@pytest.mark.parametrize(
    ("table_of_numbers", "prefix"),
    [
        (_STATUSES, "LIFE_STATUS"),
        (_CLASSES, "AUTHENTICATION_CLASS"),
        (_ZONE_KINDS, "ZONE_KIND"),
        (_RULE_KINDS, "RULE_KIND"),
        (_SEVERITIES, "SEVERITY"),
        (_POLICIES, "DISPATCH_POLICY"),
    ],
)
def test_the_wires_numbers_are_the_domains_members(table_of_numbers: object, prefix: str) -> None:
    from alerthub.api.v1 import common_pb2, registry_pb2

    assert isinstance(table_of_numbers, dict)
    for number, member in table_of_numbers.items():
        name = f"{prefix}_{member.name}"
        assert getattr(registry_pb2, name, getattr(common_pb2, name, None)) == number
