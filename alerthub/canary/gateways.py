"""The doors of the gateways: which there are, and a read through one of them."""

from __future__ import annotations

import asyncio
import socket
import uuid
from collections.abc import AsyncIterator

import grpc

from alerthub.api.v1 import ingest_pb2_grpc
from alerthub.api.v1.common_pb2 import IDENTIFIER_KIND_PLATE
from alerthub.api.v1.ingest_pb2 import DeviceEvent, ReadIdentifier, StreamEventsRequest
from alerthub.api.v1.observation_pb2 import OBSERVATION_KIND_IDENTIFIER_READ
from alerthub.domain.errors import Refuse, Retry
from alerthub.settings import TlsSettings


async def instances(address: str) -> list[str]:
    """Where each gateway listens (host:port): every address of the name. Retry where it has none."""
    host, _, port = address.rpartition(":")
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, int(port), type=socket.SOCK_STREAM)
    except OSError:
        raise Retry(f"{host} has no address now") from None
    return sorted({_joined(str(each[4][0]), port) for each in found})


def _joined(host: str, port: str) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def event_of(device_id: str, plate: str, *, now_ms: int) -> DeviceEvent:
    """A read as an edge server tells it, without a picture."""
    return DeviceEvent(
        device_id=device_id,
        event_id=str(uuid.uuid4()),
        kind=OBSERVATION_KIND_IDENTIFIER_READ,
        device_time_ms=now_ms,
        identifiers=[ReadIdentifier(kind=IDENTIFIER_KIND_PLATE, text=plate)],
        read_confidence=1.0,
    )


async def send(gateway: str, *, name: str, tls: TlsSettings, event: DeviceEvent, seconds: float) -> None:
    """Returns once the gateway has acknowledged the event. `name` is the one in its certificate.

    On a connection of its own: a door whose certificate has ended lets nobody in any more, while those who
    are inside stay. Refuse for what the gateway does not take, Retry for a gateway that does not answer.
    """
    credentials = grpc.ssl_channel_credentials(
        root_certificates=tls.ca_file.read_bytes(),
        private_key=tls.key_file.read_bytes(),
        certificate_chain=tls.certificate_file.read_bytes(),
    )
    options = (("grpc.ssl_target_name_override", name), ("grpc.use_local_subchannel_pool", 1))
    async with grpc.aio.secure_channel(gateway, credentials, options=options) as channel:
        stub = ingest_pb2_grpc.IngestServiceStub(channel)
        stream = stub.StreamEvents(_one(event), timeout=seconds)
        try:
            async for answer in stream:
                if answer.refusals:
                    raise Refuse(answer.refusals[0].field, answer.refusals[0].expected)
                if answer.acknowledged_sequence:
                    return
        except grpc.aio.AioRpcError as error:
            raise Retry(f"the gateway did not take it: {error.code().name}") from None
        finally:
            stream.cancel()
    raise Retry("the gateway ended the stream")


async def _one(event: DeviceEvent) -> AsyncIterator[StreamEventsRequest]:
    yield StreamEventsRequest(sequence=1, event=event)
