"""`docker-compose.yml` against the table of containers: the same environment, ports, shares and folders, and
nothing that the design forbids."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from alerthub.embedded.folder import HubFolder
from alerthub.provision.containers import (
    CONTAINERS,
    KAFKA_PORT,
    KEEPS,
    MQTT_CERTIFICATE_PORT,
    MQTT_PORT,
    POSTGRES_PORT,
    SHARE,
    STATE,
    container_environment,
)
from alerthub.provision.files import FilesPlan, provision_files

ROOT = Path(__file__).resolve().parents[2]
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(
    (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
)["services"]
NAMES = [each.name for each in CONTAINERS]
# Settings that a deployment chooses; the others follow from the table.
CHOSEN = {
    "ALERTHUB_PARTITIONS",
    "ALERTHUB_TRACES__COLLECTOR",
    "ALERTHUB_TRACES__CA_FILE",
    "ALERTHUB_TRACES__BATCH_RATIO",
}


@pytest.fixture(scope="module")
def shares(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    root = tmp_path_factory.mktemp("shares")
    plan = FilesPlan()
    provision_files(HubFolder(root / "hub"), plan, shares=root / "shares", now=datetime.now(UTC))
    return {share.name: {file.name for file in share.iterdir()} for share in (root / "shares").iterdir()}


@pytest.mark.parametrize("service", NAMES)
def test_a_service_is_told_what_the_table_of_containers_says(service: str) -> None:
    told = {name: value for name, value in SERVICES[service]["environment"].items() if name not in CHOSEN}
    assert told == container_environment(
        service,
        kafka=f"kafka:{KAFKA_PORT}",
        postgres=f"postgres:{POSTGRES_PORT}",
        mqtt=f"mosquitto:{MQTT_CERTIFICATE_PORT}",
    )


@pytest.mark.parametrize("service", NAMES)
def test_a_service_has_its_own_share_its_own_folders_and_nothing_else(service: str) -> None:
    kept = {f"{folder}:{STATE}/{folder}" for folder in KEEPS.get(service, ())}
    assert set(SERVICES[service]["volumes"]) == {f"share-{service}:{SHARE}:ro", *kept}


def test_every_share_that_is_dealt_out_has_a_volume_and_a_folder_in_the_image(
    shares: dict[str, set[str]],
) -> None:
    dealt = {f"share-{name}:/shares/{name}" for name in shares}
    assert set(SERVICES["files"]["volumes"]) == {"hub:/hub", *dealt}
    dockerfile = (ROOT / "deploy" / "docker" / "Dockerfile").read_text(encoding="utf-8")
    [folders] = re.findall(r"for name in ([a-z ]+); ", dockerfile)
    assert set(folders.split()) == shares.keys()


@pytest.mark.parametrize("service", NAMES)
def test_every_file_that_a_service_is_told_of_is_in_its_share(
    service: str, shares: dict[str, set[str]]
) -> None:
    told = {
        value.removeprefix(f"{SHARE}/")
        for value in SERVICES[service]["environment"].values()
        if value.startswith(f"{SHARE}/")
    }
    assert told == shares[service]


def test_nobody_but_the_commands_sees_the_folder_with_everything() -> None:
    seers = {
        name
        for name, service in SERVICES.items()
        if any(str(volume).startswith("hub:") for volume in service.get("volumes", ()))
    }
    assert seers == {"files", "cli"}


@pytest.mark.parametrize("service", SERVICES)
def test_s7_a_container_has_a_read_only_root_and_no_capability(service: str) -> None:
    told = SERVICES[service]
    assert (told["read_only"], told["cap_drop"], told["security_opt"]) == (
        True,
        ["ALL"],
        ["no-new-privileges:true"],
    )
    assert not {"privileged", "cap_add", "pid", "devices"} & told.keys()
    assert told.get("user") not in {"root", "0", "0:0"}


def test_s7_everything_is_published_on_the_loopback_alone() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert published
    assert [port for port in published if not port.startswith("127.0.0.1:")] == []


@pytest.mark.parametrize("service", SERVICES)
def test_no_secret_is_a_value(service: str) -> None:
    secrets = {
        name: value
        for name, value in SERVICES[service].get("environment", {}).items()
        if re.search("PASSWORD|SECRET|TOKEN|KEY", name)
    }
    assert [name for name, value in secrets.items() if not value.startswith(("/run/", STATE))] == []


def test_devices_find_mosquitto_where_the_table_says() -> None:
    assert SERVICES["mosquitto"]["ports"] == [
        f"127.0.0.1:{port}:{port}" for port in (MQTT_PORT, MQTT_CERTIFICATE_PORT)
    ]


def test_the_image_is_not_built_from_what_lies_around() -> None:
    """A folder that is not named reaches no image: data folders hold keys."""
    rules = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert rules[1] == "*"
    assert not [rule for rule in rules if rule.startswith(("!.", "!data"))]
