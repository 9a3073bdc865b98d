"""How much each device may send: rates, learnt peaks and clocks in memory, decided in `alerthub.domain`."""

from __future__ import annotations

from alerthub.domain.admission import PeakState, RateLimit, observe_rate
from alerthub.domain.clock import ClockState, CorrectedTime, correct
from alerthub.domain.errors import NotAllowed, Retry
from alerthub.domain.rates import Bounded, Rates
from alerthub.telemetry import logger
from services.gateway import metrics

log = logger(__name__)


class TooManyRequests(Retry):
    """More than this device may send: the same events are welcome after `after_seconds` (HTTP 429)."""


_MAXIMUM_DEVICES = 100_000
"""States of devices kept in memory: some 1 KB each."""


class RateGuard:
    """Limits each key's rate."""

    def __init__(self, limit: RateLimit, *, maximum_keys: int = _MAXIMUM_DEVICES) -> None:
        self._limit = limit
        self._rates = Rates(limit, remembered=maximum_keys)

    def require(self, key: object, count: int, *, now_ms: int) -> None:
        """Takes `count` from the key's allowance; TooManyRequests when they are not there."""
        wait_seconds = self._rates.take(key, count, now_ms=now_ms)
        if wait_seconds > 0:
            expected = f"at most {self._limit.per_second:g} a second in the long run"
            raise TooManyRequests(expected, after_seconds=max(1.0, wait_seconds))

    def exhausted_for(self, key: object, *, now_ms: int) -> float:
        """Seconds until one more would be allowed, taking nothing; 0 when it would be now."""
        return self._rates.wait_seconds(key, now_ms=now_ms)


class PeakGuard:
    """Suspends devices that are far over their learnt peak (S3)."""

    def __init__(self) -> None:
        self._states: Bounded[str, PeakState] = Bounded(_MAXIMUM_DEVICES)

    def require(self, device_id: str, count: int, *, now_ms: int) -> None:
        """Counts the events; NotAllowed while the device is suspended."""
        state = self._states.get(device_id) or PeakState()
        if now_ms >= state.suspended_until_ms:
            state = observe_rate(state, count, now_ms=now_ms)
            self._states.put(device_id, state)
            if now_ms < state.suspended_until_ms:
                metrics.suspensions.inc()
                log.warning("device_suspended", device_id=device_id, peak_per_minute=round(state.peak))
        if now_ms < state.suspended_until_ms:
            raise NotAllowed("device", "a device that is not suspended for sending far more than it ever did")


class Clocks:
    """The learnt clock of each device. Forgotten at a restart, and learnt again within a few events."""

    def __init__(self) -> None:
        self._states: Bounded[str, ClockState] = Bounded(_MAXIMUM_DEVICES)

    def correct(self, device_id: str, device_time_ms: int, received_time_ms: int) -> CorrectedTime:
        """The event's corrected time; the event counts towards what is known of the clock."""
        state, corrected = correct(
            self._states.get(device_id) or ClockState(),
            device_time_ms=device_time_ms,
            received_time_ms=received_time_ms,
        )
        self._states.put(device_id, state)
        return corrected
