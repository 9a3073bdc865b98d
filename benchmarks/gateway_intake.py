"""What one gateway process takes, by each way in, as events per second of its own processor time.

The processor time is the gateway's alone; whoever sends shares the machine with it, so the rate by the clock
says what both reached together. The baseline is an edge server's stream with one event a message.
"""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path

import aiomqtt
import uvloop

from alerthub.api.v1 import ingest_pb2_grpc
from alerthub.api.v1.common_pb2 import IDENTIFIER_KIND_PLATE
from alerthub.api.v1.ingest_pb2 import DeviceEvent, ReadIdentifier, StreamEventsRequest
from alerthub.api.v1.observation_pb2 import OBSERVATION_KIND_IDENTIFIER_READ
from alerthub.grpc_client import certificate_channel
from alerthub.selftest.hub import ChildHub, HubFacts
from alerthub.settings import TlsSettings
from alerthub.simulator.device import DeviceLogin
from alerthub.simulator.shapes import Payload, PlateRead, hikvision_anpr
from benchmarks import _hub
from benchmarks._device import Device

CAMERAS = 100
"""Of each kind, so that none comes near what one device may send."""
STREAMED = 20_000
PUSHED = 10_000
PICTURED = 2_000
PUBLISHED = 3_000
SENDERS = 64
"""Connections at once, as of so many cameras: enough that the gateway never waits for the next."""
CLIENTS = 16
"""Of the MQTT broker."""
PICTURE_BYTES = 200_000
GOALS = {"gRPC stream, 64 events a message": 20_000, "HTTP": 2_500, "HTTP with a picture of 200 kB": 1_000}

Send = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Measured:
    """One way in."""

    name: str
    events: int
    processor_seconds: float
    seconds: float

    @property
    def per_processor_second(self) -> float:
        return self.events / self.processor_seconds


def run() -> None:
    """Prints the figures."""
    with tempfile.TemporaryDirectory(prefix="alerthub-bench-") as folder:
        uvloop.run(_run(Path(folder)))


async def _run(folder: Path) -> None:
    hub = ChildHub(folder / "hub", tell=lambda _: None)
    try:
        facts = await hub.start()
        cameras = [f"edge-camera-{number}" for number in range(CAMERAS)]
        tls, _ = await _hub.prepare(facts, cameras=cameras, officer="officer-1", folder=folder)
        logins = await _hub.register_with_passwords(facts, [f"camera-{number}" for number in range(CAMERAS)])
        ways: list[tuple[str, int, Send]] = [
            ("gRPC stream, one event a message", STREAMED, lambda: _stream(facts, tls, cameras, 1)),
            ("gRPC stream, 64 events a message", STREAMED, lambda: _stream(facts, tls, cameras, 64)),
            ("HTTP", PUSHED, lambda: _push(facts, logins, "cloudevents", PUSHED, _plain)),
            (
                "HTTP with a picture of 200 kB",
                PICTURED,
                lambda: _push(facts, logins, "hikvision-anpr", PICTURED, _pictured),
            ),
            ("MQTT", PUBLISHED, lambda: _publish(facts, logins)),
        ]
        measured = [await _measured(facts, name, events, way) for name, events, way in ways]
    finally:
        await hub.stop()
    _print(measured)


def _print(measured: Sequence[Measured]) -> None:
    baseline = measured[0].per_processor_second
    sys.stdout.write(f"{'':<34} {'events/CPU s':>12} {'ratio':>6} {'events/s':>9}\n")
    for each in measured:
        rate, goal = each.per_processor_second, GOALS.get(each.name)
        told = "" if goal is None else f"  goal {goal:,}: {'met' if rate >= goal else 'missed'}"
        by_the_clock = each.events / each.seconds
        sys.stdout.write(
            f"{each.name:<34} {rate:>12,.0f} {rate / baseline:>6.2f} {by_the_clock:>9,.0f}{told}\n"
        )


async def _measured(facts: HubFacts, name: str, events: int, way: Send) -> Measured:
    before, began = _processor_seconds(facts), time.monotonic()
    await way()
    return Measured(name, events, _processor_seconds(facts) - before, time.monotonic() - began)


