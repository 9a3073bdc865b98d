"""Streams: each message is checked, and a revocation or the token's end closes them (S2). A real server and
real TLS on the loopback.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from pathlib import Path
from typing import Any

import grpc
import pytest
from core_grpc_hub import (
    Hub,
    Patrol,
    hub_fixture,  # noqa: F401 - pytest finds it by its name
    list_resources,
    refusal,
)

from alerthub import grpc_interceptor
from alerthub.api.v1 import (
    alert_pb2,
    alert_pb2_grpc,
    patrol_pb2,
    patrol_pb2_grpc,
)
from alerthub.api.v1.access_pb2 import ROLE_OPERATOR
from alerthub.identity import (
    RevocationEntry,
    caller_of_certificate,
)

CANARY = "冀RA8HK52"


async def test_a_persons_stream_ends_with_the_token(hub: Hub) -> None:
    nearly_over = hub.token(ROLE_OPERATOR, at_ms=time.time_ns() // 1_000_000 - 298_000)
    stub = alert_pb2_grpc.DispatchServiceStub(hub.as_person(nearly_over))
    stream = stub.WatchAlerts(alert_pb2.WatchAlertsRequest())
    await stream.read()
    async with asyncio.timeout(30):
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await stream.read()
    assert ended.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert "sign in again" in str(ended.value.details())


def terminal_message() -> patrol_pb2.TerminalMessage:
    accept = patrol_pb2.AcceptAssignment(alert_id="a", assignment_id="b")
    return patrol_pb2.TerminalMessage(command_id=str(uuid.uuid4()), accept=accept)


async def open_stream(hub: Hub) -> Any:
    channel = hub.as_certificate("spiffe://alerthub/terminal/T1")
    call = patrol_pb2_grpc.PatrolServiceStub(channel).Connect()
    await call.write(terminal_message())
    await call.read()
    return call


async def test_every_message_of_a_stream_is_validated(hub: Hub) -> None:
    call = await open_stream(hub)
    await call.write(patrol_pb2.TerminalMessage(command_id=CANARY))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call.read()
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "command_id" in str(refused.value.details())
    assert CANARY not in repr(refused.value)


@pytest.mark.parametrize("subject", ["terminal:T1", "certificate"])
async def test_a_revocation_ends_open_streams_within_two_seconds(hub: Hub, subject: str) -> None:
    hub.registry.callers.clear()
    call = await open_stream(hub)
    if subject == "certificate":
        found = [path for path in hub.authority.folder.glob("*.pem") if len(path.stem) == 32]
        subject = f"certificate:{fingerprint(found[0])}"
    hub.revocations.put(RevocationEntry(subject, 1, 0))
    async with asyncio.timeout(2):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call.read()
        await hub.patrol.ended.wait()
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize("itself", [False, True], ids=["gRPC writes", "the handler writes"])
async def test_a_revocation_while_a_message_is_written_is_told_after_it(hub: Hub, *, itself: bool) -> None:
    hub.patrol.writes_itself = itself
    hub.patrol.while_writing = lambda: hub.revocations.put(RevocationEntry("terminal:T1", 1, 0))
    call = await open_stream(hub)
    async with asyncio.timeout(2):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call.read()
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize("itself", [False, True], ids=["gRPC writes", "the handler writes"])
async def test_a_revoked_terminal_that_does_not_read_is_cut(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, *, itself: bool
) -> None:
    hub.patrol.writes_itself = itself
    monkeypatch.setattr(grpc_interceptor, "LAST_WRITE_SECONDS", 0.05)
    hub.patrol.floods = True
    await open_stream(hub)
    await full(hub.patrol)
    hub.revocations.put(RevocationEntry("terminal:T1", 1, 0))
    async with asyncio.timeout(2):
        await hub.patrol.ended.wait()


async def full(patrol: Patrol) -> None:
    """Until nothing more fits between server and client, so that a write waits."""
    before = -1
    while patrol.written != before:
        before = patrol.written
        await asyncio.sleep(0.05)


def fingerprint(path: Path) -> str:
    return caller_of_certificate(path.read_bytes()).certificate_fingerprint


async def test_another_terminals_revocation_leaves_the_stream_open(hub: Hub) -> None:
    call = await open_stream(hub)
    hub.revocations.put(RevocationEntry("terminal:T2", 1, 0))
    message = terminal_message()
    await call.write(message)
    assert (await call.read()).resume_token == message.command_id


async def test_a_revoked_terminal_cannot_connect_again(hub: Hub) -> None:
    hub.revocations.put(RevocationEntry("terminal:T1", 1, 0))
    channel = hub.as_certificate("spiffe://alerthub/terminal/T1")
    # Nothing is written: where the stream ends first, the client tells a failed write in place of why.
    call = patrol_pb2_grpc.PatrolServiceStub(channel).Connect(timeout=10)
    assert await call.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_a_revoked_account_is_refused(hub: Hub) -> None:
    channel = hub.as_person(hub.token(ROLE_OPERATOR))
    await list_resources(channel)
    hub.revocations.put(RevocationEntry("account:li.wei", 1, time.time_ns() // 1_000_000))
    assert (await refusal(channel)).code() is grpc.StatusCode.UNAUTHENTICATED
