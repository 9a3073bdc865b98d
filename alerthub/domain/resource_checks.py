"""What a resource must be to be taken, by itself and among others. Every refusal names the field at fault."""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

import shapely

from alerthub.domain.errors import Refuse
from alerthub.domain.masks import ALWAYS_IN_USE
from alerthub.domain.masks import valid as valid_mask
from alerthub.domain.resources import (
    AuthenticationClass,
    CheckAuthorisation,
    ClonedPlateParameters,
    Device,
    Jurisdiction,
    Key,
    LifeStatus,
    Position,
    Resource,
    Rule,
    RuleKind,
    Shift,
    Unit,
    Zone,
    above,
    key_of,
    references_of,
)
from alerthub.domain.schedule import check_schedule
from alerthub.domain.texts import LocalizedText

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_ID_EXPECTED = "1 to 64 letters, digits, dots, hyphens or underscores, the first a letter or digit"
DISTRICT_DEVICES = 300
"""A district is a township or a part of one; more devices would make its state too large to move."""
DEEPEST_JURISDICTION = 16
LONGEST_SHIFT_MS = 24 * 3_600_000
"""A longer one is a mistake in the date."""


def field_of(index: int, resource: Resource) -> str:
    """What the caller calls the resource at `index`, such as `resources[3].rule`."""
    return f"resources[{index}].{key_of(resource).kind.value}"


def check_distinct(wanted: Sequence[Resource]) -> None:
    """Refuses the same resource twice in one request."""
    seen: set[Key] = set()
    for index, resource in enumerate(wanted):
        key = key_of(resource)
        if key in seen:
            raise Refuse(
                f"{field_of(index, resource)}.{_id_field(resource)}", "each resource once in a request"
            )
        seen.add(key)


def _id_field(resource: Resource) -> str:
    return f"{key_of(resource).kind.value}_id"


def check_resource(resource: Resource, field: str, *, now_ms: int) -> None:
    """Refuses, below the name `field`, a resource that is wrong by itself. `now_ms`: since 1970, UTC."""
    if not _ID.fullmatch(key_of(resource).id):
        raise Refuse(f"{field}.{_id_field(resource)}", _ID_EXPECTED)
    match resource:
        case Jurisdiction():
            _check_some_text(resource.name, f"{field}.name")
        case Zone():
            _check_ring(resource.ring, f"{field}.ring")
        case Device():
            _check_device(resource, field)
        case CheckAuthorisation():
            _check_authorisation(resource, field, now_ms)
        case Rule():
            _check_rule(resource, field)
        case Unit():
            _check_position(resource.station, f"{field}.station")
            _check_filled(resource.unit_kind, f"{field}.unit_kind", "the kind of unit, such as patrol")
        case Shift():
            _check_shift(resource, field)


def _check_filled(text: str, field: str, expected: str) -> None:
    if not text.strip():
        raise Refuse(field, expected)


def _check_some_text(text: LocalizedText, field: str) -> None:
    if not (text.chinese.strip() or text.english.strip()):
        raise Refuse(field, "a name in Chinese or English")


def _check_once(values: Sequence[str], field: str) -> None:
    seen: set[str] = set()
    for index, value in enumerate(values):
        if value in seen:
            raise Refuse(f"{field}[{index}]", "each once")
        seen.add(value)


def _check_position(position: Position, field: str) -> None:
    if not (math.isfinite(position.latitude) and -90 <= position.latitude <= 90):
        raise Refuse(f"{field}.latitude", "degrees from -90 to 90, WGS 84")
    if not (math.isfinite(position.longitude) and -180 <= position.longitude <= 180):
        raise Refuse(f"{field}.longitude", "degrees from -180 to 180, WGS 84")


def _check_ring(ring: Sequence[Position], field: str) -> None:
    for index, corner in enumerate(ring):
        _check_position(corner, f"{field}[{index}]")
    if len(set(ring)) < 3:
        raise Refuse(field, "at least three different corners")
    polygon = shapely.Polygon([(corner.longitude, corner.latitude) for corner in ring])
    if not polygon.is_valid:
        raise Refuse(field, "a ring that does not cross or touch itself")
    if polygon.area == 0:
        raise Refuse(field, "a ring around an area, not a line")


