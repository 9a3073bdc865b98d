"""What the correlator tells of how far it has evaluated."""

from __future__ import annotations

from typing import cast

from alerthub.domain.partition_state import PartitionState
from services.correlator import watermarks
from services.correlator.state import Working

NOW = 1_800_000_000_000


class Two:
    """Two partitions, of which one has seen nothing yet."""

    partitions = frozenset({3, 1})

    def state(self, partition: int) -> PartitionState:
        state = PartitionState()
        state.received_ms = NOW - 250 if partition == 1 else 0
        return state


def test_each_partition_that_is_held_is_told_with_the_newest_batch_that_was_evaluated() -> None:
    told = watermarks.of(cast(Working, Two()), {"g1": NOW - 250}, instance="1", partition_count=8, now_ms=NOW)

    assert [(each.partition, each.received_time_ms) for each in told.partitions] == [(1, NOW - 250), (3, 0)]
    assert [(each.gateway_id, each.received_time_ms) for each in told.gateways] == [("g1", NOW - 250)]
    assert (told.instance, told.partition_count, told.time_ms) == ("1", 8, NOW)


def test_a_gateway_that_was_not_heard_for_an_hour_is_told_no_more() -> None:
    heard = {"old": NOW - 3_600_001, "young": NOW - 3_600_000}

    told = watermarks.of(cast(Working, Two()), heard, instance="1", partition_count=8, now_ms=NOW)

    assert [each.gateway_id for each in told.gateways] == ["young"]
    assert set(heard) == {"young"}
