"""C9: a replica keeps the newer version, and is not relied on once its bookmarks are old."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerthub.api.v1.common_pb2 import Bookmark
from alerthub.replica import (
    BOOKMARK_KEY,
    BOOKMARK_MAXIMUM_AGE_MS,
    CompactedReplica,
    TopicReplacedError,
    VersionedTable,
)
from alerthub.settings import KafkaSettings
from services.correlator import replicas
from services.correlator.replicas import Reference, Replicas
from services.dispatch.entries import EntryTail

NOW = 1_800_000_000_000


def table() -> VersionedTable[str]:
    """Values are a version and a letter: 2a."""
    return VersionedTable(lambda value: (int(value[:-1]), value[-1:].decode()))


def test_c9_an_older_version_is_refused() -> None:
    newest = table()
    newest.apply("k", b"2b")

    newest.apply("k", b"1a")

    assert (newest.get("k"), newest.version("k")) == ("b", 2)


def test_c9_the_same_version_changes_nothing() -> None:
    newest = table()
    newest.apply("k", b"2b")

    newest.apply("k", b"2c")

    assert newest.get("k") == "b"


@given(st.permutations([b"1a", b"2b", b"3c", b"4d"]))
def test_c9_whatever_order_they_come_in_the_newest_holds(order: list[bytes]) -> None:
    newest = table()
    for value in order:
        newest.apply("k", value)
    assert newest.get("k") == "d"


def replica_at(now_ms: list[int]) -> CompactedReplica:
    """One that has read its topic of one partition to the end."""
    replica = CompactedReplica(
        KafkaSettings(), "watchlist", client_id="t", apply=lambda _, __: None, now_ms=lambda: now_ms[0]
    )
    replica.caught_up = True
    replica._bookmarks = {0: 0}
    return replica


def bookmark(replica: CompactedReplica, offset: int, time_ms: int) -> None:
    replica._take(0, offset, BOOKMARK_KEY, Bookmark(time_ms=time_ms).SerializeToString())


def test_c9_the_gate_is_closed_before_any_bookmark() -> None:
    assert not replica_at([NOW]).ready


def test_c9_a_bookmark_that_has_become_old_closes_the_gate() -> None:
    # given a replica with a fresh bookmark
    now_ms = [NOW]
    replica = replica_at(now_ms)
    bookmark(replica, 0, NOW)
    assert replica.ready

    # when none comes for ten seconds
    now_ms[0] += BOOKMARK_MAXIMUM_AGE_MS
    assert replica.ready
    now_ms[0] += 1

    # then it may be missing a withdrawal, and says so
    assert replica.not_ready_because() == "the replica of watchlist has no bookmark younger than 10 s"
    bookmark(replica, 1, now_ms[0])
    assert replica.ready


def test_c9_a_topic_that_was_made_anew_is_not_taken_for_the_one_before() -> None:
    replica = replica_at([NOW])
    bookmark(replica, 5, NOW)
    with pytest.raises(TopicReplacedError):
        bookmark(replica, 0, NOW)


def test_c9_one_stale_replica_closes_the_correlators_gate() -> None:
    # given a correlator whose five replicas are fresh
    now_ms = [NOW]
    gate = Replicas(KafkaSettings(), Reference(), client_id="t", on_failure=lambda _: None)
    made: Any = gate
    made._replicas = [replica_at(now_ms) for _ in replicas.TOPICS]
    for each in made._replicas:
        bookmark(each, 0, NOW)
    assert gate.closed_because() is None

    # when all but one get another bookmark
    now_ms[0] += BOOKMARK_MAXIMUM_AGE_MS + 1
    for each in made._replicas[1:]:
        bookmark(each, 1, now_ms[0])

    # then no batch may be applied
    assert gate.closed_because() is not None


def test_c9_dispatch_is_not_ready_while_it_may_miss_a_withdrawal() -> None:
    # given dispatch, which has read the watchlist to its end
    entries: Any = None
    tail: Any = EntryTail(KafkaSettings(), entries, client_id="t")
    tail._caught_up = True
    tail._partitions = [type("Partition", (), {"partition": 0})()]

    # when its newest bookmark is fresh, and when it is not
    tail._bookmarks = {0: time.time_ns() // 1_000_000}
    assert tail.check() is None
    tail._bookmarks = {0: time.time_ns() // 1_000_000 - BOOKMARK_MAXIMUM_AGE_MS - 1_000}
    assert tail.check() == "the watchlist topic has no bookmark younger than 10 s"
