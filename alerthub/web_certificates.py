"""What a web server proves itself with, read anew from its files when they change, as
`alerthub.grpc_credentials` does for gRPC."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from alerthub.telemetry import logger

log = logger(__name__)

Stamp = tuple[tuple[int, int, int], ...]


def follow(context: ssl.SSLContext, make: Callable[[], ssl.SSLContext], files: Sequence[Path]) -> None:
    """Every new connection to the listener of `context` is shown what `make` reads from `files` as they are
    now; connections that are open stay as they are.

    Files that do not belong together are logged, and what was in force stays.
    """
    followed = _Followed(make, files)
    context.sni_callback = followed.on_hello


class _Followed:
    def __init__(self, make: Callable[[], ssl.SSLContext], files: Sequence[Path]) -> None:
        self._make = make
        self._files = tuple(files)
        self._stamp = _stamp(self._files)
        self._renewed: ssl.SSLContext | None = None

    def on_hello(self, connection: Any, name: str | None, context: ssl.SSLContext) -> None:
        """OpenSSL calls it at each handshake, whether the caller names a server or not."""
        self._look()
        if self._renewed is not None:
            connection.context = self._renewed

    def _look(self) -> None:
        try:
            stamp = _stamp(self._files)
            if stamp == self._stamp:
                return
            self._renewed = self._make()
        except (OSError, ValueError) as error:
            # Renewal writes one file after the other: the next connection looks again.
            log.warning("certificate_not_renewed", reason=type(error).__name__)
            return
        self._stamp = stamp
        log.info("certificate_renewed")


def _stamp(files: Sequence[Path]) -> Stamp:
    return tuple((found.st_mtime_ns, found.st_ino, found.st_size) for found in map(Path.stat, files))
