"""A device that pushes over HTTPS and costs little: it shares the machine with the gateway that is measured.

A client library spends as much on a push as the gateway does; real devices spend it elsewhere.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
from types import TracebackType
from urllib.parse import urlsplit

from alerthub.simulator.device import DeviceLogin
from alerthub.simulator.shapes import Payload


class Device:
    """One connection, kept alive, one push after the other."""

    def __init__(self, url: str, trust: ssl.SSLContext, login: DeviceLogin) -> None:
        split = urlsplit(url)
        self._host, self._port = split.hostname or "", split.port or 443
        self._trust = trust
        credential = base64.b64encode(f"{login.device_id}:{login.secret}".encode()).decode()
        self._fixed = f"host: {split.netloc}\r\nauthorization: Basic {credential}\r\n"

    async def __aenter__(self) -> Device:
        self._reader, self._writer = await asyncio.open_connection(self._host, self._port, ssl=self._trust)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()

    async def post(self, path: str, payload: Payload) -> int:
        """The answer's status."""
        head = (
            f"POST {path} HTTP/1.1\r\n{self._fixed}content-type: {payload.content_type}\r\n"
            f"content-length: {len(payload.body)}\r\n\r\n"
        )
        self._writer.writelines((head.encode(), payload.body))
        await self._writer.drain()
        answer = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = answer.partition("content-length:")[2].partition("\r\n")[0]
        await self._reader.readexactly(int(length))
        return int(answer.split(" ", 2)[1])
