"""Resources of a small city, as messages. Every function makes a whole, valid one; keywords change it."""

from __future__ import annotations

import time
from typing import Any

from alerthub.api.v1 import common_pb2, registry_pb2
from alerthub.api.v1.registry_pb2 import Resource

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def jurisdiction(jurisdiction_id: str, parent_id: str = "", **fields: Any) -> Resource:
    values: dict[str, Any] = {"name": common_pb2.LocalizedText(english=jurisdiction_id), **fields}
    return Resource(
        jurisdiction=registry_pb2.Jurisdiction(jurisdiction_id=jurisdiction_id, parent_id=parent_id, **values)
    )


def square(
    latitude: float = 38.0, longitude: float = 114.5, size: float = 0.001
) -> list[common_pb2.Position]:
    corners = [(0, 0), (0, 1), (1, 1), (1, 0)]
    return [
        common_pb2.Position(latitude=latitude + size * north, longitude=longitude + size * east)
        for north, east in corners
    ]


def zone(zone_id: str, jurisdiction_id: str, **fields: Any) -> Resource:
    values: dict[str, Any] = {
        "name": common_pb2.LocalizedText(english=zone_id),
        "kind": registry_pb2.ZONE_KIND_NO_PARKING,
        "jurisdiction": jurisdiction_id,
        "ring": square(),
        **fields,
    }
    return Resource(zone=registry_pb2.Zone(zone_id=zone_id, **values))


def device(device_id: str, jurisdiction_id: str, **fields: Any) -> Resource:
    values: dict[str, Any] = {
        "name": "North gate",
        "adapter": "hikvision-anpr",
        "position": common_pb2.Position(latitude=38.0, longitude=114.5),
        "district": "district-1",
        "jurisdiction": jurisdiction_id,
        "authentication_class": common_pb2.AUTHENTICATION_CLASS_PASSWORD_OVER_TLS,
        **fields,
    }
    return Resource(device=registry_pb2.Device(device_id=device_id, **values))


def authorisation(authorisation_id: str, *device_ids: str, **fields: Any) -> Resource:
    values: dict[str, Any] = {
        "legal_basis": "Road Traffic Safety Law, article 87",
        "purpose": "find stolen vehicles",
        "categories": ["stolen-vehicle"],
        "valid_from_ms": now_ms() - HOUR_MS,
        "valid_until_ms": now_ms() + 30 * DAY_MS,
        **fields,
    }
    return Resource(
        authorisation=registry_pb2.CheckAuthorisation(
            authorisation_id=authorisation_id, device_ids=device_ids, **values
        )
    )


def rule(rule_id: str, **fields: Any) -> Resource:
    values: dict[str, Any] = {
        "name": common_pb2.LocalizedText(english=rule_id),
        "kind": registry_pb2.RULE_KIND_DWELL,
        "severity": common_pb2.SEVERITY_MINOR,
        "unit_kind": "traffic",
        "policy": common_pb2.DISPATCH_POLICY_CONFIRM_FIRST,
        "officer_text": common_pb2.LocalizedText(chinese="请移走车辆", english="Have the vehicle moved"),
        "dwell": registry_pb2.DwellParameters(dwell_seconds=240, maximum_gap_seconds=60),
        **fields,
    }
    if values["kind"] != registry_pb2.RULE_KIND_DWELL and "dwell" not in fields:
        del values["dwell"]
    return Resource(rule=registry_pb2.Rule(rule_id=rule_id, **values))


def unit(unit_id: str, jurisdiction_id: str, **fields: Any) -> Resource:
    values: dict[str, Any] = {
        "name": common_pb2.LocalizedText(english=unit_id),
        "unit_kind": "patrol",
        "jurisdiction": jurisdiction_id,
        "station": common_pb2.Position(latitude=38.0, longitude=114.5),
        **fields,
    }
    return Resource(unit=registry_pb2.Unit(unit_id=unit_id, **values))


def shift(shift_id: str, unit_id: str, *officers: str, **fields: Any) -> Resource:
    values: dict[str, Any] = {"from_ms": now_ms() - HOUR_MS, "until_ms": now_ms() + 7 * HOUR_MS, **fields}
    return Resource(shift=registry_pb2.Shift(shift_id=shift_id, unit_id=unit_id, officers=officers, **values))
