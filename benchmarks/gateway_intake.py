"""What one gateway process takes, by each way in, as events per second of its own processor time.

The processor time is the gateway's alone; whoever sends shares the machine with it, so the rate by the clock
says what both reached together. The baseline of the ratio is an edge server's stream with one event a
message. Beside each way stands what the libraries alone reach by the same load (`_bare_gateway`): how much of
a machine's best the gateway leaves is comparable where rates are not.
"""

from __future__ import annotations

import os
import ssl
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import uvloop

from alerthub.selftest.hub import ChildHub, HubFacts
from alerthub.settings import TlsSettings
from alerthub.simulator.device import DeviceLogin
from benchmarks import _gateway_load as load
from benchmarks import _hub
from benchmarks._bare_gateway import bare_gateway

CAMERAS = 100
"""Of each kind, so that none comes near what one device may send."""
GRPC_ONE, GRPC_64 = "gRPC stream, one event a message", "gRPC stream, 64 events a message"
HTTP, PICTURE, MQTT = "HTTP", "HTTP with a picture of 200 kB", "MQTT"
GOALS = {GRPC_64: 20_000, HTTP: 2_500, PICTURE: 1_000}

Way = tuple[int, Callable[[], Awaitable[None]]]
"""How many events, and what sends them."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One way in."""

    events: int
    processor_seconds: float
    seconds: float

    @property
    def per_processor_second(self) -> float:
        return self.events / self.processor_seconds


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sends: the same to a gateway and to the bare one."""

    tls: TlsSettings
    trust: ssl.SSLContext
    cameras: Sequence[str]
    logins: Sequence[DeviceLogin]

    def ways(self, url: str, grpc_address: str, *, streamed: int = load.STREAMED) -> dict[str, Way]:
        """By their names; `streamed` events over a stream."""
        stream = partial(load.stream, grpc_address, self.tls, self.cameras, events=streamed)
        pushed = partial(load.push, url, self.trust, self.logins)
        return {
            GRPC_ONE: (streamed, lambda: stream(events_a_message=1)),
            GRPC_64: (streamed, lambda: stream(events_a_message=64)),
            HTTP: (
                load.PUSHED,
                lambda: pushed(adapter="cloudevents", events=load.PUSHED, payload=load.plain),
            ),
            PICTURE: (
                load.PICTURED,
                lambda: pushed(adapter="hikvision-anpr", events=load.PICTURED, payload=load.pictured),
            ),
        }


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
        sender = Sender(tls, ssl.create_default_context(cafile=str(facts.folder.ca_file)), cameras, logins)
        running = facts.folder.read_hub()
        ways = sender.ways(facts.gateway_url, str(running["gateway_grpc"]))
        mqtt = str(running["addresses"]["mqtt"])
        ways[MQTT] = (load.PUBLISHED, lambda: load.publish(mqtt, sender.trust, logins))
        pid = _gateway_pid(facts)
        measured = {name: await _measured(pid, way) for name, way in ways.items()}
        async with bare_gateway(facts.folder) as bare:
            # So quick that the kernel's ticks of 10 ms would be too coarse for as few as a gateway gets.
            ways = sender.ways(bare.url, bare.grpc_address, streamed=5 * load.STREAMED)
            alone = {name: await _measured(bare.pid, way) for name, way in ways.items()}
    finally:
        await hub.stop()
    _print(measured, alone)


def _print(measured: dict[str, Measured], alone: dict[str, Measured]) -> None:
    baseline = measured[GRPC_ONE].per_processor_second
    sys.stdout.write(
        f"{'':<34} {'events/CPU s':>12} {'ratio':>6} {'events/s':>9} {'libraries alone':>15} {'of it':>5}\n"
    )
    for name, each in measured.items():
        rate, goal = each.per_processor_second, GOALS.get(name)
        by_the_clock = each.events / each.seconds
        beside = ""
        if name in alone:
            bare = alone[name].per_processor_second
            beside = f"{bare:,.0f} {rate / bare:>5.2f}"
        told = "" if goal is None else f"  goal {goal:,}: {'met' if rate >= goal else 'missed'}"
        sys.stdout.write(
            f"{name:<34} {rate:>12,.0f} {rate / baseline:>6.2f} {by_the_clock:>9,.0f} {beside:>21}{told}\n"
        )


async def _measured(pid: int, way: Way) -> Measured:
    events, send = way
    before, began = _processor_seconds(pid), time.monotonic()
    await send()
    return Measured(events, _processor_seconds(pid) - before, time.monotonic() - began)


def _gateway_pid(facts: HubFacts) -> int:
    (pid,) = [
        int(each["pid"]) for each in facts.folder.read_hub()["services"] if each["service"] == "gateway"
    ]
    return pid


def _processor_seconds(pid: int) -> float:
    # proc(5): fields 14 and 15, counted after the command's name in brackets.
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
