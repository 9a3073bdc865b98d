"""The owner of a compacted topic tails it and publishes again where topic and database differ (C9, C19).

A late write of a relay that had lost its lock, or a Kafka that was lost and built anew, leaves the topic
behind the database. Nobody else can see that, so the owner compares, at its start and every minute.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from aiokafka import AIOKafkaProducer
from prometheus_client import Counter, Gauge
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from alerthub.outbox import LOCK, Message, send_in_order
from alerthub.postgres import transaction
from alerthub.replica import CompactedReplica
from alerthub.settings import KafkaSettings
from alerthub.telemetry import logger

log = logger(__name__)

VersionsInDatabase = Callable[[AsyncConnection], Awaitable[dict[str, int]]]
"""Every key that the topic must have, with its current version."""
ValuesInDatabase = Callable[[AsyncConnection, Sequence[str]], Awaitable[Sequence[Message]]]
"""The current messages of these keys."""

_BATCH_KEYS = 500

_republished = Counter("alerthub_republished_total", "Values published again.", ["topic"])
_compared_as_of = Gauge(
    "alerthub_topic_compared_as_of_seconds",
    "When the newest whole comparison of a topic with the database began, seconds since 1970.",
    ["topic"],
)
_ahead = Gauge(
    "alerthub_topic_ahead_keys", "Keys whose version on the topic is above the database's.", ["topic"]
)


@dataclass(frozen=True, slots=True)
class Difference:
    """How topic and database differ: keys that the topic lacks or has older, and the reverse."""

    behind: tuple[str, ...]
    ahead: tuple[str, ...]


def difference(topic: dict[str, int], database: dict[str, int]) -> Difference:
    """Compares versions by key. A key that only the topic has counts as ahead."""
    return Difference(
        behind=tuple(key for key, version in database.items() if topic.get(key, 0) < version),
        ahead=tuple(key for key, version in topic.items() if version > database.get(key, 0)),
    )


class Republisher:
    """Compares topic and database at its start and every `every_seconds`, and sends what the topic lacks.

    It never publishes below the topic's version: a topic that is ahead means a database that was restored
    (C19), which is reported by `check` and by metric and left to people.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        engine: AsyncEngine,
        producer: AIOKafkaProducer,
        topic: str,
        *,
        client_id: str,
        version_of: Callable[[bytes], int],
        versions: VersionsInDatabase,
        values: ValuesInDatabase,
        every_seconds: float = 60.0,
        lag_seconds: float = 2.0,
        on_failure: Callable[[BaseException], None] | None = None,
    ) -> None:
        self._engine = engine
        self._producer = producer
        self._topic = topic
        self._version_of = version_of
        self._versions = versions
        self._values = values
        self._every_seconds = every_seconds
        self._lag_seconds = lag_seconds
        self.comparisons = 0
        self._on_topic: dict[str, int] = {}
        self._ahead: tuple[str, ...] = ()
        self._begun = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._replica = CompactedReplica(
            settings, topic, client_id=client_id, apply=self._note, on_failure=on_failure
        )

    def _note(self, key: str, value: bytes | None) -> None:
        if value is None:
            self._on_topic.pop(key, None)
        else:
            # What a new replica would read is the last value, not the highest version: that is what must be
            # right.
            self._on_topic[key] = self._version_of(value)

    def check(self) -> str | None:
        """None, or that the topic knows newer versions than the database."""
        if not self._ahead:
            return None
        return f"{self._topic} has {len(self._ahead)} keys newer than the database: was that one restored?"

    async def start(self) -> None:
        await self._replica.start()
        self._task = asyncio.create_task(self._run(), name=f"republisher-{self._topic}")

    async def wait_until_begun(self) -> None:
        """Returns once the topic is none that was created anew and has yet to get what the database has.

        A bookmark before that would open every replica's gate on nothing.
        """
        await self._begun.wait()

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._replica.stop()

    async def _run(self) -> None:
        await self._replica.wait_until_caught_up()
        if self._on_topic:
            self._begun.set()
        while True:
            try:
                await self.compare_and_publish()
                self._begun.set()
            except Exception:
                # The next comparison finds what this one left.
                log.exception("republishing_failed", topic=self._topic)
            await asyncio.sleep(self._every_seconds)

    async def compare_and_publish(self) -> int:
        """One comparison; returns how many values were sent again."""
        began = time.time()
        async with transaction(self._engine) as connection:
            found = difference(self._on_topic, await self._versions(connection))
        if found.behind or found.ahead:
            # Most differences are only on their way; what is left after the lag is one.
            await asyncio.sleep(self._lag_seconds)
            found = await self._publish_differences()
        self._ahead = found.ahead
        self.comparisons += 1
        _compared_as_of.labels(self._topic).set(began)
        _ahead.labels(self._topic).set(len(found.ahead))
        if found.ahead:
            log.error("topic_ahead_of_database", topic=self._topic, keys=len(found.ahead))
        return len(found.behind)

    async def _publish_differences(self) -> Difference:
        async with transaction(self._engine) as connection:
            # While this holds the outbox's lock no relay sends, so no older value can come after a newer one.
            await connection.execute(select(func.pg_advisory_xact_lock(LOCK)))
            found = difference(self._on_topic, await self._versions(connection))
            for start in range(0, len(found.behind), _BATCH_KEYS):
                keys = found.behind[start : start + _BATCH_KEYS]
                messages = await self._values(connection, keys)
                await send_in_order(self._producer, messages)
                _republished.labels(self._topic).inc(len(messages))
            if found.behind:
                log.warning("values_published_again", topic=self._topic, values=len(found.behind))
            return found
