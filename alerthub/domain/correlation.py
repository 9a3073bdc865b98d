"""Evaluates a batch of observations: which rules fire, what the state is afterwards, what is counted.

`evaluate` is one step: it waits for nothing and reads no clock, so whoever notes the batch's offset after
it has applied the whole batch or, after a crash, none of it (C2). The same batches in the same order give
the same alerts, from whatever checkpoint they are evaluated again (C3, C5).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from alerthub.domain.catalogue import Configuration
from alerthub.domain.matching_index import MatchingIndex
from alerthub.domain.partition_state import District, PartitionState
from alerthub.domain.resources import Device, Rule
from alerthub.domain.rules import cloned_plate, dwell, watchlist_hit
from alerthub.domain.rules.interface import (
    BatchView,
    DeviceInForce,
    ObservationKind,
    ObservationView,
    PlacedRule,
    Raised,
    is_late,
)
from alerthub.domain.rules.watchlist_hit import Hit
from alerthub.domain.versions import Version

# Plain numbers: an enumeration's member is compared several times slower.
_STANDING = frozenset({int(ObservationKind.VEHICLE_STANDING), int(ObservationKind.VEHICLE_LEFT)})
_READ = int(ObservationKind.IDENTIFIER_READ)
STAYS_KEPT_AT_MOST_MS = 60 * 60 * 1_000
"""Beyond the newest batch: where none comes any more, what was seen is forgotten by the wall clock."""


@dataclass(frozen=True, slots=True)
class RuleFailure:
    """A rule raised an error: it changed nothing, and this version of it is not evaluated again."""

    rule_id: str
    rule_version: int
    rule_kind: str
    error: Exception


@dataclass(frozen=True, slots=True)
class Passing:
    """The observation at `index` is to go to the second agent (C7): `rule` asks for its identifier
    `identifier_index`, whose exact token is `subject`, in hexadecimal."""

    index: int
    observation: ObservationView
    rule: Version[Rule]
    identifier_index: int
    subject: str
    device: Device


@dataclass(slots=True)
class Evaluation:
    """What a batch did. The counts are of this batch, for metrics; the state holds the sums."""

    raised: list[Raised] = field(default_factory=list)
    failures: list[RuleFailure] = field(default_factory=list)
    passing: list[Passing] = field(default_factory=list)
    """In the order of their indexes."""
    received: int = 0
    repeats: int = 0
    late: int = 0
    without_identifiers: int = 0
    not_covered: int = 0
    """Hits that no check authorisation covers, or of a device that was not in force (refusal 4)."""
    overflowed: int = 0
    """Stays that were given up because a district had too many."""
    skipped: bool = False
    """The state holds the batch already (C4)."""


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What batches are evaluated against. `suspended` holds id and version of rules that raised; it grows."""

    configuration: Configuration
    entries: MatchingIndex
    masks: tuple[str, ...]
    """Of an identifier's tokens, in their order; empty when that is not known: all are looked at then."""
    exact_index: int
    """The place of the mask `exact` among them."""
    suspended: set[tuple[str, int]]


def evaluate(
    batch: BatchView, *, offset: int, state: PartitionState, knowledge: Knowledge, now_ms: int
) -> Evaluation:
    """Applies the batch at `offset` to `state` and says what it did.

    A batch that the state holds is skipped; one with an observation that cannot be opened raises what opening
    it raised, and changes nothing. `now_ms` only ever withholds: an entry whose validity has ended
    by now hits nothing, whenever its plate was read (C8).
    """
    if offset <= state.offset:
        return Evaluation(skipped=True)
    run = _Run(batch.received_time_ms, offset, state, knowledge, now_ms)
    if batch.observation_ids:
        run.take(batch)
    state.offset = offset
    state.received_ms = max(state.received_ms, run.received_ms)
    return run.result


def note_dead_letter(state: PartitionState, offset: int) -> bool:
    """Counts the batch at `offset`, which nothing could be read of. False when the state holds it already."""
    if offset <= state.offset:
        return False
    state.offset = offset
    state.counts.dead_lettered_batches += 1
    state.changed = True
    return True


