"""The city's description: jurisdictions, zones, devices, check authorisations, rules, units and shifts.

What each is, what it refers to, and what a set of them would change. `resource_checks` says what is refused.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from alerthub.domain.schedule import Schedule


class Kind(Enum):
    """The kinds of resource, in the order in which one may refer to another."""

    JURISDICTION = "jurisdiction"
    ZONE = "zone"
    DEVICE = "device"
    AUTHORISATION = "authorisation"
    RULE = "rule"
    UNIT = "unit"
    SHIFT = "shift"


class LifeStatus(Enum):
    """Suspended: kept, not in force. Removed: gone for all but the audit log; nothing may refer to it."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    REMOVED = "removed"


class AuthenticationClass(Enum):
    """How a device proves who it is, strongest first (S3)."""

    CERTIFICATE = "certificate"
    PASSWORD_OVER_TLS = "password-over-tls"  # noqa: S105 - the name of a class, not a password
    URL_TOKEN = "url-token"  # noqa: S105 - the same
    NETWORK_ONLY = "network-only"


class ZoneKind(Enum):
    NO_PARKING = "no-parking"
    RESTRICTED = "restricted"
    CHECKPOINT = "checkpoint"
    AREA = "area"


class RuleKind(Enum):
    WATCHLIST_HIT = "watchlist-hit"
    DWELL = "dwell"
    DIRECT_CALL = "direct-call"
    CLONED_PLATE = "cloned-plate"


class Severity(Enum):
    INFORMATION = "information"
    MINOR = "minor"
    MAJOR = "major"
    CRITICAL = "critical"


class DispatchPolicy(Enum):
    CONFIRM_FIRST = "confirm-first"
    SEND_AT_ONCE = "send-at-once"


@dataclass(frozen=True, slots=True)
class Position:
    """Degrees, WGS 84."""

    latitude: float
    longitude: float


@dataclass(frozen=True, slots=True)
class LocalizedText:
    chinese: str = ""
    english: str = ""


@dataclass(frozen=True, slots=True)
class Jurisdiction:
    """An area with one commander. `parent_id` empty: the city itself."""

    jurisdiction_id: str
    status: LifeStatus
    name: LocalizedText
    parent_id: str


@dataclass(frozen=True, slots=True)
class Zone:
    """`ring` is the outer ring, closed or not."""

    zone_id: str
    status: LifeStatus
    name: LocalizedText
    kind: ZoneKind
    jurisdiction: str
    ring: tuple[Position, ...]


@dataclass(frozen=True, slots=True)
class Device:
    device_id: str
    status: LifeStatus
    name: str
    adapter: str
    position: Position
    district: str
    jurisdiction: str
    zone_ids: tuple[str, ...]
    authentication_class: AuthenticationClass
    speaks_for: tuple[str, ...]
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CheckAuthorisation:
    """The right to hold what these devices read against the watchlist (refusal 4). Times: ms since 1970."""

    authorisation_id: str
    status: LifeStatus
    device_ids: tuple[str, ...]
    legal_basis: str
    purpose: str
    categories: tuple[str, ...]
    valid_from_ms: int
    valid_until_ms: int


@dataclass(frozen=True, slots=True)
class WatchlistHitParameters:
    masks: tuple[str, ...]
    minimum_confidence: float


@dataclass(frozen=True, slots=True)
class DwellParameters:
    dwell_seconds: int
    maximum_gap_seconds: int


@dataclass(frozen=True, slots=True)
class ClonedPlateParameters:
    maximum_speed_kmh: int
    window_seconds: int
    minimum_confidence: float


@dataclass(frozen=True, slots=True)
class Rule:
    rule_id: str
    status: LifeStatus
    name: LocalizedText
    kind: RuleKind
    zone_ids: tuple[str, ...]
    device_ids: tuple[str, ...]
    schedule: Schedule | None
    severity: Severity
    cooldown_seconds: int
    unit_kind: str
    policy: DispatchPolicy
    officer_text: LocalizedText
    allowed_lateness_seconds: int
    cross_district: bool
    watchlist_hit: WatchlistHitParameters | None
    dwell: DwellParameters | None
    cloned_plate: ClonedPlateParameters | None = None


