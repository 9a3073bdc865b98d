"""Who is given which secret files: the one table, for children of the supervisor and for containers.

A hub's folder holds everything. A **share** is a flat folder with what one service is given of it, under
names that are the same for all: a volume in compose, a Secret in Kubernetes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from alerthub.embedded.folder import HubFolder
from alerthub.provision import pki
from alerthub.provision.database import ROLES


@dataclass(frozen=True, slots=True)
class SecretFile:
    """A file that a service is given: its name in a share, the variable that names it, its origin."""

    name: str
    variable: str
    source: Path


def secret_files(folder: HubFolder, service: str) -> tuple[SecretFile, ...]:
    """What `service` is given, and nothing of another's. Reads nothing."""
    tls = pki.tls_settings(folder, service)
    files = [
        SecretFile("tls.pem", "ALERTHUB_TLS__CERTIFICATE_FILE", tls.certificate_file),
        SecretFile("tls.key", "ALERTHUB_TLS__KEY_FILE", tls.key_file),
        SecretFile("ca.pem", "ALERTHUB_TLS__CA_FILE", tls.ca_file),
        SecretFile(
            "token.pub", "ALERTHUB_TOKEN_VERIFICATION_KEY_FILE", pki.token_verification_key_file(folder)
        ),
        SecretFile("kafka.password", "ALERTHUB_KAFKA__PASSWORD_FILE", folder.kafka_password_file(service)),
    ]
    if service in ROLES:
        source = folder.postgres_password_file(service)
        files.append(SecretFile("postgres.password", "ALERTHUB_POSTGRES__PASSWORD_FILE", source))
    match service:
        case "registry":
            files += [
                SecretFile(
                    "token.key", "ALERTHUB_TOKEN_SIGNING_KEY_FILE", pki.token_signing_key_file(folder)
                ),
                SecretFile("authority.key", "ALERTHUB_AUTHORITY_KEY_FILE", pki.authority_key_file(folder)),
                SecretFile("accounts.json", "ALERTHUB_BOOTSTRAP_ACCOUNTS_FILE", folder.accounts_file),
            ]
        case "gateway":
            files.append(SecretFile("digest.key", "ALERTHUB_DIGEST_KEY_FILE", folder.digest_key_file))
    return tuple(files)
