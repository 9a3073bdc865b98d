"""What the registry signs: whose name is on it, for those who know certificates by their common name only."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from alerthub.embedded.folder import HubFolder
from alerthub.identity import CallerKind
from alerthub.provision import pki
from services.registry.certificates import CertificateAuthority

NOW = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture
def authority(tmp_path: Path) -> CertificateAuthority:
    folder = HubFolder(tmp_path)
    folder.create()
    pki.ensure_pki(folder, now=NOW)
    return CertificateAuthority.from_files(folder.ca_file, pki.authority_key_file(folder))


@pytest.mark.parametrize(
    ("kind", "common_name"), [(CallerKind.DEVICE, "gate-1"), (CallerKind.TERMINAL, "terminal:gate-1")]
)
def test_only_a_device_has_the_common_name_of_a_device(
    kind: CallerKind, common_name: str, authority: CertificateAuthority
) -> None:
    """An MQTT broker lets a certificate publish below its common name."""
    key = ec.generate_private_key(ec.SECP256R1())
    asked = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "whatever was asked for")])
    request = x509.CertificateSigningRequestBuilder().subject_name(asked).sign(key, hashes.SHA256())

    issued = authority.issue(
        request.public_bytes(Encoding.PEM).decode(),
        kind=kind,
        name="gate-1",
        days=1,
        now_ms=int(NOW.timestamp() * 1000),
    )

    certificate = x509.load_pem_x509_certificate(issued.pem.encode())
    [name] = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert name.value == common_name
