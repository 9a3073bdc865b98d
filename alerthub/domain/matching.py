"""When a blinding epoch or a set of masks comes into force and when it ends (C12).

A configuration is prepared first. It comes into force once every entry carries its tokens and every live
gateway reports that it holds it. From then on the old epoch is on its way out: entries keep its tokens for as
long as reads that were blinded with it may wait, then its key is destroyed. Times are milliseconds since
1970.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

from alerthub.domain.errors import Refuse

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


@dataclass(frozen=True, slots=True)
class Timing:
    """How long things last."""

    rotation_ms: int = 12 * HOUR_MS
    """An epoch blinds this long, then the next is prepared."""
    retention_ms: int = HOUR_MS
    """Reads may wait in Kafka this long: so long the old epoch's tokens stay beside the new ones."""
    live_ms: int = 10_000
    """A gateway that reported within this time is live. One that did not must have stopped taking reads."""
    patience_ms: int = 60_000
    """A live gateway that has not prepared after this time is told to become unready, and is waited for no
    more."""

    def __post_init__(self) -> None:
        if not 0 < self.retention_ms <= DAY_MS:
            raise Refuse("retention_ms", "at most 24 h: what did not hit is not kept longer")
        if not 10 * 60_000 <= self.rotation_ms <= DAY_MS - HOUR_MS // 2:
            raise Refuse("rotation_ms", "from ten minutes to 23.5 h: an epoch's key is destroyed within 24 h")

    @property
    def epoch_life_ms(self) -> int:
        """From an epoch's making to the destruction of its key: at most a day."""
        return min(self.rotation_ms + 2 * self.patience_ms + self.retention_ms, DAY_MS)


@dataclass(frozen=True, slots=True)
class Epoch:
    """A blinding key by its name."""

    name: str
    made_at_ms: int


@dataclass(frozen=True, slots=True)
class Configuration:
    """What gateways blind with."""

    version: int
    masks: tuple[str, ...]
    epoch: Epoch
    prepared_at_ms: int


@dataclass(frozen=True, slots=True)
class Matching:
    """What is in force, what comes next, and the epoch that is on its way out."""

    in_force: Configuration
    next: Configuration | None = None
    outgoing: Epoch | None = None
    outgoing_until_ms: int = 0

    @property
    def epochs(self) -> tuple[str, ...]:
        """The epochs whose tokens every entry must carry, newest last."""
        names = [self.outgoing.name] if self.outgoing is not None else []
        names.append(self.in_force.epoch.name)
        if self.next is not None and self.next.epoch.name != self.in_force.epoch.name:
            names.append(self.next.epoch.name)
        return tuple(names)

    @property
    def newest_version(self) -> int:
        return self.next.version if self.next is not None else self.in_force.version


@dataclass(frozen=True, slots=True)
class GatewayReport:
    """What a gateway said last."""

    gateway_id: str
    reported_at_ms: int
    matching_version: int
    prepared_version: int


class Step(Enum):
    """What `advance` did."""

    NOTHING = "nothing"
    PREPARED = "prepared"
    CAME_INTO_FORCE = "came into force"
    OUTGOING_ENDED = "outgoing ended"


@dataclass(frozen=True, slots=True)
class Advance:
    """One step: the new state, what happened, and which gateways are waited for or left behind."""

    matching: Matching
    step: Step
    waiting_for: tuple[str, ...] = ()
    left_behind: tuple[str, ...] = ()


def advance(
    matching: Matching,
    *,
    now_ms: int,
    gateways: Sequence[GatewayReport],
    masks: tuple[str, ...],
    entries_carry_epochs: bool,
    new_epoch_name: str,
    timing: Timing,
) -> Advance:
    """The next step that is due at `now_ms`; at most one.

    `masks` is the set that entries need now. `entries_carry_epochs`: every active entry is on the topic with
    the tokens of all of `matching.epochs`. `new_epoch_name` is used where a new epoch is due.
    """
    if matching.outgoing is not None and now_ms >= matching.outgoing_until_ms:
        return Advance(replace(matching, outgoing=None, outgoing_until_ms=0), Step.OUTGOING_ENDED)
    if matching.next is not None:
        return _bring_into_force(
            matching,
            matching.next,
            now_ms=now_ms,
            gateways=gateways,
            entries_carry_epochs=entries_carry_epochs,
            timing=timing,
        )
    return _prepare(matching, now_ms, masks, new_epoch_name, timing)


def _prepare(
    matching: Matching, now_ms: int, masks: tuple[str, ...], new_epoch_name: str, timing: Timing
) -> Advance:
    current = matching.in_force
    old = now_ms >= current.epoch.made_at_ms + timing.rotation_ms
    # Never three epochs at once: the old one ends before the next is made, unless its key would be gone
    # first.
    must_not_wait = now_ms >= current.epoch.made_at_ms + timing.epoch_life_ms - 2 * timing.patience_ms
    changes_epoch = old and (matching.outgoing is None or must_not_wait)
    if not changes_epoch and masks == current.masks:
        return Advance(matching, Step.NOTHING)
    following = Configuration(
        version=current.version + 1,
        masks=masks,
        epoch=Epoch(new_epoch_name, now_ms) if changes_epoch else current.epoch,
        prepared_at_ms=now_ms,
    )
    return Advance(replace(matching, next=following), Step.PREPARED)


def _bring_into_force(
    matching: Matching,
    following: Configuration,
    *,
    now_ms: int,
    gateways: Sequence[GatewayReport],
    entries_carry_epochs: bool,
    timing: Timing,
) -> Advance:
    behind = tuple(
        sorted(
            report.gateway_id
            for report in gateways
            if now_ms - report.reported_at_ms < timing.live_ms and report.prepared_version < following.version
        )
    )
    patient = now_ms < following.prepared_at_ms + timing.patience_ms
    if not entries_carry_epochs or (behind and patient):
        return Advance(matching, Step.NOTHING, waiting_for=behind)
    old_epoch = matching.in_force.epoch
    changed = following.epoch.name != old_epoch.name
    return Advance(
        Matching(
            in_force=following,
            outgoing=old_epoch if changed else matching.outgoing,
            outgoing_until_ms=(
                min(now_ms + timing.retention_ms, old_epoch.made_at_ms + timing.epoch_life_ms)
                if changed
                else matching.outgoing_until_ms
            ),
        ),
        Step.CAME_INTO_FORCE,
        left_behind=behind,
    )
