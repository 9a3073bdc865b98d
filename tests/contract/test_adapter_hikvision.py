"""What only Hikvision cameras do."""

from __future__ import annotations

import dataclasses

import pytest
from adapter_cases import FACE_JPEG, HIKVISION_XML, JPEG, Sent, fixture, kept, multipart

from alerthub.domain.device_events import ObservationKind
from alerthub.domain.errors import Refuse


class TestPlates:
    """The adapter hikvision-anpr."""

    def test_the_picture_of_the_scene_is_kept(self) -> None:
        plate_jpeg = JPEG + b"plate"
        (event,) = multipart(
            ("anpr.xml", "application/xml", HIKVISION_XML),
            ("licensePlatePicture.jpg", "image/jpeg", plate_jpeg),
            ("detectionPicture.jpg", "image/jpeg", JPEG),
        ).parse("hikvision-anpr")
        assert event.picture == JPEG

    @pytest.mark.parametrize(
        "name", ["facePicture.jpg", "pilotPicture.jpg", "driverPicture", "featurePicture"]
    )
    def test_a_picture_of_face_or_driver_is_not_kept(self, name: str) -> None:
        (event,) = multipart(
            ("anpr.xml", "application/xml", HIKVISION_XML), (name, "image/jpeg", FACE_JPEG)
        ).parse("hikvision-anpr")
        assert event.picture == b""

    def test_a_picture_is_known_by_its_first_bytes(self) -> None:
        (event,) = multipart(
            ("anpr.xml", "application/xml", HIKVISION_XML),
            ("detectionPicture.jpg", "image/jpeg", b"<svg onload='x'/>"),
        ).parse("hikvision-anpr")
        assert event.picture == b""

    def test_a_picture_that_ends_early_is_not_kept(self) -> None:
        sent = multipart(
            ("anpr.xml", "application/xml", HIKVISION_XML), ("detectionPicture.jpg", "image/jpeg", JPEG)
        )
        (event,) = dataclasses.replace(sent, body=sent.body[: -len(JPEG)]).parse("hikvision-anpr")
        assert (event.picture, len(event.identifiers)) == (b"", 1)

    def test_a_picture_over_two_mebibytes_is_not_kept(self) -> None:
        (event,) = multipart(
            ("anpr.xml", "application/xml", HIKVISION_XML),
            ("detectionPicture.jpg", "image/jpeg", JPEG + bytes(2 * 1024 * 1024)),
        ).parse("hikvision-anpr")
        assert event.picture == b""

    def test_a_face_event_leaves_nothing_of_the_face(self) -> None:
        (event,) = multipart(
            ("face.xml", "application/xml", fixture("hikvision_face.xml")),
            ("detectionPicture.jpg", "image/jpeg", FACE_JPEG),
        ).parse("hikvision-anpr")
        assert event.kind is ObservationKind.PRESENCE
        kept = [getattr(event, one.name) for one in dataclasses.fields(event)]
        assert not any("canary" in str(value) for value in kept)
        assert event.picture == b""

    def test_two_documents_in_one_post_are_two_events(self) -> None:
        events = multipart(
            ("anpr.xml", "application/xml", HIKVISION_XML),
            ("anpr2.xml", "application/xml", fixture("hikvision_anpr_no_plate.xml")),
        ).parse("hikvision-anpr")
        assert [len(event.identifiers) for event in events] == [1, 0]

    @pytest.mark.parametrize(
        ("event_type", "state", "kind"),
        [
            ("linedetection", "active", ObservationKind.LINE_CROSSED),
            ("linedetection", "inactive", ObservationKind.HEARTBEAT),
            ("fielddetection", "active", ObservationKind.PRESENCE),
            ("parking", "active", ObservationKind.VEHICLE_STANDING),
            ("videoloss", "inactive", ObservationKind.HEARTBEAT),
            ("heartBeat", "active", ObservationKind.HEARTBEAT),
            ("somethingNew", "active", ObservationKind.HEARTBEAT),
        ],
    )
    def test_smart_events_have_their_kind(self, event_type: str, state: str, kind: ObservationKind) -> None:
        body = HIKVISION_XML.replace(b"<eventType>ANPR", f"<eventType>{event_type}".encode())
        body = body.replace(b"<eventState>active", f"<eventState>{state}".encode())
        (event,) = Sent("application/xml", body).parse("hikvision-anpr")
        assert (event.kind, event.identifiers) == (kind, ())

    def test_a_time_that_is_none_is_as_if_it_said_nothing(self) -> None:
        body = HIKVISION_XML.replace(b"2034-02-03T08:09:10+08:00", b"yesterday")
        assert Sent("application/xml", body).parse("hikvision-anpr")[0].device_time_ms == 0

    def test_seventeen_parts_are_refused(self) -> None:
        sent = multipart(*[("anpr.xml", "application/xml", HIKVISION_XML)] * 17)
        with pytest.raises(Refuse, match="16 parts"):
            sent.parse("hikvision-anpr")

    def test_deep_nesting_is_refused(self) -> None:
        body = b"<EventNotificationAlert>" + b"<a>" * 40 + b"</a>" * 40 + b"</EventNotificationAlert>"
        with pytest.raises(Refuse, match="deep"):
            Sent("application/xml", body).parse("hikvision-anpr")


