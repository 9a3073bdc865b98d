"""What each container is told and what it listens at: one table for compose, the chart and their checks.

Inside, everything has the same place in each container: what a service is given lies in `SHARE`, what it
keeps below `STATE`. Ports differ by service, so that addresses are the same in every deployment.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from alerthub.embedded.catalogue import SERVICES, ServiceSpecification
from alerthub.embedded.folder import HubFolder
from alerthub.provision.database import DATABASE, ROLES
from alerthub.provision.shares import secret_files
from alerthub.settings import Addresses

SHARE = "/run/alerthub"
"""Where a container finds its share, read-only."""
STATE = "/var/lib/alerthub"
OPERATIONS_PORT = 9100
"""/metrics, /live and /ready of every service, plain: never published beyond the deployment's own network."""
MQTT_PORT = 8883
"""Devices with a password."""
MQTT_CERTIFICATE_PORT = 8884
"""Devices and gateways with a certificate."""
KAFKA_PORT = 9093
POSTGRES_PORT = 5432

SERVERS = ("kafka", "postgres", "mosquitto")
"""Parts of others that a deployment may bring along; each gets a certificate and a share."""

CONTAINERS: tuple[ServiceSpecification, ...] = tuple(each for each in SERVICES if each.name != "mqtt")
"""In containers MQTT's broker is Mosquitto, or a city's own."""

_DEFAULTS = Addresses()
PORTS: Mapping[str, Mapping[str, int]] = {
    each.name: {
        listener: int(getattr(_DEFAULTS, field).rpartition(":")[2])
        for listener, field in each.addresses.items()
    }
    for each in CONTAINERS
} | {"console": {"http_port": 8444}, "gateway": {"http_port": 8443, "grpc_port": 7141}}
"""Listeners of each service, by the field of its settings."""

KEEPS: Mapping[str, tuple[str, ...]] = {
    "registry": ("witness",),
    "watchlist": ("witness", "keys"),
    "gateway": ("evidence",),
    "dispatch": ("witness", "evidence"),
    "canary": ("canary",),
}
"""Folders below `STATE` that outlive a container. `evidence` is one for all who have it, or a bucket."""


def addresses(host: str = "{name}") -> dict[str, str]:
    """Fields of `alerthub.settings.Addresses`, where `host` is the pattern of a service's name."""
    return {
        field: f"{host.format(name=each.name)}:{PORTS[each.name][listener]}"
        for each in CONTAINERS
        for listener, field in each.addresses.items()
    }


def container_environment(
    service: str, *, kafka: str, postgres: str, mqtt: str = "", host: str = "{name}", instance: str = "1"
) -> dict[str, str]:
    """The variables that a container of `service` needs. `kafka`, `postgres` and `mqtt` are host:port; `host`
    is the pattern of the services' names. Everything else has a default in the service's settings."""
    environment = {
        "ALERTHUB_SERVICE": service,
        "ALERTHUB_INSTANCE": instance,
        "ALERTHUB_LISTEN_HOST": "0.0.0.0",
        "ALERTHUB_OPERATIONS_PORT": str(OPERATIONS_PORT),
        "ALERTHUB_KAFKA__BOOTSTRAP": kafka,
        "ALERTHUB_KAFKA__USERNAME": service,
        "ALERTHUB_KAFKA__CA_FILE": f"{SHARE}/ca.pem",
    }
    if service in ROLES:
        name, _, port = postgres.rpartition(":")
        environment |= {
            "ALERTHUB_POSTGRES__HOST": name,
            "ALERTHUB_POSTGRES__PORT": port,
            "ALERTHUB_POSTGRES__DATABASE": DATABASE,
            "ALERTHUB_POSTGRES__ROLE": service,
            "ALERTHUB_POSTGRES__CA_FILE": f"{SHARE}/ca.pem",
        }
    folder = HubFolder(Path("/"))
    environment |= {file.variable: f"{SHARE}/{file.name}" for file in secret_files(folder, service)}
    kept = KEEPS.get(service, ())
    if "evidence" in kept:
        environment["ALERTHUB_EVIDENCE_URL"] = f"file://{STATE}/evidence"
    if "keys" in kept:
        environment["ALERTHUB_KEYS_FOLDER"] = f"{STATE}/keys"
    if "canary" in kept:
        environment["ALERTHUB_SET_UP_FOLDER"] = f"{STATE}/canary"
    if "witness" in kept:
        environment["ALERTHUB_WITNESS_FILE"] = f"{STATE}/witness/{service}.heads"
    environment |= {f"ALERTHUB_{field.upper()}": str(port) for field, port in PORTS[service].items()}
    environment |= {
        f"ALERTHUB_ADDRESSES__{field.upper()}": address for field, address in addresses(host).items()
    }
    if service == "gateway" and mqtt:
        environment["ALERTHUB_ADDRESSES__MQTT"] = mqtt
    return environment
