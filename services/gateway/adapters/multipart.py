"""Multipart bodies as cameras send them.

Firmware ends lines with LF alone, forgets the closing delimiter, and states lengths that are wrong, so this
reads by delimiters and takes lengths as a check only. RFC 2046, section 5.1, is the form meant.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from alerthub.domain.errors import Refuse
from services.gateway.adapters.reading import content_type

MAXIMUM_PARTS = 16
_MAXIMUM_HEADER_BYTES = 4_096
_NAME = re.compile(r"""(?i)\b(?:file)?name\s*=\s*(?:"([^"]{0,200})"|([^;\s]{1,200}))""")
_BLANK_LINE = re.compile(rb"\r?\n\r?\n")


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a body."""

    names: tuple[str, ...]
    """Name and file name, in lower case."""
    media_type: str
    charset: str
    content: bytes = field(repr=False)
    complete: bool
    """A delimiter followed it, or it is as long as it said."""


def boundary_of(body: bytes) -> str:
    """The boundary that a body's first line shows; empty where it shows none."""
    line = body[:256].lstrip().split(b"\n", 1)[0].rstrip(b"\r ")
    if not line.startswith(b"--") or not 3 <= len(line) <= 202:
        return ""
    return line[2:].decode("ascii", errors="ignore")


def split(body: bytes, boundary: str) -> list[Part]:
    """The parts of `body`, whose delimiter is `--boundary` at the beginning of a line."""
    marker = boundary or boundary_of(body)
    if not marker:
        raise Refuse("content-type", "multipart with a boundary")
    delimiter = b"--" + marker.encode("utf-8", errors="ignore")
    parts: list[Part] = []
    # Only what a part keeps is copied: a picture is nearly all of the body.
    start = _behind(body, delimiter, 0)
    if start is None:
        raise Refuse("body", "parts between the boundary that the content type names")
    found = 0
    while start is not None and not body.startswith(b"--", start):
        # Empty ones count as well: a body of nothing but delimiters has a million of them.
        if found == MAXIMUM_PARTS:
            raise Refuse("body", f"at most {MAXIMUM_PARTS} parts")
        found += 1
        next_start = _behind(body, delimiter, start)
        end = len(body) if next_start is None else next_start - len(delimiter) - 1
        part = _part(body, start, end, delimited=next_start is not None)
        if part is not None:
            parts.append(part)
        start = next_start
    return parts


def _behind(body: bytes, delimiter: bytes, start: int) -> int | None:
    """Where the first delimiter from `start` on ends that is at the beginning of a line; None: there is
    none."""
    if start == 0 and body.startswith(delimiter):
        return len(delimiter)
    found = body.find(b"\n" + delimiter, start)
    return None if found < 0 else found + 1 + len(delimiter)


def _part(body: bytes, start: int, end: int, *, delimited: bool) -> Part | None:
    blank = _BLANK_LINE.search(body, start, min(end, start + _MAXIMUM_HEADER_BYTES + 4))
    if blank is None:
        if body[start:end].strip() == b"":
            return None
        raise Refuse("body", f"a blank line within {_MAXIMUM_HEADER_BYTES} bytes of the start of each part")
    headers: dict[str, str] = {}
    for line in body[start : blank.start()].decode("utf-8", errors="replace").splitlines():
        name, separator, value = line.partition(":")
        if separator:
            headers.setdefault(name.strip().lower(), value.strip())
    start = blank.end()
    if delimited and body.endswith(b"\r", start, end):
        end -= 1
    stated = headers.get("content-length", "")
    complete = delimited
    if stated.isascii() and stated.isdigit() and len(stated) < 10:
        stated_end = start + int(stated)
        if stated_end < end and not body[stated_end:end].strip():
            end = stated_end
        complete = end >= stated_end or delimited
    kind = content_type(headers.get("content-type", ""))
    disposition = headers.get("content-disposition", "")
    names = tuple((quoted or bare).lower() for quoted, bare in _NAME.findall(disposition))
    return Part(names, kind.media_type, kind.charset, body[start:end], complete)
