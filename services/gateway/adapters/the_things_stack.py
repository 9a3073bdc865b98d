"""The Things Stack v3, webhook in JSON: uplinks that a payload formatter decoded; all else is a heartbeat.

Which end device it was is not read from the body: a webhook's credential is one device of the hub (S3). What
the console simulates says nothing at all. The place in its registry (`locations.user`) is nobody's position.
"""

from __future__ import annotations

from alerthub.domain.device_events import DeviceEvent
from alerthub.domain.errors import Refuse
from services.gateway.adapters import lorawan
from services.gateway.adapters.fields import required
from services.gateway.adapters.reading import (
    AdapterContext,
    UnsupportedContent,
    content_type,
    json_value,
    time_ms_or_zero,
)


def parse(content_type_value: str, body: bytes, context: AdapterContext) -> list[DeviceEvent]:
    """What one message of the webhook says; nothing where it was simulated."""
    kind = content_type(content_type_value)
    if kind.media_type != "application/json":
        raise UnsupportedContent("content-type", "application/json (format JSON of the webhook)")
    told = required(json_value(body, "body", kind.charset), "a message of The Things Stack")
    if not told.has("end_device_ids"):
        raise Refuse("end_device_ids", "a message of The Things Stack v3")
    if told.says_yes("simulated"):
        return []
    uplink = told.inside("uplink_message")
    session = uplink.text("session_key_id")
    solved = told.inside("location_solved", "location") or uplink.inside("locations", "frm-payload")
    return lorawan.events(
        uplink.inside("decoded_payload"),
        time_ms=time_ms_or_zero(uplink.text("received_at") or told.text("received_at")),
        # Nought is left out of what it sends.
        own_id=(session, uplink.text("f_cnt") or "0"),
        body=body,
        place=lorawan.place_of(solved),
    )
