"""Sends signed heads of the audit log to a witness over HTTPS, beside the witness file (C16, S4).

What was not taken is tried again until it is. A process that starts sends the newest head of its database
anew: a head that comes twice says nothing else.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import httpx
from prometheus_client import Counter, Gauge

from alerthub import loops
from alerthub.domain.errors import Refuse, Retry
from alerthub.domain.webhooks import WebhookTarget, pinned_address, webhook_target
from alerthub.settings import ServiceSettings
from alerthub.telemetry import logger

log = logger(__name__)

SETTING = "ALERTHUB_WITNESS_URL"
ANSWER_SECONDS = 10.0
RETRY_SECONDS = 60.0
HEADS_HELD = 1_000
"""Six weeks of hours. Beyond them the oldest is left to the witness file and the database."""

_sent = Counter("alerthub_audit_witness_sent_total", "Signed heads that the witness's webhook took.")
_failures = Counter("alerthub_audit_witness_failures_total", "Tries that the witness's webhook did not take.")
_pending = Gauge("alerthub_audit_witness_pending", "Signed heads that the witness's webhook does not have.")

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


async def resolve(host: str, port: int) -> list[str]:
    """The IP addresses of a host's name. Raises Retry when nobody answers that."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        raise Retry("the name of the witness does not resolve") from None
    return [str(each[4][0]) for each in found]


class WitnessWebhook:
    """`put` a head's line; it is delivered in the background, in order, as newline-terminated JSON."""

    def __init__(
        self,
        url: str,
        *,
        ca_file: Path | None = None,
        resolve: Resolve = resolve,
        pin: Callable[..., str] = pinned_address,
        retry_seconds: float = RETRY_SECONDS,
    ) -> None:
        """`ca_file`: the authority of the target; None: the system's. Raises Refuse for an address that is
        none, OSError for a file that cannot be read."""
        self._target: WebhookTarget = webhook_target(url, field=SETTING)
        self._trust = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
        self._resolve = resolve
        self._pin = pin
        self._address = ""
        self._retry_seconds = retry_seconds
        self._waiting: deque[str] = deque(maxlen=HEADS_HELD)
        self._something = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Raises Refuse for a target in a private network. A name that does not resolve now is tried
        later."""
        try:
            await self._hold_address()
        except Retry as error:
            log.warning("witness_not_resolved", reason=error.reason)
        self._task = asyncio.create_task(self._run(), name="witness-webhook")

    async def stop(self) -> None:
        await loops.end(self._task)

    def put(self, line: str) -> None:
        """Takes a head for delivery. Never waits."""
        self._waiting.append(line)
        _pending.set(len(self._waiting))
        self._something.set()

    async def _run(self) -> None:
        while True:
            await self._something.wait()
            try:
                await self._deliver()
                continue
            except (Retry, Refuse, httpx.HTTPError, OSError) as error:
                log.warning("witness_not_reached", error_type=type(error).__name__)
            except Exception:
                # A loop that ended would keep heads from the witness for ever.
                log.exception("witness_failed")
            _failures.inc()
            await asyncio.sleep(self._retry_seconds)

    async def _deliver(self) -> None:
        await self._hold_address()
        async with self._client() as client:
            while self._waiting:
                line = self._waiting[0]
                await self._post(client, line)
                _sent.inc()
                # While it was sent, a full deque may have let go of it by itself.
                if self._waiting and self._waiting[0] is line:
                    self._waiting.popleft()
                _pending.set(len(self._waiting))
            self._something.clear()

    async def _hold_address(self) -> None:
        if not self._address:
            found = await self._resolve(self._target.host, self._target.port)
            self._address = self._pin(found, field=SETTING)

    def _client(self) -> httpx.AsyncClient:
        # No proxy of the environment, no redirect: nothing but the address that was held.
        return httpx.AsyncClient(
            verify=self._trust, trust_env=False, follow_redirects=False, timeout=ANSWER_SECONDS
        )

    async def _post(self, client: httpx.AsyncClient, line: str) -> None:
        target = self._target
        address = f"[{self._address}]" if ":" in self._address else self._address
        request = client.build_request(
            "POST",
            f"https://{address}:{target.port}{target.path}",
            headers={
                "host": target.host if target.port == 443 else f"{target.host}:{target.port}",
                "content-type": "application/x-ndjson",
            },
            content=f"{line}\n".encode(),
            # The certificate must be that of the name, though the number is called.
            extensions={"sni_hostname": target.host},
        )
        async with asyncio.timeout(ANSWER_SECONDS):
            response = await client.send(request, stream=True)
        # The body is not read: nothing in it could change anything.
        await response.aclose()
        if not response.is_success:
            raise Retry(f"the witness answered {response.status_code}")


def from_settings(settings: ServiceSettings) -> WitnessWebhook | None:
    """The webhook that the settings name, or none. Raises as the constructor does."""
    if not settings.witness_url:
        return None
    return WitnessWebhook(settings.witness_url, ca_file=settings.witness_ca_file)
