"""S1: who may read and write which topic, agreed apart from the table that Kafka's access rules are made of.

Whoever opens a topic to somebody fails here until a person has changed this file too.
"""

from __future__ import annotations

from alerthub.topics import PERMISSIONS, PRINCIPALS, READ, TOPICS, WRITE

WRITERS = {
    "observations": "gateway",
    "calls": "gateway",
    "passages": "correlator",
    "alerts": "correlator",
    "correlator-state-changelog": "correlator",
    "alert-events": "dispatch",
    "positions": "push",
    "watermarks": "correlator",
    "dead-letter": "correlator dispatch",
    "watchlist": "watchlist",
    "matching": "watchlist",
    "devices": "registry",
    "zones": "registry",
    "rules": "registry",
    "units": "registry",
    "revocations": "registry",
}
READERS = {
    "observations": "correlator",
    "calls": "dispatch",
    "passages": "correlator",
    "alerts": "dispatch",
    "correlator-state-changelog": "correlator",
    "alert-events": "console dispatch push",
    "positions": "dispatch",
    "watermarks": "console",
    "dead-letter": "",
    "watchlist": "correlator dispatch watchlist",
    "matching": "correlator gateway watchlist",
    "devices": "correlator dispatch gateway mqtt push registry",
    "zones": "correlator dispatch registry",
    "rules": "correlator dispatch registry",
    "units": "dispatch push registry",
    "revocations": "console dispatch gateway mqtt push registry watchlist",
}


def _pairs(operation: object) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {topic: set() for topic in TOPICS}
    for permission in PERMISSIONS:
        if permission.operation is operation:
            found[permission.topic].add(permission.principal)
    return found


def test_s1_a_topic_is_written_by_whom_a_person_agreed_to() -> None:
    assert _pairs(WRITE) == {topic: set(names.split()) for topic, names in WRITERS.items()}


def test_s1_a_topic_is_read_by_whom_a_person_agreed_to() -> None:
    assert _pairs(READ) == {topic: set(names.split()) for topic, names in READERS.items()}


def test_s1_only_the_gateway_writes_observations() -> None:
    assert _pairs(WRITE)["observations"] == {"gateway"}


def test_s1_nobody_has_a_topic_but_the_principals_of_the_table() -> None:
    assert {permission.principal for permission in PERMISSIONS} <= set(PRINCIPALS)
