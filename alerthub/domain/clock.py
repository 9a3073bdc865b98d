"""A device's clock, learnt from what it sends.

`received - device time` of an event is the clock's offset plus the event's delay. The delay is never
negative, so the least of recent differences comes nearest to the offset (the minimum filter of NTP's clock
filter, RFC 5905 section 10). An offset counts as learnt only when many recent events agree with the least;
until then the time of receipt is the best that is known.
"""

from __future__ import annotations

from collections.abc import Sequence

from alerthub.domain.light_values import light_value

WINDOW = 32
"""Recent events that are remembered of a device: a busy camera's last minute, a quiet one's last day."""
LEARNT_AFTER = 8
"""Agreeing events before an offset is believed: a single buffered event must not set a clock."""
AGREEMENT_MS = 2_000
"""Events that differ less agree: network delays, and clocks that tell whole seconds only."""
SET_AFTER = 3
"""This many events in a row that agree with each other and not with the offset: the clock was set anew."""
SET_AFTER_MS = 10_000
"""And they came over at least this time: a backlog that is sent in a burst agrees for an instant only."""
SET_STEP_MS = 10_000
"""A smaller difference is a delay, and leaves the window by itself."""
RESOLUTION_MS = 500
"""Half of the whole second to which most cameras round."""
UNKNOWN_UNCERTAINTY_MS = 86_400_000
"""Said where nothing better is known: a day, so that no rule computes a speed from it."""


@light_value
class ClockState:
    """Recent events, oldest first: when each was received, and `received - device time`, in milliseconds."""

    received: tuple[int, ...] = ()
    differences: tuple[int, ...] = ()


@light_value
class CorrectedTime:
    """When it happened, in milliseconds since 1970, and the half width of the uncertainty in milliseconds."""

    time_ms: int
    uncertainty_ms: int
    learnt: bool
    """Whether the device's clock was used; if not, `time_ms` is the time of receipt."""


def correct(
    state: ClockState, *, device_time_ms: int, received_time_ms: int
) -> tuple[ClockState, CorrectedTime]:
    """Takes one event into account and corrects its time. An event from the future is one from now."""
    if device_time_ms <= 0:
        return state, CorrectedTime(received_time_ms, UNKNOWN_UNCERTAINTY_MS, learnt=False)
    difference = received_time_ms - device_time_ms
    received = (*state.received[1 - WINDOW :], received_time_ms)
    differences = (*state.differences[1 - WINDOW :], difference)
    least = min(differences)
    agreeing: Sequence[int] = differences
    if max(differences) - least > AGREEMENT_MS:
        kept = _sent_since_set(received, differences)
        received, differences = received[-kept:], differences[-kept:]
        least = min(differences)
        agreeing = [one for one in differences if one - least <= AGREEMENT_MS]
    new_state = ClockState(received, differences)
    if len(agreeing) < LEARNT_AFTER or 2 * len(agreeing) < len(differences):
        uncertainty = min(abs(difference) + RESOLUTION_MS, UNKNOWN_UNCERTAINTY_MS)
        return new_state, CorrectedTime(received_time_ms, uncertainty, learnt=False)
    mean_delay = sum(agreeing) // len(agreeing) - least
    time_ms = min(device_time_ms + least, received_time_ms)
    return new_state, CorrectedTime(time_ms, RESOLUTION_MS + mean_delay, learnt=True)


def _sent_since_set(received: tuple[int, ...], differences: tuple[int, ...]) -> int:
    """How many of the newest events were sent since the clock was last set; all where it was not."""
    newest = differences[-1]
    run = 0
    for difference in reversed(differences):
        if abs(difference - newest) > AGREEMENT_MS:
            break
        run += 1
    if run == len(differences):
        return run
    step = abs(min(differences[-run:]) - min(differences[:-run]))
    if step > UNKNOWN_UNCERTAINTY_MS:
        # No device keeps events for more than a day: the very first one tells.
        return run
    agreed_for_ms = received[-1] - received[-run]
    if run >= SET_AFTER and agreed_for_ms >= SET_AFTER_MS and step > SET_STEP_MS:
        return run
    return len(differences)
