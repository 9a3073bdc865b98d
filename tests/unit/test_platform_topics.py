"""The one table of topics and permissions: what it refuses and what it promises."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerthub.domain.errors import Refuse
from alerthub.topics import (
    CHANGELOG,
    COMPACTED_TOPICS,
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    PERMISSIONS,
    PRINCIPALS,
    TOPICS,
    WRITE,
    Cleanup,
    TopicSettings,
    build_topics,
)

RETENTIONS = ("observations_retention_ms", "passages_retention_ms", "changelog_retention_ms")
TOPIC_OF = {
    "observations_retention_ms": "observations",
    "passages_retention_ms": "passages",
    "changelog_retention_ms": CHANGELOG,
}


@pytest.mark.parametrize("field", RETENTIONS)
def test_a_retention_above_24_hours_is_refused_naming_the_field(field: str) -> None:
    with pytest.raises(Refuse) as refused:
        build_topics(TopicSettings(**{field: DAY_MS + 1}))
    assert refused.value.field == field


@pytest.mark.parametrize("field", RETENTIONS)
def test_a_retention_of_exactly_24_hours_is_accepted(field: str) -> None:
    topics = build_topics(TopicSettings(**{field: DAY_MS}))
    assert topics[TOPIC_OF[field]].config()["retention.ms"] == str(DAY_MS)


def test_observations_and_passages_are_kept_an_hour_by_default() -> None:
    assert {TOPICS[name].retention_ms for name in ("observations", "passages")} == {HOUR_MS}


@given(st.integers(min_value=MINUTE_MS, max_value=DAY_MS))
def test_a_segment_of_a_streaming_topic_is_at_most_a_sixth_of_its_retention(retention_ms: int) -> None:
    topics = build_topics(
        TopicSettings(
            observations_retention_ms=retention_ms,
            passages_retention_ms=retention_ms,
            changelog_retention_ms=retention_ms,
        )
    )
    assert all(
        topic.segment_ms * 6 <= topic.retention_ms
        for topic in topics.values()
        if topic.retention_ms is not None
    )


@pytest.mark.parametrize("topic", TOPICS.values(), ids=TOPICS.keys())
def test_the_brokers_clock_decides_how_long_a_record_lives(topic: object) -> None:
    assert topic.config()["message.timestamp.type"] == "LogAppendTime"  # type: ignore[attr-defined]


def test_every_streaming_topic_forgets() -> None:
    forever = {topic.name for topic in TOPICS.values() if topic.config()["retention.ms"] == "-1"}
    assert forever == set(COMPACTED_TOPICS)


def test_a_dead_letter_lives_a_week_and_no_topic_is_for_its_payload() -> None:
    dead_letters = {name: topic.retention_ms for name, topic in TOPICS.items() if "dead" in name}
    assert dead_letters == {"dead-letter": 7 * DAY_MS}


def test_the_changelog_is_compacted_with_a_lag_and_deleted_within_a_day() -> None:
    changelog = TOPICS[CHANGELOG]
    config = changelog.config()
    assert changelog.cleanup is Cleanup.COMPACT_AND_DELETE
    assert int(config["retention.ms"]) <= DAY_MS
    assert 0 < int(config["min.compaction.lag.ms"]) < int(config["max.compaction.lag.ms"]) <= HOUR_MS


def test_every_permission_is_about_a_topic_and_a_principal_of_the_table() -> None:
    assert {permission.topic for permission in PERMISSIONS} <= TOPICS.keys()
    assert {permission.principal for permission in PERMISSIONS} <= set(PRINCIPALS)


def test_each_compacted_topic_has_one_writer_its_owner() -> None:
    writers = {
        topic: sorted(p.principal for p in PERMISSIONS if p.topic == topic and p.operation is WRITE)
        for topic in COMPACTED_TOPICS
    }
    owner = {"watchlist": "watchlist", "matching": "watchlist"}
    assert writers == {topic: [owner.get(topic, "registry")] for topic in COMPACTED_TOPICS}


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        (TopicSettings(partitions=0), "partitions"),
        (TopicSettings(replicas=1, minimum_in_sync_replicas=2), "minimum_in_sync_replicas"),
        (TopicSettings(observations_retention_ms=0), "observations_retention_ms"),
    ],
)
def test_a_shape_that_kafka_cannot_hold_is_refused(settings: TopicSettings, field: str) -> None:
    with pytest.raises(Refuse) as refused:
        build_topics(settings)
    assert refused.value.field == field
