"""Every adapter keeps one contract: events, or a refusal that names the field; never anything else,
whatever comes."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alerthub.domain.device_events import DeviceEvent, Direction, ObservationKind
from alerthub.domain.errors import Refuse
from alerthub.domain.identifiers import IdentifierKind, normalise
from services.gateway.adapters import ADAPTERS, AdapterContext, UnsupportedContent

FIXTURES = Path(__file__).with_name("fixtures")
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(range(256)) * 8
FACE_JPEG = b"\xff\xd8\xff\xe1canary-face" + bytes(256)
BOUNDARY = "-------------------------7e1397131"
PLATE = "冀R7K2Q9"
HOSTILE_XML = b"""<?xml version="1.0"?>
<!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol2 "&lol;&lol;&lol;"><!ENTITY x SYSTEM "file:///etc/passwd">]>
<EventNotificationAlert><eventType>ANPR</eventType><ANPR><licensePlate>&lol2;&x;</licensePlate></ANPR>
</EventNotificationAlert>"""


@dataclass(frozen=True)
class Sent:
    """A request as a device would send it."""

    content_type: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)

    def parse(self, adapter: str) -> list[DeviceEvent]:
        return ADAPTERS[adapter](self.content_type, self.body, AdapterContext(self.headers))


def fixture(name: str) -> bytes:
    return (FIXTURES / name).read_bytes()


def multipart(*parts: tuple[str, str, bytes], newline: bytes = b"\r\n", close: bool = True) -> Sent:
    body = b""
    for name, media_type, content in parts:
        header = f'--{BOUNDARY}\nContent-Disposition: form-data; name="{name}";filename="{name}"\n'
        header += f"Content-Type: {media_type}\nContent-Length: {len(content)}\n\n"
        body += header.encode().replace(b"\n", newline) + content + newline
    if close:
        body += f"--{BOUNDARY}--".encode() + newline
    return Sent(f"multipart/form-data; boundary={BOUNDARY}", body)


def in_binary_mode(event: bytes) -> Sent:
    attributes = json.loads(event)
    data = json.dumps(attributes.pop("data"), ensure_ascii=False).encode()
    headers = {f"ce-{name}": value for name, value in attributes.items() if name != "datacontenttype"}
    return Sent("application/json", data, headers)


def cloud_event(**changes: object) -> Sent:
    """The good event with changed attributes; `data` is merged, None removes."""
    event = json.loads(fixture("cloudevents_read.json"))
    event["data"] |= changes.pop("data", {})
    event |= changes
    event = {name: value for name, value in event.items() if value is not None}
    return Sent("application/cloudevents+json", json.dumps(event).encode())


HIKVISION_XML = fixture("hikvision_anpr.xml")
GOOD: dict[str, tuple[str, Sent]] = {
    "hikvision multipart": (
        "hikvision-anpr",
        multipart(("anpr.xml", 'application/xml; charset="UTF-8"', HIKVISION_XML)),
    ),
    "hikvision multipart with LF only": (
        "hikvision-anpr",
        multipart(("anpr.xml", "text/xml", HIKVISION_XML), newline=b"\n"),
    ),
    "hikvision multipart that is never closed": (
        "hikvision-anpr",
        multipart(("anpr.xml", "application/xml", HIKVISION_XML), close=False),
    ),
    "hikvision multipart whose boundary is only in the body": (
        "hikvision-anpr",
        dataclasses.replace(
            multipart(("anpr.xml", "application/xml", HIKVISION_XML)), content_type="multipart/form-data"
        ),
    ),
    "hikvision XML": ("hikvision-anpr", Sent('application/xml; charset="UTF-8"', HIKVISION_XML)),
    "hikvision XML without a namespace": (
        "hikvision-anpr",
        Sent(
            "text/xml",
            HIKVISION_XML.replace(b' xmlns="http://www.isapi.org/ver20/XMLSchema"', b""),
        ),
    ),
    "hikvision XML in GB 2312": (
        "hikvision-anpr",
        Sent(
            "application/xml",
            HIKVISION_XML.decode().replace('encoding="utf-8"', 'encoding="GB2312"').encode("gb18030"),
        ),
    ),
    "cloudevents structured": (
        "cloudevents",
        Sent("application/cloudevents+json; charset=UTF-8", fixture("cloudevents_read.json")),
    ),
    "cloudevents batch": (
        "cloudevents",
        Sent("application/cloudevents-batch+json", b"[" + fixture("cloudevents_read.json") + b"]"),
    ),
    "cloudevents binary": ("cloudevents", in_binary_mode(fixture("cloudevents_read.json"))),
    "cloudevents as plain JSON": ("cloudevents", Sent("application/json", fixture("cloudevents_read.json"))),
}

good = pytest.mark.parametrize(("adapter", "sent"), GOOD.values(), ids=GOOD.keys())


def outcome_of(adapter: str, sent: Sent) -> list[DeviceEvent] | Refuse:
    try:
        return sent.parse(adapter)
    except Refuse as refusal:
        return refusal


def events_or_refusal(adapter: str, sent: Sent) -> list[DeviceEvent] | Refuse:
    """What the contract allows; anything else that is raised fails the test."""
    outcome = outcome_of(adapter, sent)
    if isinstance(outcome, Refuse):
        assert outcome.field
        assert outcome.expected
        return outcome
    for event in outcome:
        assert 0 <= event.device_time_ms < 2**53
        assert 0 <= event.read_confidence <= 1
        assert 0 <= event.lane <= 64
        assert len(event.identifiers) <= 8
        assert event.event_id or event.payload_digest
        # Everything must survive the wire: no lone surrogates.
        for text in (event.event_id, event.track_id, event.make, event.colour, event.plate_colour):
            text.encode()
    return outcome


@good
def test_a_good_payload_gives_the_read(adapter: str, sent: Sent) -> None:
    (event,) = sent.parse(adapter)
    (read,) = event.identifiers
    assert event.kind is ObservationKind.IDENTIFIER_READ
    assert (read.kind, normalise(read.kind, read.text)) == (IdentifierKind.PLATE, PLATE)
    assert (event.direction, event.lane, event.colour, event.plate_colour) == (
        Direction.APPROACHING,
        2,
        "white",
        "blue",
    )
    assert event.read_confidence == pytest.approx(0.83)


@good
def test_the_devices_own_id_is_the_events_id(adapter: str, sent: Sent) -> None:
    assert sent.parse(adapter)[0].event_id in (
        "5a1e8f3c-1dd2-11b2-9c0b-0a0b0c0d0e0f",
        "/camera/north-gate#evt-000017",
    )


@good
def test_a_wrong_clock_is_taken_as_it_is(adapter: str, sent: Sent) -> None:
    # 2034-02-03T08:09:10+08:00; whose clock is years ahead is for the learnt offset to say.
    assert sent.parse(adapter)[0].device_time_ms // 1000 == 2_022_538_150


@good
def test_a_wrong_encoding_is_refused(adapter: str, sent: Sent) -> None:
    changed = sent.body.replace("蓝冀".encode(), b"\xff\xfe\xfd").replace(
        "蓝冀".encode("gb18030"), b"\xff\xff\xff"
    )
    changed = changed.replace(rb"\u84dd\u5180", b"\xff\xfe\xfd")
    assert changed != sent.body
    assert isinstance(events_or_refusal(adapter, dataclasses.replace(sent, body=changed)), Refuse)


@good
def test_every_truncation_gives_events_or_a_refusal(adapter: str, sent: Sent) -> None:
    for length in range(0, len(sent.body), 7):
        events_or_refusal(adapter, dataclasses.replace(sent, body=sent.body[:length]))


@good
def test_half_of_a_payload_is_refused(adapter: str, sent: Sent) -> None:
    half = dataclasses.replace(sent, body=sent.body[: len(sent.body) // 2])
    assert isinstance(events_or_refusal(adapter, half), Refuse)


@good
def test_ten_megabytes_are_read_without_harm(adapter: str, sent: Sent) -> None:
    # The HTTP edge refuses more than 4 MiB before an adapter sees it.
    events_or_refusal(adapter, dataclasses.replace(sent, body=sent.body + b"<a>" * 3_500_000))
    events_or_refusal(adapter, dataclasses.replace(sent, body=b"[" * 10_000_000))


@good
def test_a_hostile_entity_is_refused(adapter: str, sent: Sent) -> None:
    hostile = dataclasses.replace(sent, body=sent.body.replace(HIKVISION_XML, HOSTILE_XML))
    if hostile.body == sent.body:
        hostile = dataclasses.replace(sent, body=HOSTILE_XML)
    assert isinstance(events_or_refusal(adapter, hostile), Refuse)


@good
def test_no_plate_is_a_read_without_an_identifier(adapter: str, sent: Sent) -> None:
    body = sent.body.replace("蓝冀R7K2Q9".encode(), b"noPlate").replace(
        "蓝冀R7K2Q9".encode("gb18030"), b"noPlate"
    )
    (event,) = dataclasses.replace(sent, body=body).parse(adapter)
    assert (event.kind, event.identifiers) == (ObservationKind.IDENTIFIER_READ, ())


@pytest.mark.parametrize("adapter", ADAPTERS)
@pytest.mark.parametrize(
    "content_type", ["image/jpeg", "application/octet-stream", "x" * 5000, "a/b; boundary"]
)
def test_another_content_type_is_unsupported(adapter: str, content_type: str) -> None:
    with pytest.raises(UnsupportedContent):
        Sent(content_type, b"{}").parse(adapter)


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_a_refusal_repeats_nothing_of_the_payload(adapter: str) -> None:
    for sent in (
        Sent("application/json", json.dumps({"specversion": PLATE, "type": PLATE, "data": PLATE}).encode()),
        Sent("application/xml", f"<{PLATE}><eventType>{PLATE}</eventType>".encode()),
        Sent(f"multipart/form-data; boundary={PLATE}", PLATE.encode()),
    ):
        refusal = events_or_refusal(adapter, sent)
        assert isinstance(refusal, Refuse)
        assert PLATE not in str(refusal)


def test_the_representation_of_an_event_shows_no_plate() -> None:
    for adapter, sent in GOOD.values():
        assert PLATE not in repr(sent.parse(adapter))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_mutated_payloads_give_events_or_a_refusal(data: st.DataObject) -> None:
    adapter, sent = data.draw(st.sampled_from(list(GOOD.values())))
    body = sent.body
    for _ in range(data.draw(st.integers(1, 4))):
        body = data.draw(mutations)(body, data.draw)
    events_or_refusal(adapter, dataclasses.replace(sent, body=body))


Draw = Callable[..., object]


def _truncated(body: bytes, draw: Draw) -> bytes:
    return body[: int(str(draw(st.integers(0, len(body)))))]


def _dropped(body: bytes, draw: Draw) -> bytes:
    start = int(str(draw(st.integers(0, len(body)))))
    return body[:start] + body[start + int(str(draw(st.integers(1, 200)))) :]


def _inserted(body: bytes, draw: Draw) -> bytes:
    start = int(str(draw(st.integers(0, len(body)))))
    added = draw(st.one_of(st.binary(max_size=40), st.sampled_from(_NASTY)))
    assert isinstance(added, bytes)
    return body[:start] + added + body[start:]


def _absurd_numbers(body: bytes, draw: Draw) -> bytes:
    old = draw(st.sampled_from([b"83", b"0.83", b"2", b"2034", b"08:09:10", b"+08:00", b"1.0"]))
    new = draw(
        st.sampled_from([b"-1", b"1e999", b"NaN", b"9" * 400, b"99999999999999999999", b"", b"0x7f", b"null"])
    )
    assert isinstance(old, bytes)
    assert isinstance(new, bytes)
    return body.replace(old, new)


_NASTY = [
    b"\x00",
    b'"\\ud800"',
    b"\xed\xa0\x80",
    b"<!ENTITY a 'b'>",
    b"&#xD800;",
    b"&#0;",
    b"--" + BOUNDARY.encode(),
    b"\r\n\r\n",
    "\u202e\ufeff".encode(),
    b"[" * 2000,
    b"]]>",
]
mutations = st.sampled_from([_truncated, _dropped, _inserted, _absurd_numbers])


@settings(max_examples=100, deadline=None)
@given(
    content_type=st.one_of(
        st.text(max_size=60),
        st.sampled_from([sent.content_type for _, sent in GOOD.values()]),
        st.just("multipart/form-data; charset*=x'y'z; boundary*0=a"),
    ),
    body=st.one_of(st.binary(max_size=400), st.sampled_from([sent.body for _, sent in GOOD.values()])),
    adapter=st.sampled_from(sorted(ADAPTERS)),
)
def test_any_bytes_give_events_or_a_refusal(content_type: str, body: bytes, adapter: str) -> None:
    events_or_refusal(adapter, Sent(content_type, body))


class TestHikvision:
    """What only these cameras do."""

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


class TestCloudEvents:
    """What only CloudEvents do."""

    @pytest.mark.parametrize(
        ("changes", "field_name"),
        [
            ({"specversion": "0.3"}, "specversion"),
            ({"id": None}, "id"),
            ({"source": ""}, "source"),
            ({"type": "com.example.other"}, "type"),
            ({"time": "soon"}, "time"),
            ({"data": {"plate": 7}}, "data.plate"),
            ({"data": {"confidence": 83}}, "data.confidence"),
            ({"data": {"confidence": True}}, "data.confidence"),
            ({"data": {"lane": 2.5}}, "data.lane"),
            ({"data": {"direction": "north"}}, "data.direction"),
            ({"data": {"picture": "not base64!"}}, "data.picture"),
            ({"data": {"picture": "aGVsbG8="}}, "data.picture"),
            ({"data": {"track": "冀R7K2Q9"}}, "data.track"),
            ({"data": {"make": "a\nb"}}, "data.make"),
            ({"type": "alerthub.vehicle.standing", "data": {"plate": None}}, "data.track"),
        ],
    )
    def test_a_wrong_field_is_named(self, changes: dict[str, object], field_name: str) -> None:
        with pytest.raises(Refuse) as refused:
            cloud_event(**changes).parse("cloudevents")
        assert refused.value.field == field_name

    def test_a_wrong_field_in_a_batch_is_named_with_its_place(self) -> None:
        wrong = cloud_event(data={"lane": -1})
        body = b"[" + fixture("cloudevents_read.json") + b"," + wrong.body + b"]"
        with pytest.raises(Refuse) as refused:
            Sent("application/cloudevents-batch+json", body).parse("cloudevents")
        assert refused.value.field == "[1].data.lane"

    def test_a_batch_of_257_is_too_large(self) -> None:
        body = b"[" + b",".join([fixture("cloudevents_read.json")] * 257) + b"]"
        with pytest.raises(Refuse, match="256 events"):
            Sent("application/cloudevents-batch+json", body).parse("cloudevents")

    @pytest.mark.parametrize("kind", ["panic", "escort", "service"])
    def test_a_call_has_no_identifiers(self, kind: str) -> None:
        (event,) = cloud_event(type=f"alerthub.call.{kind}").parse("cloudevents")
        assert event.call is not None
        assert event.identifiers == ()

    def test_features_in_the_data_are_kept_nowhere(self) -> None:
        (event,) = cloud_event(data={"face": "canary", "gait": {"vector": ["canary"]}}).parse("cloudevents")
        assert not any("canary" in str(getattr(event, one.name)) for one in dataclasses.fields(event))

    def test_document_and_tag_are_read_too(self) -> None:
        (event,) = cloud_event(data={"document": "11010519491231002X", "tag": "02:00:00:00:00:07"}).parse(
            "cloudevents"
        )
        assert [read.kind for read in event.identifiers] == list(IdentifierKind)

    def test_the_device_is_never_taken_from_the_body(self) -> None:
        (event,) = cloud_event(device_id="another", subject="another").parse("cloudevents")
        assert "another" not in str([getattr(event, one.name) for one in dataclasses.fields(event)])