def _check_device(device: Device, field: str) -> None:
    _check_position(device.position, f"{field}.position")
    _check_filled(device.adapter, f"{field}.adapter", "the adapter that reads it, such as hikvision-anpr")
    _check_filled(device.district, f"{field}.district", "the district that the device is in")
    _check_once(device.zone_ids, f"{field}.zone_ids")
    _check_once(device.speaks_for, f"{field}.speaks_for")
    if device.speaks_for and device.authentication_class is not AuthenticationClass.CERTIFICATE:
        raise Refuse(f"{field}.speaks_for", "empty, unless authentication_class is certificate")
    for index, spoken in enumerate(device.speaks_for):
        if not _ID.fullmatch(spoken):
            raise Refuse(f"{field}.speaks_for[{index}]", "the id of one device; there is no wildcard")
    network_only = device.authentication_class is AuthenticationClass.NETWORK_ONLY
    if network_only and not device.addresses:
        raise Refuse(f"{field}.addresses", "the device's addresses, since nothing else identifies it")
    if device.addresses and not network_only:
        raise Refuse(f"{field}.addresses", "empty, unless authentication_class is network-only")
    for index, address in enumerate(device.addresses):
        try:
            ipaddress.ip_address(address)
        except ValueError:
            raise Refuse(f"{field}.addresses[{index}]", "one IP address, not a network or a name") from None


def _check_authorisation(authorisation: CheckAuthorisation, field: str, now_ms: int) -> None:
    _check_filled(authorisation.legal_basis, f"{field}.legal_basis", "the law and article that allow it")
    _check_filled(authorisation.purpose, f"{field}.purpose", "what the check is for")
    if not authorisation.device_ids:
        raise Refuse(f"{field}.device_ids", "at least one device")
    _check_once(authorisation.device_ids, f"{field}.device_ids")
    if not authorisation.categories:
        raise Refuse(f"{field}.categories", "at least one watchlist category")
    for index, category in enumerate(authorisation.categories):
        if not _ID.fullmatch(category):
            raise Refuse(f"{field}.categories[{index}]", "a watchlist category; there is no wildcard")
    _check_once(authorisation.categories, f"{field}.categories")
    if authorisation.valid_from_ms <= 0:
        raise Refuse(f"{field}.valid_from_ms", "when the authorisation begins")
    if authorisation.valid_until_ms <= authorisation.valid_from_ms:
        raise Refuse(f"{field}.valid_until_ms", "later than valid_from_ms")
    if authorisation.status is LifeStatus.ACTIVE and authorisation.valid_until_ms <= now_ms:
        raise Refuse(f"{field}.valid_until_ms", "in the future, for an active authorisation")


def _check_rule(rule: Rule, field: str) -> None:
    for language in ("chinese", "english"):
        text = getattr(rule.officer_text, language)
        _check_filled(text, f"{field}.officer_text.{language}", "what the officer is to do, in this language")
    _check_filled(rule.unit_kind, f"{field}.unit_kind", "the kind of unit to send, such as patrol")
    _check_once(rule.zone_ids, f"{field}.zone_ids")
    _check_once(rule.device_ids, f"{field}.device_ids")
    if rule.schedule is not None:
        check_schedule(rule.schedule, f"{field}.schedule")
    parameters = {
        RuleKind.WATCHLIST_HIT: "watchlist_hit",
        RuleKind.DWELL: "dwell",
        RuleKind.CLONED_PLATE: "cloned_plate",
    }
    for kind, name in parameters.items():
        given = getattr(rule, name) is not None
        if rule.kind is kind and not given:
            raise Refuse(f"{field}.{name}", f"the parameters of a rule of kind {kind.value}")
        if rule.kind is not kind and given:
            raise Refuse(f"{field}.{name}", f"nothing, since the rule's kind is {rule.kind.value}")
    if rule.watchlist_hit is not None:
        _check_masks(rule.watchlist_hit.masks, f"{field}.watchlist_hit.masks")
        if not 0 <= rule.watchlist_hit.minimum_confidence <= 1:
            raise Refuse(f"{field}.watchlist_hit.minimum_confidence", "from 0 to 1")
    if rule.dwell is not None:
        if not 1 <= rule.dwell.dwell_seconds <= 86_400:
            raise Refuse(f"{field}.dwell.dwell_seconds", "from 1 to 86400 seconds")
        if not 1 <= rule.dwell.maximum_gap_seconds <= 3_600:
            raise Refuse(f"{field}.dwell.maximum_gap_seconds", "from 1 to 3600 seconds")
    if rule.cross_district is not (rule.kind is RuleKind.CLONED_PLATE):
        expected = (
            "true: its two reads are in any two districts"
            if rule.kind is RuleKind.CLONED_PLATE
            else f"false: a rule of kind {rule.kind.value} is evaluated in the district of its device"
        )
        raise Refuse(f"{field}.cross_district", expected)
    if rule.cloned_plate is not None:
        _check_cloned_plate(rule.cloned_plate, f"{field}.cloned_plate")


