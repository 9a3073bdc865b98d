"""What adapters share: bounded reading of text, numbers, times, JSON, XML and multipart bodies.

Everything here raises Refuse for input that it does not take, and its text repeats nothing of the input (S5).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from typing import NoReturn, TypeVar

from alerthub.domain.device_events import (
    LATEST_TIME_MS,
    MAXIMUM_EVENT_ID_CHARACTERS,
    ReadIdentifier,
)
from alerthub.domain.errors import Refuse
from alerthub.domain.identifiers import MAXIMUM_LENGTH, IdentifierKind, normalise

MAXIMUM_EVENTS = 256
"""Events of one request: as many as one batch on Kafka holds."""

_Event = TypeVar("_Event")
_MAXIMUM_HEADER = 512
_PARAMETER = re.compile(r""";\s*([A-Za-z]{1,20})\s*=\s*(?:"([^"]{0,200})"|([^;\s"]{0,200}))""")
_TRACK = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_COMPACT_TIME = re.compile(r"([0-9]{8})[ T]?([0-9]{6})([0-9]{0,3})")
_NOTHING = frozenset({"unknown", "unknow", "other", "none", "null"})
_CODECS = {
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "us-ascii": "ascii",
    "ascii": "ascii",
    # GB 18030 holds GB 2312 and GBK, and senders write the smaller names for the larger sets.
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "gb18030": "gb18030",
    "iso-8859-1": "latin-1",
    "utf-16": "utf-16",
}


class UnsupportedContent(Refuse):
    """The content type (or encoding) is none that the adapter reads (HTTP 415)."""


class TooLarge(Refuse):
    """More than the gateway takes at once (HTTP 413)."""


@dataclass(frozen=True, slots=True)
class AdapterContext:
    """What belongs to a request beside content type and body."""

    headers: Mapping[str, str] = field(default_factory=dict)
    """Names in lower case. CloudEvents in binary mode carry their attributes here."""
    topic: tuple[str, ...] = ()
    """By MQTT: the topic's levels below `LOGIN/ADAPTER/`."""


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


def number_or_zero(value: str, *, minimum: float = 0, maximum: float) -> float:
    """A number that a device wrote as text, if it is one from `minimum` to `maximum`; else 0, as if it said
    nothing."""
    if len(value) > 32:
        return 0.0
    try:
        number = float(value)
    except ValueError:
        return 0.0
    return number if math.isfinite(number) and minimum <= number <= maximum else 0.0


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


def compact_time_ms(value: str, *, zone: tzinfo = UTC) -> int:
    """Milliseconds since 1970 of `20260304050607`, with a space or milliseconds where a device writes them,
    in `zone`. 0 where the text is no such time."""
    found = _COMPACT_TIME.fullmatch(value)
    if found is None:
        return 0
    day, time, fraction_of_second = found.groups()
    try:
        moment = datetime.strptime(day + time, "%Y%m%d%H%M%S").replace(tzinfo=zone)
        milliseconds = round(moment.timestamp()) * 1000 + int(fraction_of_second.ljust(3, "0"))
    except (ValueError, OverflowError):
        return 0
    return milliseconds if 0 < milliseconds <= LATEST_TIME_MS else 0


def plate(value: str) -> tuple[ReadIdentifier, ...]:
    """The plate that a device wrote, if it names one: `noPlate`, `unknown` and their like do not."""
    return identifier(IdentifierKind.PLATE, value)


def identifier(kind: IdentifierKind, value: str) -> tuple[ReadIdentifier, ...]:
    """One identifier, or none where the text names nothing."""
    if len(value) > MAXIMUM_LENGTH or normalise(kind, value) is None:
        return ()
    return (ReadIdentifier(kind, value),)


def word(value: str) -> str:
    """A short word such as a colour; empty where it says nothing."""
    return "" if value.lower() in _NOTHING or len(value) > 32 or not value.isprintable() else value


def event_id(*parts: str, identifiers: Iterable[ReadIdentifier] = ()) -> str:
    """A device's own id of an event, from what makes it unique; empty where a part is missing or it does
    not fit.

    Empty too where it holds an identifier: ids go into the observation's id without a key, so that a reader
    of Kafka could try plates out. The payload's digest, which is keyed, counts then.
    """
    found = "#".join(parts)
    if not all(parts) or len(found) > MAXIMUM_EVENT_ID_CHARACTERS or not found.isprintable():
        return ""
    letters = _letters(found)
    return "" if any(_letters(read.text) in letters for read in identifiers) else found


def _letters(value: str) -> str:
    """Latin letters and digits: a file name holds no province character, and the rest would still tell."""
    return "".join(character for character in value.upper() if character.isascii() and character.isalnum())


def decoded(body: bytes, *charsets: str) -> str:
    """The text: in UTF-8, else in the first of `charsets` that is known and fits.

    Bytes that are valid UTF-8 are UTF-8, whatever was declared; others are never guessed, since another
    encoding would give another plate.
    """
    for codec in ["utf-8-sig", *(_CODECS[name] for name in charsets if name in _CODECS)]:
        try:
            return body.decode(codec)
        except UnicodeDecodeError:
            continue
    raise Refuse(
        "body",
        "text in the encoding that it declares: UTF-8, UTF-16, GB18030, GBK, GB2312 or ISO-8859-1",
    )


def json_value(body: bytes, name: str, charset: str = "") -> object:
    """The JSON text in `body` (RFC 8259: UTF-8, no NaN; or in the `charset` that came with it)."""
    try:
        return json.loads(decoded(body, charset), parse_constant=_no_constant)
    except (Refuse, ValueError, RecursionError):
        raise Refuse(name, "a JSON text in UTF-8") from None


def _no_constant(_: str) -> NoReturn:
    raise ValueError("JSON has no such number")


def bounded_events(events: list[_Event]) -> list[_Event]:
    """The events, read or not yet, if they are not too many for one request."""
    if len(events) > MAXIMUM_EVENTS:
        raise TooLarge("body", f"at most {MAXIMUM_EVENTS} events a request")
    return events
