"""Entries that end take their open alerts with them (refusal 7, C8).

The tail of `watchlist` is applied to `entry_status` in order, its position in the same transaction; the row
lock is the one that raising and confirming take. The end of validity needs no message.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from google.protobuf.message import DecodeError
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from alerthub import kafka, kafka_positions, loops, postgres
from alerthub.api.v1 import watchlist_pb2
from alerthub.api.v1.common_pb2 import Bookmark
from alerthub.domain import alert_life
from alerthub.domain.errors import Retry
from alerthub.domain.reasons import Reason
from alerthub.postgres import sql
from alerthub.replica import BOOKMARK_KEY, BOOKMARK_MAXIMUM_AGE_MS
from alerthub.settings import KafkaSettings
from alerthub.telemetry import logger
from services.dispatch.metrics import WITHDRAWN
from services.dispatch.work import ACTOR, Surroundings, Work, working

log = logger(__name__)

TOPIC = "watchlist"
_BATCH_RECORDS = 2_000
_EXPIRY_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class EntryChange:
    """A version of an entry; `gone`: its tombstone, which comes only after the entry's end."""

    entry_id: str
    version: int
    active: bool
    valid_until_ms: int
    gone: bool = False


def entry_change(key: str, value: bytes | None) -> EntryChange:
    """The change that a record of `watchlist` is. Raises DecodeError."""
    if value is None:
        return EntryChange(key, 0, active=False, valid_until_ms=0, gone=True)
    entry = watchlist_pb2.PublishedEntry.FromString(value)
    return EntryChange(
        key,
        entry.version,
        active=entry.status == watchlist_pb2.ENTRY_STATUS_ACTIVE,
        valid_until_ms=entry.valid_until_ms,
    )


class Entries:
    """Applies changes of entries, and cancels what stood on those that ended."""

    def __init__(self, database: AsyncEngine, surroundings: Surroundings) -> None:
        self._database = database
        self._surroundings = surroundings

    async def apply(
        self, changes: Sequence[EntryChange], *, topic_id: str, partition: int, next_offset: int
    ) -> None:
        """One transaction: the entries' rows, the cancellations, the position. Older versions change
        nothing."""
        newest: dict[str, EntryChange] = {}
        for change in changes:
            known = newest.get(change.entry_id)
            if known is None or change.gone or change.version > known.version:
                newest[change.entry_id] = change
        async with working(self._database, self._surroundings) as work:
            ended = await self._put(work, [newest[key] for key in sorted(newest)])
            await self._cancel(work, ended, "withdrawn")
            await work.connection.execute(
                sql(
                    "INSERT INTO topic_position (topic, partition, topic_id, next_offset) "
                    "VALUES (:topic, :partition, :topic_id, :next) ON CONFLICT (topic, partition) DO "
                    "UPDATE SET "
                    "topic_id = excluded.topic_id, next_offset = CASE WHEN topic_position.topic_id = "
                    "excluded.topic_id THEN greatest(topic_position.next_offset, excluded.next_offset) "
                    "ELSE excluded.next_offset END"
                ),
                {"topic": TOPIC, "partition": partition, "topic_id": topic_id, "next": next_offset},
            )

    async def position(self, topic_id: str, partition: int) -> int:
        """Where to go on; 0 for a topic that was created anew."""
        async with working(self._database, self._surroundings) as work:
            found = await work.connection.scalar(
                sql(
                    "SELECT next_offset FROM topic_position WHERE topic = :topic AND partition = :partition "
                    "AND topic_id = :topic_id"
                ),
                {"topic": TOPIC, "partition": partition, "topic_id": topic_id},
            )
        return int(found or 0)

    async def cancel_ended(self) -> int:
        """Cancels open alerts whose entry has ended, by message or by its validity; returns how many."""
        async with working(self._database, self._surroundings) as work:
            rows = await work.connection.execute(
                sql(
                    "SELECT DISTINCT e.entry_id FROM alert AS a JOIN entry_status AS e ON e.entry_id "
                    "= a.entry_id "
                    "WHERE a.status IN ('awaiting_confirmation', 'dispatching', 'accepted', 'escalated') "
                    "AND (NOT e.active OR e.valid_until_ms <= :now)"
                ),
                {"now": work.now_ms},
            )
            ended = [row.entry_id for row in rows]
            if not ended:
                return 0
            await work.store.lock_entries(dict.fromkeys(ended, (0, 0)))
            return await self._cancel(work, ended, "expired")

    @staticmethod
    async def _put(work: Work, changes: Sequence[EntryChange]) -> list[str]:
        """Writes newer versions; returns the entries that are not in force any more."""
        values = [change for change in changes if not change.gone]
        if values:
            await work.connection.execute(
                sql(
                    "INSERT INTO entry_status AS known (entry_id, version, active, valid_until_ms) "
                    "SELECT e, v, a, u FROM unnest(CAST(:ids AS text[]), CAST(:versions AS bigint[]), "
                    "CAST(:active AS boolean[]), CAST(:untils AS bigint[])) AS given (e, v, a, u) ORDER BY e "
                    "ON CONFLICT (entry_id) DO UPDATE SET version = excluded.version, active = "
                    "excluded.active, "
                    "valid_until_ms = excluded.valid_until_ms WHERE known.version < excluded.version"
                ),
                {
                    "ids": [each.entry_id for each in values],
                    "versions": [each.version for each in values],
                    "active": [each.active for each in values],
                    "untils": [each.valid_until_ms for each in values],
                },
            )
        gone = [change.entry_id for change in changes if change.gone]
        if gone:
            await work.connection.execute(
                sql("UPDATE entry_status SET active = false WHERE entry_id = ANY(:ids) AND active"),
                {"ids": gone},
            )
        return [each.entry_id for each in changes if not each.active]

    @staticmethod
    async def _cancel(work: Work, entry_ids: Iterable[str], cause: str) -> int:
        alert_ids = await work.store.open_alerts_of_entries(entry_ids)
        found = await work.store.alerts(alert_ids)
        count = 0
        for stored in found.values():
            reason = Reason.ENTRY_WITHDRAWN if cause == "withdrawn" else Reason.ENTRY_ENDED
            change = alert_life.cancel(
                work.take(stored), reason=reason.value, actor=ACTOR, now_ms=work.now_ms
            )
            count += bool(change.events)
            work.apply(change)
        WITHDRAWN.labels(cause).inc(count)
        return count


