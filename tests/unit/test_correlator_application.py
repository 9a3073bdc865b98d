"""The correlator's consumer: what Faust and aiokafka would pass over is read again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import pytest
from faust.types import TP

from services.correlator.application import OBSERVATIONS, BoundedConsumer, build_application
from services.correlator.settings import CorrelatorSettings


class Thread:
    """The consumer's thread, as far as it is asked to go back."""

    def __init__(self, committed: Mapping[TP, int | None]) -> None:
        self._committed = committed
        self.begun_again: list[TP] = []

    async def seek_to_committed(self) -> Mapping[TP, int | None]:
        return self._committed

    async def seek_to_beginning(self, *partitions: TP) -> None:
        self.begun_again.extend(partitions)


@pytest.mark.parametrize("nothing", [None, 0])
async def test_where_nothing_is_committed_the_observations_are_read_from_their_beginning(
    nothing: int | None,
) -> None:
    # given a partition with a committed offset, one without, and one of the changelog
    fresh, known, changelog = TP(OBSERVATIONS, 1), TP(OBSERVATIONS, 2), TP("correlator-state-changelog", 1)
    application = build_application(CorrelatorSettings())
    consumer = cast(BoundedConsumer, application.consumer)
    thread = Thread({fresh: nothing, known: 7, changelog: None})
    cast(Any, consumer)._thread = thread

    # when Faust goes back to what is committed
    committed = await consumer.seek_to_committed()

    # then only the one that aiokafka would leave where it is begins again
    assert thread.begun_again == [fresh]
    assert committed[known] == 7
