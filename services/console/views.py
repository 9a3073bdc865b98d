"""Alerts, devices, zones and units as the page is told of them. Pure; no identifier has a place here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from alerthub.api.v1 import access_pb2, alert_pb2, common_pb2, observation_pb2, registry_pb2
from alerthub.domain import alerts as domain
from alerthub.domain.checklists import Subject, checklist
from alerthub.domain.texts import LocalizedText
from services.console import map_models, models, vocabulary
from services.console.vocabulary import Action, LifeEventKind

ROLES = {access_pb2.Role.Value(f"ROLE_{role.name}"): role for role in vocabulary.Role}
STATUSES = {
    alert_pb2.AlertStatus.Value(f"ALERT_STATUS_{status.name}"): status for status in vocabulary.AlertStatus
}
STATUS_VALUES = {status: value for value, status in STATUSES.items()}
OPEN_STATUSES = tuple(vocabulary.AlertStatus(status.value) for status in sorted(domain.OPEN_STATUSES))
_SEVERITIES = {common_pb2.Severity.Value(f"SEVERITY_{each.name}"): each for each in vocabulary.Severity}
_RULE_KINDS = {
    registry_pb2.RULE_KIND_WATCHLIST_HIT: vocabulary.RuleKind.WATCHLIST_HIT,
    registry_pb2.RULE_KIND_DWELL: vocabulary.RuleKind.DWELL,
    registry_pb2.RULE_KIND_DIRECT_CALL: vocabulary.RuleKind.DIRECT_CALL,
    registry_pb2.RULE_KIND_CLONED_PLATE: vocabulary.RuleKind.CLONED_PLATE,
}
_AUTHENTICATION = {
    common_pb2.AUTHENTICATION_CLASS_CERTIFICATE: vocabulary.AuthenticationClass.CERTIFICATE,
    common_pb2.AUTHENTICATION_CLASS_PASSWORD_OVER_TLS: vocabulary.AuthenticationClass.PASSWORD_OVER_TLS,
    common_pb2.AUTHENTICATION_CLASS_URL_TOKEN: vocabulary.AuthenticationClass.URL_TOKEN,
    common_pb2.AUTHENTICATION_CLASS_NETWORK_ONLY: vocabulary.AuthenticationClass.NETWORK_ONLY,
}
_ASSIGNMENTS = {
    alert_pb2.AssignmentStatus.Value(f"ASSIGNMENT_STATUS_{each.name}"): each
    for each in vocabulary.AssignmentStatus
}
_LIVE = frozenset(
    {
        vocabulary.AssignmentStatus.OFFERED,
        vocabulary.AssignmentStatus.DELIVERED,
        vocabulary.AssignmentStatus.ACCEPTED,
    }
)
_OUTCOMES = {alert_pb2.Outcome.Value(f"OUTCOME_{each.name}"): each for each in vocabulary.Outcome}
_DIRECTIONS = {
    observation_pb2.DIRECTION_APPROACHING: vocabulary.Direction.APPROACHING,
    observation_pb2.DIRECTION_DEPARTING: vocabulary.Direction.DEPARTING,
}
_ZONE_KINDS = {registry_pb2.ZoneKind.Value(f"ZONE_KIND_{each.name}"): each for each in map_models.ZoneKind}
_SUPERVISOR = access_pb2.ROLE_SUPERVISOR


def roles_of_wire(roles: Iterable[int]) -> list[vocabulary.Role]:
    return sorted(ROLES[role] for role in roles if role in ROLES)  # type: ignore[index]


def text_of(text: common_pb2.LocalizedText) -> models.LocalizedText:
    return models.LocalizedText(chinese=text.chinese, english=text.english)


def position_of(position: common_pb2.Position) -> models.Position:
    return models.Position(latitude=position.latitude, longitude=position.longitude)


def because_of(kind: alert_pb2.AlertEventKind.ValueType) -> str:
    """What happened, in lower case; empty for a kind that this version does not know."""
    known = alert_pb2.AlertEventKind.values()
    name = alert_pb2.AlertEventKind.Name(kind) if kind in known else ""
    return name.removeprefix("ALERT_EVENT_KIND_").lower().replace("unspecified", "")


def summary_of(alert: alert_pb2.Alert) -> models.AlertSummary:
    """A line of the feed."""
    status = STATUSES.get(alert.status, vocabulary.AlertStatus.CLOSED)
    newest = alert.sightings[-1] if alert.sightings else None
    live = next(
        (each for each in reversed(alert.assignments) if _ASSIGNMENTS.get(each.status) in _LIVE), None
    )
    return models.AlertSummary(
        alert_id=alert.alert_id,
        version=alert.version,
        status=status,
        open=status in OPEN_STATUSES,
        severity=_SEVERITIES.get(alert.severity, vocabulary.Severity.INFORMATION),
        policy=(
            vocabulary.DispatchPolicy.SEND_AT_ONCE
            if alert.policy == common_pb2.DISPATCH_POLICY_SEND_AT_ONCE
            else vocabulary.DispatchPolicy.CONFIRM_FIRST
        ),
        rule_id=alert.rule_id,
        rule_kind=_RULE_KINDS.get(alert.rule_kind, vocabulary.RuleKind.OTHER),
        category=alert.category,
        names_person=alert.names_person,
        text=text_of(alert.officer_text),
        jurisdiction=alert.jurisdiction,
        district=alert.district,
        opened_at_ms=alert.opened_at_ms,
        closed_at_ms=alert.closed_at_ms or None,
        sighting_count=alert.sighting_count,
        sightings_to_confirm=sum(each.needs_confirmation for each in alert.sightings),
        newest_read_ms=newest.received_time_ms if newest is not None else None,
        device_id=newest.device_id if newest is not None and newest.device_id else None,
        position=(
            position_of(newest.position) if newest is not None and newest.HasField("position") else None
        ),
        has_picture=any(each.has_picture for each in alert.sightings),
        supervisor_required=alert.supervisor_required,
        call_by_radio=alert.call_by_radio,
        unit_id=live.unit_id if live is not None else None,
        assignment_status=_ASSIGNMENTS[live.status] if live is not None else None,
        outcome=_OUTCOMES.get(alert.outcome),
    )


def card_of(
    alert: alert_pb2.Alert, *, evidence_missing: LocalizedText, has_evidence: bool, roles: frozenset[int]
) -> models.AlertCard:
    """All that is known of the alert, and what a person with these roles may do with it now."""
    return models.AlertCard(
        summary=summary_of(alert),
        rule_version=alert.rule_version,
        entry_id=alert.entry_id or None,
        entry_version=alert.entry_version if alert.entry_id else None,
        unit_kind=alert.unit_kind,
        confirmed_by=alert.confirmed_by,
        confirmed_at_ms=alert.confirmed_at_ms or None,
        rejected_reason=alert.rejected_reason,
        cancelled_reason=alert.cancelled_reason,
        cancelled_reason_chinese=alert.cancelled_reason_chinese,
        escalated_reason=alert.escalated_reason,
        escalated_reason_chinese=alert.escalated_reason_chinese,
        sightings=[_sighting_of(each) for each in reversed(alert.sightings)],
        assignments=[_assignment_of(each) for each in alert.assignments],
        life=life_of(alert),
        checklist=checklist_of(alert),
        actions=actions_of(alert, has_evidence=has_evidence, roles=roles),
        evidence_missing_reason=evidence_missing.english,
        evidence_missing_reason_chinese=evidence_missing.chinese,
    )


def checklist_of(alert: alert_pb2.Alert) -> list[models.ChecklistItem]:
    """What is to be compared before this alert is confirmed."""
    return [
        models.ChecklistItem(
            item=each.item, text=models.LocalizedText(chinese=each.chinese, english=each.english)
        )
        for each in checklist(subject_of(alert))
    ]


def subject_of(alert: alert_pb2.Alert) -> Subject:
    """What a checklist is made for."""
    return Subject(
        kind=_RULE_KINDS.get(alert.rule_kind, vocabulary.RuleKind.OTHER).value,
        names_person=alert.names_person,
        has_picture=any(each.has_picture for each in alert.sightings),
        weakly_authenticated=any(
            each.authentication_class
            in (common_pb2.AUTHENTICATION_CLASS_URL_TOKEN, common_pb2.AUTHENTICATION_CLASS_NETWORK_ONLY)
            for each in alert.sightings
        ),
    )


def actions_of(alert: alert_pb2.Alert, *, has_evidence: bool, roles: frozenset[int]) -> list[Action]:
    """What the page offers. The services decide again."""
    status = STATUSES.get(alert.status)
    found = [Action.OPEN] if has_evidence else []
    if status not in OPEN_STATUSES:
        return found
    waits = status is vocabulary.AlertStatus.AWAITING_CONFIRMATION
    needs_supervisor = alert.supervisor_required or (
        alert.names_person and not any(each.has_picture for each in alert.sightings)
    )
    to_confirm = waits or any(each.needs_confirmation for each in alert.sightings)
    if to_confirm and (not needs_supervisor or _SUPERVISOR in roles):
        found.append(Action.CONFIRM)
    if status is not vocabulary.AlertStatus.ACCEPTED:
        found.append(Action.REJECT)
    if not waits:
        found.append(Action.DISPATCH)
        if any(_ASSIGNMENTS.get(each.status) in _LIVE for each in alert.assignments):
            found.append(Action.ACKNOWLEDGE_BY_VOICE)
    return found


def _sighting_of(sighting: alert_pb2.Sighting) -> models.Sighting:
    return models.Sighting(
        raised_id=sighting.raised_id.hex(),
        device_id=sighting.device_id,
        position=position_of(sighting.position) if sighting.HasField("position") else None,
        direction=_DIRECTIONS.get(sighting.direction),
        lane=sighting.lane or None,
        device_time_ms=sighting.device_time_ms,
        corrected_time_ms=sighting.corrected_time_ms,
        received_time_ms=sighting.received_time_ms,
        correlated_time_ms=sighting.correlated_time_ms,
        inserted_time_ms=sighting.inserted_time_ms,
        mask=sighting.mask or None,
        read_confidence=round(sighting.read_confidence, 4) or None,
        clock_uncertainty_ms=sighting.clock_uncertainty_ms,
        authentication_class=_AUTHENTICATION.get(
            sighting.authentication_class, vocabulary.AuthenticationClass.UNKNOWN
        ),
        needs_confirmation=sighting.needs_confirmation,
        has_picture=sighting.has_picture,
        picture_missing_reason=sighting.picture_missing_reason,
        picture_missing_reason_chinese=sighting.picture_missing_reason_chinese,
        other_place=_other_place_of(sighting.cloned_plate) if sighting.HasField("cloned_plate") else None,
    )


def _other_place_of(match: alert_pb2.ClonedPlateMatch) -> models.OtherPlace:
    return models.OtherPlace(
        device_id=match.other_device_id,
        position=position_of(match.other_position),
        corrected_time_ms=match.other_time_ms,
        clock_uncertainty_ms=match.other_clock_uncertainty_ms,
        distance_metres=round(match.distance_metres),
        speed_kmh=match.speed_kmh,
        maximum_speed_kmh=match.maximum_speed_kmh,
    )


def _assignment_of(assignment: alert_pb2.Assignment) -> models.Assignment:
    status = _ASSIGNMENTS.get(assignment.status, vocabulary.AssignmentStatus.OFFERED)
    return models.Assignment(
        assignment_id=assignment.assignment_id,
        unit_id=assignment.unit_id,
        status=status,
        live=status in _LIVE,
        offered_at_ms=assignment.offered_at_ms,
        delivered_at_ms=assignment.delivered_at_ms or None,
        answered_at_ms=assignment.answered_at_ms or None,
        reasons=list(assignment.reasons),
        reasons_chinese=list(assignment.reasons_chinese),
        by_voice=assignment.by_voice,
        officer=assignment.officer,
    )


_ANSWERS = {
    vocabulary.AssignmentStatus.ACCEPTED: LifeEventKind.ACCEPTED,
    vocabulary.AssignmentStatus.DECLINED: LifeEventKind.DECLINED,
    vocabulary.AssignmentStatus.TIMED_OUT: LifeEventKind.TIMED_OUT,
    vocabulary.AssignmentStatus.SUPERSEDED: LifeEventKind.SUPERSEDED,
    vocabulary.AssignmentStatus.CANCELLED: LifeEventKind.SUPERSEDED,
}
_ENDS = {
    vocabulary.AlertStatus.CLOSED: LifeEventKind.CLOSED,
    vocabulary.AlertStatus.REJECTED: LifeEventKind.REJECTED,
    vocabulary.AlertStatus.CANCELLED: LifeEventKind.CANCELLED,
}


def life_of(alert: alert_pb2.Alert) -> list[models.LifeEvent]:
    """What happened to the alert, oldest first, from the times that it carries."""
    found: list[models.LifeEvent] = []

    def note(
        at_ms: int, kind: LifeEventKind, who: str = "", detail: str = "", detail_chinese: str = ""
    ) -> None:
        if at_ms:
            event = models.LifeEvent(
                at_ms=at_ms, kind=kind, who=who, detail=detail, detail_chinese=detail_chinese
            )
            found.append(event)

    note(alert.opened_at_ms, LifeEventKind.OPENED, detail=alert.rule_id)
    for sighting in alert.sightings:
        note(sighting.inserted_time_ms, LifeEventKind.SIGHTING, who=sighting.device_id)
    note(alert.confirmed_at_ms, LifeEventKind.CONFIRMED, who=alert.confirmed_by)
    for assignment in alert.assignments:
        unit = assignment.unit_id
        first = ("".join(assignment.reasons[:1]), "".join(assignment.reasons_chinese[:1]))
        note(assignment.offered_at_ms, LifeEventKind.UNIT_ASSIGNED, unit, *first)
        note(assignment.delivered_at_ms, LifeEventKind.DELIVERED, unit)
        answered = _ANSWERS.get(_ASSIGNMENTS.get(assignment.status, vocabulary.AssignmentStatus.OFFERED))
        if answered is not None:
            note(assignment.answered_at_ms, answered, unit, assignment.officer)
    nobody = (alert.escalated_reason, alert.escalated_reason_chinese)
    note(alert.escalated_at_ms, LifeEventKind.ESCALATED, "", *nobody)
    end = _ENDS.get(STATUSES.get(alert.status, vocabulary.AlertStatus.DISPATCHING))
    if end is not None:
        why = alert.rejected_reason or alert.cancelled_reason
        if not why and alert.outcome in _OUTCOMES:
            why = _OUTCOMES[alert.outcome].value
        note(alert.closed_at_ms, end, detail=why, detail_chinese=alert.cancelled_reason_chinese)
    return sorted(found, key=lambda each: each.at_ms)


def candidate_of(unit: alert_pb2.RankedUnit, *, time_ms: int) -> models.UnitCandidate:
    return models.UnitCandidate(
        unit_id=unit.unit_id,
        distance_metres=round(unit.distance_metres) if unit.HasField("distance_metres") else None,
        position_age_ms=max(0, time_ms - unit.position_time_ms) if unit.position_time_ms else None,
        alerts_in_hand=unit.alerts_in_hand,
        alerts_this_shift=unit.alerts_this_shift,
        reachable=unit.reachable,
        asked_before=unit.asked_before,
        reasons=list(unit.reasons),
        reasons_chinese=list(unit.reasons_chinese),
    )


def map_device_of(device: registry_pb2.Device, *, silent: frozenset[str]) -> map_models.MapDevice:
    suspended = device.status == registry_pb2.LIFE_STATUS_SUSPENDED
    return map_models.MapDevice(
        device_id=device.device_id,
        name=device.name,
        state=map_models.DeviceState.SUSPENDED if suspended else map_models.DeviceState.ACTIVE,
        watched=not suspended and device.district not in silent,
        district=device.district,
        jurisdiction=device.jurisdiction,
        position=position_of(device.position),
        authentication_class=_AUTHENTICATION.get(
            device.authentication_class, vocabulary.AuthenticationClass.UNKNOWN
        ),
    )


def zone_feature_of(zone: registry_pb2.Zone) -> map_models.ZoneFeature:
    """GeoJSON: longitude first, the ring closed."""
    ring = [(corner.longitude, corner.latitude) for corner in zone.ring]
    if ring and ring[0] != ring[-1]:
        ring.append(ring[0])
    return map_models.ZoneFeature(
        id=zone.zone_id,
        geometry=map_models.Polygon(coordinates=[ring]),
        properties=map_models.ZoneProperties(
            zone_id=zone.zone_id,
            kind=_ZONE_KINDS.get(zone.kind, map_models.ZoneKind.AREA),
            name=text_of(zone.name),
            jurisdiction=zone.jurisdiction,
        ),
    )


def map_unit_of(unit: alert_pb2.LocatedUnit, *, time_ms: int) -> map_models.MapUnit:
    return map_models.MapUnit(
        unit_id=unit.unit_id,
        unit_kind=unit.unit_kind,
        position=position_of(unit.position),
        position_age_ms=max(0, time_ms - unit.position_time_ms) if unit.position_time_ms else None,
        on_shift=unit.on_shift,
        alerts_in_hand=unit.alerts_in_hand,
        reachable=unit.reachable,
    )


def map_alerts_of(alerts: Sequence[alert_pb2.Alert]) -> list[map_models.MapAlert]:
    """Those that have a place."""
    summaries = [summary_of(alert) for alert in alerts]
    return [
        map_models.MapAlert(
            alert_id=each.alert_id, status=each.status, severity=each.severity, position=each.position
        )
        for each in summaries
        if each.position is not None
    ]
