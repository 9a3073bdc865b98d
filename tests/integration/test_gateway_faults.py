"""The gateway among failures: killed, cut off from Kafka or watchlist, revoked; nothing acknowledged is
ever lost."""

from __future__ import annotations

import asyncio
import base64
import json
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from urllib.parse import quote

import grpc
import httpx
import pytest
from gateway_hub import Camera, GatewayHub, now_ms, running_gateway

from alerthub.api.v1 import common_pb2, ingest_pb2, ingest_pb2_grpc, observation_pb2, registry_pb2
from alerthub.embedded.infrastructure import Infrastructure
from alerthub.embedded.kafka_node import KafkaNode
from alerthub.grpc_client import certificate_channel
from alerthub.settings import TlsSettings

PLATE_CANARY = "冀RZ9Q7X"
CERTIFICATE = common_pb2.AUTHENTICATION_CLASS_CERTIFICATE


@pytest.fixture(scope="module")
def hub(infrastructure: Infrastructure, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayHub]:
    yield from running_gateway(infrastructure, tmp_path_factory.mktemp("gateway-faults"))


@pytest.fixture(scope="module")
def known() -> dict[str, Camera]:
    return {}


async def camera_of(hub: GatewayHub, known: dict[str, Camera]) -> Camera:
    if "camera" not in known:
        known["camera"] = await hub.device()
    return known["camera"]


async def edge_of(hub: GatewayHub, known: dict[str, Camera]) -> tuple[Camera, TlsSettings]:
    """An edge server that speaks for the camera, and its certificate."""
    camera = await camera_of(hub, known)
    if "edge" not in known:
        known["edge"] = await hub.device(
            authorised=False, registered=CERTIFICATE, secret=False, speaks_for=[camera.device_id]
        )
    return known["edge"], await hub.certificate(known["edge"].device_id)


def event(event_id: str = "", plate: str = PLATE_CANARY) -> dict[str, object]:
    return {
        "specversion": "1.0",
        "id": event_id or uuid.uuid4().hex,
        "source": "/camera",
        "type": "alerthub.identifier.read",
        "data": {"plate": plate},
    }


def message(device_id: str, event_id: str) -> ingest_pb2.DeviceEvent:
    return ingest_pb2.DeviceEvent(
        device_id=device_id,
        event_id=event_id,
        kind=observation_pb2.OBSERVATION_KIND_IDENTIFIER_READ,
        device_time_ms=now_ms(),
        identifiers=[ingest_pb2.ReadIdentifier(kind=common_pb2.IDENTIFIER_KIND_PLATE, text=PLATE_CANARY)],
    )


async def test_an_edge_servers_stream_is_acknowledged_to_its_end(
    hub: GatewayHub, known: dict[str, Camera]
) -> None:
    camera = await camera_of(hub, known)
    _, tls = await edge_of(hub, known)
    since = await hub.ends("observations")
    marks = [f"stream-{uuid.uuid4().hex}" for _ in range(300)]

    async def requests() -> AsyncIterator[ingest_pb2.StreamEventsRequest]:
        for sequence, mark in enumerate(marks, start=1):
            yield ingest_pb2.StreamEventsRequest(sequence=sequence, event=message(camera.device_id, mark))

    async with certificate_channel(tls, hub.grpc_address) as channel:
        call = ingest_pb2_grpc.IngestServiceStub(channel).StreamEvents(requests(), timeout=30)
        responses = [response async for response in call]
    assert responses[-1].acknowledged_sequence == 300
    found = await hub.observations(since, 300, device_id=camera.device_id)
    assert len({one.observation_id for _, one in found}) == 300


async def test_a_device_with_a_certificate_needs_no_secret_over_https(
    hub: GatewayHub, known: dict[str, Camera]
) -> None:
    edge, tls = await edge_of(hub, known)
    since = await hub.ends("observations")
    async with hub.client(certificate=tls) as client:
        answer = await client.post(
            "/v1/ingest/cloudevents",
            content=json.dumps(event()),
            headers={"content-type": "application/cloudevents+json"},
        )
    assert answer.status_code == 200
    ((_, observation), *_) = await hub.observations(since, 1, device_id=edge.device_id)
    assert observation.authentication_class == CERTIFICATE


async def test_s3_there_is_no_plain_http_on_the_port_for_tls(hub: GatewayHub) -> None:
    async with httpx.AsyncClient() as client:
        with pytest.raises(httpx.HTTPError):
            await client.post(hub.url.replace("https", "http") + "/v1/ingest/cloudevents")


