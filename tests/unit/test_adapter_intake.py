"""What each make's push becomes: acknowledged, on Kafka, blinded, and of the device that signed in."""

from __future__ import annotations

from pathlib import Path

import pytest
from gateway_parts import PLATE, SECRET, Gateway, gateway
from test_gateway_http import client

from alerthub.api.v1 import observation_pb2
from services.gateway.adapters import ADAPTERS

ROOT = Path(__file__).parents[2]
FIXTURES = ROOT / "tests" / "contract" / "fixtures"
PUSHES = {
    "axis-lpr": ("application/json", "axis_lpr.json"),
    "dahua": ("application/json", "dahua_parking.json"),
    "frigate": ("application/json", "frigate_plate.json"),
    "ga-t-1400": ("application/VIID+JSON", "ga_t_1400_vehicle.json"),
    "hikvision-anpr": ("application/xml", "hikvision_anpr.xml"),
    "onvif": ("application/xml", "onvif_frame.xml"),
    "onvif-mj": ("application/json", "onvif_frame.json"),
    "openalpr": ("application/json", "openalpr_group.json"),
    "plate-recognizer": ("application/json", "plate_recognizer.json"),
}


def test_every_adapter_is_described_for_who_sets_a_device_up() -> None:
    headings = [
        line for line in (ROOT / "docs" / "devices.md").read_text().splitlines() if line.startswith("## ")
    ]
    assert [name for name in ADAPTERS if not any(f"`{name}`" in heading for heading in headings)] == []


async def pushed(one: Gateway, adapter: str, content_type: str, name: str) -> dict[str, int]:
    async with client(one) as sender:
        answer = await sender.post(
            f"/v1/ingest/{adapter}",
            content=(FIXTURES / name).read_bytes(),
            headers={"content-type": content_type},
            auth=("camera-1", SECRET),
        )
    assert answer.status_code == 200
    return dict(answer.json())


@pytest.mark.parametrize("adapter", PUSHES)
async def test_a_push_is_on_kafka_blinded_and_of_the_device_that_signed_in(
    tmp_path: Path, adapter: str
) -> None:
    one = await gateway(tmp_path)
    assert (await pushed(one, adapter, *PUSHES[adapter]))["acknowledged"] == 1
    (observation,) = one.broker.observations()
    assert observation.device_id == "camera-1"
    assert len(observation.identifiers) == 1
    records = b"".join(value for _, _, value in one.broker.records)
    for secret in (PLATE, "R7K2Q9", "r7k2q9", "canary", "another-device"):
        assert secret.encode() not in records


@pytest.mark.parametrize("adapter", PUSHES)
async def test_refusal_4_without_a_check_authorisation_no_make_checks_a_plate(
    tmp_path: Path, adapter: str
) -> None:
    one = await gateway(tmp_path)
    one.register(version=2, authorised=False)
    assert (await pushed(one, adapter, *PUSHES[adapter]))["identifiers_dropped"] == 1
    (observation,) = one.broker.observations()
    assert list(observation.identifiers) == []


async def test_a_panic_button_goes_to_the_calls_with_its_place(tmp_path: Path) -> None:
    one = await gateway(tmp_path)
    await pushed(one, "chirpstack", "application/json", "chirpstack_panic.json")
    (call,) = one.broker.calls()
    assert (call.device_id, call.kind) == ("camera-1", observation_pb2.DIRECT_CALL_KIND_PANIC)
    assert call.position.latitude == pytest.approx(38.05)
    assert one.broker.observations() == []


async def test_a_tag_that_was_heard_is_blinded(tmp_path: Path) -> None:
    one = await gateway(tmp_path)
    await pushed(one, "the-things-stack", "application/json", "the_things_stack_tag.json")
    (observation,) = one.broker.observations()
    assert len(observation.identifiers) == 1
    records = b"".join(value for _, _, value in one.broker.records)
    assert b"02:00:00:00:00:07" not in records
    assert b"020000000007" not in records


async def test_parking_is_told_by_its_bay(tmp_path: Path) -> None:
    one = await gateway(tmp_path)
    await pushed(one, "hikvision-events", "application/xml", "hikvision_parking.xml")
    (observation,) = one.broker.observations()
    assert (observation.kind, observation.track_id) == (
        observation_pb2.OBSERVATION_KIND_VEHICLE_STANDING,
        "region-3",
    )
