"""Between the domain's alert and the messages of the wire."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from alerthub.api.v1 import alert_pb2, common_pb2, observation_pb2
from alerthub.domain import alerts as domain
from alerthub.domain.alerts import AssignmentStatus, EventKind, OutcomeKind, Policy, Status
from alerthub.domain.routing import Place

STATUS = {
    Status.AWAITING_CONFIRMATION: alert_pb2.ALERT_STATUS_AWAITING_CONFIRMATION,
    Status.DISPATCHING: alert_pb2.ALERT_STATUS_DISPATCHING,
    Status.ACCEPTED: alert_pb2.ALERT_STATUS_ACCEPTED,
    Status.ESCALATED: alert_pb2.ALERT_STATUS_ESCALATED,
    Status.CLOSED: alert_pb2.ALERT_STATUS_CLOSED,
    Status.REJECTED: alert_pb2.ALERT_STATUS_REJECTED,
    Status.CANCELLED: alert_pb2.ALERT_STATUS_CANCELLED,
}
STATUS_OF_WIRE = {wire: status for status, wire in STATUS.items()}
_ASSIGNMENT_STATUS = {
    AssignmentStatus.OFFERED: alert_pb2.ASSIGNMENT_STATUS_OFFERED,
    AssignmentStatus.DELIVERED: alert_pb2.ASSIGNMENT_STATUS_DELIVERED,
    AssignmentStatus.ACCEPTED: alert_pb2.ASSIGNMENT_STATUS_ACCEPTED,
    AssignmentStatus.DECLINED: alert_pb2.ASSIGNMENT_STATUS_DECLINED,
    AssignmentStatus.TIMED_OUT: alert_pb2.ASSIGNMENT_STATUS_TIMED_OUT,
    AssignmentStatus.SUPERSEDED: alert_pb2.ASSIGNMENT_STATUS_SUPERSEDED,
    AssignmentStatus.CANCELLED: alert_pb2.ASSIGNMENT_STATUS_CANCELLED,
}
ASSIGNMENT_STATUS_OF_WIRE = {wire: status for status, wire in _ASSIGNMENT_STATUS.items()}
_KIND = {
    EventKind.OPENED: alert_pb2.ALERT_EVENT_KIND_OPENED,
    EventKind.SIGHTING_ADDED: alert_pb2.ALERT_EVENT_KIND_SIGHTING_ADDED,
    EventKind.CONFIRMED: alert_pb2.ALERT_EVENT_KIND_CONFIRMED,
    EventKind.REJECTED: alert_pb2.ALERT_EVENT_KIND_REJECTED,
    EventKind.UNIT_ASSIGNED: alert_pb2.ALERT_EVENT_KIND_UNIT_ASSIGNED,
    EventKind.DELIVERED: alert_pb2.ALERT_EVENT_KIND_DELIVERED,
    EventKind.ACCEPTED: alert_pb2.ALERT_EVENT_KIND_ACCEPTED,
    EventKind.DECLINED: alert_pb2.ALERT_EVENT_KIND_DECLINED,
    EventKind.ASSIGNMENT_TIMED_OUT: alert_pb2.ALERT_EVENT_KIND_ASSIGNMENT_TIMED_OUT,
    EventKind.ESCALATED: alert_pb2.ALERT_EVENT_KIND_ESCALATED,
    EventKind.CANCELLED: alert_pb2.ALERT_EVENT_KIND_CANCELLED,
    EventKind.OUTCOME_RECORDED: alert_pb2.ALERT_EVENT_KIND_OUTCOME_RECORDED,
    EventKind.CONFIRMATION_OVERDUE: alert_pb2.ALERT_EVENT_KIND_CONFIRMATION_OVERDUE,
    EventKind.EVIDENCE_SEALED: alert_pb2.ALERT_EVENT_KIND_EVIDENCE_SEALED,
}
_OUTCOME = {
    OutcomeKind.FOUND: alert_pb2.OUTCOME_FOUND,
    OutcomeKind.MISREAD: alert_pb2.OUTCOME_MISREAD,
    OutcomeKind.ENTRY_WRONG: alert_pb2.OUTCOME_ENTRY_WRONG,
    OutcomeKind.NOT_FOUND: alert_pb2.OUTCOME_NOT_FOUND,
    OutcomeKind.OTHER: alert_pb2.OUTCOME_OTHER,
}
OUTCOME_OF_WIRE = {wire: outcome for outcome, wire in _OUTCOME.items()}
_POLICY = {
    Policy.CONFIRM_FIRST: common_pb2.DISPATCH_POLICY_CONFIRM_FIRST,
    Policy.SEND_AT_ONCE: common_pb2.DISPATCH_POLICY_SEND_AT_ONCE,
}
NEWEST_SIGHTINGS = 20
"""How many sightings an alert carries on the wire."""


def policy_of_wire(policy: int) -> Policy:
    """What is not said is confirmed first."""
    at_once = policy == common_pb2.DISPATCH_POLICY_SEND_AT_ONCE
    return Policy.SEND_AT_ONCE if at_once else Policy.CONFIRM_FIRST


@dataclass(frozen=True, slots=True)
class Facts:
    """What an alert was raised with, and what never changes."""

    fold_key: str
    rule_id: str
    rule_version: int
    rule_kind: int
    unit_kind: str
    officer_text_chinese: str
    officer_text_english: str
    jurisdiction: str
    district: str
    entry_id: str
    entry_version: int
    category: str
    device_id: str
    basis_raised_id: bytes
    basis_token: bytes
    latitude: float | None
    longitude: float | None
    cooldown_ms: int

    @property
    def place(self) -> Place | None:
        """Where it happened, if the device's place is known."""
        if self.latitude is None or self.longitude is None:
            return None
        return Place(self.latitude, self.longitude)


