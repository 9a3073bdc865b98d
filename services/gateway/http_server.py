"""The gateway's web servers: uvicorn with httptools, with TLS for every device that can."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Generator
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from alerthub.settings import TlsSettings
from alerthub.telemetry import logger
from services.gateway.http_api import Application

log = logger(__name__)

_KEEP_ALIVE_SECONDS = 75
"""Cameras that send a heartbeat each minute keep their connection."""
_STOP_SECONDS = 8
"""Requests in flight get their answer: a little more than they may wait for Kafka."""


class _ProtocolWithCertificate(HttpToolsProtocol):
    """Tells the application which client certificate the handshake verified; uvicorn does not."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        connection = transport.get_extra_info("ssl_object")
        self._certificate: bytes = b"" if connection is None else connection.getpeercert(True) or b""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._certificate:
            self.scope["state"]["client_certificate"] = self._certificate


class _Server(uvicorn.Server):
    """Leaves signals to the process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


class WebServer:
    """One listener. `tls` absent: plain HTTP."""

    def __init__(
        self, app: Application, *, host: str, port: int, tls: TlsSettings | None, maximum_connections: int
    ) -> None:
        options: dict[str, Any] = {}
        if tls is not None:
            options = {
                "ssl_certfile": str(tls.certificate_file),
                "ssl_keyfile": str(tls.key_file),
                "ssl_ca_certs": str(tls.ca_file),
                # Devices with a certificate prove themselves by it, the others by a secret.
                "ssl_cert_reqs": ssl.CERT_OPTIONAL,
            }
        self._server = _Server(
            uvicorn.Config(
                app,
                host=host,
                port=port,
                http=_ProtocolWithCertificate,
                ws="none",
                lifespan="off",
                log_config=None,
                # A path may hold a secret (S3): there is no access log at all.
                access_log=False,
                server_header=False,
                # A sender's word on where it sends from is not taken.
                proxy_headers=False,
                limit_concurrency=maximum_connections,
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=_STOP_SECONDS,
                **options,
            )
        )
        self._task: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """The port that it listens on. Raises RuntimeError before `start` returned."""
        for server in self._server.servers if self._server.started else ():
            for socket in server.sockets:
                return int(socket.getsockname()[1])
        raise RuntimeError("the web server was not started")

    async def start(self) -> None:
        """Returns once it listens. Raises OSError when the port cannot be bound."""
        self._task = asyncio.create_task(self._serve(), name="web-server")
        while not self._server.started:
            if self._task.done():
                self._task.result()
                raise OSError("the web server could not listen")
            await asyncio.sleep(0.01)
        log.info("web_server_listening", port=self.port)

    async def stop(self) -> None:
        """Takes no new connections and lets requests in flight end."""
        if self._task is not None:
            self._server.should_exit = True
            await asyncio.gather(self._task, return_exceptions=True)

    async def _serve(self) -> None:
        try:
            await self._server.serve()
        except SystemExit:
            # uvicorn ends the process when a port is taken; that is for the process to decide.
            raise OSError("the web server could not listen") from None
