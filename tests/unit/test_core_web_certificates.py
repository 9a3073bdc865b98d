"""A web server's renewed certificate is in force without a restart. A real server and real TLS on the
loopback."""

from __future__ import annotations

import asyncio
import shutil
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from core_authority import Authority

from alerthub.settings import TlsSettings
from alerthub.web_server import WebServer

SERVICE = "spiffe://alerthub/service/console"
CLIENTS = {"ssl_cert_reqs": ssl.CERT_REQUIRED}


async def application(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"answer"})


@dataclass
class Site:
    first: Authority
    second: Authority
    tls: TlsSettings
    server: WebServer

    def renew(self, *files: str) -> None:
        """These files as a tool that renews them leaves them; none named: all."""
        renewed = self.second.issue(SERVICE)
        for name in files or ("key_file", "certificate_file", "ca_file"):
            new, old = getattr(renewed, name), getattr(self.tls, name)
            shutil.copy(new, old.with_suffix(".new"))
            old.with_suffix(".new").replace(old)

    def context(self, trusts: Authority, identity: Authority | None = None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(trusts.folder / "ca.pem"))
        if identity is not None:
            own = identity.issue("spiffe://alerthub/device/D1")
            context.load_cert_chain(own.certificate_file, own.key_file)
        return context

    async def answers(self, trusts: Authority, identity: Authority | None = None) -> bool:
        """Whether somebody who trusts only this authority gets an answer; with a certificate of another."""
        async with httpx.AsyncClient(verify=self.context(trusts, identity)) as client:
            try:
                return (await client.get(f"https://127.0.0.1:{self.server.port}/")).status_code == 200
            except httpx.TransportError:
                return False


@pytest.fixture(params=[{}, CLIENTS], ids=["browsers", "devices"])
async def site(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Site]:
    first, second = Authority.create(tmp_path / "first"), Authority.create(tmp_path / "second")
    issued = first.issue(SERVICE)
    ca_file = tmp_path / "trusted.pem"
    shutil.copy(issued.ca_file, ca_file)
    tls = issued.model_copy(update={"ca_file": ca_file})
    options = dict(request.param)
    if options:
        options["ssl_ca_certs"] = str(ca_file)
    server = WebServer(
        application,
        host="127.0.0.1",
        port=0,
        tls=tls,
        maximum_connections=50,
        keep_alive_seconds=5,
        stop_seconds=1,
        options=options,
    )
    await server.start()
    yield Site(first, second, tls, server)
    await server.stop()


async def test_a_renewed_certificate_is_shown_to_the_next_caller(site: Site) -> None:
    assert await site.answers(site.first, site.first)
    site.renew()
    assert await site.answers(site.second, site.second)
    assert not await site.answers(site.first, site.first)


@pytest.mark.parametrize("site", [CLIENTS], indirect=True)
async def test_callers_are_held_against_the_authority_of_now(site: Site) -> None:
    site.renew()
    assert not await site.answers(site.second, site.first)
    assert await site.answers(site.second, site.second)


@pytest.mark.parametrize("site", [{}], indirect=True)
async def test_an_open_connection_goes_on(site: Site) -> None:
    async with httpx.AsyncClient(verify=site.context(site.first)) as client:
        url = f"https://127.0.0.1:{site.server.port}/"
        await client.get(url)
        site.renew()
        assert (await client.get(url)).status_code == 200


@pytest.mark.parametrize("site", [{}], indirect=True)
@pytest.mark.parametrize(
    "spoil",
    [
        lambda site: site.tls.certificate_file.unlink(),
        lambda site: site.tls.certificate_file.write_text("half a certif", encoding="ascii"),
        lambda site: site.renew("key_file"),
    ],
    ids=["gone", "half written", "the key came first"],
)
async def test_files_that_will_not_do_leave_in_force_what_was(
    site: Site, spoil: Callable[[Site], object]
) -> None:
    await asyncio.to_thread(spoil, site)
    assert await site.answers(site.first)
    site.renew()
    assert await site.answers(site.second)
