"""What every rule is given and what it gives.

A batch is read through its columns and an observation through a protocol, so that the wire's own objects are
evaluated as they are, and only those on which a rule may fire: making an object of each of 2,000
observations a second, nearly all of which are forgotten at once, would cost more than all rules.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

from alerthub.domain.resources import (
    CheckAuthorisation,
    Device,
    DispatchPolicy,
    Rule,
    Severity,
    Zone,
)
from alerthub.domain.versions import Version

DEFAULT_LATENESS_MS = 60_000
"""What a rule allows that names no lateness (the wire's 0)."""


class ObservationKind(IntEnum):
    """The wire's numbers."""

    IDENTIFIER_READ = 1
    VEHICLE_STANDING = 2
    VEHICLE_LEFT = 3
    LINE_CROSSED = 4
    PRESENCE = 5
    HEARTBEAT = 6


class AuthenticationClass(IntEnum):
    """The wire's numbers, strongest first (S3)."""

    CERTIFICATE = 1
    PASSWORD_OVER_TLS = 2
    URL_TOKEN = 3
    NETWORK_ONLY = 4


MAY_SEND_AT_ONCE = frozenset({AuthenticationClass.CERTIFICATE, AuthenticationClass.PASSWORD_OVER_TLS})
"""Anybody who sees its address can speak for any other device, so an operator looks first (S3)."""


class IdentifierView(Protocol):
    """A blinded identifier as it travels."""

    @property
    def kind(self) -> int: ...
    @property
    def tokens(self) -> Sequence[bytes]: ...


class ObservationView(Protocol):
    """What rules read of an observation. Times in milliseconds since 1970."""

    @property
    def observation_id(self) -> bytes: ...
    @property
    def device_id(self) -> str: ...
    @property
    def kind(self) -> int: ...
    @property
    def corrected_time_ms(self) -> int: ...
    @property
    def track_id(self) -> str: ...
    @property
    def identifiers(self) -> Sequence[IdentifierView]: ...
    @property
    def read_confidence(self) -> float: ...
    @property
    def district(self) -> str: ...
    @property
    def authentication_class(self) -> int: ...
    @property
    def authorisation_id(self) -> str: ...


class BatchView(Protocol):
    """What one gateway took for one partition within some milliseconds: columns with a value of each of its
    observations, in their order, and the observations themselves, closed."""

    @property
    def received_time_ms(self) -> int: ...
    @property
    def observation_ids(self) -> Sequence[bytes]: ...
    @property
    def kinds(self) -> Sequence[int]: ...
    @property
    def identifier_counts(self) -> Sequence[int]: ...

    def tokens(self, place: int) -> Sequence[bytes] | None:
        """The token at `place` of each observation's one identifier; where it has none or several, nothing
        that could be listed. None: not all identifiers have a token at that place."""

    def observation(self, index: int) -> ObservationView:
        """The observation at `index`, opened. Raises what opening it raises."""


@dataclass(frozen=True, slots=True)
class PlacedRule:
    """A rule where it holds for a device: `zone` is the device's zone that the rule names, None for a rule
    that names none of its zones."""

    rule: Version[Rule]
    zone: Version[Zone] | None


@dataclass(frozen=True, slots=True)
class DeviceInForce:
    """A device with everything that was in force for it at one time."""

    device: Version[Device]
    authorisations: tuple[Version[CheckAuthorisation], ...]
    hit_rules: tuple[PlacedRule, ...]
    dwell_rules: tuple[PlacedRule, ...]
    cross_district_rules: tuple[PlacedRule, ...] = ()
    """Evaluated by the second agent (C7)."""


@dataclass(frozen=True, slots=True)
class WatchlistMatch:
    """Which entry hit, by which identifier of the observation."""

    entry_id: str
    entry_version: int
    category: str
    names_person: bool
    identifier_kind: int
    mask: str
    token: bytes
    epoch: str
    identifier_index: int
    entry_valid_until_ms: int


@dataclass(frozen=True, slots=True)
class DwellMatch:
    """Where something stood, and how long it had been seen when the rule fired. `zone_id` empty: no zone."""

    zone_id: str
    zone_version: int
    first_seen_ms: int
    last_seen_ms: int


@dataclass(frozen=True, slots=True)
class ClonedPlateMatch:
    """The read before the one that fired, and the least speed at which one vehicle would have been at both
    places. Degrees of WGS 84, metres, milliseconds."""

    other_device_id: str
    other_observation_id: bytes
    other_latitude: float
    other_longitude: float
    other_time_ms: int
    other_clock_uncertainty_ms: int
    distance_metres: float
    speed_kmh: int
    maximum_speed_kmh: int


@dataclass(frozen=True, slots=True)
class Raised:
    """A rule fired on `observation`."""

    raised_id: bytes
    rule: Version[Rule]
    fold_key: str
    severity: Severity
    policy: DispatchPolicy
    unit_kind: str
    jurisdiction: str
    observation: ObservationView
    match: WatchlistMatch | DwellMatch | ClonedPlateMatch


def raised_id(rule_id: str, subject: str, observation_id: bytes) -> bytes:
    """The alert's id: the same whoever computes it and how often (C5).

    BLAKE2b (RFC 7693) with 16 bytes of the parts, each after its length in 4 bytes. The rule's version is
    not in it: a repeat that meets a newer version is the same alert.
    """
    digest = hashlib.blake2b(digest_size=16)
    for part in (rule_id.encode(), subject.encode(), observation_id):
        digest.update(len(part).to_bytes(4, "big"))
        digest.update(part)
    return digest.digest()


def allowed_lateness_ms(rule: Rule) -> int:
    """How far behind its reception an observation's time may be for the rule to evaluate it."""
    return rule.allowed_lateness_seconds * 1_000 or DEFAULT_LATENESS_MS


def observed_ms(observation: ObservationView, received_ms: int) -> int:
    """When it was seen: the corrected device time, not later than its reception, which is the time of an
    observation that has none (a clock can run ahead; nothing is seen in the future)."""
    corrected = observation.corrected_time_ms
    return min(corrected, received_ms) if corrected > 0 else received_ms


def is_late(observation: ObservationView, received_ms: int, rule: Rule) -> bool:
    """Whether the rule counts it and does not evaluate it."""
    return received_ms - observed_ms(observation, received_ms) > allowed_lateness_ms(rule)


def stricter(*policies: DispatchPolicy) -> DispatchPolicy:
    """Send at once only where all of them say so."""
    if all(policy is DispatchPolicy.SEND_AT_ONCE for policy in policies):
        return DispatchPolicy.SEND_AT_ONCE
    return DispatchPolicy.CONFIRM_FIRST


def device_policy(observation: ObservationView) -> DispatchPolicy:
    """What the device's authentication allows: a class that is unknown or weak never sends at once (S3)."""
    if observation.authentication_class in MAY_SEND_AT_ONCE:
        return DispatchPolicy.SEND_AT_ONCE
    return DispatchPolicy.CONFIRM_FIRST
