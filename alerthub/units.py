"""The units that the registry publishes, as routing and signing on need them."""

from __future__ import annotations

from collections.abc import Iterator

from alerthub.api.v1 import registry_pb2
from alerthub.domain.routing import Place, RoutableUnit, ShiftTime

_KEPT_VERSIONS = 4
"""A version that is not in force yet stands beside the one that is (C5)."""


def routable(unit: registry_pb2.Unit, now_ms: int) -> RoutableUnit:
    """The unit with those of its shifts that are in force at `now_ms`."""
    return RoutableUnit(
        unit_id=unit.unit_id,
        kind=unit.unit_kind,
        serves=frozenset((unit.jurisdiction, *unit.serves_jurisdictions)),
        station=Place(unit.station.latitude, unit.station.longitude),
        shifts=tuple(
            ShiftTime(shift.from_ms, shift.until_ms, frozenset(shift.officers))
            for shift in unit.shifts
            if shift.status in {registry_pb2.LIFE_STATUS_UNSPECIFIED, registry_pb2.LIFE_STATUS_ACTIVE}
            and shift.active_from_ms <= now_ms
        ),
    )


class UnitDirectory:
    """Fed by the replica of `units`; a newer version counts from its activation on."""

    def __init__(self) -> None:
        self._versions: dict[str, list[registry_pb2.Unit]] = {}

    def apply(self, key: str, value: bytes | None) -> None:
        """Made to be CompactedReplica's `apply`. Raises DecodeError."""
        if value is None:
            self._versions.pop(key, None)
            return
        unit = registry_pb2.Unit.FromString(value)
        known = self._versions.setdefault(key, [])
        if known and known[-1].version >= unit.version:
            return
        known.append(unit)
        del known[:-_KEPT_VERSIONS]

    def get(self, unit_id: str, now_ms: int) -> RoutableUnit | None:
        """The unit as it is in force; None where it does not exist, is suspended or removed."""
        in_force = [unit for unit in self._versions.get(unit_id, ()) if unit.active_from_ms <= now_ms]
        if not in_force or in_force[-1].status in {
            registry_pb2.LIFE_STATUS_SUSPENDED,
            registry_pb2.LIFE_STATUS_REMOVED,
        }:
            return None
        return routable(in_force[-1], now_ms)

    def all(self, now_ms: int) -> Iterator[RoutableUnit]:
        """Every unit in force."""
        for unit_id in self._versions:
            unit = self.get(unit_id, now_ms)
            if unit is not None:
                yield unit
