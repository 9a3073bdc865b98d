"""Everything that a hub has as files before anything of it runs: authority, certificates, passwords, first
accounts, the configuration of the servers that compose brings along; and each one's share of them."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from alerthub.domain.errors import Refuse
from alerthub.embedded.folder import HubFolder, random_secret, write_file
from alerthub.provision import broker, database, pki
from alerthub.provision.accounts import FIRST_ADMINISTRATORS, ensure_accounts
from alerthub.provision.changes import Change
from alerthub.provision.containers import (
    CONTAINERS,
    KAFKA_PORT,
    MQTT_PORT,
    PORTS,
    POSTGRES_PORT,
    SERVERS,
    SHARE,
    addresses,
)
from alerthub.provision.shares import secret_files
from alerthub.topics import PRINCIPALS

KAFKA_LOGS = "/var/lib/kafka/data/log"
PROVISION = "provision"
"""The share of whoever runs `alerthub provision infrastructure`."""
PROVISIONED = "provisioned"
"""The state in `hub.json` of a folder whose hub runs elsewhere."""
_CONTROLLER_PORT = 9094
_GRAFANA_PASSWORD = "grafana-administrator.password"  # noqa: S105 - the name of a file
_SHARE_MODE = 0o640
"""Readable for its group: a server's container runs as its own user and has the share's group besides."""


@dataclass(frozen=True, slots=True)
class FilesPlan:
    """What is wanted of the files."""

    host: str = "{name}"
    """Pattern of the names by which services reach each other."""
    hosts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Further names and addresses of a service or server: what cameras, terminals and browsers use."""
    accounts: tuple[tuple[str, tuple[str, ...]], ...] = FIRST_ADMINISTRATORS

    def hosts_of(self, name: str) -> list[str]:
        return [self.host.format(name=name), *self.hosts.get(name, ())]


def provision_files(
    folder: HubFolder, plan: FilesPlan, *, shares: Path | None, now: datetime
) -> list[Change]:
    """Makes what the folder lacks, renews certificates that end soon or lack a name, and deals out shares.

    Runs again without effect. An authority, a certificate or a password that lies in the folder is kept:
    that is how one's own are given. Refuses a folder in which `alerthub up` runs a hub.
    """
    unknown = sorted(set(plan.hosts) - {*pki.SERVICES, *SERVERS})
    if unknown:
        raise Refuse("--name", f"a service or server before the =, not {unknown[0]}")
    if folder.hub_file.exists() and folder.read_hub().get("state") != PROVISIONED:
        raise Refuse("--data", f"a folder of its own; {folder.root} holds the hub of `alerthub up`")
    folder.create()
    hosts = {name: plan.hosts_of(name) for name in (*pki.SERVICES, *SERVERS)}
    changes = pki.ensure_pki(folder, now=now, hosts=hosts, servers=SERVERS)
    for path in _password_files(folder):
        if not path.exists():
            random_secret(path)
            changes.append(Change("files", path.name, "created"))
    if ensure_accounts(folder, plan.accounts):
        changes.append(Change("files", folder.accounts_file.name, f"created ({len(plan.accounts)} accounts)"))
    _write_hub(folder, plan)
    if shares is not None:
        changes += _deal_out(folder, plan, shares)
    return changes


def _password_files(folder: HubFolder) -> list[Path]:
    return [
        *(
            folder.kafka_password_file(name)
            for name in (broker.ADMINISTRATOR, broker.CONTROLLER, *PRINCIPALS)
        ),
        *(folder.postgres_password_file(role) for role in (database.ADMINISTRATOR, *database.ROLES)),
        folder.digest_key_file,
        folder.secrets / _GRAFANA_PASSWORD,
    ]


def _write_hub(folder: HubFolder, plan: FilesPlan) -> None:
    """What the commands of `alerthub` read: where the services listen."""
    listening = {name: plan.host.format(name=name) for name in PORTS}
    folder.write_hub(
        {
            "version": 1,
            "state": PROVISIONED,
            "ca_file": str(folder.ca_file),
            "addresses": addresses(plan.host) | {"mqtt": f"{plan.host.format(name='mosquitto')}:{MQTT_PORT}"},
            "gateway_url": f"https://{listening['gateway']}:{PORTS['gateway']['http_port']}",
            "gateway_grpc": f"{listening['gateway']}:{PORTS['gateway']['grpc_port']}",
            "console_url": f"https://{listening['console']}:{PORTS['console']['http_port']}",
        }
    )


