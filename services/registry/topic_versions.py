"""What the registry has seen on its own topics: no version is ever given below one that consumers know
(C19)."""

from __future__ import annotations

from typing import Any

from alerthub.api.v1 import registry_pb2
from alerthub.domain.resources import Key
from services.registry.store import TOPIC_OF

REVOCATIONS = "revocations"
OWNED_TOPICS = (*TOPIC_OF.values(), REVOCATIONS)
_MESSAGES: dict[str, tuple[Any, str]] = {
    "devices": (registry_pb2.Device, "device_id"),
    "zones": (registry_pb2.Zone, "zone_id"),
    "rules": (registry_pb2.Rule, "rule_id"),
    "units": (registry_pb2.Unit, "unit_id"),
    REVOCATIONS: (registry_pb2.Revocation, "subject"),
}


class TopicVersions:
    """The highest version of each key on each topic, noted as the registry tails them.

    A database that was restored from a backup would give a version again that consumers have already, and
    they would refuse the new value without a word.
    """

    def __init__(self) -> None:
        self._highest: dict[tuple[str, str], int] = {}

    def note(self, topic: str, value: bytes) -> int:
        """Notes a value of the topic and returns its version. Raises DecodeError for one that nobody of us
        wrote."""
        kind, identifier = _MESSAGES[topic]
        message = kind.FromString(value)
        place = (topic, str(getattr(message, identifier)))
        version = int(message.version)
        self._highest[place] = max(version, self._highest.get(place, 0))
        return version

    def of_resource(self, key: Key) -> int:
        """The highest version of a resource that its topic has shown; 0 for none."""
        return self._highest.get((TOPIC_OF.get(key.kind, ""), key.id), 0)

    def of_revocation(self, subject: str) -> int:
        """The highest version of a revocation that the topic has shown; 0 for none."""
        return self._highest.get((REVOCATIONS, subject), 0)