@dataclass(frozen=True, slots=True)
class Unit:
    unit_id: str
    status: LifeStatus
    name: LocalizedText
    unit_kind: str
    jurisdiction: str
    station: Position
    radio_call_sign: str


@dataclass(frozen=True, slots=True)
class Shift:
    """Officers (accounts) of a unit from `from_ms` until (excluding) `until_ms`, milliseconds since 1970."""

    shift_id: str
    status: LifeStatus
    unit_id: str
    from_ms: int
    until_ms: int
    officers: tuple[str, ...]


Resource: TypeAlias = Jurisdiction | Zone | Device | CheckAuthorisation | Rule | Unit | Shift


@dataclass(frozen=True, slots=True)
class Key:
    """What names a resource."""

    kind: Kind
    id: str


def key_of(resource: Resource) -> Key:
    match resource:
        case Jurisdiction():
            return Key(Kind.JURISDICTION, resource.jurisdiction_id)
        case Zone():
            return Key(Kind.ZONE, resource.zone_id)
        case Device():
            return Key(Kind.DEVICE, resource.device_id)
        case CheckAuthorisation():
            return Key(Kind.AUTHORISATION, resource.authorisation_id)
        case Rule():
            return Key(Kind.RULE, resource.rule_id)
        case Unit():
            return Key(Kind.UNIT, resource.unit_id)
        case Shift():
            return Key(Kind.SHIFT, resource.shift_id)


@dataclass(frozen=True, slots=True)
class Reference:
    """`field` of a resource names another one."""

    field: str
    target: Key


def references_of(resource: Resource) -> tuple[Reference, ...]:
    """Everything that must exist for this resource to make sense. A removed resource needs nothing."""
    if resource.status is LifeStatus.REMOVED:
        return ()

    def each(field: str, kind: Kind, ids: Iterable[str]) -> list[Reference]:
        return [Reference(f"{field}[{index}]", Key(kind, id_)) for index, id_ in enumerate(ids)]

    match resource:
        case Jurisdiction():
            parent = Reference("parent_id", Key(Kind.JURISDICTION, resource.parent_id))
            return (parent,) if resource.parent_id else ()
        case Zone():
            return (Reference("jurisdiction", Key(Kind.JURISDICTION, resource.jurisdiction)),)
        case Device():
            return (
                Reference("jurisdiction", Key(Kind.JURISDICTION, resource.jurisdiction)),
                *each("zone_ids", Kind.ZONE, resource.zone_ids),
                *each("speaks_for", Kind.DEVICE, resource.speaks_for),
            )
        case CheckAuthorisation():
            return tuple(each("device_ids", Kind.DEVICE, resource.device_ids))
        case Rule():
            return (
                *each("zone_ids", Kind.ZONE, resource.zone_ids),
                *each("device_ids", Kind.DEVICE, resource.device_ids),
            )
        case Unit():
            return (Reference("jurisdiction", Key(Kind.JURISDICTION, resource.jurisdiction)),)
        case Shift():
            return (Reference("unit_id", Key(Kind.UNIT, resource.unit_id)),)


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


_SHORT_LIST = 16
_LONGEST_TEXT = 400


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


def below(parents: Mapping[str, str], root: str) -> tuple[str, ...]:
    """`root` and every jurisdiction below it, sorted. `parents` maps each to its parent, "" for none."""
    children: dict[str, list[str]] = {}
    for child, parent in parents.items():
        children.setdefault(parent, []).append(child)
    found = {root}
    waiting = [root]
    while waiting:
        for child in children.get(waiting.pop(), ()):
            if child not in found:
                found.add(child)
                waiting.append(child)
    return tuple(sorted(found))


def above(parents: Mapping[str, str], start: str) -> tuple[str, ...]:
    """`start` and every jurisdiction above it, nearest first. Ends at a jurisdiction met before."""
    found: list[str] = []
    here = start
    while here and here not in found:
        found.append(here)
        here = parents.get(here, "")
    return tuple(found)
