"""Between the wire's messages and the domain's values. What the registry itself fills in is refused."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from enum import Enum
from typing import Any, TypeAlias, TypeVar

from alerthub.api.v1 import common_pb2, registry_pb2
from alerthub.domain import resources as domain
from alerthub.domain.errors import Refuse
from alerthub.domain.resource_changes import Action, Change
from alerthub.domain.schedule import Hours, Schedule
from alerthub.domain.texts import LocalizedText

Value = TypeVar("Value", bound=Enum)
WireEnum: TypeAlias = Any
"""A generated enumeration: its stubs and its run-time class have no type in common."""

_SET_BY_THE_REGISTRY = (
    "version",
    "active_from_ms",
    "secret_sha256",
    "authorisations",
    "shifts",
    "serves_jurisdictions",
)


def from_wire(resource: registry_pb2.Resource, index: int) -> domain.Resource:
    """The domain's value of `resources[index]`. Refuses, by name, a field that cannot be meant."""
    kind = resource.WhichOneof("resource")
    if kind is None:
        raise Refuse(
            f"resources[{index}]", "one resource: device, authorisation, zone, rule, unit, shift, ..."
        )
    field = f"resources[{index}].{kind}"
    message: Any = getattr(resource, kind)
    for name in _SET_BY_THE_REGISTRY:
        if name in message.DESCRIPTOR.fields_by_name and getattr(message, name):
            raise Refuse(f"{field}.{name}", "left out: the registry sets it")
    return _value(message, field)


def from_published(resource: registry_pb2.Resource) -> domain.Resource:
    """The domain's value of a message that the registry composed itself."""
    kind = resource.WhichOneof("resource") or ""
    return _value(getattr(resource, kind), kind)


def _value(message: Any, field: str) -> domain.Resource:
    match message:
        case registry_pb2.Jurisdiction():
            return domain.Jurisdiction(
                message.jurisdiction_id, _status(message, field), _text(message.name), message.parent_id
            )
        case registry_pb2.Zone():
            return domain.Zone(
                message.zone_id,
                _status(message, field),
                _text(message.name),
                _enum(registry_pb2.ZoneKind, message.kind, domain.ZoneKind, f"{field}.kind"),
                message.jurisdiction,
                tuple(_position(corner) for corner in message.ring),
            )
        case registry_pb2.Device():
            return _device(message, field)
        case registry_pb2.CheckAuthorisation():
            return domain.CheckAuthorisation(
                message.authorisation_id,
                _status(message, field),
                tuple(message.device_ids),
                message.legal_basis,
                message.purpose,
                tuple(message.categories),
                message.valid_from_ms,
                message.valid_until_ms,
            )
        case registry_pb2.Rule():
            return _rule(message, field)
        case registry_pb2.Unit():
            _require(message, "station", field)
            return domain.Unit(
                message.unit_id,
                _status(message, field),
                _text(message.name),
                message.unit_kind,
                message.jurisdiction,
                _position(message.station),
                message.radio_call_sign,
            )
        case registry_pb2.Shift():
            return domain.Shift(
                message.shift_id,
                _status(message, field),
                message.unit_id,
                message.from_ms,
                message.until_ms,
                tuple(message.officers),
            )
        case _:
            raise Refuse(field, "a kind of resource that this registry knows")


def _device(message: registry_pb2.Device, field: str) -> domain.Device:
    _require(message, "position", field)
    return domain.Device(
        message.device_id,
        _status(message, field),
        message.name,
        message.adapter,
        _position(message.position),
        message.district,
        message.jurisdiction,
        tuple(message.zone_ids),
        _enum(
            common_pb2.AuthenticationClass,
            message.authentication_class,
            domain.AuthenticationClass,
            f"{field}.authentication_class",
        ),
        tuple(message.speaks_for),
        tuple(message.addresses),
    )


