"""From a read at an edge server to the terminal's receipt, hop by hop, for alerts that are sent at once.

Everything runs on one machine: hub, edge server and twelve terminals share its cores. Beside the latency it
prints how many observations a Kafka record carries, and how long catching up with an hour's outage takes.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import signal
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import httpx
from aiokafka import AIOKafkaProducer

from alerthub import kafka
from alerthub.api.v1.alert_pb2 import OUTCOME_FOUND
from alerthub.api.v1.common_pb2 import IDENTIFIER_KIND_PLATE
from alerthub.api.v1.observation_pb2 import (
    OBSERVATION_KIND_IDENTIFIER_READ,
    BlindedIdentifier,
    Observation,
)
from alerthub.domain.partitioning import partition_of
from alerthub.observation_batches import WrittenBatch
from alerthub.selftest.hub import ChildHub, HubFacts
from alerthub.selftest.officer import Officer
from alerthub.selftest.persons import account_with, bootstrap_accounts
from alerthub.settings import KafkaSettings, TlsSettings
from alerthub.terminal.automatic import AutomaticOfficer
from alerthub.terminal.events import CommandAnswered, ScreenChanged
from alerthub.terminal.screen_state import ChangeKind
from benchmarks import _hub

ALERTS = 160
"""Of each load."""
WARM_UP_SECONDS = 5.0
GOAL_P99_MS = 200
OUTAGE_OBSERVATIONS = 600 * 3_600
"""An hour of the reference city's average."""
PARTITIONS = 8


@dataclass(frozen=True, slots=True)
class Load:
    """What comes a second."""

    observations: int
    alerts: int
    """One listed plate in 10,000, as correlator_throughput has it, would be 0.06 and 0.2."""


LOADS = (Load(600, 1), Load(600, 4), Load(2_000, 1), Load(2_000, 4))


@dataclass(frozen=True, slots=True)
class Way:
    """One alert's times, milliseconds since 1970, all of this machine's clock."""

    sent: float
    received: float
    correlated: float
    inserted: float
    offered: float
    shown: float
    receipt: float
    complete: bool
    """Plate and picture came with the first push."""

    HOPS = ("edge to gateway", "to correlator", "to dispatch", "to unit", "to screen", "receipt recorded")

    def hops(self) -> list[float]:
        times = (
            self.sent,
            self.received,
            self.correlated,
            self.inserted,
            self.offered,
            self.shown,
            self.receipt,
        )
        return [later - earlier for earlier, later in itertools.pairwise(times)]


def run() -> None:
    """Prints the figures."""
    with tempfile.TemporaryDirectory(prefix="alerthub-bench-") as folder:
        asyncio.run(_run(Path(folder)))


