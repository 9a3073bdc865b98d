"""A service that begins anew: an empty schema beside topics that are not empty would be a restored one
(C19)."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from alerthub import kafka, kafka_administration
from alerthub.embedded.infrastructure import Infrastructure
from alerthub.provision.broker import ADMINISTRATOR
from alerthub.provision.database import DATABASE
from alerthub.topics import TOPICS


def empty_schemas(infrastructure: Infrastructure, roles: Iterable[str]) -> None:
    """Makes the roles' schemas again, with nothing in them."""
    infrastructure.postgres.execute(
        "SET client_min_messages = warning;\n"
        + "\n".join(
            f"DROP SCHEMA IF EXISTS {role} CASCADE; CREATE SCHEMA {role} AUTHORIZATION {role};"
            for role in roles
        ),
        database=DATABASE,
    )


def begin_anew(infrastructure: Infrastructure, role: str, topics: Sequence[str]) -> None:
    """Makes the role's schema and its topics again, empty."""
    empty_schemas(infrastructure, [role])
    with kafka.administrator(infrastructure.kafka_settings(ADMINISTRATOR)) as admin:
        present = admin.list_topics(timeout=10).topics
        for future in admin.delete_topics([name for name in topics if name in present]).values():
            future.result(timeout=30)
        deadline = time.monotonic() + 20
        while set(topics) & set(admin.list_topics(timeout=10).topics):
            assert time.monotonic() < deadline, "the topics are still there"
            time.sleep(0.05)
        kafka_administration.create_topics(admin, TOPICS)
