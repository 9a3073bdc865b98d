"""What ONVIF devices tell, whichever way it comes: notifications of a topic, and frames of a scene.

A notification has a topic and items (`Source`, `Key`, `Data`). One whose operation is `Initialized` tells a
state that was there before, on connecting, and is no event. A frame has objects, of which a plate is the one
thing taken: classes, faces, bodies and shapes are passed over (refusal 1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from alerthub.domain.device_events import DeviceEvent, ObservationKind, payload_digest
from alerthub.domain.errors import Refuse
from services.gateway.adapters import xml
from services.gateway.adapters.reading import (
    MAXIMUM_EVENTS,
    TooLarge,
    number_or_zero,
    plate,
    time_ms_or_zero,
    word,
)

_KINDS = {
    "ruleengine/linedetector/crossed": (ObservationKind.LINE_CROSSED, ""),
    "ruleengine/fielddetector/objectsinside": (ObservationKind.PRESENCE, "isinside"),
    "ruleengine/cellmotiondetector/motion": (ObservationKind.PRESENCE, "ismotion"),
    "ruleengine/motionregiondetector/motion": (ObservationKind.PRESENCE, "state"),
    "videosource/motionalarm": (ObservationKind.PRESENCE, "state"),
    "device/sensor/pir": (ObservationKind.PRESENCE, "state"),
    "cameraapplicationplatform/fenceguard": (ObservationKind.LINE_CROSSED, "active"),
    "cameraapplicationplatform/loiteringguard": (ObservationKind.PRESENCE, "active"),
    "cameraapplicationplatform/motionguard": (ObservationKind.PRESENCE, "active"),
    "cameraapplicationplatform/objectanalytics": (ObservationKind.PRESENCE, "active"),
    "cameraapplicationplatform/vmd": (ObservationKind.PRESENCE, "active"),
}
"""Topics without namespaces by what they mean, and the item that must be true; a rule's own name may follow.
Every other topic only says that the device is alive."""
_TRUE = frozenset({"true", "1", "active"})
_NO_EVENT = frozenset({"initialized", "deleted"})
_FACE = "face"
_SECTIONS = frozenset({"Source", "Key", "Data"})
_MAXIMUM_ITEMS = 64
_MAXIMUM_OBJECT_ID = 20


@dataclass(slots=True)
class Seen:
    """An object of a frame, or of a notification: its plate, if it shows one."""

    object_id: str = ""
    plate: str = field(default="", repr=False)
    likelihood: float = 0.0
    make: str = ""


@dataclass(slots=True)
class Notification:
    """One message about a topic. Names of items are in lower case."""

    topic: str = ""
    time_ms: int = 0
    operation: str = ""
    data: dict[str, str] = field(default_factory=dict)
    seen: Seen = field(default_factory=Seen)

    @property
    def path(self) -> str:
        """The topic without namespaces, in lower case: `ruleengine/linedetector/crossed`."""
        return "/".join(step.strip().rpartition(":")[2] for step in self.topic.split("/")).lower()

    def digest(self) -> bytes:
        """Of what it says, so that it is the same event in whatever post it comes again."""
        items = sorted(f"{name}={value}" for name, value in self.data.items())
        said = (self.topic, str(self.time_ms), self.operation, self.seen.plate, *items)
        return payload_digest(*(part.encode("utf-8", errors="surrogatepass") for part in said))


@dataclass(slots=True)
class Frame:
    """What a scene showed at one moment."""

    time_ms: int = 0
    source: str = ""
    objects: list[Seen] = field(default_factory=list)


def event_of(told: Notification) -> DeviceEvent:
    """What a notification says."""
    kind = _kind(told)
    found = plate(told.seen.plate) if kind is ObservationKind.IDENTIFIER_READ else ()
    return DeviceEvent(
        kind=kind,
        device_time_ms=told.time_ms,
        payload_digest=told.digest(),
        identifiers=found,
        track_id=_track(told.seen.object_id or told.data.get("objectid", "")),
        read_confidence=told.seen.likelihood if found else 0.0,
        make=word(told.seen.make) if found else "",
    )


def events_of_frame(frame: Frame, body: bytes) -> list[DeviceEvent]:
    """One event for each plate; without one that somebody was there; without any object a heartbeat."""
    read = [
        DeviceEvent(
            kind=ObservationKind.IDENTIFIER_READ,
            device_time_ms=frame.time_ms,
            payload_digest=payload_digest(
                str(frame.time_ms).encode(), frame.source.encode(), seen.object_id.encode()
            ),
            # A read that names no plate still tells that a vehicle passed.
            identifiers=plate(seen.plate),
            track_id=_track(seen.object_id),
            read_confidence=seen.likelihood,
            make=word(seen.make),
        )
        for seen in frame.objects
        if seen.plate
    ]
    kind = ObservationKind.PRESENCE if frame.objects else ObservationKind.HEARTBEAT
    return read or [DeviceEvent(kind, frame.time_ms, payload_digest=payload_digest(body))]


def _kind(told: Notification) -> ObservationKind:
    path = told.path
    if told.operation.lower() in _NO_EVENT:
        return ObservationKind.HEARTBEAT
    if _FACE in path:
        return ObservationKind.PRESENCE
    if told.seen.plate:
        return ObservationKind.IDENTIFIER_READ
    for topic, (kind, state) in _KINDS.items():
        if path == topic or path.startswith(f"{topic}/"):
            happens = not state or told.data.get(state, "").lower() in _TRUE
            return kind if happens else ObservationKind.HEARTBEAT
    return ObservationKind.HEARTBEAT


def _track(object_id: str) -> str:
    known = object_id.isascii() and object_id.isdigit() and len(object_id) <= _MAXIMUM_OBJECT_ID
    return f"object-{object_id}" if known else ""


def from_xml(document: str) -> tuple[list[Notification], list[Frame]]:
    """The notifications and frames of a metadata stream, of a pulled answer or of a pushed `Notify`."""
    reader = _Reader()
    xml.feed(document, reader)
    if not reader.knows_root:
        raise Refuse("body", "MetadataStream, NotificationMessage or a SOAP envelope with them")
    return reader.notifications, reader.frames


class _Reader:
    """Collects notifications and frames, by names without prefixes."""

    def __init__(self) -> None:
        self.notifications: list[Notification] = []
        self.frames: list[Frame] = []
        self.knows_root = False
        self._path: list[str] = []
        self._elements = 0
        self._told: Notification | None = None
        self._frame: Frame | None = None
        self._seen: Seen | None = None
        self._parts: list[str] = []

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        self._elements += 1
        if self._elements > xml.MAXIMUM_ELEMENTS or len(self._path) >= xml.MAXIMUM_DEPTH:
            raise Refuse("body", f"at most {xml.MAXIMUM_ELEMENTS} elements, {xml.MAXIMUM_DEPTH} deep")
        if len(self.notifications) + len(self.frames) >= MAXIMUM_EVENTS:
            raise TooLarge("body", f"at most {MAXIMUM_EVENTS} messages")
        local = name.rpartition(":")[2]
        if not self._path:
            self.knows_root = local in ("MetadataStream", "Envelope", "NotificationMessage", "Notify")
        self._path.append(local)
        self._parts.clear()
        match local:
            case "NotificationMessage":
                self._told = Notification()
            case "Message" if self._told is not None and "UtcTime" in attributes:
                self._told.time_ms = time_ms_or_zero(attributes["UtcTime"])
                self._told.operation = attributes.get("PropertyOperation", "")[: xml.MAXIMUM_TEXT]
            case "SimpleItem" if self._told is not None:
                self._item(self._told, attributes)
            case "Frame":
                self._frame = Frame(
                    time_ms_or_zero(attributes.get("UtcTime", "")), attributes.get("Source", "")
                )
            case "Object" if self._frame is not None:
                self._seen = Seen(attributes.get("ObjectId", ""))
                if len(self._frame.objects) >= MAXIMUM_EVENTS:
                    raise TooLarge("body", f"at most {MAXIMUM_EVENTS} objects a frame")
                self._frame.objects.append(self._seen)
            case "PlateNumber":
                if (seen := self._shown()) is not None:
                    seen.likelihood = number_or_zero(attributes.get("Likelihood", ""), maximum=1)

    def text(self, data: str) -> None:
        self._parts.append(data)

    def end(self, name: str) -> None:
        local = self._path.pop()
        found = "".join(self._parts).strip()
        self._parts.clear()
        if len(found) > xml.MAXIMUM_TEXT:
            found = ""
        match local:
            case "Topic" if self._told is not None:
                self._told.topic = found
            case "PlateNumber" | "Brand":
                if (seen := self._shown()) is not None:
                    if local == "Brand":
                        seen.make = found
                    else:
                        seen.plate = seen.plate or found
            case "NotificationMessage" if self._told is not None:
                self.notifications.append(self._told)
                self._told = None
            case "Object":
                self._seen = None
            case "Frame" if self._frame is not None:
                self.frames.append(self._frame)
                self._frame = self._seen = None

    def _shown(self) -> Seen | None:
        """The object that is being told of: of a frame, else of a notification."""
        return self._seen or (self._told.seen if self._told is not None else None)

    def _item(self, told: Notification, attributes: Mapping[str, str]) -> None:
        section = next((step for step in reversed(self._path) if step in _SECTIONS), "")
        put_item(told, section, attributes.get("Name", ""), attributes.get("Value", ""))


def put_item(told: Notification, section: str, name: str, value: str) -> None:
    """Notes an item. Those of `Source` and `Key` only tell events apart."""
    if len(told.data) < _MAXIMUM_ITEMS and len(name) + len(value) <= xml.MAXIMUM_TEXT:
        key = name.lower() if section == "Data" else f"{section}.{name}".lower()
        told.data.setdefault(key, value)
