"""The simulated city as it is registered: zones, devices, authorisation, rules, units and shifts."""

from __future__ import annotations

from collections.abc import Iterator

from alerthub.api.v1.common_pb2 import (
    AUTHENTICATION_CLASS_CERTIFICATE,
    AUTHENTICATION_CLASS_PASSWORD_OVER_TLS,
    DISPATCH_POLICY_CONFIRM_FIRST,
    DISPATCH_POLICY_SEND_AT_ONCE,
    SEVERITY_INFORMATION,
    SEVERITY_MAJOR,
    LocalizedText,
    Position,
)
from alerthub.api.v1.registry_pb2 import (
    RULE_KIND_DWELL,
    RULE_KIND_WATCHLIST_HIT,
    ZONE_KIND_NO_PARKING,
    CheckAuthorisation,
    Device,
    DwellParameters,
    Jurisdiction,
    Resource,
    Rule,
    Shift,
    Unit,
    WatchlistHitParameters,
    Zone,
)
from alerthub.simulator import city as simulated
from alerthub.simulator.cast import CONFUSABLE, EXACT, PERSON, VEHICLE
from alerthub.simulator.city import City, Job, Times, Way

CITY = "sim-city"
_HOUR_MS = 3_600_000
_HALF_DEGREES = 0.0002
"""From a bay's middle to its corners: about twenty metres."""


def resources(city: City, times: Times, *, officer: str, now_ms: int) -> list[Resource]:
    """Everything, in the order in which one may refer to another. Holds from the last full hour for a day."""
    from_ms = now_ms // _HOUR_MS * _HOUR_MS
    until_ms = from_ms + 24 * _HOUR_MS
    return [
        Resource(jurisdiction=Jurisdiction(jurisdiction_id=CITY, name=_named("模拟市", "Simulated city"))),
        *_jurisdictions(city),
        *(Resource(zone=_zone(city, bay)) for bay in city.of(Job.BAY)),
        *(Resource(device=_device(city, each)) for each in city.devices),
        *(Resource(device=edge) for edge in _edges(city)),
        Resource(authorisation=_authorisation(city, from_ms, until_ms)),
        Resource(rule=_listed_rule(city, times)),
        Resource(rule=_dwell_rule(city, times)),
        *_units(city, officer, from_ms, until_ms),
    ]


def _named(chinese: str, english: str) -> LocalizedText:
    return LocalizedText(chinese=chinese, english=english)


def _jurisdictions(city: City) -> Iterator[Resource]:
    for number, district in enumerate(city.districts, start=1):
        yield Resource(
            jurisdiction=Jurisdiction(
                jurisdiction_id=district, parent_id=CITY, name=_named(f"第{number}区", f"District {number}")
            )
        )


def _position(city: City, device: simulated.Device) -> Position:
    latitude, longitude = city.streets.degrees(device.crossing)
    return Position(latitude=latitude, longitude=longitude)


def _zone(city: City, bay: simulated.Device) -> Zone:
    middle = _position(city, bay)
    corners = ((-1, -1), (-1, 1), (1, 1), (1, -1))
    return Zone(
        zone_id=bay.zone_id,
        name=_named("禁停区", "No-parking bay"),
        kind=ZONE_KIND_NO_PARKING,
        jurisdiction=bay.district,
        ring=[
            Position(
                latitude=middle.latitude + north * _HALF_DEGREES,
                longitude=middle.longitude + east * _HALF_DEGREES,
            )
            for north, east in corners
        ],
    )


def _device(city: City, device: simulated.Device) -> Device:
    by_certificate = device.way is Way.STREAM
    return Device(
        device_id=device.device_id,
        name=f"Simulated {device.job.value}",
        adapter=device.make.value,
        position=_position(city, device),
        district=device.district,
        jurisdiction=device.district,
        zone_ids=[device.zone_id] if device.zone_id else [],
        authentication_class=(
            AUTHENTICATION_CLASS_CERTIFICATE if by_certificate else AUTHENTICATION_CLASS_PASSWORD_OVER_TLS
        ),
    )


def _edges(city: City) -> Iterator[Device]:
    for town in range(len(city.towns)):
        behind = [each for each in city.devices if each.town == town and each.way is Way.STREAM]
        yield Device(
            device_id=city.edge_id(town),
            name="Simulated edge server",
            adapter="grpc",
            position=_position(city, behind[0]),
            district=behind[0].district,
            jurisdiction=CITY,
            authentication_class=AUTHENTICATION_CLASS_CERTIFICATE,
            speaks_for=[each.device_id for each in behind],
        )


def _authorisation(city: City, from_ms: int, until_ms: int) -> CheckAuthorisation:
    return CheckAuthorisation(
        authorisation_id="sim-authorisation",
        device_ids=[
            each.device_id for each in city.devices if each.authorised and each.job is not Job.BUTTON
        ],
        legal_basis="simulation",
        purpose="simulation with invented vehicles",
        categories=[VEHICLE, PERSON],
        valid_from_ms=from_ms,
        valid_until_ms=until_ms,
    )


def _listed_rule(city: City, times: Times) -> Rule:
    return Rule(
        rule_id="sim-listed-vehicle",
        name=_named("布控车辆", "Listed vehicle"),
        kind=RULE_KIND_WATCHLIST_HIT,
        device_ids=[each.device_id for each in city.devices if each.job is not Job.BUTTON],
        severity=SEVERITY_MAJOR,
        unit_kind="patrol",
        policy=DISPATCH_POLICY_SEND_AT_ONCE,
        officer_text=_named(
            "发现布控车辆，核对后按要求处置", "Listed vehicle seen. Compare it before you act"
        ),
        allowed_lateness_seconds=times.lateness_seconds,
        watchlist_hit=WatchlistHitParameters(
            masks=[EXACT, CONFUSABLE], minimum_confidence=simulated.MINIMUM_CONFIDENCE
        ),
    )


def _dwell_rule(city: City, times: Times) -> Rule:
    return Rule(
        rule_id="sim-no-parking",
        name=_named("禁停区停车", "Standing in a no-parking bay"),
        kind=RULE_KIND_DWELL,
        zone_ids=[bay.zone_id for bay in city.of(Job.BAY)],
        severity=SEVERITY_INFORMATION,
        unit_kind="patrol",
        policy=DISPATCH_POLICY_CONFIRM_FIRST,
        officer_text=_named("车辆在禁停区停留过久", "A vehicle stands in a no-parking bay for too long"),
        allowed_lateness_seconds=times.lateness_seconds,
        dwell=DwellParameters(dwell_seconds=times.dwell_seconds, maximum_gap_seconds=times.gap_seconds),
    )


def _units(city: City, officer: str, from_ms: int, until_ms: int) -> Iterator[Resource]:
    """A patrol a town, in its first district."""
    for town, crossings in enumerate(city.towns):
        latitude, longitude = city.streets.degrees(crossings[0])
        unit_id = f"sim-patrol-{town}"
        yield Resource(
            unit=Unit(
                unit_id=unit_id,
                name=_named(f"巡逻{town + 1}组", f"Patrol {town + 1}"),
                unit_kind="patrol",
                jurisdiction=CITY,
                station=Position(latitude=latitude, longitude=longitude),
                radio_call_sign=f"P{town + 1}",
            )
        )
        yield Resource(
            shift=Shift(
                shift_id=f"{unit_id}-shift",
                unit_id=unit_id,
                from_ms=from_ms,
                until_ms=until_ms,
                officers=[officer],
            )
        )
