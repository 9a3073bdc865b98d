"""Evaluates a record of passages: which cross-district rules fire, and what the state is afterwards (C7).

One step, as `correlation.evaluate` is: it waits for nothing and reads no clock. A source sends its passages
in order, and sends again what may not have arrived; so what is at or below its mark is skipped, and what
comes after one that is missing waits for it to be sent again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from alerthub.domain.catalogue import Configuration
from alerthub.domain.correlation import RuleFailure
from alerthub.domain.passage_state import Bucket, Mark, PassageState, bucket_of
from alerthub.domain.passages import Passage, PassageBatch, SourcePosition
from alerthub.domain.resources import Rule, RuleKind
from alerthub.domain.rules import cloned_plate
from alerthub.domain.rules.cloned_plate import Pair, Seen
from alerthub.domain.rules.interface import Raised, allowed_lateness_ms
from alerthub.domain.versions import Version

ToRaised = Callable[[Version[Rule], str, Pair], Raised]
"""Makes the alert of a pair: it opens what was kept of both reads."""


@dataclass(frozen=True, slots=True)
class Fired:
    """A rule fired. `pair.later` is what the alert stands on."""

    raised: Raised
    pair: Pair


@dataclass(slots=True)
class CrossEvaluation:
    """What a record did. The counts are of this record, for metrics; the state holds the sums."""

    fired: list[Fired] = field(default_factory=list)
    failures: list[RuleFailure] = field(default_factory=list)
    applied: int = 0
    repeats: int = 0
    late: int = 0
    without_rule: int = 0
    """No version of the rule was in force for it any more, or it is suspended."""
    after_a_hole: int = 0
    """One before them is missing; they will be sent again with it."""
    overflowed: int = 0
    skipped: bool = False
    """The state holds the record already (C4)."""


def evaluate(
    batch: PassageBatch,
    *,
    offset: int,
    state: PassageState,
    configuration: Configuration,
    suspended: set[tuple[str, int]],
    to_raised: ToRaised,
) -> CrossEvaluation:
    """Applies the record at `offset` to `state`. `configuration` was in force when it was received, and
    `suspended` holds id and version of rules that raised an error; it grows."""
    result = CrossEvaluation()
    if offset <= state.offset:
        result.skipped = True
        return result
    state.changed = True
    if batch.source_topic_id != state.source_topic_id:
        # Its sources count their offsets from the beginning.
        state.forget_sources()
        state.source_topic_id = batch.source_topic_id
    fresh = _fresh(batch, state, result)
    for told in batch.watermarks:
        _note_watermark(state, told.source_partition, told.received_ms, told.sent)
    state.advance()
    for passage in fresh:
        _Run(offset, state, configuration, suspended, to_raised, result).take(passage)
    state.offset = offset
    return result


def note_dead_letter(state: PassageState, offset: int) -> bool:
    """Passes over the record at `offset`, which nothing could be read of. False: the state holds it."""
    if offset <= state.offset:
        return False
    state.offset = offset
    state.changed = True
    return True


def _fresh(batch: PassageBatch, state: PassageState, result: CrossEvaluation) -> list[Passage]:
    """The passages that are not in the state yet, whose source's mark is moved to the last of them."""
    if not batch.passages:
        return []
    mark = state.marks.get(batch.source_partition, Mark(None, 0))
    if mark.position is not None and batch.previous is not None and batch.previous > mark.position:
        result.after_a_hole = len(batch.passages)
        return []
    fresh = [
        passage
        for passage in batch.passages
        if mark.position is None or SourcePosition(batch.source_offset, passage.index) > mark.position
    ]
    result.applied, result.repeats = len(fresh), len(batch.passages) - len(fresh)
    state.received += result.applied
    state.repeats += result.repeats
    if fresh:
        last = SourcePosition(batch.source_offset, fresh[-1].index)
        state.marks[batch.source_partition] = Mark(last, max(mark.received_ms, batch.received_ms))
        state.note_keys(dict(batch.data_keys))
    return fresh


def _note_watermark(state: PassageState, source: int, received_ms: int, sent: SourcePosition | None) -> None:
    mark = state.marks.get(source, Mark(None, 0))
    if sent is not None and mark.position is not None and sent > mark.position:
        # What it had sent by then has not all arrived.
        return
    state.marks[source] = Mark(mark.position, max(mark.received_ms, received_ms))


@dataclass(slots=True)
class _Run:
    """One passage's evaluation."""

    offset: int
    state: PassageState
    configuration: Configuration
    suspended: set[tuple[str, int]]
    to_raised: ToRaised
    result: CrossEvaluation

    def take(self, passage: Passage) -> None:
        bucket = self.state.bucket(bucket_of(passage.subject))
        if self.offset <= bucket.applied_offset:
            return
        rule = self.configuration.rule(passage.rule_id)
        if rule is None or not is_compared(rule.value) or (rule.value.rule_id, rule.number) in self.suspended:
            self.result.without_rule += 1
            return
        if self.state.watermark_ms - passage.read.at_ms > allowed_lateness_ms(rule.value):
            bucket.late += 1
            bucket.changed = True
            self.result.late += 1
            return
        try:
            after, fired = self._evaluate(rule, passage, bucket)
        except Exception as error:  # noqa: BLE001 - it ends the rule, never the record (C2)
            self.suspended.add((rule.value.rule_id, rule.number))
            self.result.failures.append(
                RuleFailure(rule.value.rule_id, rule.number, rule.value.kind.value, error)
            )
            return
        overflowed = bucket.overflowed
        bucket.matched += len(fired)
        bucket.keep(passage.rule_id, passage.subject, after)
        self.result.overflowed += bucket.overflowed - overflowed
        self.result.fired.extend(fired)

    def _evaluate(self, rule: Version[Rule], passage: Passage, bucket: Bucket) -> tuple[Seen, list[Fired]]:
        known = bucket.seen.get((passage.rule_id, passage.subject), Seen())
        after, pairs = cloned_plate.evaluate(rule.value, known, passage.read)
        return after, [Fired(self.to_raised(rule, passage.subject, pair), pair) for pair in pairs]


def is_compared(rule: Rule) -> bool:
    """Whether this version of the rule is one that the second agent evaluates."""
    return rule.cross_district and rule.kind is RuleKind.CLONED_PLATE
