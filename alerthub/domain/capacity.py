"""How much a city needs: cores, partitions, Kafka's and the pictures' bytes, memory. Pure.

Every figure is an amount, its formula and the numbers in it, so that nobody has to believe it. What was
measured comes in as `Measured`; nothing here knows a rate by itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace

from alerthub.domain.errors import Refuse

DEVICES_A_DISTRICT = 300
REPLICATION = 3
SEGMENTS_A_RETENTION = 6
"""Kafka forgets whole segments, each a sixth of the retention: so much more lies on the disk."""
PRODUCTION_PARTITIONS = 128
PARTITIONS_A_CORRELATOR = (8, 4, 2, 1)
"""Wished, so that the work of one that fails spreads evenly over the others; fewer where more would never be
enough."""
_MOST_PARTITIONS = 1 << 16
ALERTS_KEPT_DAYS = 7
EVENTS_AN_ALERT = 8
"""Changes of an alert's life that are told: opened, sealed, confirmed, assigned, delivered, accepted, closed,
and a repeat."""
LONGEST_RETENTION_MINUTES = 24 * 60
_MIB, _GIB = 2.0**20, 2.0**30


@dataclass(frozen=True, slots=True)
class CityFigures:
    """A city. The defaults are the reference city's (docs/capacity.md says where each comes from)."""

    cameras: int = 21_100
    average_per_second: float = 600.0
    peak_per_second: float = 2_000.0
    entries: int = 1_000_000
    terminals: int = 473
    dwell_zones: int = 2_000
    alerts_per_hour: float = 360.0
    retention_minutes: int = 60
    picture_bytes: int = 200_000
    pictured_share: float = 1.0
    """Of the observations: those that come with a picture."""
    streamed_share: float = 0.0
    """Of the observations without a picture: those that edge servers send by gRPC, 64 a message."""

    def times(self, factor: int) -> CityFigures:
        """So many such cities in one hub."""
        return replace(
            self,
            cameras=self.cameras * factor,
            average_per_second=self.average_per_second * factor,
            peak_per_second=self.peak_per_second * factor,
            entries=self.entries * factor,
            terminals=self.terminals * factor,
            dwell_zones=self.dwell_zones * factor,
            alerts_per_hour=self.alerts_per_hour * factor,
        )


@dataclass(frozen=True, slots=True)
class Measured:
    """What one machine did. Rates are of one core's processor seconds."""

    http_per_second: float
    pictured_per_second: float
    streamed_per_second: float
    correlated_per_second: float
    record_seconds: float
    """A record on the way through the correlator, whatever is in it."""
    alert_dispatch_seconds: float
    alert_watchlist_seconds: float
    alert_postgres_seconds: float
    alert_push_seconds: float
    kafka_record_seconds: float
    observation_bytes: float
    record_bytes: float
    """Around a record's observations: a wrapped data key above all."""
    event_bytes: float
    """Of an alert or of a change of its life on Kafka."""
    entry_bytes: float
    """Of a correlator's memory."""
    device_bytes: float
    """The same, with the zones and rules of a city around it."""
    stay_bytes: float
    process_bytes: float
    """Of a service's process before it knows anything."""
    connection_bytes: float
    terminal_bytes: float


@dataclass(frozen=True, slots=True)
class Policy:
    """How much is left free. `used`: the share of a core that is planned for; `linger_ms`: how long a gateway
    collects observations for one record under load."""

    used: float = 0.5
    linger_ms: float = 25.0


@dataclass(frozen=True, slots=True)
class Need:
    """One line: an amount in `unit`, and how it comes about."""

    name: str
    amount: float
    unit: str
    formula: str


@dataclass(frozen=True, slots=True)
class Capacity:
    """What a city needs, in the order in which one would look."""

    needs: tuple[Need, ...]

    def of(self, name: str) -> float:
        return next(need.amount for need in self.needs if need.name == name)


def check(figures: CityFigures, policy: Policy) -> None:
    """Refuses, by the field's name, what no city can be."""
    for name, least, most in (
        ("cameras", 1, 10_000_000),
        ("average_per_second", 0.01, 1_000_000),
        ("peak_per_second", 0.01, 1_000_000),
        ("entries", 0, 100_000_000),
        ("terminals", 0, 1_000_000),
        ("dwell_zones", 0, 10_000_000),
        ("alerts_per_hour", 0, 1_000_000),
        ("retention_minutes", 1, LONGEST_RETENTION_MINUTES),
        ("picture_bytes", 0, 2 * 1024 * 1024),
        ("pictured_share", 0, 1),
        ("streamed_share", 0, 1),
    ):
        value = float(getattr(figures, name))
        if not least <= value <= most:
            raise Refuse(name, f"from {least:g} to {most:,}")
    if figures.peak_per_second < figures.average_per_second:
        raise Refuse("peak_per_second", "at least the average")
    if figures.peak_per_second > figures.cameras * 50:
        raise Refuse("peak_per_second", "at most 50 for each camera: a gateway takes no more of one device")
    if not 0.1 <= policy.used <= 0.9:
        raise Refuse("headroom", "from 0.1 to 0.9 of a core left free")


