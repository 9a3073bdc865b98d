"""What dispatch's integration tests share: the real service, what the correlator and the registry put on
Kafka, and the people and terminals that answer."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import grpc
import pytest
from aiokafka import AIOKafkaProducer
from sqlalchemy import text

from alerthub import kafka
from alerthub.api.v1 import (
    access_pb2,
    alert_pb2,
    alert_pb2_grpc,
    common_pb2,
    delivery_pb2,
    delivery_pb2_grpc,
    observation_pb2,
    patrol_pb2,
    registry_pb2,
    watchlist_pb2,
)
from alerthub.grpc_client import certificate_channel, person_channel
from alerthub.identity import TokenSigner
from alerthub.postgres import transaction
from alerthub.settings import KafkaSettings, TlsSettings
from services.dispatch.service import Service, build
from services.dispatch.settings import DispatchSettings

Value = TypeVar("Value")
OPERATOR = access_pb2.ROLE_OPERATOR
SUPERVISOR = access_pb2.ROLE_SUPERVISOR
OFFICER = access_pb2.ROLE_OFFICER
TOKEN = b"T" * 16
OTHER_TOKEN = b"O" * 16
HOUR_MS = 3_600_000
PLACE = common_pb2.Position(latitude=38.04, longitude=114.51)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def command() -> str:
    return str(uuid.uuid4())


async def eventually(question: Callable[[], Awaitable[Value | None]], *, within: float = 15.0) -> Value:
    """Asks until the answer is truthy."""
    deadline = time.monotonic() + within
    while True:
        answer = await question()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"not within {within} s"
        await asyncio.sleep(0.02)


def watchlist_hit(
    entry_id: str,
    *,
    names_person: bool = False,
    policy: common_pb2.DispatchPolicy.ValueType = common_pb2.DISPATCH_POLICY_SEND_AT_ONCE,
    token: bytes = TOKEN,
    tokens: tuple[bytes, ...] = (),
    device: str = "camera-1",
    valid_for_ms: int = HOUR_MS,
    entry_version: int = 2,
    severity: common_pb2.Severity.ValueType = common_pb2.SEVERITY_MAJOR,
    authentication_class: common_pb2.AuthenticationClass.ValueType = (
        common_pb2.AUTHENTICATION_CLASS_PASSWORD_OVER_TLS
    ),
    unit_kind: str = "patrol",
    jurisdiction: str = "east",
    cooldown_seconds: int = 600,
    rule_id: str = "hits",
    category: str = "stolen_vehicle",
) -> alert_pb2.AlertRaised:
    """What the correlator raises for a read of an entry's plate."""
    return alert_pb2.AlertRaised(
        raised_id=uuid.uuid4().bytes,
        rule_id=rule_id,
        rule_version=1,
        rule_kind=registry_pb2.RULE_KIND_WATCHLIST_HIT,
        fold_key=f"entry:{entry_id}",
        severity=severity,
        policy=policy,
        unit_kind=unit_kind,
        officer_text=common_pb2.LocalizedText(chinese="拦下车辆", english="Stop the vehicle"),
        jurisdiction=jurisdiction,
        observation=observation_pb2.Observation(
            observation_id=uuid.uuid4().bytes,
            device_id=device,
            kind=observation_pb2.OBSERVATION_KIND_IDENTIFIER_READ,
            received_time_ms=now_ms(),
            position=PLACE,
            district="d1",
            identifiers=[
                observation_pb2.BlindedIdentifier(
                    kind=common_pb2.IDENTIFIER_KIND_PLATE, tokens=tokens or (token,), sealed_details=b"sealed"
                )
            ],
            authentication_class=authentication_class,
        ),
        watchlist=alert_pb2.WatchlistMatch(
            entry_id=entry_id,
            entry_version=entry_version,
            category=category,
            names_person=names_person,
            identifier_kind=common_pb2.IDENTIFIER_KIND_PLATE,
            mask="exact",
            token=token,
            epoch="e1",
            entry_valid_until_ms=now_ms() + valid_for_ms,
        ),
        correlated_time_ms=now_ms(),
        gateway_id="g1",
        cooldown_seconds=cooldown_seconds,
        epoch="e1",
    )


