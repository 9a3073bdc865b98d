"""Whether the gateway takes an event, and what of it: authorisation, authentication class, rate.

Pure: what was registered and `now_ms` in, a decision out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from alerthub.domain.errors import NotAllowed
from alerthub.domain.light_values import light_value


class AuthenticationClass(IntEnum):
    """How a device proved who it is; a larger number is a weaker proof. The numbers are those of the wire."""

    CERTIFICATE = 1
    PASSWORD_OVER_TLS = 2
    URL_TOKEN = 3
    NETWORK_ONLY = 4


@dataclass(frozen=True, slots=True)
class Authorisation:
    """A check authorisation as registered for one device. Times in milliseconds since 1970."""

    authorisation_id: str
    active: bool
    active_from_ms: int
    valid_from_ms: int
    valid_until_ms: int
    legal_basis: str
    purpose: str
    categories: frozenset[str]


def check_authorisation(authorisations: Iterable[Authorisation], *, now_ms: int) -> str | None:
    """The id of the authorisation under which the device may check identifiers now; None: it may not
    (refusal 4).

    Needed: in force, within its validity, and with legal basis, purpose and categories. Of several the one
    with the most categories counts, then the one that lasts longest, then the first by id, so every gateway
    names the same.
    """
    valid = [
        one
        for one in authorisations
        if one.active
        and max(one.active_from_ms, one.valid_from_ms) <= now_ms < one.valid_until_ms
        and one.legal_basis
        and one.purpose
        and one.categories
    ]
    if len(valid) > 1:
        valid.sort(key=lambda one: (-len(one.categories), -one.valid_until_ms, one.authorisation_id))
    return valid[0].authorisation_id if valid else None


def effective_class(registered: AuthenticationClass, used: AuthenticationClass) -> AuthenticationClass:
    """The class that an observation carries: the weaker of what is registered and what was used.

    A device that is registered for URL tokens does not gain by sending the same secret in a header: it may
    have leaked on the way of an earlier request. Refuses a proof that is weaker than the registered one
    (S3).
    """
    if used > registered:
        raise NotAllowed(
            "authentication",
            f"the registered class of this device, {registered.name.lower()}, or a stronger one",
        )
    return max(registered, used)


@dataclass(frozen=True, slots=True)
class RateLimit:
    """A token bucket: `per_second` in the long run, `burst` at once."""

    per_second: float
    burst: float


@light_value
class RateState:
    """What is left in a bucket, and since when."""

    left: float
    at_ms: int


def take(state: RateState | None, limit: RateLimit, count: int, *, now_ms: int) -> tuple[RateState, float]:
    """Takes `count` from the bucket if they are there.

    Gives the new state and the seconds until they will be there: 0 when they were taken. More than `burst`
    at once are never there, so callers bound `count` by it.
    """
    if state is None:
        left = limit.burst
    else:
        left = min(limit.burst, state.left + max(0, now_ms - state.at_ms) / 1000 * limit.per_second)
    if count <= left:
        return RateState(left - count, now_ms), 0.0
    return RateState(left, now_ms), (count - left) / limit.per_second


PEAK_FACTOR = 10
"""A device that sends ten times its own peak is not the device (S3): a stolen credential is an oracle."""
PEAK_FLOOR_PER_MINUTE = 1_200
"""Below this nobody is suspended: a queue of vehicles after a quiet night is no theft."""
PEAK_LEARNT_AFTER_MINUTES = 10
"""Minutes with events before a peak counts as learnt."""
SUSPENSION_MS = 10 * 60_000
"""How long a device stays suspended unless it is changed in the registry before."""
_PEAK_DECAY = 0.999
"""Per minute with events: an old peak halves within a busy half day."""
_MINUTE_MS = 60_000


@light_value
class PeakState:
    """A device's events in the current minute, its peak, and until when it is suspended."""

    minute: int = 0
    count: int = 0
    peak: float = 0.0
    minutes_learnt: int = 0
    suspended_until_ms: int = 0


def observe_rate(state: PeakState, count: int, *, now_ms: int) -> PeakState:
    """Counts `count` events of a device that is not suspended; suspends it when it is far over its peak."""
    minute = now_ms // _MINUTE_MS
    if minute == state.minute:
        counted, peak, learnt = state.count + count, state.peak, state.minutes_learnt
    else:
        counted = count
        peak = max(state.peak * _PEAK_DECAY, float(state.count))
        learnt = state.minutes_learnt + (1 if state.count else 0)
    suspended_until_ms = state.suspended_until_ms
    far_over = counted > max(PEAK_FLOOR_PER_MINUTE, PEAK_FACTOR * peak)
    if learnt >= PEAK_LEARNT_AFTER_MINUTES and far_over:
        suspended_until_ms = now_ms + SUSPENSION_MS
        # What a thief sent must not become the peak.
        counted = 0
    return PeakState(minute, counted, peak, learnt, suspended_until_ms)
