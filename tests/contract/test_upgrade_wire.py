"""What one release puts on Kafka the next one reads, and the other way round.

`releases/wire-VERSION.json` holds what a release wrote (tools/record_release.py). Its bytes are read by the
code of now: that is an older writer and a newer reader. With a field added that nobody knows yet they stand
for the release to come: a newer writer and an older reader.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.unknown_fields import UnknownFieldSet
from release_records import RELEASES, VALUES, as_read

from alerthub.api.v1 import alert_pb2, registry_pb2, state_pb2, watchlist_pb2
from alerthub.domain.errors import DeadLetter
from alerthub.domain.resources import DispatchPolicy
from alerthub.identity import RevocationList
from alerthub.topics import TOPICS
from services.correlator import records, snapshots
from services.dispatch.consumer import decode_alert
from services.dispatch.entries import entry_change

UNKNOWN = bytes.fromhex("f8ff0701")
"""Field 16383, of which no release knows: a varint, 1."""


@dataclass(frozen=True, slots=True)
class Record:
    """A value as a release wrote it."""

    release: str
    topic: str
    message: str
    value: bytes
    read: dict[str, Any]

    def parsed(self) -> Message:
        descriptor = descriptor_pool.Default().FindMessageTypeByName(self.message)
        return GetMessageClass(descriptor).FromString(self.value)


RECORDS = [
    Record(path.stem, each["topic"], each["message"], bytes.fromhex(each["bytes"]), each["read"])
    for path in sorted(RELEASES.glob("wire-*.json"))
    for each in json.loads(path.read_text(encoding="utf-8"))
]
every_record = pytest.mark.parametrize(
    "record", RECORDS, ids=[f"{each.release}-{each.topic}-{each.message}" for each in RECORDS]
)


def of(message: type[Message]) -> list[Record]:
    return [each for each in RECORDS if each.message == message.DESCRIPTOR.full_name]


def newer(message: Message) -> bytes:
    """The message as a later release would write it: with a field more in each of its messages."""
    copy = type(message).FromString(message.SerializeToString())
    _add_unknown(copy)
    return copy.SerializeToString()


def _add_unknown(message: Any) -> None:
    for field, value in message.ListFields():
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            for inner in value if field.is_repeated else (value,):
                _add_unknown(inner)
    message.MergeFromString(UNKNOWN)


def test_every_topic_has_its_values_written_down() -> None:
    assert VALUES.keys() == TOPICS.keys()
    recorded = {(each.topic, each.message) for each in RECORDS}
    assert {
        (topic, kind.DESCRIPTOR.full_name) for topic, kinds in VALUES.items() for kind in kinds
    } <= recorded


@every_record
def test_what_a_release_wrote_is_read_as_it_was(record: Record) -> None:
    message = record.parsed()

    assert as_read(message) == record.read
    # A field that nobody knows any more would be here, and lost.
    assert len(UnknownFieldSet(message)) == 0


@every_record
def test_a_field_of_a_later_release_changes_nothing_and_is_passed_on(record: Record) -> None:
    later = type(record.parsed()).FromString(newer(record.parsed()))

    assert as_read(later) == record.read
    assert newer(record.parsed()) == later.SerializeToString()


# What readers make of it


READERS: list[tuple[type[Message], Callable[[bytes], object]]] = [
    (alert_pb2.AlertRaised, lambda value: decode_alert(_raised(value)).rule_id),
    (watchlist_pb2.PublishedEntry, records.entry_of),
    (watchlist_pb2.PublishedEntry, lambda value: entry_change("e", value)),
    (registry_pb2.Device, records.device_of),
    (registry_pb2.Zone, records.zone_of),
    (registry_pb2.Rule, records.rule_of),
]


def _raised(value: bytes) -> bytes:
    """The sample, with what no correlator leaves out."""
    raised = alert_pb2.AlertRaised.FromString(value)
    if raised.WhichOneof("match") == "watchlist":
        raised.fold_key, raised.watchlist.identifier_index = f"entry:{raised.watchlist.entry_id}", 0
    return raised.SerializeToString()


@pytest.mark.parametrize(
    ("read", "record"), [(read, record) for message, read in READERS for record in of(message)]
)
def test_a_reader_takes_a_later_releases_value_as_this_ones(
    read: Callable[[bytes], object], record: Record
) -> None:
    assert read(newer(record.parsed())) == read(record.value)


def test_a_state_of_a_later_release_is_gone_on_from_as_this_ones() -> None:
    for record in of(state_pb2.StateRecord):
        written: Any = record.parsed()
        written.schema = written.readable_from = snapshots.SCHEMA
        now = snapshots.restore(3, [written.SerializeToString()], b"topic")
        written.schema += 1
        later = snapshots.restore(3, [newer(written)], b"topic")
        assert (now.counts, now.districts.keys()) == (later.counts, later.districts.keys())


@pytest.mark.parametrize(
    ("message", "field", "read"),
    [
        (registry_pb2.Device, "authentication_class", records.device_of),
        (registry_pb2.Zone, "kind", records.zone_of),
        (registry_pb2.Rule, "kind", records.rule_of),
        (registry_pb2.Rule, "policy", records.rule_of),
    ],
)
def test_a_number_that_only_a_later_release_knows_is_refused_by_name(
    message: type[Message], field: str, read: Callable[[bytes], object]
) -> None:
    value: Any = of(message)[0].parsed()
    setattr(value, field, 99)
    with pytest.raises(DeadLetter, match=field):
        read(value.SerializeToString())


def test_an_entry_whose_policy_is_not_known_asks_for_a_confirmation() -> None:
    entry: Any = of(watchlist_pb2.PublishedEntry)[0].parsed()
    entry.policy = 99
    assert records.entry_of(entry.SerializeToString()).policy is DispatchPolicy.CONFIRM_FIRST


def test_a_revocation_of_a_later_release_holds() -> None:
    [record] = of(registry_pb2.Revocation)
    revoked: Any = record.parsed()
    revoked.reinstated = False
    known = RevocationList()
    known.apply(revoked.subject, newer(revoked))
    assert len(known) == 1
