"""The life cycle of an alert, decision by decision."""

from __future__ import annotations

import pytest
from dispatch_alert_steps import (
    NOW,
    OPERATOR,
    accepted,
    confirmed,
    delivered,
    offered,
    opened,
    timed_out,
    with_picture,
)

from alerthub.domain import alert_life
from alerthub.domain.alerts import (
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
from alerthub.domain.reasons import Reason


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
    alert = alert_life.escalate(alert, reason=Reason.NONE_ON_SHIFT.value, actor="x", now_ms=NOW).alert
    assert accepted(alert).answer is Answer.SUPERSEDED


def test_an_escalated_alert_says_when_and_why_also_once_somebody_is_sent_after_all() -> None:
    alert = timed_out(offered(opened())).alert
    alert = alert_life.escalate(alert, reason=Reason.NONE_ON_SHIFT.value, actor="x", now_ms=NOW + 1).alert
    assert (alert.escalated_at_ms, alert.escalated_reason) == (NOW + 1, Reason.NONE_ON_SHIFT.value)

    sent = offered(alert, "u2", 2)
    assert (sent.escalated_at_ms, sent.escalated_reason) == (NOW + 1, Reason.NONE_ON_SHIFT.value)


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
        accepted(offered(opened())).alert, reason=Reason.ENTRY_WITHDRAWN.value, actor="x", now_ms=NOW
    ).alert
    assert alert.status is Status.CANCELLED
    assert alert.assignments[0].status is AssignmentStatus.CANCELLED
    assert alert.waiting is None


def test_refusal_9_an_outcome_is_recorded_for_an_alert_that_was_cancelled_under_its_unit() -> None:
    cancelled = alert_life.cancel(
        accepted(offered(opened())).alert, reason=Reason.ENTRY_WITHDRAWN.value, actor="x", now_ms=NOW
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
