"""What a backup says of itself: written last, so a folder without it is no backup, and signed by the hub.

It is not sealed: whoever keeps backups verifies and ends them without the private key. It names no person,
vehicle or entry.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from alerthub.domain.errors import Refuse
from alerthub.sealing import WrappedKey

FILE_NAME = "manifest.json"
FORMAT = 1
KEY_ID = "backup"
"""The recipient's id under which the backup's key is wrapped."""
DAY_MS = 86_400_000
KEPT_DAYS_CAP = 30
"""No backup is kept longer: it holds rows that the jobs of the hub have destroyed meanwhile."""

_DIGEST = ec.ECDSA(hashes.SHA256())
_ID = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{8}")
_PART = re.compile(r"[a-z]{1,32}\.sealed")
_MAXIMUM_BYTES = 64 * 1024
_LATEST_MS = 253_402_300_799_999
"""The end of the year 9999, after which nothing shows a date."""


@dataclass(frozen=True, slots=True)
class Part:
    """One sealed file of the backup."""

    name: str
    sealed_bytes: int
    sha256: str
    """Of the sealed bytes, in hexadecimal."""


@dataclass(frozen=True, slots=True)
class SchemaState:
    """Where a service's schema stood: its migration, its newest audit row and its chain's last link."""

    schema: str
    version: str
    newest_audit_ms: int
    last_link: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """See the module. Times: milliseconds since 1970."""

    backup_id: str
    taken_at_ms: int
    expires_at_ms: int
    software: str
    keeper: str
    """Fingerprint of the public key that it is sealed to."""
    data_key_id: str
    wrapped_key: str
    """In base64: opened by the keeper's private key alone."""
    entry_key_check: str
    """Tells whether a key folder holds the key that seals entries' identifiers. It tells nothing of the
    key."""
    schemas: tuple[SchemaState, ...]
    parts: tuple[Part, ...]
    authority_pem: str = ""
    signature: str = ""

    def wrapped(self) -> WrappedKey:
        return WrappedKey(bytes.fromhex(self.data_key_id), KEY_ID, base64.b64decode(self.wrapped_key))

    def signed_bytes(self) -> bytes:
        """Everything but the signature, in one spelling."""
        content = asdict(replace(self, signature="")) | {"format": FORMAT}
        return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()

    def signed_by(self, authority_key_file: Path, ca_file: Path) -> Manifest:
        """The manifest with the signature of the hub's authority."""
        key = load_pem_private_key(authority_key_file.read_bytes(), password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise TypeError("the authority's key is not an elliptic curve key")
        unsigned = replace(self, authority_pem=ca_file.read_text(encoding="ascii"))
        signature = base64.b64encode(key.sign(unsigned.signed_bytes(), _DIGEST)).decode("ascii")
        return replace(unsigned, signature=signature)

    def check_signature(self, authority_pem: bytes | None) -> None:
        """Refuses a manifest that was changed, or that another authority than `authority_pem` signed.

        None holds the manifest to the authority that it names itself: that finds damage, not forgery.
        """
        try:
            named = x509.load_pem_x509_certificate(self.authority_pem.encode())
            trusted = named if authority_pem is None else x509.load_pem_x509_certificate(authority_pem)
            # The hub's authority is always one of an elliptic curve.
            key = cast(ec.EllipticCurvePublicKey, trusted.public_key())
            key.verify(base64.b64decode(self.signature, validate=True), self.signed_bytes(), _DIGEST)
        except (ValueError, TypeError, AttributeError, InvalidSignature, binascii.Error):
            by = "its own authority" if authority_pem is None else "the hub's authority"
            raise Refuse("manifest", f"a manifest signed by {by}: this one is not, or was changed") from None

    def to_json(self) -> str:
        return json.dumps(asdict(self) | {"format": FORMAT}, indent=2, sort_keys=True) + "\n"


def read(folder: Path) -> Manifest:
    """The backup's manifest. Refuses a folder that has none: it is no backup, or was never finished."""
    path = folder / FILE_NAME
    try:
        with path.open("rb") as file:
            text = file.read(_MAXIMUM_BYTES + 1)
    except OSError:
        raise Refuse(
            str(folder), f"a whole backup: there is no {FILE_NAME} that can be read, which is written last"
        ) from None
    try:
        return _parsed(json.loads(text if len(text) <= _MAXIMUM_BYTES else b""))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise Refuse(str(path), "a manifest of this software (format 1)") from None


def _parsed(content: Any) -> Manifest:
    if content.pop("format") != FORMAT:
        raise ValueError("another format")
    schemas = tuple(SchemaState(**each) for each in content.pop("schemas"))
    parts = tuple(Part(**each) for each in content.pop("parts"))
    manifest = Manifest(schemas=schemas, parts=parts, **content)
    times = [manifest.taken_at_ms, manifest.expires_at_ms]
    numbers = [*times, *(part.sealed_bytes for part in parts)]
    numbers += [number for each in schemas for number in (each.newest_audit_ms, each.last_link)]
    if not all(type(number) is int and 0 <= number < 2**63 for number in numbers):
        raise ValueError("a number is none")
    if max(times) > _LATEST_MS:
        raise ValueError("no time of a calendar")
    if _ID.fullmatch(manifest.backup_id) is None:
        raise ValueError("no id of a backup")
    # Names become paths.
    if not all(_PART.fullmatch(part.name) for part in parts):
        raise ValueError("no name of a part")
    return manifest
