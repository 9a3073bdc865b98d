"""The environment of each service: what compose and the chart give a container, the supervisor gives a
child process."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from alerthub.embedded import pki
from alerthub.embedded.folder import HubFolder
from alerthub.embedded.postgres_node import DATABASE, ROLES
from alerthub.settings import KafkaSettings

_ROLE_OF: Mapping[str, str] = {role: role for role in ROLES} | {"push": "dispatch"}
"""Push is the half of dispatch that holds streams: it uses dispatch's tables."""

_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "PYTHONPATH", "SSL_CERT_FILE", "VIRTUAL_ENV")
"""Nothing else of the caller's environment reaches a service."""


def service_environment(
    folder: HubFolder,
    service: str,
    *,
    kafka: KafkaSettings,
    postgres_port: int,
    instance: str = "1",
    ports: Mapping[str, int] | None = None,
    addresses: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """The variables that `alerthub.settings` reads, for one instance of a service.

    `ports` maps a field ("grpc_port", "grpc_person_port", "operations_port", "http_port") to its port;
    `addresses` maps a field of `Addresses` to host:port. A service is told of the files it needs, and of no
    other's secrets.
    """
    root = folder.root.resolve()
    folder = HubFolder(root)
    tls = pki.tls_settings(folder, service)
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    environment |= {
        "PYTHONUNBUFFERED": "1",
        "ALERTHUB_SERVICE": service,
        "ALERTHUB_INSTANCE": instance,
        "ALERTHUB_LISTEN_HOST": "127.0.0.1",
        "ALERTHUB_KAFKA__BOOTSTRAP": kafka.bootstrap,
        "ALERTHUB_KAFKA__USERNAME": service,
        "ALERTHUB_KAFKA__PASSWORD_FILE": str(folder.kafka_password_file(service)),
        "ALERTHUB_TLS__CERTIFICATE_FILE": str(tls.certificate_file),
        "ALERTHUB_TLS__KEY_FILE": str(tls.key_file),
        "ALERTHUB_TLS__CA_FILE": str(tls.ca_file),
        "ALERTHUB_TOKEN_VERIFICATION_KEY_FILE": str(pki.token_verification_key_file(folder)),
        "ALERTHUB_EVIDENCE_URL": folder.evidence.as_uri(),
        "ALERTHUB_WITNESS_FILE": str(folder.witness / f"{service}.heads"),
    }
    role = _ROLE_OF.get(service)
    if role is not None:
        environment |= {
            "ALERTHUB_POSTGRES__HOST": "127.0.0.1",
            "ALERTHUB_POSTGRES__PORT": str(postgres_port),
            "ALERTHUB_POSTGRES__DATABASE": DATABASE,
            "ALERTHUB_POSTGRES__ROLE": role,
            "ALERTHUB_POSTGRES__PASSWORD_FILE": str(folder.postgres_password_file(role)),
        }
    environment |= {name: str(path) for name, path in _private_files(folder, service).items()}
    environment |= {f"ALERTHUB_{field.upper()}": str(port) for field, port in (ports or {}).items()}
    environment |= {
        f"ALERTHUB_ADDRESSES__{field.upper()}": address for field, address in (addresses or {}).items()
    }
    return environment


def retention_environment(service: str, minutes: int) -> dict[str, str]:
    """How long a service keeps what did not hit: as long as the topics, in the words of its settings."""
    match service:
        case "correlator":
            return {"ALERTHUB_OBSERVATIONS_RETENTION_SECONDS": str(minutes * 60)}
        case "watchlist":
            return {"ALERTHUB_OBSERVATIONS_RETENTION_MINUTES": str(minutes)}
        case "gateway":
            return {"ALERTHUB_PICTURE_RETENTION_MS": str(minutes * 60_000)}
        case _:
            return {}


def _private_files(folder: HubFolder, service: str) -> dict[str, Path]:
    """What one service alone is told of."""
    match service:
        case "registry":
            return {
                "ALERTHUB_TOKEN_SIGNING_KEY_FILE": pki.token_signing_key_file(folder),
                "ALERTHUB_AUTHORITY_KEY_FILE": pki.authority_key_file(folder),
                "ALERTHUB_BOOTSTRAP_ACCOUNTS_FILE": folder.accounts_file,
            }
        case "watchlist":
            return {"ALERTHUB_KEYS_FOLDER": folder.keys}
        case "gateway":
            return {"ALERTHUB_DIGEST_KEY_FILE": folder.digest_key_file}
        case _:
            return {}
