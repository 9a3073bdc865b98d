"""What the watchlist's integration tests share: the real service, persons with tokens, and a gateway's
sealing."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
from begun_anew import begin_anew
from sqlalchemy import text

from alerthub import kafka
from alerthub.api.v1 import access_pb2, common_pb2, observation_pb2, watchlist_pb2, watchlist_pb2_grpc
from alerthub.domain.identifiers import IdentifierKind
from alerthub.embedded.infrastructure import Infrastructure
from alerthub.embedded.processes import free_ports
from alerthub.grpc_client import certificate_channel, person_channel
from alerthub.identity import TokenSigner
from alerthub.postgres import transaction
from alerthub.provision import pki
from alerthub.replica import BOOKMARK_KEY
from alerthub.sealing import DataKeyring, Recipient, Sealed, details_associated, picture_associated
from alerthub.settings import KafkaSettings, TlsSettings
from alerthub.tokens import Blinder
from services.watchlist.service import OWNED_TOPICS, Service, build
from services.watchlist.settings import WatchlistSettings

EDITOR, APPROVER = access_pb2.ROLE_WATCHLIST_EDITOR, access_pb2.ROLE_WATCHLIST_APPROVER
OPERATOR, SUPERVISOR = access_pb2.ROLE_OPERATOR, access_pb2.ROLE_SUPERVISOR
OFFICER = access_pb2.ROLE_OFFICER
DAY_MS = 86_400_000


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def command() -> str:
    return str(uuid.uuid4())


def new_entry(
    plate: str, *, category: str = "stolen_vehicle", masks: tuple[str, ...] = ("exact",), days: float = 1
) -> watchlist_pb2.NewEntry:
    return watchlist_pb2.NewEntry(
        category=category,
        identifiers=[
            watchlist_pb2.EntryIdentifier(kind=common_pb2.IDENTIFIER_KIND_PLATE, text=plate, masks=masks)
        ],
        case_number="A-2026-17",
        legal_basis="Criminal Procedure Law, article 117",
        issuing_authority="Traffic police",
        authority_contact="0311-5550100",
        instruction=common_pb2.LocalizedText(chinese="拦下车辆", english="Stop the vehicle"),
        valid_until_ms=now_ms() + int(days * DAY_MS),
    )


@dataclass
class Hub:
    """The running watchlist and the ways to reach it."""

    service: Service
    settings: WatchlistSettings
    signer: TokenSigner
    tls_settings: Callable[[str], TlsSettings]
    kafka_settings: Callable[[str], KafkaSettings]
    channels: list[grpc.aio.Channel] = field(default_factory=list)
    audit_mark: int = 0

    async def stop(self) -> None:
        for channel in self.channels:
            await channel.close()
        await self.service.stop()

    async def audit(self, *actions: str) -> list[tuple[object, ...]]:
        """Action, actor, subject, reason and detail of the test's own audit rows of these actions."""
        return await self.sql(
            "SELECT action, actor, subject, reason, detail FROM audit_entry"
            " WHERE row_number > :mark AND action = ANY (:actions) ORDER BY row_number",
            mark=self.audit_mark,
            actions=list(actions),
        )

    def token(self, account: str, *roles: access_pb2.Role.ValueType, audience: str = "watchlist") -> str:
        return self.signer.sign(account=account, roles=roles, audience=audience, now_ms=now_ms())[0]

    def as_person(
        self, account: str, *roles: access_pb2.Role.ValueType
    ) -> watchlist_pb2_grpc.WatchlistServiceAsyncStub:
        assert self.service.grpc is not None
        channel = person_channel(
            self.settings.tls.ca_file,
            f"127.0.0.1:{self.service.grpc.person_port}",
            self.token(account, *roles),
        )
        self.channels.append(channel)
        return watchlist_pb2_grpc.WatchlistServiceStub(channel)

    def _service_channel(self, name: str) -> grpc.aio.Channel:
        assert self.service.grpc is not None
        channel = certificate_channel(self.tls_settings(name), f"127.0.0.1:{self.service.grpc.grpc_port}")
        self.channels.append(channel)
        return channel

    def as_service(self, name: str) -> watchlist_pb2_grpc.WatchlistServiceAsyncStub:
        return watchlist_pb2_grpc.WatchlistServiceStub(self._service_channel(name))

    def key_service(self, name: str = "gateway") -> watchlist_pb2_grpc.KeyServiceAsyncStub:
        return watchlist_pb2_grpc.KeyServiceStub(self._service_channel(name))

    async def sql(self, statement: str, **values: object) -> list[tuple[object, ...]]:
        async with transaction(self.service.engine) as connection:
            result = await connection.execute(text(statement), values)
            return [tuple(row) for row in result] if result.returns_rows else []

    async def entered(self, plate: str, **kind: Any) -> str:
        """An entry that lin entered and nobody approved."""
        added = await self.as_person("lin", EDITOR).AddEntry(
            watchlist_pb2.AddEntryRequest(command_id=command(), entry=new_entry(plate, **kind))
        )
        return added.entry_id

    async def listed(self, plate: str, **kind: Any) -> str:
        """An entry that lin entered and chen approved."""
        entry_id = await self.entered(plate, **kind)
        await self.as_person("chen", APPROVER).ApproveEntry(
            watchlist_pb2.ApproveEntryRequest(command_id=command(), entry_id=entry_id)
        )
        return entry_id

    async def gateway(self) -> Gateway:
        answer = await self.key_service().SynchroniseKeys(
            watchlist_pb2.SynchroniseKeysRequest(gateway_id="g1")
        )
        return Gateway(answer)

    async def on_topic(
        self, topic: str, key: str, until: Callable[[bytes | None], bool], *, timeout: float = 10
    ) -> bytes | None:
        """Waits for a value of the key (None: a tombstone) that `until` accepts."""
        consumer = kafka.consumer(self.kafka_settings("watchlist"), topic, group_id=None)
        await consumer.start()
        try:
            async with asyncio.timeout(timeout):
                async for record in consumer:
                    value: bytes | None = record.value
                    if record.key != BOOKMARK_KEY and record.key == key.encode() and until(value):
                        return value
        finally:
            await consumer.stop()
        raise AssertionError("the consumer ended")

    async def published(
        self, entry_id: str, until: Callable[[watchlist_pb2.PublishedEntry], bool] = lambda _: True
    ) -> watchlist_pb2.PublishedEntry:
        value = await self.on_topic(
            "watchlist",
            entry_id,
            lambda value: value is not None and until(watchlist_pb2.PublishedEntry.FromString(value)),
        )
        return watchlist_pb2.PublishedEntry.FromString(value or b"")


