"""From the transaction that revokes to the closed stream, over real PostgreSQL, Kafka and TLS, in two seconds
(S2).
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from outbox_support import (
    database_fixture,  # noqa: F401 - pytest finds it by its name
    producer_fixture,  # noqa: F401 - pytest finds it by its name
    running,
)
from sqlalchemy.ext.asyncio import AsyncEngine

from alerthub import outbox, postgres
from alerthub.api.v1 import alert_pb2, alert_pb2_grpc
from alerthub.api.v1.access_pb2 import ROLE_OPERATOR
from alerthub.api.v1.registry_pb2 import Revocation
from alerthub.grpc import person_channel, serve
from alerthub.identity import RevocationList, TokenSigner
from alerthub.outbox import OutboxRelay
from alerthub.replica import CompactedReplica
from alerthub.settings import KafkaSettings, ServiceSettings, TlsSettings


class Watching(alert_pb2_grpc.DispatchServiceServicer):
    """Has nothing to say, and stays open."""

    async def WatchAlerts(  # noqa: N802
        self, request: alert_pb2.WatchAlertsRequest, context: Any
    ) -> AsyncIterator[alert_pb2.WatchAlertsResponse]:
        yield alert_pb2.WatchAlertsResponse()
        await asyncio.Event().wait()


async def revoke(engine: AsyncEngine, subject: str) -> None:
    revocation = Revocation(subject=subject, version=1, revoked_at_ms=time.time_ns() // 1_000_000)
    async with postgres.transaction(engine) as connection:
        await outbox.enqueue(
            connection,
            topic="revocations",
            key=subject,
            value=revocation.SerializeToString(),
            version=1,
        )


async def test_revoking_an_account_ends_its_open_stream_within_two_seconds(
    *,
    database: AsyncEngine,
    producer: Any,
    kafka_settings: Callable[[str], KafkaSettings],
    tls_settings: Callable[[str], TlsSettings],
    token_signing_key_file: Path,
    token_verification_key_file: Path,
    ca_file: Path,
) -> None:
    account = f"officer-{uuid.uuid4().hex[:8]}"
    revocations = RevocationList()
    replica = CompactedReplica(
        kafka_settings("dispatch"), "revocations", client_id="test", apply=revocations.apply
    )
    server = await serve(
        ServiceSettings(
            tls=tls_settings("dispatch"), token_verification_key_file=token_verification_key_file
        ),
        [Watching()],  # type: ignore[abstract]  # the rest is not called
        audience="dispatch",
        revocations=revocations,
        person_port=0,
    )
    token, _ = TokenSigner.from_file(token_signing_key_file).sign(
        account=account, roles=[ROLE_OPERATOR], audience="dispatch", now_ms=time.time_ns() // 1_000_000
    )
    address = f"127.0.0.1:{server.person_port}"
    async with (
        running(OutboxRelay(database, producer), replica),
        person_channel(ca_file, address, token) as channel,
    ):
        await replica.wait_until_caught_up()
        stream = alert_pb2_grpc.DispatchServiceStub(channel).WatchAlerts(alert_pb2.WatchAlertsRequest())
        await stream.read()

        await revoke(database, f"account:{account}")
        async with asyncio.timeout(2):
            with pytest.raises(grpc.aio.AioRpcError) as ended:
                await stream.read()
    assert ended.value.code() is grpc.StatusCode.UNAUTHENTICATED
    await server.stop(0)
