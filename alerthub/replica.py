"""A replica of a compacted topic in memory (C9).

It reads the topic to the ends that it noted at its start, opens its gate on a fresh bookmark and follows the
topic from then on. A bookmark comes each second from the topic's owner; while the newest is older than ten
seconds the replica may be missing a withdrawal, so it is not ready. It uses plain asyncio tasks, so it runs
in any service's loop, Faust's too.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from google.protobuf.message import DecodeError
from prometheus_client import Counter, Gauge

from alerthub import kafka
from alerthub.api.v1.common_pb2 import Bookmark
from alerthub.domain.errors import DeadLetter, Retry
from alerthub.settings import KafkaSettings
from alerthub.telemetry import logger

log = logger(__name__)

BOOKMARK_KEY = b"\x00bookmark"
BOOKMARK_MAXIMUM_AGE_MS = 10_000
_RETRY_SECONDS = 0.5

_records = Counter("alerthub_replica_records_total", "Records read from a compacted topic.", ["topic"])
_undecodable = Counter(
    "alerthub_replica_undecodable_total", "Values that no version of this software wrote.", ["topic"]
)
_age = Gauge(
    "alerthub_replica_bookmark_age_seconds", "Age of the oldest partition's newest bookmark.", ["topic"]
)
_ready = Gauge("alerthub_replica_ready", "1 while the replica may be relied on.", ["topic"])


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class TopicReplacedError(Exception):
    """The topic was deleted and created again: what the replica holds may exist no more."""


class CompactedReplica:
    """Follows `topic` without a consumer group and hands every value to `apply(key, value)`; None is a
    tombstone.

    `apply` refuses an older version of a key itself (VersionedTable does). A value that `apply` cannot decode
    (DeadLetter or DecodeError) is counted, logged by topic and offset, and skipped. Any other error, and a
    topic that was created anew, ends the replica: it is then never ready, and `on_failure` is called, which
    should end the process.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        topic: str,
        *,
        client_id: str,
        apply: Callable[[str, bytes | None], None],
        on_failure: Callable[[BaseException], None] | None = None,
        now_ms: Callable[[], int] = _now_ms,
        on_batch: Callable[[], None] | None = None,
    ) -> None:
        self._settings = settings
        self.topic = topic
        self._client_id = client_id
        self._apply = apply
        self._on_failure = on_failure
        self._on_batch = on_batch
        self._now_ms = now_ms
        self._task: asyncio.Task[None] | None = None
        # By partition; 0 for one that had none.
        self._bookmarks: dict[int, int] = {}
        self._ends: dict[TopicPartition, int] = {}
        self._newest_offsets: dict[int, int] = {}
        self._changed = asyncio.Event()
        self._failure: BaseException | None = None
        self.caught_up = False
        """Everything up to the ends noted at the start was applied. Says nothing of how fresh it is."""
        _age.labels(topic).set_function(lambda: self.bookmark_age_ms() / 1000)
        _ready.labels(topic).set_function(lambda: float(self.ready))

    @property
    def ready(self) -> bool:
        """The gate is open and the newest bookmark of every partition is younger than ten seconds."""
        return self.not_ready_because() is None

    def not_ready_because(self) -> str | None:
        """None when ready, else one sentence; made for the readiness checks of OperationsServer."""
        if self._failure is not None:
            return f"the replica of {self.topic} failed: {type(self._failure).__name__}"
        if not self.caught_up:
            return f"the replica of {self.topic} is still reading"
        if self.bookmark_age_ms() > BOOKMARK_MAXIMUM_AGE_MS:
            return f"the replica of {self.topic} has no bookmark younger than 10 s"
        return None

    def behind_because(self, as_of_ms: int) -> str | None:
        """None when ready and everything that the owner committed until `as_of_ms` is applied, else one
        sentence."""
        reason = self.not_ready_because()
        if reason is None and self.bookmark_ms() < as_of_ms:
            return f"the replica of {self.topic} has yet to hear of what changed lately"
        return reason

    def bookmark_ms(self) -> int:
        """The time up to which everything committed is applied; 0 before every partition had a bookmark."""
        return min(self._bookmarks.values(), default=0)

    def bookmark_age_ms(self) -> int:
        """Milliseconds since the newest bookmark of the partition that has waited longest."""
        return max(0, self._now_ms() - self.bookmark_ms())

    async def start(self) -> None:
        """Begins to read, and returns at once."""
        self._task = asyncio.create_task(self._run(), name=f"replica-{self.topic}")

    async def stop(self) -> None:
        """Ends the reading. The replica is not ready afterwards."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self.caught_up = False

    async def wait_until_caught_up(self) -> None:
        """Returns once what the topic held at the start is applied, however old its bookmarks are."""
        while not self.caught_up:
            self._changed.clear()
            await self._changed.wait()

    async def wait_until_ready(self, timeout_seconds: float, *, as_of_ms: int = 0) -> None:
        """Returns once ready and not behind `as_of_ms`; raises Retry with the reason when the time has
        passed, or at once after a failure.
        """
        try:
            async with asyncio.timeout(timeout_seconds):
                while self.behind_because(as_of_ms) is not None:
                    if self._failure is not None:
                        break
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            pass
        reason = self.behind_because(as_of_ms)
        if reason is not None:
            raise Retry(reason)

    async def _run(self) -> None:
        try:
            consumer = await self._connected()
            try:
                await self._follow(consumer)
            finally:
                await consumer.stop()
        except asyncio.CancelledError:
            raise
        except Exception as error:
            self._failure = error
            self._changed.set()
            log.error("replica_failed", topic=self.topic, exc_info=True)
            if self._on_failure is not None:
                self._on_failure(error)
            raise

    async def _connected(self) -> AIOKafkaConsumer:
        """A consumer at the beginning of every partition, once the broker answers and has the topic."""
        while True:
            consumer = kafka.consumer(self._settings, self.topic, group_id=None, client_id=self._client_id)
            try:
                await consumer.start()
                assigned = consumer.assignment()
                if assigned:
                    self._bookmarks = {each.partition: 0 for each in assigned} | self._bookmarks
                    self._ends = await consumer.end_offsets(list(assigned))
                    return consumer
            except (KafkaError, OSError, TimeoutError) as error:
                log.warning("replica_waits_for_broker", topic=self.topic, error_type=type(error).__name__)
            except BaseException:
                await consumer.stop()
                raise
            await consumer.stop()
            await asyncio.sleep(_RETRY_SECONDS)

    async def _follow(self, consumer: AIOKafkaConsumer) -> None:
        while True:
            try:
                batches = await consumer.getmany(timeout_ms=500, max_records=5_000)
            except KafkaError as error:
                if not error.retriable:
                    raise
                log.warning("replica_waits_for_broker", topic=self.topic, error_type=type(error).__name__)
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            for partition, records in batches.items():
                for record in records:
                    self._take(partition.partition, record.offset, record.key, record.value)
                _records.labels(self.topic).inc(len(records))
            if not self.caught_up:
                await self._note_progress(consumer)
            if batches and self._on_batch is not None:
                self._on_batch()
            self._changed.set()

    async def _note_progress(self, consumer: AIOKafkaConsumer) -> None:
        for partition, end in self._ends.items():
            # The position passes over what compaction removed; offsets of records would not.
            if await consumer.position(partition) < end:
                return
        self.caught_up = True
        log.info("replica_caught_up", topic=self.topic)

    def _take(self, partition: int, offset: int, key: bytes | None, value: bytes | None) -> None:
        if offset <= self._newest_offsets.get(partition, -1):
            # The client began again at the log's start: this is not the topic that was read until now.
            raise TopicReplacedError(self.topic)
        self._newest_offsets[partition] = offset
        try:
            if key == BOOKMARK_KEY:
                self._note_bookmark(partition, value)
            else:
                self._apply((key or b"").decode("utf-8"), value)
        except (DeadLetter, DecodeError, UnicodeDecodeError) as error:
            _undecodable.labels(self.topic).inc()
            log.warning(
                "replica_value_undecodable",
                topic=self.topic,
                partition=partition,
                offset=offset,
                error_type=type(error).__name__,
            )

    def _note_bookmark(self, partition: int, value: bytes | None) -> None:
        if value is not None:
            time_ms = Bookmark.FromString(value).time_ms
            self._bookmarks[partition] = max(time_ms, self._bookmarks.get(partition, 0))


Value = TypeVar("Value")


async def read_to_end(replicas: Sequence[CompactedReplica]) -> None:
    """Has each apply what its topic holds now, and ends it. Waits for a broker that is starting."""
    for replica in replicas:
        await replica.start()
    try:
        for replica in replicas:
            await replica.wait_until_caught_up()
    finally:
        for replica in replicas:
            await replica.stop()


class VersionedTable(Generic[Value]):
    """The newest value of each key. An older or equal version changes nothing, whatever order they come in
    (C9).
    """

    def __init__(
        self,
        decode: Callable[[bytes], tuple[int, Value]],
        *,
        changed: Callable[[str, Value | None], None] | None = None,
    ) -> None:
        """`decode` gives version and value of a record's bytes; `changed` is called after each change."""
        self._decode = decode
        self._changed = changed
        self._values: dict[str, tuple[int, Value]] = {}

    def apply(self, key: str, value: bytes | None) -> None:
        """Made to be CompactedReplica's `apply`. A tombstone removes: it is sent only after the end."""
        if value is None:
            if self._values.pop(key, None) is not None and self._changed is not None:
                self._changed(key, None)
            return
        version, decoded = self._decode(value)
        known = self._values.get(key)
        if known is not None and known[0] >= version:
            return
        self._values[key] = (version, decoded)
        if self._changed is not None:
            self._changed(key, decoded)

    def get(self, key: str) -> Value | None:
        found = self._values.get(key)
        return None if found is None else found[1]

    def version(self, key: str) -> int:
        """The version of the key's value; 0 when there is none."""
        found = self._values.get(key)
        return 0 if found is None else found[0]

    def values(self) -> Iterator[Value]:
        return (value for _, value in self._values.values())

    def items(self) -> Iterator[tuple[str, Value]]:
        return ((key, value) for key, (_, value) in self._values.items())

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, key: str) -> bool:
        return key in self._values
