"""/metrics, /live and /ready say what is."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter

from alerthub.http import OperationsServer
from alerthub.settings import ServiceSettings


class Checks:
    """Two checks that a test turns."""

    database: str | None = None
    broken: bool = False

    def of_database(self) -> str | None:
        return self.database

    def of_replica(self) -> str | None:
        if self.broken:
            raise LookupError("冀RA8HK52")
        return None


@pytest.fixture
def checks() -> Checks:
    return Checks()


@pytest.fixture
async def server(checks: Checks) -> AsyncIterator[OperationsServer]:
    registry = CollectorRegistry()
    Counter("seen_total", "Seen.", registry=registry).inc(3)
    made = OperationsServer(
        ServiceSettings(),
        {"database": checks.of_database, "replica": checks.of_replica},
        live={"loop": lambda: None},
        registry=registry,
    )
    await made.start()
    yield made
    await made.stop()


async def get(server: OperationsServer, path: str, method: str = "GET") -> httpx.Response:
    # A context of its own, or httpx reads the machine's certificate authorities for a plain port.
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    address = f"http://127.0.0.1:{server.port}"
    async with httpx.AsyncClient(base_url=address, verify=trust, trust_env=False) as client:
        return await client.request(method, path)


async def test_ready_when_every_check_passes(server: OperationsServer) -> None:
    response = await get(server, "/ready")
    assert response.status_code == 200
    assert response.json() == {"ready": True, "checks": {"database": None, "replica": None}}


async def test_not_ready_says_why(server: OperationsServer, checks: Checks) -> None:
    checks.database = "the database does not answer"
    response = await get(server, "/ready")
    assert response.status_code == 503
    assert response.json()["checks"]["database"] == "the database does not answer"


async def test_a_check_that_raises_counts_as_failed_and_tells_no_value(
    server: OperationsServer, checks: Checks
) -> None:
    checks.broken = True
    response = await get(server, "/ready")
    assert response.status_code == 503
    assert response.json()["checks"]["replica"] == "the check failed: LookupError"


async def test_a_check_that_comes_later_counts_too(server: OperationsServer) -> None:
    server.add_ready_check("kafka", lambda: "not yet")
    assert (await get(server, "/ready")).status_code == 503


async def test_alive_though_not_ready(server: OperationsServer, checks: Checks) -> None:
    checks.database = "away"
    assert (await get(server, "/live")).status_code == 200


async def test_metrics_are_prometheus_text(server: OperationsServer) -> None:
    response = await get(server, "/metrics")
    assert response.headers["content-type"].startswith("text/plain")
    assert "seen_total 3.0" in response.text


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("POST", "/ready", 405), ("GET", "/", 404), ("GET", "/ready/", 404), ("GET", "/ready?verbose=1", 200)],
)
async def test_nothing_else_is_served(server: OperationsServer, method: str, path: str, status: int) -> None:
    assert (await get(server, path, method)).status_code == status


async def test_a_request_without_end_is_dropped(server: OperationsServer) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET /ready HTTP/1.1\r\n" + b"X: y\r\n" * 20_000)
    async with asyncio.timeout(4):
        assert await reader.read() == b""
    writer.close()
    assert (await get(server, "/ready")).status_code == 200
