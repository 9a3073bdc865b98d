"""What a patrol terminal's screen holds, from the hub's messages: pure, without clock and without I/O.

- An alert is applied once by id and version, and only a higher version changes it (C10).
- What was withdrawn, or is no longer this unit's, leaves the screen, and the screen says why (refusal 7).
- A terminal that has not heard the hub for ten seconds says that what it shows is no longer confirmed
  (refusal 7).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

from alerthub.api.v1.alert_pb2 import (
    ALERT_STATUS_ACCEPTED,
    ALERT_STATUS_CANCELLED,
    ALERT_STATUS_CLOSED,
    ALERT_STATUS_REJECTED,
    ASSIGNMENT_STATUS_ACCEPTED,
    ASSIGNMENT_STATUS_DELIVERED,
    ASSIGNMENT_STATUS_OFFERED,
    AlertStatus,
    AssignmentStatus,
)
from alerthub.api.v1.patrol_pb2 import AlertPush, HubMessage, Welcome
from alerthub.domain.texts import NO_TEXT, LocalizedText

UNCONFIRMED_AFTER_MS = 10_000
"""Two heartbeats of at most 5 s each missed: what is shown may have been withdrawn since."""

REMEMBERED_REMOVALS = 500
"""Alerts that left the screen whose version is still known, so that a late repeat does not bring them back.
"""

_ENDED = frozenset({ALERT_STATUS_CANCELLED, ALERT_STATUS_CLOSED, ALERT_STATUS_REJECTED})


class ChangeKind(Enum):
    """What a message did to the screen."""

    SHOWN = "alert_shown"
    UPDATED = "alert_updated"
    DETAILS_ADDED = "details_added"
    REMOVED = "alert_removed"


class RemovalReason(Enum):
    """Why an alert left the screen; the texts for people are the program's."""

    CANCELLED = "cancelled"
    CLOSED = "closed"
    REJECTED = "rejected"
    NOT_OURS = "not_ours"
    NO_LONGER_OPEN = "no_longer_open"


@dataclass(frozen=True, slots=True)
class ScreenChange:
    """One change of the screen. `push` is what the hub sent; for an alert that an ended snapshot left out,
    what was shown before."""

    kind: ChangeKind
    push: AlertPush
    removal: RemovalReason | None = None

    @property
    def alert_id(self) -> str:
        """The alert that changed."""
        return self.push.alert.alert_id

    @property
    def explanation(self) -> LocalizedText:
        """Why it was removed, where the hub said so; what a person typed is in one language."""
        alert = self.push.alert
        if alert.cancelled_reason:
            return LocalizedText(alert.cancelled_reason_chinese, alert.cancelled_reason)
        return LocalizedText(english=alert.rejected_reason)


@dataclass(frozen=True, slots=True)
class ScreenState:
    """What the screen holds. `versions` also knows alerts that left it, newest last."""

    alerts: Mapping[str, AlertPush] = field(default_factory=dict)
    versions: Mapping[str, int] = field(default_factory=dict)
    unit_id: str = ""
    officer: str = ""
    connected: bool = False
    catching_up: bool = True
    """What was missed is still arriving: until the first heartbeat, or the one that completes a snapshot."""
    confirmed_at_ms: int = 0
    """When the hub last stood by what is shown, by the terminal's clock; 0: never."""
    snapshot: frozenset[str] | None = None
    """While a snapshot arrives: the alerts that it named so far."""
    signed_off_reason: LocalizedText = NO_TEXT

    def confirmed(self, now_ms: int) -> bool:
        """Whether the hub stood by what is shown within the last ten seconds."""
        return self.confirmed_at_ms > 0 and now_ms - self.confirmed_at_ms < UNCONFIRMED_AFTER_MS


def assignment_status(push: AlertPush) -> AssignmentStatus.ValueType:
    """The state of this unit's assignment; unspecified when the alert does not name it."""
    for assignment in push.alert.assignments:
        if assignment.assignment_id == push.assignment_id:
            return assignment.status
    return AssignmentStatus.ASSIGNMENT_STATUS_UNSPECIFIED


def known_delivered(push: AlertPush) -> bool:
    """Whether the hub holds a receipt of this unit's assignment already."""
    return assignment_status(push) in (ASSIGNMENT_STATUS_DELIVERED, ASSIGNMENT_STATUS_ACCEPTED)


def awaits_answer(push: AlertPush) -> bool:
    """Whether the officer still has to accept or decline it."""
    return bool(push.assignment_id) and assignment_status(push) in (
        ASSIGNMENT_STATUS_OFFERED,
        ASSIGNMENT_STATUS_DELIVERED,
    )


def in_hand(push: AlertPush) -> bool:
    """Whether this unit accepted it and owes an outcome (refusal 9)."""
    return (
        push.alert.status == ALERT_STATUS_ACCEPTED and assignment_status(push) == ASSIGNMENT_STATUS_ACCEPTED
    )