class Gateway:
    """Blinds and seals as the gateway does."""

    def __init__(self, keys: watchlist_pb2.SynchroniseKeysResponse) -> None:
        self.configuration = keys.in_force
        self.blinder = Blinder(keys.in_force.epoch, keys.in_force.epoch_key, keys.in_force.masks)
        self.keyring = DataKeyring(
            Recipient(
                keys.recipient.recipient_key_id, keys.recipient.public_key, keys.recipient.valid_until_ms
            )
        )

    def seal_request(
        self,
        plate: str,
        *,
        alert_id: str,
        entry_id: str = "",
        rule_id: str = "",
        mask: str = "exact",
        picture: bytes = b"",
        tokens_of: str = "",
        picture_id: str = "",
    ) -> watchlist_pb2.SealForAlertRequest:
        """What dispatch asks for a read of `plate`; a forger puts the tokens of another plate beside its
        text."""
        observation_id = uuid.uuid4().bytes
        tokens = self.blinder.tokens(IdentifierKind.PLATE, tokens_of or plate)
        details = observation_pb2.SealedDetails(identifier=plate, make="Geely", colour="white")
        sealed = self.keyring.seal(
            details.SerializeToString(), details_associated(observation_id, tokens[0]), now_ms()
        )
        observation = observation_pb2.Observation(
            observation_id=observation_id,
            device_id="camera-1",
            identifiers=[
                observation_pb2.BlindedIdentifier(
                    kind=common_pb2.IDENTIFIER_KIND_PLATE,
                    tokens=tokens,
                    sealed_details=sealed.sealed,
                    data_key_id=sealed.key.data_key_id,
                )
            ],
        )
        sealed_picture = b""
        if picture:
            observation.picture_id = picture_id or uuid.uuid4().hex
            observation.picture_data_key_id = sealed.key.data_key_id
            associated = picture_associated(observation_id, observation.picture_id)
            sealed_picture = self.keyring.seal(picture, associated, now_ms()).sealed
        return watchlist_pb2.SealForAlertRequest(
            alert_id=alert_id,
            entry_id=entry_id,
            rule_id=rule_id,
            observation=observation,
            identifier_index=0,
            mask=mask,
            epoch=self.configuration.epoch,
            data_keys=[_message(sealed)],
            sealed_picture=sealed_picture,
        )


