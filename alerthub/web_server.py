"""The web server of services that have one: uvicorn with httptools, over TLS wherever a browser or a device
can."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Generator, Mapping
from functools import partial
from typing import Any

import uvicorn
from uvicorn.config import create_ssl_context

from alerthub import web_certificates
from alerthub.settings import TlsSettings
from alerthub.telemetry import logger

log = logger(__name__)


class _Server(uvicorn.Server):
    """Leaves signals to the process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def _context(config: uvicorn.Config) -> ssl.SSLContext:
    """As uvicorn makes it, from the files as they are now."""
    return create_ssl_context(
        certfile=config.ssl_certfile or "",
        keyfile=config.ssl_keyfile,
        password=None,
        ssl_version=config.ssl_version,
        cert_reqs=config.ssl_cert_reqs,
        ca_certs=config.ssl_ca_certs,
        ciphers=config.ssl_ciphers,
    )


class WebServer:
    """One listener. `tls` absent: plain HTTP. `options` are further ones of `uvicorn.Config`."""

    def __init__(
        self,
        app: Any,
        *,
        host: str,
        port: int,
        tls: TlsSettings | None,
        maximum_connections: int,
        keep_alive_seconds: int,
        stop_seconds: int,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        given: dict[str, Any] = {"http": "httptools", **(options or {})}
        if tls is not None:
            given |= {"ssl_certfile": str(tls.certificate_file), "ssl_keyfile": str(tls.key_file)}
        self._server = _Server(
            uvicorn.Config(
                app,
                host=host,
                port=port,
                ws="none",
                lifespan="off",
                log_config=None,
                # A path may hold a secret (S3), or what somebody looks at: there is no access log at all.
                access_log=False,
                server_header=False,
                # A sender's word on where it sends from is not taken.
                proxy_headers=False,
                limit_concurrency=maximum_connections,
                timeout_keep_alive=keep_alive_seconds,
                timeout_graceful_shutdown=stop_seconds,
                **given,
            )
        )
        self._files = [] if tls is None else [tls.certificate_file, tls.key_file]
        if tls is not None and "ssl_ca_certs" in given:
            self._files.append(tls.ca_file)
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
        config = self._server.config
        config.load()
        if config.ssl is not None:
            web_certificates.follow(config.ssl, partial(_context, config), self._files)
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
