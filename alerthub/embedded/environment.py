"""The environment of each service: what compose and the chart give a container, the supervisor gives a
child process."""

from __future__ import annotations

import os
from collections.abc import Mapping

from alerthub.embedded.folder import HubFolder
from alerthub.provision.database import DATABASE, ROLES
from alerthub.provision.shares import secret_files
from alerthub.settings import KafkaSettings

_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "PYTHONPATH", "SSL_CERT_FILE", "VIRTUAL_ENV")
_PASSED_ON_PREFIX = "ALERTHUB_TRACES__"
"""Where traces go is said by whoever starts the hub. Nothing else of the caller's environment reaches a
service."""


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
    environment = {
        name: value
        for name, value in os.environ.items()
        if name in _PASSED_ON or name.startswith(_PASSED_ON_PREFIX)
    }
    environment |= {
        "PYTHONUNBUFFERED": "1",
        "ALERTHUB_SERVICE": service,
        "ALERTHUB_INSTANCE": instance,
        "ALERTHUB_LISTEN_HOST": "127.0.0.1",
        "ALERTHUB_KAFKA__BOOTSTRAP": kafka.bootstrap,
        "ALERTHUB_KAFKA__USERNAME": service,
        "ALERTHUB_EVIDENCE_URL": folder.evidence.as_uri(),
        "ALERTHUB_WITNESS_FILE": str(folder.witness / f"{service}.heads"),
    }
    if service in ROLES:
        environment |= {
            "ALERTHUB_POSTGRES__HOST": "127.0.0.1",
            "ALERTHUB_POSTGRES__PORT": str(postgres_port),
            "ALERTHUB_POSTGRES__DATABASE": DATABASE,
            "ALERTHUB_POSTGRES__ROLE": service,
        }
    environment |= {file.variable: str(file.source) for file in secret_files(folder, service)}
    if service == "watchlist":
        environment["ALERTHUB_KEYS_FOLDER"] = str(folder.keys)
    if service == "canary":
        environment["ALERTHUB_SET_UP_FOLDER"] = str(folder.canary)
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


def canary_environment(service: str, seconds: float) -> dict[str, str]:
    """How often the hub's own reads are sent, and how long the console waits for one: three of them."""
    match service:
        case "canary":
            return {"ALERTHUB_EVERY_SECONDS": str(seconds)}
        case "console":
            return {"ALERTHUB_CANARY_SECONDS": str(3 * seconds)}
        case _:
            return {}