class EntryTail:
    """Follows `watchlist` from where the database says, and looks for ended validity twice a second.

    `check` is a readiness check: not ready while the newest bookmark is older than ten seconds (C9).
    """

    def __init__(
        self,
        settings: KafkaSettings,
        entries: Entries,
        *,
        client_id: str,
        on_failure: loops.OnFailure = loops.ignore,
    ) -> None:
        self._on_failure = on_failure
        self._settings = settings
        self._entries = entries
        self._client_id = client_id
        self._tasks: list[asyncio.Task[None]] = []
        self._bookmarks: dict[int, int] = {}
        self._partitions: list[TopicPartition] = []
        self._caught_up = False

    def check(self) -> str | None:
        if not self._caught_up:
            return "the watchlist topic is still being applied"
        newest = min((self._bookmarks.get(each.partition, 0) for each in self._partitions), default=0)
        if time.time_ns() // 1_000_000 - newest > BOOKMARK_MAXIMUM_AGE_MS:
            return "the watchlist topic has no bookmark younger than 10 s"
        return None

    async def start(self) -> None:
        self._tasks = [
            loops.begin(self._run(), name="watchlist-tail", on_failure=self._on_failure),
            loops.begin(
                loops.repeat(
                    self._entries.cancel_ended,
                    every_seconds=_EXPIRY_SECONDS,
                    waiting_event="entry_expiry_waits",
                    waits_out=postgres.ERRORS,
                ),
                name="entry-expiry",
                on_failure=self._on_failure,
            ),
        ]

    async def stop(self) -> None:
        await loops.end(*self._tasks)

    async def _run(self) -> None:
        while True:
            consumer = kafka.consumer(self._settings, group_id=None, client_id=self._client_id)
            try:
                await consumer.start()
                await self._follow(consumer)
            except (KafkaError, Retry, SQLAlchemyError, OSError, TimeoutError, LookupError) as error:
                log.warning("watchlist_tail_waits", error_type=type(error).__name__)
            finally:
                await consumer.stop()
            self._caught_up = False
            await asyncio.sleep(0.5)

    async def _follow(self, consumer: AIOKafkaConsumer) -> None:
        # A consumer that subscribes to nothing knows no topic's partitions: the description says both.
        topic_id, numbers = await kafka_positions.describe(self._settings, TOPIC)
        self._partitions = [TopicPartition(TOPIC, number) for number in numbers]
        if not self._partitions:
            raise LookupError(TOPIC)
        consumer.assign(self._partitions)
        ends = await consumer.end_offsets(self._partitions)
        for partition in self._partitions:
            known = await self._entries.position(topic_id, partition.partition)
            consumer.seek(partition, min(known, ends[partition]))
        while True:
            batches = await consumer.getmany(timeout_ms=500, max_records=_BATCH_RECORDS)
            for partition, records in batches.items():
                changes = [
                    change for record in records if (change := self._change(partition, record)) is not None
                ]
                if changes:
                    await self._entries.apply(
                        changes,
                        topic_id=topic_id,
                        partition=partition.partition,
                        next_offset=records[-1].offset + 1,
                    )
            if not self._caught_up:
                reached = [await consumer.position(each) >= end for each, end in ends.items()]
                self._caught_up = all(reached)

    def _change(self, partition: TopicPartition, record: object) -> EntryChange | None:
        key: bytes = getattr(record, "key", None) or b""
        value: bytes | None = getattr(record, "value", None)
        try:
            if key == BOOKMARK_KEY:
                time_ms = Bookmark.FromString(value or b"").time_ms
                known = self._bookmarks.get(partition.partition, 0)
                self._bookmarks[partition.partition] = max(known, time_ms)
                return None
            return entry_change(key.decode(), value)
        except (DecodeError, UnicodeDecodeError):
            log.exception("watchlist_value_undecodable", offset=getattr(record, "offset", -1))
            return None
