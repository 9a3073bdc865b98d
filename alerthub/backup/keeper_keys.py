"""The key pair of whoever keeps backups: the hub has the public half alone."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from pathlib import Path

from alerthub.domain.errors import Refuse
from alerthub.sealing import PRIVATE_KEY_BYTES, PUBLIC_KEY_BYTES, generate_private_key, public_key_of

_PUBLIC, _PRIVATE = "ALERTHUB BACKUP PUBLIC KEY", "ALERTHUB BACKUP PRIVATE KEY"


def make_pair(*, private_file: Path, public_file: Path) -> str:
    """Makes a key pair and returns its fingerprint. Refuses to write over a file."""
    for path in (private_file, public_file):
        if path.exists():
            raise Refuse(str(path), "a file that does not exist yet: no key is written over")
    private_key = generate_private_key()
    public_key = public_key_of(private_key)
    _write(private_file, _PRIVATE, private_key, 0o600)
    _write(public_file, _PUBLIC, public_key, 0o644)
    return fingerprint(public_key)


def read_public(path: Path) -> bytes:
    """The public key in the file. Refuses a private one by name: it has no business on a hub."""
    text = _text(path)
    if _PRIVATE in text:
        raise Refuse(str(path), "a public key; this is a private one, which must never be on the hub")
    return _decoded(text, _PUBLIC, PUBLIC_KEY_BYTES, path)


def read_private(path: Path) -> bytes:
    """The private key in the file."""
    text = _text(path)
    if _PUBLIC in text:
        raise Refuse(str(path), "the private key of whoever keeps backups; this is the public one")
    return _decoded(text, _PRIVATE, PRIVATE_KEY_BYTES, path)


def fingerprint(public_key: bytes) -> str:
    """What people compare: 16 bytes of SHA-256, in hexadecimal."""
    return hashlib.sha256(public_key).digest()[:16].hex()


def _write(path: Path, label: str, key: bytes, mode: int) -> None:
    encoded = base64.b64encode(key).decode("ascii")
    lines = [encoded[start : start + 64] for start in range(0, len(encoded), 64)]
    text = "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""])
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise Refuse(str(path), f"a key file that can be read ({type(error).__name__})") from None


def _decoded(text: str, label: str, size: int, path: Path) -> bytes:
    lines = text.strip().splitlines()
    expected = Refuse(str(path), f"a file that begins with -----BEGIN {label}-----")
    if len(lines) < 3 or lines[0] != f"-----BEGIN {label}-----" or lines[-1] != f"-----END {label}-----":
        raise expected
    try:
        key = base64.b64decode("".join(lines[1:-1]), validate=True)
    except binascii.Error:
        raise expected from None
    if len(key) != size:
        raise expected
    return key
