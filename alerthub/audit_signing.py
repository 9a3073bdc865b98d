"""Signatures over heads of the audit log: made by the service's key, verified anywhere (C16)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from alerthub.domain.audit_chain import AuditHead, head_bytes
from alerthub.identity import CallerKind, NotAuthenticatedError, parse_spiffe
from alerthub.settings import TlsSettings

_PrivateKey = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey
_PublicKey = ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey
_DIGEST = ec.ECDSA(hashes.SHA256())


class HeadSigner:
    """Signs heads with Ed25519 or ECDSA over SHA-256, whichever its key is for."""

    def __init__(self, key: _PrivateKey, signer_pem: str) -> None:
        self._key = key
        self._signer_pem = signer_pem

    @classmethod
    def from_tls(cls, tls: TlsSettings) -> HeadSigner:
        """Signs with the service's own key; its certificate, which the hub's authority signed, tells whose it
        is.
        """
        return cls(_private_key(tls.key_file), tls.certificate_file.read_text(encoding="ascii"))

    @classmethod
    def from_key_file(cls, path: Path) -> HeadSigner:
        """Signs with a key of its own (PEM); verifiers are given its public half."""
        key = _private_key(path)
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return cls(key, public.decode("ascii"))

    def sign(self, head: AuditHead) -> AuditHead:
        """The head with its signature."""
        signed = head_bytes(head)
        if isinstance(self._key, ed25519.Ed25519PrivateKey):
            signature = self._key.sign(signed)
        else:
            signature = self._key.sign(signed, _DIGEST)
        return replace(head, signature=signature, signer_pem=self._signer_pem)


def _private_key(path: Path) -> _PrivateKey:
    key = load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey):
        raise TypeError(f"{path.name} must hold an Ed25519 or an elliptic curve key")
    return key


def signature_verifier(
    *, authority_pem: bytes | None = None, trusted_key_pem: bytes | None = None
) -> Callable[[AuditHead], str | None]:
    """What `audit_chain.verify` asks about each head.

    With neither argument only the arithmetic is verified: whoever can replace the heads as well can sign them
    anew. With the hub's authority the signer must be the certificate of the head's service; with a trusted
    key it must be that key.
    """
    authority = None if authority_pem is None else x509.load_pem_x509_certificate(authority_pem)
    trusted = None if trusted_key_pem is None else _public_bytes(_load_signer(trusted_key_pem)[0])

    def problem(head: AuditHead) -> str | None:
        try:
            key, certificate = _load_signer(head.signer_pem.encode())
        except (ValueError, TypeError):
            return "its signer is neither a certificate nor a public key"
        try:
            if isinstance(key, ed25519.Ed25519PublicKey):
                key.verify(head.signature, head_bytes(head))
            else:
                key.verify(head.signature, head_bytes(head), _DIGEST)
        except InvalidSignature:
            return "it was not made over this head by this signer"
        if trusted is not None and _public_bytes(key) != trusted:
            return "it was made by another key than the trusted one"
        if authority is not None:
            return _certificate_problem(certificate, authority, head.service)
        return None

    return problem


def _certificate_problem(
    certificate: x509.Certificate | None, authority: x509.Certificate, service: str
) -> str | None:
    if certificate is None:
        return "its signer is a bare key, not a certificate of the authority"
    try:
        certificate.verify_directly_issued_by(authority)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        kind, name = parse_spiffe(names.get_values_for_type(x509.UniformResourceIdentifier))
    except (InvalidSignature, ValueError, TypeError, x509.ExtensionNotFound, NotAuthenticatedError):
        return "its signer's certificate is not one of the authority"
    signed_by_itself = kind is CallerKind.SERVICE and name == service
    return None if signed_by_itself else f"its signer is the {kind.value} {name}, not the service {service}"


def _load_signer(pem: bytes) -> tuple[_PublicKey, x509.Certificate | None]:
    certificate = x509.load_pem_x509_certificate(pem) if b"BEGIN CERTIFICATE" in pem else None
    key = load_pem_public_key(pem) if certificate is None else certificate.public_key()
    if not isinstance(key, ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey):
        raise TypeError("the signer's key is neither Ed25519 nor of an elliptic curve")
    return key, certificate


def _public_bytes(key: _PublicKey) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
