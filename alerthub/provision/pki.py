"""The hub's own authority: a certificate per service (its identity), and the registry's key for signed
tokens."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from alerthub.domain.errors import Refuse
from alerthub.embedded.folder import HubFolder, write_file
from alerthub.provision.changes import Change
from alerthub.settings import TlsSettings

SERVICES = ("registry", "watchlist", "gateway", "correlator", "dispatch", "push", "console", "canary", "mqtt")
"""Everyone who has a service's identity. Terminals and devices get theirs from the registry, by enrolment."""

_AUTHORITY_LIFE = timedelta(days=3650)
_SERVICE_LIFE = timedelta(days=397)
_RENEWED_BEFORE_END = timedelta(days=60)
_CLOCK_TOLERANCE = timedelta(hours=1)
_LOOPBACK = ("localhost", "127.0.0.1")


def identity(service: str) -> str:
    """The URI in a service's certificate, by which the others know it.

    Its common name, by which MQTT brokers of others know it, is `service:NAME`: no device's id has a colon.
    """
    return f"spiffe://alerthub/service/{service}"


def authority_key_file(folder: HubFolder) -> Path:
    """The authority's private key: for the registry alone, which signs enrolments with it."""
    return folder.pki / "authority.key"


def token_signing_key_file(folder: HubFolder) -> Path:
    """Ed25519 private key (PEM) of signed tokens: for the registry alone."""
    return folder.pki / "token.key"


def token_verification_key_file(folder: HubFolder) -> Path:
    """Ed25519 public key (PEM), for every service."""
    return folder.pki / "token.pub"


def tls_settings(folder: HubFolder, service: str) -> TlsSettings:
    """Where the service's (or other server's) certificate, key and authority are."""
    return TlsSettings(
        certificate_file=folder.pki / f"{service}.pem",
        key_file=folder.pki / f"{service}.key",
        ca_file=folder.ca_file,
    )


def ensure_pki(
    folder: HubFolder,
    *,
    now: datetime,
    hosts: Mapping[str, Sequence[str]] | None = None,
    servers: Sequence[str] = (),
) -> list[Change]:
    """Makes what is missing, and a certificate anew that ends within 60 days or lacks one of its hosts. Runs
    again without effect.

    `hosts`: names and addresses by which others reach a service, beside those of the loopback. `servers` are
    parts with a certificate and no identity in the hub, such as a broker. An authority of one's own is put
    into the folder before: `ca.pem` with `authority.key`. Without that key nothing can be signed: Refuse.
    """
    changes = []
    if not folder.ca_file.exists():
        _make_authority(folder, now)
        changes.append(Change("files", "authority", "created"))
    if not token_verification_key_file(folder).exists():
        _make_token_key(folder)
        changes.append(Change("files", "key of signed tokens", "created"))
    for name in (*SERVICES, *servers):
        wanted = list(dict.fromkeys((*_LOOPBACK, *(hosts or {}).get(name, ()))))
        file = tls_settings(folder, name).certificate_file
        made = file.exists()
        if made and certificate_end(file) - now >= _RENEWED_BEFORE_END and _hosts_of(file) >= set(wanted):
            continue
        if not authority_key_file(folder).exists():
            raise Refuse(
                str(authority_key_file(folder)), f"the authority's key, since {file.name} has to be signed"
            )
        _make_certificate(folder, name, now, hosts=wanted, identified=name in SERVICES)
        changes.append(Change("files", f"certificate of {name}", "renewed" if made else "created"))
    return changes


def _hosts_of(file: Path) -> set[str]:
    certificate = x509.load_pem_x509_certificate(file.read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    addresses = [str(address) for address in names.get_values_for_type(x509.IPAddress)]
    return {*names.get_values_for_type(x509.DNSName), *addresses}


def _host_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def certificate_end(path: Path) -> datetime:
    """When the (first) certificate of a PEM file stops being valid, UTC."""
    return x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc


def _make_authority(folder: HubFolder, now: datetime) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Alert Hub authority")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_TOLERANCE)
        .not_valid_after(now + _AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(authority=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    _write_private(authority_key_file(folder), key)
    # The certificate last: it says that the key beside it is complete.
    write_file(folder.ca_file, _pem(certificate), mode=0o644)


def _make_certificate(
    folder: HubFolder, name: str, now: datetime, *, hosts: Sequence[str], identified: bool
) -> None:
    authority = x509.load_pem_x509_certificate(folder.ca_file.read_bytes())
    authority_key = serialization.load_pem_private_key(authority_key_file(folder).read_bytes(), password=None)
    if not isinstance(authority_key, ec.EllipticCurvePrivateKey):
        raise Refuse(str(authority_key_file(folder)), "an elliptic curve key")
    if authority_key.public_key() != authority.public_key():
        raise Refuse(str(authority_key_file(folder)), f"the key of {folder.ca_file.name} beside it")
    key = ec.generate_private_key(ec.SECP256R1())
    names = [_host_name(host) for host in hosts]
    common_name = name
    if identified:
        names.insert(0, x509.UniformResourceIdentifier(identity(name)))
        common_name = f"service:{name}"
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_TOLERANCE)
        .not_valid_after(now + _SERVICE_LIFE)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(authority=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
            critical=False,
        )
        .add_extension(
            x509.SubjectAlternativeName(names),
            critical=False,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False
        )
        .sign(authority_key, hashes.SHA256())
    )
    settings = tls_settings(folder, name)
    _write_private(settings.key_file, key)
    write_file(settings.certificate_file, _pem(certificate), mode=0o644)


def _make_token_key(folder: HubFolder) -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    _write_private(token_signing_key_file(folder), key)
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    write_file(token_verification_key_file(folder), public.decode("ascii"), mode=0o644)


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")


def _write_private(path: Path, key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> None:
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_file(path, text.decode("ascii"), mode=0o600)


def utc_now() -> datetime:
    """The time, for callers at the edge."""
    return datetime.now(UTC)
