"""Packs observations into batches by partition and puts them on Kafka, in order, each acknowledged by the
broker."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from aiokafka.errors import KafkaError, KafkaTimeoutError
from opentelemetry.trace import SpanContext

from alerthub.api.v1.observation_pb2 import Observation
from alerthub.domain.errors import Retry
from alerthub.observation_batches import WrittenBatch
from alerthub.sealing import WrappedKey
from alerthub.telemetry import logger
from alerthub.tracing import Headers, Traces, headers_of
from services.gateway import metrics, spans
from services.gateway.keys import Blinding

log = logger(__name__)

MAXIMUM_OBSERVATIONS = 256
MAXIMUM_BATCH_BYTES = 1024 * 1024
"""Half of what the topic takes: data keys, the index and the last observation come on top."""
WATERMARK_SECONDS = 1.0
"""C11: an empty batch to each partition so often."""
ACKNOWLEDGED_WITHIN_SECONDS = 5.0
"""A batch that waits longer says that the broker is away: as long as a request waits before it gets 503."""
_FULL_AT = 4.0
"""Observations expected, over all partitions, within the longest linger from which on it is waited so long:
each record costs the gateway and the correlator some 200 µs, and there would be one for nearly every
observation."""
_STUCK_BATCHES = 4
"""A partition with so many batches waiting gets no further watermark: it would only queue."""


class Producer(Protocol):
    """What is used of AIOKafkaProducer."""

    async def send(
        self,
        topic: str,
        value: bytes,
        *,
        key: bytes | None = None,
        partition: int | None = None,
        headers: Headers | None = None,
    ) -> asyncio.Future[object]:
        """Queues a record; the future has its acknowledgement."""


def adapted_linger_ms(rate_per_second: float, *, minimum_ms: float, maximum_ms: float) -> float:
    """How long a batch should wait for more, at this rate of observations over all partitions.

    At a low rate waiting gains nothing, so the least; from there on it grows with what the longest wait
    would bring.
    """
    expected = rate_per_second * maximum_ms / 1000
    return minimum_ms + (maximum_ms - minimum_ms) * min(1.0, expected / _FULL_AT)


@dataclass(slots=True)
class Batch:
    """What is collected for one partition."""

    written: WrittenBatch
    outcome: asyncio.Future[None]
    """Done once the broker has the batch; fails with Retry, also when it does not within a bounded time,
    though the batch may still get there. All of the batch's observations share it."""
    opened_at: float
    received_time_ms: int = 0
    sequence: int = 0
    adapters: Counter[str] = field(default_factory=Counter)
    expiry: asyncio.TimerHandle | None = None
    span: SpanContext | None = None

    @property
    def count(self) -> int:
        return len(self.written)


@dataclass(slots=True)
class _Lane:
    """One partition: the batch that is open, and the closed ones in order."""

    partition: int
    open: Batch | None = None
    closed: deque[Batch] = field(default_factory=deque)
    pump: asyncio.Task[None] | None = None
    received_time_ms: int = 0
    sequence: int = 0


