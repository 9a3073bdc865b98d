"""What only OpenALPR does."""

from __future__ import annotations

import base64
import json

import pytest
from adapter_cases import JPEG, PLATE, Sent, changed, fixture, kept

from alerthub.domain.device_events import DeviceEvent, ObservationKind
from alerthub.domain.errors import Refuse

ADAPTER = "openalpr"


def parsed(**changes: object) -> list[DeviceEvent]:
    return Sent("application/json", changed("openalpr_group.json", **changes)).parse(ADAPTER)


def test_an_alert_of_the_agents_own_list_is_no_read() -> None:
    alert = {
        "data_type": "alpr_alert",
        "epoch_time": 2_022_538_150_250,
        "plate_number": PLATE,
        "list_type": "Blacklist",
        "group": json.loads(fixture("openalpr_group.json")),
    }
    (event,) = Sent("application/json", json.dumps(alert).encode()).parse(ADAPTER)
    assert (event.kind, event.identifiers, event.picture) == (ObservationKind.HEARTBEAT, (), b"")
    assert event.device_time_ms == 2_022_538_150_250


@pytest.mark.parametrize("data_type", ["heartbeat", "vehicle", "something_new"])
def test_a_heartbeat_is_no_read(data_type: str) -> None:
    body = json.dumps({"data_type": data_type, "timestamp": 2_022_538_150_250}).encode()
    (event,) = Sent("application/json", body).parse(ADAPTER)
    assert (event.kind, event.device_time_ms) == (ObservationKind.HEARTBEAT, 2_022_538_150_250)


def test_results_without_a_plate_are_a_heartbeat() -> None:
    body = changed("openalpr_results.json", results=[])
    (event,) = Sent("application/json", body).parse(ADAPTER)
    assert event.kind is ObservationKind.HEARTBEAT


def test_each_result_is_an_event_with_its_own_id() -> None:
    body = changed("openalpr_results.json", results=[{"plate": "A1"}, {"plate": "B2"}])
    events = Sent("application/json", body).parse(ADAPTER)
    assert len({event.event_id for event in events}) == 2


def test_a_parked_vehicle_stands() -> None:
    (event,) = parsed(is_parked=True)
    assert event.kind is ObservationKind.VEHICLE_STANDING


def test_a_parked_vehicle_without_a_plate_is_known_by_nothing_and_is_a_read() -> None:
    (event,) = parsed(is_parked=True, best_plate_number="", best_plate__plate="")
    assert event.kind is ObservationKind.IDENTIFIER_READ


def test_an_old_group_without_its_best_number_is_read() -> None:
    (event,) = parsed(best_plate_number=None)
    assert len(event.identifiers) == 1


def test_the_picture_of_the_scene_comes_before_the_vehicles() -> None:
    (event,) = parsed(overview_jpeg=base64.b64encode(JPEG).decode())
    assert event.picture == JPEG


@pytest.mark.parametrize("text", ["<removed>", "aGVsbG8=", "=", 7, "A" * 4_000_000, "冀"])
def test_a_text_that_is_no_picture_is_not_kept(text: object) -> None:
    (event,) = parsed(overview_jpeg=text, vehicle_crop_jpeg=text)
    assert event.picture == b""


@pytest.mark.parametrize("time", [-1, 10**400, "soon", 1e300, None, True])
def test_an_absurd_time_gives_way_to_the_start(time: object) -> None:
    (event,) = parsed(epoch_end=time)
    assert event.device_time_ms == 2_022_538_148_100


def test_a_body_without_its_type_is_refused() -> None:
    with pytest.raises(Refuse) as refused:
        parsed(data_type=None)
    assert refused.value.field == "data_type"


def test_signatures_and_faces_are_kept_nowhere() -> None:
    (event,) = parsed(face={"feature": "canary"}, vehicle__occupants=[{"embedding": "canary"}])
    assert "canary" not in kept(event)