def _check_cloned_plate(parameters: ClonedPlateParameters, field: str) -> None:
    if not 30 <= parameters.maximum_speed_kmh <= 1_000:
        raise Refuse(f"{field}.maximum_speed_kmh", "from 30 to 1000 km/h: no vehicle there goes faster")
    if not 60 <= parameters.window_seconds <= 3_600:
        raise Refuse(f"{field}.window_seconds", "from 60 to 3600 seconds: so long a read is kept")
    if not 0 <= parameters.minimum_confidence <= 1:
        raise Refuse(f"{field}.minimum_confidence", "from 0 to 1")


def _check_masks(masks: Sequence[str], field: str) -> None:
    if not masks:
        raise Refuse(field, "at least one mask, such as exact")
    for index, mask in enumerate(masks):
        if not valid_mask(mask):
            raise Refuse(f"{field}[{index}]", f"{', '.join(ALWAYS_IN_USE)}, or a wildcard such as 1110111")
    _check_once(masks, field)


def _check_shift(shift: Shift, field: str) -> None:
    if shift.from_ms <= 0:
        raise Refuse(f"{field}.from_ms", "when the shift begins")
    if not shift.from_ms < shift.until_ms <= shift.from_ms + LONGEST_SHIFT_MS:
        raise Refuse(f"{field}.until_ms", "later than from_ms by at most 24 hours")
    _check_once(shift.officers, f"{field}.officers")


def check_references(
    wanted: Sequence[Resource], *, fields: Callable[[int], str], exists: Callable[[Key], bool]
) -> None:
    """Refuses a resource that names one which neither exists nor is in the same request.

    `exists` says whether a resource is there (and not removed) once the request is applied.
    """
    for index, resource in enumerate(wanted):
        for reference in references_of(resource):
            if not exists(reference.target):
                raise Refuse(
                    f"{fields(index)}.{reference.field}",
                    f"a {reference.target.kind.value} that exists, or is in the same request",
                )


def check_unused(
    wanted: Sequence[Resource],
    *,
    fields: Callable[[int], str],
    users: Callable[[Key], Iterable[Key]],
) -> None:
    """Refuses to remove what others still refer to. `users` names them once the request is applied."""
    for index, resource in enumerate(wanted):
        if resource.status is not LifeStatus.REMOVED:
            continue
        user = next(iter(users(key_of(resource))), None)
        if user is not None:
            raise Refuse(
                f"{fields(index)}.status", f"not removed while the {user.kind.value} {user.id} refers to it"
            )


def check_jurisdictions(
    wanted: Sequence[Resource], *, fields: Callable[[int], str], parents: Mapping[str, str]
) -> None:
    """Refuses jurisdictions that are their own parents at some height, or that nest deeper than 16.

    `parents` maps each jurisdiction to its parent once the request is applied.
    """
    for index, resource in enumerate(wanted):
        if not isinstance(resource, Jurisdiction):
            continue
        chain = above(parents, resource.jurisdiction_id)
        top_parent = parents.get(chain[-1], "")
        if top_parent:
            raise Refuse(
                f"{fields(index)}.parent_id", "a jurisdiction that is not below this one, nor itself"
            )
        if len(chain) > DEEPEST_JURISDICTION:
            raise Refuse(f"{fields(index)}.parent_id", f"at most {DEEPEST_JURISDICTION} levels")


def check_districts(
    wanted: Sequence[Resource], *, fields: Callable[[int], str], devices_of: Callable[[str], int]
) -> None:
    """Refuses a district of more than 300 devices. `devices_of` counts them once the request is applied."""
    for index, resource in enumerate(wanted):
        if not isinstance(resource, Device) or resource.status is LifeStatus.REMOVED:
            continue
        if devices_of(resource.district) > DISTRICT_DEVICES:
            expected = f"a district of at most {DISTRICT_DEVICES} devices: divide it"
            raise Refuse(f"{fields(index)}.district", expected)
