"""What devices send, as the contract test takes it: one line a form of a make, with what is expected of it.

Every payload under `fixtures/` is invented, in the shape that the make sends.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path

from alerthub.domain.device_events import CallKind, DeviceEvent, Direction, ObservationKind
from alerthub.domain.identifiers import IdentifierKind
from services.gateway.adapters import ADAPTERS, AdapterContext

FIXTURES = Path(__file__).with_name("fixtures")
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(range(256)) * 8
FACE_JPEG = b"\xff\xd8\xff\xe1canary-face" + bytes(256)
BOUNDARY = "-------------------------7e1397131"
PLATE = "冀R7K2Q9"
WRITTEN = "蓝冀R7K2Q9"
"""As the fixtures have it: with the colour before the number."""
WRONG_CLOCK_S = 2_022_538_150
"""2034-02-03T08:09:10+08:00, which the fixtures' devices take for now."""


@dataclass(frozen=True)
class Sent:
    """A request as a device would send it."""

    content_type: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    topic: tuple[str, ...] = ()

    def parse(self, adapter: str) -> list[DeviceEvent]:
        return ADAPTERS[adapter](self.content_type, self.body, AdapterContext(self.headers, self.topic))

    def replaced(self, old: str, new: bytes) -> Sent:
        """With the text gone, in whichever encoding it is there; stated lengths hold."""
        body = self.body
        for written in _written(old):
            body = body.replace(written, new.ljust(len(written)))
        assert body != self.body
        return dataclasses.replace(self, body=body)

    def until(self, text: str) -> Sent:
        """Ending before the text, as where the line broke."""
        end = min(at for written in _written(text) if (at := self.body.find(written)) >= 0)
        return dataclasses.replace(self, body=self.body[:end])


def _written(text: str) -> tuple[bytes, ...]:
    return text.encode(), text.encode("gb18030"), json.dumps(text).strip('"').encode()


@dataclass(frozen=True)
class Case:
    """A good payload and what it says."""

    name: str
    adapter: str
    sent: Sent
    kind: ObservationKind = ObservationKind.IDENTIFIER_READ
    identifier: tuple[IdentifierKind, str] | None = (IdentifierKind.PLATE, PLATE)
    event_id: str = ""
    confidence: float = 0.83
    direction: Direction = Direction.APPROACHING
    lane: int = 2
    track: str = ""
    make: str = ""
    colour: str = "white"
    plate_colour: str = "blue"
    call: CallKind | None = None
    pictured: bool = False
    time_s: int = WRONG_CLOCK_S
    chinese: str = "蓝冀"
    """A text of the payload that a wrong encoding would spoil."""
    written: str = WRITTEN
    """The plate as it is in the payload."""

    def __str__(self) -> str:
        return self.name


def fixture(name: str) -> bytes:
    return (FIXTURES / name).read_bytes()


def multipart(
    *parts: tuple[str, str, bytes],
    newline: bytes = b"\r\n",
    close: bool = True,
    media_type: str = "multipart/form-data",
) -> Sent:
    body = b""
    for name, part_type, content in parts:
        header = f'--{BOUNDARY}\nContent-Disposition: form-data; name="{name}";filename="{name}"\n'
        header += f"Content-Type: {part_type}\nContent-Length: {len(content)}\n\n"
        body += header.encode().replace(b"\n", newline) + content + newline
    if close:
        body += f"--{BOUNDARY}--".encode() + newline
    return Sent(f"{media_type}; boundary={BOUNDARY}", body)


def changed(name: str, **changes: object) -> bytes:
    """A JSON fixture with fields set by their path, `data__results__0__plate`; None takes one away."""
    document = json.loads(fixture(name))
    for path, value in changes.items():
        *way, last = [int(step) if step.isdigit() else step for step in path.split("__")]
        inside = document
        for step in way:
            inside = inside[step]
        if value is None:
            del inside[last]
        else:
            inside[last] = value
    return json.dumps(document, ensure_ascii=False).encode()


def kept(event: DeviceEvent) -> str:
    """Everything that an event holds, to look for what must not be there."""
    return str([getattr(event, one.name) for one in dataclasses.fields(event)])


