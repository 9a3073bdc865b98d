"""The life cycle of an alert, whatever order commands come in."""

from __future__ import annotations

from collections.abc import Callable

from dispatch_alert_steps import NOW, OPERATOR, accepted, opened
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from alerthub.domain import alert_life
from alerthub.domain.alerts import (
    Alert,
    Answer,
    AssignmentStatus,
    Change,
    OutcomeKind,
    Policy,
    Status,
)
from alerthub.domain.errors import Refuse
from alerthub.domain.reasons import Reason

UNITS = ("u1", "u2", "u3")
FINAL = {Status.CLOSED, Status.REJECTED, Status.CANCELLED}


class Life(RuleBasedStateMachine):
    """Every command in every state; a refusal changes nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.alert: Alert | None = None
        self.ended: Status | None = None
        self.versions: list[int] = []

    def do(self, command: Callable[[Alert], Change]) -> None:
        assert self.alert is not None
        before = self.alert
        try:
            change = command(before)
        except Refuse:
            return
        for event in change.events:
            self.versions.append(event.alert.version)
        if change.answer is Answer.SUPERSEDED:
            assert change.alert == before
        self.alert = change.alert
        if self.ended is None and self.alert.status in FINAL:
            self.ended = self.alert.status

    @precondition(lambda self: self.alert is None)
    @rule(names_person=st.booleans(), policy=st.sampled_from(Policy), supervised=st.booleans())
    def open(self, names_person: bool, policy: Policy, supervised: bool) -> None:
        self.alert = opened(names_person=names_person, policy=policy, supervised=supervised)
        self.versions = [self.alert.version]

    @precondition(lambda self: self.alert is not None)
    @rule(has_picture=st.booleans(), of_basis=st.booleans())
    def seal(self, has_picture: bool, of_basis: bool) -> None:
        self.do(
            lambda alert: alert_life.evidence_sealed(
                alert, of_basis=of_basis, has_picture=has_picture, actor="x", now_ms=NOW
            )
        )

    @precondition(lambda self: self.alert is not None)
    @rule(supervisor=st.booleans(), seen=st.integers(0, 30))
    def confirm(self, supervisor: bool, seen: int) -> None:
        self.do(
            lambda alert: alert_life.confirm(
                alert, by=OPERATOR, supervisor=supervisor, seen_version=seen, now_ms=NOW
            )
        )

    @precondition(lambda self: self.alert is not None)
    @rule()
    def reject(self) -> None:
        self.do(lambda alert: alert_life.reject(alert, by=OPERATOR, reason="no", now_ms=NOW))

    @precondition(lambda self: self.alert is not None)
    @rule()
    def cancel(self) -> None:
        self.do(
            lambda alert: alert_life.cancel(alert, reason=Reason.ENTRY_WITHDRAWN.value, actor="x", now_ms=NOW)
        )

    @precondition(lambda self: self.alert is not None)
    @rule(covered=st.booleans(), severity=st.integers(1, 4))
    def see_again(self, covered: bool, severity: int) -> None:
        self.do(
            lambda alert: alert_life.add_sighting(
                alert, covered=covered, severity=severity, actor="x", now_ms=NOW
            )
        )

    @precondition(lambda self: self.alert is not None)
    @rule(unit_id=st.sampled_from(UNITS), reachable=st.booleans())
    def offer(self, unit_id: str, reachable: bool) -> None:
        self.do(
            lambda alert: alert_life.offer(
                alert,
                assignment_id=f"a1-{len(alert.assignments) + 1}",
                unit_id=unit_id,
                reasons=(),
                reachable=reachable,
                actor="x",
                now_ms=NOW,
            )
        )

    @precondition(lambda self: self.alert is not None)
    @rule()
    def escalate(self) -> None:
        self.do(
            lambda alert: alert_life.escalate(alert, reason=Reason.NONE_ON_SHIFT.value, actor="x", now_ms=NOW)
        )

    @precondition(lambda self: self.alert is not None)
    @rule(
        command=st.sampled_from(("deliver", "accept", "decline", "outcome")),
        number=st.integers(1, 4),
        unit_id=st.sampled_from(UNITS),
        outcome=st.sampled_from(OutcomeKind),
    )
    def answer(self, command: str, number: int, unit_id: str, outcome: OutcomeKind) -> None:
        assignment_id = f"a1-{number}"

        def of(alert: Alert) -> Change:
            if command == "deliver":
                return alert_life.deliver(
                    alert, assignment_id=assignment_id, unit_id=unit_id, actor="x", now_ms=NOW
                )
            if command == "accept":
                return accepted(alert, unit_id, number)
            if command == "decline":
                return alert_life.decline(
                    alert, assignment_id=assignment_id, unit_id=unit_id, reason="busy", actor="x", now_ms=NOW
                )
            return alert_life.record_outcome(
                alert, assignment_id=assignment_id, unit_id=unit_id, outcome=outcome, actor="x", now_ms=NOW
            )

        self.do(of)

    @precondition(lambda self: self.alert is not None)
    @rule(since=st.integers(0, 30), current=st.booleans())
    def deadline(self, since: int, current: bool) -> None:
        def of(alert: Alert) -> Change:
            version = alert.waiting.since_version if current and alert.waiting else since
            return alert_life.deadline_passed(alert, since_version=version, actor="x", now_ms=NOW)

        self.do(of)

    @invariant()
    def never_two_owners(self) -> None:
        if self.alert is not None:
            assert sum(each.live for each in self.alert.assignments) <= 1

    @invariant()
    def a_person_alert_goes_nowhere_unconfirmed(self) -> None:
        if self.alert is not None and self.alert.names_person and not self.alert.confirmed_by:
            assert self.alert.status in {Status.AWAITING_CONFIRMATION, *FINAL}
            assert self.alert.assignments == ()

    @invariant()
    def what_is_confirmed_first_goes_nowhere_unconfirmed(self) -> None:
        if (
            self.alert is not None
            and self.alert.policy is Policy.CONFIRM_FIRST
            and not self.alert.confirmed_by
        ):
            assert self.alert.assignments == ()

    @invariant()
    def an_end_is_final(self) -> None:
        if self.ended is not None:
            assert self.alert is not None
            assert self.alert.status is self.ended
            assert self.alert.waiting is None

    @invariant()
    def versions_ascend_by_one(self) -> None:
        assert self.versions == list(range(1, len(self.versions) + 1))

    @invariant()
    def accepted_means_one_accepted_assignment(self) -> None:
        if self.alert is not None and self.alert.status is Status.ACCEPTED:
            live = self.alert.live_assignment
            assert live is not None
            assert live.status is AssignmentStatus.ACCEPTED

    @invariant()
    def closed_means_an_outcome(self) -> None:
        if self.alert is not None and self.alert.status is Status.CLOSED:
            assert self.alert.outcome is not None


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=75, stateful_step_count=40)