def forget_what_is_over(state: PartitionState, configuration: Configuration, now_ms: int) -> None:
    """Drops stays and ids that nothing which may still come can need (refusal 2). Changes no later
    evaluation."""
    horizon_ms = max(state.received_ms, now_ms - STAYS_KEPT_AT_MOST_MS)
    for district in state.districts.values():
        for (rule_id, _), stay in list(district.stays.items()):
            rule = configuration.rule(rule_id)
            if rule is None or dwell.is_over(stay, rule.value, horizon_ms):
                district.drop(rule_id, stay)
    if state.recent.forget(now_ms - STAYS_KEPT_AT_MOST_MS):
        state.changed = True


def _identified(batch: BatchView) -> set[int]:
    return {index for index, number in enumerate(batch.identifier_counts) if number}


def _standing(batch: BatchView) -> set[int]:
    return {index for index, kind in enumerate(batch.kinds) if kind in _STANDING}


def _reads_without_identifiers(batch: BatchView) -> set[int]:
    kinds = batch.kinds
    return {
        index for index, number in enumerate(batch.identifier_counts) if not number and kinds[index] == _READ
    }


class _Run:
    """One batch's evaluation."""

    def __init__(
        self, received_ms: int, offset: int, state: PartitionState, knowledge: Knowledge, now_ms: int
    ) -> None:
        self.received_ms = received_ms
        self.result = Evaluation()
        self._offset = offset
        self._state = state
        self._knowledge = knowledge
        self._now_ms = now_ms

    def take(self, batch: BatchView) -> None:
        listed, standing = self._listed(batch), _standing(batch)
        # Which device an observation is of is not known before it is opened: with a cross-district rule in
        # force all that hold an identifier are, and with none this costs nothing.
        asked_for = _identified(batch) if self._knowledge.configuration.cross_district else frozenset[int]()
        # Before the first change of state, since it may fail.
        opened = [(index, batch.observation(index)) for index in sorted(listed | standing | asked_for)]
        state, counts, result = self._state, self._state.counts, self.result
        state.changed = True
        ids = batch.observation_ids
        repeated = state.recent.take(self.received_ms, ids)
        result.received, result.repeats = len(ids), len(repeated)
        for index, observation in opened:
            if index not in repeated:
                self._evaluate(observation, batch.kinds[index], index in listed)
                if index in asked_for:
                    self._pass_on(index, observation)
        result.without_identifiers = len(_reads_without_identifiers(batch) - repeated)
        counts.received += result.received
        counts.repeats += result.repeats
        counts.without_identifiers += result.without_identifiers

    def _listed(self, batch: BatchView) -> set[int]:
        """The observations that may hit an entry. Nearly every one hits nothing and is forgotten without
        having been opened: what is done here for each is what a batch costs."""
        numbers = batch.identifier_counts
        masks = self._knowledge.masks
        columns = [(batch.tokens(place), tokens) for place, tokens in self._knowledge.entries.lookups(masks)]
        if not masks or any(column is None for column, _ in columns):
            # What the tokens are of is not known: the slow way looks at every one.
            return {index for index, number in enumerate(numbers) if number}
        found = {index for index, number in enumerate(numbers) if number > 1} if max(numbers) > 1 else set()
        for column, tokens in columns:
            if column is not None and not tokens.isdisjoint(column):
                found.update(index for index, token in enumerate(column) if token in tokens)
        return found

    def _evaluate(self, observation: ObservationView, kind: int, listed: bool) -> None:
        device = self._knowledge.configuration.device(observation.device_id)
        matched, late = self._hits(observation, device) if listed else (False, False)
        if matched:
            self._state.counts.matched += 1
        elif late:
            self._state.counts.late += 1
            self.result.late += 1
        if device is not None and kind in _STANDING and device.dwell_rules:
            self._stand(observation, device, counted=matched or late)

    def _pass_on(self, index: int, observation: ObservationView) -> None:
        """What is late is passed on too: only the second agent knows how far its sources are."""
        device = self._knowledge.configuration.device(observation.device_id)
        if device is None or not device.cross_district_rules:
            return
        if not watchlist_hit.authorisations_of(observation, device, self.received_ms):
            return
        for placed in device.cross_district_rules:
            if self._suspended(placed):
                continue
            try:
                subjects = cloned_plate.subjects_of(
                    placed.rule.value, observation, self._knowledge.exact_index, self.received_ms
                )
            except Exception as error:  # noqa: BLE001 - it ends the rule, never the batch (C2)
                self._failed(placed, error)
                continue
            self.result.passing.extend(
                Passing(index, observation, placed.rule, which, subject, device.device.value)
                for which, subject in subjects
            )

    def _hits(self, observation: ObservationView, device: DeviceInForce | None) -> tuple[bool, bool]:
        """Whether a hit was raised, and whether one was too late to be."""
        hits = [
            Hit(entry, listed, index)
            for index, identifier in enumerate(observation.identifiers)
            for token in identifier.tokens
            if token
            for entry, listed in self._knowledge.entries.matches(
                token, received_ms=self.received_ms, now_ms=self._now_ms
            )
        ]
        if not hits:
            return False, False
        allowed = (
            watchlist_hit.covered(hits, observation, device, self.received_ms) if device is not None else []
        )
        if device is None or not allowed:
            self.result.not_covered += 1
            return False, False
        matched = late = False
        for placed in device.hit_rules:
            if self._suspended(placed):
                continue
            if is_late(observation, self.received_ms, placed.rule.value):
                late = True
                continue
            try:
                raised = watchlist_hit.evaluate(
                    placed, allowed, observation, device, received_ms=self.received_ms
                )
            except Exception as error:  # noqa: BLE001 - it ends the rule, never the batch (C2)
                self._failed(placed, error)
                continue
            self.result.raised.extend(raised)
            matched = matched or bool(raised)
        return matched, late

    def _stand(self, observation: ObservationView, device: DeviceInForce, *, counted: bool) -> None:
        """`counted`: the observation has been counted as a hit."""
        district = self._state.district(device.device.value.district)
        if self._offset <= district.applied_offset:
            return
        matched = late = False
        for placed in device.dwell_rules:
            if self._suspended(placed):
                continue
            if is_late(observation, self.received_ms, placed.rule.value):
                late = True
                continue
            try:
                raised = self._dwell(district, placed, observation, device)
            except Exception as error:  # noqa: BLE001 - it ends the rule, never the batch (C2)
                self._failed(placed, error)
                continue
            if raised is not None:
                self.result.raised.append(raised)
                matched = True
        if counted or not (matched or late):
            return
        district.changed = True
        if matched:
            district.matched += 1
        else:
            district.late += 1
            self.result.late += 1

    def _dwell(
        self, district: District, placed: PlacedRule, observation: ObservationView, device: DeviceInForce
    ) -> Raised | None:
        rule_id, track = placed.rule.value.rule_id, dwell.track_of(observation)
        subject = dwell.subject_of(observation, self._knowledge.exact_index)
        before = district.stay(rule_id, subject, observation.device_id, track)
        known = dwell.recognised(before, subject, observation.device_id, track)
        after, raised = dwell.evaluate(placed, known, observation, device, received_ms=self.received_ms)
        if after is not before and not dwell.is_empty(after):
            overflowed = district.overflowed
            district.keep(rule_id, before, after)
            self.result.overflowed += district.overflowed - overflowed
        return raised

    def _suspended(self, placed: PlacedRule) -> bool:
        return (placed.rule.value.rule_id, placed.rule.number) in self._knowledge.suspended

    def _failed(self, placed: PlacedRule, error: Exception) -> None:
        rule = placed.rule
        self._knowledge.suspended.add((rule.value.rule_id, rule.number))
        self.result.failures.append(
            RuleFailure(rule.value.rule_id, rule.number, rule.value.kind.value, error)
        )
