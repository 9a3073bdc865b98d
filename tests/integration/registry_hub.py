"""A registry that runs: its own process on real Kafka and PostgreSQL, and callers that sign in as persons."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import URLError

import grpc
import typer
from begun_anew import begin_anew
from service_process import ROOT, Process
from typer.testing import CliRunner, Result

from alerthub import kafka
from alerthub.api.v1 import registry_pb2, registry_pb2_grpc
from alerthub.embedded.environment import service_environment
from alerthub.embedded.folder import HubFolder
from alerthub.embedded.infrastructure import Infrastructure
from alerthub.embedded.processes import free_ports
from alerthub.grpc_client import person_channel
from alerthub.provision.database import DATABASE
from alerthub.replica import BOOKMARK_KEY
from services.registry.topic_versions import OWNED_TOPICS

PASSWORD = "correct horse battery staple"  # noqa: S105 - of accounts that live as long as the test
ACCOUNTS = {
    "editor": ["ROLE_REGISTRY_EDITOR"],
    "editor-2": ["ROLE_REGISTRY_EDITOR"],
    "editor-3": ["ROLE_REGISTRY_EDITOR"],
    "supervisor": ["ROLE_SUPERVISOR"],
    "operator": ["ROLE_OPERATOR"],
    "auditor": ["ROLE_AUDITOR"],
    "officer": ["ROLE_OFFICER"],
}


@dataclass
class RunningRegistry(Process):
    """The process and how to reach it."""

    infrastructure: Infrastructure = field(kw_only=True)
    tokens: dict[tuple[str, str], tuple[str, float]] = field(default_factory=dict)

    @property
    def person_address(self) -> str:
        return f"127.0.0.1:{self.environment['ALERTHUB_GRPC_PERSON_PORT']}"

    @property
    def mutual_address(self) -> str:
        return f"127.0.0.1:{self.environment['ALERTHUB_GRPC_PORT']}"

    @property
    def ca_file(self) -> Path:
        return self.infrastructure.folder.ca_file

    def start(self, program: tuple[str, ...] = ()) -> None:
        super().start(program)
        self.wait_until_ready()

    def wait_until_ready(self, seconds: float = 120) -> None:
        super().wait_until_ready(seconds)

    async def unready_because(self, check: str, *, seconds: float = 60) -> str:
        """The reason of one readiness check, once it has one."""
        async with asyncio.timeout(seconds):
            while True:
                try:
                    reason = self.readiness()["checks"].get(check)
                except (URLError, ConnectionError):
                    reason = None
                if reason is not None:
                    return str(reason)
                await asyncio.sleep(0.2)

    def sql(self, statement: str, **values: str) -> str:
        """Runs SQL as the registry's own role, and returns what psql prints; `:'name'` stands for a value."""
        variables = "".join(f"\\set {name} {value}\n" for name, value in values.items())
        script = f"{variables}SET search_path = registry; SET ROLE registry;\n{statement}"
        return self.infrastructure.postgres.execute(script, database=DATABASE).strip()

    @asynccontextmanager
    async def channel(
        self, account: str = "", *, audience: str = "registry"
    ) -> AsyncIterator[grpc.aio.Channel]:
        token = await self.token(account, audience=audience) if account else ""
        async with person_channel(self.ca_file, self.person_address, token) as channel:
            yield channel

    async def token(self, account: str, *, audience: str = "registry", password: str = PASSWORD) -> str:
        known = self.tokens.get((account, audience))
        if known is not None and known[1] > time.time() + 30:
            return known[0]
        answer = await self.sign_in(account, password, audience)
        self.tokens[account, audience] = (answer.token, answer.expires_at_ms / 1000)
        return answer.token

    async def sign_in(
        self, account: str, password: str = PASSWORD, audience: str = "registry"
    ) -> registry_pb2.SignInResponse:
        async with person_channel(self.ca_file, self.person_address) as channel:
            return await registry_pb2_grpc.SessionServiceStub(channel).SignIn(
                registry_pb2.SignInRequest(account=account, password=password, audience=audience), timeout=20
            )

    async def call(self, method: str, request: Any, *, as_account: str = "editor") -> Any:
        async with self.channel(as_account) as channel:
            return await getattr(registry_pb2_grpc.RegistryServiceStub(channel), method)(request, timeout=30)

    async def apply(
        self, *resources: registry_pb2.Resource, as_account: str = "editor", command_id: str = ""
    ) -> registry_pb2.ApplyResourcesResponse:
        request = registry_pb2.ApplyResourcesRequest(
            command_id=command_id or str(uuid.uuid4()), resources=resources
        )
        answer: registry_pb2.ApplyResourcesResponse = await self.call(
            "ApplyResources", request, as_account=as_account
        )
        return answer

    async def published(self, topic: str, key: str, version: int, *, seconds: float = 10) -> bytes:
        """The value of this key once the topic has it in this version or a newer one."""
        found = await self.read(
            topic, until=lambda values: _version(topic, values.get(key)) >= version, seconds=seconds
        )
        return found[key]

    async def read(self, topic: str, *, until: Any, seconds: float = 10) -> dict[str, bytes]:
        """The topic's newest values, as a new replica would see them, once `until` holds."""
        consumer = kafka.consumer(
            self.infrastructure.kafka_settings("registry"),
            topic,
            group_id=None,
            client_id=f"test-{uuid.uuid4()}",
        )
        await consumer.start()
        values: dict[str, bytes] = {}
        try:
            async with asyncio.timeout(seconds):
                while not until(values):
                    batches = await consumer.getmany(timeout_ms=200)
                    for records in batches.values():
                        for record in records:
                            if record.key != BOOKMARK_KEY:
                                values[record.key.decode()] = record.value
        finally:
            await consumer.stop()
        return values


