"""What only view libraries of GA/T 1400 do."""

from __future__ import annotations

import base64
import json

import pytest
from adapter_cases import FACE_JPEG, JPEG, Sent, changed, fixture, kept

from alerthub.domain.device_events import DeviceEvent, ObservationKind
from alerthub.domain.errors import Refuse

ADAPTER = "ga-t-1400"
VEHICLE = "MotorVehicleListObject__MotorVehicleObject__0__"


def parsed(**changes: object) -> DeviceEvent:
    named = {VEHICLE + name: value for name, value in changes.items()}
    (event,) = Sent("application/json", changed("ga_t_1400_vehicle.json", **named)).parse(ADAPTER)
    return event


def posted(value: object) -> list[DeviceEvent]:
    return Sent("application/VIID+JSON", json.dumps(value).encode()).parse(ADAPTER)


def pictures(**by_type: bytes) -> dict[str, object]:
    objects = [
        {"Type": name.removeprefix("type"), "Data": base64.b64encode(content).decode()}
        for name, content in by_type.items()
    ]
    return {"SubImageInfoObject": objects}


@pytest.mark.parametrize("name", ["KeepaliveObject", "RegisterObject"])
def test_keep_alive_and_registration_are_heartbeats(name: str) -> None:
    (event,) = posted({name: {"DeviceID": "13000000001190000001"}})
    assert event.kind is ObservationKind.HEARTBEAT


@pytest.mark.parametrize("name", ["FaceListObject", "PersonListObject", "NonMotorVehicleListObject"])
def test_a_face_or_person_leaves_only_that_somebody_was_there(name: str) -> None:
    feature = {"FaceID": "canary", "EthicCode": "canary", "FeatureData": "canary", "IDNumber": "canary"}
    (event,) = posted(
        {name: {name.replace("List", ""): [{**feature, "SubImageList": pictures(type11=FACE_JPEG)}]}}
    )
    assert (event.kind, event.identifiers, event.picture) == (ObservationKind.PRESENCE, (), b"")
    assert "canary" not in kept(event)


def test_faces_of_drivers_and_their_features_are_kept_nowhere() -> None:
    (event,) = Sent("application/json", fixture("ga_t_1400_vehicle.json")).parse(ADAPTER)
    assert "canary" not in kept(event)


@pytest.mark.parametrize("picture_type", ["04", "05", "10", "11", "4", "99", "", "face"])
def test_a_picture_of_a_face_or_person_is_not_kept(picture_type: str) -> None:
    assert parsed(SubImageList=pictures(**{f"type{picture_type}": FACE_JPEG})).picture == b""


def test_the_scene_comes_before_the_vehicle_and_the_plate() -> None:
    shown = pictures(type02=JPEG + b"plate", type01=JPEG + b"vehicle", type14=JPEG)
    assert parsed(SubImageList=shown).picture == JPEG


def test_a_picture_is_known_by_its_first_bytes() -> None:
    assert parsed(SubImageList=pictures(type14=b"<svg/>", type01=b"GIF89a")).picture == b""


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("20340203080910", 2_022_538_150),
        ("20340203080910250", 2_022_538_150),
        ("2034-02-03T08:09:10+08:00", 2_022_538_150),
        ("2034-02-03T00:09:10Z", 2_022_538_150),
        ("20349903080910", 0),
        ("now", 0),
        (True, 0),
    ],
)
def test_a_time_without_a_zone_is_chinas(written: object, seconds: int) -> None:
    assert parsed(PassTime=written).device_time_ms // 1000 == seconds


@pytest.mark.parametrize(
    ("reliability", "confidence"), [("83", 0.83), (83.0, 0.83), ("", 0), ("-1", 0), (1e9, 0)]
)
def test_reliability_is_per_cent(reliability: object, confidence: float) -> None:
    assert parsed(PlateReliability=reliability).read_confidence == pytest.approx(confidence)


@pytest.mark.parametrize("plate", ["", "无车牌", "未识别", None, 7000])
def test_what_names_no_plate_is_a_read_without_one(plate: object) -> None:
    event = parsed(PlateNo=plate)
    assert event.kind is ObservationKind.IDENTIFIER_READ
    assert all(read.text == "7000" for read in event.identifiers)


def test_one_vehicle_that_is_no_list_is_read() -> None:
    vehicle = json.loads(fixture("ga_t_1400_vehicle.json"))["MotorVehicleListObject"]["MotorVehicleObject"][0]
    (event,) = posted({"MotorVehicleListObject": {"MotorVehicleObject": vehicle}})
    assert len(event.identifiers) == 1


def test_257_vehicles_are_too_many() -> None:
    with pytest.raises(Refuse, match="256"):
        posted({"MotorVehicleListObject": {"MotorVehicleObject": [{"PlateNo": "A"}] * 257}})


def test_an_id_that_holds_the_plate_is_none() -> None:
    assert parsed(MotorVehicleID="13000-R7K2Q9-0001").event_id == ""


@pytest.mark.parametrize("body", [{}, {"MotorVehicleListObject": {}}, {"ImageListObject": {}}, [], 7])
def test_what_holds_no_vehicle_is_refused(body: object) -> None:
    with pytest.raises(Refuse):
        posted(body)


def test_the_device_is_never_taken_from_the_body() -> None:
    assert "another-device" not in kept(parsed())
