"""What only ChirpStack does, and what a decoded LoRaWAN payload says."""

from __future__ import annotations

import pytest
from adapter_cases import Sent, changed, fixture, kept

from alerthub.domain.device_events import CallKind, DeviceEvent, ObservationKind, Place
from alerthub.domain.errors import Refuse
from alerthub.domain.identifiers import IdentifierKind
from services.gateway.adapters import UnsupportedContent

ADAPTER = "chirpstack"


def parsed(**changes: object) -> list[DeviceEvent]:
    return Sent("application/json", changed("chirpstack_panic.json", **changes)).parse(ADAPTER)


def test_a_panic_button_says_where_it_is() -> None:
    (event,) = parsed()
    assert (event.call, event.place) == (CallKind.PANIC, Place(38.05, 114.51))


@pytest.mark.parametrize(
    ("decoded", "call"),
    [
        ({"panic": 1}, CallKind.PANIC),
        ({"panic": "true"}, CallKind.PANIC),
        ({"escort": True}, CallKind.ESCORT_REQUEST),
        ({"service": True}, CallKind.SERVICE_REQUEST),
        ({"panic": True, "tag": "020000000007"}, CallKind.PANIC),
        ({"panic": False}, None),
        ({"panic": 0}, None),
        ({"panic": "no"}, None),
        ({"panic": None}, None),
        ({"panic": {"a": 1}}, None),
        ({"alarm": True}, None),
        ({}, None),
    ],
)
def test_only_what_the_codec_calls_a_call_is_one(decoded: object, call: CallKind | None) -> None:
    (event,) = parsed(object=decoded)
    assert event.call is call
    assert event.identifiers == ()
    assert (event.kind is ObservationKind.HEARTBEAT) == (call is None)


def test_an_undecoded_payload_is_a_heartbeat() -> None:
    (event,) = parsed(object=None)
    assert (event.kind, event.call) == (ObservationKind.HEARTBEAT, None)


@pytest.mark.parametrize(
    "other",
    [
        {"acknowledged": True, "queueItemId": "x"},
        {"margin": 10, "batteryLevel": 99.0},
        {"level": "ERROR", "code": "UPLINK_CODEC", "description": "panic"},
        {"integrationName": "loracloud", "eventType": "DATA"},
        {"downlinkId": 7, "gatewayId": "x"},
    ],
)
def test_another_event_of_the_integration_is_a_heartbeat(other: dict[str, object]) -> None:
    (event,) = parsed(**other)
    assert (event.kind, event.call) == (ObservationKind.HEARTBEAT, None)


def test_a_join_is_a_heartbeat() -> None:
    (event,) = parsed(object=None, data=None, fPort=None, rxInfo=None, txInfo=None)
    assert event.kind is ObservationKind.HEARTBEAT


def test_a_position_alone_is_a_heartbeat_with_a_place() -> None:
    (event,) = parsed(object={"latitude": 38.1, "longitude": "114.6"})
    assert (event.kind, event.place) == (ObservationKind.HEARTBEAT, Place(38.1, 114.6))
    (event,) = parsed(object=None, location={"latitude": 38.1, "longitude": 114.6, "source": "GEO_RESOLVER"})
    assert (event.kind, event.place) == (ObservationKind.HEARTBEAT, Place(38.1, 114.6))


@pytest.mark.parametrize(
    ("latitude", "longitude"),
    [
        (0, 0),
        (91, 10),
        (10, 181),
        (float("1e300"), 1),
        ("north", "east"),
        (None, 5),
        (True, True),
        (10**400, 1),
    ],
)
def test_an_absurd_place_is_none(latitude: object, longitude: object) -> None:
    (event,) = parsed(object={"panic": True, "latitude": latitude, "longitude": longitude})
    assert (event.call, event.place) == (CallKind.PANIC, None)


def test_a_gateways_place_is_not_the_sensors() -> None:
    (event,) = parsed(object={"panic": True})
    assert event.place is None


def test_tags_that_were_heard_are_read_eight_an_event() -> None:
    tags = [f"02:00:00:00:00:{number:02x}" for number in range(20)]
    events = parsed(object={"tags": [*tags, *tags, "", None, 7.5, "x" * 65]})
    assert [len(event.identifiers) for event in events] == [8, 8, 4]
    assert {read.kind for event in events for read in event.identifiers} == {IdentifierKind.TAG}
    assert len({event.event_id for event in events}) == 3


@pytest.mark.parametrize("tags", [[], None, {}, "", ["unknown"], [[["a"]]]])
def test_no_tag_is_a_heartbeat(tags: object) -> None:
    (event,) = parsed(object={"tags": tags})
    assert (event.kind, event.identifiers) == (ObservationKind.HEARTBEAT, ())


@pytest.mark.parametrize(
    ("time", "seconds"),
    [
        ("2034-02-03T00:09:10.775023242+00:00", 2_022_538_150),
        ("2034-02-03T00:09:10Z", 2_022_538_150),
        ("2034-02-03T08:09:10+08:00", 2_022_538_150),
        ("2034-02-03T00:09:10", 2_022_538_150),
        ("now", 0),
        (None, 0),
    ],
)
def test_a_time_with_a_zone_or_without_is_read(time: object, seconds: int) -> None:
    (event,) = parsed(time=time)
    assert event.device_time_ms // 1000 == seconds


def test_the_device_is_never_taken_from_the_body() -> None:
    (event,) = parsed()
    assert not any(name in kept(event) for name in ("another-device", "0202020202020202", "北门按钮"))


def test_features_that_a_codec_writes_are_kept_nowhere() -> None:
    (event,) = parsed(object={"panic": True, "face": "canary", "heart_rate": {"canary": 1}})
    assert "canary" not in kept(event)


def test_version_3_is_refused_by_name() -> None:
    with pytest.raises(Refuse) as refused:
        Sent("application/json", b'{"devEUI":"AQ==","objectJSON":"{}"}').parse(ADAPTER)
    assert refused.value.field == "deviceInfo"


def test_protobuf_is_unsupported() -> None:
    with pytest.raises(UnsupportedContent, match="JSON"):
        Sent("application/octet-stream", fixture("chirpstack_panic.json")).parse(ADAPTER)