def _rule(message: registry_pb2.Rule, field: str) -> domain.Rule:
    watchlist_hit = dwell = cloned_plate = None
    if message.HasField("watchlist_hit"):
        watchlist_hit = domain.WatchlistHitParameters(
            tuple(message.watchlist_hit.masks), message.watchlist_hit.minimum_confidence
        )
    if message.HasField("dwell"):
        dwell = domain.DwellParameters(message.dwell.dwell_seconds, message.dwell.maximum_gap_seconds)
    if message.HasField("cloned_plate"):
        cloned_plate = domain.ClonedPlateParameters(
            message.cloned_plate.maximum_speed_kmh,
            message.cloned_plate.window_seconds,
            message.cloned_plate.minimum_confidence,
        )
    return domain.Rule(
        message.rule_id,
        _status(message, field),
        _text(message.name),
        _enum(registry_pb2.RuleKind, message.kind, domain.RuleKind, f"{field}.kind"),
        tuple(message.zone_ids),
        tuple(message.device_ids),
        _schedule(message.schedule, f"{field}.schedule") if message.HasField("schedule") else None,
        _enum(common_pb2.Severity, message.severity, domain.Severity, f"{field}.severity"),
        message.cooldown_seconds,
        message.unit_kind,
        _enum(common_pb2.DispatchPolicy, message.policy, domain.DispatchPolicy, f"{field}.policy"),
        _text(message.officer_text),
        message.allowed_lateness_seconds,
        message.cross_district,
        watchlist_hit,
        dwell,
        cloned_plate,
    )


def _schedule(message: registry_pb2.WeeklySchedule, field: str) -> Schedule:
    dates = []
    for index, text in enumerate(message.excepted_dates):
        try:
            dates.append(date.fromisoformat(text))
        except ValueError:
            raise Refuse(f"{field}.excepted_dates[{index}]", "a date, such as 2026-10-01") from None
    hours = [Hours(tuple(each.days), each.from_minute, each.until_minute) for each in message.hours]
    return Schedule(message.time_zone, tuple(hours), tuple(dates))


def _require(message: Any, name: str, field: str) -> None:
    if not message.HasField(name):
        raise Refuse(f"{field}.{name}", "given")


def _text(message: common_pb2.LocalizedText) -> LocalizedText:
    return LocalizedText(message.chinese, message.english)


def _position(message: common_pb2.Position) -> domain.Position:
    return domain.Position(message.latitude, message.longitude)


def _status(message: Any, field: str) -> domain.LifeStatus:
    if message.status == registry_pb2.LIFE_STATUS_UNSPECIFIED:
        return domain.LifeStatus.ACTIVE
    return _enum(registry_pb2.LifeStatus, message.status, domain.LifeStatus, f"{field}.status")


def _prefix(wire: WireEnum) -> str:
    return str(wire.Name(0)).removesuffix("UNSPECIFIED")


def _enum(wire: WireEnum, number: int, kind: type[Value], field: str) -> Value:
    names = {wire.Value(f"{_prefix(wire)}{value.name}"): value for value in kind}
    if number not in names:
        raise Refuse(field, f"one of {', '.join(str(value.value) for value in kind)}")
    return names[number]


def _number(wire: WireEnum, value: Enum) -> Any:
    return wire.Value(f"{_prefix(wire)}{value.name}")


# --- to the wire


def to_wire(resource: domain.Resource, *, version: int = 0, active_from_ms: int = 0) -> registry_pb2.Resource:
    """The message of a resource, with what the caller declared and nothing that the registry composes."""
    message: Any
    match resource:
        case domain.Jurisdiction():
            message = registry_pb2.Jurisdiction(
                jurisdiction_id=resource.jurisdiction_id,
                name=_text_to_wire(resource.name),
                parent_id=resource.parent_id,
            )
        case domain.Zone():
            message = registry_pb2.Zone(
                zone_id=resource.zone_id,
                name=_text_to_wire(resource.name),
                kind=_number(registry_pb2.ZoneKind, resource.kind),
                jurisdiction=resource.jurisdiction,
                ring=[_position_to_wire(corner) for corner in resource.ring],
            )
        case domain.Device():
            message = registry_pb2.Device(
                device_id=resource.device_id,
                name=resource.name,
                adapter=resource.adapter,
                position=_position_to_wire(resource.position),
                district=resource.district,
                jurisdiction=resource.jurisdiction,
                zone_ids=resource.zone_ids,
                authentication_class=_number(common_pb2.AuthenticationClass, resource.authentication_class),
                speaks_for=resource.speaks_for,
                addresses=resource.addresses,
            )
        case domain.CheckAuthorisation():
            message = registry_pb2.CheckAuthorisation(
                authorisation_id=resource.authorisation_id,
                device_ids=resource.device_ids,
                legal_basis=resource.legal_basis,
                purpose=resource.purpose,
                categories=resource.categories,
                valid_from_ms=resource.valid_from_ms,
                valid_until_ms=resource.valid_until_ms,
            )
        case domain.Rule():
            message = _rule_to_wire(resource)
        case domain.Unit():
            message = registry_pb2.Unit(
                unit_id=resource.unit_id,
                name=_text_to_wire(resource.name),
                unit_kind=resource.unit_kind,
                jurisdiction=resource.jurisdiction,
                station=_position_to_wire(resource.station),
                radio_call_sign=resource.radio_call_sign,
            )
        case domain.Shift():
            message = registry_pb2.Shift(
                shift_id=resource.shift_id,
                unit_id=resource.unit_id,
                from_ms=resource.from_ms,
                until_ms=resource.until_ms,
                officers=resource.officers,
            )
    message.status = _number(registry_pb2.LifeStatus, resource.status)
    message.version = version
    message.active_from_ms = active_from_ms
    return registry_pb2.Resource(**{domain.key_of(resource).kind.value: message})


