"""The second agent: applies records of passages, and raises what cross-district rules fire on (C7)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from google.protobuf.message import DecodeError

from alerthub import passage_batches
from alerthub.domain import cross_district
from alerthub.domain.cross_district import CrossEvaluation, Fired
from alerthub.domain.errors import DeadLetter
from alerthub.domain.passage_state import PassageState
from alerthub.domain.passages import PassageBatch
from alerthub.domain.resources import Rule
from alerthub.domain.rules import cloned_plate
from alerthub.domain.rules.cloned_plate import Pair
from alerthub.domain.rules.interface import Raised
from alerthub.domain.versions import ACTIVATION_LEAD_MS, Version
from alerthub.telemetry import logger
from services.correlator import metrics
from services.correlator.checkpoint import Checkpoint
from services.correlator.outgoing import EventView, InOrder, MessageView, Outgoing, now_ms
from services.correlator.replicas import Gate, Reference
from services.correlator.state import WorkingPassages

log = logger(__name__)


class PassageHandler:
    """Applies one record after the other. `read_again` has a partition handed over from an offset on."""

    def __init__(
        self,
        *,
        gate: Gate,
        reference: Reference,
        working: WorkingPassages,
        checkpoint: Checkpoint,
        outgoing: Outgoing,
        read_again: Callable[[int, int], Awaitable[None]],
        clock: Callable[[], int] = now_ms,
    ) -> None:
        self._reference = reference
        self._working = working
        self._checkpoint = checkpoint
        self._outgoing = outgoing
        self._clock = clock
        self._in_order = InOrder(
            gate=gate, working=working, read_again=read_again, counter=metrics.PASSAGE_BATCHES
        )

    async def take(self, event: EventView) -> None:
        """Applies the event's record once the gate is open, unless its partition has been taken away by
        then."""
        batch = _decoded(event.message)
        as_of_ms = 0 if batch is None else batch.received_ms - ACTIVATION_LEAD_MS
        if not await self._in_order.admits(event.message, as_of_ms):
            return
        # No await from here to the end: a checkpoint sees all of the record or nothing of it (C2).
        if batch is None:
            self._put_aside(event)
        else:
            self._apply(event, batch)

    def _apply(self, event: EventView, batch: PassageBatch) -> None:
        message, now = event.message, self._clock()
        state = self._working.state(message.partition)
        result = cross_district.evaluate(
            batch,
            offset=message.offset,
            state=state,
            configuration=self._reference.catalogue.at(batch.received_ms),
            suspended=self._reference.suspended,
            to_raised=_raised,
        )
        sent = [self._raise(fired, state, message, now) for fired in result.fired]
        self._checkpoint.note(event, sent)
        self._count(result)

    def _raise(self, fired: Fired, state: PassageState, message: MessageView, now: int) -> Awaitable[object]:
        kept = passage_batches.opened(fired.pair.later)
        self._outgoing.count(fired.raised, kept.observation.received_time_ms, now)
        origin = passage_batches.batch_of(kept, state.data_keys)
        return self._outgoing.alert(fired.raised, origin, message, now)

    def _put_aside(self, event: EventView) -> None:
        message = event.message
        sent: list[Awaitable[object]] = []
        if cross_district.note_dead_letter(self._working.state(message.partition), message.offset):
            sent.append(self._outgoing.letter(message, "not a PassageBatch"))
            metrics.PASSAGE_BATCHES.labels("dead_lettered").inc()
            log.error("passages_dead_lettered", partition=message.partition, offset=message.offset)
        self._checkpoint.note(event, sent)

    def _count(self, result: CrossEvaluation) -> None:
        metrics.PASSAGE_BATCHES.labels("skipped" if result.skipped else "applied").inc()
        for name, number in (
            ("applied", result.applied - result.late - result.without_rule),
            ("repeat", result.repeats),
            ("late", result.late),
            ("without_rule", result.without_rule),
            ("after_a_hole", result.after_a_hole),
        ):
            if number > 0:
                metrics.PASSAGES.labels(name).inc(number)
        if result.overflowed:
            metrics.PLATES_OVERFLOWED.inc(result.overflowed)
        for failure in result.failures:
            self._outgoing.suspended(failure)


def _raised(rule: Version[Rule], subject: str, pair: Pair) -> Raised:
    later, earlier = passage_batches.opened(pair.later), passage_batches.opened(pair.earlier)
    return cloned_plate.raised(
        rule,
        subject,
        pair,
        later=later.observation,
        earlier=earlier.observation,
        jurisdiction=later.jurisdiction,
    )


def _decoded(message: MessageView) -> PassageBatch | None:
    """What the record holds; None when nothing can be read of it."""
    try:
        return passage_batches.read(message.value or b"")
    except (DecodeError, DeadLetter):
        return None