async def _run(folder: Path) -> None:
    hub = ChildHub(folder / "hub", tell=_quiet)
    officers = [Officer() for _ in range(_hub.UNITS)]
    try:
        facts = await hub.start()
        account = account_with(bootstrap_accounts(facts.folder.accounts_file), "ROLE_OFFICER")
        groups = {
            rate: [f"camera-{rate}-{number}" for number in range(rate // 14)]
            for rate in (load.observations for load in LOADS)
        }
        cameras = [camera for group in groups.values() for camera in group]
        tls, codes = await _hub.prepare(facts, cameras=cameras, officer=account.name, folder=folder)
        for number, (officer, code) in enumerate(zip(officers, codes, strict=True)):
            await officer.start(
                code=code,
                addresses=facts.terminals,
                ca_file=facts.folder.ca_file,
                folder=folder / f"terminal-{number}",
                account=account.name,
                password=account.password,
            )
            await officer.confirmed()
        answering = [asyncio.create_task(_answer(officer)) for officer in officers]
        for load in LOADS:
            await _at(load, facts, officers, tls, groups[load.observations])
        for task in answering:
            task.cancel()
        await _catch_up(facts, cameras)
    finally:
        for officer in officers:
            await officer.stop()
        await hub.stop()


async def _at(
    load: Load, facts: HubFacts, officers: list[Officer], tls: TlsSettings, cameras: list[str]
) -> None:
    listed = _hub.random_plates(ALERTS)
    await _hub.list_vehicles(facts, listed)
    # Learnt clocks, open connections and filled caches are part of ordinary running.
    warm = _hub.EdgeServer(facts, tls)
    await warm.run(cameras=cameras, rate=load.observations, seconds=WARM_UP_SECONDS, listed=[])
    before = _metrics(facts, "gateway")
    edge = _hub.EdgeServer(facts, tls)
    began = time.monotonic()
    await edge.run(cameras=cameras, rate=load.observations, seconds=ALERTS / load.alerts, listed=listed)
    seconds = time.monotonic() - began
    after = _metrics(facts, "gateway")
    ways = await _ways(officers, edge, len(listed))
    totals = sorted(way.receipt - way.sent for way in ways)
    sys.stdout.write(
        f"\n{edge.sent / seconds:.0f} observations/s asked for {load.observations},"
        f" {len(ways)} alerts sent at once, {load.alerts} a second, ms:\n"
        f"  {'hop':<18} {'p50':>8} {'p99':>8} {'max':>8}\n"
    )
    for name, values in zip(Way.HOPS, zip(*(way.hops() for way in ways), strict=True), strict=True):
        _row(name, sorted(values))
    _row("read to receipt", totals)
    p99 = _quantile(totals, 0.99)
    sys.stdout.write(f"  goal: p99 under {GOAL_P99_MS} ms: {'met' if p99 < GOAL_P99_MS else 'MISSED'}\n")
    sys.stdout.write(f"  shown with the plate at once: {sum(way.complete for way in ways)} of {len(ways)}\n")
    records = _grown(before, after, "alerthub_gateway_batch_observations_count")
    packed = _grown(before, after, "alerthub_gateway_batch_observations_sum")
    sys.stdout.write(f"  observations a Kafka record: {packed / max(1.0, records):.1f}\n")


async def _ways(officers: list[Officer], edge: _hub.EdgeServer, wanted: int) -> list[Way]:
    """Each listed plate's way, once all receipts are recorded; RuntimeError where some are not within a
    minute."""
    deadline = time.monotonic() + 60
    while True:
        ways = [way for officer in officers for way in _found(officer, edge)]
        if len(ways) >= wanted:
            return ways
        if time.monotonic() > deadline:
            raise RuntimeError(f"{len(ways)} of {wanted} alerts were shown and their receipts recorded")
        await asyncio.sleep(0.2)


def _found(officer: Officer, edge: _hub.EdgeServer) -> Iterable[Way]:
    changes = [event.change for _, event in officer.told if isinstance(event, ScreenChanged)]
    # A first push may go without what watchlist opens, which then follows.
    plates = {each.alert_id: each.push.details.identifier for each in changes if each.push.details.identifier}
    receipts = {
        event.alert_id: told_ms
        for told_ms, event in reversed(officer.told)
        if isinstance(event, CommandAnswered) and event.kind == "receipt"
    }
    for told_ms, event in officer.told:
        if not isinstance(event, ScreenChanged) or event.change.kind is not ChangeKind.SHOWN:
            continue
        push = event.change.push
        sent = edge.sent_at_ms.get(plates.get(push.alert.alert_id, ""))
        receipt = receipts.get(push.alert.alert_id)
        if sent is None or receipt is None:
            continue
        seen = push.alert.sightings[0]
        yield Way(
            sent=sent,
            received=seen.received_time_ms,
            correlated=seen.correlated_time_ms,
            inserted=seen.inserted_time_ms,
            offered=push.alert.assignments[-1].offered_at_ms,
            shown=told_ms,
            receipt=receipt,
            complete=push.HasField("details"),
        )


async def _answer(officer: Officer) -> None:
    """Accepts and ends every alert, as officers do, so that the terminal's list stays short."""
    automatic = AutomaticOfficer(officer.client, accepts=True, outcome=OUTCOME_FOUND)
    taken = 0
    while True:
        events = officer.told
        for _, event in events[taken:]:
            await automatic.take(event)
        taken = len(events)
        await asyncio.sleep(0.05)


async def _catch_up(facts: HubFacts, cameras: list[str]) -> None:
    """An hour of packed observations is on Kafka while the correlator stands still; then it goes on."""
    content = facts.folder.read_hub()
    correlator = next(each for each in content["services"] if each["service"] == "correlator")
    before = _metrics(facts, "correlator")
    settings = KafkaSettings(
        bootstrap=content["kafka"]["bootstrap"],
        username="gateway",
        password_file=facts.folder.kafka_password_file("gateway"),
    )
    await asyncio.to_thread(_signal, int(correlator["pid"]), stop=True)
    try:
        producer = kafka.producer(settings, client_id="benchmark")
        await producer.start()
        try:
            await _produce(producer, cameras)
        finally:
            await producer.stop()
    finally:
        await asyncio.to_thread(_signal, int(correlator["pid"]), stop=False)
    began = time.monotonic()
    async with asyncio.timeout(300):
        while True:
            done = _grown(before, _metrics(facts, "correlator"), "alerthub_correlator_observations_total")
            if done >= OUTAGE_OBSERVATIONS:
                break
            await asyncio.sleep(0.25)
    seconds = time.monotonic() - began
    sys.stdout.write(
        f"\ncatching up with an hour's outage ({OUTAGE_OBSERVATIONS:,} observations): {seconds:.1f} s,"
        f" {OUTAGE_OBSERVATIONS / seconds:,.0f} observations/s\n"
    )


async def _produce(producer: AIOKafkaProducer, cameras: list[str]) -> None:
    now_ms = int(time.time() * 1000)
    observations = [
        Observation(
            observation_id=number.to_bytes(16, "big"),
            device_id=cameras[number % len(cameras)],
            kind=OBSERVATION_KIND_IDENTIFIER_READ,
            device_time_ms=now_ms,
            corrected_time_ms=now_ms,
            received_time_ms=now_ms,
            district="district-0",
            authorisation_id="authorisation-1",
            read_confidence=0.9,
            identifiers=[
                BlindedIdentifier(
                    kind=IDENTIFIER_KIND_PLATE,
                    tokens=[(number + 1).to_bytes(16, "little")],
                    sealed_details=b"x" * 60,
                )
            ],
        )
        for number in range(256)
    ]
    written = WrittenBatch("benchmark", 1, "benchmark")
    for each in observations:
        written.add(each, ())
    batch = written.value(now_ms, 0)
    acknowledgements = []
    for number in range(-(-OUTAGE_OBSERVATIONS // 256)):
        partition = partition_of(f"district-{number % _hub.DISTRICTS}", PARTITIONS)
        acknowledgements.append(await producer.send("observations", batch, partition=partition))
        if len(acknowledgements) >= 200:
            await asyncio.gather(*acknowledgements)
            acknowledgements.clear()
    await asyncio.gather(*acknowledgements)


def _signal(pid: int, *, stop: bool) -> None:
    os.kill(pid, signal.SIGSTOP if stop else signal.SIGCONT)


def _metrics(facts: HubFacts, service: str) -> dict[str, float]:
    """Sums of the service's samples by name, over all labels."""
    sums: dict[str, float] = {}
    for each in facts.folder.read_hub()["services"]:
        if each["service"] != service:
            continue
        page = httpx.get(f"http://127.0.0.1:{each['operations_port']}/metrics", timeout=30).text
        for name, value in re.findall(r"^([a-zA-Z_:]+)(?:\{[^}]*\})? (\S+)$", page, re.MULTILINE):
            sums[name] = sums.get(name, 0.0) + float(value)
    return sums


def _grown(before: dict[str, float], after: dict[str, float], name: str) -> float:
    return after.get(name, 0.0) - before.get(name, 0.0)


def _row(name: str, ordered: list[float]) -> None:
    sys.stdout.write(
        f"  {name:<18} {_quantile(ordered, 0.5):>8.0f} {_quantile(ordered, 0.99):>8.0f} {ordered[-1]:>8.0f}\n"
    )


def _quantile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def _quiet(line: str) -> None:
    if "ended" in line:
        sys.stderr.write(line + "\n")
