"""Reading a request's body: bounded in bytes as sent, in bytes as expanded, and in time (S4)."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from alerthub.domain.errors import Refuse
from services.gateway.adapters import TooLarge, UnsupportedContent

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

_ANY_ZLIB = 32 + zlib.MAX_WBITS
"""zlib tells gzip and zlib streams apart itself."""


class BodyTimeout(Refuse):
    """The body did not come within its time (HTTP 408)."""


class Disconnected(Exception):
    """The sender went away before its body was complete."""


async def read_body(
    receive: Receive, headers: Mapping[str, str], *, maximum_bytes: int, seconds: float
) -> bytes:
    """The body, expanded where it was compressed. TooLarge, BodyTimeout, UnsupportedContent or Refuse."""
    stated = headers.get("content-length", "")
    if stated.isascii() and stated.isdigit() and int(stated[:12]) > maximum_bytes:
        raise TooLarge("body", f"at most {maximum_bytes} bytes")
    try:
        async with asyncio.timeout(seconds):
            body = await _received(receive, maximum_bytes)
    except TimeoutError:
        raise BodyTimeout("body", f"a whole body within {seconds:g} s") from None
    return expanded(body, headers.get("content-encoding", ""), maximum_bytes=maximum_bytes)


async def _received(receive: Receive, maximum_bytes: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > maximum_bytes:
            raise TooLarge("body", f"at most {maximum_bytes} bytes")
        chunks.append(chunk)
        if not message.get("more_body", False):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def expanded(body: bytes, encoding: str, *, maximum_bytes: int) -> bytes:
    """The body without its content encoding. What would grow beyond the bound is never expanded further."""
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return body
    if name not in ("gzip", "x-gzip", "deflate"):
        raise UnsupportedContent("content-encoding", "gzip, deflate or none")
    expander = zlib.decompressobj(_ANY_ZLIB)
    try:
        result = expander.decompress(body, maximum_bytes + 1)
    except zlib.error:
        raise Refuse("body", f"what its content encoding says, {name}") from None
    if len(result) > maximum_bytes:
        raise TooLarge("body", f"at most {maximum_bytes} bytes when expanded")
    if not expander.eof:
        raise Refuse("body", f"a whole {name} stream")
    return result
