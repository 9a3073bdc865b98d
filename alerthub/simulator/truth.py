"""Which alerts a run must raise, worked out from what its devices told. Pure.

Imports nothing of the domain, which it judges. What a hub cannot be held to (an event of which nobody knows
whether it arrived, a time that falls on a rule's edge) may raise an alert, and is counted neither way. Times
are milliseconds since the run's beginning.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from alerthub.simulator.cast import CONFUSABLE, Listed, Standing
from alerthub.simulator.city import MINIMUM_CONFIDENCE, City, Device, Times
from alerthub.simulator.happenings import Kind, Told
from alerthub.simulator.plates import looks_like

CLOCK_LEARNT_AFTER = 8
"""Events on time after which the hub says that it knows a device's clock (docs/devices.md: it is learnt)."""
_CLOCK_WINDOW = 32
_MARGIN_MS = 1_500
"""Clocks that tell whole seconds, and the way to the hub."""


class RuleKind(Enum):
    """What raises alerts."""

    LISTED = "watchlist-hit"
    STOOD = "dwell"
    CALLED = "direct-call"


class Must(Enum):
    """What the hub must make of something. `MAY`: either is right."""

    ALERT = "alert"
    NOTHING = "nothing"
    MAY = "either"


@dataclass(frozen=True, slots=True)
class Key:
    """What one alert is about: `entry` and its number, or `stay` or `call`, device and track."""

    rule_kind: RuleKind
    subject: str


@dataclass(frozen=True, slots=True)
class Expected:
    """What must become of one subject. `counted` and `perhaps`: events that are sightings, or may be."""

    key: Key
    must: Must
    why: str
    counted: int
    perhaps: int
    devices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Truth:
    """What must be so. `key_of`: the subject of each event, by its number."""

    expected: Mapping[Key, Expected]
    key_of: Mapping[int, Key]


def truth_of(told: Iterable[Told], *, city: City, cast: Sequence[Listed], times: Times) -> Truth:
    """What must become of what was told, in whatever order it is given."""
    ordered = sorted(told, key=lambda each: (each.first_sent_ms, each.happening.number))
    devices = {device.device_id: device for device in city.devices}
    late = _late(ordered, times)
    key_of: dict[int, Key] = {}
    expected = _listed(ordered, devices, cast, late)
    expected |= _stood(ordered, devices, times, late, key_of)
    expected |= _called(ordered, key_of)
    return Truth(expected, key_of)


def _late(told: Sequence[Told], times: Times) -> dict[int, Must]:
    """Whether each event came in time: ALERT, too late: NOTHING, or nobody can say."""
    allowed_ms = times.lateness_seconds * 1_000
    recent: dict[str, list[bool]] = defaultdict(list)
    result = {}
    for each in told:
        happening = each.happening
        device = recent[happening.device_id]
        acknowledged_ms = each.acknowledged_ms
        on_time = acknowledged_ms is not None and acknowledged_ms - happening.seen_ms <= allowed_ms
        surely_late = each.first_sent_ms - happening.seen_ms > allowed_ms + _MARGIN_MS
        window = device[-_CLOCK_WINDOW + 1 :]
        # Unless the hub knows the clock, the time of receipt is the best that it knows.
        knows_clock = sum(window) >= CLOCK_LEARNT_AFTER and 2 * sum(window) > len(window) + 1
        if on_time:
            result[happening.number] = Must.ALERT
        else:
            result[happening.number] = Must.NOTHING if surely_late and knows_clock else Must.MAY
        device.append(acknowledged_ms is not None and acknowledged_ms - happening.seen_ms <= 2 * _MARGIN_MS)
    return result


def _listed(
    told: Sequence[Told], devices: Mapping[str, Device], cast: Sequence[Listed], late: Mapping[int, Must]
) -> dict[Key, Expected]:
    by_looks: dict[str, list[Listed]] = defaultdict(list)
    for listed in cast:
        by_looks[looks_like(listed.plate)].append(listed)
    reads: dict[int, list[tuple[Must, str, str]]] = defaultdict(list)
    for each in told:
        if not each.happening.plate:
            continue
        for listed in by_looks.get(looks_like(each.happening.plate), ()):
            must, why = _read(each, listed, devices[each.happening.device_id], late)
            reads[listed.number].append((must, why, each.happening.device_id))
    return {
        (key := Key(RuleKind.LISTED, f"entry {listed.number}")): _summed(
            key, listed.role.why, reads[listed.number]
        )
        for listed in cast
    }


