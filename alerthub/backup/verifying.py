"""Whether a backup is whole, is what the hub wrote, and opens."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from alerthub.backup.keeper_keys import fingerprint
from alerthub.backup.manifest import Manifest, Part, read
from alerthub.backup.sealed_stream import opened, part_key
from alerthub.domain.errors import Refuse
from alerthub.sealing import CannotOpenError, public_key_of, unwrap

Progress = Callable[[str], None]
_PIECE_BYTES = 1024 * 1024
PARTS = ("database", "evidence", "witness", "identity")
_WORTHLESS = "a backup as it was written: this part was changed, cut off or lost"


def verify(
    folder: Path, *, private_key: bytes | None, authority_pem: bytes | None, progress: Progress
) -> Manifest:
    """Refuses, naming the part, a backup that is not whole or not what the hub's authority signed.

    With the private key every part is opened to its end too.
    """
    manifest = read(folder)
    manifest.check_signature(authority_pem)
    if sorted(part.name for part in manifest.parts) != sorted(f"{name}.sealed" for name in PARTS):
        raise Refuse("manifest", f"the parts {', '.join(PARTS)}, each once")
    for part in manifest.parts:
        progress(f"verifying {part.name}, {part.sealed_bytes / 1e6:.1f} MB")
        _check(folder, part)
    if private_key is not None:
        key = backup_key(manifest, private_key)
        for name in PARTS:
            progress(f"opening {name}")
            with plain_pieces(folder, name, key) as pieces:
                for _ in pieces:
                    pass
    return manifest


def backup_key(manifest: Manifest, private_key: bytes) -> bytes:
    """The key of the whole backup. Refuses a private key of somebody else."""
    if fingerprint(public_key_of(private_key)) != manifest.keeper:
        raise Refuse("--key", f"the private key whose public half has the fingerprint {manifest.keeper}")
    try:
        return unwrap(private_key, manifest.wrapped())
    except (CannotOpenError, ValueError):
        raise Refuse("manifest", "the wrapped key that the hub wrote") from None


@contextmanager
def plain_pieces(folder: Path, name: str, key: bytes) -> Iterator[Iterator[bytes]]:
    """The plain bytes of a part. Refuses, in the middle, what was changed."""
    try:
        with (folder / f"{name}.sealed").open("rb") as file:
            yield opened(file, part_key(key, name))
    except CannotOpenError:
        raise Refuse(name, _WORTHLESS) from None
    except OSError as error:
        raise Refuse(name, f"a file that can be read ({type(error).__name__})") from None


def _check(folder: Path, part: Part) -> None:
    digest = hashlib.sha256()
    size = 0
    try:
        with (folder / part.name).open("rb") as file:
            while piece := file.read(_PIECE_BYTES):
                digest.update(piece)
                size += len(piece)
    except OSError as error:
        raise Refuse(part.name, f"a file that can be read ({type(error).__name__})") from None
    if size != part.sealed_bytes or digest.hexdigest() != part.sha256:
        raise Refuse(part.name, _WORTHLESS)
