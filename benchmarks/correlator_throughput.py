"""Observations per processor second of the correlator's real agent, beside two ways to do the same work."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confluent_kafka import Producer
from confluent_kafka.cimpl import NewTopic

from alerthub import kafka
from alerthub.embedded.folder import HubFolder
from alerthub.embedded.infrastructure import Infrastructure
from alerthub.kafka_positions import KafkaPositions
from alerthub.settings import KafkaSettings, TraceSettings
from alerthub.tracing import headers_of, new_context
from benchmarks import _correlator_load as load
from benchmarks._collector import collecting

OBSERVATIONS = 256 * 2_000
SMALL_OBSERVATIONS = 64 * 2_000
SINGLE_OBSERVATIONS = 10_000
SINGLE_TOPIC = "benchmark-single"
GOAL_OVER_SINGLE = 50
GOAL_OF_BARE = 0.6
BATCH_RATIO = TraceSettings().batch_ratio


@dataclass(frozen=True, slots=True)
class Result:
    """What a worker achieved."""

    observations: float
    cpu_seconds: float
    seconds: float
    resident_mib: float

    @property
    def rate(self) -> float:
        """Observations per processor second."""
        return self.observations / self.cpu_seconds


class Workers:
    """The process that forks workers."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks._correlator_workers"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def answer(self) -> dict[str, float]:
        if self._process.stdout is None:
            raise RuntimeError("the workers have no output")
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("a worker ended without an answer")
        return dict(json.loads(line))

    def measure(self, request: dict[str, Any]) -> Result:
        if self._process.stdin is None:
            raise RuntimeError("the workers have no input")
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return Result(**self.answer())

    def stop(self) -> None:
        # With whatever it forked.
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def run() -> None:
    workers = Workers()
    try:
        with (
            tempfile.TemporaryDirectory(prefix="alerthub-bench-") as folder,
            Infrastructure(HubFolder(Path(folder) / "hub")) as infrastructure,
        ):
            _run(infrastructure, workers, Path(folder))
    finally:
        workers.stop()


def _run(infrastructure: Infrastructure, workers: Workers, folder: Path) -> None:
    admin = infrastructure.kafka_settings("admin")
    correlator = infrastructure.kafka_settings("correlator")
    common: dict[str, Any] = {
        "bootstrap": admin.bootstrap,
        "passwords": {"admin": str(admin.password_file), "correlator": str(correlator.password_file)},
        "folder": str(folder / "faust"),
    }
    filled = workers.answer()
    _say(
        f"{load.ENTRIES:,} entries, {load.ZONES:,} zones with dwell rules, {load.DEVICES:,} devices: "
        f"filled in {filled['fill_seconds']:.0f} processor seconds, {filled['resident_mib']:.0f} MiB"
    )
    received, results = 0, {}
    for size, observations in ((64, SMALL_OBSERVATIONS), (256, OBSERVATIONS)):
        offsets = _ends(admin, "observations")
        _produce(admin, "observations", load.batches(observations // size, size, seed=size))
        request = {**common, "topic": "observations", "observations": observations}
        results[f"agent {size}"] = workers.measure(
            {**request, "worker": "agent", "received_before": received}
        )
        results[f"bare {size}"] = workers.measure({**request, "worker": "bare_loop", "offsets": offsets})
        received += observations
    _produce(admin, "observations", load.batches(OBSERVATIONS // 256, 256, seed=257), traced=True)
    with collecting() as (collector, receiver):
        results["traced 256"] = workers.measure(
            {
                **common,
                "topic": "observations",
                "observations": OBSERVATIONS,
                "worker": "agent",
                "received_before": received,
                "collector": collector,
            }
        )
        _say(f"{receiver.count} spans told, of one batch in {round(1 / BATCH_RATIO)} and of what fired")
    _create(admin, SINGLE_TOPIC)
    _produce(admin, SINGLE_TOPIC, load.batches(SINGLE_OBSERVATIONS, 1, seed=1))
    request = {**common, "topic": SINGLE_TOPIC, "observations": SINGLE_OBSERVATIONS}
    results["single"] = workers.measure({**request, "worker": "one_record_an_event"})
    _print(results)


def _print(results: dict[str, Result]) -> None:
    single = results["single"].rate
    _row("", "observations", "times one", "times the")
    _row("", "per cpu s", "per record", "bare loop")
    _row("Faust, one record an event", f"{single:,.0f}", "1.0", "")
    for size in (64, 256):
        bare, agent = results[f"bare {size}"].rate, results[f"agent {size}"].rate
        _row(f"bare aiokafka loop, batches of {size}", f"{bare:,.0f}", f"{bare / single:.1f}", "1.00")
        _row(
            f"correlator, batches of {size}", f"{agent:,.0f}", f"{agent / single:.1f}", f"{agent / bare:.2f}"
        )
    agent_256, traced = results["agent 256"], results["traced 256"].rate
    _row(
        "the same with traces",
        f"{traced:,.0f}",
        f"{traced / single:.1f}",
        f"{traced / results['bare 256'].rate:.2f}",
    )
    _say(f"with traces {traced / agent_256.rate:.2f} of without")
    over, of = agent_256.rate / single, agent_256.rate / results["bare 256"].rate
    _say(
        f"goal at 256: {GOAL_OVER_SINGLE} times one record an event: {_met(over >= GOAL_OVER_SINGLE)}; "
        f"{GOAL_OF_BARE} of the bare loop: {_met(of >= GOAL_OF_BARE)}; "
        f"the correlator's memory at most {agent_256.resident_mib:.0f} MiB"
    )


def _row(name: str, rate: str, over_single: str, of_bare: str) -> None:
    _say(f"{name:38}{rate:>14}{over_single:>12}{of_bare:>12}")


def _met(yes: bool) -> str:
    return "met" if yes else "missed"


def _create(settings: KafkaSettings, topic: str) -> None:
    with kafka.administrator(settings) as admin:
        created = admin.create_topics([NewTopic(topic, num_partitions=load.PARTITIONS, replication_factor=1)])
        created[topic].result(timeout=30)


def _ends(settings: KafkaSettings, topic: str) -> list[int]:
    places = [(topic, number) for number in range(load.PARTITIONS)]
    with KafkaPositions(settings) as positions:
        ends = positions.ends(places)
    return [ends[place] for place in places]


def _produce(
    settings: KafkaSettings, topic: str, values: Iterable[tuple[int, bytes]], *, traced: bool = False
) -> None:
    chance = random.Random(1)  # noqa: S311 - a load is to be the same each time
    options = {
        "bootstrap.servers": settings.bootstrap,
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "SCRAM-SHA-256",
        "sasl.username": settings.username,
        "sasl.password": settings.password(),
        "enable.idempotence": True,
        "message.max.bytes": 2 * 1_024 * 1_024,
        "queue.buffering.max.kbytes": 64 * 1_024,
    }
    with Producer(options) as producer:
        for partition, value in values:
            headers: list[tuple[str, str | bytes | None]] = []
            if traced and chance.random() < BATCH_RATIO:
                headers.extend(headers_of(new_context()))
            while True:
                try:
                    producer.produce(topic, value, partition=partition, headers=headers)
                except BufferError:
                    producer.poll(0.1)
                else:
                    break
        if producer.flush(120):
            raise TimeoutError("Kafka did not take the load")
    time.sleep(0.1)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
