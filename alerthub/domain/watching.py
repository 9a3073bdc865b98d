"""Whether what devices send is evaluated, from what the correlators tell (C11).

A watermark is the time at which a gateway received the newest batch that a correlator has evaluated. Gateways
write an empty batch to each partition every second, so a watermark that stands still means that somebody on
the way from gateway to correlator does not do their work, whether or not there is traffic.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from alerthub.domain.partitioning import partition_of
from alerthub.domain.reasons import Reason, canary_lost, partitions_silent
from alerthub.domain.texts import NO_TEXT, LocalizedText

GATEWAY_FORGOTTEN_MS = 3_600_000
"""A gateway that nobody heard for an hour was taken away, not lost."""


@dataclass(slots=True)
class Heard:
    """What was told so far. Times are milliseconds since 1970. `partition_count` 0: nothing was told."""

    partition_count: int = 0
    partitions: dict[int, int] = field(default_factory=dict)
    gateways: dict[str, int] = field(default_factory=dict)

    def note(
        self, partition_count: int, partitions: Mapping[int, int], gateways: Mapping[str, int], *, now_ms: int
    ) -> None:
        """Takes what a correlator told. A watermark never goes back: a correlator that takes a partition over
        evaluates again what another had evaluated already."""
        self.partition_count = max(self.partition_count, partition_count)
        for partition, at_ms in partitions.items():
            self.partitions[partition] = max(at_ms, self.partitions.get(partition, 0))
        for gateway_id, at_ms in gateways.items():
            self.gateways[gateway_id] = max(at_ms, self.gateways.get(gateway_id, 0))
        forget_gateways(self.gateways, now_ms=now_ms)


def forget_gateways(heard: dict[str, int], *, now_ms: int) -> None:
    """Takes out who was not heard for `GATEWAY_FORGOTTEN_MS`; `heard` is by gateway, in milliseconds since
    1970."""
    for gateway_id in [each for each, at_ms in heard.items() if now_ms - at_ms > GATEWAY_FORGOTTEN_MS]:
        del heard[gateway_id]


@dataclass(frozen=True, slots=True)
class Watching:
    """What is not watched. Everything empty: all is."""

    silent_partitions: frozenset[int]
    silent_districts: tuple[str, ...]
    silent_gateways: tuple[str, ...]
    reason: LocalizedText

    @property
    def watching(self) -> bool:
        return not (self.reason.english or self.silent_partitions or self.silent_gateways)


@dataclass(frozen=True, slots=True)
class Canary:
    """The hub's own reads, where they are set up. `heard_ms`: when the newest one reached its terminal, or
    since when one is waited for."""

    heard_ms: int
    maximum_age_ms: int


def judge(
    heard: Heard,
    districts: Iterable[str],
    *,
    now_ms: int,
    maximum_age_ms: int,
    canary: Canary | None = None,
) -> Watching:
    """What is not watched now: whose watermark is older than `maximum_age_ms`, by the districts that go to
    it; and every district where no canary has reached its terminal for too long."""
    if not heard.partition_count:
        return Watching(frozenset(), (), (), Reason.NO_CORRELATOR.value)
    silent = frozenset(
        partition
        for partition in range(heard.partition_count)
        if now_ms - heard.partitions.get(partition, 0) > maximum_age_ms
    )
    districts = set(districts)
    named = tuple(sorted(each for each in districts if partition_of(each, heard.partition_count) in silent))
    gateways = tuple(
        sorted(each for each, at_ms in heard.gateways.items() if now_ms - at_ms > maximum_age_ms)
    )
    reason = NO_TEXT
    if canary is not None and now_ms - canary.heard_ms > canary.maximum_age_ms:
        # What lies behind the correlators is the same for all districts.
        named = tuple(sorted(districts))
        reason = canary_lost(canary.maximum_age_ms)
    if silent:
        reason = partitions_silent(len(silent), of=heard.partition_count)
    elif gateways and not reason.english:
        reason = Reason.GATEWAY_SILENT.value
    return Watching(silent, named, gateways, reason)
