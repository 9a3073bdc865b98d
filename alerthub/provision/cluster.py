"""Kafka before any service starts: users, topics and access rules, made equal to the one table."""

from __future__ import annotations

from collections.abc import Mapping

from confluent_kafka.admin import AdminClient

from alerthub import kafka, kafka_administration
from alerthub.provision.changes import Change
from alerthub.settings import KafkaSettings
from alerthub.topics import PERMISSIONS, Permission, TopicSpecification


def ensure_cluster(
    administrator: KafkaSettings,
    passwords: Mapping[str, str],
    *,
    table: Mapping[str, TopicSpecification],
    permissions: tuple[Permission, ...] = PERMISSIONS,
    replace_passwords: bool = False,
) -> list[Change]:
    """Adds missing users with these passwords, and makes topics and access rules equal to the tables.

    `replace_passwords`: users with another password get this one, which costs a sign-in of each.
    Runs again without effect. Raises Retry when Kafka does not answer, Refuse for a topic with another number
    of partitions than the table's.
    """
    with kafka.administrator(administrator) as admin:
        added_users = kafka_administration.add_users(admin, passwords)
        changes = [_change(f"user {name}", "added") for name in added_users]
        if replace_passwords:
            known = {name: password for name, password in passwords.items() if name not in added_users}
            changes += _replace_passwords(admin, administrator, known)
        changes += [
            _change(f"topic {name}", "made as the table says")
            for name in kafka_administration.create_topics(admin, table)
        ]
        added, removed = kafka_administration.apply_permissions(admin, permissions)
    if added:
        changes.append(_change(f"{added} access rules", "added"))
    if removed:
        changes.append(_change(f"{removed} access rules", "removed"))
    return changes


def _replace_passwords(
    admin: AdminClient, settings: KafkaSettings, passwords: Mapping[str, str]
) -> list[Change]:
    wrong = {
        name: password
        for name, password in passwords.items()
        if not kafka_administration.admits(settings.model_copy(update={"username": name}), password)
    }
    kafka_administration.set_passwords(admin, wrong)
    return [_change(f"user {name}", "given its password") for name in wrong]


def _change(subject: str, action: str) -> Change:
    return Change("kafka", subject, action)
