"""The same plate was read at two places that are too far apart for one vehicle.

Reads may come in any order: those of a plate are kept in the order of their time, and each is compared with
every other within the rule's window, so a pair fires whichever half comes first (C7).

Clocks. Each read's time may be wrong by its uncertainty, so the vehicle may have had the time between the
reads and both uncertainties for its way: the pair fires only where even that is too short for the rule's
maximum speed. Where both uncertainties together exceed a tenth of the travel time that the maximum speed
would need, they decide rather than the vehicle, and the pair says nothing. Places near to each other are thus
never compared: with clocks known to half a second each, at 120 km/h, those within 333 m.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from alerthub.domain.resources import ClonedPlateParameters, Rule
from alerthub.domain.routing import Place, distance_metres
from alerthub.domain.rules.interface import (
    ClonedPlateMatch,
    ObservationKind,
    ObservationView,
    Raised,
    allowed_lateness_ms,
    device_policy,
    observed_ms,
    raised_id,
    stricter,
)
from alerthub.domain.schedule import is_in_force
from alerthub.domain.versions import Version

MAXIMUM_READS = 8
"""Of one plate: the newest. Those of before have been compared with them."""

_PLATE = 1
"""The wire's number of the kind of identifier."""
_IDENTIFIED = frozenset(
    {ObservationKind.IDENTIFIER_READ, ObservationKind.VEHICLE_STANDING, ObservationKind.LINE_CROSSED}
)
_TENTH = 10
_KMH = 3.6


@dataclass(frozen=True, slots=True)
class Read:
    """One read of a plate. Times in milliseconds; `place` in degrees of WGS 84.

    `kept` is the observation as the alert needs it, which the rule does not look into, and `data_key_ids`
    names what it is sealed with.
    """

    observation_id: bytes
    device_id: str
    at_ms: int
    uncertainty_ms: int
    place: Place
    kept: bytes = b""
    data_key_ids: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Seen:
    """What one rule knows of one plate: its reads by time, and those of them on which it has fired.

    `fired_ms` is the time of the newest read on which it has; 0: none.
    """

    reads: tuple[Read, ...] = ()
    fired: frozenset[bytes] = field(default_factory=frozenset)
    fired_ms: int = 0


@dataclass(frozen=True, slots=True)
class Pair:
    """Two reads that one vehicle cannot have given: the alert stands on `later`."""

    earlier: Read
    later: Read
    metres: float
    speed_kmh: int


def subjects_of(
    rule: Rule, observation: ObservationView, exact_index: int, received_ms: int
) -> list[tuple[int, str]]:
    """The plates of the observation that the rule compares: the identifier's index, and its exact token in
    hexadecimal. None where the rule does not hold at the time of the read, or the read is too unsure."""
    parameters = rule.cloned_plate
    if (
        parameters is None
        or observation.kind not in _IDENTIFIED
        or (observation.read_confidence and observation.read_confidence < parameters.minimum_confidence)
        or not is_in_force(rule.schedule, observed_ms(observation, received_ms))
    ):
        return []
    return [
        (index, identifier.tokens[exact_index].hex())
        for index, identifier in enumerate(observation.identifiers)
        if identifier.kind == _PLATE
        and exact_index < len(identifier.tokens)
        and identifier.tokens[exact_index]
    ]


def evaluate(rule: Rule, seen: Seen, read: Read) -> tuple[Seen, tuple[Pair, ...]]:
    """What is known after the read, and the pairs that fire with it, each once.

    Of two reads the later by time, then by id, is the one that fires; with which of several before it, is
    said for the nearest in time. Nothing fires within the cooldown of a read on which the rule has fired. A
    read that is known changes nothing.
    """
    parameters = rule.cloned_plate
    if parameters is None or any(known.observation_id == read.observation_id for known in seen.reads):
        return seen, ()
    fired, fired_ms = seen.fired, seen.fired_ms
    pairs = []
    for pair in _pairs(parameters, seen.reads, read):
        at_ms = pair.later.at_ms
        if pair.later.observation_id in fired:
            continue
        if fired_ms and abs(at_ms - fired_ms) < rule.cooldown_seconds * 1_000:
            continue
        fired, fired_ms = fired | {pair.later.observation_id}, max(fired_ms, at_ms)
        pairs.append(pair)
    reads = tuple(sorted((*seen.reads, read), key=_order)[-MAXIMUM_READS:])
    return Seen(reads, fired & {one.observation_id for one in reads}, fired_ms), tuple(pairs)