def check_measured(measured: Measured) -> None:
    """Refuses a rate or size that is none."""
    for field in fields(measured):
        value = getattr(measured, field.name)
        if not (math.isfinite(value) and value > 0):
            raise Refuse(field.name, "a number above zero")


def capacity(figures: CityFigures, measured: Measured, policy: Policy) -> Capacity:
    """What the city needs at its peak. Raises Refuse."""
    check(figures, policy)
    check_measured(measured)
    needs: list[Need] = []

    def need(name: str, amount: float, unit: str, formula: str) -> float:
        needs.append(Need(name, amount, unit, formula))
        return amount

    reckon = _Reckoning(figures, measured, policy, need)
    reckon.intake()
    reckon.correlation()
    reckon.alerts()
    reckon.totals()
    reckon.disks()
    reckon.memory()
    return Capacity(tuple(needs))


class _Reckoning:
    """One city's lines, each from those before it."""

    def __init__(
        self,
        figures: CityFigures,
        measured: Measured,
        policy: Policy,
        need: Callable[[str, float, str, str], float],
    ) -> None:
        self._city = figures
        self._rate = measured
        self._used = policy.used
        self._linger_ms = policy.linger_ms
        self._need = need
        self._gateways = self._partitions = self._correlators = 1
        self._records = 0.0
        self._cores: list[float] = []

    def _core(self, name: str, seconds_a_second: float, formula: str) -> float:
        """Cores for so many processor seconds a second, of which only a share is planned for."""
        cores = seconds_a_second / self._used
        self._cores.append(cores)
        return self._need(name, cores, "cores", f"({formula}) / {self._used:g} of a core")

    def intake(self) -> None:
        city, rate = self._city, self._rate
        pictured = city.peak_per_second * city.pictured_share
        streamed = (city.peak_per_second - pictured) * city.streamed_share
        plain = city.peak_per_second - pictured - streamed
        seconds = (
            pictured / rate.pictured_per_second
            + streamed / rate.streamed_per_second
            + plain / rate.http_per_second
        )
        cores = self._core(
            "gateway",
            seconds,
            f"{pictured:g}/s with a picture / {rate.pictured_per_second:g}"
            f" + {streamed:g}/s streamed / {rate.streamed_per_second:g}"
            f" + {plain:g}/s by HTTP / {rate.http_per_second:g}",
        )
        self._gateways = max(2, math.ceil(cores))
        self._need(
            "gateway processes",
            self._gateways,
            "",
            f"a core each: {cores:.1f} rounded up, and never one alone",
        )

    def correlation(self) -> None:
        city, rate = self._city, self._rate
        each = self._choose_partitions()
        empty = self._gateways * self._partitions
        self._records, seconds = self._correlating(self._partitions)
        self._need(
            "partitions",
            self._partitions,
            "",
            f"{each} x {self._correlators} correlators, a power of two, at least {PRODUCTION_PARTITIONS};"
            " never changed later",
        )
        self._need(
            "districts",
            math.ceil(city.cameras / DEVICES_A_DISTRICT),
            "at least",
            f"{city.cameras} cameras / {DEVICES_A_DISTRICT}; a district is in one partition, so that more"
            " partitions than districts stay empty",
        )
        self._need(
            "empty Kafka records",
            empty,
            "/s",
            f"one a second from each of {self._gateways} gateways in each of {self._partitions} partitions"
            " (C11)",
        )
        self._need(
            "Kafka records",
            self._records,
            "/s",
            f"the smaller of {city.peak_per_second:g} observations/s and {empty} x 1000 /"
            f" {self._linger_ms:g} ms, and the empty ones",
        )
        self._core(
            "correlator",
            seconds,
            f"{self._records:g} records/s x {rate.record_seconds:g} s + {city.peak_per_second:g}/s"
            f" / {rate.correlated_per_second:g}",
        )
        self._need(
            "correlator processes",
            self._correlators,
            "",
            f"a core each: {seconds / self._used:.1f} rounded up, and never one alone",
        )

    def _choose_partitions(self) -> int:
        """Each partition brings records, records need correlators, and those need partitions: the fewest that
        are enough. Gives how many partitions each correlator has at least."""
        for each in PARTITIONS_A_CORRELATOR:
            partitions = PRODUCTION_PARTITIONS
            while partitions <= _MOST_PARTITIONS:
                _, seconds = self._correlating(partitions)
                correlators = max(2, math.ceil(seconds / self._used))
                if partitions >= each * correlators:
                    self._partitions, self._correlators = partitions, correlators
                    return each
                partitions *= 2
        raise Refuse(
            "peak_per_second",
            f"less in one hub: {self._gateways} gateways write more empty records than its correlators read",
        )

    def _correlating(self, partitions: int) -> tuple[float, float]:
        """Records a second, and the processor seconds that they take in one."""
        empty = self._gateways * partitions
        records = min(self._city.peak_per_second, empty * 1_000 / self._linger_ms) + empty
        seconds = (
            records * self._rate.record_seconds
            + self._city.peak_per_second / self._rate.correlated_per_second
        )
        return records, seconds

    def alerts(self) -> None:
        alerts = self._city.alerts_per_hour / 3_600
        for name, seconds in (
            ("dispatch", self._rate.alert_dispatch_seconds),
            ("watchlist", self._rate.alert_watchlist_seconds),
            ("PostgreSQL", self._rate.alert_postgres_seconds),
            ("push", self._rate.alert_push_seconds),
        ):
            self._core(name, alerts * seconds, f"{alerts:.3g} alerts/s x {seconds:g} s")
        self._core(
            "Kafka",
            (self._records + alerts * EVENTS_AN_ALERT) * self._rate.kafka_record_seconds * REPLICATION,
            f"({self._records:g} records/s + {alerts:.3g} alerts/s x {EVENTS_AN_ALERT}) x"
            f" {self._rate.kafka_record_seconds:g} s x {REPLICATION} replicas",
        )

    def totals(self) -> None:
        self._need(
            "cores",
            sum(self._cores),
            "cores",
            f"the sum of the {len(self._cores)} lines above that are cores",
        )

    def disks(self) -> None:
        city, rate = self._city, self._rate
        seconds = city.retention_minutes * 60
        kept = 1 + 1 / SEGMENTS_A_RETENTION
        # On average as at the peak: a gateway lingers whatever comes, so a quiet hour's records are smaller.
        packed = min(city.average_per_second, self._gateways * self._partitions * 1_000 / self._linger_ms)
        a_second = city.average_per_second * rate.observation_bytes + packed * rate.record_bytes
        self._need(
            "Kafka, observations",
            a_second * seconds * kept * REPLICATION / _GIB,
            "GiB",
            f"({city.average_per_second:g}/s x {rate.observation_bytes:g} B + {packed:g} records/s x"
            f" {rate.record_bytes:g} B) x {seconds} s x {kept:.3g} (segments) x {REPLICATION} replicas",
        )
        alerts = city.alerts_per_hour * 24 * ALERTS_KEPT_DAYS
        self._need(
            "Kafka, alerts",
            alerts * (1 + EVENTS_AN_ALERT) * rate.event_bytes * kept * REPLICATION / _GIB,
            "GiB",
            f"{alerts:g} alerts in {ALERTS_KEPT_DAYS} days x {1 + EVENTS_AN_ALERT} records x"
            f" {rate.event_bytes:g} B x {kept:.3g} x {REPLICATION} replicas",
        )
        self._need(
            "pictures",
            city.average_per_second * city.pictured_share * city.picture_bytes * seconds / _GIB,
            "GiB",
            f"{city.average_per_second:g}/s x {city.pictured_share:g} x {city.picture_bytes} B x {seconds} s;"
            " the gateway's `picture_bound_bytes` must allow it",
        )
        self._need(
            "network into the gateways",
            city.peak_per_second * city.pictured_share * city.picture_bytes * 8 / 1e6,
            "Mbit/s",
            f"{city.peak_per_second:g}/s x {city.pictured_share:g} x {city.picture_bytes} B: pictures alone",
        )

    def memory(self) -> None:
        city, rate = self._city, self._rate
        replica = rate.process_bytes + city.entries * rate.entry_bytes + city.cameras * rate.device_bytes
        stays = city.dwell_zones * 2 * rate.stay_bytes
        self._need(
            "memory of a correlator",
            (replica + stays) / _MIB,
            "MiB",
            f"{rate.process_bytes / _MIB:.0f} MiB + {city.entries} entries x {rate.entry_bytes:g} B +"
            f" {city.cameras} devices x {rate.device_bytes:g} B + {city.dwell_zones} zones x 2 stays x"
            f" {rate.stay_bytes:g} B; each process holds all of it",
        )
        connections = math.ceil(city.cameras * (1 - city.streamed_share) / self._gateways)
        self._need(
            "memory of a gateway",
            (rate.process_bytes + connections * rate.connection_bytes) / _MIB,
            "MiB",
            f"{rate.process_bytes / _MIB:.0f} MiB + {connections} devices' connections x"
            f" {rate.connection_bytes:g} B",
        )
        self._need(
            "memory of push",
            (rate.process_bytes + city.terminals * rate.terminal_bytes) / _MIB,
            "MiB",
            f"{rate.process_bytes / _MIB:.0f} MiB + {city.terminals} terminals x {rate.terminal_bytes:g} B",
        )
