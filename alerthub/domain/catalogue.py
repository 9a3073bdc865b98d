"""Devices, zones and rules as they were in force at a time, ready to evaluate with (C5)."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from alerthub.domain.resources import CheckAuthorisation, Device, LifeStatus, Rule, RuleKind, Zone
from alerthub.domain.rules.interface import DeviceInForce, PlacedRule
from alerthub.domain.versions import History, Version

_KEPT_CONFIGURATIONS = 8
"""Batches around an activation alternate between two; a replay after a restart meets a few more."""

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class RegisteredDevice:
    """A device and the check authorisations that name it, each with its own version and activation."""

    device: Device
    authorisations: tuple[Version[CheckAuthorisation], ...]


class Configuration:
    """What was in force during one interval. A device is put together when it is first asked for."""

    def __init__(
        self,
        at_ms: int,
        devices: Mapping[str, History[RegisteredDevice]],
        zones: Mapping[str, History[Zone]],
        rules: Iterable[History[Rule]],
    ) -> None:
        self._at_ms = at_ms
        self._devices = devices
        self._zones = zones
        self._rules: dict[str, Version[Rule]] = {}
        self._everywhere: list[Version[Rule]] = []
        self._by_device: dict[str, list[Version[Rule]]] = {}
        self._by_zone: dict[str, list[Version[Rule]]] = {}
        self._known: dict[str, DeviceInForce | None] = {}
        self.cross_district = False
        """Whether any cross-district rule is in force (C7)."""
        for history in rules:
            version = history.in_force_or_oldest(at_ms)
            if version is not None:
                self._place(version)

    def device(self, device_id: str) -> DeviceInForce | None:
        """The device with its rules; None where it was unknown or not active."""
        try:
            return self._known[device_id]
        except KeyError:
            found = self._known[device_id] = self._put_together(device_id)
            return found

    def rule(self, rule_id: str) -> Version[Rule] | None:
        """The active rule of that id."""
        return self._rules.get(rule_id)

    def _place(self, version: Version[Rule]) -> None:
        rule = version.value
        if rule.status is not LifeStatus.ACTIVE:
            return
        self._rules[rule.rule_id] = version
        self.cross_district = self.cross_district or rule.cross_district
        if not rule.device_ids and not rule.zone_ids:
            self._everywhere.append(version)
        for device_id in rule.device_ids:
            self._by_device.setdefault(device_id, []).append(version)
        for zone_id in rule.zone_ids:
            self._by_zone.setdefault(zone_id, []).append(version)

    def _put_together(self, device_id: str) -> DeviceInForce | None:
        history = self._devices.get(device_id)
        version = history.in_force_or_oldest(self._at_ms) if history else None
        if version is None or version.value.device.status is not LifeStatus.ACTIVE:
            return None
        device = version.value.device
        placed: dict[str, PlacedRule] = {}
        for zone_id in device.zone_ids:
            zone = self._zone(zone_id)
            if zone is not None:
                for rule in self._by_zone.get(zone_id, ()):
                    placed.setdefault(rule.value.rule_id, PlacedRule(rule, zone))
        for rule in (*self._by_device.get(device_id, ()), *self._everywhere):
            placed.setdefault(rule.value.rule_id, PlacedRule(rule, None))
        # The order in which rules are evaluated must not depend on the order in which their versions arrived.
        ordered = [placed[rule_id] for rule_id in sorted(placed)]
        return DeviceInForce(
            device=Version(version.number, version.active_from_ms, device),
            authorisations=version.value.authorisations,
            hit_rules=tuple(rule for rule in ordered if rule.rule.value.kind is RuleKind.WATCHLIST_HIT),
            dwell_rules=tuple(rule for rule in ordered if rule.rule.value.kind is RuleKind.DWELL),
            cross_district_rules=tuple(rule for rule in ordered if rule.rule.value.cross_district),
        )

    def _zone(self, zone_id: str) -> Version[Zone] | None:
        history = self._zones.get(zone_id)
        version = history.in_force_or_oldest(self._at_ms) if history else None
        return version if version is not None and version.value.status is LifeStatus.ACTIVE else None


class Catalogue:
    """All versions that an observation within the retention may need, and the configuration of any time."""

    def __init__(self) -> None:
        self._devices: dict[str, History[RegisteredDevice]] = {}
        self._zones: dict[str, History[Zone]] = {}
        self._rules: dict[str, History[Rule]] = {}
        self._activations: list[int] | None = None
        self._configurations: dict[int, Configuration] = {}

    def put_device(self, device_id: str, version: Version[RegisteredDevice] | None) -> None:
        """A version of a device; None: it is gone, all versions of it."""
        self._put(self._devices, device_id, version)

    def put_zone(self, zone_id: str, version: Version[Zone] | None) -> None:
        """A version of a zone; None: it is gone."""
        self._put(self._zones, zone_id, version)

    def put_rule(self, rule_id: str, version: Version[Rule] | None) -> None:
        """A version of a rule; None: it is gone."""
        self._put(self._rules, rule_id, version)

    def at(self, received_ms: int) -> Configuration:
        """What evaluates an observation that was received at `received_ms`."""
        if self._activations is None:
            activations: set[int] = set()
            for table in (self._devices, self._zones, self._rules):
                activations.update(*(history.activations() for history in table.values()))
            self._activations = sorted(activations)
        interval = bisect.bisect_right(self._activations, received_ms)
        configuration = self._configurations.get(interval)
        if configuration is None:
            if len(self._configurations) >= _KEPT_CONFIGURATIONS:
                self._configurations.clear()
            # Within an interval nothing comes into force, so any time in it stands for all.
            configuration = Configuration(received_ms, self._devices, self._zones, self._rules.values())
            self._configurations[interval] = configuration
        return configuration

    def _put(self, table: dict[str, History[Value]], id_: str, version: Version[Value] | None) -> None:
        if version is None:
            changed = table.pop(id_, None) is not None
        else:
            changed = table.setdefault(id_, History()).add(version)
        if changed:
            self._activations = None
            self._configurations.clear()
