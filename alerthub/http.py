"""The operations listener: /metrics for Prometheus, /live and /ready for whoever starts and routes.

Ready means "can do its job now": each named check gives None or the reason why not. It is plain HTTP, GET
only, on the service's listen address, in a few lines of asyncio so that it runs in any loop, Faust's too, and
touches no signal.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, Gauge, generate_latest

from alerthub.settings import ServiceSettings
from alerthub.telemetry import logger

log = logger(__name__)

Check = Callable[[], str | None]
"""None while all is well, else one sentence without any identifier."""

_MAXIMUM_REQUEST_BYTES = 16 * 1024
_REQUEST_SECONDS = 5.0
_MAXIMUM_CONNECTIONS = 64

_ready_gauge = Gauge("alerthub_ready", "1 while the check passes.", ["check"])
_time = Gauge("alerthub_time_seconds", "The process's clock, to be compared with Prometheus's.")
_time.set_function(time.time)


class OperationsServer:
    """Serves /metrics, /live and /ready on `settings.listen_host`:`settings.operations_port` (0: any free
    port).

    `ready` and `live` are checks by name. A live check that fails asks for a restart, so use it for what only
    a restart mends. A check that raises counts as failed, with the type of its error as reason.
    """

    def __init__(
        self,
        settings: ServiceSettings,
        ready: Mapping[str, Check],
        *,
        live: Mapping[str, Check] | None = None,
        registry: CollectorRegistry = REGISTRY,
    ) -> None:
        self._host = settings.listen_host
        self._port = settings.operations_port
        self._ready = dict(ready)
        self._live = dict(live or {})
        self._registry = registry
        self._server: asyncio.Server | None = None
        self._connections = 0

    def add_ready_check(self, name: str, check: Check) -> None:
        """For a part that is wired after the server started."""
        self._ready[name] = check

    @property
    def port(self) -> int:
        """The port that it listens on. Raises RuntimeError before `start`."""
        if self._server is None:
            raise RuntimeError("the operations server was not started")
        return int(self._server.sockets[0].getsockname()[1])

    async def start(self) -> None:
        self._server = await asyncio.start_server(
            self._serve, self._host, self._port, limit=_MAXIMUM_REQUEST_BYTES
        )
        log.info("operations_listening", port=self.port)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        try:
            async with asyncio.timeout(_REQUEST_SECONDS):
                if self._connections > _MAXIMUM_CONNECTIONS:
                    status, kind, body = (
                        HTTPStatus.SERVICE_UNAVAILABLE,
                        "text/plain",
                        b"too many connections\n",
                    )
                else:
                    request = await reader.readuntil(b"\r\n\r\n")
                    status, kind, body = self._answer(request)
                writer.write(
                    f"HTTP/1.1 {status.value} {status.phrase}\r\n"
                    f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
                    "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
                    "Connection: close\r\n\r\n".encode()
                    + body
                )
                await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            log.debug("operations_request_dropped", error_type=type(error).__name__)
        finally:
            self._connections -= 1
            writer.close()

    def _answer(self, request: bytes) -> tuple[HTTPStatus, str, bytes]:
        method, _, rest = request.split(b"\r\n", 1)[0].partition(b" ")
        path = rest.split(b" ", 1)[0].split(b"?", 1)[0]
        if method != b"GET":
            return HTTPStatus.METHOD_NOT_ALLOWED, "text/plain", b"GET only\n"
        if path == b"/metrics":
            self._evaluate(self._ready)
            return HTTPStatus.OK, CONTENT_TYPE_LATEST, generate_latest(self._registry)
        if path == b"/ready":
            return _as_json("ready", self._evaluate(self._ready))
        if path == b"/live":
            return _as_json("live", _reasons(self._live))
        return HTTPStatus.NOT_FOUND, "text/plain", b"/metrics, /live or /ready\n"

    def _evaluate(self, checks: Mapping[str, Check]) -> dict[str, str | None]:
        reasons = _reasons(checks)
        for name, reason in reasons.items():
            _ready_gauge.labels(name).set(reason is None)
        return reasons


def _reasons(checks: Mapping[str, Check]) -> dict[str, str | None]:
    return {name: _reason(name, check) for name, check in checks.items()}


def _reason(name: str, check: Check) -> str | None:
    try:
        return check()
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        OSError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        log.error("readiness_check_raised", check=name, exc_info=True)
        return f"the check failed: {type(error).__name__}"


def _as_json(key: str, reasons: dict[str, str | None]) -> tuple[HTTPStatus, str, bytes]:
    passed = all(reason is None for reason in reasons.values())
    body = json.dumps({key: passed, "checks": reasons}, ensure_ascii=False).encode() + b"\n"
    return (HTTPStatus.OK if passed else HTTPStatus.SERVICE_UNAVAILABLE), "application/json", body
