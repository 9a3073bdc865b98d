"""What operators and terminals do with alerts: load, decide in the domain, save."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from typing import TypeVar

from google.protobuf.message import Message
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from alerthub import audit
from alerthub.api.v1 import access_pb2, alert_pb2, delivery_pb2, patrol_pb2
from alerthub.domain import alert_checks, alert_life
from alerthub.domain import alerts as domain
from alerthub.domain.alerts import Answer, Change
from alerthub.domain.denials import Denial, assignment_not_live
from alerthub.domain.errors import Conflict, NotFound, Refuse
from alerthub.domain.reasons import chosen_by
from alerthub.identity import Caller
from alerthub.postgres import sql, violated_constraint
from services.dispatch import precision, precision_floor, spans
from services.dispatch.metrics import COMMANDS, OUTCOMES, RECEIPT_SECONDS
from services.dispatch.precision_floor import FloorProposal
from services.dispatch.wire import OUTCOME_OF_WIRE, alert_message
from services.dispatch.work import Surroundings, Work, working

Response = TypeVar("Response", bound=Message)
_RESULT = {
    Answer.DONE: patrol_pb2.CommandAnswer.RESULT_DONE,
    Answer.SUPERSEDED: patrol_pb2.CommandAnswer.RESULT_SUPERSEDED,
}


class Handlers:
    """Every command is idempotent by its id: a repeat gets the first answer again and changes nothing."""

    def __init__(
        self,
        database: AsyncEngine,
        surroundings: Surroundings,
        *,
        precision_floor: float,
        has_left: Callable[[str], bool],
    ) -> None:
        """`has_left` says whether a person's account has ended."""
        self._database = database
        self._has_left = has_left
        self._surroundings = surroundings
        self._precision_floor = precision_floor

    # Operators

    async def confirm(self, caller: Caller, request: alert_pb2.ConfirmAlertRequest) -> alert_pb2.Alert:
        """Raises Conflict, NotAllowed, NotFound."""

        async def decide(work: Work) -> alert_pb2.Alert:
            alert = await self._locked_with_entry(work, request.alert_id)
            change = alert_life.confirm(
                alert,
                by=caller.actor,
                supervisor=caller.has_role(access_pb2.ROLE_SUPERVISOR),
                seen_version=request.alert_version,
                now_ms=work.now_ms,
            )
            work.apply(change)
            if request.note:
                await audit.record(
                    work.connection,
                    action="confirmation_note",
                    actor=caller.actor,
                    subject=f"alert:{request.alert_id}",
                    reason=request.note,
                )
            await work.seek_unit(request.alert_id)
            return await _message(work, request.alert_id)

        return await self._once(caller.actor, request.command_id, request, alert_pb2.Alert, decide)

    async def reject(self, caller: Caller, request: alert_pb2.RejectAlertRequest) -> alert_pb2.Alert:
        """Raises Conflict, NotFound. Suppresses the same token at the same device for the cooldown (C6)."""

        async def decide(work: Work) -> alert_pb2.Alert:
            alert = await _locked(work, request.alert_id)
            alert_checks.check_seen(alert, request.alert_version)
            work.apply(alert_life.reject(alert, by=caller.actor, reason=request.reason, now_ms=work.now_ms))
            facts = work.facts(request.alert_id)
            if facts.cooldown_ms:
                await work.store.suppress(request.alert_id, facts.fold_key, work.now_ms + facts.cooldown_ms)
            return await _message(work, request.alert_id)

        return await self._once(caller.actor, request.command_id, request, alert_pb2.Alert, decide)

    async def assign(self, caller: Caller, request: alert_pb2.AssignUnitRequest) -> alert_pb2.Alert:
        """Another unit than the rules chose. Raises Conflict, NotFound."""

        async def decide(work: Work) -> alert_pb2.Alert:
            alert_checks.check_seen(
                await self._locked_with_entry(work, request.alert_id), request.alert_version
            )
            unit = self._surroundings.fleet.unit(request.unit_id, work.now_ms)
            if unit is None:
                raise NotFound("unit_id", Denial.NO_UNIT.value)
            if unit.shift_at(work.now_ms) is None:
                raise Conflict("unit_id", Denial.UNIT_OFF_SHIFT.value)
            await work.offer(request.alert_id, unit.unit_id, (chosen_by(caller.actor),), caller.actor)
            return await _message(work, request.alert_id)

        return await self._once(caller.actor, request.command_id, request, alert_pb2.Alert, decide)

    async def acknowledge_by_voice(
        self, caller: Caller, request: alert_pb2.AcknowledgeByVoiceRequest
    ) -> alert_pb2.Alert:
        """The unit took it by radio: stops the deadlines (C18). Raises Conflict, NotFound."""

        async def decide(work: Work) -> alert_pb2.Alert:
            alert = await _locked(work, request.alert_id)
            assignment = alert_checks.assignment_of(alert, request.assignment_id)
            change = alert_life.accept(
                alert,
                assignment_id=assignment.assignment_id,
                unit_id=assignment.unit_id,
                officer=request.spoken_with,
                actor=caller.actor,
                now_ms=work.now_ms,
                by_voice=True,
            )
            if change.answer is Answer.SUPERSEDED:
                raise Conflict("assignment_id", assignment_not_live(change.detail))
            work.apply(change)
            return await _message(work, request.alert_id)

        return await self._once(caller.actor, request.command_id, request, alert_pb2.Alert, decide)

    async def lift_suspension(
        self, caller: Caller, request: alert_pb2.LiftSuspensionRequest
    ) -> alert_pb2.LiftSuspensionResponse:
        """Raises NotFound where it is not suspended."""

        async def decide(work: Work) -> alert_pb2.LiftSuspensionResponse:
            await precision.lift(
                work.connection, request.kind, request.subject, actor=caller.actor, reason=request.reason
            )
            return alert_pb2.LiftSuspensionResponse()

        return await self._once(
            caller.actor, request.command_id, request, alert_pb2.LiftSuspensionResponse, decide
        )

    async def propose_floor(
        self, caller: Caller, request: alert_pb2.ProposePrecisionFloorRequest
    ) -> alert_pb2.ProposePrecisionFloorResponse:
        """The command's id becomes the proposal's."""

        async def decide(work: Work) -> alert_pb2.ProposePrecisionFloorResponse:
            proposal = FloorProposal(request.command_id, request.floor, request.reason)
            await precision_floor.propose(work.connection, proposal, by=caller, now_ms=work.now_ms)
            return alert_pb2.ProposePrecisionFloorResponse(proposal_id=proposal.proposal_id)

        return await self._once(
            caller.actor, request.command_id, request, alert_pb2.ProposePrecisionFloorResponse, decide
        )

    async def approve_floor(
        self, caller: Caller, request: alert_pb2.ApprovePrecisionFloorRequest
    ) -> alert_pb2.ApprovePrecisionFloorResponse:
        """Raises NotFound, Conflict, and NotAllowed for anybody but a second person (S6)."""

        async def decide(work: Work) -> alert_pb2.ApprovePrecisionFloorResponse:
            floor = await precision_floor.approve(
                work.connection,
                request.proposal_id,
                by=caller,
                has_left=self._has_left,
                now_ms=work.now_ms,
            )
            return alert_pb2.ApprovePrecisionFloorResponse(floor=floor)

        return await self._once(
            caller.actor, request.command_id, request, alert_pb2.ApprovePrecisionFloorResponse, decide
        )

    # Terminals

    async def answer(
        self, request: delivery_pb2.AnswerCommandRequest, came_with: spans.Answered | None = None
    ) -> patrol_pb2.CommandAnswer:
        """A terminal's receipt, answer or outcome. A refusal is an answer too: the terminal must not send it
        again. `came_with` is the span of the terminal's command, where it has one."""

        async def decide(work: Work) -> patrol_pb2.CommandAnswer:
            work.answered = came_with
            try:
                change = await self._terminal_change(work, request)
            except Refuse as refusal:
                return patrol_pb2.CommandAnswer(
                    command_id=request.command_id,
                    result=patrol_pb2.CommandAnswer.RESULT_REFUSED,
                    detail=str(refusal),
                    detail_chinese=refusal.words.chinese,
                )
            work.apply(change)
            if change.answer is Answer.SUPERSEDED:
                # A late acceptance is recorded, though it changes nothing (C14).
                await audit.record(
                    work.connection,
                    action=f"late_{request.WhichOneof('command')}",
                    actor=f"person:{request.officer}",
                    subject=f"alert:{change.alert.alert_id}",
                    detail=f"terminal {request.terminal_id}, {change.detail.english}",
                )
            return patrol_pb2.CommandAnswer(
                command_id=request.command_id,
                result=_RESULT[change.answer],
                detail=change.detail.english,
                detail_chinese=change.detail.chinese,
            )

        if request.WhichOneof("command") == "receipt":
            # A repeat of it changes nothing, and its answer is the same: nothing to remember.
            async with working(self._database, self._surroundings) as work:
                answered = await decide(work)
        else:
            answered = await self._once(
                f"terminal:{request.terminal_id}",
                request.command_id,
                request,
                patrol_pb2.CommandAnswer,
                decide,
                # Terminals send a command again with a later token; the officer may have changed in between.
                compared=False,
            )
        COMMANDS.labels(
            request.WhichOneof("command"), patrol_pb2.CommandAnswer.Result.Name(answered.result)
        ).inc()
        return answered

    async def _terminal_change(self, work: Work, request: delivery_pb2.AnswerCommandRequest) -> Change:
        kind = request.WhichOneof("command")
        command = getattr(request, kind or "receipt")
        alert = await _locked(work, command.alert_id)
        if not any(each.unit_id == request.unit_id for each in alert.assignments):
            # Whether an alert of others exists is nothing that a terminal may learn.
            raise NotFound("alert_id", Denial.ALERT_OF_ANOTHER.value)
        actor = f"person:{request.officer}"
        assignment_id: str = command.assignment_id
        unit = request.unit_id
        now_ms = work.now_ms
        if kind == "receipt":
            if not assignment_id:
                return Change(alert)
            change = alert_life.deliver(
                alert,
                assignment_id=assignment_id,
                unit_id=unit,
                actor=f"terminal:{request.terminal_id}",
                now_ms=now_ms,
            )
            # Where no terminal was connected the card has said so, and nobody promised anything (C18).
            if change.events and not alert.call_by_radio:
                waited_ms = now_ms - alert_checks.assignment_of(alert, assignment_id).offered_at_ms
                RECEIPT_SECONDS.observe(max(0, waited_ms) / 1_000)
            return change
        if kind == "accept":
            return alert_life.accept(
                alert,
                assignment_id=assignment_id,
                unit_id=unit,
                officer=request.officer,
                actor=actor,
                now_ms=now_ms,
            )
        if kind == "decline":
            change = alert_life.decline(
                alert,
                assignment_id=assignment_id,
                unit_id=unit,
                reason=command.reason,
                actor=actor,
                now_ms=now_ms,
            )
            work.apply(change)
            if change.events:
                await work.seek_unit(alert.alert_id)
            return Change(work.alert(alert.alert_id), answer=change.answer, detail=change.detail)
        outcome = OUTCOME_OF_WIRE[command.outcome]
        change = alert_life.record_outcome(
            alert, assignment_id=assignment_id, unit_id=unit, outcome=outcome, actor=actor, now_ms=now_ms
        )
        if change.events:
            OUTCOMES.labels(work.facts(alert.alert_id).category, outcome.value).inc()
            if command.note:
                await audit.record(
                    work.connection,
                    action="outcome_note",
                    actor=actor,
                    subject=f"alert:{alert.alert_id}",
                    reason=command.note,
                )
            await precision.count_outcome(
                work.connection,
                work.facts(alert.alert_id),
                outcome,
                confirmed_by=alert.confirmed_by,
                floor=await precision_floor.in_force(
                    work.connection, before_any_change=self._precision_floor
                ),
                now_ms=now_ms,
            )
        return change

    # Shared

    async def _locked_with_entry(self, work: Work, alert_id: str) -> domain.Alert:
        """The alert, with its entry's row locked first, as raising and withdrawing do (C8)."""
        in_force = await work.load_with_entries([alert_id])
        if alert_id not in in_force:
            raise NotFound("alert_id", Denial.NO_ALERT.value)
        alert = work.alert(alert_id)
        if alert.open and not in_force[alert_id]:
            raise Conflict("alert_id", Denial.ENTRY_OVER.value)
        return alert

    async def _once(
        self,
        actor: str,
        command_id: str,
        request: Message,
        response_type: type[Response],
        decide: Callable[[Work], Awaitable[Response]],
        *,
        compared: bool = True,
    ) -> Response:
        digest = hashlib.sha256(request.SerializeToString(deterministic=True)).digest()
        for attempt in (1, 2):
            try:
                async with working(self._database, self._surroundings) as work:
                    row = (
                        await work.connection.execute(
                            sql(
                                "SELECT answer, request_sha256 FROM command WHERE actor = :actor AND "
                                "command_id = :id"
                            ),
                            {"actor": actor, "id": command_id},
                        )
                    ).one_or_none()
                    if row is not None:
                        if compared and bytes(row.request_sha256) != digest:
                            raise Refuse("command_id", Denial.COMMAND_USED.value)
                        return response_type.FromString(bytes(row.answer))
                    answer = await decide(work)
                    await work.connection.execute(
                        sql(
                            "INSERT INTO command (actor, command_id, request_sha256, answer) "
                            "VALUES (:actor, :id, :digest, :answer)"
                        ),
                        {
                            "actor": actor,
                            "id": command_id,
                            "digest": digest,
                            "answer": answer.SerializeToString(),
                        },
                    )
            except IntegrityError as error:
                # The same command on two streams at once: the other one's answer is the first.
                if attempt == 2 or violated_constraint(error) != "command_pkey":
                    raise
            else:
                return answer
        raise AssertionError("the loop above returns or raises")


async def _locked(work: Work, alert_id: str) -> domain.Alert:
    alert = await work.load(alert_id)
    if alert is None:
        raise NotFound("alert_id", Denial.NO_ALERT.value)
    return alert


async def _message(work: Work, alert_id: str) -> alert_pb2.Alert:
    sightings = await work.store.newest_sightings([alert_id])
    return alert_message(work.facts(alert_id), work.alert(alert_id), sightings.get(alert_id, ()))
