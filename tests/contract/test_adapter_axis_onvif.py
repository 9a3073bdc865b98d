"""Axis and ONVIF: notifications are events only when something happened; frames give plates and nothing of a
face."""

from __future__ import annotations

import json

import pytest
from adapter_cases import Sent, changed, fixture, kept
from adapter_cases_events import published

from alerthub.domain.device_events import ObservationKind
from alerthub.domain.errors import Refuse

XML = "application/xml"


def notification(topic: str, *, data: str = "", operation: str = "Changed") -> str:
    return (
        '<wsnt:NotificationMessage xmlns:wsnt="w" xmlns:tt="t">'
        f"<wsnt:Topic>{topic}</wsnt:Topic>"
        f'<wsnt:Message><tt:Message UtcTime="2034-02-03T00:09:10Z" PropertyOperation="{operation}">'
        f"<tt:Source/><tt:Data>{data}</tt:Data></tt:Message></wsnt:Message></wsnt:NotificationMessage>"
    )


def item(name: str, value: str) -> str:
    return f'<tt:SimpleItem Name="{name}" Value="{value}"/>'


def kind_of(adapter: str, topic: str, **told: str) -> ObservationKind:
    (event,) = Sent(XML, notification(topic, **told).encode()).parse(adapter)
    return event.kind


@pytest.mark.parametrize(
    ("topic", "name"),
    [
        ("tns1:RuleEngine/FieldDetector/ObjectsInside", "IsInside"),
        ("tns1:RuleEngine/CellMotionDetector/Motion", "IsMotion"),
        ("tns1:VideoSource/MotionAlarm", "State"),
        ("tns1:Device/tnsaxis:Sensor/PIR", "state"),
        ("tnsaxis:CameraApplicationPlatform/LoiteringGuard/Camera1Profile1", "active"),
    ],
)
def test_somebody_is_there_while_the_state_is_true(topic: str, name: str) -> None:
    assert kind_of("onvif", topic, data=item(name, "true")) is ObservationKind.PRESENCE
    assert kind_of("onvif", topic, data=item(name, "1")) is ObservationKind.PRESENCE
    for over in (item(name, "false"), item(name, "0"), "", item("Other", "true")):
        assert kind_of("onvif", topic, data=over) is ObservationKind.HEARTBEAT


@pytest.mark.parametrize("operation", ["Initialized", "Deleted", "initialized"])
def test_a_state_told_on_connecting_is_no_event(operation: str) -> None:
    for topic, data in (
        ("tns1:RuleEngine/LineDetector/Crossed", item("ObjectId", "815")),
        ("tns1:VideoSource/MotionAlarm", item("State", "true")),
        ("tns1:RuleEngine/Recognition/LicensePlate", "<tt:PlateNumber>X</tt:PlateNumber>"),
    ):
        assert kind_of("onvif", topic, data=data, operation=operation) is ObservationKind.HEARTBEAT


def test_other_topics_say_only_that_the_device_is_alive() -> None:
    for topic in ("tns1:Monitoring/ProcessorUsage", "tns1:RecordingConfig/JobState", "tns1:VideoSource", ""):
        assert kind_of("onvif", topic, data=item("State", "true")) is ObservationKind.HEARTBEAT


def test_the_same_notification_pulled_twice_is_one_event() -> None:
    one = notification("tns1:RuleEngine/LineDetector/Crossed", data=item("ObjectId", "815"))
    other = notification("tns1:RuleEngine/LineDetector/Crossed", data=item("ObjectId", "816"))
    alone = Sent(XML, f"<Envelope>{one}</Envelope>".encode()).parse("onvif")
    again = Sent(XML, f"<Envelope>{other}{one}</Envelope>".encode()).parse("onvif")
    assert alone[0].payload_digest == again[1].payload_digest != again[0].payload_digest


def test_an_answer_without_notifications_is_a_heartbeat() -> None:
    (event,) = Sent(XML, b"<Envelope><Body><PullMessagesResponse/></Body></Envelope>").parse("onvif")
    assert event.kind is ObservationKind.HEARTBEAT


def test_nothing_of_a_face_is_kept() -> None:
    features = (
        '<tt:MetadataStream xmlns:tt="t"><tt:VideoAnalytics><tt:Frame UtcTime="2034-02-03T00:09:10Z">'
        '<tt:Object ObjectId="1"><tt:Appearance><tt:HumanFace><tt:Gender>canary-gender</tt:Gender>'
        "<tt:Feature>canary-feature</tt:Feature></tt:HumanFace></tt:Appearance></tt:Object></tt:Frame>"
        "</tt:VideoAnalytics></tt:MetadataStream>"
    )
    told = notification("tns1:RuleEngine/Recognition/Face", data=item("Feature", "canary-feature"))
    for body in (features, told):
        (event,) = Sent(XML, body.encode()).parse("onvif")
        assert event.kind is ObservationKind.PRESENCE
        assert "canary" not in kept(event)


def test_a_frame_without_plates_is_one_event_however_many_objects_it_has() -> None:
    frame = {"Frame": [{"@UtcTime": "2034-02-03T00:09:10Z", "Object": [{"@ObjectId": n} for n in range(9)]}]}
    (event,) = Sent("application/json", json.dumps(frame).encode()).parse("onvif-mj")
    assert event.kind is ObservationKind.PRESENCE


def test_each_plate_of_a_frame_is_an_event() -> None:
    plates = [
        {"@ObjectId": n, "Appearance": {"LicensePlateInfo": {"PlateNumber": f"冀R7K2Q{n}"}}} for n in range(3)
    ]
    body = json.dumps({"Frame": {"@UtcTime": "2034-02-03T00:09:10Z", "Object": plates}}).encode()
    events = Sent("application/json", body).parse("onvif")
    assert [event.track_id for event in events] == ["object-0", "object-1", "object-2"]


@pytest.mark.parametrize(
    "data",
    [
        {"SimpleItem": [{"Name": "IsMotion", "Value": "true"}]},
        {"IsMotion": True},
        {"IsMotion": "true"},
    ],
)
def test_items_are_read_in_each_of_the_forms_that_cameras_write(data: object) -> None:
    body = json.dumps({"UtcTime": "2034-02-03T00:09:10Z", "Data": data}).encode()
    topic = ("RuleEngine", "CellMotionDetector", "Motion", "&1")
    (event,) = Sent("application/json", body, topic=topic).parse("onvif-ej")
    assert event.kind is ObservationKind.PRESENCE


def test_an_event_in_json_needs_its_topic() -> None:
    with pytest.raises(Refuse, match="topic"):
        Sent("application/json", fixture("onvif_event.json")).parse("onvif-ej")


def test_the_end_of_an_axis_scenario_is_a_heartbeat() -> None:
    over = changed("axis_scenario.json", message__data__active="0")
    (event,) = Sent("application/json", over).parse("axis")
    assert event.kind is ObservationKind.HEARTBEAT


def test_an_axis_message_without_its_topic_is_refused() -> None:
    with pytest.raises(Refuse, match="topic"):
        Sent("application/json", changed("axis_scenario.json", topic=None)).parse("axis")


def test_what_an_axis_scenario_took_its_object_for_is_not_kept() -> None:
    human = changed("axis_scenario.json", message__data__classTypes="canary-human")
    (event,) = Sent("application/json", human).parse("axis")
    assert "canary" not in kept(event)
    (event,) = published("axis_scenario.json").parse("axis")
    assert "vehicle" not in kept(event)
