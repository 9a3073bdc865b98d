"""What the watchlist does by the clock: ends entries, moves epochs, destroys keys, forgets what has had its
time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from alerthub import audit
from alerthub.domain import watchlist
from alerthub.domain.errors import AlertHubError
from alerthub.domain.matching import Step
from alerthub.keys import KeyProvider
from alerthub.outbox import Message, enqueue_all
from alerthub.postgres import transaction
from alerthub.telemetry import logger
from services.watchlist import key_store, metrics, store
from services.watchlist.handlers import now_ms
from services.watchlist.key_handlers import ACTOR, KeyHandlers
from services.watchlist.publication import Publisher
from services.watchlist.settings import MINUTE_MS

log = logger(__name__)

BATCH = 500
DAY_MS = 24 * 3_600_000
_STALE_MS = 30_000


class Jobs:
    """Runs every second. Any number of instances may run: rows are locked, and what is done is done once."""

    def __init__(
        self,
        engine: AsyncEngine,
        keys: KeyProvider,
        key_handlers: KeyHandlers,
        *,
        retention_ms: int,
        alert_keys_days: int,
        every_seconds: float = 1.0,
        clock_ms: Callable[[], int] = now_ms,
    ) -> None:
        self._engine = engine
        self._publisher = Publisher(keys)
        self._key_handlers = key_handlers
        self._retention_ms = retention_ms
        self._alert_keys_days = alert_keys_days
        self._every_seconds = every_seconds
        self._now_ms = clock_ms
        self._task: asyncio.Task[None] | None = None
        self._last_round_ms = 0
        self._last_forgetting_ms = 0
        self._unmatched = False

    async def start(self) -> None:
        self._last_round_ms = self._now_ms()
        self._task = asyncio.create_task(self._run(), name="watchlist-jobs")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def check(self) -> str | None:
        """A readiness check: a round without a failure within half a minute."""
        waited_ms = self._now_ms() - self._last_round_ms
        if waited_ms >= _STALE_MS:
            return f"entries have not been ended and keyed for {waited_ms // 1000} s"
        if self._unmatched:
            return "not every active entry carries the tokens of the epoch in force yet"
        return None

    async def _run(self) -> None:
        while True:
            if await self.round():
                self._last_round_ms = self._now_ms()
            await asyncio.sleep(self._every_seconds)

    async def round(self) -> bool:
        """One round of everything; whether all of it worked. A part that fails does not keep the others
        back."""
        parts: tuple[Callable[[], Awaitable[object]], ...] = (
            self.end_overdue,
            self._key_handlers.renew_recipient,
            self._key_handlers.destroy_due,
            self._advance,
            self.key_again,
            self._look_for_unmatched,
            self.remove_ended,
            self.forget,
        )
        worked = True
        for part in parts:
            try:
                await part()
            except (AlertHubError, SQLAlchemyError, OSError, TimeoutError) as error:
                worked = False
                log.warning("job_failed", job=part.__name__, error_type=type(error).__name__)
        return worked

    async def end_overdue(self) -> int:
        """Entries whose date has come are expired, and that is published at once (refusal 7)."""
        time_ms = self._now_ms()
        ended = 0
        while True:
            async with transaction(self._engine) as connection:
                matching = await key_store.matching_for_publishing(connection)
                categories = await store.categories(connection)
                found = await store.overdue(connection, now_ms=time_ms, limit=BATCH)
                publication = self._publisher.at(matching, now_ms=time_ms)
                messages: list[Message] = []
                for stored in found:
                    expired = watchlist.expire(stored.entry, now_ms=time_ms)
                    await store.save(connection, expired)
                    if stored.on_topic:
                        value = publication.value(
                            replace(stored, entry=expired), categories[expired.category]
                        )
                        messages.append(Message("watchlist", expired.entry_id, expired.version, value))
                    await audit.record(
                        connection, action="EntryExpired", actor=ACTOR, subject=f"entry:{expired.entry_id}"
                    )
                    metrics.changes.labels("expired", expired.category).inc()
                await enqueue_all(connection, messages)
            ended += len(found)
            if len(found) < BATCH:
                return ended

    async def _advance(self) -> None:
        # A mask may have to come into force after an epoch, or the reverse: never more than a few steps at
        # once.
        for _ in range(4):
            step = await self._key_handlers.advance()
            if step is Step.NOTHING:
                return
            if step is Step.OUTGOING_ENDED:
                await self._key_handlers.forget_unused_masks()
            await self.key_again()

    async def _look_for_unmatched(self) -> None:
        async with transaction(self._engine) as connection:
            matching = await key_store.matching_for_publishing(connection)
            self._unmatched = await store.lacks(connection, matching.in_force.epoch.name)

    async def key_again(self) -> int:
        """Publishes every active entry that lacks the newest epoch's tokens with them."""
        keyed = 0
        while True:
            time_ms = self._now_ms()
            async with transaction(self._engine) as connection:
                matching = await key_store.matching_for_publishing(connection)
                epoch = matching.epochs[-1]
                categories = await store.categories(connection)
                found = await store.without_epoch(connection, epoch, limit=BATCH)
                publication = self._publisher.at(matching, now_ms=time_ms)
                # A new version, or replicas would keep the value that they have (C9).
                newer = [
                    replace(stored, entry=replace(stored.entry, version=stored.entry.version + 1))
                    for stored in found
                ]
                await store.note_keyed(connection, [stored.entry for stored in newer], epoch=epoch)
                await enqueue_all(
                    connection,
                    [
                        Message(
                            "watchlist",
                            stored.entry.entry_id,
                            stored.entry.version,
                            publication.value(stored, categories[stored.entry.category]),
                        )
                        for stored in newer
                    ],
                )
            keyed += len(found)
            metrics.keyed_again.inc(len(found))
            if len(found) < BATCH:
                return keyed

    async def remove_ended(self) -> int:
        """Turns values of ended entries into tombstones once nothing that they ended can still be on its way
        (C8)."""
        async with transaction(self._engine) as connection:
            found = await store.ended_on_topic(
                connection, ended_before_ms=self._now_ms() - self._retention_ms, limit=BATCH
            )
            removable = [
                stored.entry
                for stored in found
                if watchlist.may_be_forgotten_on_the_topic(
                    stored.entry, now_ms=self._now_ms(), settling_ms=self._retention_ms
                )
            ]
            for entry in removable:
                await store.save(connection, entry, on_topic=False)
            await enqueue_all(
                connection,
                [Message("watchlist", entry.entry_id, entry.version + 1, None) for entry in removable],
            )
        return len(removable)

    async def forget(self) -> None:
        """Each minute: alerts' keys, looks, commands and gateways that have had their time."""
        time_ms = self._now_ms()
        if time_ms < self._last_forgetting_ms + MINUTE_MS:
            return
        async with transaction(self._engine) as connection:
            destroyed = await key_store.forget_old(
                connection,
                alert_keys_before_ms=time_ms - self._alert_keys_days * DAY_MS,
                openings_before_ms=time_ms - DAY_MS,
                commands_before_ms=time_ms - DAY_MS,
                gateways_before_ms=time_ms - key_store.FORGET_GATEWAY_AFTER_MS,
            )
        metrics.keys_destroyed.labels("alert").inc(destroyed)
        self._last_forgetting_ms = time_ms
