"""What a service proves itself with, read anew from its files when they change: a renewed certificate, or
another authority, needs no restart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from alerthub.settings import TlsSettings
from alerthub.telemetry import logger

log = logger(__name__)

Stamp = tuple[tuple[int, int, int], ...]


def renewed_credentials(tls: TlsSettings, *, callers_need_one: bool) -> grpc.ServerCredentials:
    """Credentials that follow the files of `tls`. `callers_need_one`: a certificate of the authority.

    Each new connection looks whether the files changed (a few microseconds); connections that are open stay
    as they are. Raises OSError or ValueError for files that do not belong together now; later such files are
    logged and what was in force stays.
    """
    followed = FollowedFiles(tls, with_authority=callers_need_one)

    def changed() -> Any:
        # gRPC asks from threads of its own, one at a time for a port.
        content = followed.changed()
        return None if content is None else _configuration(*content)

    return grpc.dynamic_ssl_server_credentials(
        _configuration(*followed.read()), changed, require_client_authentication=callers_need_one
    )


def _configuration(certificate: bytes, key: bytes, *authority: bytes) -> Any:
    return grpc.ssl_server_certificate_configuration([(key, certificate)], *authority)


class FollowedFiles:
    """The files of a certificate, and what they were when they were last read."""

    def __init__(self, tls: TlsSettings, *, with_authority: bool) -> None:
        self._files = [tls.certificate_file, tls.key_file]
        if with_authority:
            self._files.append(tls.ca_file)
        self._stamp = _stamp(self._files)

    def read(self) -> tuple[bytes, ...]:
        """Certificate, key and, if asked for, authority. Raises OSError, or ValueError where they do not
        belong together."""
        content = tuple(path.read_bytes() for path in self._files)
        _check_pair(content[0], content[1])
        return content

    def changed(self) -> tuple[bytes, ...] | None:
        """The new content; None: as before, or of no use."""
        try:
            stamp = _stamp(self._files)
            if stamp == self._stamp:
                return None
            content = self.read()
        except (OSError, ValueError) as error:
            # Renewal writes one file after the other: the next look sees them all.
            log.warning("certificate_not_renewed", reason=type(error).__name__)
            return None
        self._stamp = stamp
        log.info("certificate_renewed")
        return content


def _check_pair(certificate: bytes, key: bytes) -> None:
    """Raises ValueError where the key is not the certificate's: gRPC would take both and refuse everybody."""
    of_certificate = x509.load_pem_x509_certificate(certificate).public_key()
    if load_pem_private_key(key, None).public_key() != of_certificate:
        raise ValueError("the key is not that of the certificate")


def _stamp(files: list[Path]) -> Stamp:
    return tuple((found.st_mtime_ns, found.st_ino, found.st_size) for found in map(Path.stat, files))
