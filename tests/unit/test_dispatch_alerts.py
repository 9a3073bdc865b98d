"""The life cycle of an alert, whatever order commands come in."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from alerthub.domain import alert_life
from alerthub.domain.alerts import (
    Alert,
    Answer,
    AssignmentStatus,
    Change,
    EventKind,
    OutcomeKind,
    Policy,
    Status,
)
from alerthub.domain.deadlines import DeadlineKind
from alerthub.domain.errors import Conflict, NotAllowed, NotFound, Refuse

OPERATOR = "person:li.wei"
NOW = 1_700_000_000_000


def opened(
    *, names_person: bool = False, policy: Policy = Policy.SEND_AT_ONCE, supervised: bool = False
) -> Alert:
    return alert_life.open_alert(
        alert_id="a1",
        policy=Policy.CONFIRM_FIRST if names_person else policy,
        names_person=names_person,
        severity=3,
        supervisor_required=supervised,
        actor="service:dispatch",
        now_ms=NOW,
    ).alert


def with_picture(alert: Alert) -> Alert:
    return alert_life.evidence_sealed(
        alert, of_basis=True, has_picture=True, actor="service:dispatch", now_ms=NOW
    ).alert


def confirmed(alert: Alert, *, supervisor: bool = False) -> Alert:
    return alert_life.confirm(alert, by=OPERATOR, supervisor=supervisor, seen_version=0, now_ms=NOW).alert


def offered(alert: Alert, unit_id: str = "u1", number: int = 1) -> Alert:
    return alert_life.offer(
        alert,
        assignment_id=f"a1-{number}",
        unit_id=unit_id,
        reasons=(),
        reachable=True,
        actor="service:dispatch",
        now_ms=NOW,
    ).alert


def accepted(alert: Alert, unit_id: str = "u1", number: int = 1) -> Change:
    return alert_life.accept(
        alert, assignment_id=f"a1-{number}", unit_id=unit_id, officer="wang", actor="person:wang", now_ms=NOW
    )


def delivered(alert: Alert) -> Alert:
    return alert_life.deliver(
        alert, assignment_id="a1-1", unit_id="u1", actor="terminal:t1", now_ms=NOW
    ).alert


def timed_out(alert: Alert) -> Change:
    assert alert.waiting is not None
    return alert_life.deadline_passed(
        alert, since_version=alert.waiting.since_version, actor="service:dispatch", now_ms=NOW
    )


def test_refusal_6_an_alert_that_names_a_person_cannot_be_opened_to_be_sent_at_once() -> None:
    with pytest.raises(Refuse, match="names a person"):
        alert_life.open_alert(
            alert_id="a1",
            policy=Policy.SEND_AT_ONCE,
            names_person=True,
            severity=3,
            supervisor_required=False,
            actor="service:dispatch",
            now_ms=NOW,
        )


@pytest.mark.parametrize(
    ("names_person", "qualified", "suspended"),
    [(True, True, False), (False, False, False), (False, True, True)],
)
def test_no_configuration_sends_at_once_what_must_be_confirmed(
    names_person: bool, qualified: bool, suspended: bool
) -> None:
    policy = alert_life.effective_policy(
        policy=Policy.SEND_AT_ONCE, names_person=names_person, qualified_device=qualified, suspended=suspended
    )
    assert policy is Policy.CONFIRM_FIRST


def test_refusal_6_a_person_alert_that_nobody_confirmed_is_offered_to_nobody() -> None:
    with pytest.raises(Conflict, match="nobody has confirmed"):
        offered(opened(names_person=True))


def test_a_person_alert_with_its_picture_is_confirmed_by_an_operator() -> None:
    alert = confirmed(with_picture(opened(names_person=True)))
    assert (alert.status, alert.confirmed_by) == (Status.DISPATCHING, OPERATOR)


def test_a_person_alert_without_a_picture_needs_a_supervisor() -> None:
    alert = opened(names_person=True)
    with pytest.raises(NotAllowed, match="supervisor"):
        confirmed(alert)
    assert confirmed(alert, supervisor=True).confirmed_by == OPERATOR


def test_refusal_9_a_suspended_alert_needs_a_supervisor() -> None:
    alert = opened(policy=Policy.CONFIRM_FIRST, supervised=True)
    with pytest.raises(NotAllowed, match="suspended"):
        confirmed(alert)
    assert confirmed(alert, supervisor=True).status is Status.DISPATCHING


def test_a_confirmation_of_a_version_that_nobody_saw_is_refused() -> None:
    alert = opened(policy=Policy.CONFIRM_FIRST)
    with pytest.raises(Conflict, match="newest is 1"):
        alert_life.confirm(alert, by=OPERATOR, supervisor=False, seen_version=2, now_ms=NOW)


def test_c6_a_weaker_sighting_needs_its_own_confirmation() -> None:
    # given an accepted alert, and a sighting that its confirmation does not cover
    alert = accepted(offered(opened())).alert
    alert = alert_life.add_sighting(
        alert, covered=False, severity=3, actor="service:dispatch", now_ms=NOW
    ).alert
    assert alert.pending == (alert.version,)

    # when an operator confirms what was on the screen before it came, it stays pending
    with pytest.raises(Conflict):
        alert_life.confirm(alert, by=OPERATOR, supervisor=False, seen_version=alert.version - 1, now_ms=NOW)

    # then only a confirmation that saw it covers it
    assert (
        alert_life.confirm(
            alert, by=OPERATOR, supervisor=False, seen_version=alert.version, now_ms=NOW
        ).alert.pending
        == ()
    )


def test_the_first_confirmation_does_not_cover_a_weaker_sighting() -> None:
    alert = opened(policy=Policy.CONFIRM_FIRST)
    alert = alert_life.add_sighting(
        alert, covered=False, severity=3, actor="service:dispatch", now_ms=NOW
    ).alert
    assert confirmed(alert).pending == (2,)


def test_c14_the_acknowledgement_deadline_starts_at_delivery() -> None:
    waiting_for_delivery = offered(opened())
    assert waiting_for_delivery.waiting is not None
    assert waiting_for_delivery.waiting.kind is DeadlineKind.DELIVERY

    on_the_screen = delivered(waiting_for_delivery)
    assert on_the_screen.waiting is not None
    assert on_the_screen.waiting.kind is DeadlineKind.ACKNOWLEDGEMENT
    assert on_the_screen.waiting.since_version == on_the_screen.version


def test_c14_a_deadline_of_an_earlier_wait_changes_nothing() -> None:
    alert = offered(opened())
    assert alert.waiting is not None
    stale = alert.waiting.since_version
    after = delivered(alert)

    change = alert_life.deadline_passed(after, since_version=stale, actor="service:dispatch", now_ms=NOW)

    assert change == Change(after)


def test_a_sighting_does_not_stop_a_deadline() -> None:
    alert = offered(opened())
    seen_again = alert_life.add_sighting(alert, covered=True, severity=3, actor="x", now_ms=NOW).alert
    assert timed_out(seen_again).events[0].kind is EventKind.ASSIGNMENT_TIMED_OUT


def test_c14_a_late_acceptance_is_superseded_and_gives_no_second_owner() -> None:
    # given a unit that did not answer in time, and a second one that was asked
    late = timed_out(offered(opened())).alert
    second = offered(late, "u2", 2)

    # when the first accepts
    change = accepted(second)

    # then it is told so, and nothing changed
    assert change.answer is Answer.SUPERSEDED
    assert change.alert == second


def test_an_acceptance_after_nobody_took_it_is_superseded_too() -> None:
    alert = timed_out(offered(opened())).alert
    alert = alert_life.escalate(alert, reason="nobody", actor="x", now_ms=NOW).alert
    assert accepted(alert).answer is Answer.SUPERSEDED


def test_another_units_assignment_is_not_there_for_a_terminal() -> None:
    with pytest.raises(NotFound):
        alert_life.accept(
            offered(opened()), assignment_id="a1-1", unit_id="u2", officer="x", actor="x", now_ms=NOW
        )


def test_c18_the_card_says_call_by_radio_where_no_terminal_is_reachable() -> None:
    alert = alert_life.offer(
        opened(), assignment_id="a1-1", unit_id="u1", reasons=(), reachable=False, actor="x", now_ms=NOW
    ).alert
    assert alert.call_by_radio
    assert not delivered(alert).call_by_radio


def test_c18_an_acknowledgement_by_voice_stops_the_deadlines() -> None:
    change = alert_life.accept(
        offered(opened()),
        assignment_id="a1-1",
        unit_id="u1",
        officer="East 3",
        actor=OPERATOR,
        now_ms=NOW,
        by_voice=True,
    )
    assert change.alert.waiting is None
    assert change.alert.assignments[0].by_voice


def test_refusal_7_a_cancelled_alert_ends_its_assignment() -> None:
    alert = alert_life.cancel(
        accepted(offered(opened())).alert, reason="withdrawn", actor="x", now_ms=NOW
    ).alert
    assert alert.status is Status.CANCELLED
    assert alert.assignments[0].status is AssignmentStatus.CANCELLED
    assert alert.waiting is None


def test_refusal_9_an_outcome_is_recorded_for_an_alert_that_was_cancelled_under_its_unit() -> None:
    cancelled = alert_life.cancel(
        accepted(offered(opened())).alert, reason="withdrawn", actor="x", now_ms=NOW
    ).alert
    after = alert_life.record_outcome(
        cancelled, assignment_id="a1-1", unit_id="u1", outcome=OutcomeKind.FOUND, actor="x", now_ms=NOW
    ).alert
    assert (after.status, after.outcome) == (Status.CANCELLED, OutcomeKind.FOUND)


def test_an_outcome_needs_an_acceptance() -> None:
    with pytest.raises(Conflict, match="accept it"):
        alert_life.record_outcome(
            delivered(offered(opened())),
            assignment_id="a1-1",
            unit_id="u1",
            outcome=OutcomeKind.FOUND,
            actor="x",
            now_ms=NOW,
        )


def test_a_repeat_of_an_acceptance_changes_nothing() -> None:
    alert = accepted(offered(opened())).alert
    assert accepted(alert) == Change(alert)


def test_an_alert_in_a_units_hands_is_not_rejected() -> None:
    with pytest.raises(Conflict, match="outcome"):
        alert_life.reject(accepted(offered(opened())).alert, by=OPERATOR, reason="no", now_ms=NOW)


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
        self.do(lambda alert: alert_life.cancel(alert, reason="withdrawn", actor="x", now_ms=NOW))

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
        self.do(lambda alert: alert_life.escalate(alert, reason="nobody", actor="x", now_ms=NOW))

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
TestLife.settings = settings(max_examples=75, stateful_step_count=40, deadline=None)
