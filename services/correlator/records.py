"""Between the wire's messages and the domain's values."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, TypeVar

from alerthub.api.v1.alert_pb2 import AlertRaised
from alerthub.api.v1.common_pb2 import LocalizedText as WireText
from alerthub.api.v1.common_pb2 import Position as WirePosition
from alerthub.api.v1.observation_pb2 import Observation, WrappedDataKey
from alerthub.api.v1.registry_pb2 import CheckAuthorisation as WireAuthorisation
from alerthub.api.v1.registry_pb2 import Device as WireDevice
from alerthub.api.v1.registry_pb2 import Rule as WireRule
from alerthub.api.v1.registry_pb2 import WeeklySchedule
from alerthub.api.v1.registry_pb2 import Zone as WireZone
from alerthub.api.v1.watchlist_pb2 import ENTRY_STATUS_ACTIVE, PublishedEntry
from alerthub.domain.catalogue import RegisteredDevice
from alerthub.domain.errors import DeadLetter
from alerthub.domain.matching_index import Entry, EntryToken
from alerthub.domain.resources import (
    AuthenticationClass,
    CheckAuthorisation,
    ClonedPlateParameters,
    Device,
    DispatchPolicy,
    DwellParameters,
    LifeStatus,
    Position,
    Rule,
    RuleKind,
    Severity,
    WatchlistHitParameters,
    Zone,
    ZoneKind,
)
from alerthub.domain.rules.interface import ClonedPlateMatch, DwellMatch, Raised, WatchlistMatch
from alerthub.domain.schedule import Hours, Schedule
from alerthub.domain.texts import LocalizedText
from alerthub.domain.versions import Version

Member = TypeVar("Member")

# By the wire's numbers.
_STATUSES: Mapping[int, LifeStatus] = {1: LifeStatus.ACTIVE, 2: LifeStatus.SUSPENDED, 3: LifeStatus.REMOVED}
_CLASSES: Mapping[int, AuthenticationClass] = dict(enumerate(AuthenticationClass, start=1))
_ZONE_KINDS: Mapping[int, ZoneKind] = dict(enumerate(ZoneKind, start=1))
_RULE_KINDS: Mapping[int, RuleKind] = dict(enumerate(RuleKind, start=1))
_SEVERITIES: Mapping[int, Severity] = dict(enumerate(Severity, start=1))
_POLICIES: Mapping[int, DispatchPolicy] = dict(enumerate(DispatchPolicy, start=1))

_SEVERITY_NUMBERS = {member: number for number, member in _SEVERITIES.items()}
_POLICY_NUMBERS = {member: number for number, member in _POLICIES.items()}
_RULE_KIND_NUMBERS = {member: number for number, member in _RULE_KINDS.items()}


class BatchOrigin(Protocol):
    """What an alert says of the batch in which its observation came."""

    @property
    def gateway_id(self) -> str: ...
    @property
    def epoch(self) -> str: ...
    @property
    def data_keys(self) -> Sequence[WrappedDataKey]: ...


def _known(members: Mapping[int, Member], number: int, field: str) -> Member:
    """The member of that number; DeadLetter for one that this software does not know."""
    try:
        return members[number]
    except KeyError:
        raise DeadLetter(f"{field} has a number that is not known") from None


def entry_of(packed: bytes) -> Entry:
    """The entry of a value of `watchlist`. Raises DecodeError."""
    wire = PublishedEntry.FromString(packed)
    return Entry(
        entry_id=wire.entry_id,
        version=wire.version,
        active=wire.status == ENTRY_STATUS_ACTIVE,
        category=wire.category,
        names_person=wire.names_person,
        # What is missing or unknown is taken for what asks more of the operations office.
        policy=_POLICIES.get(wire.policy, DispatchPolicy.CONFIRM_FIRST),
        severity=_SEVERITIES.get(wire.severity, Severity.INFORMATION),
        unit_kind=wire.unit_kind,
        active_from_ms=wire.active_from_ms,
        valid_until_ms=wire.valid_until_ms,
        tokens=tuple(
            EntryToken(listed.kind, listed.epoch, listed.mask, listed.token) for listed in wire.tokens
        ),
    )


def ended_at_ms_of(packed: bytes) -> int:
    """When the entry of a value of `watchlist` was withdrawn or expired; 0: it was not."""
    return PublishedEntry.FromString(packed).ended_at_ms


def device_of(value: bytes) -> Version[RegisteredDevice]:
    """The device of a value of `devices`. Raises DecodeError, DeadLetter."""
    wire = WireDevice.FromString(value)
    device = Device(
        device_id=wire.device_id,
        status=_known(_STATUSES, wire.status, "status"),
        name=wire.name,
        adapter=wire.adapter,
        position=Position(wire.position.latitude, wire.position.longitude),
        district=wire.district,
        jurisdiction=wire.jurisdiction,
        zone_ids=tuple(wire.zone_ids),
        authentication_class=_known(_CLASSES, wire.authentication_class, "authentication_class"),
        speaks_for=tuple(wire.speaks_for),
        addresses=tuple(wire.addresses),
    )
    authorisations = tuple(_authorisation_of(authorisation) for authorisation in wire.authorisations)
    return Version(wire.version, wire.active_from_ms, RegisteredDevice(device, authorisations))


def _authorisation_of(wire: WireAuthorisation) -> Version[CheckAuthorisation]:
    value = CheckAuthorisation(
        authorisation_id=wire.authorisation_id,
        status=_known(_STATUSES, wire.status, "authorisations.status"),
        device_ids=(),
        legal_basis=wire.legal_basis,
        purpose=wire.purpose,
        categories=tuple(wire.categories),
        valid_from_ms=wire.valid_from_ms,
        valid_until_ms=wire.valid_until_ms,
    )
    return Version(wire.version, wire.active_from_ms, value)


def zone_of(value: bytes) -> Version[Zone]:
    """The zone of a value of `zones`, without its ring: no rule here asks for it. Raises as `device_of`."""
    wire = WireZone.FromString(value)
    zone = Zone(
        zone_id=wire.zone_id,
        status=_known(_STATUSES, wire.status, "status"),
        name=_text_of(wire.name),
        kind=_known(_ZONE_KINDS, wire.kind, "kind"),
        jurisdiction=wire.jurisdiction,
        ring=(),
    )
    return Version(wire.version, wire.active_from_ms, zone)


def rule_of(value: bytes) -> Version[Rule]:
    """The rule of a value of `rules`. Raises as `device_of`."""
    wire = WireRule.FromString(value)
    hit, dwell, cloned = wire.watchlist_hit, wire.dwell, wire.cloned_plate
    rule = Rule(
        rule_id=wire.rule_id,
        status=_known(_STATUSES, wire.status, "status"),
        name=_text_of(wire.name),
        kind=_known(_RULE_KINDS, wire.kind, "kind"),
        zone_ids=tuple(wire.zone_ids),
        device_ids=tuple(wire.device_ids),
        schedule=_schedule_of(wire.schedule) if wire.HasField("schedule") else None,
        severity=_known(_SEVERITIES, wire.severity, "severity"),
        cooldown_seconds=wire.cooldown_seconds,
        unit_kind=wire.unit_kind,
        policy=_known(_POLICIES, wire.policy, "policy"),
        officer_text=_text_of(wire.officer_text),
        allowed_lateness_seconds=wire.allowed_lateness_seconds,
        cross_district=wire.cross_district,
        watchlist_hit=(
            WatchlistHitParameters(tuple(hit.masks), hit.minimum_confidence)
            if wire.HasField("watchlist_hit")
            else None
        ),
        dwell=(
            DwellParameters(dwell.dwell_seconds, dwell.maximum_gap_seconds)
            if wire.HasField("dwell")
            else None
        ),
        cloned_plate=(
            ClonedPlateParameters(cloned.maximum_speed_kmh, cloned.window_seconds, cloned.minimum_confidence)
            if wire.HasField("cloned_plate")
            else None
        ),
    )
    return Version(wire.version, wire.active_from_ms, rule)


def _text_of(wire: WireText) -> LocalizedText:
    return LocalizedText(wire.chinese, wire.english)


def _schedule_of(wire: WeeklySchedule) -> Schedule:
    try:
        excepted = tuple(datetime.date.fromisoformat(date) for date in wire.excepted_dates)
    except ValueError:
        raise DeadLetter("schedule.excepted_dates holds what is no date") from None
    return Schedule(
        time_zone=wire.time_zone,
        hours=tuple(Hours(tuple(one.days), one.from_minute, one.until_minute) for one in wire.hours),
        excepted_dates=excepted,
    )


def alert_of(raised: Raised, batch: BatchOrigin, *, correlated_ms: int) -> AlertRaised:
    """The value of `alerts`, with the data keys that its observation needs and no other."""
    rule = raised.rule.value
    observation = raised.observation
    if not isinstance(observation, Observation):
        raise TypeError("the observation of a batch is the wire's own")
    alert = AlertRaised(
        raised_id=raised.raised_id,
        rule_id=rule.rule_id,
        rule_version=raised.rule.number,
        fold_key=raised.fold_key,
        unit_kind=raised.unit_kind,
        officer_text=WireText(chinese=rule.officer_text.chinese, english=rule.officer_text.english),
        jurisdiction=raised.jurisdiction,
        observation=observation,
        correlated_time_ms=correlated_ms,
        gateway_id=batch.gateway_id,
        epoch=batch.epoch,
        cooldown_seconds=rule.cooldown_seconds,
    )
    # The stubs want the enumerations' own type, which a number of a table does not have.
    for field, number in (
        ("rule_kind", _RULE_KIND_NUMBERS[rule.kind]),
        ("severity", _SEVERITY_NUMBERS[raised.severity]),
        ("policy", _POLICY_NUMBERS[raised.policy]),
    ):
        setattr(alert, field, number)
    needed = _data_keys_of(observation)
    alert.data_keys.extend(key for key in batch.data_keys if key.data_key_id in needed)
    _set_match(alert, raised)
    return alert


def _set_match(alert: AlertRaised, raised: Raised) -> None:
    match raised.match:
        case WatchlistMatch() as match:
            hit = alert.watchlist
            hit.entry_id, hit.entry_version = match.entry_id, match.entry_version
            hit.category, hit.names_person = match.category, match.names_person
            setattr(hit, "identifier_kind", match.identifier_kind)  # noqa: B010 - as above
            hit.mask, hit.token, hit.epoch = match.mask, match.token, match.epoch
            hit.identifier_index, hit.entry_valid_until_ms = (
                match.identifier_index,
                match.entry_valid_until_ms,
            )
        case DwellMatch() as match:
            stood = alert.dwell
            stood.zone_id, stood.zone_version = match.zone_id, match.zone_version
            stood.first_seen_ms, stood.last_seen_ms = match.first_seen_ms, match.last_seen_ms
        case ClonedPlateMatch() as match:
            pair = alert.cloned_plate
            pair.other_device_id = match.other_device_id
            pair.other_observation_id = match.other_observation_id
            pair.other_position.CopyFrom(
                WirePosition(latitude=match.other_latitude, longitude=match.other_longitude)
            )
            pair.other_time_ms = match.other_time_ms
            pair.other_clock_uncertainty_ms = match.other_clock_uncertainty_ms
            pair.distance_metres, pair.speed_kmh = match.distance_metres, match.speed_kmh
            pair.maximum_speed_kmh = match.maximum_speed_kmh


def _data_keys_of(observation: Observation) -> set[bytes]:
    return {_id for _id in _all_data_key_ids(observation) if _id}


def _all_data_key_ids(observation: Observation) -> Iterable[bytes]:
    yield observation.picture_data_key_id
    for identifier in observation.identifiers:
        yield identifier.data_key_id
