"""A simulated device's connection: HTTPS with its own secret, and the retries that a real device makes."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from pathlib import Path

import httpx

from alerthub.domain.errors import Refuse, Retry
from alerthub.simulator.shapes import Payload

_RETRIES = 8


@dataclass(frozen=True, slots=True)
class DeviceLogin:
    """Who a device is at the gateway."""

    device_id: str
    secret: str

    def __repr__(self) -> str:
        """Without the secret: representations end up in logs and errors."""
        return f"DeviceLogin({self.device_id})"


def gateway_client(gateway_url: str, ca_file: Path) -> httpx.AsyncClient:
    """A client for the gateway at `gateway_url` (https://host:port), known by the hub's authority."""
    trust = ssl.create_default_context(cafile=str(ca_file))
    return httpx.AsyncClient(base_url=gateway_url, verify=trust, timeout=httpx.Timeout(20.0))


async def send(client: httpx.AsyncClient, login: DeviceLogin, adapter: str, payload: Payload) -> None:
    """Sends one event and returns once the gateway has acknowledged it (it is on Kafka then).

    Busy or unreachable: the same event again, as a device does, at most eight times, then `Retry`. Any other
    answer is `Refuse` with the gateway's status.
    """
    for attempt in range(_RETRIES):
        try:
            response = await client.post(
                f"/v1/ingest/{adapter}",
                content=payload.body,
                headers={"content-type": payload.content_type},
                auth=(login.device_id, login.secret),
            )
        except httpx.TransportError:
            await asyncio.sleep(min(2.0, 0.2 * 2.0**attempt))
            continue
        if response.status_code == httpx.codes.OK:
            return
        if response.status_code not in (httpx.codes.SERVICE_UNAVAILABLE, httpx.codes.TOO_MANY_REQUESTS):
            raise Refuse("event", f"an event that the gateway takes; it answered {response.status_code}")
        await asyncio.sleep(min(5.0, float(response.headers.get("retry-after", "1"))))
    raise Retry("the gateway did not take the event")
