"""A renewed certificate is in force without a restart. A real server and real TLS on the loopback."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from core_authority import Authority
from grpc_health.v1 import health_pb2
from health_stub import health_stub

from alerthub import grpc_renewed_channel
from alerthub.grpc import GrpcServer, certificate_channel, person_channel, serve
from alerthub.grpc_credentials import renewed_credentials
from alerthub.settings import ServiceSettings, TlsSettings

SERVICE = "spiffe://alerthub/service/registry"


@dataclass
class Hub:
    """A server whose files can be renewed, of one authority and then of another."""

    first: Authority
    second: Authority
    tls: TlsSettings
    server: GrpcServer

    def renew(self) -> None:
        """New key, certificate and authority, as a tool that renews them leaves them."""
        renewed = self.second.issue(SERVICE)
        for new, old in (
            (renewed.key_file, self.tls.key_file),
            (renewed.certificate_file, self.tls.certificate_file),
            (renewed.ca_file, self.tls.ca_file),
        ):
            shutil.copy(new, old.with_suffix(".new"))
            old.with_suffix(".new").replace(old)

    async def person_of(self, authority: Authority) -> bool:
        """Whether somebody who trusts only `authority` gets an answer."""
        address = f"127.0.0.1:{self.server.person_port}"
        return await answers(person_channel(authority.folder / "ca.pem", address))

    async def terminal_of(self, authority: Authority, *, trusts: Authority) -> bool:
        """The same with a certificate of an authority, for who trusts another or the same."""
        tls = authority.issue("spiffe://alerthub/terminal/T1")
        tls = tls.model_copy(update={"ca_file": trusts.folder / "ca.pem"})
        return await answers(certificate_channel(tls, f"127.0.0.1:{self.server.grpc_port}"))


def copied(tls: TlsSettings, folder: Path) -> TlsSettings:
    """The same files in a folder where the next ones can take their place."""
    folder.mkdir(exist_ok=True)
    names = ("certificate_file", "key_file", "ca_file")
    return TlsSettings(**{name: shutil.copy(getattr(tls, name), folder / name) for name in names})


async def answers(channel: grpc.aio.Channel) -> bool:
    async with channel:
        try:
            await health_stub(channel).Check(health_pb2.HealthCheckRequest(), timeout=5)
        except grpc.aio.AioRpcError as error:
            return error.code() is not grpc.StatusCode.UNAVAILABLE
    return True


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[Hub]:
    first, second = Authority.create(tmp_path / "first"), Authority.create(tmp_path / "second")
    _, public_file = first.token_keys()
    issued = first.issue(SERVICE)
    ca_file = tmp_path / "trusted.pem"
    shutil.copy(issued.ca_file, ca_file)
    tls = issued.model_copy(update={"ca_file": ca_file})
    settings = ServiceSettings(tls=tls, token_verification_key_file=public_file)
    server = await serve(settings, [], audience="registry", mutual_port=0, person_port=0)
    yield Hub(first, second, tls, server)
    await server.stop(0)


async def test_a_renewed_certificate_is_shown_to_the_next_caller(hub: Hub) -> None:
    assert await hub.person_of(hub.first)
    hub.renew()
    assert await hub.person_of(hub.second)
    assert not await hub.person_of(hub.first)


async def test_callers_are_held_against_the_authority_of_now(hub: Hub) -> None:
    assert await hub.terminal_of(hub.first, trusts=hub.first)
    hub.renew()
    assert await hub.terminal_of(hub.second, trusts=hub.second)
    assert not await hub.terminal_of(hub.first, trusts=hub.second)


async def test_an_open_connection_goes_on(hub: Hub) -> None:
    address = f"127.0.0.1:{hub.server.person_port}"
    async with person_channel(hub.first.folder / "ca.pem", address) as channel:
        health = health_stub(channel)
        await health.Check(health_pb2.HealthCheckRequest(), timeout=5)
        hub.renew()
        await health.Check(health_pb2.HealthCheckRequest(), timeout=5)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda hub: hub.tls.certificate_file.unlink(),
        lambda hub: hub.tls.certificate_file.write_text("half a certif", encoding="ascii"),
        lambda hub: shutil.copy(hub.second.issue(SERVICE).key_file, hub.tls.key_file),
    ],
    ids=["gone", "half written", "the key came first"],
)
async def test_files_that_will_not_do_leave_in_force_what_was(
    hub: Hub, spoil: Callable[[Hub], object]
) -> None:
    spoil(hub)
    assert await hub.person_of(hub.first)
    hub.renew()
    assert await hub.person_of(hub.second)


def test_a_service_does_not_start_with_a_key_of_another_certificate(hub: Hub) -> None:
    tls = hub.tls.model_copy(update={"key_file": hub.second.issue(SERVICE).key_file})
    with pytest.raises(ValueError, match="key"):
        renewed_credentials(tls, callers_need_one=True)


async def test_a_caller_shows_its_renewed_certificate_on_its_next_call(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given a caller that looks at its files at each call, with a certificate of the authority that is trusted
    monkeypatch.setattr(grpc_renewed_channel, "LOOKED_AT_EVERY_SECONDS", 0.0)
    files = copied(hub.first.issue("spiffe://alerthub/terminal/T1"), tmp_path / "caller")
    async with certificate_channel(files, f"127.0.0.1:{hub.server.grpc_port}") as channel:
        health = health_stub(channel)
        await health.Check(health_pb2.HealthCheckRequest(), timeout=5)

        before = channel.newest()

        # when both sides have gone over to another authority
        hub.renew()
        copied(hub.second.issue("spiffe://alerthub/terminal/T1"), tmp_path / "caller")

        # then the same stub is answered over another connection, which only that authority's may open
        await health.Check(health_pb2.HealthCheckRequest(), timeout=5)
        assert channel.newest() is not before


async def test_a_callers_files_that_will_not_do_leave_its_connection_as_it_is(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grpc_renewed_channel, "LOOKED_AT_EVERY_SECONDS", 0.0)
    files = copied(hub.first.issue("spiffe://alerthub/terminal/T1"), tmp_path / "caller")
    async with certificate_channel(files, f"127.0.0.1:{hub.server.grpc_port}") as channel:
        files.key_file.write_text("half a k", encoding="ascii")

        await health_stub(channel).Check(health_pb2.HealthCheckRequest(), timeout=5)


async def test_closing_a_caller_lets_go_of_the_connection_of_before_too(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given a call under way on a connection whose certificate has been renewed since
    monkeypatch.setattr(grpc_renewed_channel, "LOOKED_AT_EVERY_SECONDS", 0.0)
    files = copied(hub.first.issue("spiffe://alerthub/terminal/T1"), tmp_path / "caller")
    channel = certificate_channel(files, f"127.0.0.1:{hub.server.grpc_port}")
    watched = health_stub(channel).Watch(health_pb2.HealthCheckRequest())
    await watched.read()
    copied(hub.first.issue("spiffe://alerthub/terminal/T1"), tmp_path / "caller")
    channel.newest()

    # when the caller is closed
    reading = asyncio.create_task(watched.read())
    await channel.close()

    # then that call is over
    with pytest.raises((grpc.aio.AioRpcError, asyncio.CancelledError)):
        await asyncio.wait_for(reading, timeout=10)
