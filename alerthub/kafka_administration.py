"""Makes a cluster of Kafka equal to the one table: its users, topics and access rules."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

# The package re-exports these without telling type checkers, so they come from where they are defined.
from confluent_kafka.admin._acl import AclBinding, AclBindingFilter, AclOperation, AclPermissionType
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType
from confluent_kafka.admin._scram import ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion
from confluent_kafka.cimpl import NewTopic

from alerthub.domain.errors import Refuse, Retry
from alerthub.kafka import administrator
from alerthub.settings import KafkaSettings
from alerthub.topics import Operation, Permission, TopicSpecification

_TIMEOUT_SECONDS = 30.0
_SCRAM_ITERATIONS = 4_096
"""As Kafka's own tools; the passwords are random and long."""


def add_users(admin: AdminClient, passwords: Mapping[str, str]) -> list[str]:
    """Makes the users that the broker does not know yet; returns their names. Known ones stay as they are."""
    known = _wait({"users": admin.describe_user_scram_credentials()}, "reading the users")["users"]
    missing = sorted(set(passwords) - set(known))
    set_passwords(admin, {name: passwords[name] for name in missing})
    return missing


def set_passwords(admin: AdminClient, passwords: Mapping[str, str]) -> None:
    """Gives users these passwords; who is connected stays so."""
    if passwords:
        info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, _SCRAM_ITERATIONS)
        _wait(
            admin.alter_user_scram_credentials(
                [
                    UserScramCredentialUpsertion(name, info, password.encode())
                    for name, password in passwords.items()
                ]
            ),
            "setting passwords",
        )


def admits(settings: KafkaSettings, password: str) -> bool:
    """Whether Kafka takes this user with this password. Retry when it does not answer."""
    refused: list[KafkaError] = []

    def note(error: KafkaError) -> None:
        if error.code() == KafkaError._AUTHENTICATION:
            refused.append(error)

    with administrator(settings, **{"sasl.password": password, "error_cb": note}) as client:
        deadline = time.monotonic() + _TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            try:
                client.list_topics(timeout=0.5)
            except KafkaException:
                client.poll(0)
                if refused:
                    return False
            else:
                return True
    raise Retry("Kafka did not answer whether it knows a user")


def create_topics(admin: AdminClient, table: Mapping[str, TopicSpecification]) -> list[str]:
    """Makes the cluster's topics equal to the table and returns the names of those that it created or
    changed.

    Runs again without effect. A topic whose number of partitions differs is refused: moving districts
    between partitions would part a district from its state.
    """
    present = admin.list_topics(timeout=_TIMEOUT_SECONDS).topics
    for name, specification in table.items():
        if name in present and len(present[name].partitions) != specification.partitions:
            raise Refuse(
                f"topics.{name}.partitions",
                f"{len(present[name].partitions)}, as it was created with: fixed for the topic's life",
            )
    missing = [specification for name, specification in table.items() if name not in present]
    if missing:
        _wait(
            admin.create_topics(
                [
                    NewTopic(
                        topic.name,
                        num_partitions=topic.partitions,
                        replication_factor=topic.replicas,
                        config=topic.config(),
                    )
                    for topic in missing
                ],
                operation_timeout=_TIMEOUT_SECONDS,
            ),
            "creating topics",
        )
        names = {topic.name for topic in missing}
        _wait_until(lambda: _have_leaders(admin, names), "waiting for the topics' leaders")
    kept = [specification for name, specification in table.items() if name in present]
    return [topic.name for topic in missing] + _alter_differing(admin, kept)


def _have_leaders(admin: AdminClient, names: set[str]) -> bool:
    topics = admin.list_topics(timeout=_TIMEOUT_SECONDS).topics
    return names <= topics.keys() and all(
        partition.leader >= 0 for name in names for partition in topics[name].partitions.values()
    )


def _alter_differing(admin: AdminClient, topics: list[TopicSpecification]) -> list[str]:
    if not topics:
        return []
    described = _wait(
        admin.describe_configs([ConfigResource(ConfigResource.Type.TOPIC, topic.name) for topic in topics]),
        "reading the configuration of topics",
    )
    actual = {resource.name: entries for resource, entries in described.items()}
    changes: dict[str, ConfigResource] = {}
    for topic in topics:
        differing = [
            ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
            for name, value in topic.config().items()
            if name not in actual[topic.name] or actual[topic.name][name].value != value
        ]
        if differing:
            changes[topic.name] = ConfigResource(
                ConfigResource.Type.TOPIC, topic.name, incremental_configs=differing
            )
    if changes:
        _wait(admin.incremental_alter_configs(list(changes.values())), "changing the configuration of topics")
    return list(changes)


