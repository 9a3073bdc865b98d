"""Which services the hub runs, and the listeners of each: the supervisor's table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ServiceSpecification:
    """One service: `python -m PACKAGE.NAME`. Each listens for operations; `listeners` are the others."""

    name: str
    listeners: tuple[str, ...] = ()
    """Fields of its settings that are ports."""
    addresses: Mapping[str, str] = field(default_factory=dict)
    """Field of `alerthub.settings.Addresses` by the listener that it names."""
    package: str = "services"
    niceness: int = 0
    """Of its processes (nice(2)). What handles each observation gives way to what handles alerts: one machine
    does both (docs/adr/0025)."""

    @property
    def module(self) -> str:
        return f"{self.package}.{self.name}"


PERSONS_AND_SERVICES = ("grpc_port", "grpc_person_port")

SERVICES: tuple[ServiceSpecification, ...] = (
    ServiceSpecification(
        "registry",
        PERSONS_AND_SERVICES,
        {"grpc_port": "registry", "grpc_person_port": "registry_person"},
    ),
    ServiceSpecification(
        "watchlist",
        PERSONS_AND_SERVICES,
        {"grpc_port": "watchlist", "grpc_person_port": "watchlist_person"},
    ),
    ServiceSpecification(
        "dispatch",
        PERSONS_AND_SERVICES,
        {"grpc_port": "dispatch", "grpc_person_port": "dispatch_person"},
    ),
    ServiceSpecification("push", ("grpc_port",), {"grpc_port": "push"}),
    ServiceSpecification("console", ("http_port",)),
    ServiceSpecification("correlator", niceness=4),
    ServiceSpecification("mqtt", ("mqtt_port",), {"mqtt_port": "mqtt"}, package="alerthub.embedded"),
    ServiceSpecification("gateway", ("http_port", "grpc_port"), {"grpc_port": "gateway"}, niceness=8),
    ServiceSpecification("canary", package="alerthub"),
)
"""In the order in which they start: owners of data first, the door for devices last, and then the canary,
which goes through it."""
