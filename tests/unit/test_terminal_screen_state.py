"""What a patrol terminal's screen holds."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from alerthub.api.v1.alert_pb2 import (
    ALERT_STATUS_ACCEPTED,
    ALERT_STATUS_CANCELLED,
    ALERT_STATUS_CLOSED,
    ALERT_STATUS_DISPATCHING,
    ASSIGNMENT_STATUS_ACCEPTED,
    ASSIGNMENT_STATUS_OFFERED,
    Alert,
    Assignment,
)
from alerthub.api.v1.patrol_pb2 import AlertPush, HubHeartbeat, HubMessage, SignedOff, Welcome
from alerthub.api.v1.watchlist_pb2 import OpenedDetails
from alerthub.domain.texts import LocalizedText
from alerthub.terminal.screen_state import (
    REMEMBERED_REMOVALS,
    UNCONFIRMED_AFTER_MS,
    ChangeKind,
    RemovalReason,
    ScreenState,
    apply,
    awaits_answer,
    disconnected,
    in_hand,
)

NOW = 1_780_000_000_000


def push(
    alert_id: str = "a1",
    version: int = 1,
    *,
    status: int = ALERT_STATUS_DISPATCHING,
    assignment_id: str = "s1",
    details: bool = False,
    cancelled_reason: str = "",
) -> HubMessage:
    alert = Alert(
        alert_id=alert_id,
        version=version,
        status=status,  # type: ignore[arg-type]
        cancelled_reason=cancelled_reason,
        assignments=[
            Assignment(
                assignment_id="s1",
                status=ASSIGNMENT_STATUS_ACCEPTED
                if status == ALERT_STATUS_ACCEPTED
                else ASSIGNMENT_STATUS_OFFERED,
            )
        ],
    )
    opened = OpenedDetails(make="sedan") if details else None
    return HubMessage(alert=AlertPush(alert=alert, assignment_id=assignment_id, details=opened))


def welcome(*, snapshot: bool) -> HubMessage:
    return HubMessage(welcome=Welcome(unit_id="u1", officer="li", snapshot_follows=snapshot))


def heartbeat(*, complete: bool = False) -> HubMessage:
    return HubMessage(heartbeat=HubHeartbeat(snapshot_complete=complete))


def after(*messages: HubMessage, state: ScreenState | None = None, now_ms: int = NOW) -> ScreenState:
    state = state or ScreenState()
    for message in messages:
        state, _ = apply(state, message, now_ms)
    return state


def test_an_alert_is_shown_once_by_id_and_version() -> None:
    state, first = apply(ScreenState(), push(version=3), NOW)
    state, second = apply(state, push(version=3), NOW)
    assert [change.kind for change in first] == [ChangeKind.SHOWN]
    assert second == ()
    assert list(state.alerts) == ["a1"]


def test_only_a_higher_version_changes_what_is_shown_c10() -> None:
    state = after(push(version=5))
    state, older = apply(state, push(version=4, status=ALERT_STATUS_CANCELLED), NOW)
    assert older == ()
    assert state.alerts["a1"].alert.version == 5


def test_a_cancelled_alert_leaves_the_screen_and_says_why() -> None:
    state = after(push(version=1))
    cancelled = push(version=2, status=ALERT_STATUS_CANCELLED, cancelled_reason="entry withdrawn")
    cancelled.alert.alert.cancelled_reason_chinese = "布控条目已撤销"
    state, changes = apply(state, cancelled, NOW)
    assert not state.alerts
    (change,) = changes
    assert change.removal is RemovalReason.CANCELLED
    assert change.explanation == LocalizedText("布控条目已撤销", "entry withdrawn")


def test_a_late_repeat_does_not_bring_a_cancelled_alert_back() -> None:
    state = after(push(version=1), push(version=2, status=ALERT_STATUS_CANCELLED), push(version=1))
    assert not state.alerts


def test_an_alert_that_another_unit_has_leaves_the_screen() -> None:
    state = after(push(version=1))
    state, (change,) = apply(state, push(version=2, assignment_id=""), NOW)
    assert not state.alerts
    assert change.removal is RemovalReason.NOT_OURS


def test_a_closed_alert_leaves_the_screen() -> None:
    _, (change,) = apply(after(push(version=1)), push(version=2, status=ALERT_STATUS_CLOSED), NOW)
    assert change.removal is RemovalReason.CLOSED


def test_the_end_of_an_alert_that_was_never_shown_is_not_told() -> None:
    _, changes = apply(ScreenState(), push(version=2, status=ALERT_STATUS_CANCELLED), NOW)
    assert changes == ()


def test_what_a_complete_snapshot_leaves_out_leaves_the_screen() -> None:
    state = after(push("kept"), push("gone"))
    state = after(welcome(snapshot=True), push("kept"), push("new"), state=state)
    state, changes = apply(state, heartbeat(complete=True), NOW)
    assert set(state.alerts) == {"kept", "new"}
    assert [(change.alert_id, change.removal) for change in changes] == [
        ("gone", RemovalReason.NO_LONGER_OPEN)
    ]


def test_half_a_snapshot_removes_nothing() -> None:
    state = after(push("shown"))
    state = disconnected(after(welcome(snapshot=True), state=state))
    state = after(welcome(snapshot=False), heartbeat(complete=True), state=state)
    assert set(state.alerts) == {"shown"}


def test_missing_details_are_added_when_the_same_version_comes_with_them() -> None:
    state, (change,) = apply(after(push(version=1)), push(version=1, details=True), NOW)
    assert change.kind is ChangeKind.DETAILS_ADDED
    assert state.alerts["a1"].details.make == "sedan"


def test_an_update_without_details_keeps_those_that_were_opened() -> None:
    state = after(push(version=1, details=True), push(version=2))
    assert state.alerts["a1"].details.make == "sedan"


def test_a_terminal_that_lost_the_hub_says_that_what_it_shows_is_no_longer_confirmed_refusal_7() -> None:
    state = disconnected(after(welcome(snapshot=False), heartbeat(), push()))
    assert state.confirmed(NOW + UNCONFIRMED_AFTER_MS - 1)
    assert not state.confirmed(NOW + UNCONFIRMED_AFTER_MS)


def test_a_silent_hub_is_as_good_as_none_refusal_7() -> None:
    state = after(welcome(snapshot=False), heartbeat())
    assert not state.confirmed(NOW + UNCONFIRMED_AFTER_MS)


def test_nothing_is_confirmed_before_what_was_missed_has_arrived() -> None:
    assert not after(welcome(snapshot=False), push()).confirmed(NOW)
    assert not after(welcome(snapshot=True), heartbeat(), push()).confirmed(NOW)
    assert after(welcome(snapshot=True), push(), heartbeat(complete=True)).confirmed(NOW)


def test_nothing_is_confirmed_once_the_hub_ended_the_session() -> None:
    signed_off = SignedOff(reason="revoked", reason_chinese="已吊销")
    state = after(welcome(snapshot=False), heartbeat(), HubMessage(signed_off=signed_off))
    assert not state.confirmed(NOW)
    assert state.signed_off_reason == LocalizedText("已吊销", "revoked")


def test_an_offered_alert_awaits_an_answer_and_an_accepted_one_an_outcome() -> None:
    offered = push(version=1).alert
    accepted = push(version=2, status=ALERT_STATUS_ACCEPTED).alert
    assert (awaits_answer(offered), in_hand(offered)) == (True, False)
    assert (awaits_answer(accepted), in_hand(accepted)) == (False, True)


def test_the_memory_of_removed_alerts_is_bounded() -> None:
    state = after(push("open"))
    for number in range(REMEMBERED_REMOVALS + 50):
        state = after(
            push(f"n{number}", 1), push(f"n{number}", 2, status=ALERT_STATUS_CANCELLED), state=state
        )
    assert len(state.versions) == REMEMBERED_REMOVALS + 1
    assert "open" in state.versions


_LIVES = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(1, 6), st.booleans(), st.booleans()), max_size=40
)


@given(_LIVES, st.randoms(use_true_random=False))
def test_any_order_and_any_repeats_end_in_the_newest_version(
    life: list[tuple[str, int, bool, bool]], shuffle: random.Random
) -> None:
    # One content per alert and version, as the hub has it; the last one drawn wins.
    truth = {(alert, version): (ended, ours) for alert, version, ended, ours in life}
    messages = [
        push(
            alert,
            version,
            status=ALERT_STATUS_CANCELLED if ended else ALERT_STATUS_DISPATCHING,
            assignment_id="s1" if ours else "",
        )
        for (alert, version), (ended, ours) in truth.items()
    ] * 2
    shuffle.shuffle(messages)

    state = after(*messages)

    newest = {alert: max(v for a, v in truth if a == alert) for alert, _ in truth}
    expected = {alert: version for alert, version in newest.items() if truth[alert, version] == (False, True)}
    assert {alert: shown.alert.version for alert, shown in state.alerts.items()} == expected
