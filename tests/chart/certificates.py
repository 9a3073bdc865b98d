"""Certificates of a cluster that lasts as long as its tests."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_LIFE = timedelta(hours=2)


class Authority:
    """Signs for servers of the loopback and for clients: each file is a certificate with its key."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "cluster")])
        made = self._builder(self._name, self._key).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        self.file = folder / "authority.pem"
        self.file.write_bytes(made.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def certificate(self, name: str, *, groups: Sequence[str] = ()) -> Path:
        """Of the user `name` in `groups`, or of the server `name`. Made once."""
        path = self._folder / f"{name}.pem"
        if not path.exists():
            key = ec.generate_private_key(ec.SECP256R1())
            subject = x509.Name(
                [
                    *(x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups),
                    x509.NameAttribute(NameOID.COMMON_NAME, name),
                ]
            )
            loopback = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
            uses = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
            signed = (
                self._builder(subject, key)
                .add_extension(x509.SubjectAlternativeName(loopback), critical=False)
                .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
                .sign(self._key, hashes.SHA256())
            )
            path.write_bytes(signed.public_bytes(serialization.Encoding.PEM) + _private(key))
        return path

    def key(self, name: str) -> Path:
        """A private key alone. Made once."""
        path = self._folder / f"{name}.key"
        if not path.exists():
            path.write_bytes(_private(ec.generate_private_key(ec.SECP256R1())))
        return path

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=5))
            .not_valid_after(now + _LIFE)
        )


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
