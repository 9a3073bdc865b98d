"""What applying the city's description would change: which resources, which of their fields, as text."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from alerthub.domain.resources import Key, Position, Resource, key_of
from alerthub.domain.texts import LocalizedText

_SHORT_LIST = 16
_LONGEST_TEXT = 400


class Action(Enum):
    CREATE = "create"
    UPDATE = "update"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class Difference:
    """One field before and after, as text for people. Long lists are told by what came and what went."""

    field: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Change:
    """What applying one resource does. `version` is the one that it has afterwards."""

    action: Action
    key: Key
    version: int
    differences: tuple[Difference, ...]
    resource: Resource


@dataclass(frozen=True, slots=True)
class Current:
    """The newest version of a resource."""

    version: int
    resource: Resource


def plan(
    wanted: Sequence[Resource],
    current: Mapping[Key, Current],
    *,
    published: Callable[[Key], int] = lambda _: 0,
) -> tuple[Change, ...]:
    """What the wanted resources would change, in their order. Equal ones stay as they are.

    `published` gives the version that consumers know already: after a restore it can be newer than the
    database's, and a version is never used twice (C19).
    """
    changes = []
    for resource in wanted:
        key = key_of(resource)
        known = current.get(key)
        if known is not None and known.resource == resource:
            changes.append(Change(Action.UNCHANGED, key, known.version, (), resource))
            continue
        if known is None:
            version = published(key) + 1
            changes.append(Change(Action.CREATE, key, version, differences(None, resource), resource))
            continue
        found = differences(known.resource, resource)
        version = max(known.version, published(key)) + 1
        changes.append(Change(Action.UPDATE, key, version, found, resource))
    return tuple(changes)


def differences(before: Resource | None, after: Resource) -> tuple[Difference, ...]:
    """The fields that differ. `before` None: every field of a new resource that holds something."""
    found = []
    for field in dataclasses.fields(after):
        old = getattr(before, field.name) if before is not None else None
        new = getattr(after, field.name)
        if old == new or (before is None and new in ("", (), 0, None, LocalizedText())):
            continue
        found.append(_difference(field.name, old, new))
    return tuple(found)


def _difference(field: str, old: object, new: object) -> Difference:
    if isinstance(old, tuple) and isinstance(new, tuple) and len(old) + len(new) > _SHORT_LIST:
        gone = [item for item in old if item not in set(new)]
        come = [item for item in new if item not in set(old)]
        return Difference(
            field,
            f"{len(old)} items, without {_text(tuple(gone))}" if gone else f"{len(old)} items",
            f"{len(new)} items, with {_text(tuple(come))}" if come else f"{len(new)} items",
        )
    return Difference(field, _text(old), _text(new))


def _text(value: object) -> str:
    match value:
        case None:
            text = ""
        case Enum():
            text = str(value.value)
        case float():
            text = f"{value:.6g}"
        case Position():
            text = f"{value.latitude}, {value.longitude}"
        case LocalizedText():
            text = " / ".join(part for part in (value.chinese, value.english) if part)
        case tuple():
            text = ", ".join(_text(item) for item in value)
        case _ if dataclasses.is_dataclass(value):
            parts = [(field.name, getattr(value, field.name)) for field in dataclasses.fields(value)]
            text = "; ".join(f"{name} {_text(part)}" for name, part in parts if part not in ((), None))
        case _:
            text = str(value)
    return text if len(text) <= _LONGEST_TEXT else f"{text[: _LONGEST_TEXT - 1]}…"
