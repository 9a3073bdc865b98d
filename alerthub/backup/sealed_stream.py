"""A stream sealed in chunks, so that neither side holds it whole (the STREAM construction, as age uses it).

Each chunk's nonce is its number and whether it is the last: chunks that were moved, left out, taken from
another stream or cut off at the end do not open.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from typing import IO, Any, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from alerthub.sealing import CannotOpenError

CHUNK_BYTES = 1024 * 1024
_TAG_BYTES = 16


class Sink(Protocol):
    """Where sealed bytes go."""

    def write(self, data: bytes, /) -> int: ...


def part_key(backup_key: bytes, part: str) -> bytes:
    """The key of one part: a key seals one stream, so a chunk's number never repeats under it."""
    return HKDFExpand(SHA256(), 32, f"alerthub backup part 1|{part}".encode()).derive(backup_key)


class SealingWriter(io.RawIOBase):
    """Takes plain bytes, writes sealed ones. `finish` writes the last chunk: without it nothing opens."""

    def __init__(self, file: Sink, key: bytes) -> None:
        super().__init__()
        self._file = file
        self._cipher = AESGCM(key)
        self._waiting = bytearray()
        self._number = 0
        self._digest = hashlib.sha256()
        self.plain_bytes = 0
        self.sealed_bytes = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        length = len(data)
        self._waiting += data
        self.plain_bytes += length
        # One chunk stays: the last one is marked, and only `finish` knows which that is.
        while len(self._waiting) > CHUNK_BYTES:
            self._seal(bytes(self._waiting[:CHUNK_BYTES]), last=False)
            del self._waiting[:CHUNK_BYTES]
        return length

    def finish(self) -> None:
        """Writes what is left as the last chunk."""
        self._seal(bytes(self._waiting), last=True)
        self._waiting.clear()

    @property
    def sha256(self) -> str:
        """Of the sealed bytes written so far, in hexadecimal."""
        return self._digest.hexdigest()

    def _seal(self, plain: bytes, *, last: bool) -> None:
        sealed = self._cipher.encrypt(_nonce(self._number, last=last), plain, None)
        self._file.write(sealed)
        self._digest.update(sealed)
        self.sealed_bytes += len(sealed)
        self._number += 1


def opened(file: IO[bytes], key: bytes) -> Iterator[bytes]:
    """The plain chunks, each verified before it is given. Raises CannotOpenError at the first that is not
    what was sealed, and at a stream that ends early: what came before is then worth nothing."""
    cipher = AESGCM(key)
    size = CHUNK_BYTES + _TAG_BYTES
    number = 0
    chunk = file.read(size)
    while True:
        following = file.read(size)
        try:
            yield cipher.decrypt(_nonce(number, last=not following), chunk, None)
        except (InvalidTag, ValueError):
            raise CannotOpenError("the backup was changed or cut off, or the key is another's") from None
        if not following:
            return
        chunk = following
        number += 1


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(11, "big") + (b"\x01" if last else b"\x00")
