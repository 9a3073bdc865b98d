"""The city's description: jurisdictions, zones, devices, check authorisations, rules, units and shifts.

What each is and what it refers to. `resource_changes` says what a set of them would change, `resource_checks`
what is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from alerthub.domain.schedule import Schedule
from alerthub.domain.texts import LocalizedText


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
