"""What simulated devices of every make send is what the gateway's adapters read."""

from __future__ import annotations

import pytest

from alerthub.api.v1.observation_pb2 import OBSERVATION_KIND_HEARTBEAT
from alerthub.domain.device_events import CallKind, DeviceEvent, ObservationKind
from alerthub.domain.identifiers import IdentifierKind, normalise
from alerthub.simulator.city import Device, Make, Way, make_city
from alerthub.simulator.happenings import Happening, Kind
from alerthub.simulator.messages import Teller
from services.gateway.adapters import ADAPTERS, AdapterContext
from services.gateway.grpc_api import event_of

BEGINS_MS = 1_780_000_000_123
TELLER = Teller("run", BEGINS_MS)
DEVICES = {device.make: device for device in make_city(seed=1, scale=1).devices}
BAY_OF_DAHUA = next(
    each for each in make_city(seed=1, scale=1).devices if each.make is Make.DAHUA and each.zone_id
)
READERS = [Make.HIKVISION, Make.DAHUA, Make.VIEW_LIBRARY, Make.PLATE_RECOGNIZER, Make.FRIGATE]


def told(kind: Kind, device: Device, **fields: object) -> Happening:
    return Happening(device.device_id, kind, seen_ms=5_000, send_ms=5_100, number=42, **fields)  # type: ignore[arg-type]


def parsed(device: Device, happening: Happening) -> DeviceEvent:
    payload = TELLER.payload(happening, device)
    topic = tuple(payload.topic.split("/")) if payload.topic else ()
    [event] = ADAPTERS[device.make.value](payload.content_type, payload.body, AdapterContext(topic=topic))
    return event


@pytest.mark.parametrize("make", READERS)
def test_a_plate_comes_through_with_time_and_confidence(make: Make) -> None:
    device = DEVICES[make]
    event = parsed(device, told(Kind.READ, device, plate="冀R7X31K", confidence=0.87))
    assert event.kind is ObservationKind.IDENTIFIER_READ
    assert normalise(IdentifierKind.PLATE, event.identifiers[0].text) == "冀R7X31K"
    assert event.read_confidence == pytest.approx(0.87, abs=0.005)
    assert event.device_time_ms == device.says_ms(BEGINS_MS + 5_000)
    assert bool(event.picture) is (make is not Make.FRIGATE)
    assert event.event_id


@pytest.mark.parametrize("make", READERS)
def test_a_heartbeat_is_nothing_else(make: Make) -> None:
    device = DEVICES[make]
    assert parsed(device, told(Kind.HEARTBEAT, device)).kind is ObservationKind.HEARTBEAT


@pytest.mark.parametrize(
    "device", [DEVICES[Make.BAY_SENSOR], DEVICES[Make.BAY_CAMERA], BAY_OF_DAHUA], ids=str
)
def test_a_vehicle_stands_in_a_bay_and_leaves_it_under_one_name(device: Device) -> None:
    track = "region-1" if device.make is Make.BAY_CAMERA else "object-3"
    plate = "冀R7X31K" if device.make is Make.DAHUA else ""
    stands, left = (
        parsed(device, told(kind, device, track=track, plate=plate)) for kind in (Kind.STANDING, Kind.LEFT)
    )
    assert (stands.kind, left.kind) == (ObservationKind.VEHICLE_STANDING, ObservationKind.VEHICLE_LEFT)
    assert stands.track_id == left.track_id != ""
    assert stands.device_time_ms == device.says_ms(BEGINS_MS + 5_000)
    assert [one.text for one in stands.identifiers] == ([plate] if plate else [])


@pytest.mark.parametrize("make", [Make.RADIO_BUTTON, Make.HOME_BUTTON])
def test_a_panic_button_calls(make: Make) -> None:
    device = DEVICES[make]
    event = parsed(device, told(Kind.PANIC, device))
    assert event.call is CallKind.PANIC
    assert event.device_time_ms == device.says_ms(BEGINS_MS + 5_000)


def test_an_edge_servers_events_are_taken() -> None:
    device = DEVICES[Make.BEHIND_EDGE]
    event = event_of(TELLER.event(told(Kind.READ, device, plate="冀R7X31K", confidence=0.87), device))
    assert (event.kind, event.identifiers[0].text) == (ObservationKind.IDENTIFIER_READ, "冀R7X31K")
    assert event.picture
    assert TELLER.event(told(Kind.HEARTBEAT, device), device).kind == OBSERVATION_KIND_HEARTBEAT
    assert device.way is Way.STREAM


def test_another_run_sends_other_events_about_other_vehicles() -> None:
    device = DEVICES[Make.BAY_SENSOR]
    happening = told(Kind.STANDING, device, track="object-3")
    later = Teller("next", BEGINS_MS + 60_000)
    payload = later.payload(happening, device)
    [second] = ADAPTERS[device.make.value](payload.content_type, payload.body, AdapterContext())
    first = parsed(device, happening)
    assert first.event_id != second.event_id
    assert first.track_id != second.track_id