_MESSAGES: dict[str, Any] = {
    "devices": registry_pb2.Device,
    "zones": registry_pb2.Zone,
    "rules": registry_pb2.Rule,
    "units": registry_pb2.Unit,
    "revocations": registry_pb2.Revocation,
}


def _version(topic: str, value: bytes | None) -> int:
    return 0 if value is None else int(_MESSAGES[topic].FromString(value).version)


def running_registry(infrastructure: Infrastructure, folder: Path) -> Iterator[RunningRegistry]:
    """A registry with an empty schema and empty topics, for one module of tests."""
    begin_anew(infrastructure, "registry", OWNED_TOPICS)
    accounts_file = folder / "accounts.json"
    accounts_file.write_text(
        json.dumps(
            {
                "accounts": [
                    {"account": name, "password": PASSWORD, "roles": roles}
                    for name, roles in ACCOUNTS.items()
                ]
            }
        )
    )
    mutual, person, operations = free_ports(3)
    environment = service_environment(
        infrastructure.folder,
        "registry",
        kafka=infrastructure.kafka_settings("registry"),
        postgres_port=infrastructure.postgres_settings("").port,
        ports={"grpc_port": mutual, "grpc_person_port": person, "operations_port": operations},
    )
    environment["ALERTHUB_BOOTSTRAP_ACCOUNTS_FILE"] = str(accounts_file)
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), environment.get("PYTHONPATH", "")])
    registry = RunningRegistry(
        "services.registry", environment, folder / "registry.log", infrastructure=infrastructure
    )
    try:
        registry.start()
        yield registry
    finally:
        registry.stop()


def data_folder(registry: RunningRegistry, folder: Path, **addresses: str) -> Path:
    """A data folder as `alerthub up` leaves it, of a hub that has a registry, and what else `addresses`
    names."""
    data = HubFolder(folder)
    data.create()
    shutil.copy(registry.ca_file, data.ca_file)
    shutil.copy(registry.environment["ALERTHUB_BOOTSTRAP_ACCOUNTS_FILE"], data.accounts_file)
    data.write_hub({"addresses": {"registry_person": registry.person_address, **addresses}})
    return data.root


def command_line(data: Path, *parts: Callable[[typer.Typer], None]) -> Callable[..., Result]:
    """Runs commands of these parts of the command line on the data folder; `answer` is what is typed."""
    app = typer.Typer()
    for register in parts:
        register(app)

    def command(*arguments: str, answer: str = "") -> Result:
        return CliRunner().invoke(app, [*arguments, "--data", str(data)], input=answer)

    return command


__all__ = ["ACCOUNTS", "PASSWORD", "RunningRegistry", "running_registry"]
