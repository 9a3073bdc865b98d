"""How devices speak, one file each. Another protocol is another file and a line in this table."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from alerthub.domain.device_events import DeviceEvent
from services.gateway.adapters import (
    axis,
    axis_lpr,
    chirpstack,
    cloudevents,
    dahua,
    frigate,
    ga_t_1400,
    gb28181,
    hikvision_anpr,
    hikvision_events,
    onvif,
    openalpr,
    plate_recognizer,
    the_things_stack,
    zigbee2mqtt,
)
from services.gateway.adapters.reading import AdapterContext, TooLarge, UnsupportedContent

Parse = Callable[[str, bytes, AdapterContext], list[DeviceEvent]]
"""`parse(content_type, body, context)` gives what the device said, or raises Refuse naming the field at
fault.

It raises nothing else, whatever the body is, and keeps nothing that an event has no place for.
"""

ADAPTERS: Mapping[str, Parse] = {
    "axis": axis.parse,
    "axis-lpr": axis_lpr.parse,
    "chirpstack": chirpstack.parse,
    "cloudevents": cloudevents.parse,
    "dahua": dahua.parse,
    "frigate": frigate.parse,
    "ga-t-1400": ga_t_1400.parse,
    "gb28181": gb28181.parse,
    "hikvision-anpr": hikvision_anpr.parse,
    "hikvision-events": hikvision_events.parse,
    "onvif": onvif.parse,
    # The names that Profile M itself puts behind a device's prefix, which is its login.
    "onvif-ej": onvif.parse,
    "onvif-mj": onvif.parse,
    "openalpr": openalpr.parse,
    "plate-recognizer": plate_recognizer.parse,
    "the-things-stack": the_things_stack.parse,
    "zigbee2mqtt": zigbee2mqtt.parse,
}

__all__ = ["ADAPTERS", "AdapterContext", "Parse", "TooLarge", "UnsupportedContent"]