def access_rules(table: Iterable[Permission]) -> set[AclBinding]:
    """The table as Kafka's access rules: literal topics and prefixed groups, allowed from every host."""
    rules: set[AclBinding] = set()
    for permission in table:
        operation = AclOperation.READ if permission.operation is Operation.READ else AclOperation.WRITE
        rules.add(
            _allow(
                permission.principal,
                ResourceType.TOPIC,
                permission.topic,
                ResourcePatternType.LITERAL,
                operation,
            )
        )
        if permission.group_prefix is not None:
            rules.add(
                _allow(
                    permission.principal,
                    ResourceType.GROUP,
                    permission.group_prefix,
                    ResourcePatternType.PREFIXED,
                    AclOperation.READ,
                )
            )
    return rules


def _allow(
    principal: str,
    resource: ResourceType,
    name: str,
    pattern: ResourcePatternType,
    operation: AclOperation,
) -> AclBinding:
    return AclBinding(resource, name, pattern, f"User:{principal}", "*", operation, AclPermissionType.ALLOW)


def apply_permissions(admin: AdminClient, table: Iterable[Permission]) -> tuple[int, int]:
    """Makes the access rules equal to the table; returns how many were added and how many removed.

    A rule is removed when the table does not have it and it concerns one of the table's principals or opens
    one of its topics to anybody. Rules of other tenants on their own topics are left alone.
    """
    permissions = tuple(table)
    wanted = access_rules(permissions)
    principals = {f"User:{permission.principal}" for permission in permissions}
    topics = {permission.topic for permission in permissions}
    present = _rules(admin)
    surplus = {
        rule
        for rule in present - wanted
        if rule.principal in principals or any(_opens(rule, topic) for topic in topics)
    }
    missing = wanted - present
    if surplus:
        _wait(admin.delete_acls([_exactly(rule) for rule in surplus]), "removing access rules")
    if missing:
        _wait(admin.create_acls(list(missing)), "adding access rules")
    if missing or surplus:
        # The controller has accepted them; the broker acts on them when it has caught up.
        _wait_until(
            lambda: (rules := _rules(admin)) >= wanted and not rules & surplus,
            "waiting for the broker to know the access rules",
        )
    return len(missing), len(surplus)


def _rules(admin: AdminClient) -> set[AclBinding]:
    future = admin.describe_acls(_every_rule())
    return set(_wait({None: future}, "reading access rules")[None])


def _every_rule() -> AclBindingFilter:
    anything: Any = None  # what the filter takes for "any", though its hints say text
    return AclBindingFilter(
        ResourceType.ANY,
        anything,
        ResourcePatternType.ANY,
        anything,
        anything,
        AclOperation.ANY,
        AclPermissionType.ANY,
    )


def _opens(rule: AclBinding, topic: str) -> bool:
    if rule.restype is not ResourceType.TOPIC:
        return False
    if rule.resource_pattern_type is ResourcePatternType.PREFIXED:
        return topic.startswith(rule.name)
    return rule.name in {topic, "*"}


def _exactly(rule: AclBinding) -> AclBindingFilter:
    return AclBindingFilter(
        rule.restype,
        rule.name,
        rule.resource_pattern_type,
        rule.principal,
        rule.host,
        rule.operation,
        rule.permission_type,
    )


def _wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise Retry(f"Kafka was not done after {_TIMEOUT_SECONDS:.0f} s of {what}")
        time.sleep(0.05)


def _wait(futures: Mapping[Any, Any], what: str) -> dict[Any, Any]:
    """The results of an administration request; an error of Kafka becomes `Retry` that says what was being
    done."""
    results = {}
    for key, future in futures.items():
        try:
            results[key] = future.result(timeout=_TIMEOUT_SECONDS)
        except (KafkaException, TimeoutError) as error:
            reason = error.args[0] if error.args else type(error).__name__
            raise Retry(f"Kafka refused or did not answer while {what}: {reason}") from error
    return results
