"""The Faust application: its settings, its table and its topics."""

from __future__ import annotations

import ssl

import faust
from faust.auth import SASLCredentials
from faust.transport.drivers import aiokafka as driver
from mode.supervisors import CrashingSupervisor

from alerthub.settings import KafkaSettings
from services.correlator.consumer import Budget, SequentialConsumer
from services.correlator.settings import CorrelatorSettings
from services.correlator.state import StateTable

APPLICATION_ID = "correlator"
"""The consumer group, and the beginning of the changelog's name."""


class SequentialTransport(driver.Transport):
    """Faust's transport with our consumer."""

    Consumer = SequentialConsumer


class CorrelatorApplication(faust.App):
    """Faust's application with a byte budget. It writes nothing to the disk."""

    budget: Budget

    def _create_directories(self) -> None:
        """State lives in Kafka; a container's root is read-only."""

    def _new_transport(self) -> driver.Transport:
        return SequentialTransport(self.conf.broker_consumer, self)


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
        topic_partitions=settings.partitions,
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
        partitions=application.conf.topic_partitions,
        help="What the correlator remembers of each partition.",
    )
    application.tables.add(table)
    return table


def raw_topic(application: faust.App, name: str) -> faust.TopicT:
    """A topic whose keys and values are bytes: what cannot be decoded is then ours to put aside (C2)."""
    return application.topic(
        name, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw"
    )
