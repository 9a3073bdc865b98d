"""Wires dispatch. Nothing else does."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy.ext.asyncio import AsyncEngine

from alerthub import kafka, postgres, witness_webhook
from alerthub.alert_events import AlertEventTail
from alerthub.audit import AuditSequencer
from alerthub.audit_api import AuditServicer
from alerthub.audit_signing import HeadSigner
from alerthub.evidence import EvidenceStore
from alerthub.grpc import GrpcServer, serve, service_channel
from alerthub.http import OperationsServer
from alerthub.identity import RevocationList
from alerthub.kafka_watch import KafkaWatch, topics_of
from alerthub.outbox import OutboxRelay
from alerthub.postgres_watch import DatabaseWatch
from alerthub.process import Parts
from alerthub.replica import CompactedReplica
from alerthub.telemetry import logger
from alerthub.tracing import traces_of
from services.dispatch import restore, spans
from services.dispatch.consumer import GROUPS, Decode, RaisedConsumer, call_decoder, decode_alert
from services.dispatch.entries import Entries, EntryTail
from services.dispatch.fleet import Fleet
from services.dispatch.grpc_api import DeliveryApi, DispatchApi
from services.dispatch.handlers import Handlers
from services.dispatch.housekeeping import Housekeeping
from services.dispatch.intake import Intake
from services.dispatch.metrics import DEGRADED
from services.dispatch.queries import Queries
from services.dispatch.sealing import Sealing
from services.dispatch.settings import DispatchSettings
from services.dispatch.standing import Standing
from services.dispatch.timers import Timers
from services.dispatch.unit_queries import UnitQueries
from services.dispatch.work import Surroundings

log = logger(__name__)

AUDIENCE = "dispatch"
_POOL_SIZE = 14
"""Each loop of this service (two consumers, relay, listener, tail, timers, sealing, audit) holds one at
times."""

Check = Callable[[], str | None]


class Service:
    """Dispatch: `start`, `stop`, and `failed`, which ends when the process should."""

    def __init__(self, settings: DispatchSettings) -> None:
        self._settings = settings
        self._client_id = f"dispatch-{settings.instance}"
        pool = settings.postgres.model_copy(
            update={"pool_size": max(_POOL_SIZE, settings.postgres.pool_size)}
        )
        self._engine = postgres.engine(pool)
        self._producer = kafka.producer(settings.kafka, client_id=self._client_id)
        self._revocations = RevocationList()
        self._parts = Parts()
        self.fleet = Fleet(settings, client_id=self._client_id, on_failure=self._parts.fail)
        self._traces = traces_of(settings)
        self._surroundings = Surroundings(self.fleet, settings.deadline_times(), self._traces)
        self.entries = Entries(self._engine, self._surroundings)
        self.timers = Timers(
            self._engine,
            self._surroundings,
            grace_ms=settings.outage_grace_ms,
            on_failure=self._parts.fail,
        )
        self._evidence = EvidenceStore(settings.evidence_url)
        self.housekeeping = Housekeeping(
            self._engine,
            self._evidence,
            raised_kept_days=settings.raised_kept_days,
            evidence_kept_days=settings.evidence_kept_days,
            on_failure=self._parts.fail,
        )
        self.intake = Intake(self._engine, self._surroundings)
        self.handlers = Handlers(
            self._engine,
            self._surroundings,
            precision_floor=settings.precision_floor,
            has_left=self._revocations.has_left,
        )
        self.queries = Queries(self._engine, precision_floor=settings.precision_floor)
        self.operations: OperationsServer | None = None
        self.grpc: GrpcServer | None = None

    @property
    def engine(self) -> AsyncEngine:
        return self._engine

    async def start(self) -> None:
        """Migrates, reads the replicas, then takes alerts and listens. Raises what stands in the way."""
        settings = self._settings
        self._parts.open()
        if self._traces is not None:
            await self._parts.begin(self._traces)
        await postgres.migrate(settings.postgres, "services.dispatch")
        self._parts.on_stop(self._engine.dispose)
        await self._producer.start()
        self._parts.on_stop(self._producer.stop)
        # Before anything is taken, told or answered: a database that was restored is found now (C19).
        read_again_from_ms = await restore.catch_up(
            self._engine,
            self._surroundings,
            self._evidence,
            settings.kafka,
            client_id=f"{self._client_id}-restore",
        )
        channel = service_channel(settings, settings.addresses.watchlist)
        self._parts.on_stop(channel.close)
        sealing = Sealing(
            self._engine,
            self._surroundings,
            self._evidence,
            channel,
            timeout_seconds=settings.sealing_timeout_seconds,
            gives_up_after_seconds=settings.sealing_gives_up_after_seconds,
            on_failure=self._parts.fail,
        )
        DEGRADED.labels("watchlist").set_function(lambda: float(sealing.check() is not None))
        tail = AlertEventTail(
            settings.kafka, client_id=f"{self._client_id}-events", on_failure=self._parts.fail
        )
        checks = await self._start_parts(sealing, tail, read_again_from_ms)
        self.operations = OperationsServer(settings, checks)
        await self._parts.begin(self.operations)
        self.grpc = await serve(
            settings,
            [
                DispatchApi(
                    self.handlers,
                    self.queries,
                    UnitQueries(self._engine, self.fleet),
                    sealing,
                    tail,
                ),
                DeliveryApi(self.handlers, self.queries, sealing),
                AuditServicer(self._engine),
            ],
            audience=AUDIENCE,
            revocations=self._revocations,
        )
        self._parts.on_stop(self.grpc.stop)

    async def _start_parts(
        self, sealing: Sealing, tail: AlertEventTail, read_again_from_ms: int | None
    ) -> dict[str, Check]:
        """Everything that runs by itself; returns the readiness checks. Watchlist being away degrades sealing
        and is told by a metric: alerts go on without."""
        settings = self._settings
        database = postgres.DatabaseCheck(self._engine)
        watch = DatabaseWatch(self._engine)
        relay = OutboxRelay(
            self._engine,
            self._producer,
            headers=None if self._traces is None else spans.headers_of_event,
        )
        sequencer = AuditSequencer(
            self._engine,
            signer=HeadSigner.from_tls(settings.tls),
            witness_file=settings.witness_file,
            webhook=witness_webhook.from_settings(settings),
        )
        revocations = CompactedReplica(
            settings.kafka,
            "revocations",
            client_id=f"{self._client_id}-revocations",
            apply=self._revocations.apply,
            on_failure=self._parts.fail,
        )
        entry_tail = EntryTail(
            settings.kafka,
            self.entries,
            client_id=f"{self._client_id}-watchlist",
            on_failure=self._parts.fail,
        )
        standing = Standing(self._engine)
        kafka_watch = KafkaWatch(settings.kafka, topics=topics_of(AUDIENCE), groups=GROUPS)
        for part in (
            database,
            watch,
            kafka_watch,
            relay,
            sequencer,
            revocations,
            self.fleet,
            entry_tail,
            tail,
            sealing,
            standing,
        ):
            await self._parts.begin(part)
        # An alert that came before the units are known would be escalated for want of them.
        await self.fleet.wait_until_read()
        alerts = self._consumer("alerts", decode_alert, sealing, read_again_from_ms)
        calls = self._consumer("calls", call_decoder(self.fleet), sealing, read_again_from_ms)
        for each in (alerts, calls, self.timers, self.housekeeping):
            await self._parts.begin(each)
        return {
            "database": database,
            "outbox": relay.check,
            "audit": sequencer.check,
            "alerts": alerts.check,
            "calls": calls.check,
            "fleet": self.fleet.check,
            "watchlist_entries": entry_tail.check,
            "alert_events": tail.check,
            "revocations": revocations.not_ready_because,
        }

    def _consumer(
        self, topic: str, decode: Decode, sealing: Sealing, read_again_from_ms: int | None
    ) -> RaisedConsumer:
        return RaisedConsumer(
            self._settings.kafka,
            topic,
            client_id=f"{self._client_id}-{topic}",
            decode=decode,
            intake=self.intake,
            producer=self._producer,
            batch_records=self._settings.batch_records,
            on_sealing=sealing.begin,
            read_again_from_ms=read_again_from_ms,
            on_failure=self._parts.fail,
        )

    async def failed(self) -> BaseException:
        """Returns when a part ended that only a restart mends."""
        return await self._parts.failed()

    async def stop(self) -> None:
        """Ends everything in the reverse order of its start."""
        await self._parts.stop()


def build(settings: DispatchSettings) -> Service:
    """Dispatch, wired and not started."""
    return Service(settings)
