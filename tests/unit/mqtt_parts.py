"""The embedded broker in this process, on the loopback with TLS, and clients of it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiomqtt
from core_authority import Authority
from gateway_parts import SECRET, device_record

from alerthub.embedded.mqtt.broker import Broker
from alerthub.embedded.mqtt.logins import Logins
from alerthub.embedded.mqtt.settings import BrokerSettings
from alerthub.identity import RevocationList
from alerthub.settings import TlsSettings


@dataclass
class Mqtt:
    """A broker that knows `camera-1` and `camera-2`, both with the same secret."""

    broker: Broker
    logins: Logins
    authority: Authority

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.broker.port}"

    def trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.authority.folder / "ca.pem"))

    def trust_as(self, tls: TlsSettings) -> ssl.SSLContext:
        """With a certificate to show."""
        trust = self.trust()
        trust.load_cert_chain(tls.certificate_file, tls.key_file)
        return trust

    @asynccontextmanager
    async def client(
        self, name: str | None = "camera-1", secret: str | None = SECRET, **options: Any
    ) -> AsyncIterator[aiomqtt.Client]:
        async with aiomqtt.Client(
            "127.0.0.1",
            self.broker.port,
            username=name,
            password=secret,
            **{"timeout": 5, "tls_context": self.trust(), **options},
        ) as client:
            yield client

    async def stream(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection that has not said anything."""
        return await asyncio.open_connection("127.0.0.1", self.broker.port, ssl=self.trust())


@asynccontextmanager
async def running_broker(authority: Authority, **changed: Any) -> AsyncIterator[Mqtt]:
    settings = BrokerSettings(
        **{
            "mqtt_port": 0,
            "packet_seconds": 2.0,
            "tls": authority.issue("spiffe://alerthub/service/mqtt"),
            **changed,
        }
    )
    revocations = RevocationList()
    logins = Logins(revocations, incomplete=lambda: None)
    for name in ("camera-1", "camera-2"):
        logins.apply(name, device_record(name))
    broker = Broker(settings, logins, revocations)
    await broker.start()
    try:
        yield Mqtt(broker, logins, authority)
    finally:
        await broker.stop()
