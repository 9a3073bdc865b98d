"""Zigbee2MQTT, GB/T 28181, and the streams of Hikvision and Dahua: heartbeats, states and positions are told
from events."""

from __future__ import annotations

import json

import pytest
from adapter_cases import BOUNDARY, Sent, fixture, multipart
from adapter_cases_events import in_gb

from alerthub.domain.device_events import CallKind, ObservationKind, Place
from alerthub.domain.errors import Refuse


def sensor(state: dict[str, object], *topic: str) -> Sent:
    return Sent("application/json", json.dumps(state).encode(), topic=topic or ("sensor",))


@pytest.mark.parametrize(
    "state",
    [
        {"occupancy": True},
        {"presence": True},
        {"contact": False},
        {"vibration": True},
        {"action": "vibration"},
    ],
)
def test_a_sensor_says_that_somebody_is_there(state: dict[str, object]) -> None:
    (event,) = sensor(state | {"battery": 90}).parse("zigbee2mqtt")
    assert (event.kind, event.call) == (ObservationKind.PRESENCE, None)


@pytest.mark.parametrize(
    "state",
    [
        {"occupancy": False},
        {"contact": True},
        {"temperature": 21.5, "humidity": 40},
        {"action": ""},
        {"action": "single"},
        {"state": "ON"},
        {"smoke": True},
    ],
)
def test_everything_else_says_that_the_sensor_is_alive(state: dict[str, object]) -> None:
    (event,) = sensor(state).parse("zigbee2mqtt")
    assert (event.kind, event.call) == (ObservationKind.HEARTBEAT, None)


@pytest.mark.parametrize("action", ["emergency", "panic", "sos", "SOS"])
def test_a_button_calls_for_help(action: str) -> None:
    (event,) = sensor({"action": action}).parse("zigbee2mqtt")
    assert event.call is CallKind.PANIC


def test_no_state_that_a_bridge_repeats_calls_for_help() -> None:
    (event,) = sensor({"sos": True, "panic": True, "alarm": True, "tamper": True}).parse("zigbee2mqtt")
    assert event.call is None


def test_two_sensors_of_a_bridge_that_say_the_same_are_two_events() -> None:
    (one,), (other,) = (sensor({"occupancy": True}, name).parse("zigbee2mqtt") for name in ("a", "b"))
    assert one.payload_digest != other.payload_digest


@pytest.mark.parametrize(
    ("topic", "body", "events"),
    [
        (("bridge", "state"), b'{"state":"online"}', 1),
        (("bridge", "state"), b'{"state":"offline"}', 0),
        (("bridge", "devices"), b"[]", 0),
        (("bridge", "logging"), b'{"message":"online"}', 0),
        (("hall", "motion", "availability"), b"online", 1),
        (("hall", "lamp", "set"), b'{"state":"ON"}', 0),
    ],
)
def test_a_bridges_own_topics_give_at_most_a_heartbeat(
    topic: tuple[str, ...], body: bytes, events: int
) -> None:
    found = Sent("", body, topic=topic).parse("zigbee2mqtt")
    assert [event.kind for event in found] == [ObservationKind.HEARTBEAT] * events


def mansdcp(**changes: str) -> Sent:
    text = fixture("gb28181_alarm.xml").decode()
    for old, new in (change.split("=>") for change in changes.values()):
        assert old in text
        text = text.replace(old, new)
    return Sent("application/xml", text.encode("gb18030"))


@pytest.mark.parametrize(
    ("alarm_type", "kind"),
    [
        ("2", ObservationKind.PRESENCE),
        ("5", ObservationKind.LINE_CROSSED),
        ("8", ObservationKind.PRESENCE),
        ("3", ObservationKind.HEARTBEAT),
        ("11", ObservationKind.HEARTBEAT),
        ("99", ObservationKind.HEARTBEAT),
    ],
)
def test_video_alarms_are_known_by_their_type(alarm_type: str, kind: ObservationKind) -> None:
    sent = mansdcp(a=f"<AlarmType>6</AlarmType>=><AlarmType>{alarm_type}</AlarmType>")
    (event,) = sent.parse("gb28181")
    assert event.kind is kind


