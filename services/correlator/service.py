"""Wires the correlator. Nothing else does."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections.abc import Awaitable
from typing import Any, cast

from faust.types import TP
from prometheus_client import REGISTRY, CollectorRegistry

from alerthub import loops
from alerthub.http import OperationsServer
from alerthub.kafka_watch import KafkaWatch, topics_of
from alerthub.process import Parts
from alerthub.telemetry import logger
from alerthub.tracing import Headers, traces_of
from services.correlator import agents, losses, metrics, watchdog, watermarks
from services.correlator.application import (
    APPLICATION_ID,
    build_application,
    build_table,
    raw_topic,
)
from services.correlator.checkpoint import Checkpoint
from services.correlator.consumer import OBSERVATIONS, PASSAGES, SequentialConsumer
from services.correlator.handlers import BatchHandler
from services.correlator.outgoing import Outgoing, Send, now_ms
from services.correlator.passage_handlers import PassageHandler
from services.correlator.passage_sending import WATERMARK_SECONDS as PASSAGE_WATERMARK_SECONDS
from services.correlator.passage_sending import PassageSender, SendTo
from services.correlator.positions import Position, Positions
from services.correlator.progress import Progress
from services.correlator.replicas import Reference, Replicas, Source
from services.correlator.settings import CorrelatorSettings
from services.correlator.snapshots import Captured, Snapshot
from services.correlator.state import Working, WorkingPassages
from services.correlator.watermarks import WATERMARK_SECONDS

log = logger(__name__)

_LATE_CHECKPOINTS = 6
"""Not ready when the last checkpoint is older than this many intervals."""
_PASSED_OVER_SECONDS = 2.0
"""Between two looks at what agents have not taken: longer than a batch takes, far below the watchdog's
limit."""


class Service:
    """The correlator: `start`, `stop`, and `failed`, which ends when the process should."""

    def __init__(
        self,
        settings: CorrelatorSettings,
        *,
        registry: CollectorRegistry = REGISTRY,
        reference: Reference | None = None,
        source: Source | None = None,
    ) -> None:
        """`source` fills `reference`; without one, replicas of the five topics do."""
        self._settings = settings
        self._registry = registry
        self._source = source
        self._parts = Parts()
        self._traces = traces_of(settings)
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False
        self.reference = reference or Reference()
        self.operations: OperationsServer | None = None

    async def start(self) -> None:
        """Begins; returns before the state is recovered and the replicas are read: readiness tells."""
        self._parts.open()
        # Faust logs records that it could not send with their keys and values, which hold tokens (S5).
        logging.getLogger("faust.topics").setLevel(logging.CRITICAL)
        if self._traces is not None:
            await self._traces.start()
        self._wire()
        await self._operations_server().start()
        await self.replicas.start()
        await self.application.start()
        await self.kafka_watch.start()
        self._tasks = [
            loops.begin(work, name=name, on_failure=self._parts.fail)
            for name, work in (
                ("crash", self._await_crash()),
                ("checkpoint", self._checkpoint_regularly()),
                ("watchdog", self._progress.watch()),
                ("watermarks", self._tell_watermarks()),
                ("passed-over", self._read_what_was_passed_over()),
                ("passage-watermarks", self._tell_second_agents()),
                ("reference", self._leave_reference_to_reference_counts()),
            )
        ]

    def _wire(self) -> None:
        # Faust's parts belong to the running loop, so they are made here and not when the service is built.
        settings = self._settings
        self.application = build_application(settings)
        self.table = build_table(self.application)
        self.working = Working(self.table)
        self.working_passages = WorkingPassages(self.table)
        self.replicas: Source = self._source or Replicas(
            settings.kafka,
            self.reference,
            client_id=f"{settings.service}-{settings.instance}",
            on_failure=self._parts.fail,
        )
        self.positions = Positions(settings.kafka, topic=OBSERVATIONS, group=APPLICATION_ID)
        self.passage_positions = Positions(settings.kafka, topic=PASSAGES, group=APPLICATION_ID)
        self.kafka_watch = KafkaWatch(
            settings.kafka, topics=topics_of("correlator"), groups={APPLICATION_ID: OBSERVATIONS}
        )
        self.checkpoint = Checkpoint(
            capture=self._capture,
            send=self._send_state,
            keep=self.table.keep,
            generation=self._generation,
        )
        metrics.CHECKPOINT_AGE.set_function(self._checkpoint_age)
        outgoing = Outgoing(
            send_alert=self._sender("alerts"),
            send_dead_letter=self._sender("dead-letter"),
            reference=self.reference,
            traces=self._traces,
        )
        self.passages = PassageSender(self.working, self._sender_to(PASSAGES), settings.partitions)
        self.handler = BatchHandler(
            gate=self.replicas,
            reference=self.reference,
            working=self.working,
            checkpoint=self.checkpoint,
            outgoing=outgoing,
            passages=self.passages,
            read_again=lambda number, offset: self._consumer().read_again(TP(OBSERVATIONS, number), offset),
            traces=self._traces,
        )
        self.passage_handler = PassageHandler(
            gate=self.replicas,
            reference=self.reference,
            working=self.working_passages,
            checkpoint=self.checkpoint,
            outgoing=outgoing,
            read_again=lambda number, offset: self._consumer().read_again(TP(PASSAGES, number), offset),
        )
        agents.register(
            self.application, self.handler.take, self.passage_handler.take, self.application.budget
        )
        self._progress = Progress(
            self.application,
            assigned=lambda: self._assigned(OBSERVATIONS),
            working=self.working,
            working_passages=self.working_passages,
            positions=self.positions,
            passage_positions=self.passage_positions,
            gate=self.replicas,
            limit_seconds=settings.watchdog_seconds,
        )
        self.table.on_recover(self._on_recovered)
        self.application.on_partitions_revoked.connect(cast(Any, self._on_revoked))

    def _generation(self) -> tuple[int, int]:
        """Ours and the group's: a checkpoint goes on only while neither changes."""
        return self.working.generation, self.application.consumer_generation_id

    def _consumer(self) -> SequentialConsumer:
        return cast(SequentialConsumer, self.application.consumer)

    def _sender(self, name: str) -> Send:
        topic = raw_topic(self.application, name)

        def send(key: bytes, value: bytes, headers: Headers = ()) -> Awaitable[object]:
            sent: Awaitable[object] = topic.send_soon(key=key, value=value, headers=list(headers) or None)
            return sent

        return send

    def _sender_to(self, name: str) -> SendTo:
        topic = raw_topic(self.application, name)

        def send(partition: int, value: bytes) -> Awaitable[object]:
            sent: Awaitable[object] = topic.send_soon(value=value, partition=partition)
            return sent

        return send

    def _capture(self) -> list[Captured]:
        now = now_ms()
        configuration = self.reference.catalogue.at(now)
        return [
            *self.working.capture(configuration, now),
            *self.working_passages.capture(configuration, now),
        ]

    def _end(self) -> None:
        self.working.end()
        self.working_passages.end()
        self.checkpoint.forget()

    def _send_state(self, record: Snapshot) -> Awaitable[object]:
        sent: Awaitable[object] = self.table.send_changelog(record.partition, record.key, record.value)
        return sent

    async def _on_revoked(self, _: Any, *__: Any, signal: Any = None, **___: Any) -> None:
        """Faust's signal: the partitions are still ours until this returns."""
        self._consumer().end()
        if not self.working.open:
            return
        try:
            async with asyncio.timeout(self._settings.revocation_seconds):
                await self._write_down()
        except TimeoutError:
            # The next owner begins at the checkpoint before.
            log.warning("revocation_checkpoint_timed_out")
        except Exception as error:  # noqa: BLE001 - whatever it was, the process must not go on
            self._parts.fail(error)
        finally:
            self._end()
            metrics.PARTITIONS.set(0)

    async def _on_recovered(self) -> None:
        """Faust's callback: the changelog has been read, no batch has been fetched yet."""
        try:
            await self._begin()
        except Exception as error:  # noqa: BLE001 - Faust ignores what a callback raises
            self._parts.fail(error)

    async def _begin(self) -> None:
        generation = self._generation()
        partitions = self._assigned(OBSERVATIONS)
        # While releases without a second agent are in the group, passages can be ours whose state is theirs.
        of_passages = sorted(set(self._assigned(PASSAGES)) & set(partitions))
        topic_id, passages_id = await self.positions.topic_id(), await self.passage_positions.topic_id()
        positions = await self.positions.read(partitions) if partitions else {}
        passage_positions = await self.passage_positions.read(of_passages) if of_passages else {}
        if self._generation() != generation:
            return
        first = {number: _first(positions[number]) for number in partitions}
        first_passages = {number: _first(passage_positions[number]) for number in of_passages}
        lost_passages = watchdog.lost(passage_positions)
        self.working.begin(first, topic_id)
        self.working_passages.begin(
            first_passages, passages_id, source_topic_id=topic_id, incomplete=lost_passages
        )
        self._consumer().begin(
            {
                **{TP(OBSERVATIONS, number): offset for number, offset in first.items()},
                **{TP(PASSAGES, number): offset for number, offset in first_passages.items()},
            }
        )
        metrics.PARTITIONS.set(len(partitions))
        for topic, lost, known in (
            (OBSERVATIONS, watchdog.lost(positions), positions),
            (PASSAGES, lost_passages, passage_positions),
        ):
            for partition, count in lost.items():
                losses.tell(
                    self.checkpoint,
                    send_letter=self._sender("dead-letter"),
                    send_alert=self._sender("alerts"),
                    topic=topic,
                    partition=partition,
                    start=known[partition].start,
                    count=count,
                )

    def _assigned(self, topic: str) -> list[int]:
        return sorted(tp.partition for tp in self.application.consumer.assignment() if tp.topic == topic)

    async def _write_down(self) -> None:
        if await self.checkpoint.run():
            await self.application.consumer.commit()

    async def _checkpoint_regularly(self) -> None:
        while True:
            await asyncio.sleep(self._settings.checkpoint_seconds)
            if self.working.open:
                await self._write_down()
            oldest_ms = now_ms() - self._settings.observations_retention_seconds * 1_000
            self.reference.entries.forget_superseded(oldest_ms)

    async def _leave_reference_to_reference_counts(self) -> None:
        # A collector that goes through a million entries for cycles, which they have none of, takes a tenth
        # of a second in which no batch is evaluated.
        await self.replicas.wait()
        gc.freeze()

    async def _tell_watermarks(self) -> None:
        """Whether devices are watched, for the office: once a second, as gateways write (C11)."""
        send = self._sender("watermarks")
        instance = self._settings.instance
        while True:
            await asyncio.sleep(WATERMARK_SECONDS)
            if self.working.open:
                told = watermarks.of(
                    self.working,
                    self.handler.heard,
                    instance=instance,
                    partition_count=self.positions.partition_count,
                    now_ms=now_ms(),
                )
                # Nobody waits for it: the next one says the same and more.
                send(instance.encode(), told.SerializeToString())

    async def _read_what_was_passed_over(self) -> None:
        """What waits for the gate was not passed over."""
        while True:
            await asyncio.sleep(_PASSED_OVER_SECONDS)
            if self.replicas.closed_because() is None:
                await self._consumer().read_what_was_passed_over(
                    {
                        TP(topic, number): working.expected(number)
                        for topic, working in (
                            (OBSERVATIONS, self.working),
                            (PASSAGES, self.working_passages),
                        )
                        if working.open
                        for number in working.partitions
                    }
                )

    async def _tell_second_agents(self) -> None:
        """How far this worker's sources are, while a cross-district rule is in force (C7)."""
        while True:
            await asyncio.sleep(PASSAGE_WATERMARK_SECONDS)
            if self.working.open and self.reference.catalogue.at(now_ms()).cross_district:
                self.passages.tell_watermarks(now_ms())

    async def _await_crash(self) -> None:
        await self.application.wait_until_stopped()
        if not self._stopping:
            raise self.application.crash_reason or RuntimeError("the stream application ended")

    async def failed(self) -> BaseException:
        """Returns when a part ended that only a restart mends."""
        return await self._parts.failed()

    def _operations_server(self) -> OperationsServer:
        self._ledger = metrics.Ledger(self.working.totals)
        self._registry.register(self._ledger)
        self.operations = OperationsServer(
            self._settings,
            {
                "replicas": self.replicas.closed_because,
                "state": self._state_check,
                "checkpoint": self._checkpoint_check,
            },
            live={"failure": self._failure_check},
            registry=self._registry,
        )
        return self.operations

    def _state_check(self) -> str | None:
        return None if self.working.open else "no partition is held, or its state is being recovered"

    def _checkpoint_check(self) -> str | None:
        age = self._checkpoint_age()
        if age > _LATE_CHECKPOINTS * self._settings.checkpoint_seconds:
            return f"the last checkpoint was {age:.0f} s ago"
        return None

    def _checkpoint_age(self) -> float:
        return time.monotonic() - self.checkpoint.completed_at

    def _failure_check(self) -> str | None:
        failure = self._parts.failure
        return None if failure is None else f"ended by {type(failure).__name__}"

    async def stop(self) -> None:
        """Writes down what was applied, then leaves the group."""
        self._stopping = True
        await loops.end(*self._tasks)
        if self._parts.failure is None and self.working.open:
            await self._last_checkpoint()
        await self.application.stop()
        # Each waits for a question that is on its way, which a silent Kafka makes long.
        await asyncio.gather(
            self.positions.aclose(), self.passage_positions.aclose(), self.kafka_watch.stop()
        )
        await self.replicas.stop()
        if self._traces is not None:
            await self._traces.stop()
        if self.operations is not None:
            await self.operations.stop()
        self._registry.unregister(self._ledger)

    async def _last_checkpoint(self) -> None:
        try:
            async with asyncio.timeout(self._settings.revocation_seconds):
                await self._write_down()
        except Exception:
            log.warning("last_checkpoint_failed", exc_info=True)
        finally:
            self._end()


def _first(position: Position) -> int:
    """The offset from which Faust reads on."""
    return max(position.start, position.committed or 0)


def build(settings: CorrelatorSettings) -> Service:
    """The correlator, wired when it starts."""
    return Service(settings)
