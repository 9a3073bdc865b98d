"""What a server proves itself with, read anew from its files when they change: a renewed certificate, or
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
    followed = _Followed(tls, callers_need_one=callers_need_one)
    return grpc.dynamic_ssl_server_credentials(
        followed.first, followed.changed, require_client_authentication=callers_need_one
    )


class _Followed:
    """The files and what they were when they were last read. gRPC asks from threads of its own, one at a
    time for a port."""

    def __init__(self, tls: TlsSettings, *, callers_need_one: bool) -> None:
        self._files = [tls.certificate_file, tls.key_file]
        if callers_need_one:
            self._files.append(tls.ca_file)
        self._stamp = _stamp(self._files)
        self.first = self._read()

    def changed(self) -> Any:
        """The new configuration; None: as before."""
        try:
            stamp = _stamp(self._files)
            if stamp == self._stamp:
                return None
            configuration = self._read()
        except (OSError, ValueError) as error:
            # Renewal writes one file after the other: the next connection looks again.
            log.warning("certificate_not_renewed", reason=type(error).__name__)
            return None
        self._stamp = stamp
        log.info("certificate_renewed")
        return configuration

    def _read(self) -> Any:
        certificate, key, *authority = (path.read_bytes() for path in self._files)
        _check_pair(certificate, key)
        return grpc.ssl_server_certificate_configuration([(key, certificate)], *authority)


def _check_pair(certificate: bytes, key: bytes) -> None:
    """Raises ValueError where the key is not the certificate's: gRPC would take both and refuse everybody."""
    of_certificate = x509.load_pem_x509_certificate(certificate).public_key()
    if load_pem_private_key(key, None).public_key() != of_certificate:
        raise ValueError("the key is not that of the certificate")


def _stamp(files: list[Path]) -> Stamp:
    return tuple((found.st_mtime_ns, found.st_ino, found.st_size) for found in map(Path.stat, files))
