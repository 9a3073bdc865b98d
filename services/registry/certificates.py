"""Certificates for terminals and devices, from their signing requests.

Only the public key of a request counts: name, purpose and life are the registry's. The key never leaves its
device.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from alerthub.domain.errors import Refuse
from alerthub.identity import CallerKind, spiffe

MAXIMUM_REQUEST_CHARACTERS = 16_384
_CLOCK_TOLERANCE = timedelta(minutes=5)
"""A terminal's clock that is a little late must not find its new certificate not yet valid."""
_CURVES = (ec.SECP256R1, ec.SECP384R1)
_SMALLEST_RSA_BITS = 2_048
_AuthorityKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


@dataclass(frozen=True, slots=True)
class IssuedCertificate:
    """A certificate and what the registry keeps of it. Times in milliseconds since 1970."""

    pem: str
    fingerprint: str
    """SHA-256 of the certificate, lower-case hexadecimal."""
    serial_number: str
    issued_at_ms: int
    valid_until_ms: int


class CertificateAuthority:
    """The hub's authority."""

    def __init__(self, certificate: x509.Certificate, key: _AuthorityKey) -> None:
        self._certificate = certificate
        self._key = key
        self.pem = certificate.public_bytes(Encoding.PEM).decode("ascii")

    @classmethod
    def from_files(cls, certificate_file: Path, key_file: Path) -> CertificateAuthority:
        """Raises TypeError or ValueError when the files hold no authority, or not one and the same."""
        certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
        key = load_pem_private_key(key_file.read_bytes(), password=None)
        if not isinstance(key, _AuthorityKey):
            raise TypeError(f"{key_file.name} must hold an EC, RSA or Ed25519 private key")
        form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        if key.public_key().public_bytes(*form) != certificate.public_key().public_bytes(*form):
            raise ValueError(f"{key_file.name} must be the key of {certificate_file.name}")
        return cls(certificate, key)

    def issue(
        self, request_pem: str, *, kind: CallerKind, name: str, days: int, now_ms: int, unit_id: str = ""
    ) -> IssuedCertificate:
        """A client certificate for the request's key; a terminal's names its unit as organizational unit, for
        push to read. Raises Refuse for a request that is not sound."""
        key = _key_of(request_pem)
        # MQTT brokers of others know a device by its common name, so nobody else may have one like it: no
        # device's id has a colon.
        common_name = name if kind is CallerKind.DEVICE else f"{kind.value}:{name}"
        subject = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
        if unit_id:
            subject.append(x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit_id))
        now = datetime.fromtimestamp(now_ms / 1_000, UTC).replace(microsecond=0)
        # None of ours outlives the authority: it would fail on that day without a word.
        until = min(now + timedelta(days=days), self._certificate.not_valid_after_utc)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name(subject))
            .issuer_name(self._certificate.subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _CLOCK_TOLERANCE)
            .not_valid_after(until)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_CLIENT_KEY_USAGE, critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
            .add_extension(
                x509.SubjectAlternativeName([x509.UniformResourceIdentifier(spiffe(kind, name))]),
                critical=False,
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
            )
            .sign(self._key, None if isinstance(self._key, ed25519.Ed25519PrivateKey) else hashes.SHA256())
        )
        return IssuedCertificate(
            pem=certificate.public_bytes(Encoding.PEM).decode("ascii"),
            fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
            serial_number=f"{certificate.serial_number:x}",
            issued_at_ms=now_ms,
            valid_until_ms=int(until.timestamp() * 1_000),
        )


_CLIENT_KEY_USAGE = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)


def _key_of(
    request_pem: str,
) -> ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey:
    field = "signing_request_pem"
    if len(request_pem) > MAXIMUM_REQUEST_CHARACTERS:
        raise Refuse(field, f"at most {MAXIMUM_REQUEST_CHARACTERS} characters")
    try:
        request = x509.load_pem_x509_csr(request_pem.encode("utf-8"))
        signed = request.is_signature_valid
        key = request.public_key()
    except (ValueError, UnsupportedAlgorithm):
        raise Refuse(field, "a PKCS #10 certificate signing request in PEM") from None
    if not signed:
        raise Refuse(field, "signed by the key that it asks a certificate for")
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, _CURVES):
        return key
    if isinstance(key, rsa.RSAPublicKey) and _SMALLEST_RSA_BITS <= key.key_size <= 4_096:
        return key
    if isinstance(key, ed25519.Ed25519PublicKey):
        return key
    raise Refuse(field, "a key on P-256 or P-384, Ed25519, or RSA of 2048 to 4096 bits")
