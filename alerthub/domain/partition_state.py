"""What the correlator remembers of one partition: counts, recent observation ids, and each district's stays.

Everything here is bounded, and follows from the batches of the partition in their order: two workers that
applied the same batches hold the same state, whoever of them wrote it down (C4).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from alerthub.domain.rules.dwell import Stay

ID_BYTES = 16
GENERATION_MS = 60_000
"""A repeat is recognised for one to two minutes: longer than a gateway's answer and a device's retry take."""
GENERATION_IDS = 8_192
"""Two generations of 16-byte ids fit a state record of 512 KiB."""
MAXIMUM_STAYS = 1_000
"""Of one district (at most 300 devices): at most 512 bytes each, so that a district fits one record of 512
KiB."""


@dataclass(slots=True)
class Counts:
    """How many observations ended how. Each ends in exactly one way; forgotten is what is left of
    `received`."""

    received: int = 0
    repeats: int = 0
    matched: int = 0
    late: int = 0
    without_identifiers: int = 0
    """Reads whose identifiers the gateway dropped for want of an authorisation, or that held none."""
    dead_lettered_batches: int = 0
    """Not in `received`: how many observations such a batch held is not known."""


@dataclass(slots=True)
class Generation:
    """Ids of observations received from `first_received_ms` on."""

    first_received_ms: int
    ids: set[bytes]


class RecentIds:
    """The ids of the last minutes' observations, in two generations: the older is dropped as a whole."""

    __slots__ = ("generations",)

    def __init__(self, generations: Iterable[Generation] = ()) -> None:
        self.generations = list(generations)

    def take(self, received_ms: int, ids: Sequence[bytes]) -> frozenset[int]:
        """Notes the ids of a batch; returns the indexes of those that were there already, in it or before
        it (C1)."""
        fresh = set(ids)
        if set(map(len, ids)) != {ID_BYTES}:
            # Without an id, or with what is none: never recognised as a repeat.
            fresh = {one for one in fresh if len(one) == ID_BYTES}
            return self._taken(received_ms, fresh, self._repeated(ids))
        if len(fresh) < len(ids) or not all(known.ids.isdisjoint(fresh) for known in self.generations):
            return self._taken(received_ms, fresh, self._repeated(ids))
        return self._taken(received_ms, fresh, frozenset())

    def _taken(self, received_ms: int, fresh: set[bytes], repeated: frozenset[int]) -> frozenset[int]:
        self._current(received_ms).ids.update(fresh)
        return repeated

    def forget(self, before_ms: int) -> bool:
        """Drops ids received before `before_ms`, by whole generations; whether there were any."""
        kept = [known for known in self.generations if known.first_received_ms + GENERATION_MS >= before_ms]
        dropped = len(kept) < len(self.generations)
        self.generations = kept
        return dropped

    def _repeated(self, ids: Sequence[bytes]) -> frozenset[int]:
        found = []
        met: set[bytes] = set()
        for index, observation_id in enumerate(ids):
            if len(observation_id) != ID_BYTES:
                continue
            if observation_id in met or any(observation_id in known.ids for known in self.generations):
                found.append(index)
            met.add(observation_id)
        return frozenset(found)

    def _current(self, received_ms: int) -> Generation:
        newest = self.generations[-1] if self.generations else None
        if (
            newest is None
            or len(newest.ids) >= GENERATION_IDS
            or received_ms - newest.first_received_ms >= GENERATION_MS
        ):
            newest = Generation(received_ms, set())
            self.generations = [*self.generations[-1:], newest]
        return newest


class District:
    """The stays of one district's rules, and what its rules that keep state counted."""

    __slots__ = ("_by_track", "applied_offset", "changed", "late", "matched", "overflowed", "stays")

    def __init__(
        self,
        *,
        applied_offset: int = -1,
        matched: int = 0,
        late: int = 0,
        stays: Iterable[tuple[str, Stay]] = (),
    ) -> None:
        """`applied_offset`: batches up to it are in the state already. `stays`: each with its rule's id."""
        self.applied_offset = applied_offset
        self.matched = matched
        self.late = late
        self.overflowed = 0
        """Stays that were given up for want of room, since the process started."""
        self.changed = False
        """Something that must be written down."""
        self.stays: dict[tuple[str, str], Stay] = {}
        self._by_track: dict[tuple[str, str, str], str] = {}
        for rule_id, stay in stays:
            self._put(rule_id, stay)

    def stay(self, rule_id: str, subject: str, device_id: str, track_id: str) -> Stay:
        """The subject's stay under the rule; a new one where there is none.

        A stay that the device followed under the same track is the same vehicle: its plate was read only
        now, was not read this time, or is blinded under the next epoch (C12). It goes on, under the token
        where one is known.
        """
        known = self.stays.get((rule_id, subject))
        if known is None and track_id:
            tracked = self._by_track.get((rule_id, device_id, track_id))
            known = self.stays.get((rule_id, tracked)) if tracked is not None else None
        return known or Stay(subject, device_id, track_id)

    def keep(self, rule_id: str, before: Stay, after: Stay) -> None:
        """Replaces the stay. `before` is what `stay` gave; the subject may differ."""
        for subject in {before.subject, after.subject}:
            known = self.stays.get((rule_id, subject))
            if known is not None:
                self.drop(rule_id, known)
        self._put(rule_id, after)
        self.changed = True
        while len(self.stays) > MAXIMUM_STAYS:
            (oldest_rule, _), oldest = min(self.stays.items(), key=_last_heard_of)
            self.drop(oldest_rule, oldest)
            self.overflowed += 1

    def drop(self, rule_id: str, stay: Stay) -> None:
        """Forgets a stay."""
        del self.stays[rule_id, stay.subject]
        if stay.track_id:
            del self._by_track[rule_id, stay.device_id, stay.track_id]
        self.changed = True

    def _put(self, rule_id: str, stay: Stay) -> None:
        """A track names one stay: another one that it named before goes on under its token alone."""
        if stay.track_id:
            track = (rule_id, stay.device_id, stay.track_id)
            other = self._by_track.get(track)
            if other is not None and other != stay.subject:
                self.stays[rule_id, other] = replace(self.stays[rule_id, other], track_id="")
            self._by_track[track] = stay.subject
        self.stays[rule_id, stay.subject] = stay


def _last_heard_of(item: tuple[tuple[str, str], Stay]) -> tuple[int, tuple[str, str]]:
    key, stay = item
    return max([stay.left_ms, stay.fired_ms, *(span.last_ms for span in stay.spans)]), key


@dataclass(slots=True)
class PartitionState:
    """One partition of `observations`, up to and including the batch at `offset`. -1: none yet."""

    offset: int = -1
    received_ms: int = 0
    """The newest reception that a batch was stamped with."""
    counts: Counts = field(default_factory=Counts)
    recent: RecentIds = field(default_factory=RecentIds)
    districts: dict[str, District] = field(default_factory=dict)
    changed: bool = False
    """Counts or recent ids changed since they were written down."""

    def district(self, name: str) -> District:
        try:
            return self.districts[name]
        except KeyError:
            district = self.districts[name] = District()
            return district

    def totals(self) -> Counts:
        """The counts of the partition with those of its districts."""
        return Counts(
            received=self.counts.received,
            repeats=self.counts.repeats,
            matched=self.counts.matched + sum(district.matched for district in self.districts.values()),
            late=self.counts.late + sum(district.late for district in self.districts.values()),
            without_identifiers=self.counts.without_identifiers,
            dead_lettered_batches=self.counts.dead_lettered_batches,
        )