@pytest.mark.parametrize("method", ["1", "2", "4", "6", "7", ""])
def test_alarms_that_are_not_of_video_say_that_the_device_is_alive(method: str) -> None:
    sent = mansdcp(a=f"<AlarmMethod>5</AlarmMethod>=><AlarmMethod>{method}</AlarmMethod>")
    (event,) = sent.parse("gb28181")
    assert (event.kind, event.call) == (ObservationKind.HEARTBEAT, None)


def test_leaving_an_area_is_no_event() -> None:
    left = "<AlarmTypeParam><EventType>2</EventType></AlarmTypeParam></Info>"
    (event,) = mansdcp(a=f"</Info>=>{left}").parse("gb28181")
    assert event.kind is ObservationKind.HEARTBEAT


def position(longitude: str, latitude: str) -> Sent:
    return Sent(
        "application/MANSCDP+xml",
        f'<?xml version="1.0" encoding="GB2312"?><Notify><CmdType>MobilePosition</CmdType><SN>2</SN>'
        f"<DeviceID>13000000001320000001</DeviceID><Time>2034-02-03T08:09:10</Time>"
        f"<Longitude>{longitude}</Longitude><Latitude>{latitude}</Latitude></Notify>".encode("gb18030"),
    )


def test_a_position_is_no_event() -> None:
    (event,) = position("116.71", "39.52").parse("gb28181")
    assert (event.kind, event.place) == (ObservationKind.HEARTBEAT, Place(39.52, 116.71))


@pytest.mark.parametrize("where", [("0.000", "0.000"), ("181", "39"), ("nan", "inf"), ("", "")])
def test_a_position_without_a_fix_is_none(where: tuple[str, str]) -> None:
    (event,) = position(*where).parse("gb28181")
    assert event.place is None


def test_a_keepalive_is_a_heartbeat() -> None:
    body = b"<Notify><CmdType>Keepalive</CmdType><SN>1</SN><Status>OK</Status></Notify>"
    (event,) = Sent("application/xml", body).parse("gb28181")
    assert event.kind is ObservationKind.HEARTBEAT


def test_bytes_that_fit_no_declared_encoding_are_refused() -> None:
    with pytest.raises(Refuse):
        Sent("application/xml", in_gb("gb28181_alarm.xml", "UTF-8")).parse("gb28181")


def test_a_piece_of_hikvisions_alert_stream_gives_each_of_its_events() -> None:
    alert = fixture("hikvision_intrusion.xml")
    idle = alert.replace(b"fielddetection", b"videoloss").replace(b"active<", b"inactive<")
    sent = multipart(
        *(("event", "application/xml", one) for one in (idle, alert, idle, alert)),
        media_type="multipart/mixed",
    )
    kinds = [event.kind for event in sent.parse("hikvision-events")]
    assert kinds == [ObservationKind.HEARTBEAT, ObservationKind.PRESENCE] * 2


def test_a_piece_of_dahuas_event_stream_gives_each_of_its_events() -> None:
    start = fixture("dahua_event.txt")
    parts = (b"Heartbeat", start, start.replace(b"action=Start", b"action=Stop"))
    body = b"".join(
        b"--" + BOUNDARY.encode() + b"\r\nContent-Type: text/plain\r\n\r\n" + part + b"\r\n" for part in parts
    )
    sent = Sent(f"multipart/x-mixed-replace; boundary={BOUNDARY}", body + b"--" + BOUNDARY.encode() + b"--")
    assert [event.kind for event in sent.parse("dahua")] == [
        ObservationKind.HEARTBEAT,
        ObservationKind.LINE_CROSSED,
        ObservationKind.HEARTBEAT,
    ]
