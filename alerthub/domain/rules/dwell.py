"""Something stood longer than allowed (a no-parking bay: 4 minutes).

Observations may come in any order within the rule's lateness: a stay is kept as the spans of time through
which it was seen without a gap, and an observation that arrives late can join two of them. So which
observations there are decides whether the rule fires, and their order only on which of them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

from alerthub.domain.resources import Rule
from alerthub.domain.rules.interface import (
    DeviceInForce,
    DwellMatch,
    ObservationKind,
    ObservationView,
    PlacedRule,
    Raised,
    allowed_lateness_ms,
    device_policy,
    observed_ms,
    raised_id,
    stricter,
)
from alerthub.domain.schedule import is_in_force

MAXIMUM_SPANS = 6
"""Of one stay: the newest. More than two need a device whose clock jumps."""

_LONGEST_TRACK = 64
"""Bytes. A longer name of a track is replaced by its hash, so that no device can make the state grow."""


@dataclass(frozen=True, slots=True)
class Span:
    """Seen from `first_ms` to `last_ms` without a gap above the rule's maximum. `fired`: the rule has fired
    on it."""

    first_ms: int
    last_ms: int
    fired: bool = False


@dataclass(frozen=True, slots=True)
class Stay:
    """What one rule knows of one subject. Times in milliseconds since 1970; 0: never.

    `subject` is the exact token in hexadecimal, or device and track where no identifier was read.
    """

    subject: str
    device_id: str
    track_id: str
    spans: tuple[Span, ...] = ()
    left_ms: int = 0
    fired_ms: int = 0


def track_of(observation: ObservationView) -> str:
    """The device's name of what it follows, bounded in length."""
    track = observation.track_id
    if len(track.encode()) <= _LONGEST_TRACK:
        return track
    return hashlib.blake2b(track.encode(), digest_size=16).hexdigest()


def subject_of(observation: ObservationView, exact_index: int) -> str:
    """Who stands: the first exact token in hexadecimal, else `track:DEVICE:TRACK`.

    `exact_index` is the place of the mask `exact` among the tokens of each identifier.
    """
    for identifier in observation.identifiers:
        tokens = identifier.tokens
        if exact_index < len(tokens) and tokens[exact_index]:
            return tokens[exact_index].hex()
    return f"track:{observation.device_id}:{track_of(observation)}"


def is_token(subject: str) -> bool:
    """Whether the subject is an identifier's token rather than a device's track."""
    return not subject.startswith("track:")


def is_empty(stay: Stay) -> bool:
    """Whether it says nothing that must be kept."""
    return not (stay.spans or stay.left_ms or stay.fired_ms)


def recognised(stay: Stay, subject: str, device_id: str, track_id: str) -> Stay:
    """The stay under what it goes on as: a token rather than a track, the newest token, and the device and
    track that show it now, which recognise it when its identifier is not read."""
    if not is_token(subject) and is_token(stay.subject):
        subject = stay.subject
    track_id = track_id or stay.track_id
    if (subject, device_id, track_id) == (stay.subject, stay.device_id, stay.track_id):
        return stay
    return Stay(subject, device_id, track_id, stay.spans, stay.left_ms, stay.fired_ms)


def evaluate(
    placed: PlacedRule,
    stay: Stay,
    observation: ObservationView,
    device: DeviceInForce,
    *,
    received_ms: int,
) -> tuple[Stay, Raised | None]:
    """The stay after the observation, and the alert if it made the rule fire.

    It fires once a stay: when something was seen for the rule's `dwell_seconds` while its schedule held,
    without a gap above its maximum, and not within its cooldown of having fired before. That the vehicle
    left ends the stay.
    """
    rule = placed.rule.value
    parameters = rule.dwell
    if parameters is None:
        return stay, None
    at_ms = observed_ms(observation, received_ms)
    if observation.kind == ObservationKind.VEHICLE_LEFT:
        return _left(stay, at_ms), None
    if at_ms <= stay.left_ms or not is_in_force(rule.schedule, at_ms):
        return stay, None
    span, spans = _seen(stay.spans, at_ms, parameters.maximum_gap_seconds * 1_000)
    if (
        span.fired
        or span.last_ms - span.first_ms < parameters.dwell_seconds * 1_000
        or (stay.fired_ms and span.last_ms - stay.fired_ms < rule.cooldown_seconds * 1_000)
    ):
        return _with(stay, spans), None
    fired = tuple(replace(known, fired=True) if known is span else known for known in spans)
    after = replace(stay, spans=fired, fired_ms=max(stay.fired_ms, span.last_ms))
    return after, _raised(placed, after.subject, span, observation, device)


