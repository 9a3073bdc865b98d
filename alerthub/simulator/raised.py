"""Alerts as the hub's API tells them, with the subject of the run that each is about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from alerthub.api.v1 import registry_pb2
from alerthub.api.v1.alert_pb2 import Alert
from alerthub.simulator.city import City
from alerthub.simulator.happenings import Kind, Told
from alerthub.simulator.messages import Teller
from alerthub.simulator.truth import Key, RuleKind
from alerthub.simulator.verdict import Raised

_RULE_KINDS = {
    int(registry_pb2.RULE_KIND_WATCHLIST_HIT): RuleKind.LISTED,
    int(registry_pb2.RULE_KIND_DWELL): RuleKind.STOOD,
    int(registry_pb2.RULE_KIND_DIRECT_CALL): RuleKind.CALLED,
}
_ALERTING = (Kind.STANDING, Kind.PANIC)


class Subjects:
    """Knows what a run listed and told."""

    def __init__(
        self,
        city: City,
        teller: Teller,
        told: Iterable[Told],
        key_of: Mapping[int, Key],
        entries: Mapping[str, int],
    ) -> None:
        devices = {device.device_id: device for device in city.devices}
        self._devices = frozenset(devices)
        self._entries = entries
        self._told = {
            (each.device_id, teller.device_time_ms(each, devices[each.device_id])): key_of[each.number]
            for each in (one.happening for one in told)
            if each.kind in _ALERTING
        }

    def of(self, alerts: Iterable[Alert]) -> tuple[list[Raised], int]:
        """The alerts that are this run's to answer for, and how many are not: of entries that it did not
        list, or of other devices."""
        found = []
        others = 0
        for alert in alerts:
            kind = _RULE_KINDS.get(alert.rule_kind)
            if kind is None or not self._mine(alert):
                others += 1
                continue
            found.append(
                Raised(
                    alert_id=alert.alert_id,
                    rule_kind=kind,
                    key=self._key(kind, alert),
                    opened_ms=alert.opened_at_ms,
                    closed_ms=alert.closed_at_ms,
                    sightings=alert.sighting_count,
                    devices=tuple(sorted({seen.device_id for seen in alert.sightings})),
                )
            )
        return found, others

    def _mine(self, alert: Alert) -> bool:
        if alert.entry_id:
            return alert.entry_id in self._entries
        return any(seen.device_id in self._devices for seen in alert.sightings)

    def _key(self, kind: RuleKind, alert: Alert) -> Key | None:
        if alert.entry_id:
            return Key(kind, f"entry {self._entries[alert.entry_id]}")
        # Newest last: an alert that an earlier run opened is about what was told now.
        times = [(seen.device_id, seen.device_time_ms) for seen in reversed(alert.sightings)]
        return next((self._told[each] for each in times if each in self._told), None)
