"""Sends what cross-district rules need to the second agent, and how far this worker's sources are (C7)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence

from alerthub import passage_batches
from alerthub.domain.correlation import Passing
from alerthub.observation_batches import ReadBatch
from alerthub.passage_batches import Sent, Source
from alerthub.topics import TOPICS
from services.correlator import metrics
from services.correlator.state import Working

MAXIMUM_RECORD_BYTES = TOPICS["passages"].max_message_bytes - 1_024
"""Of a value, with room for what Kafka puts around it."""
WATERMARK_SECONDS = 5.0
"""Between watermarks, each a record to every partition of passages from every worker: so much longer than its
lateness a read is waited for and kept."""

SendTo = Callable[[int, bytes], Awaitable[object]]
"""Hands a value for a partition to the producer and returns at once, as `Send` does."""


class TooLargeError(Exception):
    """A record of passages has more bytes than Kafka takes."""


class PassageSender:
    """Packs and sends, in the order in which it is asked."""

    def __init__(self, working: Working, send: SendTo, partitions: int) -> None:
        """`partitions`: of the topic, which has as many as `observations`."""
        self._working = working
        self._send = send
        self._partitions = partitions
        self._sent = Sent()
        self._generation = working.generation

    def send(
        self, passing: Sequence[Passing], batch: ReadBatch, *, partition: int, offset: int, exact_index: int
    ) -> Iterator[Awaitable[object]]:
        """Sends what the batch at `offset` passes on; gives each record's delivery. Raises TooLargeError."""
        source = Source(self._working.topic_id, partition, offset, exact_index)
        for target, value in passage_batches.packed(
            passing, batch, source, self._known_sent(), self._partitions
        ):
            if len(value) > MAXIMUM_RECORD_BYTES:
                raise TooLargeError
            metrics.PASSAGE_BATCHES_SENT.inc()
            yield self._send(target, value)
        metrics.PASSAGES_SENT.inc(len(passing))

    def tell_watermarks(self, now_ms: int) -> None:
        """How far each partition that is held has been evaluated. Nobody waits for it: the next one says the
        same and more."""
        received_ms = {each: self._working.state(each).received_ms for each in self._working.partitions}
        for target in range(self._partitions):
            value = passage_batches.watermarks(
                self._working.topic_id, received_ms, self._known_sent(), target, now_ms=now_ms
            )
            self._send(target, value)

    def _known_sent(self) -> Sent:
        if self._generation != self._working.generation:
            # Between two assignments others sent, and what was sent before may never have arrived.
            self._sent.forget()
            self._generation = self._working.generation
        return self._sent
