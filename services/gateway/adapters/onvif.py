"""ONVIF: notifications that were pulled or pushed (WS-BaseNotification in XML), the metadata stream, and
Profile M over MQTT in JSON, whose topics are `LOGIN/onvif-ej/TOPIC...` (events) and `LOGIN/onvif-mj/...`
(frames of a scene).

Which camera it was is not read: source tokens tell rules of one device apart, and a credential is one device
(S3).
"""

from __future__ import annotations

from alerthub.domain.device_events import DeviceEvent
from alerthub.domain.errors import Refuse
from services.gateway.adapters import xml
from services.gateway.adapters.fields import Fields, required
from services.gateway.adapters.notifications import (
    Frame,
    Notification,
    Seen,
    event_of,
    events_of_frame,
    from_xml,
    put_item,
)
from services.gateway.adapters.reading import (
    AdapterContext,
    UnsupportedContent,
    bounded_events,
    content_type,
    json_value,
    time_ms_or_zero,
)

_XML_TYPES = frozenset({"application/xml", "text/xml", "application/soap+xml"})
_SOURCE_MARK = "&"
"""Before the levels of an MQTT topic that name source and key."""
_SECTIONS = ("Source", "Key", "Data")


def parse(content_type_value: str, body: bytes, context: AdapterContext) -> list[DeviceEvent]:
    """One event for each notification and for each plate of a frame."""
    kind = content_type(content_type_value)
    if kind.media_type in _XML_TYPES:
        return events_in_xml(body, kind.charset)
    if kind.media_type != "application/json":
        raise UnsupportedContent("content-type", "application/soap+xml, application/xml or application/json")
    told = required(json_value(body, "body", kind.charset), "an event or a frame of ONVIF")
    if told.has("Frame"):
        frames = told.each("Frame")
        return bounded_events([event for frame in frames for event in events_of_frame(_frame(frame), body)])
    if not context.topic:
        raise Refuse("topic", "an event by MQTT, below LOGIN/onvif-ej/, or XML")
    return [event_of(_notification(told, context.topic))]


def events_in_xml(body: bytes, charset: str) -> list[DeviceEvent]:
    """The events of a document. One without any, such as an empty answer to a pull, is a heartbeat."""
    notifications, frames = from_xml(xml.decode(body, charset))
    events = [event_of(told) for told in notifications]
    for frame in frames:
        events += events_of_frame(frame, body)
    return bounded_events(events or events_of_frame(Frame(), body))


def _notification(told: Fields, levels: tuple[str, ...]) -> Notification:
    steps = []
    for level in levels:
        if level.startswith(_SOURCE_MARK):
            break
        steps.append(level)
    found = Notification(
        topic="/".join(steps)[: xml.MAXIMUM_TEXT],
        time_ms=time_ms_or_zero(told.text("UtcTime")),
        operation=told.text("PropertyOperation"),
        seen=_seen(told.inside("Data")),
    )
    for section in _SECTIONS:
        inside = told.inside(section)
        # Some cameras write the XML's items, others the items' names alone.
        for item in inside.each("SimpleItem"):
            put_item(found, section, item.text("Name"), item.text("Value") or _said(item, "Value"))
        for name in inside.names():
            put_item(found, section, name, inside.text(name) or _said(inside, name))
    return found


def _said(fields: Fields, name: str) -> str:
    return "true" if fields.is_true(name) else ""


def _frame(told: Fields) -> Frame:
    objects = []
    for one in told.each("Object"):
        seen = _seen(one.inside("Appearance"))
        seen.object_id = one.text("@ObjectId", maximum=20)
        objects.append(seen)
    return Frame(time_ms_or_zero(told.text("@UtcTime")), told.text("@Source"), objects)


def _seen(told: Fields) -> Seen:
    shown = told.inside("LicensePlateInfo")
    number = shown.inside("PlateNumber")
    brand = told.inside("VehicleInfo")
    return Seen(
        plate=number.text("#text") or shown.text("PlateNumber"),
        likelihood=number.number("@Likelihood", maximum=1),
        make=brand.inside("Brand").text("#text") or brand.text("Brand"),
    )