def apply(
    state: ScreenState, message: HubMessage, now_ms: int
) -> tuple[ScreenState, tuple[ScreenChange, ...]]:
    """The screen after `message`, and what changed on it. `now_ms` is the terminal's clock."""
    changes: tuple[ScreenChange, ...] = ()
    match message.WhichOneof("message"):
        case "welcome":
            state = _welcomed(state, message.welcome)
        case "alert":
            state, changes = _pushed(state, message.alert)
        case "heartbeat":
            state, changes = _heartbeat(state, snapshot_complete=message.heartbeat.snapshot_complete)
        case "signed_off":
            signed_off = message.signed_off
            reason = LocalizedText(signed_off.reason_chinese, signed_off.reason)
            return replace(
                state, connected=False, catching_up=True, confirmed_at_ms=0, signed_off_reason=reason
            ), ()
    if state.connected and not state.catching_up:
        state = replace(state, confirmed_at_ms=now_ms)
    return state, changes


def disconnected(state: ScreenState) -> ScreenState:
    """The screen when the connection is lost: it stays as it is, unconfirmed; a half snapshot counts for
    nothing.
    """
    return replace(state, connected=False, catching_up=True, snapshot=None)


def _welcomed(state: ScreenState, welcome: Welcome) -> ScreenState:
    return replace(
        state,
        unit_id=welcome.unit_id,
        officer=welcome.officer,
        connected=True,
        catching_up=True,
        signed_off_reason=NO_TEXT,
        snapshot=frozenset[str]() if welcome.snapshot_follows else None,
    )


def _pushed(state: ScreenState, push: AlertPush) -> tuple[ScreenState, tuple[ScreenChange, ...]]:
    alert_id = push.alert.alert_id
    if state.snapshot is not None:
        state = replace(state, snapshot=state.snapshot | {alert_id})
    known = state.versions.get(alert_id, 0)
    shown = state.alerts.get(alert_id)
    if push.alert.version < known:
        return state, ()
    if push.alert.version == known:
        return _repeated(state, shown, push)
    removal = _removal(push)
    if removal is not None:
        state = _without(state, alert_id, push.alert.version)
        # Something that was never shown needs no word of its end.
        changes = () if shown is None else (ScreenChange(ChangeKind.REMOVED, push, removal),)
        return state, changes
    if shown is not None and not push.HasField("details") and shown.HasField("details"):
        push = _with_details_of(shown, push)
    kind = ChangeKind.SHOWN if shown is None else ChangeKind.UPDATED
    return _with(state, push), (ScreenChange(kind, push),)


def _repeated(
    state: ScreenState, shown: AlertPush | None, push: AlertPush
) -> tuple[ScreenState, tuple[ScreenChange, ...]]:
    """The version that is known already: only details that were missing are new."""
    if shown is None or shown.HasField("details") or not push.HasField("details"):
        return state, ()
    return _with(state, push), (ScreenChange(ChangeKind.DETAILS_ADDED, push),)


def _removal(push: AlertPush) -> RemovalReason | None:
    status = push.alert.status
    if status in _ENDED:
        return {
            ALERT_STATUS_CANCELLED: RemovalReason.CANCELLED,
            ALERT_STATUS_CLOSED: RemovalReason.CLOSED,
            ALERT_STATUS_REJECTED: RemovalReason.REJECTED,
        }[AlertStatus.ValueType(status)]
    return None if push.assignment_id else RemovalReason.NOT_OURS


def _with_details_of(shown: AlertPush, push: AlertPush) -> AlertPush:
    """An update that came without details keeps those on the screen: they were opened for this officer
    already.
    """
    merged = AlertPush()
    merged.CopyFrom(push)
    merged.details.CopyFrom(shown.details)
    merged.details_missing_reason = merged.details_missing_reason_chinese = ""
    if not merged.picture:
        merged.picture = shown.picture
    return merged


def _with(state: ScreenState, push: AlertPush) -> ScreenState:
    alert_id = push.alert.alert_id
    return replace(
        state,
        alerts={**state.alerts, alert_id: push},
        versions=_remember(state, alert_id, push.alert.version, state.alerts.keys() | {alert_id}),
    )


def _without(state: ScreenState, alert_id: str, version: int) -> ScreenState:
    alerts = {key: push for key, push in state.alerts.items() if key != alert_id}
    return replace(state, alerts=alerts, versions=_remember(state, alert_id, version, alerts.keys()))


def _remember(state: ScreenState, alert_id: str, version: int, shown: Collection[str]) -> dict[str, int]:
    versions = {key: value for key, value in state.versions.items() if key != alert_id}
    versions[alert_id] = version
    removed = [key for key in versions if key not in shown]
    for key in removed[: max(0, len(removed) - REMEMBERED_REMOVALS)]:
        del versions[key]
    return versions


def _heartbeat(
    state: ScreenState, *, snapshot_complete: bool
) -> tuple[ScreenState, tuple[ScreenChange, ...]]:
    if state.snapshot is None:
        return replace(state, catching_up=False), ()
    if not snapshot_complete:
        return state, ()
    changes = []
    for alert_id, push in state.alerts.items():
        if alert_id not in state.snapshot:
            changes.append(ScreenChange(ChangeKind.REMOVED, push, RemovalReason.NO_LONGER_OPEN))
    for change in changes:
        state = _without(state, change.alert_id, change.push.alert.version)
    return replace(state, snapshot=None, catching_up=False), tuple(changes)
