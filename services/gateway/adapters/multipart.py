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
    pieces = (b"\n" + body).split(b"\n" + delimiter, MAXIMUM_PARTS + 2)
    if len(pieces) < 2:
        raise Refuse("body", "parts between the boundary that the content type names")
    parts: list[Part] = []
    for position, piece in enumerate(pieces[1:], start=1):
        if piece.startswith(b"--"):
            break
        if len(parts) == MAXIMUM_PARTS:
            raise Refuse("body", f"at most {MAXIMUM_PARTS} parts")
        part = _part(piece, delimited=position < len(pieces) - 1)
        if part is not None:
            parts.append(part)
    return parts


def _part(piece: bytes, *, delimited: bool) -> Part | None:
    blank = _BLANK_LINE.search(piece[: _MAXIMUM_HEADER_BYTES + 4])
    if blank is None:
        if piece.strip() == b"":
            return None
        raise Refuse("body", f"a blank line within {_MAXIMUM_HEADER_BYTES} bytes of the start of each part")
    headers: dict[str, str] = {}
    for line in piece[: blank.start()].decode("utf-8", errors="replace").splitlines():
        name, separator, value = line.partition(":")
        if separator:
            headers.setdefault(name.strip().lower(), value.strip())
    content = piece[blank.end() :]
    if delimited:
        content = content.removesuffix(b"\r")
    stated = headers.get("content-length", "")
    complete = delimited
    if stated.isascii() and stated.isdigit() and len(stated) < 10:
        if len(content) > int(stated) and not content[int(stated) :].strip():
            content = content[: int(stated)]
        complete = len(content) >= int(stated) or delimited
    kind = content_type(headers.get("content-type", ""))
    disposition = headers.get("content-disposition", "")
    names = tuple((quoted or bare).lower() for quoted, bare in _NAME.findall(disposition))
    return Part(names, kind.media_type, kind.charset, content, complete)