def unit(
    unit_id: str,
    *,
    kind: str = "patrol",
    jurisdiction: str = "east",
    latitude: float = 38.05,
    officers: tuple[str, ...] = ("wang",),
    version: int = 1,
    on_shift: bool = True,
) -> registry_pb2.Unit:
    from_ms = now_ms() - HOUR_MS if on_shift else now_ms() + HOUR_MS
    return registry_pb2.Unit(
        unit_id=unit_id,
        version=version,
        status=registry_pb2.LIFE_STATUS_ACTIVE,
        unit_kind=kind,
        jurisdiction=jurisdiction,
        station=common_pb2.Position(latitude=latitude, longitude=114.51),
        shifts=[
            registry_pb2.Shift(
                shift_id=f"{unit_id}-s",
                version=version,
                status=registry_pb2.LIFE_STATUS_ACTIVE,
                unit_id=unit_id,
                from_ms=from_ms,
                until_ms=from_ms + 8 * HOUR_MS,
                officers=officers,
            )
        ],
    )


async def alert_events(settings: KafkaSettings, wanted: int) -> list[alert_pb2.AlertEvent]:
    """What the topic has, once there are so many versions of alerts."""
    consumer = kafka.consumer(settings, "alert-events", group_id=None)
    await consumer.start()
    found: list[alert_pb2.AlertEvent] = []
    try:
        async with asyncio.timeout(60):
            while len({(each.alert.alert_id, each.alert.version) for each in found}) < wanted:
                batches = await consumer.getmany(timeout_ms=500)
                found += [
                    alert_pb2.AlertEvent.FromString(record.value)
                    for records in batches.values()
                    for record in records
                ]
    finally:
        await consumer.stop()
    return found


@dataclass
class Hub:
    """The running dispatch and the ways to reach it."""

    service: Service
    settings: DispatchSettings
    signer: TokenSigner
    tls_settings: Callable[[str], TlsSettings]
    kafka_settings: Callable[[str], KafkaSettings]
    producer: AIOKafkaProducer
    channels: list[grpc.aio.Channel] = field(default_factory=list)

    async def put(self, topic: str, key: str, value: bytes | None) -> None:
        await self.producer.send_and_wait(topic, value, key=key.encode())

    async def raise_alert(self, *raised: alert_pb2.AlertRaised) -> None:
        for each in raised:
            await self.put("alerts", each.fold_key, each.SerializeToString())

    async def units(self, *units: registry_pb2.Unit) -> None:
        """Publishes units, and waits until dispatch knows them."""
        for each in units:
            await self.put("units", each.unit_id, each.SerializeToString())

        async def known() -> bool:
            return all(self.service.fleet.unit(each.unit_id, now_ms()) is not None for each in units)

        await eventually(known)

    async def entry(
        self,
        entry_id: str,
        version: int,
        status: watchlist_pb2.EntryStatus.ValueType = watchlist_pb2.ENTRY_STATUS_ACTIVE,
        *,
        valid_for_ms: int = HOUR_MS,
    ) -> None:
        """A version of an entry, as watchlist publishes it."""
        published = watchlist_pb2.PublishedEntry(
            entry_id=entry_id, version=version, status=status, valid_until_ms=now_ms() + valid_for_ms
        )
        await self.put("watchlist", entry_id, published.SerializeToString())

    def as_person(
        self, account: str, *roles: access_pb2.Role.ValueType, made_by: Iterable[str] = ()
    ) -> alert_pb2_grpc.DispatchServiceAsyncStub:
        assert self.service.grpc is not None
        token = self.signer.sign(
            account=account, roles=roles, audience="dispatch", now_ms=now_ms(), made_by=made_by
        )[0]
        channel = person_channel(
            self.settings.tls.ca_file, f"127.0.0.1:{self.service.grpc.person_port}", token
        )
        self.channels.append(channel)
        return alert_pb2_grpc.DispatchServiceStub(channel)

    def as_service(self, name: str = "push") -> delivery_pb2_grpc.DeliveryServiceAsyncStub:
        assert self.service.grpc is not None
        channel = certificate_channel(self.tls_settings(name), f"127.0.0.1:{self.service.grpc.grpc_port}")
        self.channels.append(channel)
        return delivery_pb2_grpc.DeliveryServiceStub(channel)

    async def alert(
        self, alert_id: str, when: Callable[[alert_pb2.Alert], bool] = lambda _: True, *, within: float = 15.0
    ) -> alert_pb2.Alert:
        """The alert once it is as asked."""

        async def look() -> alert_pb2.Alert | None:
            found = [each for each in await self.alerts() if each.alert_id == alert_id]
            return found[0] if found and when(found[0]) else None

        return await eventually(look, within=within)

    async def alerts(self) -> list[alert_pb2.Alert]:
        return (await self.service.queries.page((), size=500, token=""))[0]

    async def opened(self, raised: alert_pb2.AlertRaised) -> alert_pb2.Alert:
        """The alert that this raises."""
        await self.raise_alert(raised)
        return await self.alert(raised.raised_id.hex())

    async def sql(self, statement: str, **values: object) -> list[Any]:
        async with transaction(self.service.engine) as connection:
            result = await connection.execute(text(statement), values)
            return list(result) if result.returns_rows else []

    async def answer(self, terminal_id: str, unit_id: str, **what: Any) -> patrol_pb2.CommandAnswer:
        """What push forwards for a terminal of this unit."""
        request = delivery_pb2.AnswerCommandRequest(
            terminal_id=terminal_id,
            unit_id=unit_id,
            officer="wang",
            command_id=what.pop("command_id", command()),
            time_ms=now_ms(),
            **what,
        )
        return (await self.as_service().AnswerCommand(request)).answer


