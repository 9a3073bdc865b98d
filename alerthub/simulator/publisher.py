"""A simulated MQTT device: one connection of its own, and publications again until they are acknowledged."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import aiomqtt

from alerthub.simulator.device import DeviceLogin

_ANSWER_SECONDS = 20.0
_AGAIN_SECONDS = 1.0


class Publisher:
    """One login at the broker. `run` sends what `send` is given, one after the other."""

    def __init__(self, address: str, ca_file: Path, login: DeviceLogin) -> None:
        host, _, port = address.rpartition(":")
        self._host, self._port = host, int(port)
        self._trust = ssl.create_default_context(cafile=str(ca_file))
        self._login = login
        self._waiting: asyncio.Queue[tuple[str, bytes, asyncio.Future[None]]] = asyncio.Queue()

    async def send(self, topic: str, body: bytes) -> None:
        """Returns once the broker has acknowledged it at quality 1."""
        settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.put_nowait((f"{self._login.device_id}/{topic}", body, settled))
        await settled

    async def run(self) -> None:
        """Publishes, and connects again for as long as it runs. Never returns."""
        unsent: tuple[str, bytes, asyncio.Future[None]] | None = None
        while True:
            try:
                async with aiomqtt.Client(
                    self._host,
                    self._port,
                    username=self._login.device_id,
                    password=self._login.secret,
                    tls_context=self._trust,
                    timeout=_ANSWER_SECONDS,
                ) as client:
                    while True:
                        unsent = unsent or await self._waiting.get()
                        topic, body, settled = unsent
                        await client.publish(topic, body, qos=1)
                        unsent = None
                        if not settled.done():
                            settled.set_result(None)
            except aiomqtt.MqttError:
                await asyncio.sleep(_AGAIN_SECONDS)