def _rule_to_wire(rule: domain.Rule) -> registry_pb2.Rule:
    message = registry_pb2.Rule(
        rule_id=rule.rule_id,
        name=_text_to_wire(rule.name),
        kind=_number(registry_pb2.RuleKind, rule.kind),
        zone_ids=rule.zone_ids,
        device_ids=rule.device_ids,
        severity=_number(common_pb2.Severity, rule.severity),
        cooldown_seconds=rule.cooldown_seconds,
        unit_kind=rule.unit_kind,
        policy=_number(common_pb2.DispatchPolicy, rule.policy),
        officer_text=_text_to_wire(rule.officer_text),
        allowed_lateness_seconds=rule.allowed_lateness_seconds,
        cross_district=rule.cross_district,
    )
    if rule.schedule is not None:
        message.schedule.time_zone = rule.schedule.time_zone
        message.schedule.excepted_dates.extend(day.isoformat() for day in rule.schedule.excepted_dates)
        for hours in rule.schedule.hours:
            message.schedule.hours.add(
                days=hours.days, from_minute=hours.from_minute, until_minute=hours.until_minute
            )
    if rule.watchlist_hit is not None:
        message.watchlist_hit.masks.extend(rule.watchlist_hit.masks)
        message.watchlist_hit.minimum_confidence = rule.watchlist_hit.minimum_confidence
    if rule.dwell is not None:
        message.dwell.dwell_seconds = rule.dwell.dwell_seconds
        message.dwell.maximum_gap_seconds = rule.dwell.maximum_gap_seconds
    if rule.cloned_plate is not None:
        message.cloned_plate.maximum_speed_kmh = rule.cloned_plate.maximum_speed_kmh
        message.cloned_plate.window_seconds = rule.cloned_plate.window_seconds
        message.cloned_plate.minimum_confidence = rule.cloned_plate.minimum_confidence
    return message


def _text_to_wire(text: LocalizedText) -> common_pb2.LocalizedText:
    return common_pb2.LocalizedText(chinese=text.chinese, english=text.english)


def _position_to_wire(position: domain.Position) -> common_pb2.Position:
    return common_pb2.Position(latitude=position.latitude, longitude=position.longitude)


_ACTIONS = {
    Action.CREATE: registry_pb2.ResourceChange.ACTION_CREATE,
    Action.UPDATE: registry_pb2.ResourceChange.ACTION_UPDATE,
    Action.UNCHANGED: registry_pb2.ResourceChange.ACTION_UNCHANGED,
}


def changes_to_wire(changes: Sequence[Change]) -> list[registry_pb2.ResourceChange]:
    """The plan as the caller sees it."""
    return [
        registry_pb2.ResourceChange(
            action=_ACTIONS[change.action],
            kind=change.key.kind.value,
            id=change.key.id,
            version=change.version,
            differences=[
                registry_pb2.FieldDifference(field=each.field, before=each.before, after=each.after)
                for each in change.differences
            ],
        )
        for change in changes
    ]
