"""Zigbee2MQTT: buttons, motion, contacts and vibration of a bridge's sensors.

A message holds a sensor's whole state, which the bridge repeats; an `action` is in it once, when it happened.
So only an action calls for help, and a state never does. Which sensor it was is not read: a bridge's
credential is one device (S3).
"""

from __future__ import annotations

from alerthub.domain.device_events import (
    LATEST_TIME_MS,
    CallKind,
    DeviceEvent,
    ObservationKind,
    payload_digest,
)
from services.gateway.adapters.fields import Fields, required
from services.gateway.adapters.reading import (
    AdapterContext,
    UnsupportedContent,
    content_type,
    json_value,
    time_ms_or_zero,
)

_CALLS = frozenset({"emergency", "panic", "sos"})
_PRESENCE_ACTIONS = frozenset({"vibration", "tilt", "drop"})
_PRESENCE = ("occupancy", "presence", "vibration")
_BRIDGE = "bridge"
_AVAILABILITY = "availability"
_COMMANDS = frozenset({"set", "get"})
_ONLINE = (b"online", b'"online"')


def parse(content_type_value: str, body: bytes, context: AdapterContext) -> list[DeviceEvent]:
    """The one event of a sensor's message; nothing for the bridge's own topics and for commands."""
    levels = context.topic
    if levels and (levels[0] == _BRIDGE or levels[-1] == _AVAILABILITY):
        states = levels[-1] in ("state", _AVAILABILITY)
        return [_heartbeat(body, levels)] if states and any(word in body for word in _ONLINE) else []
    if levels and levels[-1] in _COMMANDS:
        return []
    kind = content_type(content_type_value)
    if kind.media_type != "application/json":
        raise UnsupportedContent("content-type", "application/json")
    told = required(json_value(body, "body", kind.charset), "the state of a sensor")
    action = told.text("action").lower()
    call = CallKind.PANIC if action in _CALLS else None
    return [
        DeviceEvent(
            kind=ObservationKind.PRESENCE if call or _somebody(told, action) else ObservationKind.HEARTBEAT,
            device_time_ms=_time_ms(told),
            payload_digest=_digest(body, levels),
            call=call,
        )
    ]


def _somebody(told: Fields, action: str) -> bool:
    opened = told.has("contact") and told.is_false("contact")
    return opened or action in _PRESENCE_ACTIONS or any(told.is_true(name) for name in _PRESENCE)


def _time_ms(told: Fields) -> int:
    """`last_seen`, in either of the two forms that the bridge can be set to."""
    return told.whole("last_seen", maximum=LATEST_TIME_MS) or time_ms_or_zero(told.text("last_seen"))


def _heartbeat(body: bytes, levels: tuple[str, ...]) -> DeviceEvent:
    return DeviceEvent(ObservationKind.HEARTBEAT, 0, payload_digest=_digest(body, levels))


def _digest(body: bytes, levels: tuple[str, ...]) -> bytes:
    return payload_digest("/".join(levels).encode("utf-8", errors="surrogatepass"), body)
