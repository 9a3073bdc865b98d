"""Refusals 6 and 9 where dispatch decides: what a hit is opened as, and that nobody is asked unconfirmed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from alerthub.api.v1 import alert_pb2, common_pb2, observation_pb2, registry_pb2
from alerthub.domain import alert_life
from alerthub.domain.alerts import Alert, Change, Policy, Status
from alerthub.domain.errors import Conflict, NotAllowed
from alerthub.domain.reasons import Reason
from services.dispatch import intake

NOW = 1_800_000_000_000
CERTIFICATE = common_pb2.AUTHENTICATION_CLASS_CERTIFICATE


class Work:
    """Takes what is decided; nothing is written."""

    now_ms = NOW

    def __init__(self) -> None:
        self.opened: list[Alert] = []

    def open(self, _: object, change: Change) -> None:
        self.opened.append(change.alert)

    async def seek_unit(self, _: str) -> None:
        """Nobody is on shift here."""

    def note_raised(self, *_: object) -> None: ...

    def add_sighting(self, _: object) -> None: ...

    def add_sealing(self, _: object) -> None: ...


def raised(
    *,
    names_person: bool = False,
    authentication_class: common_pb2.AuthenticationClass.ValueType = CERTIFICATE,
    rule_kind: registry_pb2.RuleKind.ValueType = registry_pb2.RULE_KIND_WATCHLIST_HIT,
) -> alert_pb2.AlertRaised:
    """As the correlator could send it at worst: whatever it is about, its policy is to send at once."""
    return alert_pb2.AlertRaised(
        raised_id=bytes(16),
        rule_id="hit",
        rule_kind=rule_kind,
        fold_key="entry:e",
        severity=common_pb2.SEVERITY_MAJOR,
        policy=common_pb2.DISPATCH_POLICY_SEND_AT_ONCE,
        observation=observation_pb2.Observation(authentication_class=authentication_class),
        watchlist=alert_pb2.WatchlistMatch(entry_id="e", names_person=names_person, token=b"t" * 16),
    )


async def opened_from(hit: alert_pb2.AlertRaised, *, suspended: bool = False) -> Alert:
    work: Any = Work()
    taker: Any = intake.Intake(None, None)  # type: ignore[arg-type] # neither database nor fleet is asked
    await taker._open(work, intake._hit(hit), suspended=suspended)
    [alert] = work.opened
    assert isinstance(alert, Alert)
    return alert


async def test_a_vehicle_read_by_a_device_with_a_certificate_goes_out_at_once() -> None:
    assert (await opened_from(raised())).status is Status.DISPATCHING


async def test_refusal_6_a_persons_alert_waits_whatever_policy_it_came_with() -> None:
    alert = await opened_from(raised(names_person=True))
    assert (alert.status, alert.policy, alert.names_person) == (
        Status.AWAITING_CONFIRMATION,
        Policy.CONFIRM_FIRST,
        True,
    )


@pytest.mark.parametrize(
    "weak",
    [
        common_pb2.AUTHENTICATION_CLASS_UNSPECIFIED,
        common_pb2.AUTHENTICATION_CLASS_URL_TOKEN,
        common_pb2.AUTHENTICATION_CLASS_NETWORK_ONLY,
    ],
    ids=["unspecified", "URL token", "network only"],
)
async def test_s3_what_a_weakly_proven_device_reported_waits(
    weak: common_pb2.AuthenticationClass.ValueType,
) -> None:
    assert (await opened_from(raised(authentication_class=weak))).status is Status.AWAITING_CONFIRMATION


async def test_refusal_9_what_is_suspended_waits_for_a_supervisor() -> None:
    alert = await opened_from(raised(), suspended=True)
    assert (alert.status, alert.supervisor_required) == (Status.AWAITING_CONFIRMATION, True)


async def test_refusal_9_a_direct_call_is_never_suspended() -> None:
    # given a panic button whose rule or device was mostly wrong before
    call = raised(rule_kind=registry_pb2.RULE_KIND_DIRECT_CALL)

    # when somebody presses it
    alert = await opened_from(call, suspended=True)

    # then it goes out at once all the same
    assert (alert.status, alert.supervisor_required) == (Status.DISPATCHING, False)


def _dispatching_unconfirmed(policy: Policy) -> Alert:
    """What no command can make: a person's alert on its way that nobody confirmed."""
    alert = alert_life.open_alert(
        alert_id="a",
        policy=Policy.CONFIRM_FIRST,
        names_person=True,
        severity=3,
        supervisor_required=False,
        actor="service:dispatch",
        now_ms=NOW,
    ).alert
    return replace(alert, status=Status.DISPATCHING, policy=policy, waiting=None)


@pytest.mark.parametrize("policy", list(Policy))
def test_refusal_6_no_unit_is_asked_about_an_unconfirmed_person_whatever_the_policy_says(
    policy: Policy,
) -> None:
    with pytest.raises(Conflict, match="nobody has confirmed"):
        alert_life.offer(
            _dispatching_unconfirmed(policy),
            assignment_id="a-1",
            unit_id="u",
            reasons=(),
            reachable=True,
            actor="service:dispatch",
            now_ms=NOW,
        )


def test_refusal_6_an_unconfirmed_persons_alert_is_not_escalated_as_if_it_were_on_its_way() -> None:
    with pytest.raises(Conflict, match="nobody has confirmed"):
        alert_life.escalate(
            _dispatching_unconfirmed(Policy.CONFIRM_FIRST),
            reason=Reason.NONE_ON_SHIFT.value,
            actor="service:dispatch",
            now_ms=NOW,
        )


def test_refusal_6_somebody_without_a_name_confirms_nothing() -> None:
    alert = alert_life.open_alert(
        alert_id="a",
        policy=Policy.CONFIRM_FIRST,
        names_person=False,
        severity=3,
        supervisor_required=False,
        actor="service:dispatch",
        now_ms=NOW,
    ).alert
    with pytest.raises(NotAllowed, match="a named person"):
        alert_life.confirm(alert, by="", supervisor=True, seen_version=0, now_ms=NOW)
