"""The one table of topics and of who may read or write them (S1).

The embedded hub, compose and the chart create topics and access rules from here and from nowhere else. What
is not in the table does not exist: automatic creation is off, and Kafka refuses every pair of principal and
topic that is absent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from alerthub.domain.errors import Refuse

SECOND_MS = 1_000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
KIB = 1_024
MIB = 1_024 * KIB

FORGETTING_CAP_MS = DAY_MS
"""What did not hit is never kept longer than this, whatever is configured (refusal 2)."""

CHANGELOG = "correlator-state-changelog"
"""The name that Faust gives the changelog of the table `state` of the application `correlator`."""


class Cleanup(Enum):
    """Kafka's `cleanup.policy`."""

    DELETE = "delete"
    COMPACT = "compact"
    COMPACT_AND_DELETE = "compact,delete"


class Operation(Enum):
    """What a principal may do with a topic. Either includes describing it."""

    READ = "read"
    WRITE = "write"


READ = Operation.READ
WRITE = Operation.WRITE


@dataclass(frozen=True, slots=True)
class Permission:
    """`principal` may do `operation` on `topic`. Absent from the table: refused by Kafka."""

    principal: str
    topic: str
    operation: Operation
    group_prefix: str | None = None
    """Consumer groups that the principal may use; none: it reads without a group."""


@dataclass(frozen=True, slots=True)
class TopicSettings:
    """What may differ between deployments. Defaults are the embedded hub's; production has 128 partitions
    and 3 replicas.

    The number of partitions is fixed when a topic is created: a district always goes to the same partition.
    """

    partitions: int = 8
    replicas: int = 1
    minimum_in_sync_replicas: int = 1
    observations_retention_ms: int = HOUR_MS
    passages_retention_ms: int = HOUR_MS
    changelog_retention_ms: int = DAY_MS
    """A state that nothing has changed for this long is lost by a restart, so it is as long as allowed;
    superseded states go within an hour by compaction."""


@dataclass(frozen=True, slots=True)
class TopicSpecification:
    """One topic: its shape and its life. Times in milliseconds, sizes in bytes."""

    name: str
    partitions: int
    replicas: int
    minimum_in_sync_replicas: int
    cleanup: Cleanup
    retention_ms: int | None
    """None: kept as long as it is the newest value of its key."""
    segment_ms: int
    """Kafka forgets whole closed segments, so this is at most a sixth of the retention."""
    max_message_bytes: int

    def config(self) -> dict[str, str]:
        """The topic's configuration in Kafka's words."""
        values = {
            "cleanup.policy": self.cleanup.value,
            "segment.ms": str(self.segment_ms),
            "max.message.bytes": str(self.max_message_bytes),
            "min.insync.replicas": str(self.minimum_in_sync_replicas),
            # The sender's clock must not decide how long a record lives.
            "message.timestamp.type": "LogAppendTime",
            # A forgotten segment stays on the disk under another name for this long.
            "file.delete.delay.ms": str(SECOND_MS),
        }
        if self.retention_ms is not None:
            values["retention.ms"] = str(self.retention_ms)
        else:
            values["retention.ms"] = "-1"
        if self.cleanup is not Cleanup.DELETE:
            # Superseded values go within an hour. The lag keeps both records of a key long enough for
            # recovery to prefer the one with the higher source offset over a later write by a worker that
            # had lost its partition (C4).
            values["min.compaction.lag.ms"] = str(min(10 * MINUTE_MS, self.segment_ms))
            values["max.compaction.lag.ms"] = str(HOUR_MS)
            # A replica that was away for less than this still sees every tombstone.
            values["delete.retention.ms"] = str(DAY_MS)
        return values