class BatchPacker:
    """Collects observations for a few milliseconds and sends one record a partition.

    All partitions are sent together, so that the broker gets one request. Within a partition batches keep
    their order and their received times never fall.
    """

    def __init__(
        self,
        producer: Producer,
        *,
        topic: str,
        partitions: int,
        gateway_id: str,
        minimum_linger_ms: float,
        maximum_linger_ms: float,
        maximum_in_flight: int,
        wait_seconds: float,
        now_ms: Callable[[], int],
        on_failure: Callable[[BaseException], None],
        traces: Traces | None = None,
    ) -> None:
        """`wait_seconds` bounds how long an outcome stays open after its batch was closed. `on_failure` is
        called when the producer can send nothing more: only a restart helps."""
        self._producer = producer
        self._topic = topic
        self._gateway_id = gateway_id
        self._minimum_linger_ms = minimum_linger_ms
        self._maximum_linger_ms = maximum_linger_ms
        self._maximum_in_flight = maximum_in_flight
        self._wait_seconds = wait_seconds
        self._now_ms = now_ms
        self._on_failure = on_failure
        self._traces = traces
        self._loop = asyncio.get_running_loop()
        # Sequences go on rising over a restart, since they begin at the time of the start.
        self._lanes = [_Lane(partition, sequence=now_ms()) for partition in range(partitions)]
        self._timer: asyncio.TimerHandle | None = None
        self._in_flight = 0
        # Closed batches that the broker has not acknowledged, oldest first.
        self._unsettled: dict[int, Batch] = {}
        self._on_settled: list[Callable[[Sequence[bytes]], None]] = []
        self._rate = 0.0
        self._rate_since = self._loop.time()
        self._rate_count = 0
        self._stopped = False

    @property
    def in_flight(self) -> int:
        """Observations that the broker has not acknowledged."""
        return self._in_flight

    def not_ready_because(self) -> str | None:
        """None while the broker acknowledges; the watermarks ask it each second even when no device
        speaks."""
        oldest = next(iter(self._unsettled.values()), None)
        if oldest is not None and self._loop.time() - oldest.opened_at > ACKNOWLEDGED_WITHIN_SECONDS:
            return "Kafka does not acknowledge"
        return None

    def when_settled(self, listener: Callable[[Sequence[bytes]], None]) -> None:
        """From now on `listener` gets the ids of a batch's observations, once the broker has it or never
        will."""
        self._on_settled.append(listener)

    def require_room(self, count: int) -> None:
        """Retry when `count` more observations would be too many in flight."""
        if self._stopped:
            raise Retry("the gateway is stopping")
        if self._in_flight + count > self._maximum_in_flight:
            raise Retry("too many observations wait for Kafka", after_seconds=2)

    def add(
        self,
        observation: Observation,
        *,
        partition: int,
        blinding: Blinding,
        keys: Iterable[WrappedKey],
        adapter: str,
    ) -> asyncio.Future[None]:
        """Puts the observation into the open batch of its partition, with the data keys that open what is
        sealed in it.

        Returns the batch's outcome: done once the broker has it.
        """
        lane = self._lanes[partition]
        batch = lane.open
        if batch is not None and not batch.written.is_of(blinding.version, blinding.epoch):
            self._close(lane)
            batch = None
        if batch is None:
            batch = self._opened(lane, blinding)
        batch.written.add(observation, keys)
        batch.adapters[adapter] += 1
        self._in_flight += 1
        self._rate_count += 1
        if batch.count >= MAXIMUM_OBSERVATIONS or batch.written.size_bytes >= MAXIMUM_BATCH_BYTES:
            self._close(lane)
        elif self._timer is None:
            self._timer = self._loop.call_later(self._linger_seconds(), self._tick)
        return batch.outcome

    def flush(self) -> None:
        """Sends what is open now."""
        for lane in self._lanes:
            if lane.open is not None:
                self._close(lane)

    def watermark(self, blinding: Blinding | None) -> None:
        """Sends what is open, then an empty batch to each partition: all that was received before is on its
        way."""
        self.flush()
        for lane in self._lanes:
            if len(lane.closed) < _STUCK_BATCHES:
                self._opened(lane, blinding)
                self._close(lane)

    async def stop(self, timeout_seconds: float) -> None:
        """Takes nothing more and waits for what is in flight."""
        self._stopped = True
        self.flush()
        pumps = [lane.pump for lane in self._lanes if lane.pump is not None]
        if pumps:
            await asyncio.wait(pumps, timeout=timeout_seconds)
        for pump in pumps:
            pump.cancel()

    def _linger_seconds(self) -> float:
        now = self._loop.time()
        if now - self._rate_since >= 0.5:
            measured = self._rate_count / (now - self._rate_since)
            # Half a second each, smoothed over about two: bursts of one camera should not move it.
            self._rate += (measured - self._rate) * 0.4
            self._rate_since, self._rate_count = now, 0
        linger_ms = adapted_linger_ms(
            self._rate,
            minimum_ms=self._minimum_linger_ms,
            maximum_ms=self._maximum_linger_ms,
        )
        metrics.linger.set(linger_ms / 1000)
        return linger_ms / 1000

    def _tick(self) -> None:
        self._timer = None
        self.flush()

    def _opened(self, lane: _Lane, blinding: Blinding | None) -> Batch:
        version, epoch = (0, "") if blinding is None else (blinding.version, blinding.epoch)
        outcome = self._loop.create_future()
        # A request that gave up waiting leaves nobody to fetch the error.
        outcome.add_done_callback(lambda done: done.exception())
        lane.open = Batch(WrittenBatch(self._gateway_id, version, epoch), outcome, self._loop.time())
        return lane.open

    def _close(self, lane: _Lane) -> None:
        batch = lane.open
        if batch is None:
            return
        lane.open = None
        lane.received_time_ms = max(lane.received_time_ms, self._now_ms())
        lane.sequence += 1
        batch.received_time_ms, batch.sequence = lane.received_time_ms, lane.sequence
        if self._traces is not None and batch.count:
            batch.span = self._traces.batch()
        # One timer a batch costs less than a bounded wait for each of its observations.
        batch.expiry = self._loop.call_later(self._wait_seconds, self._expire, batch)
        lane.closed.append(batch)
        self._unsettled[id(batch)] = batch
        if lane.pump is None:
            lane.pump = self._loop.create_task(self._pump(lane), name=f"pump-{lane.partition}")

    async def _pump(self, lane: _Lane) -> None:
        """Hands the lane's batches to the producer in order. Acknowledgements come by callback."""
        try:
            while lane.closed:
                batch = lane.closed.popleft()
                try:
                    sent = await self._producer.send(
                        self._topic,
                        batch.written.value(batch.received_time_ms, batch.sequence),
                        partition=lane.partition,
                        headers=None if batch.span is None else headers_of(batch.span),
                    )
                except KafkaError as error:
                    self._settle(batch, error)
                else:
                    sent.add_done_callback(partial(self._acknowledged, batch))
        finally:
            lane.pump = None

    def _acknowledged(self, batch: Batch, sent: asyncio.Future[object]) -> None:
        if sent.cancelled():
            self._settle(batch, asyncio.CancelledError())
            return
        self._settle(batch, sent.exception())

    def _expire(self, batch: Batch) -> None:
        if not batch.outcome.done():
            batch.outcome.set_exception(Retry("Kafka has not acknowledged in time", after_seconds=2))

    def _settle(self, batch: Batch, error: BaseException | None) -> None:
        self._in_flight -= batch.count
        self._unsettled.pop(id(batch), None)
        if batch.expiry is not None:
            batch.expiry.cancel()
        metrics.in_flight.set(self._in_flight)
        for listener in self._on_settled:
            listener(batch.written.observation_ids)
        if error is None:
            metrics.batches.labels("acknowledged").inc()
            if batch.count:
                metrics.batch_size.observe(batch.count)
                metrics.broker_seconds.observe(self._loop.time() - batch.opened_at)
            if self._traces is not None and batch.span is not None:
                spans.tell_batch(
                    self._traces,
                    batch.span,
                    topic=self._topic,
                    count=batch.count,
                    lasted_seconds=self._loop.time() - batch.opened_at,
                    now_ms=self._now_ms(),
                )
            for adapter, count in batch.adapters.items():
                metrics.observations_accepted.labels(adapter).inc(count)
            if not batch.outcome.done():
                batch.outcome.set_result(None)
            return
        metrics.batches.labels("failed").inc()
        log.warning("batch_not_acknowledged", error_type=type(error).__name__, observations=batch.count)
        if not batch.outcome.done():
            batch.outcome.set_exception(Retry("Kafka did not take the observation", after_seconds=2))
        if not _passes(error) and not self._stopped:
            self._on_failure(error)


def _passes(error: BaseException) -> bool:
    """Whether the same producer may succeed later; what broke its sequence numbers never does."""
    return isinstance(error, KafkaTimeoutError) or (isinstance(error, KafkaError) and bool(error.retriable))