def _read(each: Told, listed: Listed, device: Device, late: Mapping[int, Must]) -> tuple[Must, str]:
    """What must become of one read of a plate that is this entry's, or looks like it."""
    happening = each.happening
    if listed.role.standing is not Standing.IN_FORCE:
        return Must.NOTHING, listed.role.standing.value
    if happening.plate != listed.plate and CONFUSABLE not in listed.role.masks:
        return Must.NOTHING, "read with a confused character"
    if not device.authorised:
        return Must.NOTHING, "the device has no authorisation"
    if happening.confidence < MINIMUM_CONFIDENCE:
        return Must.NOTHING, "read too doubtfully"
    if late[happening.number] is Must.NOTHING:
        return Must.NOTHING, "told too late"
    if each.acknowledged_ms is None:
        return Must.MAY, "nobody knows whether it arrived"
    if late[happening.number] is Must.MAY:
        return Must.MAY, "on the edge of too late, or told by a device whose clock is not known yet"
    return Must.ALERT, "read in time"


def _summed(key: Key, role: str, reads: Sequence[tuple[Must, str, str]]) -> Expected:
    counted = sum(must is Must.ALERT for must, _, _ in reads)
    perhaps = sum(must is Must.MAY for must, _, _ in reads)
    must = Must.ALERT if counted else Must.MAY if perhaps else Must.NOTHING
    reasons = sorted({why for found, why, _ in reads if found is must}) or ["never read"]
    devices = tuple(sorted({device for found, _, device in reads if found is must}))
    return Expected(key, must, f"{role}: {', '.join(reasons)}", counted, perhaps, devices)


def _called(told: Sequence[Told], key_of: dict[int, Key]) -> dict[Key, Expected]:
    calls: dict[Key, list[tuple[Must, str, str]]] = defaultdict(list)
    for each in told:
        if each.happening.kind is not Kind.PANIC:
            continue
        key = Key(RuleKind.CALLED, f"call {each.happening.device_id}")
        key_of[each.happening.number] = key
        must = Must.MAY if each.acknowledged_ms is None else Must.ALERT
        calls[key].append((must, "pressed", each.happening.device_id))
    return {key: _summed(key, "a panic button", pressed) for key, pressed in calls.items()}


def _stood(
    told: Sequence[Told],
    devices: Mapping[str, Device],
    times: Times,
    late: Mapping[int, Must],
    key_of: dict[int, Key],
) -> dict[Key, Expected]:
    """Stays by who stands: a plate that may be checked, else what the sensor calls it."""
    by_key: dict[Key, list[Told]] = defaultdict(list)
    for each in told:
        happening = each.happening
        if happening.kind not in (Kind.STANDING, Kind.LEFT):
            continue
        named = happening.plate if devices[happening.device_id].authorised else ""
        key = Key(RuleKind.STOOD, f"stay {happening.device_id} {named or happening.track}")
        key_of[happening.number] = key
        by_key[key].append(each)
    result = {}
    for key, all_of_it in by_key.items():
        surely = _fired(all_of_it, late, times, kindly=False)
        perhaps = max(surely, _fired(all_of_it, late, times, kindly=True))
        must = Must.ALERT if surely else Must.MAY if perhaps else Must.NOTHING
        why = {
            Must.ALERT: "stood longer than allowed",
            Must.NOTHING: "stood shorter than allowed, or was out of sight for longer than the rule's gap",
            Must.MAY: "on the edge of what is allowed",
        }[must]
        device = all_of_it[0].happening.device_id
        result[key] = Expected(key, must, why, surely, perhaps - surely, (device,))
    return result


def _fired(told: Sequence[Told], late: Mapping[int, Must], times: Times, *, kindly: bool) -> int:
    """How often the rule fires. The hub's time of an event lies between when it was seen and when it was
    acknowledged: kindly, each time is what makes a stay longest; else what makes it shortest."""
    fired = 0
    first: tuple[int, int] | None = None
    last = (0, 0)
    done = False
    for each in sorted(told, key=lambda one: (one.happening.seen_ms, one.happening.number)):
        happening = each.happening
        left = happening.kind is Kind.LEFT
        acknowledged_ms = each.acknowledged_ms
        sure = acknowledged_ms is not None and late[happening.number] is Must.ALERT
        if not sure and kindly is left:
            continue
        if left:
            first = None
            continue
        early_ms = happening.seen_ms - _MARGIN_MS
        late_ms = happening.seen_ms if acknowledged_ms is None else acknowledged_ms
        apart_ms = early_ms - last[1] if kindly else late_ms - last[0]
        if first is None or apart_ms > times.gap_seconds * 1_000:
            first, done = (early_ms, late_ms), False
        last = (early_ms, late_ms)
        stood_ms = late_ms - first[0] if kindly else early_ms - first[1]
        if not done and stood_ms >= times.dwell_seconds * 1_000:
            fired, done = fired + 1, True
    return fired
