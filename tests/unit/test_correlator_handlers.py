"""Taking a batch: the gate, the assignment, what cannot be decoded, and the bytes that wait."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest
from correlator_builders import (
    NOW,
    Entries,
    Event,
    Message,
    batch_value,
    catalogue,
    entry,
    read,
    standing,
    with_one_unreadable,
)
from faust.types import TP
from passage_builders import CLONED_RULE

from alerthub.api.v1.observation_pb2 import DeadLetter, Observation, ObservationBatch
from alerthub.domain.versions import ACTIVATION_LEAD_MS
from alerthub.tracing import Headers
from services.correlator.application import build_application, build_table
from services.correlator.checkpoint import Checkpoint
from services.correlator.consumer import Budget
from services.correlator.handlers import MAXIMUM_OBSERVATIONS, BatchHandler
from services.correlator.outgoing import MAXIMUM_ALERT_BYTES, Outgoing
from services.correlator.passage_sending import PassageSender
from services.correlator.replicas import Reference
from services.correlator.settings import CorrelatorSettings
from services.correlator.state import Working


@dataclass
class Gate:
    opened: asyncio.Event = field(default_factory=asyncio.Event)
    known_until_ms: int = 2**62

    def closed_because(self, as_of_ms: int = 0) -> str | None:
        return None if self.opened.is_set() and as_of_ms <= self.known_until_ms else "closed"

    async def wait(self, as_of_ms: int = 0) -> None:
        while True:
            if self.closed_because(as_of_ms) is None:
                return
            await asyncio.sleep(0)


class Worker:
    def __init__(self, *, first: int = 0) -> None:
        self.gate = Gate()
        self.gate.opened.set()
        self.letters: list[DeadLetter] = []
        self.read_again: list[tuple[int, int]] = []
        self.working = Working(build_table(build_application(CorrelatorSettings())))
        self.working.begin({3: first}, b"topic")
        self.checkpoint = Checkpoint(capture=list, send=self.never, keep=lambda _: None, generation=lambda: 0)
        self.reference = Reference()
        self.handler = self.handler_with(PassageSender(self.working, self.never, 8))

    def handler_with(self, passages: PassageSender) -> BatchHandler:
        return BatchHandler(
            gate=self.gate,
            reference=self.reference,
            working=self.working,
            checkpoint=self.checkpoint,
            outgoing=Outgoing(
                send_alert=self.never,
                send_dead_letter=self.put_aside,
                reference=self.reference,
                clock=lambda: NOW,
            ),
            passages=passages,
            read_again=self.go_back,
            clock=lambda: NOW,
        )

    async def go_back(self, partition: int, offset: int) -> None:
        self.read_again.append((partition, offset))

    def never(self, *_: object) -> asyncio.Future[object]:
        raise AssertionError

    def put_aside(self, key: bytes, value: bytes, headers: Headers = (), /) -> asyncio.Future[object]:
        self.letters.append(DeadLetter.FromString(value))
        done: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done


def good(offset: int) -> Event:
    return Event(Message(offset, batch_value(read(str(offset), "another"))))


async def test_a_batch_waits_for_the_gate_and_is_applied_then() -> None:
    worker = Worker()
    worker.gate.opened.clear()

    taking = asyncio.create_task(worker.handler.take(good(0)))
    await asyncio.sleep(0)
    assert worker.working.state(3).counts.received == 0
    worker.gate.opened.set()
    await taking

    assert worker.working.state(3).counts.received == 1


async def test_a_batch_waits_until_what_was_in_force_when_it_was_received_is_known() -> None:
    # given replicas that know everything committed until shortly before a version could have come into force
    worker = Worker()
    event = good(0)
    received_ms = ObservationBatch.FromString(event.message.value).received_time_ms
    worker.gate.known_until_ms = received_ms - ACTIVATION_LEAD_MS - 1

    # when the batch arrives, and what is missing comes later
    taking = asyncio.create_task(worker.handler.take(event))
    await asyncio.sleep(0)
    assert worker.working.state(3).counts.received == 0
    worker.gate.known_until_ms += 1
    await taking

    # then it is applied with it
    assert worker.working.state(3).counts.received == 1


async def test_a_batch_does_not_wait_for_what_is_published_ahead_of_its_activation() -> None:
    worker = Worker()
    event = good(0)
    received_ms = ObservationBatch.FromString(event.message.value).received_time_ms
    worker.gate.known_until_ms = received_ms - ACTIVATION_LEAD_MS

    await worker.handler.take(event)

    assert worker.working.state(3).counts.received == 1


async def test_a_batch_whose_partition_was_taken_away_while_it_waited_is_not_applied() -> None:
    worker = Worker()
    worker.gate.opened.clear()
    taking = asyncio.create_task(worker.handler.take(good(0)))
    await asyncio.sleep(0)

    # when the partition goes away and comes back before the gate opens
    worker.working.end()
    worker.working.begin({3: 0}, b"topic")
    worker.gate.opened.set()
    await taking

    assert worker.working.state(3).counts.received == 0
    assert worker.checkpoint.waiting == 0


async def test_a_batch_of_a_partition_that_is_not_held_is_left_to_its_owner() -> None:
    worker = Worker()
    event = good(0)
    event.message.partition = 4

    await worker.handler.take(event)

    assert worker.checkpoint.waiting == 0


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"\xff\xff no batch", "not an ObservationBatch"),
        (
            ObservationBatch(
                observations=[Observation() for _ in range(MAXIMUM_OBSERVATIONS + 1)]
            ).SerializeToString(),
            f"more than {MAXIMUM_OBSERVATIONS} observations",
        ),
        (with_one_unreadable(batch_value(standing("a", at_ms=NOW))), "an observation that cannot be read"),
        (
            with_one_unreadable(ObservationBatch(observations=[read("a")]).SerializeToString()),
            "not an ObservationBatch",
        ),
    ],
)
async def test_what_cannot_be_applied_is_put_aside_and_acknowledged_after_that(
    value: bytes, reason: str
) -> None:
    worker = Worker(first=7)
    event = Event(Message(7, value))

    await worker.handler.take(event)
    assert not event.acknowledged
    await worker.checkpoint.run()

    assert event.acknowledged
    [letter] = worker.letters
    assert (letter.source_topic, letter.source_partition, letter.source_offset) == ("observations", 3, 7)
    assert letter.reason == reason
    assert worker.working.state(3).totals().dead_lettered_batches == 1


async def test_a_dead_letter_that_is_replayed_is_not_counted_again() -> None:
    worker = Worker(first=7)
    for _ in range(2):
        await worker.handler.take(Event(Message(7, b"\xff")))

    assert len(worker.letters) == 1
    assert worker.checkpoint.waiting == 2


async def test_a_batch_that_was_passed_over_is_read_again_before_any_later_one_is_applied() -> None:
    worker = Worker()
    await worker.handler.take(good(0))

    # when the second does not come, but those after it do
    await worker.handler.take(good(2))
    await worker.handler.take(good(3))

    # then none of them is applied, and the second is asked for, once
    assert worker.read_again == [(3, 1)]
    assert worker.working.state(3).counts.received == 1
    assert worker.checkpoint.waiting == 1

    # and when it comes, with those after it, all go on
    for offset in (1, 2, 3):
        await worker.handler.take(good(offset))
    assert worker.working.state(3).counts.received == 4
    assert worker.read_again == [(3, 1)]


async def test_the_first_batch_must_be_the_one_after_what_is_committed() -> None:
    worker = Worker()
    worker.working.begin({3: 5}, b"topic")

    await worker.handler.take(good(6))
    assert worker.read_again == [(3, 5)]
    assert worker.checkpoint.waiting == 0

    await worker.handler.take(good(5))
    assert worker.checkpoint.waiting == 1


async def test_a_batch_that_is_in_the_state_already_need_not_come_again() -> None:
    # given that the batches up to 5 were committed after the offsets had been asked for
    worker = Worker()
    worker.working.begin({3: 5}, b"topic")
    worker.working.state(3).offset = 5

    await worker.handler.take(good(6))

    assert worker.checkpoint.waiting == 1


async def test_an_alert_that_kafka_would_refuse_is_told_instead_of_stopping_everything() -> None:
    worker = Worker()
    huge = read("a", "listed")
    huge.identifiers[0].sealed_details = b"s" * MAXIMUM_ALERT_BYTES
    fill(worker)

    await worker.handler.take(Event(Message(0, batch_value(huge))))

    assert [letter.reason for letter in worker.letters] == ["an alert of more bytes than Kafka takes"]


def fill(worker: Worker) -> None:
    """The reference knows the listed plate, the device and the rule."""
    worker.reference.entries = Entries(entry()).index
    worker.reference.catalogue = catalogue()


def test_the_applications_settings_are_those_that_do_not_hurt() -> None:
    conf = build_application(CorrelatorSettings()).conf

    assert (conf.broker_session_timeout, conf.broker_heartbeat_interval) == (10.0, 3.0)
    assert conf.topic_disable_leader
    assert not conf.topic_allow_declare
    assert conf.producer_acks == -1
    assert conf.producer_compression_type is None
    assert not conf.stream_wait_empty
    assert conf.broker_credentials.mechanism.value == "SCRAM-SHA-256"


def test_the_queue_is_never_full_before_the_budget_is() -> None:
    settings = CorrelatorSettings()
    application = build_application(settings)

    # each waiting batch counts for at least 4 KiB
    assert application.conf.stream_buffer_maxsize * 4_096 > 2 * settings.buffer_bytes


class Consumer:
    def __init__(self) -> None:
        self.paused: set[TP] = set()

    def on_buffer_full(self, tp: TP) -> None:
        self.paused.add(tp)

    def on_buffer_drop(self, tp: TP) -> None:
        self.paused.discard(tp)


def test_a_full_budget_pauses_the_partition_until_half_of_it_is_free() -> None:
    budget, consumer = Budget(1_000_000), Consumer()
    budget.consumer = consumer
    partition = TP("observations", 3)

    budget.take(partition, 600_000)
    assert consumer.paused == set()
    budget.take(partition, 400_000)
    assert consumer.paused == {partition}
    budget.release(400_000)
    assert consumer.paused == {partition}
    budget.release(100_001)
    assert consumer.paused == set()


async def test_a_batch_is_acknowledged_only_after_its_passages_arrived() -> None:
    # given a rule that asks for the plate of a batch
    worker = Worker()
    delivered: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    sent: list[int] = []

    def deliver(partition: int, _: bytes) -> asyncio.Future[object]:
        sent.append(partition)
        return delivered

    worker.handler = worker.handler_with(PassageSender(worker.working, deliver, 8))
    worker.reference.catalogue = catalogue(rules=[CLONED_RULE])
    event = good(0)
    await worker.handler.take(event)
    assert len(sent) == 1

    # then a checkpoint waits for the broker to have its passage
    writing = asyncio.create_task(worker.checkpoint.run())
    await asyncio.sleep(0)
    assert not event.acknowledged
    delivered.set_result(None)
    await writing
    assert event.acknowledged