def build_topics(settings: TopicSettings) -> dict[str, TopicSpecification]:
    """Every topic of the hub by name.

    Refuses (naming the field) a retention of observations, passages or changelog above 24 h, and shapes
    that Kafka or the design cannot hold.
    """
    for field in ("observations_retention_ms", "passages_retention_ms", "changelog_retention_ms"):
        value = getattr(settings, field)
        if not MINUTE_MS <= value <= FORGETTING_CAP_MS:
            raise Refuse(
                field,
                f"between {MINUTE_MS} (a minute) and {FORGETTING_CAP_MS} (24 h), since no longer is allowed",
            )
    if settings.partitions < 1:
        raise Refuse("partitions", "at least 1")
    if not 1 <= settings.minimum_in_sync_replicas <= settings.replicas:
        raise Refuse("minimum_in_sync_replicas", "between 1 and the number of replicas")

    def topic(
        name: str,
        retention_ms: int | None,
        max_message_bytes: int,
        *,
        partitions: int,
        cleanup: Cleanup = Cleanup.DELETE,
    ) -> TopicSpecification:
        segment_ms = 10 * MINUTE_MS if retention_ms is None else min(retention_ms // 6, 4 * HOUR_MS)
        if cleanup is Cleanup.COMPACT_AND_DELETE:
            # Only closed segments are compacted.
            segment_ms = min(segment_ms, 10 * MINUTE_MS)
        return TopicSpecification(
            name=name,
            partitions=partitions,
            replicas=settings.replicas,
            minimum_in_sync_replicas=settings.minimum_in_sync_replicas,
            cleanup=cleanup,
            retention_ms=retention_ms,
            segment_ms=segment_ms,
            max_message_bytes=max_message_bytes,
        )

    many = settings.partitions
    streaming = [
        topic("observations", settings.observations_retention_ms, 2 * MIB, partitions=many),
        topic("passages", settings.passages_retention_ms, 2 * MIB, partitions=many),
        topic("calls", DAY_MS, 64 * KIB, partitions=1),
        topic("alerts", 7 * DAY_MS, 256 * KIB, partitions=many),
        topic("alert-events", 7 * DAY_MS, 512 * KIB, partitions=1),
        topic("positions", HOUR_MS, 16 * KIB, partitions=1),
        topic("watermarks", HOUR_MS, 64 * KIB, partitions=1),
        topic("dead-letter", 7 * DAY_MS, 16 * KIB, partitions=1),
        topic(
            CHANGELOG,
            settings.changelog_retention_ms,
            MIB,
            partitions=many,
            cleanup=Cleanup.COMPACT_AND_DELETE,
        ),
    ]
    compacted = [topic(name, None, MIB, partitions=1, cleanup=Cleanup.COMPACT) for name in COMPACTED_TOPICS]
    return {specification.name: specification for specification in [*streaming, *compacted]}


COMPACTED_TOPICS = ("watchlist", "matching", "devices", "zones", "rules", "units", "revocations")
"""The newest value of each id, with its version; each carries bookmarks (C9)."""

PRINCIPALS = (
    "gateway",
    "correlator",
    "dispatch",
    "push",
    "watchlist",
    "registry",
    "console",
    "canary",
    "mqtt",
)
"""Kafka users besides the administrator. The canary uses the hub as a device and a terminal do: no topic is
open to it. `mqtt` is the embedded broker, which learns from topics who may log in."""

GROUP_PREFIXES: Mapping[str, str] = {"correlator": "correlator", "dispatch": "dispatch"}
"""Who commits offsets, and in which consumer groups. Everyone else reads without a group."""

_READS: Mapping[str, tuple[str, ...]] = {
    "gateway": ("devices", "matching", "revocations"),
    "correlator": (
        "observations",
        "passages",
        "watchlist",
        "matching",
        "devices",
        "zones",
        "rules",
        CHANGELOG,
    ),
    "dispatch": (
        "alerts",
        "calls",
        "watchlist",
        "devices",
        "zones",
        "rules",
        "units",
        "positions",
        "revocations",
        # The office watches alerts live through dispatch (C10).
        "alert-events",
    ),
    "push": ("alert-events", "revocations", "units", "devices"),
    # Owners tail their own topics to publish again where topic and database differ (C9).
    "watchlist": ("watchlist", "matching", "revocations"),
    "registry": ("devices", "zones", "rules", "units", "revocations"),
    # Who is signed in must end with a revocation; whether anything is watched, the correlators say.
    "console": ("alert-events", "revocations", "watermarks"),
    "mqtt": ("devices", "revocations"),
}

_WRITES: Mapping[str, tuple[str, ...]] = {
    "gateway": ("observations", "calls"),
    "correlator": ("alerts", "passages", "dead-letter", "watermarks", CHANGELOG),
    "dispatch": ("alert-events", "dead-letter"),
    "push": ("positions",),
    "watchlist": ("watchlist", "matching"),
    "registry": ("devices", "zones", "rules", "units", "revocations"),
}

PERMISSIONS: tuple[Permission, ...] = tuple(
    [
        Permission(principal, topic, READ, GROUP_PREFIXES.get(principal))
        for principal, topics in _READS.items()
        for topic in topics
    ]
    + [Permission(principal, topic, WRITE) for principal, topics in _WRITES.items() for topic in topics]
)

TOPICS: dict[str, TopicSpecification] = build_topics(TopicSettings())
"""The table with the embedded hub's settings."""