def in_binary_mode(event: bytes) -> Sent:
    attributes = json.loads(event)
    data = json.dumps(attributes.pop("data"), ensure_ascii=False).encode()
    headers = {f"ce-{name}": value for name, value in attributes.items() if name != "datacontenttype"}
    return Sent("application/json", data, headers)


HIKVISION_XML = fixture("hikvision_anpr.xml")
_HIKVISION = Case(
    "hikvision-anpr multipart",
    "hikvision-anpr",
    multipart(("anpr.xml", 'application/xml; charset="UTF-8"', HIKVISION_XML)),
    event_id="5a1e8f3c-1dd2-11b2-9c0b-0a0b0c0d0e0f",
)
_SMART = Case(
    "hikvision-events XML",
    "hikvision-events",
    Sent("application/xml", fixture("hikvision_parking.xml")),
    kind=ObservationKind.VEHICLE_STANDING,
    identifier=None,
    confidence=0,
    direction=Direction.UNSPECIFIED,
    lane=0,
    track="region-3",
    colour="",
    plate_colour="",
    chinese="北门",
)
_CLOUD = Case(
    "cloudevents structured",
    "cloudevents",
    Sent("application/cloudevents+json; charset=UTF-8", fixture("cloudevents_read.json")),
    event_id="/camera/north-gate#evt-000017",
    make="Geely",
)

_RECOGNIZER = Case(
    "plate-recognizer JSON",
    "plate-recognizer",
    Sent("application/json", fixture("plate_recognizer.json")),
    event_id="north-gate_screenshots/34-02-03/00-09-10.250113.jpg#0",
    direction=Direction.UNSPECIFIED,
    lane=0,
    make="Geely",
    plate_colour="",
    written="蓝冀r7k2q9",
)

_OPENALPR = Case(
    "openalpr group",
    "openalpr",
    Sent("application/json", fixture("openalpr_group.json")),
    event_id="EXAMPLE-1000-2022538149200",
    direction=Direction.UNSPECIFIED,
    lane=0,
    make="geely",
    plate_colour="",
    pictured=True,
)

DAHUA_TEXT = fixture("dahua_junction.txt").replace(b"\n", b"\r\n")
_DAHUA = Case(
    "dahua snapshot",
    "dahua",
    multipart(
        ("event", "text/plain", DAHUA_TEXT),
        ("scene.jpg", "image/jpeg", JPEG),
        media_type="multipart/x-mixed-replace",
    ),
    event_id="TrafficJunction#pulse#2022566950#4711#1",
    confidence=0.8,
    pictured=True,
)

_VIEW_LIBRARY = Case(
    "ga-t-1400 JSON",
    "ga-t-1400",
    Sent("application/VIID+JSON;charset=UTF-8", fixture("ga_t_1400_vehicle.json")),
    event_id="130000000011900000010220340203080910000170200017",
    direction=Direction.UNSPECIFIED,
    pictured=True,
)

_AXIS = Case(
    "axis-lpr JSON",
    "axis-lpr",
    Sent("application/json", fixture("axis_lpr.json")),
    event_id="1144007#2400017#2022538150250",
    track="car-1144007",
    make="Geely",
    plate_colour="",
)

_SENSOR = Case(
    "chirpstack panic button",
    "chirpstack",
    Sent("application/json", fixture("chirpstack_panic.json")),
    kind=ObservationKind.PRESENCE,
    identifier=None,
    event_id="11111111-2222-4333-8444-555555555555",
    confidence=0,
    direction=Direction.UNSPECIFIED,
    lane=0,
    colour="",
    plate_colour="",
    call=CallKind.PANIC,
    chinese="北门",
)


def _also(case: Case, name: str, sent: Sent, **changes: object) -> Case:
    return dataclasses.replace(case, name=f"{case.adapter} {name}", sent=sent, **changes)  # type: ignore[arg-type]


