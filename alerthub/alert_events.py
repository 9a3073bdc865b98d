"""The tail of `alert-events`: one consumer a process, many subscribers, and resume tokens (C10).

A resume token is the vector of the next offset of every partition, under the topic's id as epoch: after the
topic was created anew an old token is worth nothing, and says so instead of pointing at other events.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from google.protobuf.message import DecodeError
from opentelemetry.trace import SpanContext
from prometheus_client import Counter

from alerthub import kafka, kafka_positions, loops
from alerthub.api.v1.alert_pb2 import AlertEvent
from alerthub.domain.errors import Retry
from alerthub.settings import KafkaSettings
from alerthub.telemetry import logger
from alerthub.tracing import context_of

log = logger(__name__)

TOPIC = "alert-events"
HISTORY_EVENTS = 5_000
"""How far back a subscriber may resume: a quarter of an hour at five alerts a second."""
HISTORY_BYTES = 32 * 1_024 * 1_024
_RETRY_SECONDS = 0.5

_undecodable = Counter(
    "alerthub_alert_events_undecodable_total", "Records that no version of this software wrote."
)


@dataclass(frozen=True, slots=True)
class TailedEvent:
    """One event, the token with which a subscriber that has taken it resumes after it, and the span at
    which the alert stands, where it has a trace."""

    event: AlertEvent
    unit_ids: frozenset[str]
    resume_token: str
    span: SpanContext | None = None


@dataclass(frozen=True, slots=True)
class _Remembered:
    partition: int
    offset: int
    value: bytes
    unit_ids: frozenset[str]
    resume_token: str
    span: SpanContext | None


def encode_token(topic_id: str, positions: Mapping[int, int]) -> str:
    """A resume token; opaque to whoever carries it."""
    return topic_id + "".join(f".{partition}-{positions[partition]}" for partition in sorted(positions))


def decode_token(token: str) -> tuple[str, dict[int, int]] | None:
    """Topic id and next offsets; None for what is not a token."""
    topic_id, *parts = token.split(".")
    positions = {}
    for part in parts:
        partition, separator, offset = part.partition("-")
        if not (separator and partition.isdecimal() and offset.isdecimal()) or len(offset) > 19:
            return None
        positions[int(partition)] = int(offset)
    return (topic_id, positions) if topic_id and positions else None


Subscriber = Callable[[TailedEvent], None]


class AlertEventTail:
    """Reads `alert-events` from a little before its end, remembers the newest events and hands each to
    subscribers.

    `check` is a readiness check: None while the tail follows the topic.
    """

    def __init__(
        self, settings: KafkaSettings, *, client_id: str, on_failure: loops.OnFailure = loops.ignore
    ) -> None:
        self._on_failure = on_failure
        self._settings = settings
        self._client_id = client_id
        self._subscribers: set[Subscriber] = set()
        self._history: deque[_Remembered] = deque()
        self._history_bytes = 0
        self._oldest: dict[int, int] = {}
        self._positions: dict[int, int] = {}
        self._topic_id = ""
        self._ends: dict[TopicPartition, int] = {}
        self._task: asyncio.Task[None] | None = None
        self._caught_up = asyncio.Event()

    def check(self) -> str | None:
        return None if self._caught_up.is_set() else "the tail of alert-events is still reading"

    async def start(self) -> None:
        self._task = loops.begin(self._run(), name="alert-events-tail", on_failure=self._on_failure)

    async def stop(self) -> None:
        await loops.end(self._task)

    async def wait_until_ready(self) -> None:
        await self._caught_up.wait()

    def resume_token(self) -> str:
        """The token of now: whoever has everything up to here resumes with it."""
        return encode_token(self._topic_id, self._positions)

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Hands every later event to `subscriber`, which must not wait; returns what ends the
        subscription."""
        self._subscribers.add(subscriber)
        return lambda: self._subscribers.discard(subscriber)

    def replay(self, token: str, unit_id: str | None = None) -> list[TailedEvent] | None:
        """What came after `token` (of this unit only, where one is given); None: too old, a snapshot is
        needed.

        Together with `subscribe`, without an await between them, nothing is missed and nothing comes twice.
        """
        decoded = decode_token(token)
        if decoded is None or decoded[0] != self._topic_id or decoded[1].keys() != self._positions.keys():
            return None
        wanted = decoded[1]
        for partition, offset in wanted.items():
            if not self._oldest[partition] <= offset <= self._positions[partition]:
                return None
        return [
            TailedEvent(AlertEvent.FromString(each.value), each.unit_ids, each.resume_token, each.span)
            for each in self._history
            if each.offset >= wanted[each.partition] and (unit_id is None or unit_id in each.unit_ids)
        ]

    async def _run(self) -> None:
        while True:
            consumer = kafka.consumer(self._settings, group_id=None, client_id=self._client_id)
            try:
                await consumer.start()
                await self._begin(consumer)
                await self._follow(consumer)
            except (KafkaError, Retry, OSError, TimeoutError, LookupError) as error:
                log.warning("alert_events_tail_waits", error_type=type(error).__name__)
            finally:
                await consumer.stop()
            await asyncio.sleep(_RETRY_SECONDS)

    async def _begin(self, consumer: AIOKafkaConsumer) -> None:
        # A consumer that subscribes to nothing knows no topic's partitions: the description says both.
        topic_id, numbers = await kafka_positions.describe(self._settings, TOPIC)
        partitions = [TopicPartition(TOPIC, number) for number in numbers]
        if not partitions:
            raise LookupError(TOPIC)
        consumer.assign(partitions)
        self._ends = await consumer.end_offsets(partitions)
        if topic_id == self._topic_id:
            # The connection was lost: go on where it stopped.
            for partition in partitions:
                consumer.seek(partition, self._positions[partition.partition])
            return
        beginnings = await consumer.beginning_offsets(partitions)
        self._history.clear()
        self._history_bytes = 0
        for partition in partitions:
            start = max(beginnings[partition], self._ends[partition] - HISTORY_EVENTS // len(partitions))
            consumer.seek(partition, start)
            self._positions[partition.partition] = self._oldest[partition.partition] = start
        self._topic_id = topic_id

    async def _follow(self, consumer: AIOKafkaConsumer) -> None:
        while True:
            batches = await consumer.getmany(timeout_ms=500, max_records=1_000)
            for partition, records in batches.items():
                for record in records:
                    self._take(
                        partition.partition, record.offset, record.value or b"", context_of(record.headers)
                    )
            if not self._caught_up.is_set():
                reached = [await consumer.position(partition) >= end for partition, end in self._ends.items()]
                if all(reached):
                    self._caught_up.set()

    def _take(self, partition: int, offset: int, value: bytes, span: SpanContext | None = None) -> None:
        self._positions[partition] = offset + 1
        try:
            event = AlertEvent.FromString(value)
        except DecodeError:
            _undecodable.inc()
            log.exception("alert_event_undecodable", partition=partition, offset=offset)
            return
        unit_ids = frozenset(assignment.unit_id for assignment in event.alert.assignments)
        token = self.resume_token()
        self._remember(_Remembered(partition, offset, value, unit_ids, token, span))
        tailed = TailedEvent(event, unit_ids, token, span)
        for subscriber in tuple(self._subscribers):
            subscriber(tailed)

    def _remember(self, remembered: _Remembered) -> None:
        self._history.append(remembered)
        self._history_bytes += len(remembered.value)
        while len(self._history) > HISTORY_EVENTS or self._history_bytes > HISTORY_BYTES:
            forgotten = self._history.popleft()
            self._history_bytes -= len(forgotten.value)
            self._oldest[forgotten.partition] = forgotten.offset + 1
