"""YAML documents without anything that makes YAML dangerous or surprising (S4).

Every scalar is text: what reads the document knows whether a field is a number, so `no`, `22:00` and `007`
mean what they say. Anchors, aliases, tags and repeated keys are refused; size, depth and number of nodes are
bounded.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from alerthub.domain.errors import Refuse

MAXIMUM_BYTES = 16 * 1024 * 1024
MAXIMUM_DEPTH = 16
MAXIMUM_NODES = 1_000_000

Node: TypeAlias = "str | list[Node] | dict[str, Node]"
"""What a document is made of."""

# libyaml reads a city of five thousand resources in a second, the pure parser in a minute.
_Base: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


class _Loader(_Base):  # type: ignore[misc]
    """Scalars as text, and each key once."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[str, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise Refuse(_line(key.start_mark), "a name before the colon")
            if key.value in seen:
                raise Refuse(_line(key.start_mark), f"each field once: {key.value} comes twice")
            seen.add(key.value)
        return dict(super().construct_mapping(node, deep=deep))


def _line(mark: Any) -> str:
    return f"line {mark.line + 1}" if mark is not None else "the file"


def read_documents(path: Path) -> list[Node]:
    """The file's documents in order, empty ones left out. Raises Refuse that names the line."""
    try:
        with path.open("rb") as file:
            content = file.read(MAXIMUM_BYTES + 1)
    except OSError as error:
        raise Refuse(str(path), f"a file that can be read ({type(error).__name__})") from None
    return parse_documents(content)


def parse_documents(content: bytes) -> list[Node]:
    """The documents of a YAML text in UTF-8. Raises Refuse that names the line."""
    if len(content) > MAXIMUM_BYTES:
        raise Refuse("the file", f"at most {MAXIMUM_BYTES // 1024 // 1024} MiB")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise Refuse("the file", "text in UTF-8") from None
    try:
        _check_events(yaml.parse(text, Loader=_Loader))
        return [document for document in yaml.load_all(text, Loader=_Loader) if document not in ("", None)]
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise Refuse(_line(mark), f"YAML ({getattr(error, 'problem', None) or 'not readable'})") from None


def _check_events(events: Iterator[Any]) -> None:
    """Refuses before anything is built."""
    depth = nodes = 0
    for event in events:
        where = _line(event.start_mark)
        if isinstance(event, yaml.AliasEvent):
            raise Refuse(where, "no alias (*name): write it out")
        if not isinstance(event, yaml.NodeEvent):
            depth -= isinstance(event, yaml.CollectionEndEvent)
            continue
        if event.anchor is not None:
            raise Refuse(where, "no anchor (&name)")
        if getattr(event, "tag", None) not in (None, "!"):
            raise Refuse(where, "no tag (!name)")
        nodes += 1
        depth += isinstance(event, yaml.CollectionStartEvent)
        if nodes > MAXIMUM_NODES:
            raise Refuse(where, f"at most {MAXIMUM_NODES} values")
        if depth > MAXIMUM_DEPTH:
            raise Refuse(where, f"at most {MAXIMUM_DEPTH} levels")
