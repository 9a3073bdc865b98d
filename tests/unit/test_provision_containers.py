"""The table of containers: the services read it as their settings."""

from __future__ import annotations

import importlib

import pytest

from alerthub.provision.containers import (
    CONTAINERS,
    KEEPS,
    OPERATIONS_PORT,
    PORTS,
    SHARE,
    STATE,
    addresses,
    container_environment,
)
from alerthub.settings import Addresses, ServiceSettings

NAMES = [each.name for each in CONTAINERS]
MODULES = {each.name: each.module for each in CONTAINERS}


def environment_of(service: str) -> dict[str, str]:
    return container_environment(
        service, kafka="kafka:9093", postgres="postgres:5432", mqtt="mosquitto:8884", host="hub-{name}"
    )


def settings_of(service: str) -> ServiceSettings:
    module = importlib.import_module(f"{MODULES[service]}.settings")
    [kind] = [
        each
        for name, each in vars(module).items()
        if name.lower() == f"{service}settings" and issubclass(each, ServiceSettings)
    ]
    settings: ServiceSettings = kind()
    return settings


@pytest.mark.parametrize("service", NAMES)
def test_a_service_reads_its_settings_from_its_containers_environment(
    service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment_of(service).items():
        monkeypatch.setenv(name, value)
    settings = settings_of(service)
    assert (settings.service, settings.listen_host, settings.operations_port) == (
        service,
        "0.0.0.0",
        OPERATIONS_PORT,
    )
    assert (settings.kafka.bootstrap, settings.kafka.username) == ("kafka:9093", service)
    assert str(settings.tls.key_file) == f"{SHARE}/tls.key"
    assert {field: getattr(settings, field) for field in PORTS[service]} == PORTS[service]
    assert settings.addresses.watchlist_person == "hub-watchlist:7112"


@pytest.mark.parametrize("service", NAMES)
def test_every_variable_is_one_that_the_service_reads(service: str) -> None:
    settings = settings_of(service)
    for name in environment_of(service):
        field, _, inner = name.removeprefix("ALERTHUB_").lower().partition("__")
        assert field in type(settings).model_fields, name
        assert not inner or inner in type(getattr(settings, field)).model_fields, name


@pytest.mark.parametrize("service", NAMES)
def test_no_secret_is_a_value(service: str) -> None:
    secrets = {
        name: value for name, value in environment_of(service).items() if "PASSWORD" in name or "KEY" in name
    }
    assert [name for name, value in secrets.items() if not value.startswith((SHARE, STATE))] == []


def test_who_keeps_something_is_told_where() -> None:
    told = {
        service: {
            folder
            for folder in ("witness", "keys", "evidence", "canary")
            if any(f"{STATE}/{folder}" in value for value in environment_of(service).values())
        }
        for service in NAMES
    }
    assert told == {service: set(KEEPS.get(service, ())) for service in NAMES}


def test_every_address_that_services_know_is_one_where_somebody_listens() -> None:
    assert addresses().keys() == Addresses.model_fields.keys() - {"mqtt"}
