"""Steps of an alert's life, for tests that go through several."""

from __future__ import annotations

from alerthub.domain import alert_life
from alerthub.domain.alerts import (
    Alert,
    Change,
    Policy,
)

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
