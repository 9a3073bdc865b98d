"""What a terminal is told of an alert."""

from __future__ import annotations

import pytest

from alerthub.alert_events import decode_token, encode_token
from alerthub.api.v1 import alert_pb2, common_pb2
from services.push.cards import UnconfirmedError, card_for, common_alert, read_age_ms


def alert(**fields: object) -> alert_pb2.Alert:
    values: dict[str, object] = {
        "alert_id": "a1",
        "version": 4,
        "status": alert_pb2.ALERT_STATUS_DISPATCHING,
        "policy": common_pb2.DISPATCH_POLICY_SEND_AT_ONCE,
        "assignments": [
            alert_pb2.Assignment(
                assignment_id="a1-1", unit_id="u1", status=alert_pb2.ASSIGNMENT_STATUS_TIMED_OUT, officer="li"
            ),
            alert_pb2.Assignment(
                assignment_id="a1-2", unit_id="u2", status=alert_pb2.ASSIGNMENT_STATUS_OFFERED
            ),
        ],
        "sightings": [
            alert_pb2.Sighting(device_id="d1", received_time_ms=1_000),
            alert_pb2.Sighting(device_id="d2", received_time_ms=5_000, needs_confirmation=True),
        ],
    }
    return alert_pb2.Alert(**(values | fields))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "unconfirmed",
    [
        alert(names_person=True, policy=common_pb2.DISPATCH_POLICY_SEND_AT_ONCE),
        alert(policy=common_pb2.DISPATCH_POLICY_CONFIRM_FIRST),
        alert(policy=common_pb2.DISPATCH_POLICY_UNSPECIFIED),
    ],
    ids=["person", "confirm first", "not said"],
)
def test_refusal_6_push_refuses_an_alert_that_nobody_confirmed(unconfirmed: alert_pb2.Alert) -> None:
    with pytest.raises(UnconfirmedError):
        card_for(unconfirmed, "u2")


def test_a_confirmed_person_alert_is_shown() -> None:
    card = card_for(alert(names_person=True, confirmed_by="person:li"), "u2")
    assert card is not None
    assert (card.shown, card.assignment_id) == (True, "a1-2")


def test_c6_a_sighting_that_needs_its_own_confirmation_is_not_shown() -> None:
    assert [each.device_id for each in common_alert(alert(), shown=True).sightings] == ["d1"]


def test_the_parts_of_other_units_are_not_shown() -> None:
    card = card_for(alert(), "u2")
    assert card is not None
    assert [each.unit_id for each in card.assignments] == ["u2"]
    assert not common_alert(alert(), shown=True).assignments


def test_a_unit_that_no_longer_has_it_is_told_no_more_than_that() -> None:
    card = card_for(alert(), "u1")
    assert card is not None
    assert (card.shown, card.assignment_id) == (False, "")
    told = {field.name for field, _ in common_alert(alert(), shown=card.shown).ListFields()}
    assert told == {"alert_id", "version", "status"}


def test_refusal_7_a_cancelled_alert_leaves_the_screen_and_says_why() -> None:
    cancelled = alert(
        status=alert_pb2.ALERT_STATUS_CANCELLED,
        cancelled_reason="withdrawn",
        cancelled_reason_chinese="已撤销",
    )
    card = card_for(cancelled, "u2")
    assert card is not None
    assert not card.shown
    told = common_alert(cancelled, shown=False)
    assert (told.cancelled_reason, told.cancelled_reason_chinese) == ("withdrawn", "已撤销")


def test_a_unit_without_a_part_in_it_is_told_nothing() -> None:
    assert card_for(alert(), "u3") is None


def test_the_age_of_the_newest_read() -> None:
    assert read_age_ms(5_000, 7_000) == 2_000
    assert read_age_ms(0, 7_000) == 0


def test_a_resume_token_is_read_back() -> None:
    assert decode_token(encode_token("abc", {0: 5, 1: 7})) == ("abc", {0: 5, 1: 7})


@pytest.mark.parametrize("text", ["", "abc", "abc.x-1", "abc.1", "abc.1-x", ".0-1", "abc.0-" + "9" * 20])
def test_what_is_no_resume_token_is_none(text: str) -> None:
    assert decode_token(text) is None