def is_over(stay: Stay, rule: Rule, received_ms: int) -> bool:
    """Whether nothing that may still come can change what the stay says: it may be forgotten.

    `received_ms` is the newest time of reception: what is older than the lateness by then is never evaluated.
    """
    if rule.dwell is None:
        return True
    oldest_ms = received_ms - allowed_lateness_ms(rule)
    gap_ms = rule.dwell.maximum_gap_seconds * 1_000
    return (
        all(span.last_ms + gap_ms < oldest_ms for span in stay.spans)
        and stay.left_ms < oldest_ms
        and stay.fired_ms + rule.cooldown_seconds * 1_000 < oldest_ms
    )


def _with(stay: Stay, spans: tuple[Span, ...]) -> Stay:
    return Stay(stay.subject, stay.device_id, stay.track_id, spans, stay.left_ms, stay.fired_ms)


def _seen(spans: tuple[Span, ...], at_ms: int, gap_ms: int) -> tuple[Span, tuple[Span, ...]]:
    """The span that now holds `at_ms`, and all spans, oldest first."""
    newest = spans[-1] if spans else None
    if newest is None or at_ms > newest.last_ms + gap_ms:
        begun = Span(at_ms, at_ms)
        return begun, (*spans[1 - MAXIMUM_SPANS :], begun)
    if at_ms >= newest.first_ms:
        # Nearly every observation comes in order: those before the newest are too far from it to be joined.
        grown = Span(newest.first_ms, max(at_ms, newest.last_ms), newest.fired)
        return grown, (*spans[:-1], grown)
    near = [span for span in spans if span.first_ms - gap_ms <= at_ms <= span.last_ms + gap_ms]
    joined = Span(
        min([at_ms, *(span.first_ms for span in near)]),
        max([at_ms, *(span.last_ms for span in near)]),
        any(span.fired for span in near),
    )
    apart = [span for span in spans if span not in near]
    ordered = sorted([*apart, joined], key=lambda span: span.first_ms)
    return joined, tuple(ordered[-MAXIMUM_SPANS:])


def _left(stay: Stay, at_ms: int) -> Stay:
    """What was seen after it left is another stay, which began no later than it was last seen."""
    kept = []
    for span in stay.spans:
        if span.first_ms > at_ms:
            kept.append(span)
        elif span.last_ms > at_ms:
            kept.append(Span(span.last_ms, span.last_ms))
    return replace(stay, spans=tuple(kept), left_ms=max(stay.left_ms, at_ms))


def _raised(
    placed: PlacedRule, subject: str, span: Span, observation: ObservationView, device: DeviceInForce
) -> Raised:
    rule = placed.rule.value
    return Raised(
        raised_id=raised_id(rule.rule_id, subject, observation.observation_id),
        rule=placed.rule,
        fold_key=f"rule:{rule.rule_id}:{subject}",
        severity=rule.severity,
        policy=stricter(rule.policy, device_policy(observation)),
        unit_kind=rule.unit_kind,
        jurisdiction=device.device.value.jurisdiction,
        observation=observation,
        match=DwellMatch(
            zone_id=placed.zone.value.zone_id if placed.zone else "",
            zone_version=placed.zone.number if placed.zone else 0,
            first_seen_ms=span.first_ms,
            last_seen_ms=span.last_ms,
        ),
    )
