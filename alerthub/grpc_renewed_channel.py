"""A channel that shows the certificate of now: its files are read anew when they change, and no caller needs
a restart."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Any

import grpc

from alerthub.grpc_credentials import FollowedFiles
from alerthub.settings import TlsSettings

LOOKED_AT_EVERY_SECONDS = 1.0
"""A look at three files costs some microseconds, and certificates are renewed hours before they end."""
ENDING_SECONDS = 30.0
"""What calls under way on the old connection get, longer than services give any call. A stream that lasts
longer is cancelled, which its reader sees as CancelledError; no service holds one as a caller."""


class RenewedChannel(grpc.aio.Channel):
    """Calls go over the connection that was made with the files' newest content.

    Raises OSError or ValueError where the files do not belong together at first; later such files are logged,
    and what was in force stays.
    """

    def __init__(
        self, tls: TlsSettings, connect: Callable[[grpc.ChannelCredentials], grpc.aio.Channel]
    ) -> None:
        self._files = FollowedFiles(tls, with_authority=True)
        self._connect = connect
        self._channel = connect(self._credentials(self._files.read()))
        self._looked_at = time.monotonic()
        self._ending: set[asyncio.Task[None]] = set()
        self._closing = asyncio.Event()

    @staticmethod
    def _credentials(content: tuple[bytes, ...]) -> grpc.ChannelCredentials:
        certificate, key, authority = content
        return grpc.ssl_channel_credentials(authority, key, certificate)

    def newest(self) -> grpc.aio.Channel:
        """The connection for the next call."""
        if time.monotonic() - self._looked_at >= LOOKED_AT_EVERY_SECONDS:
            self._looked_at = time.monotonic()
            content = self._files.changed()
            if content is not None:
                before, self._channel = self._channel, self._connect(self._credentials(content))
                ending = asyncio.get_running_loop().create_task(self._end(before))
                self._ending.add(ending)
                ending.add_done_callback(self._ending.discard)
        return self._channel

    async def _end(self, before: grpc.aio.Channel) -> None:
        # Not by gRPC's own grace: a channel whose closing is cut short never lets go of its connection.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ENDING_SECONDS):
                await self._closing.wait()
        await before.close()

    async def close(self, grace: float | None = None) -> None:
        """Closes the connection, and at once those that are ending."""
        self._closing.set()
        await asyncio.gather(*self._ending)
        await self._channel.close(grace)

    async def __aenter__(self) -> RenewedChannel:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        return self.newest().get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        await self.newest().wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        await self.newest().channel_ready()

    def unary_unary(self, method: str, *arguments: Any, **named: Any) -> Any:
        return _Call(self, lambda channel: channel.unary_unary(method, *arguments, **named))

    def unary_stream(self, method: str, *arguments: Any, **named: Any) -> Any:
        return _Call(self, lambda channel: channel.unary_stream(method, *arguments, **named))

    def stream_unary(self, method: str, *arguments: Any, **named: Any) -> Any:
        return _Call(self, lambda channel: channel.stream_unary(method, *arguments, **named))

    def stream_stream(self, method: str, *arguments: Any, **named: Any) -> Any:
        return _Call(self, lambda channel: channel.stream_stream(method, *arguments, **named))


class _Call:
    """A method of a stub, of whichever connection is the newest."""

    def __init__(self, channel: RenewedChannel, method_of: Callable[[grpc.aio.Channel], Any]) -> None:
        self._channel = channel
        self._method_of = method_of
        self._made_for: grpc.aio.Channel | None = None
        self._method: Any = None

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        newest = self._channel.newest()
        if newest is not self._made_for:
            self._made_for, self._method = newest, self._method_of(newest)
        return self._method(*arguments, **named)
