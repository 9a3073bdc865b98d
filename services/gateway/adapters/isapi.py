"""What both Hikvision adapters share: a post of EventNotificationAlert documents with pictures.

A camera posts the XML alone, or multipart with pictures. Element names are read without their namespace,
which firmware changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from alerthub.domain.device_events import payload_digest, picture_format
from alerthub.domain.errors import Refuse
from services.gateway.adapters import multipart, pictures, xml
from services.gateway.adapters.reading import UnsupportedContent, content_type, event_id, time_ms_or_zero

_XML_TYPES = frozenset({"application/xml", "text/xml", ""})


@dataclass(frozen=True, slots=True)
class Document:
    """One EventNotificationAlert."""

    values: Mapping[str, str] = field(repr=False)
    """The texts of leaves by their path below the root: `ANPR/licensePlate`."""
    digest: bytes = field(repr=False)
    parts: tuple[multipart.Part, ...] = field(repr=False)

    @property
    def event_type(self) -> str:
        return self.values["eventType"].lower()

    @property
    def ended(self) -> bool:
        """Whether the camera says that something is over, or that nothing is the matter (`videoloss`)."""
        return self.values.get("eventState", "").lower() == "inactive"

    @property
    def time_ms(self) -> int:
        return time_ms_or_zero(self.values.get("dateTime", ""))

    @property
    def own_id(self) -> str:
        return event_id(self.values.get("UUID", ""))

    def picture(self) -> bytes:
        """The picture to keep as evidence."""
        return pictures.chosen(self.parts)


def documents(content_type_value: str, body: bytes) -> list[Document]:
    """The documents of one post, each with the pictures that followed or preceded it."""
    kind = content_type(content_type_value)
    if kind.media_type.startswith("multipart/"):
        return _parts(multipart.split(body, kind.boundary))
    if kind.media_type in _XML_TYPES:
        return [_document(body, kind.charset, [])]
    raise UnsupportedContent("content-type", "multipart/form-data, application/xml or text/xml")


def _parts(parts: list[multipart.Part]) -> list[Document]:
    found: list[Document] = []
    document: multipart.Part | None = None
    shown: list[multipart.Part] = []
    for part in parts:
        if picture_format(part.content) is not None or part.media_type.startswith("image/"):
            shown.append(part)
        elif part.media_type in ("application/xml", "text/xml") or part.content.lstrip()[:1] == b"<":
            if document is not None:
                found.append(_document(document.content, document.charset, shown))
                shown = []
            document = part
    if document is None:
        raise Refuse("body", "a part that holds an EventNotificationAlert in XML")
    found.append(_document(document.content, document.charset, shown))
    return found


def _document(body: bytes, charset: str, shown: list[multipart.Part]) -> Document:
    root, values = xml.read(xml.decode(body, charset))
    if root != "EventNotificationAlert":
        raise Refuse("body", "an EventNotificationAlert")
    if not values.get("eventType"):
        raise Refuse("eventType", "the type of the event, such as ANPR")
    return Document(values, payload_digest(body), tuple(shown))
