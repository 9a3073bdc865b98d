"""The transactional outbox: what a transaction decides reaches Kafka if and only if it commits (C9).

`enqueue` writes a row in the caller's transaction. The relay of one instance, elected by an advisory lock,
selects what is unsent, never what lies after a remembered number (a transaction that commits late would be
skipped for ever), sends it, waits for the broker's acknowledgement and deletes it. A crash in between sends
again: values carry versions, and consumers refuse an older one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from alembic.operations import Operations
from prometheus_client import Counter, Gauge
from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    DateTime,
    Identity,
    LargeBinary,
    MetaData,
    Table,
    Text,
    func,
    text,
)
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from alerthub.api.v1.common_pb2 import Bookmark
from alerthub.domain.errors import Refuse, Retry
from alerthub.postgres import schema_lock, transaction
from alerthub.replica import BOOKMARK_KEY
from alerthub.telemetry import logger

log = logger(__name__)

CHANNEL = "outbox of "
"""Of notifications, before the schema's name: all services share the database, and with one channel each
would be woken by every other's transactions."""
MAXIMUM_VALUE_BYTES = 1_000_000
"""Below the smallest message limit of a compacted topic, so a row that was written can always be sent."""
_BATCH_ROWS = 500
_BATCH_BYTES = 8 * 1024 * 1024
"""What a pass holds in memory, however large its rows are."""
_STALE_SECONDS = 10.0
LOCK = schema_lock("alerthub outbox")

_sent = Counter("alerthub_outbox_sent_total", "Rows that the broker acknowledged.", ["topic"])
_failures = Counter(
    "alerthub_outbox_failures_total", "Passes that ended without the broker's acknowledgement."
)
_unsent = Gauge("alerthub_outbox_unsent_rows", "Rows of the last pass that are not sent yet.")
_bookmarks = Counter("alerthub_outbox_bookmarks_total", "Bookmarks published.", ["topic"])


