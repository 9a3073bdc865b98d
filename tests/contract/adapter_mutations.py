"""Payloads with fields dropped and values made absurd, so that they still are JSON or XML: what firmware gets
wrong, rather than what the line does."""

from __future__ import annotations

import dataclasses
import json
import random
import re
from typing import Any

from adapter_cases import Sent

ABSURD: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    2**31,
    2**63,
    10**400,
    -0.0,
    1e308,
    0.1,
    "",
    " ",
    "0",
    "-1",
    "1e999",
    "NaN",
    "9" * 600,
    "\x00\x1b[2J",
    "\ud800",
    "\u202e冀R7K2Q9",
    "x" * 5_000,
    "2034-02-30T25:61:61Z",
    "99991231T235959",
    [],
    {},
    [[]],
    [None] * 300,
    {"a": {"a": {"a": {}}}},
)
_LEAF = re.compile(rb"<([A-Za-z:]+)([^<>]*)>([^<>]*)</\1>")
_ATTRIBUTE = re.compile(rb'(\s[A-Za-z:]+)="([^"]*)"')


def with_one_field_wrong(sent: Sent, chance: random.Random) -> Sent:
    """The payload with one field dropped, repeated or made absurd."""
    body = sent.body
    start = body.lstrip()[:1]
    if start in (b"{", b"["):
        try:
            document = json.loads(body.decode("utf-8", errors="ignore"))
        except ValueError:
            return sent
        _spoil(document, chance)
        text = json.dumps(document, ensure_ascii=chance.random() < 0.5)
        body = text.encode("utf-8", errors="surrogatepass")
    elif b"</" in body:
        body = _spoilt_xml(body, chance)
    return dataclasses.replace(sent, body=body)


def _spoil(document: object, chance: random.Random) -> None:
    places: list[tuple[Any, Any]] = []
    waiting: list[Any] = [document]
    while waiting:
        inside = waiting.pop()
        keys = list(inside) if isinstance(inside, dict) else range(len(inside))
        for key in keys:
            places.append((inside, key))
            if isinstance(inside[key], dict | list):
                waiting.append(inside[key])
    if not places:
        return
    inside, key = chance.choice(places)
    match chance.randrange(4):
        case 0:
            del inside[key]
        case 1 if isinstance(inside[key], list):
            inside[key] = inside[key] * 300
        case _:
            inside[key] = chance.choice(ABSURD)


def _spoilt_xml(body: bytes, chance: random.Random) -> bytes:
    found = list(_LEAF.finditer(body)) + list(_ATTRIBUTE.finditer(body))
    if not found:
        return body
    field = chance.choice(found)
    value = str(chance.choice(ABSURD)).encode("utf-8", errors="surrogatepass")
    value = value.replace(b"<", b"").replace(b'"', b"").replace(b"&", b"")
    match chance.randrange(3):
        case 0:
            written = b""
        case 1:
            written = field[0] * 40 if field.re is _LEAF else field[0]
        case _:
            group = 3 if field.re is _LEAF else 2
            written = body[field.start() : field.start(group)] + value + body[field.end(group) : field.end()]
    return body[: field.start()] + written + body[field.end() :]
