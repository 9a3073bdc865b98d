"""What a restored database takes back from its topics (C19)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import pytest

from alerthub import resource_wire as wire
from alerthub.cli.republish import Compared, told_by, wait_until_compared
from alerthub.domain.alert_restore import after_restore
from alerthub.domain.alerts import Alert, Assignment, AssignmentStatus, EventKind, Policy, Status
from alerthub.domain.errors import Retry
from alerthub.domain.reasons import Reason
from alerthub.domain.resources import CheckAuthorisation, LifeStatus
from alerthub.domain.restores import RESTORED, Restore, detail_of, restore_of, subject_of
from alerthub.topics import COMPACTED_TOPICS
from services.registry.restore import _authorisation
from services.registry.store import Publication

ALERT = Alert("a", 7, Status.AWAITING_CONFIRMATION, Policy.CONFIRM_FIRST, True, 3, 1)
ASKED = Assignment("a-1", "unit", AssignmentStatus.DELIVERED, 1, 2)


# Alerts


def test_an_alert_that_waited_for_its_confirmation_is_told_to_the_office_again() -> None:
    change = after_restore(ALERT, actor="service:dispatch", now_ms=9)
    assert [event.kind for event in change.events] == [EventKind.CONFIRMATION_OVERDUE]
    assert (change.alert.status, change.alert.version) == (Status.AWAITING_CONFIRMATION, 8)


def test_an_alert_for_which_a_unit_was_asked_goes_to_the_supervisor() -> None:
    sent = replace(ALERT, status=Status.DISPATCHING, confirmed_by="person:a", assignments=(ASKED,))
    change = after_restore(sent, actor="service:dispatch", now_ms=9)
    assert [event.kind for event in change.events] == [
        EventKind.ASSIGNMENT_TIMED_OUT,
        EventKind.ESCALATED,
    ]
    assert change.alert.status is Status.ESCALATED
    assert change.alert.live_assignment is None
    assert change.events[-1].reason == Reason.RESTORED.value.english
    assert change.alert.escalated_reason == Reason.RESTORED.value


@pytest.mark.parametrize(
    "status", [Status.ACCEPTED, Status.ESCALATED, Status.CLOSED, Status.REJECTED, Status.CANCELLED]
)
def test_what_somebody_has_in_hand_or_is_over_stays_as_the_topic_has_it(status: Status) -> None:
    alert = replace(ALERT, status=status, confirmed_by="person:a")
    change = after_restore(alert, actor="service:dispatch", now_ms=9)
    assert (change.alert, change.events) == (alert, ())


# Authorisations


def authorisation(*devices: str, version: int = 4) -> Publication:
    value = CheckAuthorisation("right", LifeStatus.ACTIVE, devices, "law", "purpose", ("stolen",), 1, 2)
    return Publication(value, version, 5, wire.to_wire(value, version=version, active_from_ms=5))


def content(publication: Publication) -> CheckAuthorisation:
    assert isinstance(publication.resource, CheckAuthorisation)
    return publication.resource


def test_an_authorisation_that_no_device_carries_any_more_does_not_come_back() -> None:
    made = _authorisation(authorisation("a", "b"), None, {"a": False, "b": False})
    assert (content(made).status, made.version) == (LifeStatus.REMOVED, 5)


def test_it_ends_for_the_device_that_lost_it_and_stays_for_who_is_as_the_backup_has_him() -> None:
    made = _authorisation(authorisation("a", "b"), None, {"a": False})
    assert (content(made).status, content(made).device_ids) == (LifeStatus.ACTIVE, ("b",))


def test_one_that_the_backup_has_never_heard_of_is_as_the_device_carries_it() -> None:
    carried = authorisation("a", version=9).message.authorisation
    made = _authorisation(None, carried, {"a": True, "b": False})
    assert (made.version, made.active_from_ms, content(made).device_ids) == (9, 5, ("a",))


# The row of the audit log


@pytest.mark.parametrize("topics_kept", [True, False])
def test_a_restores_row_says_what_it_was_and_no_other_row_does(topics_kept: bool) -> None:
    restore = Restore("20261128T010203Z-0123abcd", 55, 7, topics_kept)
    subject, detail = subject_of(restore.backup_id), detail_of(restore)
    assert restore_of(action=RESTORED, subject=subject, detail=detail) == restore
    assert restore_of(action="Revoked", subject=subject, detail=detail) is None
    assert restore_of(action=RESTORED, subject=subject, detail=detail + " or so") is None


# Republishing


def test_a_topic_counts_as_compared_after_a_whole_comparison_that_began_later() -> None:
    answers: Iterator[Mapping[str, Compared]] = iter(
        [dict.fromkeys(COMPACTED_TOPICS, Compared(as_of, published=int(as_of))) for as_of in (5, 6, 7)]
    )
    found = wait_until_compared(lambda: next(answers), tell=lambda _: None, tick_seconds=0, since=6.5)
    assert {each.published for each in found.values()} == {7}


def test_a_topic_that_nobody_compares_is_named() -> None:
    with pytest.raises(Retry, match="matching"):
        wait_until_compared(dict, tell=lambda _: None, wait_seconds=0, tick_seconds=0)


def test_an_owners_metrics_are_read() -> None:
    page = (
        'alerthub_republished_total{topic="zones"} 3.0\n'
        'alerthub_topic_compared_as_of_seconds{topic="zones"} 12.5\n'
        'alerthub_topic_ahead_keys{topic="zones"} 1.0\n'
    )
    assert told_by(page) == {"zones": Compared(12.5, 3, 1)}
