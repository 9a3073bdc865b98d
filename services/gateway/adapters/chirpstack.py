"""ChirpStack v4, HTTP integration in JSON: uplinks that a codec decoded; every other event is a heartbeat.

Which device of the network it was is not read from the body: an integration's credential is one device of the
hub (S3).
"""

from __future__ import annotations

from alerthub.domain.device_events import DeviceEvent
from alerthub.domain.errors import Refuse
from services.gateway.adapters import lorawan
from services.gateway.adapters.fields import Fields, required
from services.gateway.adapters.reading import (
    AdapterContext,
    UnsupportedContent,
    content_type,
    json_value,
    time_ms_or_zero,
)

_NO_UPLINK = ("integrationName", "acknowledged", "queueItemId", "downlinkId", "level", "margin")
"""A field of each event that is none, of which some carry an `object` too."""


def parse(content_type_value: str, body: bytes, context: AdapterContext) -> list[DeviceEvent]:
    """What one event of the integration says."""
    kind = content_type(content_type_value)
    if kind.media_type != "application/json":
        raise UnsupportedContent("content-type", "application/json (encoding JSON of the integration)")
    told = required(json_value(body, "body", kind.charset), "an event of ChirpStack")
    if not told.has("deviceInfo"):
        raise Refuse("deviceInfo", "an event of ChirpStack v4")
    is_uplink = not any(told.has(name) for name in _NO_UPLINK)
    return lorawan.events(
        told.inside("object") if is_uplink else Fields(None),
        time_ms=time_ms_or_zero(told.text("time")),
        own_id=(told.text("deduplicationId"),),
        body=body,
        place=lorawan.place_of(told.inside("location")),
    )