async def test_s2_a_service_may_not_speak_as_a_device(hub: GatewayHub) -> None:
    tls = hub.infrastructure.tls_settings("dispatch")
    async with certificate_channel(tls, hub.grpc_address) as channel:
        # Nothing is written: where the stream ends first, the client tells a failed write in place of why.
        call = ingest_pb2_grpc.IngestServiceStub(channel).StreamEvents(timeout=10)
        assert await call.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_what_was_acknowledged_before_a_kill_is_on_kafka(
    hub: GatewayHub, known: dict[str, Camera]
) -> None:
    camera = await camera_of(hub, known)
    since = await hub.ends("observations")
    acknowledged: set[str] = set()
    stop = asyncio.Event()
    more = asyncio.Event()

    async def send_until_stopped() -> None:
        async with hub.client() as client:
            while not stop.is_set():
                event_id = uuid.uuid4().hex
                try:
                    answer = await hub.post(camera, event(event_id), client=client, retry=False)
                except httpx.HTTPError:
                    # The device sees no answer, so it may not count on anything.
                    await asyncio.sleep(0.1)
                    continue
                if answer.status_code == 200:
                    acknowledged.add(event_id)
                    if len(acknowledged) % 40 == 0:
                        more.set()

    senders = [asyncio.create_task(send_until_stopped()) for _ in range(4)]
    for _ in range(2):
        more.clear()
        await asyncio.wait_for(more.wait(), 60)
        hub.gateway.kill()
        hub.gateway.start()
        await asyncio.to_thread(hub.gateway.wait_until_ready)
    stop.set()
    await asyncio.gather(*senders)
    found = await hub.observations(since, len(acknowledged), device_id=camera.device_id)
    assert len({one.observation_id for _, one in found}) >= len(acknowledged)


async def test_while_kafka_is_away_devices_are_told_to_come_again_and_nothing_is_lost(
    hub: GatewayHub, kafka_broker: KafkaNode
) -> None:
    # A camera of its own: the one of the story before has sent as much as it may.
    camera = await hub.device()
    since = await hub.ends("observations")
    kafka_broker.kill()
    answer = await hub.post(camera, event("during"), retry=False)
    assert (answer.status_code, "retry-after" in answer.headers) == (503, True)
    # On this thread: the broker ends with the one that started it.
    kafka_broker.launch()
    answer = await hub.post(camera, event("during"))
    assert answer.status_code == 200
    found = await hub.observations(since, 1, device_id=camera.device_id, seconds=40)
    # The first may have reached the broker after all; its id says that it is the same event.
    assert len({one.observation_id for _, one in found}) == 1


async def test_c12_cut_off_from_watchlist_it_becomes_unready_and_refuses(
    hub: GatewayHub, known: dict[str, Camera]
) -> None:
    camera = await camera_of(hub, known)
    hub.watchlist.kill()
    await asyncio.to_thread(hub.gateway.wait_until, lambda told: bool(told["checks"].get("keys")))
    answer = await hub.post(camera, event(), retry=False)
    assert answer.status_code == 503
    # Somebody in need is heard all the same.
    call = {**event(), "type": "alerthub.call.panic", "data": {}}
    assert (await hub.post(camera, call, retry=False)).status_code == 200
    hub.watchlist.start()
    await asyncio.to_thread(hub.gateway.wait_until_ready)
    assert (await hub.post(camera, event())).status_code == 200


async def test_s2_a_revoked_edge_servers_stream_ends_within_two_seconds(
    hub: GatewayHub, known: dict[str, Camera]
) -> None:
    camera = await camera_of(hub, known)
    _, tls = await edge_of(hub, known)
    del known["edge"]
    async with certificate_channel(tls, hub.grpc_address) as channel:
        call = ingest_pb2_grpc.IngestServiceStub(channel).StreamEvents(timeout=30)
        await call.write(
            ingest_pb2.StreamEventsRequest(sequence=1, event=message(camera.device_id, uuid.uuid4().hex))
        )
        await call.read()
        certificate = await hub.fingerprint(tls)
        await hub.registry.call(
            "Revoke", registry_pb2.RevokeRequest(certificate_fingerprint=certificate, reason="stolen")
        )
        revoked_at = time.monotonic()
        code = await asyncio.wait_for(call.code(), 10)
    assert code is grpc.StatusCode.UNAUTHENTICATED
    assert time.monotonic() - revoked_at < 2


async def test_s5_no_log_and_no_metric_holds_an_identifier_or_a_secret(
    hub: GatewayHub, known: dict[str, Camera]
) -> None:
    camera = await camera_of(hub, known)
    # Provoke refusals that tempt to repeat their input.
    async with hub.client() as client:
        for path in (
            "/v1/ingest/cloudevents",
            f"/v1/ingest/cloudevents/token/{camera.device_id}/{camera.secret}",
            f"/v1/ingest/{quote(PLATE_CANARY)}",
        ):
            for body in (json.dumps(event() | {"data": {"plate": PLATE_CANARY, "lane": PLATE_CANARY}}), "{"):
                await client.post(
                    path,
                    content=body,
                    headers={"content-type": "application/cloudevents+json"},
                    auth=(camera.device_id, camera.secret),
                )
    shown = hub.gateway.log_file.read_text() + hub.gateway.metrics()
    assert "request_refused" in shown
    forms = {
        PLATE_CANARY,
        PLATE_CANARY[1:],
        quote(PLATE_CANARY),
        json.dumps(PLATE_CANARY).strip('"'),
        base64.b64encode(PLATE_CANARY.encode()).decode(),
        camera.secret,
        base64.b64encode(f"{camera.device_id}:{camera.secret}".encode()).decode(),
    }
    assert [form for form in forms if form in shown] == []
    # No label names a device (DESIGN, Metrics).
    assert camera.device_id not in hub.gateway.metrics()
