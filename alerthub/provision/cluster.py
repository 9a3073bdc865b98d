"""Kafka before any service starts: users, topics and access rules, made equal to the one table."""

from __future__ import annotations

from collections.abc import Mapping

from alerthub import kafka
from alerthub.provision.changes import Change
from alerthub.settings import KafkaSettings
from alerthub.topics import PERMISSIONS, Permission, TopicSpecification


def ensure_cluster(
    administrator: KafkaSettings,
    passwords: Mapping[str, str],
    *,
    table: Mapping[str, TopicSpecification],
    permissions: tuple[Permission, ...] = PERMISSIONS,
) -> list[Change]:
    """Adds missing users with these passwords, and makes topics and access rules equal to the tables.

    Runs again without effect. Raises Retry when Kafka does not answer, Refuse for a topic with another number
    of partitions than the table's.
    """
    admin = kafka.administrator(administrator)
    changes = [_change(f"user {name}", "added") for name in kafka.add_users(admin, passwords)]
    changes += [
        _change(f"topic {name}", "made as the table says") for name in kafka.create_topics(admin, table)
    ]
    added, removed = kafka.apply_permissions(admin, permissions)
    if added:
        changes.append(_change(f"{added} access rules", "added"))
    if removed:
        changes.append(_change(f"{removed} access rules", "removed"))
    return changes


def _change(subject: str, action: str) -> Change:
    return Change("kafka", subject, action)
