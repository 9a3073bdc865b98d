"""The supervisor: infrastructure and services of one data folder, kept alive until it is told to stop."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from alerthub.domain.errors import Retry
from alerthub.embedded import processes
from alerthub.embedded.catalogue import SERVICES, ServiceSpecification
from alerthub.embedded.child import Child, ChildSpecification, service_command
from alerthub.embedded.environment import canary_environment, retention_environment, service_environment
from alerthub.embedded.folder import HubFolder, write_file
from alerthub.embedded.infrastructure import Infrastructure
from alerthub.embedded.jars import Progress
from alerthub.provision.accounts import ensure_demo_accounts
from alerthub.topics import MINUTE_MS, TopicSettings, TopicSpecification, build_topics

START_SECONDS = 240.0
"""Nine services, each importing its libraries, on two cores: 10 to 30 s alone, and more than 120 on a slow
machine where two hubs start beside a test suite. Longer means that one cannot start."""
STOP_SECONDS = 20.0
_TICK_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class HubShape:
    """How many of what, and how long."""

    correlators: int = 1
    officers: int = 3
    retention_minutes: int = 60
    """What did not hit is forgotten after this time: observations, passages, keys and waiting pictures. More
    than 24 h is refused when the topics are built (refusal 2)."""
    services: tuple[ServiceSpecification, ...] = SERVICES
    canary_seconds: float = 30.0
    """Between two of the hub's own reads, where they are set up; the console waits for three."""

    def instances(self) -> list[tuple[ServiceSpecification, str]]:
        return [
            (specification, str(number))
            for specification in self.services
            for number in range(1, (self.correlators if specification.name == "correlator" else 1) + 1)
        ]

    def topics(self) -> dict[str, TopicSpecification]:
        """The table with this retention. Refuses one above 24 h."""
        retention_ms = self.retention_minutes * MINUTE_MS
        return build_topics(
            TopicSettings(observations_retention_ms=retention_ms, passages_retention_ms=retention_ms)
        )


