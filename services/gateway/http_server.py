"""The gateway's web servers, with TLS for every device that can."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from alerthub import web_server
from alerthub.settings import TlsSettings
from services.gateway.http_api import Application

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


class WebServer(web_server.WebServer):
    """One listener. `tls` absent: plain HTTP."""

    def __init__(
        self, app: Application, *, host: str, port: int, tls: TlsSettings | None, maximum_connections: int
    ) -> None:
        options: dict[str, Any] = {"http": _ProtocolWithCertificate}
        if tls is not None:
            # Devices with a certificate prove themselves by it, the others by a secret.
            options |= {"ssl_ca_certs": str(tls.ca_file), "ssl_cert_reqs": ssl.CERT_OPTIONAL}
        super().__init__(
            app,
            host=host,
            port=port,
            tls=tls,
            maximum_connections=maximum_connections,
            keep_alive_seconds=_KEEP_ALIVE_SECONDS,
            stop_seconds=_STOP_SECONDS,
            options=options,
        )
