"""What is kept of a record that cannot be processed: where it lies and its hash, and none of its content."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiokafka import TopicPartition
from google.protobuf.descriptor import FieldDescriptor

from alerthub.api.v1.alert_pb2 import AlertRaised
from alerthub.api.v1.observation_pb2 import DeadLetter
from alerthub.settings import KafkaSettings
from alerthub.topics import PERMISSIONS, TOPICS
from services.correlator import dead_letters
from services.dispatch.consumer import RaisedConsumer, decode_alert

PARTITION = TopicPartition("alerts", 3)
UNREADABLE = b"\xff canary \xff"


@dataclass
class _Record:
    value: bytes
    offset: int
    partition: int = PARTITION.partition
    headers: tuple[()] = ()


@dataclass
class _Broker:
    """Hands over one fetch, and keeps what is sent and committed."""

    records: list[_Record]
    sent: list[tuple[str, bytes]] = field(default_factory=list)
    committed: dict[TopicPartition, int] = field(default_factory=dict)

    async def getmany(self, **_: object) -> dict[TopicPartition, list[_Record]]:
        return {PARTITION: self.records}

    async def commit(self, offsets: dict[TopicPartition, int]) -> None:
        self.committed = offsets

    async def send_and_wait(self, topic: str, value: bytes, *, key: bytes) -> None:
        self.sent.append((topic, value))

    @property
    def letters(self) -> list[DeadLetter]:
        return [DeadLetter.FromString(value) for topic, value in self.sent if topic == "dead-letter"]


class _Intake:
    """Takes everything but what is raised by the rule `broken`, which no database would take."""

    async def take(self, batch: list[AlertRaised], _: object) -> tuple[()]:
        if any(raised.rule_id == "broken" for raised in batch):
            raise ValueError("a value that PostgreSQL cannot hold")
        return ()


def alert(rule_id: str, number: int) -> bytes:
    return AlertRaised(
        raised_id=bytes([number]) * 16, rule_id=rule_id, fold_key=f"rule:{rule_id}:1"
    ).SerializeToString()


async def passed(*values: bytes) -> _Broker:
    """The broker after one pass over these values, at offsets from 40 on."""
    broker = _Broker([_Record(value, 40 + index) for index, value in enumerate(values)])
    consumer: Any = RaisedConsumer(
        KafkaSettings(),
        "alerts",
        client_id="test",
        decode=decode_alert,
        intake=_Intake(),  # type: ignore[arg-type]
        producer=broker,
        batch_records=10,
        on_sealing=lambda _: None,
    )
    await consumer._pass(broker)
    return broker


@pytest.mark.parametrize("value", [UNREADABLE, alert("broken", 9)], ids=["unreadable", "unwritable"])
async def test_dispatch_tells_where_the_record_lies_that_it_put_aside(value: bytes) -> None:
    broker = await passed(alert("r1", 1), value, alert("r1", 2))

    [letter] = broker.letters
    assert (letter.source_topic, letter.source_partition, letter.source_offset) == ("alerts", 3, 41)
    assert letter.payload_sha256 == hashlib.sha256(value).digest()
    assert broker.committed == {PARTITION: 43}


async def test_nothing_of_what_dispatch_put_aside_is_written_anywhere() -> None:
    broker = await passed(UNREADABLE)
    assert [topic for topic, _ in broker.sent] == ["dead-letter"]
    assert b"canary" not in broker.sent[0][1]


def test_nothing_of_what_the_correlator_put_aside_is_in_its_letter() -> None:
    letter = dead_letters.letter(
        topic="observations",
        partition=3,
        offset=41,
        payload=UNREADABLE,
        reason="the batch cannot be decoded",
        time_ms=1,
    )
    read = DeadLetter.FromString(letter)
    assert (read.source_topic, read.source_partition, read.source_offset) == ("observations", 3, 41)
    assert read.payload_sha256 == hashlib.sha256(UNREADABLE).digest()
    assert b"canary" not in letter


def test_a_letter_has_no_place_for_content() -> None:
    bytes_fields = [
        each.name for each in DeadLetter.DESCRIPTOR.fields if each.type == FieldDescriptor.TYPE_BYTES
    ]
    assert bytes_fields == ["payload_sha256"]


def test_who_puts_records_aside_may_write_letters_and_nothing_beside_them() -> None:
    """docs/adr/0009: a copy of the payload would need a key that none of them has."""
    assert [name for name in TOPICS if "dead" in name] == ["dead-letter"]
    writers = {each.principal for each in PERMISSIONS if "dead" in each.topic}
    assert writers == {"correlator", "dispatch"}
