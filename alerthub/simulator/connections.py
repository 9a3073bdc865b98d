"""How a run's devices reach the hub: HTTPS, MQTT, and the streams of edge servers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from alerthub.settings import TlsSettings
from alerthub.simulator.city import City, Device, Way
from alerthub.simulator.device import DeviceLogin, gateway_client, send
from alerthub.simulator.edge import EdgeServer
from alerthub.simulator.happenings import Happening
from alerthub.simulator.messages import Teller
from alerthub.simulator.publisher import Publisher


@dataclass(frozen=True, slots=True)
class HubAddresses:
    """Where devices find the hub, and the authority that it is known by."""

    gateway_url: str
    gateway_grpc: str
    mqtt: str
    ca_file: Path


@dataclass(frozen=True, slots=True)
class Credentials:
    """Of a run's devices: secrets by device, certificates of edge servers by town."""

    secrets: Mapping[str, str]
    certificates: Mapping[int, TlsSettings]

    def __repr__(self) -> str:
        """Without the secrets."""
        return f"Credentials({len(self.secrets)} devices)"


class Connections:
    """Every device's own way to the gateway."""

    def __init__(self, client: httpx.AsyncClient, city: City, hub: HubAddresses, known: Credentials) -> None:
        self._client = client
        self._logins = {device: DeviceLogin(device, secret) for device, secret in known.secrets.items()}
        self._edges = {town: EdgeServer(hub.gateway_grpc, tls) for town, tls in known.certificates.items()}
        self._publishers = {
            device.device_id: Publisher(hub.mqtt, hub.ca_file, self._logins[device.device_id])
            for device in city.devices
            if device.way is Way.MQTT
        }

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Streams and connections to the broker, for as long as the block lasts."""
        running = [each.run() for each in self._edges.values()]
        running += [each.run() for each in self._publishers.values()]
        tasks = [asyncio.create_task(each) for each in running]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def send(self, teller: Teller, device: Device, happening: Happening) -> None:
        """Tells one happening; returns once the hub has it. Refuse or Retry."""
        match device.way:
            case Way.STREAM:
                await self._edges[device.town].send(teller.event(happening, device))
            case Way.MQTT:
                payload = teller.payload(happening, device)
                topic = f"{device.make.value}/{payload.topic}"
                await self._publishers[device.device_id].send(topic, payload.body)
            case Way.HTTPS:
                payload = teller.payload(happening, device)
                await send(self._client, self._logins[device.device_id], device.make.value, payload)


@asynccontextmanager
async def connected(city: City, hub: HubAddresses, known: Credentials) -> AsyncIterator[Connections]:
    """All connections of a city's devices, for as long as the block lasts."""
    async with gateway_client(hub.gateway_url, hub.ca_file) as client:
        connections = Connections(client, city, hub, known)
        async with connections.open():
            yield connections
