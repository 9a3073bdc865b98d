"""Axis cameras: Object Analytics, Fence Guard, Loitering Guard, motion and PIR, as the metadata stream has
them (XML) and as the camera publishes them by MQTT (JSON with topic and message).

Plates go to `axis-lpr`. What a scenario took its object for (`human`, `car`) is not kept.
"""

from __future__ import annotations

from alerthub.domain.device_events import LATEST_TIME_MS, DeviceEvent
from alerthub.domain.errors import Refuse
from services.gateway.adapters.fields import required
from services.gateway.adapters.notifications import Notification, event_of, put_item
from services.gateway.adapters.onvif import events_in_xml
from services.gateway.adapters.reading import (
    AdapterContext,
    UnsupportedContent,
    content_type,
    json_value,
)

_MAXIMUM_TOPIC = 200
_SECTIONS = (("source", "Source"), ("key", "Key"), ("data", "Data"))


def parse(content_type_value: str, body: bytes, context: AdapterContext) -> list[DeviceEvent]:
    """The one event of an MQTT message, or those of a piece of the metadata stream."""
    kind = content_type(content_type_value)
    if kind.media_type in ("application/xml", "text/xml"):
        return events_in_xml(body, kind.charset)
    if kind.media_type != "application/json":
        raise UnsupportedContent("content-type", "application/json or application/xml")
    told = required(json_value(body, "body", kind.charset), "an event of the camera")
    topic = told.text("topic", maximum=_MAXIMUM_TOPIC)
    if not topic or not told.has("message"):
        raise Refuse("topic", "an event with topic and message, as the camera's MQTT client publishes it")
    found = Notification(topic=topic, time_ms=told.whole("timestamp", maximum=LATEST_TIME_MS))
    for name, section in _SECTIONS:
        inside = told.inside("message").inside(name)
        for item in inside.names():
            put_item(found, section, item, inside.text(item))
    return [event_of(found)]
