"""The workers that the correlator's benchmark compares, each a process of its own.

`python -m benchmarks._correlator_workers` fills the reference once, then reads one request a line (JSON)
and answers each with one line (JSON): it forks, so that every worker begins with the same memory.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faust
import uvloop
from aiokafka import AIOKafkaConsumer, TopicPartition
from faust.auth import SASLCredentials
from prometheus_client import CollectorRegistry

from alerthub import kafka
from alerthub.domain import correlation
from alerthub.domain.partition_state import PartitionState
from alerthub.observation_batches import ReadBatch
from alerthub.settings import KafkaSettings, TraceSettings
from alerthub.telemetry import configure_logging
from benchmarks import _correlator_load as load
from services.correlator.replicas import Reference
from services.correlator.service import Service
from services.correlator.settings import CorrelatorSettings

Request = dict[str, Any]
Answer = dict[str, float]


class Stopwatch:
    """Processor time from the first observation that was seen to be applied, to the last."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._began: tuple[int, float, float] | None = None

    def see(self, count: int) -> Answer | None:
        """`count` observations are applied; the answer once they are all."""
        if count and self._began is None:
            self._began = (count, time.process_time(), time.monotonic())
        if count < self._total or self._began is None:
            return None
        first, cpu, clock = self._began
        return {
            "observations": count - first,
            "cpu_seconds": time.process_time() - cpu,
            "seconds": time.monotonic() - clock,
            "resident_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024,
        }

    async def watch(self, applied: Callable[[], int]) -> Answer:
        """Looks again and again."""
        while True:
            answer = self.see(applied())
            if answer is not None:
                return answer
            await asyncio.sleep(0.01)


class AlwaysOpen:
    """A reference that is filled already."""

    def closed_because(self, as_of_ms: int = 0) -> str | None:
        return None

    async def wait(self, as_of_ms: int = 0) -> None:
        return

    async def start(self) -> None:
        return

    async def stop(self) -> None:
        return


def settings_of(request: Request, principal: str) -> KafkaSettings:
    return KafkaSettings(
        bootstrap=request["bootstrap"],
        username=principal,
        password_file=Path(request["passwords"][principal]),
    )


async def agent(request: Request, reference: Reference) -> Answer:
    """The correlator's own agent, with its checkpoints."""
    service = Service(
        CorrelatorSettings(
            kafka=settings_of(request, "correlator"),
            traces=TraceSettings(collector=request.get("collector", ""), plain=True),
        ),
        registry=CollectorRegistry(),
        reference=reference,
        source=AlwaysOpen(),
    )
    await service.start()
    before: int = request["received_before"]

    def applied() -> int:
        if not service.working.open:
            return 0
        return sum(counts.received for counts in service.working.totals().values()) - before

    watching = asyncio.create_task(Stopwatch(request["observations"]).watch(applied))
    failing = asyncio.create_task(service.failed())
    await asyncio.wait({watching, failing}, return_when=asyncio.FIRST_COMPLETED)
    if failing.done():
        raise failing.result()
    failing.cancel()
    await service.stop()
    return watching.result()


async def one_record_an_event(request: Request, reference: Reference) -> Answer:
    """A Faust agent as its documentation shows it: one observation a record, acknowledged by Faust."""
    settings = settings_of(request, "admin")
    application = faust.App(
        "benchmark-single",
        broker=f"kafka://{settings.bootstrap}",
        broker_credentials=SASLCredentials(
            username=settings.username, password=settings.password(), mechanism="SCRAM-SHA-256"
        ),
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
        store="memory://",
        datadir=request["folder"],
    )
    topic = application.topic(request["topic"], value_type=bytes, value_serializer="raw")
    states = [PartitionState() for _ in range(load.PARTITIONS)]

    @application.agent(topic)
    async def correlate(stream: Any) -> None:
        async for event in stream.events():
            apply(event.value, event.message.offset, states[event.message.partition], reference)

    await application.start()
    answer = await Stopwatch(request["observations"]).watch(
        lambda: sum(state.counts.received for state in states)
    )
    await application.stop()
    return answer


async def bare_loop(request: Request, reference: Reference) -> Answer:
    """What Faust costs nothing of: a consumer's loop without checkpoints."""
    consumer: AIOKafkaConsumer = kafka.consumer(
        settings_of(request, "correlator"), group_id=None, max_partition_fetch_bytes=2 * 1_024 * 1_024
    )
    partitions = [TopicPartition(request["topic"], number) for number in range(load.PARTITIONS)]
    await consumer.start()
    consumer.assign(partitions)
    for partition, offset in zip(partitions, request["offsets"], strict=True):
        consumer.seek(partition, offset)
    states = [PartitionState() for _ in partitions]

    stopwatch = Stopwatch(request["observations"])
    answer = None
    while answer is None:
        for records in (await consumer.getmany(timeout_ms=200)).values():
            for record in records:
                apply(record.value, record.offset, states[record.partition], reference)
                answer = stopwatch.see(sum(state.counts.received for state in states))
    await consumer.stop()
    return answer


def apply(value: bytes, offset: int, state: PartitionState, reference: Reference) -> None:
    """The same work for all: decode, look up, rules, state."""
    batch = ReadBatch(value)
    correlation.evaluate(
        batch,
        offset=offset,
        state=state,
        knowledge=reference.knowledge(batch.received_time_ms, batch.matching_version),
        now_ms=batch.received_time_ms,
    )


WORKERS = {"agent": agent, "one_record_an_event": one_record_an_event, "bare_loop": bare_loop}


def answer_in_fork(request: Request, reference: Reference) -> None:
    if os.fork():
        _, status = os.wait()
        if status:
            # Whoever asked would wait for the answer for ever.
            raise SystemExit(f"the worker {request['worker']} ended with {os.waitstatus_to_exitcode(status)}")
        return
    # The service's own loop; stock Faust has Python's.
    factory = None if request["worker"] == "one_record_an_event" else uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        answer = runner.run(WORKERS[request["worker"]](request, reference))
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
    os._exit(0)


def main() -> None:
    configure_logging(service="benchmark", instance="1", level="error")
    # Faust's and aiokafka's loggers have levels of their own.
    logging.disable(logging.WARNING)
    began = time.process_time()
    reference = Reference()
    load.fill(reference)
    # As the service does once it has read its replicas, for all of them.
    gc.freeze()
    filled = {
        "fill_seconds": time.process_time() - began,
        "resident_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024,
    }
    sys.stdout.write(json.dumps(filled) + "\n")
    sys.stdout.flush()
    for line in sys.stdin:
        answer_in_fork(json.loads(line), reference)


if __name__ == "__main__":
    main()
