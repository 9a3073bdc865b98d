"""How devices speak, one file each. Another protocol is another file and a line in this table."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from alerthub.domain.device_events import DeviceEvent
from services.gateway.adapters import (
    axis_lpr,
    chirpstack,
    cloudevents,
    dahua,
    ga_t_1400,
    hikvision_anpr,
    hikvision_events,
    openalpr,
    plate_recognizer,
    the_things_stack,
)
from services.gateway.adapters.reading import AdapterContext, TooLarge, UnsupportedContent

Parse = Callable[[str, bytes, AdapterContext], list[DeviceEvent]]
"""`parse(content_type, body, context)` gives what the device said, or raises Refuse naming the field at
fault.

It raises nothing else, whatever the body is, and keeps nothing that an event has no place for.
"""

ADAPTERS: Mapping[str, Parse] = {
    "axis-lpr": axis_lpr.parse,
    "chirpstack": chirpstack.parse,
    "cloudevents": cloudevents.parse,
    "dahua": dahua.parse,
    "ga-t-1400": ga_t_1400.parse,
    "hikvision-anpr": hikvision_anpr.parse,
    "hikvision-events": hikvision_events.parse,
    "openalpr": openalpr.parse,
    "plate-recognizer": plate_recognizer.parse,
    "the-things-stack": the_things_stack.parse,
}

__all__ = ["ADAPTERS", "AdapterContext", "Parse", "TooLarge", "UnsupportedContent"]
