"""Dahua's text form of an event: `Events[0].TrafficCar.PlateNumber=...`, one value a line, and
`Code=VideoMotion;action=Start;index=0;data={...}`. Both become the objects that the JSON form has."""

from __future__ import annotations

import re

from alerthub.domain.errors import Refuse
from services.gateway.adapters.reading import json_value

MAXIMUM_LINES = 4_000
MAXIMUM_DEPTH = 12
MAXIMUM_VALUE = 512
"""Longer values are passed over: no field that is read is so long, and feature data is."""

_HEARTBEAT = "heartbeat"
_MESSAGE = re.compile(
    r"Code=(?P<Code>[A-Za-z0-9_]{1,64});action=(?P<Action>[A-Za-z]{1,16});index=(?P<Index>[0-9]{1,4})"
    r"(?:;data=(?P<Data>.*))?",
    re.DOTALL,
)
_STEP = re.compile(r"[A-Za-z0-9_]{1,64}")


def read(text: str) -> object:
    """The object that a text part stands for; Refuse where it is in neither form."""
    text = text.strip()
    if text.lower() == _HEARTBEAT:
        return {"Active": "keepAlive"}
    message = _MESSAGE.fullmatch(text)
    if message is not None:
        found: dict[str, object] = {**message.groupdict()}
        if message["Data"] is not None:
            found["Data"] = json_value(message["Data"].encode("utf-8", errors="surrogatepass"), "data")
        return found
    root = _tree(text)
    if "Events" not in root:
        raise Refuse("body", "lines of Events[0], or Code=...;action=...;index=...")
    return _with_lists(root)


def _tree(text: str) -> dict[str, object]:
    root: dict[str, object] = {}
    lines = text.split("\n", MAXIMUM_LINES)
    if len(lines) > MAXIMUM_LINES:
        raise Refuse("body", f"at most {MAXIMUM_LINES} lines")
    for line in lines:
        name, separator, value = line.strip().partition("=")
        steps = _STEP.findall(name, 0, 512)
        if not separator or not steps or len(value) > MAXIMUM_VALUE:
            continue
        if len(steps) > MAXIMUM_DEPTH:
            raise Refuse("body", f"names of at most {MAXIMUM_DEPTH} steps")
        inside = root
        for step in steps[:-1]:
            below = inside.setdefault(step, {})
            if not isinstance(below, dict):
                break  # a value and an object of one name: the first counts
            inside = below
        else:
            inside.setdefault(steps[-1], value)
    return root


def _with_lists(value: object) -> object:
    """Objects whose names are numbers are lists."""
    if not isinstance(value, dict):
        return value
    members = {name: _with_lists(member) for name, member in value.items()}
    return list(members.values()) if members and all(name.isdigit() for name in members) else members
