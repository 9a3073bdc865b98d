"""Wires the watchlist. Nothing else does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

from aiokafka.errors import KafkaError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from alerthub import kafka, postgres, witness_webhook
from alerthub.api.v1 import watchlist_pb2
from alerthub.audit import AuditSequencer
from alerthub.audit_api import AuditServicer
from alerthub.audit_signing import HeadSigner
from alerthub.grpc import GrpcServer, serve
from alerthub.http import OperationsServer
from alerthub.identity import RevocationList, TokenVerifier
from alerthub.keys import FileKeyProvider
from alerthub.outbox import BookmarkPublisher, Message, OutboxRelay
from alerthub.postgres_watch import DatabaseWatch
from alerthub.process import Parts
from alerthub.replica import CompactedReplica
from alerthub.republisher import Republisher
from alerthub.telemetry import logger
from services.watchlist import key_store, store
from services.watchlist.grpc_api import KeyServicer, WatchlistServicer
from services.watchlist.handlers import EntryHandlers, now_ms
from services.watchlist.jobs import Jobs
from services.watchlist.key_handlers import KeyHandlers
from services.watchlist.openings import OpeningHandlers
from services.watchlist.publication import MATCHING_KEY, Publisher, matching_value
from services.watchlist.restore import catch_up, read_published
from services.watchlist.settings import WatchlistSettings

log = logger(__name__)

AUDIENCE = "watchlist"
OFFICERS_AUDIENCE = "push"
OWNED_TOPICS = ("watchlist", "matching")
REVOCATIONS = "revocations"
BROKER_WAIT_SECONDS = 60.0


class Service:
    """The watchlist: `start`, `stop`, and `failed`, which ends when the process should."""

    def __init__(self, settings: WatchlistSettings) -> None:
        self._settings = settings
        self._client_id = f"watchlist-{settings.instance}"
        self._engine = postgres.engine(settings.postgres)
        self._keys = FileKeyProvider(settings.keys_folder)
        self._publisher = Publisher(self._keys)
        self._producer = kafka.producer(settings.kafka, client_id=self._client_id)
        self._revocations = RevocationList()
        self._parts = Parts()
        self.key_handlers = KeyHandlers(self._engine, self._keys, settings.timing())
        self.jobs = Jobs(
            self._engine,
            self._keys,
            self.key_handlers,
            retention_ms=settings.timing().retention_ms,
            alert_keys_days=settings.alert_keys_days,
        )
        self.entries_republisher: Republisher
        self.operations: OperationsServer | None = None
        self.grpc: GrpcServer | None = None

    async def start(self) -> None:
        """Migrates, makes the first keys, then listens. Raises what stands in the way."""
        settings = self._settings
        self._parts.open()
        await postgres.migrate(settings.postgres, "services.watchlist")
        self._parts.on_stop(self._engine.dispose)
        # Before anything is published, answered or given: a database older than its topics is found now
        # (C19).
        published = await read_published(settings.kafka, client_id=self._client_id)
        await self.key_handlers.prepare_first(published_version=published.matching_version)
        await catch_up(self._engine, self._publisher, published, now_ms=now_ms())
        await self._start_producer()
        self.operations = OperationsServer(settings, await self._start_parts())
        await self._parts.begin(self.operations)
        self.grpc = await serve(
            settings,
            self._servicers(),
            audience=AUDIENCE,
            revocations=self._revocations,
        )
        self._parts.on_stop(self.grpc.stop)

    async def _start_producer(self) -> None:
        """Waits for a broker that is starting, or whose access rules have not reached it yet."""
        deadline = time.monotonic() + BROKER_WAIT_SECONDS
        while True:
            try:
                await self._producer.start()
            except (KafkaError, OSError) as error:
                await self._producer.stop()
                if time.monotonic() > deadline:
                    raise
                log.warning("broker_awaited", error_type=type(error).__name__)
                await asyncio.sleep(0.5)
                self._producer = kafka.producer(self._settings.kafka, client_id=self._client_id)
            else:
                self._parts.on_stop(self._producer.stop)
                return

    def _servicers(self) -> Sequence[object]:
        verification_key = self._settings.token_verification_key_file
        openings = OpeningHandlers(
            self._engine,
            self._keys,
            cap=self._settings.opening_cap(),
            officers=TokenVerifier.from_file(
                verification_key, audience=OFFICERS_AUDIENCE, revocations=self._revocations
            ),
            persons=TokenVerifier.from_file(
                verification_key, audience=AUDIENCE, revocations=self._revocations
            ),
        )
        return (
            WatchlistServicer(
                EntryHandlers(self._engine, self._keys, has_left=self._revocations.has_left), openings
            ),
            KeyServicer(self.key_handlers),
            AuditServicer(self._engine),
        )

    async def _start_parts(self) -> dict[str, Callable[[], str | None]]:
        """Outbox, bookmarks, republishers, revocations, audit, jobs; returns the readiness checks."""
        settings = self._settings
        database = postgres.DatabaseCheck(self._engine)
        watch = DatabaseWatch(self._engine)
        relay = OutboxRelay(self._engine, self._producer)
        bookmarks = BookmarkPublisher(self._producer, OWNED_TOPICS, relay)
        sequencer = AuditSequencer(
            self._engine,
            signer=HeadSigner.from_tls(settings.tls),
            witness_file=settings.witness_file,
            webhook=witness_webhook.from_settings(settings),
        )
        revocations = CompactedReplica(
            settings.kafka,
            REVOCATIONS,
            client_id=self._client_id,
            apply=self._revocations.apply,
            on_failure=self._parts.fail,
        )
        self.entries_republisher = entries = self._republisher(
            "watchlist",
            version_of=lambda value: watchlist_pb2.PublishedEntry.FromString(value).version,
            versions=store.versions_on_topic,
            values=self._entry_messages,
        )
        matching = self._republisher(
            "matching",
            version_of=lambda value: watchlist_pb2.MatchingConfiguration.FromString(value).version,
            versions=_matching_versions,
            values=_matching_messages,
        )
        parts = (database, watch, relay, sequencer, revocations, entries, matching, self.jobs)
        for part in parts:
            await self._parts.begin(part)
        # After a Kafka that was lost: no gate opens before the topics have what the database has (C19).
        for republisher in (entries, matching):
            await republisher.wait_until_begun()
        await self._parts.begin(bookmarks)
        return {
            "database": database,
            "outbox": relay.check,
            "audit": sequencer.check,
            "keys": self.key_handlers.check,
            "jobs": self.jobs.check,
            "revocations": revocations.not_ready_because,
            "topic_watchlist": entries.check,
            "topic_matching": matching.check,
        }

    def _republisher(
        self,
        topic: str,
        *,
        version_of: Callable[[bytes], int],
        versions: Callable[[AsyncConnection], Awaitable[dict[str, int]]],
        values: Callable[[AsyncConnection, Sequence[str]], Awaitable[Sequence[Message]]],
    ) -> Republisher:
        return Republisher(
            self._settings.kafka,
            self._engine,
            self._producer,
            topic,
            client_id=self._client_id,
            version_of=version_of,
            versions=versions,
            values=values,
            on_failure=self._parts.fail,
        )

    async def _entry_messages(
        self, connection: AsyncConnection, entry_ids: Sequence[str]
    ) -> Sequence[Message]:
        matching = await key_store.matching_for_publishing(connection)
        categories = await store.categories(connection)
        publication = self._publisher.at(matching, now_ms=now_ms())
        return [
            Message(
                "watchlist",
                stored.entry.entry_id,
                stored.entry.version,
                publication.value(stored, categories[stored.entry.category]),
            )
            for stored in await store.entries_by_id(connection, entry_ids)
        ]

    async def failed(self) -> BaseException:
        """Returns when a part ended that only a restart mends."""
        return await self._parts.failed()

    async def stop(self) -> None:
        """Ends everything in the reverse order of its start."""
        await self._parts.stop()

    @property
    def engine(self) -> AsyncEngine:
        return self._engine


async def _matching_versions(connection: AsyncConnection) -> dict[str, int]:
    state = await key_store.matching_state(connection)
    return {} if state is None else {MATCHING_KEY: state.matching.in_force.version}


async def _matching_messages(connection: AsyncConnection, _: Sequence[str]) -> Sequence[Message]:
    state = await key_store.matching_state(connection)
    if state is None:
        return []
    value = matching_value(state.matching, active_from_ms=state.active_from_ms)
    return [Message("matching", MATCHING_KEY, state.matching.in_force.version, value)]


def build(settings: WatchlistSettings) -> Service:
    """The watchlist, wired and not started. Raises OSError for a folder of keys that cannot be used."""
    return Service(settings)
