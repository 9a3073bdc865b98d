"""Sealing: readable text and pictures travel so that only the watchlist service can open them.

AES-256-GCM under a data key that changes every minute. The data key is wrapped to the watchlist service's
public key of the hour by HPKE (RFC 9180) with the hybrid of ML-KEM-768 and X25519, so recorded traffic stays
closed to whoever breaks only one of them. Once the hour's private key is destroyed nobody opens what was
sealed.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)

from alerthub.domain.errors import AlertHubError, Retry
from alerthub.domain.light_values import light_value

DATA_KEY_LIFE_MS = 60_000
"""A data key opens at most the reads of one gateway in one minute."""

DATA_KEY_ID_BYTES = 8
PUBLIC_KEY_BYTES = 1184 + 32
PRIVATE_KEY_BYTES = 64 + 32

_NONCE_BYTES = 12
_TAG_BYTES = 16
SEALING_ADDS_BYTES = _NONCE_BYTES + _TAG_BYTES
"""How much longer sealed bytes are than plain ones."""
_INFORMATION = b"alerthub data key 1|"
_SUITE = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


class CannotOpenError(AlertHubError):
    """What was sealed cannot be opened: another key, other associated data, damage, or a key that was
    destroyed."""


@dataclass(frozen=True, slots=True)
class Recipient:
    """To whom data keys are wrapped: a public key of the watchlist service."""

    key_id: str
    public_key: bytes
    """ML-KEM-768 public key (1184 bytes), then X25519 (32 bytes)."""
    valid_until_ms: int
    """No data key is wrapped to it after this time."""


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """A data key on its way: what `WrappedDataKey` carries."""

    data_key_id: bytes
    recipient_key_id: str
    wrapped: bytes


@light_value
class Sealed:
    """Sealed bytes and the data key that opens them."""

    sealed: bytes
    key: WrappedKey


def seal(key: bytes, plain: bytes, associated: bytes) -> bytes:
    """Nonce, ciphertext and tag under a long-lived 32-byte key, with a random nonce. For few messages a
    key."""
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plain, associated)


def open_sealed(key: bytes, sealed: bytes, associated: bytes) -> bytes:
    """What `seal` or a `DataKeyring` sealed. Raises CannotOpenError; its text repeats nothing of the
    input."""
    if len(sealed) < SEALING_ADDS_BYTES:
        raise CannotOpenError("sealed bytes are too short")
    try:
        return AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], associated)
    except InvalidTag as error:
        raise CannotOpenError("sealed bytes do not fit the key and the associated data") from error


def details_associated(observation_id: bytes, first_token: bytes) -> bytes:
    """The associated data of sealed details: they open only beside the observation and the token they came
    with."""
    return observation_id + first_token


def picture_associated(observation_id: bytes, picture_id: str) -> bytes:
    """The associated data of a sealed picture."""
    return observation_id + picture_id.encode()


def generate_private_key() -> bytes:
    """A new private key: the ML-KEM-768 seed (64 bytes), then X25519 (32 bytes)."""
    return MLKEM768PrivateKey.generate().private_bytes_raw() + X25519PrivateKey.generate().private_bytes_raw()


def public_key_of(private_key: bytes) -> bytes:
    """The public half, as a Recipient carries it."""
    lattice, curve = _halves(private_key)
    return lattice.public_key().public_bytes_raw() + curve.public_key().public_bytes_raw()


def wrap(recipient: Recipient, data_key_id: bytes, data_key: bytes) -> WrappedKey:
    """Wraps a data key; only the holder of the recipient's private key unwraps it, under these two ids
    only."""
    if len(recipient.public_key) != PUBLIC_KEY_BYTES:
        raise ValueError(f"a recipient's public key has {PUBLIC_KEY_BYTES} bytes")
    public_key = MLKEM768X25519PublicKey(
        MLKEM768PublicKey.from_public_bytes(recipient.public_key[:-32]),
        X25519PublicKey.from_public_bytes(recipient.public_key[-32:]),
    )
    wrapped = _SUITE.encrypt(data_key, public_key, info=_information(recipient.key_id, data_key_id))
    return WrappedKey(data_key_id=data_key_id, recipient_key_id=recipient.key_id, wrapped=wrapped)


def unwrap(private_key: bytes, wrapped: WrappedKey) -> bytes:
    """The data key. Raises CannotOpenError where the private key or one of the ids is another."""
    lattice, curve = _halves(private_key)
    try:
        return _SUITE.decrypt(
            wrapped.wrapped,
            MLKEM768X25519PrivateKey(lattice, curve),
            info=_information(wrapped.recipient_key_id, wrapped.data_key_id),
        )
    except (InvalidTag, ValueError) as error:
        raise CannotOpenError("the data key does not fit the recipient's key") from error


def _halves(private_key: bytes) -> tuple[MLKEM768PrivateKey, X25519PrivateKey]:
    if len(private_key) != PRIVATE_KEY_BYTES:
        raise ValueError(f"a private key has {PRIVATE_KEY_BYTES} bytes")
    return (
        MLKEM768PrivateKey.from_seed_bytes(private_key[:64]),
        X25519PrivateKey.from_private_bytes(private_key[64:]),
    )


def _information(recipient_key_id: str, data_key_id: bytes) -> bytes:
    return _INFORMATION + recipient_key_id.encode() + b"|" + data_key_id


@dataclass(slots=True)
class _DataKey:
    wrapped: WrappedKey
    cipher: AESGCM
    ends_at_ms: int
    prefix: bytes = field(default_factory=lambda: os.urandom(4))
    # One key is used by one process only, so a counter can never repeat a nonce, and costs less than
    # randomness.
    counter: itertools.count[int] = field(default_factory=itertools.count)


class DataKeyring:
    """The sealing side, one a process: seals many a second and changes its data key every minute.

    Safe to use from several threads. Nothing in it is ever written anywhere.
    """

    def __init__(self, recipient: Recipient | None = None) -> None:
        self._lock = threading.Lock()
        self._recipient = recipient
        self._current: _DataKey | None = None

    def use(self, recipient: Recipient) -> None:
        """From now on data keys are wrapped to this recipient."""
        with self._lock:
            if self._recipient is None or self._recipient.key_id != recipient.key_id:
                self._recipient = recipient
                self._current = None

    def ready(self, now_ms: int) -> bool:
        """Whether `seal` would work at `now_ms`."""
        recipient = self._recipient
        return recipient is not None and now_ms < recipient.valid_until_ms

    def seal(self, plain: bytes, associated: bytes, now_ms: int) -> Sealed:
        """Seals under the data key of this minute.

        Raises Retry without a recipient that is valid at `now_ms`: nothing may go out that can be opened
        longer than promised.
        """
        current = self._current
        if current is None or now_ms >= current.ends_at_ms:
            current = self._change(now_ms)
        nonce = current.prefix + next(current.counter).to_bytes(8, "big")
        return Sealed(nonce + current.cipher.encrypt(nonce, plain, associated), current.wrapped)

    def _change(self, now_ms: int) -> _DataKey:
        with self._lock:
            current = self._current
            if current is not None and now_ms < current.ends_at_ms:
                return current
            if self._recipient is None or now_ms >= self._recipient.valid_until_ms:
                raise Retry("no public key of the watchlist service is valid: nothing can be sealed")
            data_key = AESGCM.generate_key(256)
            wrapped = wrap(self._recipient, os.urandom(DATA_KEY_ID_BYTES), data_key)
            current = _DataKey(
                wrapped=wrapped,
                cipher=AESGCM(data_key),
                ends_at_ms=min(now_ms + DATA_KEY_LIFE_MS, self._recipient.valid_until_ms),
            )
            self._current = current
            return current


class Opener:
    """The opening side, in the watchlist service only. It hands out plain bytes, never a data key (C13)."""

    def __init__(self, private_key_of: Callable[[str], bytes]) -> None:
        """`private_key_of` gives the private key of a recipient key id, or raises CannotOpenError once it is
        destroyed."""
        self._private_key_of = private_key_of

    def open(self, sealed: bytes, key: WrappedKey, associated: bytes) -> bytes:
        """What a `DataKeyring` sealed. Raises CannotOpenError."""
        return open_sealed(unwrap(self._private_key_of(key.recipient_key_id), key), sealed, associated)