def _order(read: Read) -> tuple[int, bytes]:
    return read.at_ms, read.observation_id


def _pairs(parameters: ClonedPlateParameters, reads: Iterable[Read], read: Read) -> list[Pair]:
    """The pairs of `read` that are too far apart, oldest first, one for each later half."""
    by_later: dict[bytes, Pair] = {}
    for known in sorted(reads, key=_order):
        earlier, later = (known, read) if _order(known) < _order(read) else (read, known)
        pair = _too_far(parameters, earlier, later)
        if pair is not None:
            by_later[later.observation_id] = pair
    return sorted(by_later.values(), key=lambda pair: _order(pair.later))


def _too_far(parameters: ClonedPlateParameters, earlier: Read, later: Read) -> Pair | None:
    elapsed_ms = later.at_ms - earlier.at_ms
    if elapsed_ms > parameters.window_seconds * 1_000:
        return None
    metres = distance_metres(earlier.place, later.place)
    uncertainty_ms = earlier.uncertainty_ms + later.uncertainty_ms
    needed_ms = metres * _KMH / parameters.maximum_speed_kmh * 1_000
    if uncertainty_ms * _TENTH > needed_ms or elapsed_ms + uncertainty_ms >= needed_ms:
        return None
    # Both clocks known to the millisecond and the same time: as if it had been one millisecond.
    speed_kmh = metres * _KMH / max(1, elapsed_ms + uncertainty_ms) * 1_000
    return Pair(earlier, later, metres, min(int(speed_kmh), 1_000_000))


def without_old(seen: Seen, rule: Rule, watermark_ms: int) -> Seen:
    """The same without reads that no read which may still come is compared with; the same object where there
    is none. `watermark_ms`: what is older than the lateness by then is never evaluated."""
    parameters = rule.cloned_plate
    window_ms = parameters.window_seconds * 1_000 if parameters is not None else 0
    oldest_ms = watermark_ms - allowed_lateness_ms(rule)
    kept = tuple(read for read in seen.reads if read.at_ms >= oldest_ms - window_ms)
    fired_ms = seen.fired_ms if seen.fired_ms + rule.cooldown_seconds * 1_000 >= oldest_ms else 0
    if len(kept) == len(seen.reads) and fired_ms == seen.fired_ms:
        return seen
    return Seen(kept, seen.fired & {read.observation_id for read in kept}, fired_ms)


def raised(
    rule: Version[Rule],
    subject: str,
    pair: Pair,
    *,
    later: ObservationView,
    earlier: ObservationView,
    jurisdiction: str,
) -> Raised:
    """The alert of a pair, whose observations are `earlier` and `later`."""
    value = rule.value
    parameters = value.cloned_plate
    return Raised(
        raised_id=raised_id(value.rule_id, subject, pair.later.observation_id),
        rule=rule,
        fold_key=f"rule:{value.rule_id}:{subject}",
        severity=value.severity,
        policy=stricter(value.policy, device_policy(later), device_policy(earlier)),
        unit_kind=value.unit_kind,
        jurisdiction=jurisdiction,
        observation=later,
        match=ClonedPlateMatch(
            other_device_id=pair.earlier.device_id,
            other_observation_id=pair.earlier.observation_id,
            other_latitude=pair.earlier.place.latitude,
            other_longitude=pair.earlier.place.longitude,
            other_time_ms=pair.earlier.at_ms,
            other_clock_uncertainty_ms=pair.earlier.uncertainty_ms,
            distance_metres=pair.metres,
            speed_kmh=pair.speed_kmh,
            maximum_speed_kmh=parameters.maximum_speed_kmh if parameters is not None else 0,
        ),
    )