class Supervisor:
    """start(), then run() until `stopping()`; stop() in every case. For the main thread alone."""

    def __init__(
        self,
        folder: HubFolder,
        *,
        shape: HubShape,
        tell: Progress,
        infrastructure: Infrastructure | None = None,
    ) -> None:
        self.folder = folder
        self._shape = shape
        self._tell = tell
        self._infrastructure = infrastructure or Infrastructure(folder, progress=tell, table=shape.topics())
        self._children: list[Child] = []

    @property
    def children(self) -> tuple[Child, ...]:
        return tuple(self._children)

    def start(self, *, fresh: bool, stopping: Callable[[], bool]) -> None:
        """Starts everything and returns once every service can do its job, or when `stopping()` says so.

        `Retry`, naming the service and its log, when one is not ready in time.
        """
        self._infrastructure.start(fresh=fresh)
        ensure_demo_accounts(self.folder, officers=self._shape.officers)
        ports = self._ports()
        addresses = {
            field: f"127.0.0.1:{ports[specification.name, '1', listener]}"
            for specification in self._shape.services
            for listener, field in specification.addresses.items()
        }
        for specification, instance in self._shape.instances():
            child = Child(self._child_of(specification, instance, ports, addresses), tell=self._tell)
            self._children.append(child)
            child.start()
        self._write_hub("starting", ports, addresses)
        self._write_metrics_targets()
        self._wait_until_ready(stopping)
        self._write_hub("stopping" if stopping() else "ready", ports, addresses)

    def run(self, stopping: Callable[[], bool]) -> None:
        """Keeps everything running until `stopping()`."""
        while not stopping():
            self._watch()
            time.sleep(_TICK_SECONDS)

    def stop(self) -> None:
        """Ends services, then infrastructure. Leaves no process behind. Can be called again."""
        for child in self._children:
            child.ask_to_stop()
        deadline = time.monotonic() + STOP_SECONDS
        for child in self._children:
            child.stop(max(0.1, deadline - time.monotonic()))
        self._children.clear()
        self._infrastructure.stop()

    def _watch(self) -> None:
        self._revive_infrastructure()
        changed = False
        for child in self._children:
            changed = child.watch() or changed
        if changed:
            self._infrastructure.write_hub(services=self._services())

    def _revive_infrastructure(self) -> None:
        for name, node in (
            ("Kafka", self._infrastructure.kafka),
            ("PostgreSQL", self._infrastructure.postgres),
        ):
            if node.is_alive():
                continue
            self._tell(f"{name} ended; starting it again. Its log: {node.log_file}")
            try:
                node.launch()
            except Retry as error:
                self._tell(f"{name} did not start: {error.reason}; trying again")
            else:
                self._infrastructure.write_hub()

    def _wait_until_ready(self, stopping: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_SECONDS
        waiting = {child.specification.name: child for child in self._children}
        told = time.monotonic()
        while waiting and not stopping():
            self._watch()
            reasons = {name: child.not_ready_because() for name, child in waiting.items()}
            for name in [name for name, reason in reasons.items() if reason is None]:
                del waiting[name]
                self._tell(f"{name} is ready ({len(self._children) - len(waiting)} of {len(self._children)})")
            if waiting and time.monotonic() > deadline:
                name, child = next(iter(waiting.items()))
                raise Retry(
                    f"{name} was not ready after {START_SECONDS:.0f} s ({reasons[name]});"
                    f" see {child.specification.log_file}"
                )
            if waiting and time.monotonic() - told > 2.0:
                told = time.monotonic()
                self._tell(f"waiting for {', '.join(waiting)}")
            time.sleep(_TICK_SECONDS)

    def _child_of(
        self,
        specification: ServiceSpecification,
        instance: str,
        ports: Mapping[tuple[str, str, str], int],
        addresses: Mapping[str, str],
    ) -> ChildSpecification:
        own = {
            listener: ports[specification.name, instance, listener]
            for listener in (*specification.listeners, "operations_port")
        }
        environment = service_environment(
            self.folder,
            specification.name,
            kafka=self._infrastructure.kafka_settings(specification.name),
            postgres_port=self._infrastructure.postgres_settings("postgres").port,
            instance=instance,
            ports=own,
            addresses=addresses,
        )
        environment.update(retention_environment(specification.name, self._shape.retention_minutes))
        environment.update(canary_environment(specification.name, self._shape.canary_seconds))
        return ChildSpecification(
            service=specification.name,
            instance=instance,
            command=service_command(specification.module),
            environment=environment,
            log_file=self.folder.logs / f"{specification.name}-{instance}.log",
            operations_port=own["operations_port"],
            niceness=specification.niceness,
        )

    def _ports(self) -> dict[tuple[str, str, str], int]:
        """A port a listener: those of the last time, where nobody has taken them, else free ones."""
        wanted = [
            (specification.name, instance, listener)
            for specification, instance in self._shape.instances()
            for listener in (*specification.listeners, "operations_port")
        ]
        last = {
            (each["service"], each["instance"], listener): int(port)
            for each in self.folder.read_hub().get("services", [])
            for listener, port in each["ports"].items()
        }
        kept = {key: last[key] for key in wanted if key in last and processes.can_bind(last[key])}
        free = (port for port in processes.free_ports(2 * len(wanted)) if port not in kept.values())
        return {key: kept[key] if key in kept else next(free) for key in wanted}

    def _services(self) -> list[dict[str, Any]]:
        return [
            {
                "service": child.specification.service,
                "instance": child.specification.instance,
                "pid": child.pid,
                "operations_port": child.specification.operations_port,
                "ports": _ports_in(child.specification.environment),
                "log": str(child.specification.log_file),
            }
            for child in self._children
        ]

    def _write_metrics_targets(self) -> None:
        """As `deploy/prometheus/targets/compose.json` names the containers."""
        targets = [
            {
                "targets": [f"127.0.0.1:{child.specification.operations_port}"],
                "labels": {"service": child.specification.service},
            }
            for child in self._children
        ]
        write_file(self.folder.metrics_targets_file, json.dumps(targets, indent=2) + "\n", mode=0o600)

    def _write_hub(
        self, state: str, ports: Mapping[tuple[str, str, str], int], addresses: Mapping[str, str]
    ) -> None:
        changes: dict[str, Any] = {"state": state, "addresses": dict(addresses), "services": self._services()}
        if ("gateway", "1", "http_port") in ports:
            changes["gateway_url"] = f"https://127.0.0.1:{ports['gateway', '1', 'http_port']}"
            changes["gateway_grpc"] = f"127.0.0.1:{ports['gateway', '1', 'grpc_port']}"
        if ("console", "1", "http_port") in ports:
            changes["console_url"] = f"https://127.0.0.1:{ports['console', '1', 'http_port']}"
        self._infrastructure.write_hub(**changes)


def _ports_in(environment: Mapping[str, str]) -> dict[str, int]:
    return {
        name.removeprefix("ALERTHUB_").lower(): int(value)
        for name, value in environment.items()
        if name.startswith("ALERTHUB_") and name.endswith("_PORT") and "__" not in name
    }
