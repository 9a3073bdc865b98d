"""XML of devices: bounded, and without what `alerthub.device_xml` refuses."""

from __future__ import annotations

import re
from collections.abc import Mapping

from alerthub.device_xml import Handler, feed
from alerthub.domain.errors import Refuse
from services.gateway.adapters.reading import decoded

__all__ = ["MAXIMUM_DEPTH", "MAXIMUM_ELEMENTS", "MAXIMUM_TEXT", "Handler", "decode", "feed", "read"]

MAXIMUM_DEPTH = 24
MAXIMUM_ELEMENTS = 4_000
MAXIMUM_TEXT = 512
"""Longer texts are passed over: no field that is read is so long, and feature data is."""

_DECLARED = re.compile(rb"""\A\s*<\?xml\b[^>]{0,200}?\bencoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")


def decode(body: bytes, charset: str) -> str:
    """The document as text: in UTF-8, else in the encoding that it declares or that came with it
    (`charset`)."""
    if body[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return decoded(body, "utf-16")
    declared = _DECLARED.search(body[:300])
    return decoded(body, charset, declared[1].decode("ascii").lower() if declared else "")


class _Reader:
    """Collects the text of leaves by their path below the root, without prefixes: `ANPR/licensePlate`."""

    __slots__ = ("elements", "leaf", "parts", "path", "root", "text", "values")

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.path: list[str] = []
        self.parts: list[str] = []
        self.text = self.parts.append
        self.root = ""
        self.elements = 0
        self.leaf = False

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        self.elements += 1
        local = name.rpartition(":")[2]
        if self.elements > MAXIMUM_ELEMENTS or len(self.path) >= MAXIMUM_DEPTH:
            raise Refuse("body", f"at most {MAXIMUM_ELEMENTS} elements, {MAXIMUM_DEPTH} deep")
        if self.root:
            self.path.append(local)
        else:
            self.root = local
        self.parts.clear()
        self.leaf = True

    def end(self, name: str) -> None:
        if self.leaf and self.path:
            value = "".join(self.parts).strip()
            if value and len(value) <= MAXIMUM_TEXT:
                # The first of repeated elements counts.
                self.values.setdefault("/".join(self.path), value)
        self.leaf = False
        self.parts.clear()
        if self.path:
            self.path.pop()


def read(document: str) -> tuple[str, dict[str, str]]:
    """The root element's name and the texts of leaves by path. Refuses what is not well-formed or declares
    anything."""
    reader = _Reader()
    feed(document, reader)
    return reader.root, reader.values
