"""`alerthub onvif pull` between a camera that cannot push and a real gateway: what the camera told is on
Kafka as its device's, whichever of the two was away meanwhile."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from gateway_hub import Camera, GatewayHub, running_gateway

sys.path.append(str(Path(__file__).parents[1] / "unit"))

from onvif_device import PASSWORD, Answer, OnvifDevice, crossed, envelope

from alerthub.api.v1.observation_pb2 import (
    OBSERVATION_KIND_HEARTBEAT,
    OBSERVATION_KIND_LINE_CROSSED,
    Observation,
    ObservationBatch,
)
from alerthub.embedded.infrastructure import Infrastructure

ALERTHUB = str(Path(sys.executable).with_name("alerthub"))


@pytest.fixture(scope="module")
def hub(infrastructure: Infrastructure, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayHub]:
    yield from running_gateway(infrastructure, tmp_path_factory.mktemp("gateway"))


@dataclass
class Edge:
    """The program, and the camera that it pulls from."""

    device: OnvifDevice
    device_id: str
    process: subprocess.Popen[str]

    def end(self) -> dict[str, Any]:
        """Asks it to end, as an operating system does; what it says of its work."""
        self.process.send_signal(signal.SIGTERM)
        said, _ = self.process.communicate(timeout=30)
        assert self.process.returncode == 0
        return dict(json.loads(said))

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()
        self.device.stop()


class Edges:
    """Programs by the way in which their cameras are signed in to. One serves most stories: it takes seconds
    to start, and its device to come into force."""

    def __init__(self, hub: GatewayHub, folder: Path) -> None:
        self._hub = hub
        self._folder = folder
        self._camera: Camera | None = None
        self._running: dict[str, Edge] = {}

    async def edge(self, authentication: str = "digest") -> Edge:
        self._camera = self._camera or await self._hub.device()
        if authentication not in self._running:
            self._running[authentication] = self._start(self._camera, authentication)
        return self._running[authentication]

    def kill(self) -> None:
        for edge in self._running.values():
            edge.kill()

    def _start(self, camera: Camera, authentication: str) -> Edge:
        device = OnvifDevice(authentication=authentication).start()
        folder = self._folder / authentication
        folder.mkdir()
        (folder / "device.secret").write_text(camera.secret, encoding="utf-8")
        (folder / "camera.password").write_text(PASSWORD, encoding="utf-8")
        told = {
            "device": camera.device_id,
            "secret_file": "device.secret",
            "address": device.origin,
            "user": "hub",
            "password_file": "camera.password",
            "authentication": authentication,
            "pull_seconds": 1,
        }
        configuration = {
            "gateway": self._hub.url,
            "ca_file": str(self._hub.infrastructure.folder.ca_file),
            "cameras": [told],
        }
        (folder / "cameras.yaml").write_text(yaml.safe_dump(configuration), encoding="utf-8")
        with (folder / "edge.log").open("wb") as log:
            process = subprocess.Popen(
                [ALERTHUB, "onvif", "pull", str(folder / "cameras.yaml"), "--json"],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        edge = Edge(device, camera.device_id, process)
        try:
            device.wait_until_subscribed()
        except AssertionError:
            edge.kill()
            raise
        return edge


@pytest.fixture(scope="module")
def edges(hub: GatewayHub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edges]:
    made = Edges(hub, tmp_path_factory.mktemp("edges"))
    yield made
    made.kill()


async def crossings(hub: GatewayHub, since: dict[int, int], edge: Edge, *objects: int) -> list[int]:
    """The objects that crossed, once those named are among them."""

    def found(values: list[bytes]) -> list[int]:
        return [
            int(each.track_id.removeprefix("object-"))
            for each in observations(values, edge)
            if each.kind == OBSERVATION_KIND_LINE_CROSSED
        ]

    return found(
        await hub.values("observations", since, lambda values: set(objects) <= set(found(values)), seconds=40)
    )


def observations(values: list[bytes], edge: Edge) -> list[Observation]:
    return [
        each
        for value in values
        for each in ObservationBatch.FromString(value).observations
        if each.device_id == edge.device_id
    ]


async def test_what_a_camera_tells_is_on_kafka_as_its_devices_and_once(hub: GatewayHub, edges: Edges) -> None:
    edge = await edges.edge("ws-security")
    since = await hub.ends("observations")
    told = [101, 102, 103]
    edge.device.tell(*map(crossed, told))
    assert sorted(await crossings(hub, since, edge, *told)) == told

    counts = edge.end()

    assert (counts["pulled"], counts["acknowledged"], counts["left"]) == (3, 3, 0)
    assert edge.device.subscriptions == 0


async def test_a_camera_that_has_nothing_to_tell_is_alive(hub: GatewayHub, edges: Edges) -> None:
    since = await hub.ends("observations")
    edge = await edges.edge()

    def beats(values: list[bytes]) -> int:
        return sum(each.kind == OBSERVATION_KIND_HEARTBEAT for each in observations(values, edge))

    await hub.values("observations", since, lambda values: beats(values) >= 2, seconds=20)


async def test_what_was_pulled_while_the_gateway_was_away_is_posted_when_it_is_back(
    hub: GatewayHub, edges: Edges
) -> None:
    edge = await edges.edge()
    since = await hub.ends("observations")
    hub.gateway.kill()
    told = list(range(200, 280))
    edge.device.tell(*map(crossed, told))
    edge.device.wait_until_handed_out()

    hub.gateway.start()

    assert sorted(await crossings(hub, since, edge, *told)) == told


async def test_a_camera_that_was_started_again_is_subscribed_at_again(hub: GatewayHub, edges: Edges) -> None:
    edge = await edges.edge()
    since = await hub.ends("observations")
    edge.device.stop()
    edge.device.start()
    edge.device.wait_until_subscribed()
    edge.device.tell(crossed(301))
    assert await crossings(hub, since, edge, 301) == [301]


async def test_a_hostile_answer_ends_its_subscription_and_nothing_else(hub: GatewayHub, edges: Edges) -> None:
    edge = await edges.edge()
    since = await hub.ends("observations")
    before = edge.device.asked.count("CreatePullPointSubscription")
    bomb = b'<!DOCTYPE a [<!ENTITY b "' + b"b" * 1_000 + b'">]>' + envelope("&b;" * 1_000)
    edge.device.instead["PullMessages"] = lambda: Answer(bomb)
    edge.device.wait_until_asked("CreatePullPointSubscription", times=before + 1)
    del edge.device.instead["PullMessages"]
    edge.device.wait_until_subscribed()
    edge.device.tell(crossed(401))
    assert await crossings(hub, since, edge, 401) == [401]


async def test_a_message_that_the_gateway_refuses_holds_up_no_other(hub: GatewayHub, edges: Edges) -> None:
    edge = await edges.edge()
    since = await hub.ends("observations")
    # Deeper than any adapter goes, within what the client passes on.
    deep = crossed(502).replace("<tt:Data>", "<tt:Data>" + "<tt:X>" * 22 + "</tt:X>" * 22)
    edge.device.tell(crossed(501), deep, crossed(503))
    assert sorted(await crossings(hub, since, edge, 501, 503)) == [501, 503]
    assert edge.end()["refused"] == 1
