"""What Kafka says of itself, for Prometheus: no more than a service's own principal may ask.

Correlator and dispatch each tell of the topics that they may read or write, which are all of them together,
and of their own consumer groups. So no exporter, no further principal and no further access rule is needed,
whoever runs Kafka (docs/adr/0015).
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from prometheus_client import Gauge

from alerthub import loops
from alerthub.kafka_positions import KafkaPositions, Place
from alerthub.settings import KafkaSettings
from alerthub.topics import PERMISSIONS

EVERY_SECONDS = 15.0

_brokers = Gauge("alerthub_kafka_brokers", "Brokers that the cluster knows.")
_partitions = Gauge("alerthub_kafka_partitions", "Partitions of the topic.", ["topic"])
_without_leader = Gauge(
    "alerthub_kafka_partitions_without_leader", "Partitions that nobody can write to.", ["topic"]
)
_under_replicated = Gauge(
    "alerthub_kafka_partitions_under_replicated", "Partitions that have a replica which is behind.", ["topic"]
)
_end_offset = Gauge("alerthub_kafka_end_offset", "Records ever written, by the sum of ends.", ["topic"])
_kept_offsets = Gauge(
    "alerthub_kafka_kept_offsets",
    "From the logs' starts to their ends; compaction may have emptied it.",
    ["topic"],
)
_lag = Gauge(
    "alerthub_kafka_consumer_lag_records", "Records that the group has not committed.", ["group", "topic"]
)
_answer = Gauge("alerthub_kafka_answer_seconds", "How long the last of these questions took.")
_answered_age = Gauge("alerthub_kafka_answered_age_seconds", "Since Kafka last answered all of them.")


def topics_of(principal: str) -> tuple[str, ...]:
    """What the principal may describe: all that it may read or write."""
    return tuple(sorted({each.topic for each in PERMISSIONS if each.principal == principal}))


@dataclass(frozen=True, slots=True)
class Standing:
    """One answer: by topic, and by group and topic."""

    brokers: int
    partitions: Mapping[str, int]
    without_leader: Mapping[str, int]
    under_replicated: Mapping[str, int]
    ends: Mapping[str, int]
    starts: Mapping[str, int]
    lags: Mapping[tuple[str, str], int] = field(default_factory=dict)


class KafkaWatch:
    """Asks every `every_seconds`, over a connection of its own. `groups` are consumer groups of the principal
    with the topic that each reads."""

    def __init__(
        self,
        settings: KafkaSettings,
        *,
        topics: Iterable[str],
        groups: Mapping[str, str],
        every_seconds: float = EVERY_SECONDS,
    ) -> None:
        self._settings = settings
        self._topics = frozenset(topics)
        self._topic_of_group = dict(groups)
        self._every_seconds = every_seconds
        self._positions: KafkaPositions | None = None
        self._task: asyncio.Task[None] | None = None
        self._answered_at = time.monotonic()

    async def start(self) -> None:
        self._positions = KafkaPositions(self._settings, self._topic_of_group)
        self._answered_at = time.monotonic()
        _answered_age.set_function(lambda: time.monotonic() - self._answered_at)
        self._task = loops.begin(
            loops.repeat(self.ask, every_seconds=self._every_seconds, waiting_event="kafka_watch_waits"),
            name="kafka-watch",
            on_failure=loops.ignore,
        )

    async def stop(self) -> None:
        await loops.end(self._task)
        if self._positions is not None:
            await asyncio.to_thread(self._positions.close)

    async def ask(self) -> Standing:
        """Asks once and tells Prometheus. Raises Retry where Kafka is silent, RuntimeError before `start`."""
        if self._positions is None:
            raise RuntimeError("the watch was not started")
        began = time.monotonic()
        standing = await asyncio.to_thread(self._standing, self._positions)
        self._answered_at = time.monotonic()
        _answer.set(self._answered_at - began)
        _tell(standing)
        return standing

    def _standing(self, positions: KafkaPositions) -> Standing:
        described = positions.cluster()
        known = {
            name: list(topic.partitions.values())
            for name, topic in described.topics.items()
            if name in self._topics and topic.error is None
        }
        # A partition without a leader cannot say where its log is.
        places = [(name, one.id) for name, ones in known.items() for one in ones if one.leader >= 0]
        starts = positions.starts(places)
        ends = positions.ends(places)
        return Standing(
            brokers=len(described.brokers),
            partitions={name: len(ones) for name, ones in known.items()},
            without_leader={name: sum(one.leader < 0 for one in ones) for name, ones in known.items()},
            under_replicated={
                name: sum(len(one.isrs) < len(one.replicas) for one in ones) for name, ones in known.items()
            },
            ends=_by_topic(ends),
            starts=_by_topic(starts),
            lags={
                (group, topic): _records_behind(
                    positions, group, [place for place in places if place[0] == topic], starts, ends
                )
                for group, topic in self._topic_of_group.items()
            },
        )


def _records_behind(
    positions: KafkaPositions,
    group: str,
    places: list[Place],
    starts: Mapping[Place, int],
    ends: Mapping[Place, int],
) -> int:
    committed = positions.committed(group, places)
    return sum(max(0, ends[place] - committed.get(place, starts[place])) for place in places)


def _by_topic(offsets: Mapping[Place, int]) -> Mapping[str, int]:
    sums: Counter[str] = Counter()
    for (topic, _), offset in offsets.items():
        sums[topic] += offset
    return sums


def _tell(standing: Standing) -> None:
    _brokers.set(standing.brokers)
    for topic, count in standing.partitions.items():
        _partitions.labels(topic).set(count)
        _without_leader.labels(topic).set(standing.without_leader[topic])
        _under_replicated.labels(topic).set(standing.under_replicated[topic])
    for topic, end in standing.ends.items():
        _end_offset.labels(topic).set(end)
        _kept_offsets.labels(topic).set(end - standing.starts[topic])
    for (group, topic), lag in standing.lags.items():
        _lag.labels(group, topic).set(lag)
