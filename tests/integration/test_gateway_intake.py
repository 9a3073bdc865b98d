"""What devices send reaches Kafka blinded, sealed and once, on the real hub."""

from __future__ import annotations

import base64
import hashlib
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from gateway_hub import Camera, GatewayHub, running_gateway

from alerthub.api.v1 import common_pb2, observation_pb2
from alerthub.domain.http_digest import password_of
from alerthub.domain.partitioning import partition_of
from alerthub.embedded.infrastructure import Infrastructure
from alerthub.evidence import EvidenceStore

JPEG = b"\xff\xd8\xff\xe0" + b"picture-canary" * 40
PLATE = "冀R7K2Q9"


@pytest.fixture(scope="module")
def hub(infrastructure: Infrastructure, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayHub]:
    yield from running_gateway(infrastructure, tmp_path_factory.mktemp("gateway"))


@pytest.fixture(scope="module")
def cameras() -> dict[str, Camera]:
    return {}


async def camera_of(hub: GatewayHub, cameras: dict[str, Camera], name: str = "usual") -> Camera:
    """One camera for the tests that change nothing about it: a device needs seconds to come into force."""
    if name not in cameras:
        cameras[name] = await hub.device(authorised=name != "without authorisation")
    return cameras[name]


def everything_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def read_of(plate: str = PLATE, **data: object) -> dict[str, object]:
    return {
        "specversion": "1.0",
        "id": uuid.uuid4().hex,
        "source": "/camera",
        "type": "alerthub.identifier.read",
        "data": {"plate": plate, **data},
    }


async def test_a_read_is_acknowledged_and_on_kafka(hub: GatewayHub, cameras: dict[str, Camera]) -> None:
    camera = await camera_of(hub, cameras)
    since = await hub.ends("observations")
    answer = await hub.post(camera, read_of())
    assert (answer.status_code, answer.json()) == (200, {"acknowledged": 1})
    (_, observation), *others = await hub.observations(since, 1, device_id=camera.device_id)
    assert others == []
    assert observation.kind == observation_pb2.OBSERVATION_KIND_IDENTIFIER_READ
    assert observation.authorisation_id == f"check-{camera.device_id}"
    assert observation.authentication_class == common_pb2.AUTHENTICATION_CLASS_PASSWORD_OVER_TLS
    assert len(observation.identifiers[0].tokens[0]) == 16


async def test_a_camera_that_knows_nothing_but_digest_is_taken(
    hub: GatewayHub, cameras: dict[str, Camera]
) -> None:
    camera = await camera_of(hub, cameras)
    since = await hub.ends("observations")
    key = hub.infrastructure.folder.digest_key_file.read_bytes().strip()
    password = password_of(key, camera.device_id, hashlib.sha256(camera.secret.encode()).digest())
    async with hub.client() as client:
        answer = await client.post(
            "/v1/ingest/cloudevents/digest", json=read_of(), auth=httpx.DigestAuth(camera.device_id, password)
        )
    assert (answer.status_code, answer.json()) == (200, {"acknowledged": 1})
    ((_, observation),) = await hub.observations(since, 1, device_id=camera.device_id)
    assert observation.authentication_class == common_pb2.AUTHENTICATION_CLASS_PASSWORD_OVER_TLS


async def test_nothing_readable_of_a_read_is_on_kafka(hub: GatewayHub, cameras: dict[str, Camera]) -> None:
    camera = await camera_of(hub, cameras)
    since = await hub.ends("observations")
    await hub.post(camera, read_of(make="Geely-canary", colour="teal-canary", plate_colour="blue-canary"))
    values = await hub.values("observations", since, lambda found: any(len(value) > 200 for value in found))
    everything = b"".join(values)
    for readable in (PLATE, "R7K2Q9", "Geely-canary", "teal-canary", "blue-canary"):
        assert readable.encode() not in everything


async def test_a_picture_lies_sealed_before_its_observation_is_on_kafka(
    hub: GatewayHub, cameras: dict[str, Camera]
) -> None:
    camera = await camera_of(hub, cameras)
    since = await hub.ends("observations")
    await hub.post(camera, read_of(picture=base64.b64encode(JPEG).decode()))
    (batch, observation), *_ = await hub.observations(since, 1, device_id=camera.device_id)
    folder = hub.infrastructure.folder.evidence
    assert await EvidenceStore(folder.as_uri()).get_streaming(observation.picture_id)
    assert b"picture-canary" not in everything_in(folder)
    assert observation.picture_data_key_id in {key.data_key_id for key in batch.data_keys}


async def test_without_authorisation_the_read_goes_on_without_its_identifiers(
    hub: GatewayHub, cameras: dict[str, Camera]
) -> None:
    camera = await camera_of(hub, cameras, "without authorisation")
    since = await hub.ends("observations")
    answer = await hub.post(camera, read_of())
    assert answer.json() == {"acknowledged": 1, "identifiers_dropped": 1}
    (_, observation), *_ = await hub.observations(since, 1, device_id=camera.device_id)
    assert (list(observation.identifiers), observation.authorisation_id) == ([], "")


async def test_a_panic_call_goes_to_its_own_topic(hub: GatewayHub, cameras: dict[str, Camera]) -> None:
    camera = await camera_of(hub, cameras)
    since = await hub.ends("calls")
    answer = await hub.post(camera, {**read_of(), "type": "alerthub.call.panic", "data": {}})
    assert answer.status_code == 200
    (call, *others) = await hub.calls(since, 1)
    assert (call.kind, call.device_id, others) == (
        observation_pb2.DIRECT_CALL_KIND_PANIC,
        camera.device_id,
        [],
    )


async def test_all_observations_of_a_district_are_in_its_partition(
    hub: GatewayHub, cameras: dict[str, Camera]
) -> None:
    camera = await camera_of(hub, cameras)
    since = await hub.ends("observations")
    await hub.post(camera, [read_of() for _ in range(20)])
    wanted = partition_of("Anci-1", len(since))
    found = await hub.observations({wanted: since[wanted]}, 20, device_id=camera.device_id)
    assert len(found) == 20


async def test_every_partition_gets_a_watermark_each_second(hub: GatewayHub) -> None:
    since = await hub.ends("observations")
    for partition, offset in since.items():
        values = await hub.values("observations", {partition: offset}, lambda found: len(found) >= 2)
        batches = [observation_pb2.ObservationBatch.FromString(value) for value in values]
        assert batches[0].received_time_ms < batches[1].received_time_ms
        assert batches[0].sequence < batches[1].sequence


async def test_the_same_event_twice_has_one_id(hub: GatewayHub, cameras: dict[str, Camera]) -> None:
    camera = await camera_of(hub, cameras)
    since = await hub.ends("observations")
    event = read_of()
    await hub.post(camera, event)
    await hub.post(camera, event)
    found = await hub.observations(since, 2, device_id=camera.device_id)
    assert len({observation.observation_id for _, observation in found}) == 1


@pytest.mark.parametrize("wrong", ["secret", "device", "nothing"])
async def test_who_does_not_prove_to_be_a_device_is_refused(
    hub: GatewayHub, cameras: dict[str, Camera], wrong: str
) -> None:
    camera = await camera_of(hub, cameras)
    pretended = Camera(
        camera.device_id if wrong != "device" else "camera-none",
        {"secret": "x" * 43, "device": camera.secret, "nothing": ""}[wrong],
    )
    answer = await hub.post(pretended, read_of())
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