def outbox_table(metadata: MetaData) -> Table:
    """The table `outbox` of a service's schema."""
    return Table(
        "outbox",
        metadata,
        Column("row_number", BigInteger, Identity(always=True), primary_key=True),
        Column("topic", Text, nullable=False),
        Column("record_key", Text, nullable=False),
        Column("value", LargeBinary, nullable=True, comment="protobuf; null is a tombstone"),
        Column("version", BigInteger, nullable=False),
        Column("enqueued_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    )


_outbox = outbox_table(MetaData())


def create_outbox(op: Operations) -> None:
    """For a service's first migration: `create_outbox(op)`.

    It is part of versions that have run: a change is another function, called by a newer version.
    """
    outbox_table(MetaData()).create(op.get_bind())


@dataclass(frozen=True, slots=True)
class Message:
    """One value for Kafka; None is a tombstone."""

    topic: str
    key: str
    version: int
    value: bytes | None


HeadersOf = Callable[[Message], Sequence[tuple[str, bytes]]]


async def enqueue(
    connection: AsyncConnection, *, topic: str, key: str, value: bytes | None, version: int
) -> None:
    """Sends `value` (None: a tombstone) to `topic` under `key` once the connection's transaction commits.

    Call it while holding the aggregate's row lock: that is what orders a key's versions.
    Refuses a value that no compacted topic takes.
    """
    await enqueue_all(connection, [Message(topic, key, version, value)])


async def enqueue_all(connection: AsyncConnection, messages: Sequence[Message]) -> None:
    """`enqueue` for several, in one statement."""
    for message in messages:
        if message.value is not None and len(message.value) > MAXIMUM_VALUE_BYTES:
            raise Refuse(message.topic, f"a value of at most {MAXIMUM_VALUE_BYTES} bytes")
    if messages:
        await connection.execute(
            _ENQUEUE,
            {
                "topics": [message.topic for message in messages],
                "keys": [message.key for message in messages],
                "values": [message.value for message in messages],
                "versions": [message.version for message in messages],
                "channel": CHANNEL,
            },
        )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class OutboxRelay:
    """Sends the outbox. Any number of instances may run; one at a time sends.

    `check` is a readiness check. `current_as_of_ms` is the newest time up to which this instance knows that
    everything committed is on Kafka; bookmarks carry it.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        producer: AIOKafkaProducer,
        *,
        poll_seconds: float = 0.5,
        batch_bytes: int = _BATCH_BYTES,
        now_ms: Callable[[], int] = _now_ms,
        headers: HeadersOf | None = None,
    ) -> None:
        """`poll_seconds` is the wait when no notification comes; while the listener is down it is 50 ms.
        `headers` gives each record its headers; without it there are none."""
        self._engine = engine
        self._producer = producer
        self._poll_seconds = poll_seconds
        self._batch_bytes = batch_bytes
        self._now_ms = now_ms
        self._headers = headers
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.listening = False
        self._last_pass = 0.0
        self.passes = 0
        self.current_as_of_ms = 0
        self.sent_count = 0

    async def start(self) -> None:
        self._last_pass = time.monotonic()
        self._tasks = [
            asyncio.create_task(self._listen(), name="outbox-listen"),
            asyncio.create_task(self._relay(), name="outbox-relay"),
        ]

    async def stop(self) -> None:
        """Ends at once. What was not acknowledged stays, and is sent again after the next start."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def check(self) -> str | None:
        """None while passes succeed, else the reason."""
        waited = time.monotonic() - self._last_pass
        return None if waited < _STALE_SECONDS else f"the outbox has sent nothing for {int(waited)} s"

    async def _listen(self) -> None:
        while True:
            try:
                async with self._engine.connect() as connection:
                    try:
                        await self._hold_listener(connection)
                    finally:
                        self.listening = False
                        # Back in the pool it would still listen.
                        await connection.invalidate()
            except Exception as error:  # noqa: BLE001 - without a listener the poll is short: slower, not wrong
                log.warning("outbox_listener_lost", error_type=type(error).__name__)
            await asyncio.sleep(0.5)

    async def _hold_listener(self, connection: AsyncConnection) -> None:
        driver = (await connection.get_raw_connection()).driver_connection
        if driver is None:
            return
        # Asked of the driver: SQLAlchemy would begin a transaction, and one listens only after its end.
        schema = await driver.fetchval("SELECT current_schema()")
        await driver.add_listener(f"{CHANNEL}{schema}", self._notified)
        self.listening = True
        # What was committed before the listener was there has woken nobody.
        self._wake.set()
        lost = asyncio.Event()
        driver.add_termination_listener(lambda _: lost.set())
        if not driver.is_closed():
            await lost.wait()

    def _notified(self, *_: object) -> None:
        self._wake.set()

    async def _relay(self) -> None:
        while True:
            self._wake.clear()
            try:
                more = await self._pass()
                self.passes += 1
                self._last_pass = time.monotonic()
            except (KafkaError, SQLAlchemyError, Retry, OSError, TimeoutError) as error:
                _failures.inc()
                log.warning("outbox_pass_failed", error_type=type(error).__name__)
                await asyncio.sleep(0.25)
                continue
            except Exception:
                # A relay that ended would look like one that has nothing to send.
                _failures.inc()
                log.exception("outbox_pass_broke")
                await asyncio.sleep(1.0)
                continue
            if not more:
                try:
                    async with asyncio.timeout(self._poll_seconds if self.listening else 0.05):
                        await self._wake.wait()
                except TimeoutError:
                    pass

    async def _pass(self) -> bool:
        """Sends one batch; True when there may be more. The lock ends with the transaction."""
        began_ms = self._now_ms()
        async with transaction(self._engine) as connection:
            taken = await connection.execute(_TAKE, {"rows": _BATCH_ROWS, "bytes": self._batch_bytes})
            found = taken.all()
            if not found[0].elected:
                return False
            rows = [row for row in found if row.row_number is not None]
            _unsent.set(rows[0].waiting if rows else 0)
            if rows:
                # What the broker does not take raises, and the rows are back.
                await send_in_order(
                    self._producer,
                    [Message(row.topic, row.record_key, row.version, row.value) for row in rows],
                    headers=self._headers,
                )
                self.sent_count += len(rows)
        left = rows[0].waiting - len(rows) if rows else 0
        _unsent.set(left)
        more = left > 0 or len(rows) == _BATCH_ROWS
        if not more:
            self.current_as_of_ms = began_ms
        return more


_ENQUEUE = text(
    "INSERT INTO outbox (topic, record_key, value, version) "
    "SELECT * FROM unnest(CAST(:topics AS text[]), CAST(:keys AS text[]), CAST(:values AS bytea[]), "
    # PostgreSQL delivers notifications at commit, and several of one transaction as one.
    "CAST(:versions AS bigint[])) RETURNING pg_notify(:channel || current_schema(), '')"
)


def _written_out(expression: ColumnElement[int]) -> str:
    return str(expression.compile(compile_kwargs={"literal_binds": True}))


_TAKE = text(
    # A deletion that a crash takes back is sent again, which changes nothing: not worth a disk flush.
    "WITH candidate AS MATERIALIZED (SELECT "  # noqa: S608 - nothing in it comes from outside
    f"{_written_out(func.pg_try_advisory_xact_lock(LOCK))} AS elected, "
    "set_config('synchronous_commit', 'off', true) AS setting), "
    "oldest AS (SELECT row_number, coalesce(octet_length(value), 0) AS size FROM outbox "
    "WHERE (SELECT elected FROM candidate) ORDER BY row_number LIMIT :rows), "
    "measured AS (SELECT row_number, sum(size) OVER (ORDER BY row_number) AS bytes, "
    "row_number() OVER (ORDER BY row_number) AS place FROM oldest), "
    "taken AS (DELETE FROM outbox USING measured WHERE outbox.row_number = measured.row_number "
    # The first one always, or it would wait for ever.
    "AND (bytes <= :bytes OR place = 1) "
    "RETURNING outbox.*, (SELECT count(*) FROM oldest) AS waiting) "
    "SELECT elected, taken.* FROM candidate LEFT JOIN taken ON true ORDER BY row_number"
)
"""Elects, and takes the oldest rows that fit into a batch; one row without a number where there are none.
What the transaction does not commit is there again. What the instance that was elected before took and
committed meanwhile, this statement may still see, but not delete."""


async def send_in_order(
    producer: AIOKafkaProducer, messages: Sequence[Message], *, headers: HeadersOf | None = None
) -> None:
    """Sends the messages, each key's in order of version, and returns when the broker has acknowledged all.

    Raises KafkaError when it did not; then any of them may be on the topic, and all must be sent again.
    """
    # A stable sort: messages of different keys keep the order in which they were enqueued where versions are
    # equal.
    ordered = sorted(messages, key=lambda message: message.version)
    acknowledgements = [
        await producer.send(
            message.topic,
            message.value,
            key=message.key.encode(),
            headers=None if headers is None else headers(message),
        )
        for message in ordered
    ]
    await asyncio.gather(*acknowledgements)
    for message in ordered:
        _sent.labels(message.topic).inc()


class BookmarkPublisher:
    """Each second puts a bookmark on every partition of the topics that this service owns (C9).

    The bookmark carries the time up to which everything committed is on Kafka, as the relay knows it, so it
    grows old while the relay cannot send, and an instance that does not send publishes none.
    """

    def __init__(
        self,
        producer: AIOKafkaProducer,
        topics: Iterable[str],
        relay: OutboxRelay,
        *,
        every_seconds: float = 1.0,
    ) -> None:
        self._producer = producer
        self._topics = tuple(topics)
        self._relay = relay
        self._every_seconds = every_seconds
        self._published_ms = 0
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="bookmarks")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            try:
                await self.publish()
            except Exception as error:  # noqa: BLE001 - the bookmark's age tells every reader
                log.warning("bookmark_not_published", error_type=type(error).__name__)
            await asyncio.sleep(self._every_seconds)

    async def publish(self) -> bool:
        """Publishes once; False when the relay knows nothing newer than the last bookmark."""
        time_ms = self._relay.current_as_of_ms
        if time_ms <= self._published_ms:
            return False
        value = Bookmark(time_ms=time_ms, count=self._relay.sent_count).SerializeToString()
        acknowledgements = []
        for topic in self._topics:
            for partition in sorted(await self._producer.partitions_for(topic)):
                acknowledgements.append(
                    await self._producer.send(topic, value, key=BOOKMARK_KEY, partition=partition)
                )
            _bookmarks.labels(topic).inc()
        await asyncio.gather(*acknowledgements)
        self._published_ms = time_ms
        return True