def _processor_seconds(facts: HubFacts) -> float:
    total = 0
    for each in facts.folder.read_hub()["services"]:
        if each["service"] == "gateway":
            # proc(5): fields 14 and 15, counted after the command's name in brackets.
            fields = Path(f"/proc/{each['pid']}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


async def _stream(facts: HubFacts, tls: TlsSettings, cameras: Sequence[str], events_a_message: int) -> None:
    mark = uuid.uuid4().hex
    plates = _hub.random_plates(1_000)

    async def requests() -> AsyncIterator[StreamEventsRequest]:
        for first in range(0, STREAMED, events_a_message):
            now_ms = int(time.time() * 1000)
            events = [
                DeviceEvent(
                    device_id=cameras[number % len(cameras)],
                    event_id=f"{mark}-{number}",
                    kind=OBSERVATION_KIND_IDENTIFIER_READ,
                    device_time_ms=now_ms,
                    identifiers=[
                        ReadIdentifier(kind=IDENTIFIER_KIND_PLATE, text=plates[number % len(plates)])
                    ],
                    read_confidence=0.95,
                )
                for number in range(first, min(STREAMED, first + events_a_message))
            ]
            yield StreamEventsRequest(sequence=first + 1, event=events[0], further_events=events[1:])

    acknowledged = 0
    async with certificate_channel(tls, str(facts.folder.read_hub()["gateway_grpc"])) as channel:
        async for answer in ingest_pb2_grpc.IngestServiceStub(channel).StreamEvents(requests()):
            acknowledged = answer.acknowledged_sequence
            for refusal in answer.refusals:
                raise RuntimeError(f"refused: {refusal.field}: {refusal.expected}")
    if acknowledged != STREAMED:
        raise RuntimeError(f"{acknowledged} of {STREAMED} events were acknowledged")


def _plain(plate: str) -> Payload:
    return Payload("application/cloudevents+json", _cloud_event(plate))


def _cloud_event(plate: str) -> bytes:
    return json.dumps(
        {
            "specversion": "1.0",
            "id": uuid.uuid4().hex,
            "source": "/benchmark",
            "type": "alerthub.identifier.read",
            "time": datetime.now(UTC).isoformat(),
            "data": {"plate": plate, "confidence": 0.95},
        }
    ).encode()


def _pictured(plate: str) -> Payload:
    # Nobody decodes it: its first bytes say what it is.
    picture = b"\xff\xd8\xff\xe0" + os.urandom(PICTURE_BYTES - 4)
    return hikvision_anpr(PlateRead(plate, int(time.time() * 1000), uuid.uuid4().hex), picture)


async def _push(
    facts: HubFacts,
    logins: Sequence[DeviceLogin],
    adapter: str,
    events: int,
    payload: Callable[[str], Payload],
) -> None:
    plates = _hub.random_plates(1_000)
    numbers = iter(range(events))
    trust = ssl.create_default_context(cafile=str(facts.folder.ca_file))

    async def pushing(login: DeviceLogin) -> None:
        async with Device(facts.gateway_url, trust, login) as device:
            for number in numbers:
                status = await device.post(f"/v1/ingest/{adapter}", payload(plates[number % len(plates)]))
                if status != HTTPStatus.OK:
                    raise RuntimeError(f"refused: {status}")

    await asyncio.gather(*(pushing(login) for login in logins[:SENDERS]))


async def _publish(facts: HubFacts, logins: Sequence[DeviceLogin]) -> None:
    plates = _hub.random_plates(1_000)
    host, _, port = str(facts.folder.read_hub()["addresses"]["mqtt"]).rpartition(":")
    trust = ssl.create_default_context(cafile=str(facts.folder.ca_file))
    each_sends = PUBLISHED // CLIENTS

    async def publishing(login: DeviceLogin, count: int) -> None:
        async with aiomqtt.Client(
            host, int(port), username=login.device_id, password=login.secret, tls_context=trust, timeout=60
        ) as client:
            for number in range(count):
                await client.publish(
                    f"{login.device_id}/cloudevents/events", _cloud_event(plates[number % len(plates)]), qos=1
                )

    counts = [each_sends] * (CLIENTS - 1) + [PUBLISHED - each_sends * (CLIENTS - 1)]
    await asyncio.gather(
        *(publishing(login, count) for login, count in zip(logins[:CLIENTS], counts, strict=True))
    )