class TestSmartEvents:
    """The adapter hikvision-events."""

    PARKING = fixture("hikvision_parking.xml")

    def sent(self, **changes: str) -> Sent:
        body = self.PARKING.decode()
        for name, value in changes.items():
            start, end = f"<{name}>", f"</{name}>"
            body = body[: body.index(start) + len(start)] + value + body[body.index(end) :]
        return Sent("application/xml", body.encode())

    @pytest.mark.parametrize(
        ("event_type", "state", "kind"),
        [
            ("linedetection", "active", ObservationKind.LINE_CROSSED),
            ("linedetection", "inactive", ObservationKind.HEARTBEAT),
            ("fielddetection", "active", ObservationKind.PRESENCE),
            ("fielddetection", "inactive", ObservationKind.HEARTBEAT),
            ("PIR", "active", ObservationKind.PRESENCE),
            ("parking", "active", ObservationKind.VEHICLE_STANDING),
            ("parking", "inactive", ObservationKind.VEHICLE_LEFT),
            ("videoloss", "inactive", ObservationKind.HEARTBEAT),
            ("videoloss", "active", ObservationKind.HEARTBEAT),
            ("heartBeat", "active", ObservationKind.HEARTBEAT),
            ("IO", "active", ObservationKind.HEARTBEAT),
            ("somethingNew", "active", ObservationKind.HEARTBEAT),
        ],
    )
    def test_events_are_told_from_heartbeats(
        self, event_type: str, state: str, kind: ObservationKind
    ) -> None:
        (event,) = self.sent(eventType=event_type, eventState=state).parse("hikvision-events")
        assert (event.kind, event.identifiers) == (kind, ())

    def test_who_stands_in_a_bay_is_known_by_the_bay_until_it_leaves(self) -> None:
        (stands,) = self.sent().parse("hikvision-events")
        (left,) = self.sent(eventState="inactive").parse("hikvision-events")
        assert stands.track_id == left.track_id == "region-3"

    @pytest.mark.parametrize("region", ["-1", "1e9", "冀R7K2Q9", "NaN"])
    def test_an_absurd_region_is_region_nought(self, region: str) -> None:
        (event,) = self.sent(regionID=region).parse("hikvision-events")
        assert event.track_id == "region-0"

    def test_a_camera_that_reads_plates_is_sent_to_the_other_adapter(self) -> None:
        with pytest.raises(Refuse, match="hikvision-anpr"):
            Sent("application/xml", HIKVISION_XML).parse("hikvision-events")

    def test_a_time_without_a_zone_is_taken_as_utc(self) -> None:
        (zoned,) = self.sent(dateTime="2026-03-04T05:06:07+08:00").parse("hikvision-events")
        (bare,) = self.sent(dateTime="2026-03-04T05:06:07").parse("hikvision-events")
        assert bare.device_time_ms - zoned.device_time_ms == 8 * 3_600_000

    def test_a_heartbeat_keeps_no_picture(self) -> None:
        (event,) = multipart(
            ("videoloss", "application/xml", self.sent(eventType="videoloss", eventState="inactive").body),
            ("detectionPicture.jpg", "image/jpeg", JPEG),
        ).parse("hikvision-events")
        assert event.picture == b""

    def test_a_face_event_leaves_nothing_of_the_face(self) -> None:
        (event,) = multipart(
            ("face.xml", "application/xml", fixture("hikvision_face.xml")),
            ("detectionPicture.jpg", "image/jpeg", FACE_JPEG),
        ).parse("hikvision-events")
        assert (event.kind, event.picture) == (ObservationKind.PRESENCE, b"")
        assert "canary" not in kept(event)
