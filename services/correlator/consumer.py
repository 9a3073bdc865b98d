"""Faust's consumer of observations and passages, made to keep two promises: batches are handed over one after
the other without a gap, and those that wait are bounded in bytes (C4)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any, Protocol, cast

import uvloop
from aiokafka.errors import IllegalStateError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, Message

from alerthub.telemetry import logger
from services.correlator import metrics

log = logger(__name__)

OBSERVATIONS = "observations"
PASSAGES = "passages"
_IN_ORDER = frozenset({OBSERVATIONS, PASSAGES})
_EMPTY_BATCH_BYTES = 4_096
"""What a waiting record costs beside its value."""
_HANDED_OVER_WITHOUT_A_BREAK = 100
"""Batches, after which other parts of the service have their turn, as in Faust's loop."""
_TIMES_TO_GO_BACK = 5
"""For the same batch, before the process ends instead."""


class MissingBatchError(Exception):
    """A batch that the log must have does not come, however often it is asked for."""


class Budget:
    """The bytes of batches that wait to be applied. Full: partitions are paused until half of it is free
    (C4)."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._waiting = 0
        self._paused: set[TP] = set()
        self.consumer: Pausable | None = None

    def take(self, tp: TP, size: int) -> None:
        """A batch of `size` bytes arrived; its partition is paused while the budget is full."""
        self._waiting += max(size, _EMPTY_BATCH_BYTES)
        metrics.BUFFERED_BYTES.set(self._waiting)
        if self._waiting >= self._limit and self.consumer is not None:
            # Fetched records are under aiokafka's name of the partition, which Faust ends the process for.
            own = TP(tp.topic, tp.partition)
            self._paused.add(own)
            self.consumer.on_buffer_full(own)

    def release(self, size: int) -> None:
        """A batch was applied."""
        self._waiting = max(0, self._waiting - max(size, _EMPTY_BATCH_BYTES))
        metrics.BUFFERED_BYTES.set(self._waiting)
        if self._paused and self._waiting <= self._limit // 2 and self.consumer is not None:
            paused, self._paused = self._paused, set()
            for tp in paused:
                self.consumer.on_buffer_drop(tp)

    def reset(self) -> None:
        """The assignment changed: Faust threw away what waited."""
        self._waiting = 0
        self._paused = set()

    @property
    def waiting(self) -> int:
        return self._waiting


class Pausable(Protocol):
    """What the budget asks of a consumer."""

    def on_buffer_full(self, tp: TP) -> None: ...

    def on_buffer_drop(self, tp: TP) -> None: ...


class SequentialConsumer(driver.Consumer):
    """Hands over each held partition's batches in the order of their offsets, without a gap.

    Faust throws away what it fetched while state was being recovered, and goes back to the committed offset.
    That is not tight: a partition without a committed offset is left where it is, and what was fetched
    before it went back can be handed over after it. It would then take the gap for a compacted log's and
    acknowledge what nobody has seen. Neither log has gaps, so here one means: go back.

    Faust pauses by the number of records, which says nothing of their size: a catch-up would fill the memory.
    So what is handed over is counted against the application's budget.
    """

    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self._first: dict[TP, int] = {}
        self._next: dict[TP, int] = {}
        self._times_back: dict[TP, int] = {}
        self._stood_at: dict[TP, int] = {}
        self._budget = cast(Budget, cast(Any, self.app).budget)
        self._budget.consumer = self

    def _new_consumer_thread(self) -> driver.AIOKafkaConsumerThread:
        # On the same kind of loop as the service's own: Faust would make one of Python's.
        return driver.AIOKafkaConsumerThread(
            self, loop=self.loop, beacon=self.beacon, thread_loop=uvloop.new_event_loop()
        )

    def begin(self, partitions: Mapping[TP, int]) -> None:
        """From now on these partitions are handed over, each from the given offset on, and no others."""
        self._first = dict(partitions)
        self._next = dict(self._first)
        self._times_back = {}
        self._stood_at = {}

    def end(self) -> None:
        """Nothing is handed over until the next beginning."""
        self.begin({})

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Message]]:
        """Faust's loop takes what this gives: records of other topics.

        Batches are handed to the stream here. Faust's loop would drop what is below a mark that it can set
        late, count gaps as acknowledged, and make two tasks for each batch, to stop waiting for room in the
        stream's queue when partitions go; that queue never fills.
        """
        gone_back: set[TP] = set()
        handed_over = 0
        async for tp, message in super().getmany(timeout):
            if tp.topic not in _IN_ORDER:
                yield tp, message
                continue
            expected = self._next.get(tp)
            if expected is None or message.offset < expected or tp in gone_back:
                continue
            if message.offset > expected:
                gone_back.add(tp)
                await self._go_back(tp, expected)
                continue
            self._next[tp] = expected + 1
            self._times_back.pop(tp, None)
            self._budget.take(tp, len(message.value or b""))
            await self.callback(message)
            handed_over += 1
            if handed_over % _HANDED_OVER_WITHOUT_A_BREAK == 0:
                await asyncio.sleep(0)

    async def _go_back(self, tp: TP, expected: int) -> None:
        times = self._times_back[tp] = self._times_back.get(tp, 0) + 1
        if times > _TIMES_TO_GO_BACK:
            raise MissingBatchError(f"record {expected} of {tp.topic} {tp.partition} does not come")
        await self.read_again(tp, expected)

    async def read_again(self, tp: TP, offset: int) -> None:
        """The partition is handed over from `offset` on, again where it was before."""
        if tp not in self._next:
            return
        metrics.TIMES_READ_AGAIN.inc()
        log.warning("batches_read_again", topic=tp.topic, partition=tp.partition, offset=offset)
        self._next[tp] = offset
        await self.seek_wait({tp: offset})

    async def read_what_was_passed_over(self, expected: Mapping[TP, int]) -> None:
        """Reads again where more was fetched and the agent stands where it stood at the last call.

        After a rebalance Faust drops what it fetched before its flow goes on, and its streams pass over what
        reached them before. What follows shows the gap; this is for where nothing does. `expected`: with
        which offset each agent goes on.
        """
        stood_at, self._stood_at = self._stood_at, dict(expected)
        for tp, offset in expected.items():
            if stood_at.get(tp) == offset and await self._fetched_up_to(tp) > offset:
                await self.read_again(tp, offset)

    async def _fetched_up_to(self, tp: TP) -> int:
        """Exclusive. 0 for a partition that has been taken away."""
        if tp not in self._next:
            return 0
        try:
            return await self.position(tp) or 0
        except IllegalStateError:
            return 0

    async def perform_seek(self) -> None:
        """Goes back to what is committed. What follows is handed over again from there."""
        await super().perform_seek()
        for tp, first in self._first.items():
            self._next[tp] = max(first, self._committed_offset.get(tp) or 0)
            # Where Kafka forgot batches, Faust would wait for their acknowledgement before it commits.
            self._committed_offset[tp] = self._next[tp] or None

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Goes back to what is committed; where nothing is yet, to the log's beginning, too."""
        committed = await super().seek_to_committed()
        never = [tp for tp, offset in committed.items() if tp.topic in _IN_ORDER and not offset]
        if never:
            await self._thread.seek_to_beginning(*never)
        return committed

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        self._budget.reset()
        self._buffered_partitions.clear()
        await super().on_partitions_assigned(assigned, generation_id)
