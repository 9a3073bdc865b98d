"""What the libraries alone take of a gateway's work: the hub's web server and a gRPC server, with TLS.

Whoever sends gets the answers that a gateway gives, about as often, but no event is looked at and none goes
to Kafka: on the same machine nothing that does the work takes more. `python -m benchmarks._bare_gateway
HUB_FOLDER` prints its two ports in one line and ends with its standard input.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import grpc
import uvloop

from alerthub.api.v1.ingest_pb2 import StreamEventsRequest, StreamEventsResponse
from alerthub.api.v1.ingest_pb2_grpc import IngestServiceServicer, add_IngestServiceServicer_to_server
from alerthub.embedded.folder import HubFolder
from alerthub.grpc_credentials import renewed_credentials
from alerthub.provision import pki
from alerthub.telemetry import configure_logging
from services.gateway.http_api import Application
from services.gateway.http_body import read_body
from services.gateway.http_server import WebServer

_HOST = "127.0.0.1"
_MAXIMUM_BODY_BYTES = 4_000_000
_BODY_SECONDS = 30.0
_CONNECTIONS = 1_000
_ANSWERED_EACH_SECONDS = 0.02
"""A gateway acknowledges what a record took at once, and records wait for 5 to 40 ms."""
_ANSWER = b'{"acknowledged": 1}'


@dataclass(frozen=True, slots=True)
class BareGateway:
    """One that runs."""

    pid: int
    url: str
    grpc_address: str


@asynccontextmanager
async def bare_gateway(folder: HubFolder) -> AsyncIterator[BareGateway]:
    """One in a process of its own, with the certificate of the folder's gateway."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks._bare_gateway", str(folder.root)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        told = await cast(asyncio.StreamReader, process.stdout).readline()
        if not told:
            raise RuntimeError("the bare gateway did not start")
        http_port, grpc_port = told.decode().split()
        yield BareGateway(process.pid, f"https://{_HOST}:{http_port}", f"{_HOST}:{grpc_port}")
    finally:
        # Without an input, even an empty one, its standard input would stay open.
        await process.communicate(b"")


async def _answer(scope: Any, receive: Any, send: Any) -> None:
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    await read_body(receive, headers, maximum_bytes=_MAXIMUM_BODY_BYTES, seconds=_BODY_SECONDS)
    length = str(len(_ANSWER)).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
    await send({"type": "http.response.body", "body": _ANSWER})


class _Servicer(IngestServiceServicer):
    async def StreamEvents(  # noqa: N802 - the name on the wire
        self, request_iterator: AsyncIterator[StreamEventsRequest], context: Any
    ) -> AsyncIterator[StreamEventsResponse]:
        sequence, answered_at = 0, time.monotonic()
        async for request in request_iterator:
            sequence = request.sequence + len(request.further_events)
            if time.monotonic() - answered_at >= _ANSWERED_EACH_SECONDS:
                answered_at = time.monotonic()
                yield StreamEventsResponse(acknowledged_sequence=sequence)
        yield StreamEventsResponse(acknowledged_sequence=sequence)


async def _serve(folder: HubFolder) -> None:
    tls = pki.tls_settings(folder, "gateway")
    web = WebServer(cast(Application, _answer), host=_HOST, port=0, tls=tls, maximum_connections=_CONNECTIONS)
    await web.start()
    server = grpc.aio.server()
    add_IngestServiceServicer_to_server(_Servicer(), server)
    grpc_port = server.add_secure_port(f"{_HOST}:0", renewed_credentials(tls, callers_need_one=True))
    await server.start()
    sys.stdout.write(f"{web.port} {grpc_port}\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    await server.stop(0)
    await web.stop()


if __name__ == "__main__":
    configure_logging(service="bare-gateway", instance="1", level="WARNING")
    uvloop.run(_serve(HubFolder(Path(sys.argv[1]))))