@asynccontextmanager
async def running(
    *,
    folder: Path,
    environment: Callable[..., dict[str, str]],
    kafka_settings: Callable[[str], KafkaSettings],
    tls_settings: Callable[[str], TlsSettings],
    signing_key_file: Path,
    ports: tuple[int, int],
    watchlist: str = "127.0.0.1:1",
    **changed: object,
) -> AsyncIterator[Hub]:
    """Dispatch as its process starts it, and a producer that may write everything."""
    settings = settings_of(environment, folder, ports=ports, watchlist=watchlist, **changed)
    service = build(settings)
    producer = kafka.producer(kafka_settings("admin"), client_id="test")
    await producer.start()
    hub = Hub(
        service, settings, TokenSigner.from_file(signing_key_file), tls_settings, kafka_settings, producer
    )
    try:
        await service.start()
        yield hub
    finally:
        for channel in hub.channels:
            await channel.close()
        await service.stop()
        await producer.stop()


Start = Callable[..., AbstractAsyncContextManager[Hub]]


@pytest.fixture(name="settings_changed")
def settings_changed_fixture() -> dict[str, object]:
    """What a test's dispatch has otherwise: parametrised where something is."""
    return {}


@pytest.fixture(name="start_dispatch")
def start_dispatch_fixture(
    *,
    fresh_topics: None,
    fresh_schemas: None,
    tmp_path: Path,
    service_environment: Callable[..., dict[str, str]],
    kafka_settings: Callable[[str], KafkaSettings],
    tls_settings: Callable[[str], TlsSettings],
    token_signing_key_file: Path,
    free_port: Callable[[], int],
) -> Start:
    """Starts dispatch on empty topics and schemas; again on what it left when it is called again."""
    return lambda **changed: running(
        folder=tmp_path,
        environment=service_environment,
        kafka_settings=kafka_settings,
        tls_settings=tls_settings,
        signing_key_file=token_signing_key_file,
        ports=(free_port(), free_port()),
        **changed,
    )


@pytest.fixture(name="hub")
async def hub_fixture(start_dispatch: Start, settings_changed: dict[str, object]) -> AsyncIterator[Hub]:
    """Dispatch of the test's own."""
    async with start_dispatch(**settings_changed) as hub:
        yield hub


def values_of(environment: dict[str, str]) -> dict[str, Any]:
    """The settings that a process would read from this environment."""
    prefix = "ALERTHUB_"
    values: dict[str, Any] = {}
    for name, value in environment.items():
        if not name.startswith(prefix):
            continue
        *path, last = name.removeprefix(prefix).lower().split("__")
        place = values
        for step in path:
            place = place.setdefault(step, {})
        place[last] = value
    return values


def settings_of(
    environment: Callable[..., dict[str, str]],
    folder: Path,
    *,
    ports: tuple[int, int],
    watchlist: str = "127.0.0.1:1",
    **changed: object,
) -> DispatchSettings:
    return DispatchSettings.model_validate(
        values_of(environment("dispatch"))
        | {
            "grpc_port": ports[0],
            "grpc_person_port": ports[1],
            "evidence_url": (folder / "evidence").as_uri(),
            "addresses": {"watchlist": watchlist},
            **changed,
        }
    )
