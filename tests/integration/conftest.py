"""Fixtures of the integration tests: real Kafka, real PostgreSQL and a real authority, once a test session.

Session-scoped (started once, 6 s; everything under one temporary folder; gone afterwards, even after kill
-9):

- `infrastructure`: an `Infrastructure` that runs, in processes or, with `--backend=testcontainers`, in
containers. Its topics and access rules are the one table of
`alerthub.topics`.
- `kafka_settings(principal)`: `KafkaSettings` of a principal ("gateway", ... or "admin", who may do
everything).
- `postgres_settings(role)`: `PostgresSettings` of "registry", "watchlist", "dispatch", or "postgres"
(administrator).
- `tls_settings(service)`: `TlsSettings` of a service: its certificate (SAN spiffe://alerthub/service/NAME),
its key, the CA.
- `token_signing_key_file`, `token_verification_key_file`, `authority_key_file`, `ca_file`: paths.
- `service_environment(service, **ports)`: the ALERTHUB_* environment that the supervisor gives a child
process.

Function-scoped:

- `fresh_topics`: empties every topic of the table before the test (records deleted, offsets go on). 50 ms.
Consumers of
  one test start at the log's start with a group of their own: `unique("correlator")` begins with the
  owner's prefix.
- `fresh_schemas`: drops and makes the schemas of all roles again: run your migrations after it.
- `unique(prefix)`: a name that no other test has.
- of itself: a test fails that leaves a client of librdkafka.
- `free_port()`: a port of the loopback that nobody uses.
- `kafka_broker`, `postgres_server`: `.kill()` is kill -9, `.launch()` brings it back and returns when it
answers. Whatever
  a test left dead is brought back after it.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from begun_anew import empty_schemas
from confluent_kafka import TopicPartition

from alerthub import kafka
from alerthub.embedded.environment import service_environment as environment_of
from alerthub.embedded.folder import HubFolder
from alerthub.embedded.infrastructure import Infrastructure
from alerthub.embedded.kafka_node import KafkaNode
from alerthub.embedded.postgres_node import PostgresNode
from alerthub.embedded.processes import free_ports
from alerthub.provision import pki
from alerthub.provision.broker import ADMINISTRATOR
from alerthub.provision.database import ROLES
from alerthub.settings import KafkaSettings, PostgresSettings, TlsSettings
from alerthub.topics import TOPICS


@pytest.fixture(scope="session")
def infrastructure(
    tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> Iterator[Infrastructure]:
    folder = HubFolder(tmp_path_factory.mktemp("hub"))
    if pytestconfig.getoption("--backend") == "testcontainers":
        from container_nodes import ContainerKafka, ContainerPostgres  # needs an engine that answers

        running = Infrastructure(folder, kafka_node=ContainerKafka, postgres_node=ContainerPostgres)
    else:
        running = Infrastructure(folder)
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def kafka_settings(infrastructure: Infrastructure) -> Callable[[str], KafkaSettings]:
    return infrastructure.kafka_settings


@pytest.fixture(scope="session")
def postgres_settings(infrastructure: Infrastructure) -> Callable[[str], PostgresSettings]:
    return infrastructure.postgres_settings


@pytest.fixture(scope="session")
def tls_settings(infrastructure: Infrastructure) -> Callable[[str], TlsSettings]:
    return infrastructure.tls_settings


@pytest.fixture(scope="session")
def token_signing_key_file(infrastructure: Infrastructure) -> Path:
    return pki.token_signing_key_file(infrastructure.folder)


@pytest.fixture(scope="session")
def token_verification_key_file(infrastructure: Infrastructure) -> Path:
    return pki.token_verification_key_file(infrastructure.folder)


@pytest.fixture(scope="session")
def authority_key_file(infrastructure: Infrastructure) -> Path:
    return pki.authority_key_file(infrastructure.folder)


@pytest.fixture(scope="session")
def ca_file(infrastructure: Infrastructure) -> Path:
    return infrastructure.folder.ca_file


@pytest.fixture(scope="session")
def service_environment(infrastructure: Infrastructure) -> Callable[..., dict[str, str]]:
    def environment(service: str, **values: str) -> dict[str, str]:
        return {
            **environment_of(
                infrastructure.folder,
                service,
                kafka=infrastructure.kafka_settings(service),
                postgres_port=infrastructure.postgres_settings("").port,
            ),
            **values,
        }

    return environment


@pytest.fixture(autouse=True)
def no_client_of_librdkafka_is_left() -> Iterator[None]:
    """Whoever makes one closes it: one that is there when a process ends can take it down."""
    yield
    names = []
    for path in Path("/proc/self/task").glob("*/comm"):
        with suppress(FileNotFoundError, ProcessLookupError):  # of a thread that has just ended
            names.append(path.read_text().strip())
    assert [name for name in names if name.startswith("rdk:")] == []


@pytest.fixture
def unique() -> Callable[[str], str]:
    return lambda prefix: f"{prefix}-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def free_port() -> Callable[[], int]:
    given: set[int] = set()

    def one() -> int:
        # Asked together, they differ from each other; those given earlier may not be bound yet.
        port = next(port for port in free_ports(len(given) + 1) if port not in given)
        given.add(port)
        return port

    return one


@pytest.fixture
def fresh_topics(infrastructure: Infrastructure) -> None:
    everything = [
        TopicPartition(topic.name, partition, -1)  # -1: up to the end
        for topic in TOPICS.values()
        # Kafka deletes no records from topics that are only compacted; their values have unique ids in tests.
        if "delete" in topic.cleanup.value
        for partition in range(topic.partitions)
    ]
    with kafka.administrator(infrastructure.kafka_settings(ADMINISTRATOR)) as admin:
        for future in admin.delete_records(everything).values():
            future.result(timeout=30)


@pytest.fixture
def fresh_schemas(infrastructure: Infrastructure) -> None:
    empty_schemas(infrastructure, ROLES)


@pytest.fixture
def kafka_broker(infrastructure: Infrastructure) -> Iterator[KafkaNode]:
    yield infrastructure.kafka
    if not infrastructure.kafka.is_alive():
        infrastructure.kafka.launch()


@pytest.fixture
def postgres_server(infrastructure: Infrastructure) -> Iterator[PostgresNode]:
    yield infrastructure.postgres
    if not infrastructure.postgres.is_alive():
        infrastructure.postgres.launch()