def alert_message(
    facts: Facts, alert: domain.Alert, sightings: Iterable[alert_pb2.Sighting]
) -> alert_pb2.Alert:
    """The alert without identifying data; `sightings` oldest first."""
    return alert_pb2.Alert(
        alert_id=alert.alert_id,
        version=alert.version,
        status=STATUS[alert.status],
        rule_id=facts.rule_id,
        rule_version=facts.rule_version,
        rule_kind=facts.rule_kind,  # type: ignore[arg-type]
        fold_key=public_fold_key(facts),
        severity=alert.severity,  # type: ignore[arg-type]
        policy=_POLICY[alert.policy],
        unit_kind=facts.unit_kind,
        officer_text=common_pb2.LocalizedText(
            chinese=facts.officer_text_chinese, english=facts.officer_text_english
        ),
        jurisdiction=facts.jurisdiction,
        district=facts.district,
        entry_id=facts.entry_id,
        entry_version=facts.entry_version,
        category=facts.category,
        names_person=alert.names_person,
        sightings=sightings,
        assignments=[_assignment_message(assignment) for assignment in alert.assignments],
        confirmed_by=alert.confirmed_by,
        confirmed_at_ms=alert.confirmed_at_ms,
        rejected_reason=alert.rejected_reason,
        cancelled_reason=alert.cancelled_reason.english,
        cancelled_reason_chinese=alert.cancelled_reason.chinese,
        escalated_at_ms=alert.escalated_at_ms,
        escalated_reason=alert.escalated_reason.english,
        escalated_reason_chinese=alert.escalated_reason.chinese,
        outcome=_OUTCOME[alert.outcome] if alert.outcome else alert_pb2.OUTCOME_UNSPECIFIED,
        opened_at_ms=alert.opened_at_ms,
        closed_at_ms=alert.closed_at_ms,
        call_by_radio=alert.call_by_radio,
        sighting_count=alert.sighting_count,
        supervisor_required=alert.supervisor_required,
    )


def public_fold_key(facts: Facts) -> str:
    """The fold key, the subject of a rule (which may be a token) hashed: alerts of one subject still share
    it."""
    if facts.entry_id:
        return facts.fold_key
    return f"rule:{facts.rule_id}:{hashlib.blake2b(facts.fold_key.encode(), digest_size=8).hexdigest()}"


def _assignment_message(assignment: domain.Assignment) -> alert_pb2.Assignment:
    return alert_pb2.Assignment(
        assignment_id=assignment.assignment_id,
        unit_id=assignment.unit_id,
        status=_ASSIGNMENT_STATUS[assignment.status],
        offered_at_ms=assignment.offered_at_ms,
        delivered_at_ms=assignment.delivered_at_ms,
        answered_at_ms=assignment.answered_at_ms,
        reasons=[each.english for each in assignment.reasons],
        reasons_chinese=[each.chinese for each in assignment.reasons],
        by_voice=assignment.by_voice,
        officer=assignment.officer,
    )


def event_message(event: domain.Event, alert: alert_pb2.Alert) -> alert_pb2.AlertEvent:
    """The value of `alert-events`."""
    return alert_pb2.AlertEvent(
        kind=_KIND[event.kind],
        alert=alert,
        occurred_at_ms=event.at_ms,
        actor=event.actor,
        reason=event.reason,
        reason_chinese=event.reason_chinese,
    )


def hit_identifier(raised: alert_pb2.AlertRaised) -> observation_pb2.BlindedIdentifier | None:
    """The identifier that hit; None where a zone rule fired or the index is none of the observation's."""
    if raised.WhichOneof("match") != "watchlist":
        return None
    index = raised.watchlist.identifier_index
    identifiers = raised.observation.identifiers
    return identifiers[index] if index < len(identifiers) else None


def sighting_message(raised: alert_pb2.AlertRaised, now_ms: int) -> alert_pb2.Sighting:
    """The sighting that a rule's firing is, without tokens and without what is sealed."""
    seen = raised.observation
    return alert_pb2.Sighting(
        raised_id=raised.raised_id,
        observation_id=seen.observation_id,
        device_id=seen.device_id,
        position=seen.position if seen.HasField("position") else None,
        direction=seen.direction,
        lane=seen.lane,
        device_time_ms=seen.device_time_ms,
        corrected_time_ms=seen.corrected_time_ms,
        received_time_ms=seen.received_time_ms,
        correlated_time_ms=raised.correlated_time_ms,
        inserted_time_ms=now_ms,
        read_confidence=seen.read_confidence,
        clock_uncertainty_ms=seen.clock_uncertainty_ms,
        authentication_class=seen.authentication_class,
        mask=raised.watchlist.mask if raised.WhichOneof("match") == "watchlist" else "",
        cloned_plate=raised.cloned_plate if raised.HasField("cloned_plate") else None,
    )
