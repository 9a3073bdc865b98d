"""What adapters share: bounded reading of text, numbers, times, JSON, XML and multipart bodies.

Everything here raises Refuse for input that it does not take, and its text repeats nothing of the input (S5).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import NoReturn

from alerthub.domain.device_events import LATEST_TIME_MS, DeviceEvent
from alerthub.domain.errors import Refuse

MAXIMUM_EVENTS = 256
"""Events of one request: as many as one batch on Kafka holds."""

_MAXIMUM_HEADER = 512
_PARAMETER = re.compile(r""";\s*([A-Za-z]{1,20})\s*=\s*(?:"([^"]{0,200})"|([^;\s"]{0,200}))""")
_TRACK = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


class UnsupportedContent(Refuse):
    """The content type (or encoding) is none that the adapter reads (HTTP 415)."""


class TooLarge(Refuse):
    """More than the gateway takes at once (HTTP 413)."""


@dataclass(frozen=True, slots=True)
class AdapterContext:
    """What belongs to a request beside content type and body."""

    headers: Mapping[str, str] = field(default_factory=dict)
    """Names in lower case. CloudEvents in binary mode carry their attributes here."""


@dataclass(frozen=True, slots=True)
class ContentType:
    """A parsed Content-Type: the media type in lower case and the parameters that matter."""

    media_type: str
    charset: str = ""
    boundary: str = ""


@lru_cache(maxsize=256)
def content_type(value: str) -> ContentType:
    """Reads a Content-Type header. An absent one gives an empty media type, an over-long one `unreadable`."""
    if len(value) > _MAXIMUM_HEADER:
        return ContentType("unreadable")
    named = {name.lower(): quoted or bare for name, quoted, bare in _PARAMETER.findall(value)}
    media_type = value.partition(";")[0].strip().lower()
    return ContentType(media_type, named.get("charset", "").lower(), named.get("boundary", ""))


def text(value: object, name: str, *, maximum: int) -> str:
    """A text of at most `maximum` characters without control characters; absent or null: empty."""
    if value is None or value == "":
        return ""
    if not isinstance(value, str) or len(value) > maximum or not value.isprintable():
        raise Refuse(name, f"a text of at most {maximum} printable characters")
    return value


def track(value: object, name: str) -> str:
    """A device's name for what it follows. No letters beyond ASCII: no Chinese plate fits in it."""
    found = text(value, name, maximum=64)
    if found and _TRACK.fullmatch(found) is None:
        raise Refuse(name, "1 to 64 letters, digits and _ . : -")
    return found


def fraction(value: object, name: str) -> float:
    """A number from 0 to 1; absent or null: 0."""
    if value is None:
        return 0.0
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise Refuse(name, "a number from 0 to 1")
    return float(value)


def whole(value: object, name: str, *, maximum: int) -> int:
    """A whole number from 0 to `maximum`; absent or null: 0."""
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= maximum:
        raise Refuse(name, f"a whole number from 0 to {maximum}")
    return value


def number_or_zero(value: str, *, maximum: float) -> float:
    """A number that a device wrote as text, if it is one from 0 to `maximum`; else 0, as if it said
    nothing."""
    if len(value) > 32:
        return 0.0
    try:
        number = float(value)
    except ValueError:
        return 0.0
    return number if math.isfinite(number) and 0 <= number <= maximum else 0.0


def time_ms_or_zero(value: str) -> int:
    """Milliseconds since 1970 of an ISO 8601 time; without an offset UTC is assumed, which the learnt clock
    corrects. 0 where the text is no time, or one before 1970."""
    if not 10 <= len(value) <= 40:
        return 0
    try:
        moment = datetime.fromisoformat(value.strip())
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        milliseconds = round(moment.timestamp() * 1000)
    except (ValueError, OverflowError):
        return 0
    return milliseconds if 0 < milliseconds <= LATEST_TIME_MS else 0


def json_value(body: bytes, name: str) -> object:
    """The JSON text in `body` (UTF-8, RFC 8259: no NaN)."""
    try:
        return json.loads(body.decode("utf-8-sig"), parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise Refuse(name, "a JSON text in UTF-8") from None


def _no_constant(_: str) -> NoReturn:
    raise ValueError("JSON has no such number")


def bounded_events(events: list[DeviceEvent]) -> list[DeviceEvent]:
    """The events, if they are not too many for one request."""
    if len(events) > MAXIMUM_EVENTS:
        raise TooLarge("body", f"at most {MAXIMUM_EVENTS} events a request")
    return events