CASES = [
    _HIKVISION,
    _also(
        _HIKVISION,
        "multipart with LF only",
        multipart(("anpr.xml", "text/xml", HIKVISION_XML), newline=b"\n"),
    ),
    _also(
        _HIKVISION,
        "multipart that is never closed",
        multipart(("anpr.xml", "application/xml", HIKVISION_XML), close=False),
    ),
    _also(
        _HIKVISION,
        "multipart whose boundary is only in the body",
        dataclasses.replace(_HIKVISION.sent, content_type="multipart/form-data"),
    ),
    _also(_HIKVISION, "XML", Sent('application/xml; charset="UTF-8"', HIKVISION_XML)),
    _also(
        _HIKVISION,
        "XML without a namespace",
        Sent("text/xml", HIKVISION_XML.replace(b' xmlns="http://www.isapi.org/ver20/XMLSchema"', b"")),
    ),
    _also(
        _HIKVISION,
        "XML in GB 2312",
        Sent(
            "application/xml",
            HIKVISION_XML.decode().replace('encoding="utf-8"', 'encoding="GB2312"').encode("gb18030"),
        ),
    ),
    _SMART,
    _also(
        _SMART,
        "multipart with a picture",
        multipart(
            ("parking", "application/xml", fixture("hikvision_parking.xml")),
            ("detectionPicture.jpg", "image/jpeg", JPEG),
        ),
        pictured=True,
    ),
    _also(
        _SMART,
        "XML in GBK",
        Sent("text/xml; charset=gbk", fixture("hikvision_parking.xml").decode().encode("gbk")),
    ),
    _CLOUD,
    _also(
        _CLOUD,
        "batch",
        Sent("application/cloudevents-batch+json", b"[" + fixture("cloudevents_read.json") + b"]"),
    ),
    _also(_CLOUD, "binary", in_binary_mode(fixture("cloudevents_read.json"))),
    _also(_CLOUD, "as plain JSON", Sent("application/json", fixture("cloudevents_read.json"))),
    _RECOGNIZER,
    _also(
        _RECOGNIZER,
        "form with a picture",
        multipart(
            ("json", "application/json", fixture("plate_recognizer.json")), ("upload", "image/jpeg", JPEG)
        ),
        pictured=True,
    ),
    _OPENALPR,
    _also(
        _OPENALPR,
        "results",
        Sent("application/json; charset=utf-8", fixture("openalpr_results.json")),
        event_id="EXAMPLE-1000-2022538150250#0",
        make="",
        colour="",
        pictured=False,
    ),
    _DAHUA,
    _also(
        _DAHUA,
        "snapshot in GB 18030 without a picture, never closed",
        multipart(
            ("event", "text/plain; charset=GB18030", DAHUA_TEXT.decode().encode("gb18030")),
            media_type="multipart/mixed",
            close=False,
        ),
        pictured=False,
    ),
    _also(
        _DAHUA,
        "parking in JSON",
        Sent("application/json", fixture("dahua_parking.json")),
        kind=ObservationKind.VEHICLE_STANDING,
        event_id="ParkingDetection#start#2022566950#4712#1",
        track="object-816",
        pictured=False,
    ),
    _also(
        _DAHUA,
        "platform push in GBK",
        Sent("application/json; charset=gbk", fixture("dahua_platform.json").decode().encode("gbk")),
        event_id="",
        confidence=0,
        direction=Direction.UNSPECIFIED,
    ),
    _VIEW_LIBRARY,
    _also(
        _VIEW_LIBRARY,
        "JSON in GB 2312",
        Sent(
            "application/json; charset=GB2312",
            fixture("ga_t_1400_vehicle.json").decode().encode("gb18030"),
        ),
    ),
    _AXIS,
    _also(
        _AXIS,
        "form with a picture",
        multipart(("event", "application/json", fixture("axis_lpr.json")), ("image", "image/jpeg", JPEG)),
        pictured=True,
    ),
    _SENSOR,
    dataclasses.replace(
        _SENSOR,
        name="the-things-stack tag",
        adapter="the-things-stack",
        sent=Sent("application/json", fixture("the_things_stack_tag.json")),
        kind=ObservationKind.IDENTIFIER_READ,
        identifier=(IdentifierKind.TAG, "020000000007"),
        event_id="AXA50example+bCGMNw==#17",
        call=None,
    ),
]
