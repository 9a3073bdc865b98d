"""The correlator's consumer: what Faust and aiokafka would pass over is read again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka import TopicPartition
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

from services.correlator.application import build_application
from services.correlator.consumer import OBSERVATIONS, Budget, MissingBatchError, SequentialConsumer
from services.correlator.settings import CorrelatorSettings

PARTITION = TP(OBSERVATIONS, 1)


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
    consumer = cast(SequentialConsumer, application.consumer)
    thread = Thread({fresh: nothing, known: 7, changelog: None})
    cast(Any, consumer)._thread = thread

    # when Faust goes back to what is committed
    committed = await consumer.seek_to_committed()

    # then only the one that aiokafka would leave where it is begins again
    assert thread.begun_again == [fresh]
    assert committed[known] == 7


class Fetched:
    """What Faust's consumer hands on, one list after the other, and the offsets that it was sent back to."""

    def __init__(self, consumer: SequentialConsumer, monkeypatch: pytest.MonkeyPatch) -> None:
        self._consumer = consumer
        self._lists: list[list[int]] = []
        self.sent_back_to: list[int] = []
        self._taken: list[int] = []
        monkeypatch.setattr(driver.Consumer, "getmany", self._getmany)
        monkeypatch.setattr(consumer, "seek_wait", self._seek_wait)
        monkeypatch.setattr(consumer, "callback", self._take)
        monkeypatch.setattr(consumer, "position", self._position)
        self._fetched_up_to = 0

    async def _getmany(self, _: float) -> AsyncIterator[tuple[TP, ConsumerMessage]]:
        for offset in self._lists.pop(0):
            self._fetched_up_to = offset + 1
            yield PARTITION, cast(ConsumerMessage, SimpleNamespace(offset=offset, value=b""))

    async def _seek_wait(self, partitions: Mapping[TP, int]) -> None:
        self.sent_back_to.extend(partitions.values())

    async def _position(self, _: TP) -> int:
        return self._fetched_up_to

    def dropped_by_faust(self, *, up_to: int) -> None:
        self._fetched_up_to = up_to

    async def handed_over(self, *offsets: int) -> list[int]:
        self._lists.append(list(offsets))
        self._taken = []
        # Faust's loop, which would acknowledge a gap, is given none of them.
        assert [one async for one in self._consumer.getmany(1.0)] == []
        return self._taken

    async def _take(self, message: ConsumerMessage) -> None:
        self._taken.append(message.offset)


@pytest.fixture
def consumer() -> SequentialConsumer:
    return cast(SequentialConsumer, build_application(CorrelatorSettings()).consumer)


async def test_nothing_is_handed_over_before_the_state_is_recovered(
    consumer: SequentialConsumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched = Fetched(consumer, monkeypatch)

    assert await fetched.handed_over(5, 6) == []
    consumer.begin({TP(OBSERVATIONS, 1): 5})
    assert await fetched.handed_over(5, 6) == [5, 6]
    consumer.end()
    assert await fetched.handed_over(7) == []


async def test_a_gap_is_read_again_and_nothing_after_it_is_handed_over_before(
    consumer: SequentialConsumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given that Faust threw away 6 and 7
    fetched = Fetched(consumer, monkeypatch)
    consumer.begin({TP(OBSERVATIONS, 1): 5})

    assert await fetched.handed_over(5, 8, 9) == [5]
    assert fetched.sent_back_to == [6]
    assert await fetched.handed_over(6, 7, 8) == [6, 7, 8]
    assert fetched.sent_back_to == [6]


async def test_what_streams_passed_over_is_read_again_though_nothing_follows(
    consumer: SequentialConsumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given two batches that were handed over, and an agent that has neither
    fetched = Fetched(consumer, monkeypatch)
    consumer.begin({PARTITION: 5})
    assert await fetched.handed_over(5, 6) == [5, 6]
    await consumer.read_what_was_passed_over({PARTITION: 5})
    assert fetched.sent_back_to == []

    # when it stands there still
    await consumer.read_what_was_passed_over({PARTITION: 5})

    # then they come again
    assert fetched.sent_back_to == [5]
    assert await fetched.handed_over(5, 6) == [5, 6]


async def test_what_faust_fetched_and_dropped_is_read_again_though_nothing_follows(
    consumer: SequentialConsumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched = Fetched(consumer, monkeypatch)
    consumer.begin({PARTITION: 5})
    fetched.dropped_by_faust(up_to=7)

    for _ in range(2):
        await consumer.read_what_was_passed_over({PARTITION: 5})

    assert fetched.sent_back_to == [5]


async def test_an_agent_that_goes_on_is_left_alone(
    consumer: SequentialConsumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched = Fetched(consumer, monkeypatch)
    consumer.begin({PARTITION: 5})
    assert await fetched.handed_over(5, 6) == [5, 6]

    for expected in (5, 6, 7, 7):
        await consumer.read_what_was_passed_over({PARTITION: expected})

    assert fetched.sent_back_to == []


async def test_what_was_handed_over_is_not_handed_over_again(
    consumer: SequentialConsumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched = Fetched(consumer, monkeypatch)
    consumer.begin({TP(OBSERVATIONS, 1): 5})

    assert await fetched.handed_over(3, 4, 5, 5, 6) == [5, 6]


async def test_a_batch_that_never_comes_ends_the_process(
    consumer: SequentialConsumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched = Fetched(consumer, monkeypatch)
    consumer.begin({TP(OBSERVATIONS, 1): 5})

    for _ in range(5):
        assert await fetched.handed_over(6) == []
    with pytest.raises(MissingBatchError):
        await fetched.handed_over(6)


async def test_partitions_that_were_paused_for_their_bytes_go_on_together(
    consumer: SequentialConsumer,
) -> None:
    # given two partitions, named as aiokafka names them, that filled the budget
    partitions = [TopicPartition(OBSERVATIONS, number) for number in (1, 2)]
    consumer._set_active_tps({TP(*each) for each in partitions})
    budget = Budget(1_000_000)
    budget.consumer = consumer
    for each in partitions:
        budget.take(each, 1_000_000)
    assert consumer._get_active_partitions() == set()

    # when what waited was applied
    budget.release(2_000_000)

    # then both are fetched again: Faust takes no other name than its own
    assert consumer._get_active_partitions() == {TP(*each) for each in partitions}
