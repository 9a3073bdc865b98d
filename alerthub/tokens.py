"""Blinding: an identifier becomes a keyed token before it leaves the gateway.

`token = BLAKE2b(kind | mask | masked normal form, key = key of the epoch, 16 bytes)`, the keyed mode of RFC
7693. Each part but the last carries its length, so no two inputs run together. It protects against readers of
Kafka, not against holders of the key: all plates of a province can be enumerated in a minute.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from alerthub.domain.identifiers import IdentifierKind
from alerthub.domain.masks import masked, valid

TOKEN_BYTES = 16
EPOCH_KEY_BYTES = 32

_PERSONALISATION = b"alerthub-token-1"
"""Keeps these tokens apart from any other use of the key (16 bytes, as BLAKE2b takes)."""


class Blinder:
    """Makes the tokens of one epoch for one set of masks.

    Holds the epoch's key for as long as it lives; it shows neither key nor input in its representation.
    """

    __slots__ = ("_hashes", "epoch", "masks")

    def __init__(self, epoch: str, key: bytes, masks: Iterable[str]) -> None:
        """Raises ValueError for a key that is not 32 bytes long or a mask that is not valid."""
        if len(key) != EPOCH_KEY_BYTES:
            raise ValueError(f"an epoch key has {EPOCH_KEY_BYTES} bytes")
        self.epoch = epoch
        self.masks = tuple(masks)
        if not all(valid(mask) for mask in self.masks):
            raise ValueError("a mask is not valid")
        # The key and the prefix are hashed once; a token costs a copy and an update.
        self._hashes = {
            kind: tuple((mask, _prefixed(key, kind, mask)) for mask in self.masks) for kind in IdentifierKind
        }

    def __repr__(self) -> str:
        return f"Blinder(epoch={self.epoch!r}, masks={len(self.masks)})"

    def tokens(self, kind: IdentifierKind, text: str) -> list[bytes]:
        """One token for each mask, in the masks' order; empty where a mask does not apply. `text` is a
        normal form."""
        return [
            b"" if (left := masked(mask, kind, text)) is None else _finished(prefixed, left)
            for mask, prefixed in self._hashes[kind]
        ]

    def token(self, kind: IdentifierKind, text: str, mask: str) -> bytes:
        """The token of one mask; empty where it does not apply. Raises KeyError for a mask outside the
        set."""
        for known, prefixed in self._hashes[kind]:
            if known == mask:
                left = masked(mask, kind, text)
                return b"" if left is None else _finished(prefixed, left)
        raise KeyError(mask)


def _prefixed(key: bytes, kind: IdentifierKind, mask: str) -> hashlib.blake2b:
    name = mask.encode("ascii")
    return hashlib.blake2b(
        bytes([kind, len(name)]) + name, digest_size=TOKEN_BYTES, key=key, person=_PERSONALISATION
    )


def _finished(prefixed: hashlib.blake2b, left: str) -> bytes:
    copy = prefixed.copy()
    copy.update(left.encode())
    return copy.digest()