def _deal_out(folder: HubFolder, plan: FilesPlan, shares: Path) -> list[Change]:
    changes = []
    for name, files in _shares(folder, plan).items():
        share = shares / name
        share.mkdir(mode=0o750, parents=True, exist_ok=True)
        for file, text in files.items():
            path = share / file
            known = path.exists()
            if known and path.read_text(encoding="utf-8") == text:
                continue
            write_file(path, text, mode=_SHARE_MODE)
            changes.append(Change("files", f"share {name}/{file}", "renewed" if known else "dealt out"))
    return changes


def _shares(folder: HubFolder, plan: FilesPlan) -> dict[str, dict[str, str]]:
    dealt = {
        service.name: {
            file.name: file.source.read_text(encoding="utf-8") for file in secret_files(folder, service.name)
        }
        for service in CONTAINERS
    }
    passwords = {path.name: path.read_text(encoding="utf-8") for path in _password_files(folder)}
    wanted = _names("kafka", (broker.ADMINISTRATOR, *PRINCIPALS))
    wanted |= _names("postgres", (database.ADMINISTRATOR, *database.ROLES))
    authority = {"ca.pem": folder.ca_file.read_text(encoding="utf-8")}
    dealt[PROVISION] = authority | {name: passwords[name] for name in sorted(wanted)}
    dealt["kafka"] = authority | _of_kafka(folder, plan)
    dealt["postgres"] = {
        **_certificate(folder, "postgres"),
        "administrator.password": passwords[f"postgres-{database.ADMINISTRATOR}.password"],
        "pg_hba.conf": database.access_file("hostssl", "all"),
        "postgresql.auto.conf": _POSTGRES.format(port=POSTGRES_PORT) + database.LOGGING,
    }
    dealt["grafana"] = {"administrator.password": passwords[_GRAFANA_PASSWORD]}
    dealt["mosquitto"] = authority | _certificate(folder, "mosquitto")
    return dealt


_POSTGRES = """\
listen_addresses = '*'
port = {port}
unix_socket_directories = ''
max_connections = 120
ssl = on
ssl_cert_file = 'tls.pem'
ssl_key_file = 'tls.key'
"""


def _of_kafka(folder: HubFolder, plan: FilesPlan) -> dict[str, str]:
    passwords = {
        name: random_secret(folder.kafka_password_file(name))
        for name in (broker.ADMINISTRATOR, broker.CONTROLLER)
    }
    cluster_file = folder.kafka / "cluster.id"
    if not cluster_file.exists():
        write_file(cluster_file, broker.cluster_id(uuid.uuid4()) + "\n", mode=0o600)
    certificate = _certificate(folder, "kafka")
    return {
        "keystore.pem": certificate["tls.key"] + certificate["tls.pem"],
        "server.properties": broker.broker_properties(
            passwords,
            port=KAFKA_PORT,
            controller_port=_CONTROLLER_PORT,
            logs=KAFKA_LOGS,
            listen_host="0.0.0.0",
            advertised=f"{plan.host.format(name='kafka')}:{KAFKA_PORT}",
            tls=broker.BrokerTls(keystore=f"{SHARE}/keystore.pem", authority=f"{SHARE}/ca.pem"),
        ),
        "format.arguments": broker.format_arguments(
            f"{SHARE}/server.properties",
            # The others are added through the administrator.
            {broker.ADMINISTRATOR: passwords[broker.ADMINISTRATOR]},
            cluster_file.read_text(encoding="utf-8").strip(),
        ),
    }


def _certificate(folder: HubFolder, name: str) -> dict[str, str]:
    tls = pki.tls_settings(folder, name)
    return {
        "tls.pem": tls.certificate_file.read_text(encoding="utf-8"),
        "tls.key": tls.key_file.read_text(encoding="utf-8"),
    }


def _names(server: str, users: Iterable[str]) -> set[str]:
    return {f"{server}-{user}.password" for user in users}
