"""The Faust application: its settings, and a consumer whose buffers are bounded in bytes."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any, cast

import faust
from faust.auth import SASLCredentials
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage
from mode.supervisors import CrashingSupervisor

from alerthub.settings import KafkaSettings
from alerthub.topics import CHANGELOG, TOPICS
from services.correlator import metrics
from services.correlator.settings import CorrelatorSettings
from services.correlator.state import StateTable

APPLICATION_ID = "correlator"
"""The consumer group, and the beginning of the changelog's name."""
OBSERVATIONS = "observations"
_EMPTY_BATCH_BYTES = 4_096
"""What a waiting record costs beside its value."""


class Budget:
    """The bytes of batches that wait to be applied. Full: partitions are paused until half of it is free
    (C4)."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._waiting = 0
        self._paused: set[TP] = set()
        self.consumer: BoundedConsumer | None = None

    def take(self, tp: TP, size: int) -> None:
        """A batch of `size` bytes arrived; its partition is paused while the budget is full."""
        self._waiting += max(size, _EMPTY_BATCH_BYTES)
        metrics.BUFFERED_BYTES.set(self._waiting)
        if self._waiting >= self._limit and self.consumer is not None:
            self._paused.add(tp)
            self.consumer.on_buffer_full(tp)

    def release(self, size: int) -> None:
        """A batch was applied."""
        self._waiting = max(0, self._waiting - max(size, _EMPTY_BATCH_BYTES))
        metrics.BUFFERED_BYTES.set(self._waiting)
        if self._paused and self._waiting <= self._limit // 2 and self.consumer is not None:
            paused, self._paused = self._paused, set()
            for tp in paused:
                self.consumer.on_buffer_drop(tp)

    def reset(self) -> None:
        """The assignment changed: Faust threw away what waited."""
        self._waiting = 0
        self._paused = set()

    @property
    def waiting(self) -> int:
        return self._waiting


class BoundedConsumer(driver.Consumer):
    """Counts what it hands over against the application's budget, and reads again what Faust threw away.

    Faust pauses by the number of records, which says nothing of their size: a catch-up would fill the memory.
    """

    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self._budget = cast(CorrelatorApplication, self.app).budget
        self._budget.consumer = self

    def _to_message(self, tp: TP, record: Any) -> ConsumerMessage:
        message = super()._to_message(tp, record)
        if tp.topic == OBSERVATIONS:
            self._budget.take(tp, len(message.value or b""))
        return message

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Goes back to what is committed; where nothing is yet, to the log's beginning.

        Faust throws away what it fetched while its state was being recovered and relies on this to read it
        again. aiokafka leaves a partition without a committed offset where it is: those batches would be lost.
        """
        committed = await super().seek_to_committed()
        never = [tp for tp, offset in committed.items() if tp.topic == OBSERVATIONS and not offset]
        if never:
            await self._thread.seek_to_beginning(*never)
        return committed

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        self._budget.reset()
        self._buffered_partitions.clear()
        await super().on_partitions_assigned(assigned, generation_id)


class BoundedTransport(driver.Transport):
    """Faust's transport with the bounded consumer."""

    Consumer = BoundedConsumer


class CorrelatorApplication(faust.App):
    """Faust's application with a byte budget. It writes nothing to the disk."""

    budget: Budget

    def _create_directories(self) -> None:
        """State lives in Kafka; a container's root is read-only."""

    def _new_transport(self) -> driver.Transport:
        return BoundedTransport(self.conf.broker_consumer, self)


def credentials(settings: KafkaSettings) -> SASLCredentials:
    """SCRAM always; over TLS where an authority is given (S1)."""
    context = None
    if settings.ca_file is not None:
        context = ssl.create_default_context(cafile=str(settings.ca_file))
    return SASLCredentials(
        username=settings.username,
        password=settings.password(),
        mechanism="SCRAM-SHA-256",
        ssl_context=context,
    )


def build_application(settings: CorrelatorSettings) -> CorrelatorApplication:
    """The application, not started. Topics are never created: the one table does that (S1)."""
    client = f"{settings.service}-{settings.instance}"
    application = CorrelatorApplication(
        APPLICATION_ID,
        broker=";".join(f"kafka://{address.strip()}" for address in settings.kafka.bootstrap.split(",")),
        broker_client_id=client,
        broker_credentials=credentials(settings.kafka),
        broker_session_timeout=settings.session_seconds,
        broker_heartbeat_interval=min(3.0, settings.session_seconds / 3),
        broker_request_timeout=20.0,
        broker_rebalance_timeout=30.0,
        broker_max_poll_interval=300.0,
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=2 * 1_024 * 1_024,
        producer_acks=-1,
        producer_linger=0,
        producer_compression_type=None,
        producer_max_request_size=2 * 1_024 * 1_024,
        producer_request_timeout=120.0,
        topic_allow_declare=False,
        topic_disable_leader=True,
        topic_partitions=TOPICS[CHANGELOG].partitions,
        store="memory://",
        table_standby_replicas=0,
        # Records are counted in bytes by the budget; by number the queue must never fill (Faust would block).
        stream_buffer_maxsize=65_536,
        # A batch is acknowledged by a checkpoint: nobody waits for acknowledgements when partitions go.
        stream_wait_empty=False,
        stream_recovery_delay=0.0,
        agent_supervisor=CrashingSupervisor,
        web_enabled=False,
        # Members of one group need different names, also on one host.
        canonical_url=f"http://{client}.invalid",
    )
    application.budget = Budget(settings.buffer_bytes)
    return application


def build_table(application: faust.App) -> StateTable:
    """The table `state`: its changelog is `correlator-state-changelog`, partitioned as `observations`."""
    table = StateTable(
        application,
        name="state",
        key_type=bytes,
        value_type=bytes,
        partitions=TOPICS[CHANGELOG].partitions,
        help="What the correlator remembers of each partition.",
    )
    application.tables.add(table)
    return table


def raw_topic(application: faust.App, name: str) -> faust.TopicT:
    """A topic whose keys and values are bytes: what cannot be decoded is then ours to put aside (C2)."""
    return application.topic(
        name, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw"
    )