def _message(sealed: Sealed) -> observation_pb2.WrappedDataKey:
    return observation_pb2.WrappedDataKey(
        data_key_id=sealed.key.data_key_id,
        recipient_key_id=sealed.key.recipient_key_id,
        wrapped=sealed.key.wrapped,
    )


@pytest.fixture(name="start_watchlist")
async def start_watchlist_fixture(
    infrastructure: Infrastructure, tmp_path: Path
) -> AsyncIterator[Callable[..., Awaitable[Hub]]]:
    """Starts the service as its process does; again with the same keys and database, or with other
    settings."""
    started: list[Hub] = []

    async def start(**changed: object) -> Hub:
        started.append(prepared(infrastructure, tmp_path, **changed))
        await started[-1].service.start()
        return started[-1]

    yield start
    for hub in started:
        await hub.stop()


def prepared(infrastructure: Infrastructure, folder: Path, **changed: object) -> Hub:
    """The service, wired and not started."""
    mutual, person = free_ports(2)
    values = {
        "grpc_port": mutual,
        "grpc_person_port": person,
        "kafka": infrastructure.kafka_settings("watchlist"),
        "postgres": infrastructure.postgres_settings("watchlist"),
        "tls": infrastructure.tls_settings("watchlist"),
        "token_verification_key_file": pki.token_verification_key_file(infrastructure.folder),
        "keys_folder": folder / "keys",
        "witness_file": folder / "witness",
    }
    settings = WatchlistSettings.model_validate({**values, **changed})
    return Hub(
        build(settings),
        settings,
        TokenSigner.from_file(pki.token_signing_key_file(infrastructure.folder)),
        infrastructure.tls_settings,
        infrastructure.kafka_settings,
    )


@pytest.fixture(name="fresh_watchlist")
def fresh_watchlist_fixture(infrastructure: Infrastructure) -> None:
    """Before the service is started for the first time."""
    begin_anew(infrastructure, "watchlist", OWNED_TOPICS)


@pytest.fixture(name="own_hub")
async def own_hub_fixture(fresh_watchlist: None, start_watchlist: Callable[..., Awaitable[Hub]]) -> Hub:
    """A service of the test's own, on an empty database: for tests that move its clock or its keys."""
    return await start_watchlist()


@pytest_asyncio.fixture(name="module_hub", scope="module", loop_scope="module")
async def module_hub_fixture(
    infrastructure: Infrastructure, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Hub]:
    """One service for all tests of a module."""
    begin_anew(infrastructure, "watchlist", OWNED_TOPICS)
    hub = prepared(infrastructure, tmp_path_factory.mktemp("watchlist"))
    await hub.service.start()
    yield hub
    await hub.stop()


@pytest_asyncio.fixture(name="hub", loop_scope="module")
async def hub_fixture(module_hub: Hub) -> Hub:
    """The module's service without the entries of the test before."""
    for table in ("entry", "alert_key", "open_record", "command", "outbox"):
        await module_hub.sql(f"DELETE FROM {table}")  # noqa: S608 - names of this file
    found = await module_hub.sql("SELECT coalesce(max(row_number), 0) FROM audit_entry")
    module_hub.audit_mark = int(str(found[0][0]))
    return module_hub


async def sealed(hub: Hub, alert_id: str = "a1", **request: Any) -> watchlist_pb2.SealForAlertResponse:
    """A read of the plate, sealed for the alert as dispatch has it done."""
    gateway = await hub.gateway()
    plate = request.pop("plate", "冀RA8HK5")
    return await hub.as_service("dispatch").SealForAlert(
        gateway.seal_request(plate, alert_id=alert_id, **request)
    )


def look(alert_id: str, answer: watchlist_pb2.SealForAlertResponse) -> watchlist_pb2.OpenAlertRequest:
    """What the console asks for."""
    return watchlist_pb2.OpenAlertRequest(
        alert_id=alert_id,
        sealed_details=answer.sealed_details,
        sealed_picture=answer.sealed_picture,
        reason="confirm the read",
    )


async def refused(call: Any) -> grpc.aio.AioRpcError:
    """The error of a call that must fail."""
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call
    return error.value
