"""The Kafka edge of dispatch: `alerts` and `calls` in group `dispatch`, offsets committed after the database
(C6)."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from google.protobuf.message import DecodeError
from sqlalchemy.exc import SQLAlchemyError

from alerthub import kafka, loops, lost_records
from alerthub.api.v1 import observation_pb2
from alerthub.api.v1.alert_pb2 import AlertRaised
from alerthub.domain.errors import AlertHubError, DeadLetter, Retry
from alerthub.settings import KafkaSettings
from alerthub.telemetry import logger
from alerthub.tracing import context_of
from services.dispatch.fleet import Fleet
from services.dispatch.intake import Intake, check_raised, raised_of_call
from services.dispatch.metrics import BATCH_SECONDS, DEAD_LETTERS, LOST
from services.dispatch.rows import NewSealing

log = logger(__name__)

GROUPS = {"dispatch-alerts": "alerts", "dispatch-calls": "calls"}
"""Consumer groups, each with the topic that it reads."""
DEAD_LETTER_TOPIC = "dead-letter"
_RETRY_SECONDS = 0.25
_STALE_SECONDS = 15.0


def _group_of(topic: str) -> str:
    return next(group for group, read in GROUPS.items() if read == topic)


Decode = Callable[[bytes], AlertRaised]


def decode_alert(value: bytes) -> AlertRaised:
    """A record of `alerts`. Raises DeadLetter or DecodeError."""
    raised = AlertRaised.FromString(value)
    check_raised(raised)
    return raised


def call_decoder(fleet: Fleet) -> Decode:
    """Makes a direct call of a record of `calls` into what a rule raises."""

    def decode(value: bytes) -> AlertRaised:
        call = observation_pb2.DirectCall.FromString(value)
        return raised_of_call(
            call,
            rule=fleet.rule_for_call(call.device_id),
            jurisdiction=fleet.jurisdiction_of_device(call.device_id),
        )

    return decode


@dataclass(slots=True)
class _Again:
    """From when a topic is read again after a restore, and which partitions were."""

    from_ms: int
    seen: set[int] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Decoded:
    """What fired, and the record of Kafka that says so."""

    raised: AlertRaised
    record: Any


class _Assigned(ConsumerRebalanceListener):  # type: ignore[misc]
    """Tells of records that Kafka deleted before they were read (C15): SRE by metric and log, the office by
    what it adds to `lost`.

    After a restore each partition is read `again` from a time, once: ids make what was taken harmless (C19).
    """

    def __init__(
        self, consumer: AIOKafkaConsumer, lost: list[AlertRaised], again: _Again | None = None
    ) -> None:
        self._consumer = consumer
        self._lost = lost
        self._again = again

    def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        """Nothing: a batch in hand is committed in the database or not at all, and ids make a repeat
        harmless."""

    async def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        if not assigned:
            return
        beginnings = await self._consumer.beginning_offsets(list(assigned))
        for partition, beginning in beginnings.items():
            committed = await self._consumer.committed(partition)
            if committed is not None and committed < beginning:
                LOST.labels(partition.topic).inc(beginning - committed)
                log.error(
                    "records_deleted_before_they_were_read",
                    topic=partition.topic,
                    partition=partition.partition,
                    count=beginning - committed,
                )
                self._lost.append(
                    lost_records.raised(
                        topic=partition.topic,
                        partition=partition.partition,
                        committed=committed,
                        start=beginning,
                        time_ms=time.time_ns() // 1_000_000,
                    )
                )
        await self._go_back(assigned)

    async def _go_back(self, assigned: Sequence[TopicPartition]) -> None:
        if self._again is None:
            return
        new = [each for each in assigned if each.partition not in self._again.seen]
        found = await self._consumer.offsets_for_times(dict.fromkeys(new, self._again.from_ms))
        for partition in new:
            self._again.seen.add(partition.partition)
            at = found[partition]
            if at is not None and at.offset < await self._consumer.position(partition):
                self._consumer.seek(partition, at.offset)
                log.info("read_again", topic=partition.topic, partition=partition.partition)


class RaisedConsumer:
    """Reads one topic. `check` is a readiness check: None while batches are taken, or there is nothing to
    take."""

    def __init__(
        self,
        settings: KafkaSettings,
        topic: str,
        *,
        client_id: str,
        decode: Decode,
        intake: Intake,
        producer: AIOKafkaProducer,
        batch_records: int,
        on_sealing: Callable[[Sequence[NewSealing]], None],
        read_again_from_ms: int | None = None,
        on_failure: loops.OnFailure = loops.ignore,
    ) -> None:
        self._settings = settings
        self._topic = topic
        self._client_id = client_id
        self._decode = decode
        self._intake = intake
        self._producer = producer
        self._batch_records = batch_records
        self._on_sealing = on_sealing
        self._on_failure = on_failure
        self._task: asyncio.Task[None] | None = None
        self._last_pass = 0.0
        self._lost: list[AlertRaised] = []
        self._again = None if read_again_from_ms is None else _Again(read_again_from_ms)

    def check(self) -> str | None:
        waited = time.monotonic() - self._last_pass
        return (
            None if waited < _STALE_SECONDS else f"nothing was taken from {self._topic} for {int(waited)} s"
        )

    async def start(self) -> None:
        self._last_pass = time.monotonic()
        self._task = loops.begin(self._run(), name=f"consume-{self._topic}", on_failure=self._on_failure)

    async def stop(self) -> None:
        """Ends; what is in hand and not committed is read again, and is known by its ids."""
        await loops.end(self._task)

    async def _run(self) -> None:
        while True:
            consumer = kafka.consumer(
                self._settings, group_id=_group_of(self._topic), client_id=self._client_id
            )
            consumer.subscribe([self._topic], listener=_Assigned(consumer, self._lost, self._again))
            try:
                await consumer.start()
                while True:
                    await self._pass(consumer)
                    self._last_pass = time.monotonic()
            except (KafkaError, OSError, TimeoutError) as error:
                log.warning("consumer_waits_for_broker", topic=self._topic, error_type=type(error).__name__)
            finally:
                await consumer.stop()
            await asyncio.sleep(_RETRY_SECONDS)

    async def _pass(self, consumer: AIOKafkaConsumer) -> None:
        batches = await consumer.getmany(timeout_ms=1_000, max_records=self._batch_records)
        # Before any offset is committed: until then whoever begins here tells of the loss again.
        await self._tell_losses()
        if not batches:
            return
        began = time.perf_counter()
        taken: list[_Decoded] = []
        seen: set[bytes] = set()
        for records in batches.values():
            for record in records:
                try:
                    raised = self._decode(record.value or b"")
                except (DeadLetter, DecodeError) as error:
                    await self._put_aside(record, error)
                    continue
                if raised.raised_id not in seen:
                    seen.add(raised.raised_id)
                    taken.append(_Decoded(raised, record))
        await self._take(taken)
        offsets = {partition: records[-1].offset + 1 for partition, records in batches.items()}
        try:
            await consumer.commit(offsets)
        except (CommitFailedError, IllegalStateError):
            # The partition went to another instance: it reads these again, and knows them by their ids.
            log.info("commit_came_too_late", topic=self._topic)
        BATCH_SECONDS.observe(time.perf_counter() - began)

    async def _tell_losses(self) -> None:
        while self._lost:
            try:
                await self._intake.take(self._lost[:1])
            except Retry as error:
                log.warning("intake_waits", reason=error.reason)
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                del self._lost[0]

    async def _take(self, batch: list[_Decoded]) -> None:
        """Into the database, however long that takes. What alone cannot be written is put aside alone."""
        if not batch:
            return
        while True:
            try:
                spans = {
                    each.raised.raised_id: span
                    for each in batch
                    if (span := context_of(each.record.headers)) is not None
                }
                self._on_sealing(await self._intake.take([each.raised for each in batch], spans))
            except Retry as error:
                log.warning("intake_waits", reason=error.reason)
                await asyncio.sleep(_RETRY_SECONDS)
            except (SQLAlchemyError, AlertHubError, ValueError) as error:
                if len(batch) == 1:
                    log.exception("raised_alert_cannot_be_taken", topic=self._topic)
                    await self._send_dead_letter(
                        batch[0].record, f"cannot be written: {type(error).__name__}"
                    )
                    return
                # One at a time: the others must not be lost for it, nor open twice.
                for each in batch:
                    await self._take([each])
                return
            else:
                return

    async def _put_aside(self, record: Any, error: DeadLetter | DecodeError) -> None:
        reason = error.reason if isinstance(error, DeadLetter) else "cannot be decoded"
        log.error(
            "record_put_aside",
            topic=self._topic,
            partition=record.partition,
            offset=record.offset,
            reason=reason,
        )
        await self._send_dead_letter(record, reason)

    async def _send_dead_letter(self, record: Any, reason: str) -> None:
        """A hash and the position: the record itself lies in its topic for its life, and nowhere else."""
        letter = observation_pb2.DeadLetter(
            source_topic=self._topic,
            source_partition=record.partition,
            source_offset=record.offset,
            reason=reason,
            payload_sha256=hashlib.sha256(record.value or b"").digest(),
            time_ms=time.time_ns() // 1_000_000,
        )
        DEAD_LETTERS.labels(self._topic).inc()
        await self._producer.send_and_wait(
            DEAD_LETTER_TOPIC, letter.SerializeToString(), key=self._topic.encode()
        )
