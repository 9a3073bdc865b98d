"""A database that was restored is older than its topics: what they know of ends and versions is taken over
(C19).

This happens before the service publishes, answers or writes its first bookmark, so correlators stay closed
and nothing is approved until it is done.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from sqlalchemy.ext.asyncio import AsyncEngine

from alerthub import audit, restored
from alerthub.api.v1 import watchlist_pb2
from alerthub.domain import watchlist
from alerthub.domain.watchlist import EntryStatus
from alerthub.outbox import Message, enqueue_all
from alerthub.postgres import transaction
from alerthub.replica import CompactedReplica, VersionedTable, read_to_end
from alerthub.settings import KafkaSettings
from alerthub.telemetry import logger
from services.watchlist import key_store, store
from services.watchlist.key_handlers import ACTOR
from services.watchlist.publication import MATCHING_KEY, Publisher

log = logger(__name__)

_BATCH = 500


@dataclass(frozen=True, slots=True)
class Published:
    """What the topics hold at the service's start: entries' versions and status, the configuration's
    version."""

    entries: dict[str, tuple[int, EntryStatus]]
    matching_version: int


async def read_published(settings: KafkaSettings, *, client_id: str) -> Published:
    """Reads both topics to their ends. Waits for a broker that is starting."""
    entries: VersionedTable[EntryStatus] = VersionedTable(_entry_version)
    configurations: VersionedTable[None] = VersionedTable(_configuration_version)
    replicas = [
        CompactedReplica(settings, "watchlist", client_id=client_id, apply=entries.apply),
        CompactedReplica(settings, "matching", client_id=client_id, apply=configurations.apply),
    ]
    await read_to_end(replicas)
    return Published(
        entries={key: (entries.version(key), status) for key, status in entries.items()},
        matching_version=configurations.version(MATCHING_KEY),
    )


def _entry_version(value: bytes) -> tuple[int, EntryStatus]:
    published = watchlist_pb2.PublishedEntry.FromString(value)
    try:
        return published.version, EntryStatus(published.status)
    except ValueError:
        return published.version, EntryStatus.PROPOSED


def _configuration_version(value: bytes) -> tuple[int, None]:
    return watchlist_pb2.MatchingConfiguration.FromString(value).version, None


async def catch_up(engine: AsyncEngine, publisher: Publisher, published: Published, *, now_ms: int) -> int:
    """Brings the database past the topic; returns how many entries the topic knew newer.

    The database is read after the topic, so another instance that works meanwhile is never taken for newer.
    """
    async with transaction(engine) as connection:
        versions = await store.versions(connection, published.entries)
        newer = [key for key, (version, _) in published.entries.items() if version > versions.get(key, 0)]
        unknown = [key for key in newer if key not in versions]
        awaited = await restored.pending(connection)
        if awaited is not None and not newer:
            await restored.note_applied(
                connection, awaited, actor=ACTOR, detail="the topic knew nothing newer"
            )
    if not newer:
        return 0
    log.error("database_was_restored", newer=len(newer), unknown=len(unknown))
    for batch in _batches([key for key in newer if key in versions]):
        await _take_over(engine, publisher, published, batch, now_ms=now_ms)
    async with transaction(engine) as connection:
        for batch in _batches(unknown):
            # Nobody knows any more why these were listed: they end for everybody, then leave the topic.
            versions_told = {key: published.entries[key][0] + 1 for key in batch}
            await enqueue_all(
                connection,
                [
                    Message("watchlist", key, version, _withdrawn(key, version))
                    for key, version in versions_told.items()
                ],
            )
            await enqueue_all(
                connection,
                [Message("watchlist", key, version + 1, None) for key, version in versions_told.items()],
            )
        await audit.record(
            connection,
            action="RestoredStateFound",
            actor=ACTOR,
            subject=ACTOR,
            detail=f"{len(newer)} entries were newer on the topic, {len(unknown)} of them unknown",
        )
        if awaited is not None:
            detail = f"{len(newer)} entries brought past the topic"
            await restored.note_applied(connection, awaited, actor=ACTOR, detail=detail)
    return len(newer)


async def _take_over(
    engine: AsyncEngine, publisher: Publisher, published: Published, entry_ids: list[str], *, now_ms: int
) -> None:
    async with transaction(engine) as connection:
        matching = await key_store.matching_for_publishing(connection)
        categories = await store.categories(connection)
        publication = publisher.at(matching, now_ms=now_ms)
        messages: list[Message] = []
        for entry_id in entry_ids:
            stored = await store.entry_for_change(connection, entry_id)
            version, status = published.entries[entry_id]
            entry = watchlist.after_restore(
                stored.entry, published_version=version, published_status=status, now_ms=now_ms
            )
            if entry is stored.entry:
                continue
            await store.save(connection, entry, newest_epoch=matching.epochs[-1], on_topic=True)
            value = publication.value(replace(stored, entry=entry), categories[entry.category])
            messages.append(Message("watchlist", entry_id, entry.version, value))
        await enqueue_all(connection, messages)


def _withdrawn(entry_id: str, version: int) -> bytes:
    return watchlist_pb2.PublishedEntry(
        entry_id=entry_id, version=version, status=watchlist_pb2.ENTRY_STATUS_WITHDRAWN
    ).SerializeToString()


def _batches(keys: list[str]) -> Iterable[list[str]]:
    return (keys[start : start + _BATCH] for start in range(0, len(keys), _BATCH))
