"""A database that was restored is older than `alert-events`: what the topic knows newer is taken over (C19).

It happens before dispatch takes, publishes or answers anything, and only in the state *restored*, which the
audit log tells of: the topic keeps a week, and is read whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from alerthub import restored
from alerthub.alert_events import TOPIC
from alerthub.api.v1 import alert_pb2
from alerthub.domain import alerts as domain
from alerthub.domain.alert_life import cancel
from alerthub.domain.alert_restore import after_restore
from alerthub.domain.canary import is_canary
from alerthub.domain.reasons import Reason, reason_of, reasons_of
from alerthub.domain.texts import LocalizedText
from alerthub.evidence import EvidenceStore
from alerthub.postgres import sql, transaction
from alerthub.replica import CompactedReplica, read_to_end
from alerthub.settings import KafkaSettings
from alerthub.telemetry import logger
from services.dispatch.rows import INSERT_ALERT, UPDATE_ALERT, StoredAlert, inserted_values, updated_values
from services.dispatch.wire import (
    ASSIGNMENT_STATUS_OF_WIRE,
    OUTCOME_OF_WIRE,
    STATUS_OF_WIRE,
    Facts,
    policy_of_wire,
)
from services.dispatch.work import ACTOR, Surroundings, Work, working

log = logger(__name__)

_BATCH = 200
REREAD_MS = 60_000
"""What dispatch had taken from Kafka and not told yet when its database was lost is younger than this."""
_PUT_RAISED = (
    "INSERT INTO raised (raised_id, alert_id, disposition) VALUES (:raised_id, :alert_id, 'restored') "
    "ON CONFLICT (raised_id) DO NOTHING"
)
_PUT_SIGHTING = (
    "INSERT INTO sighting (raised_id, alert_id, added_version, device_id, token, needs_confirmation, "
    "has_picture, picture_missing_reason, body) VALUES (:raised_id, :alert_id, :version, :device_id, '', "
    ":needs, false, :why, :body) "
    "ON CONFLICT (raised_id) DO UPDATE SET needs_confirmation = excluded.needs_confirmation"
)


@dataclass(frozen=True, slots=True)
class Told:
    """What `alert-events` holds: the newest message of each alert, and when the newest event was."""

    alerts: dict[str, alert_pb2.Alert]
    newest_ms: int


async def read_told(settings: KafkaSettings, *, client_id: str) -> Told:
    """Reads the topic to its end. Waits for a broker that is starting."""
    alerts: dict[str, alert_pb2.Alert] = {}
    newest = [0]

    def note(_: str, value: bytes | None) -> None:
        event = alert_pb2.AlertEvent.FromString(value or b"")
        known = alerts.get(event.alert.alert_id)
        if known is None or known.version < event.alert.version:
            alerts[event.alert.alert_id] = event.alert
        newest[0] = max(newest[0], event.occurred_at_ms)

    await read_to_end([CompactedReplica(settings, TOPIC, client_id=client_id, apply=note)])
    return Told(alerts, newest[0])


async def catch_up(
    database: AsyncEngine,
    surroundings: Surroundings,
    evidence: EvidenceStore,
    settings: KafkaSettings,
    *,
    client_id: str,
) -> int | None:
    """Ends the state *restored*. Returns from when `alerts` and `calls` must be read again, milliseconds
    since 1970; None in the ordinary state, and where the topics were lost too."""
    async with transaction(database) as connection:
        awaited = await restored.pending(connection)
    if awaited is None:
        return None
    told = Told({}, 0)
    if awaited.topics_kept:
        told = await read_told(settings, client_id=client_id)
    taken = 0
    # What is over first: it frees its fold key for what is open.
    known = [each for each in told.alerts.values() if each.status in STATUS_OF_WIRE]
    messages = sorted(known, key=lambda each: STATUS_OF_WIRE[each.status] in domain.OPEN_STATUSES)
    for start in range(0, len(messages), _BATCH):
        async with working(database, surroundings) as work:
            taken += await _take_over(work, messages[start : start + _BATCH])
    forgotten = await _forget_orphans(database, evidence)
    async with transaction(database) as connection:
        detail = f"{taken} alerts were newer on the topic; pictures of {forgotten} alerts cannot be opened"
        await restored.note_applied(connection, awaited, actor=ACTOR, detail=detail)
    log.error("database_was_restored", newer=taken, without_pictures=forgotten)
    return max(awaited.taken_at_ms, told.newest_ms) - REREAD_MS if awaited.topics_kept else None


async def _take_over(work: Work, messages: Sequence[alert_pb2.Alert]) -> int:
    known = await work.store.alerts([each.alert_id for each in messages])
    taken = 0
    for message in messages:
        stored = known.get(message.alert_id)
        if stored is not None and stored.alert.version >= message.version:
            continue
        taken += 1
        alert = _alert(message, stored)
        facts = stored.facts if stored is not None else _facts(message)
        if stored is None:
            await work.connection.execute(INSERT_ALERT, inserted_values(StoredAlert(facts, alert)))
        await _put_sightings(work, message)
        alert = replace(alert, pending=await _pending(work, message.alert_id))
        await work.connection.execute(UPDATE_ALERT, updated_values(alert))
        await work.store.put_assignments([alert])
        work.take(StoredAlert(facts, alert))
        if is_canary(facts.category):
            undelivered = Reason.CANARY_NOT_DELIVERED.value
            work.apply(cancel(alert, reason=undelivered, actor=ACTOR, now_ms=work.now_ms))
        else:
            work.apply(after_restore(alert, actor=ACTOR, now_ms=work.now_ms))
    return taken


async def _put_sightings(work: Work, message: alert_pb2.Alert) -> None:
    """Rows of the sightings that the message carries. What was read under a lost key has no token here."""
    rows = [
        {
            "raised_id": sighting.raised_id,
            "alert_id": message.alert_id,
            "version": version,
            "device_id": sighting.device_id,
            "needs": sighting.needs_confirmation,
            "why": Reason.PICTURE_NEWER_THAN_BACKUP.value.english,
            "body": sighting.SerializeToString(),
        }
        for sighting, version in _numbered(message)
    ]
    if not rows:
        return
    for statement in (_PUT_RAISED, _PUT_SIGHTING):
        await work.connection.execute(sql(statement), rows)


def _numbered(message: alert_pb2.Alert) -> Iterator[tuple[alert_pb2.Sighting, int]]:
    """Each sighting with a version that keeps their order: the wire does not carry the true ones."""
    count = len(message.sightings)
    for place, sighting in enumerate(message.sightings):
        yield sighting, max(1, message.version - (count - 1 - place))


async def _pending(work: Work, alert_id: str) -> tuple[int, ...]:
    rows = await work.connection.execute(
        sql(
            "SELECT DISTINCT added_version FROM sighting WHERE alert_id = :alert_id AND needs_confirmation "
            "ORDER BY 1"
        ),
        {"alert_id": alert_id},
    )
    return tuple(row.added_version for row in rows)


async def _forget_orphans(database: AsyncEngine, evidence: EvidenceStore) -> int:
    """Deletes pictures of alerts whose key the backup does not have: nobody can open them, nothing ends
    them."""
    alert_ids = sorted({alert_id for alert_id, _ in await evidence.promoted()})
    async with transaction(database) as connection:
        rows = await connection.execute(
            sql("SELECT DISTINCT alert_id FROM sealing WHERE alert_id = ANY(:ids)"), {"ids": alert_ids}
        )
        kept = {row.alert_id for row in rows}
    orphans = [alert_id for alert_id in alert_ids if alert_id not in kept]
    for alert_id in orphans:
        await evidence.delete_alert(alert_id)
    return len(orphans)


def _alert(message: alert_pb2.Alert, stored: StoredAlert | None) -> domain.Alert:
    return domain.Alert(
        alert_id=message.alert_id,
        version=message.version,
        status=STATUS_OF_WIRE[message.status],
        policy=policy_of_wire(message.policy),
        names_person=message.names_person,
        severity=message.severity,
        opened_at_ms=message.opened_at_ms,
        supervisor_required=message.supervisor_required,
        has_picture=stored is not None and stored.alert.has_picture,
        confirmed_by=message.confirmed_by,
        confirmed_at_ms=message.confirmed_at_ms,
        rejected_reason=message.rejected_reason,
        cancelled_reason=reason_of(message.cancelled_reason),
        escalated_at_ms=message.escalated_at_ms,
        escalated_reason=LocalizedText(message.escalated_reason_chinese, message.escalated_reason),
        outcome=OUTCOME_OF_WIRE.get(message.outcome),
        closed_at_ms=message.closed_at_ms,
        call_by_radio=message.call_by_radio,
        sighting_count=message.sighting_count,
        assignments=tuple(_assignment(each) for each in message.assignments),
    )


def _assignment(message: Any) -> domain.Assignment:
    return domain.Assignment(
        assignment_id=message.assignment_id,
        unit_id=message.unit_id,
        status=ASSIGNMENT_STATUS_OF_WIRE[message.status],
        offered_at_ms=message.offered_at_ms,
        delivered_at_ms=message.delivered_at_ms,
        answered_at_ms=message.answered_at_ms,
        reasons=reasons_of(message.reasons, message.reasons_chinese),
        by_voice=message.by_voice,
        officer=message.officer,
    )


def _facts(message: alert_pb2.Alert) -> Facts:
    """What the topic tells of an alert that the database has never heard of: no token is on it."""
    first = message.sightings[0] if message.sightings else alert_pb2.Sighting()
    place = first.position if first.HasField("position") else None
    return Facts(
        fold_key=message.fold_key,
        rule_id=message.rule_id,
        rule_version=message.rule_version,
        rule_kind=message.rule_kind,
        unit_kind=message.unit_kind,
        officer_text_chinese=message.officer_text.chinese,
        officer_text_english=message.officer_text.english,
        jurisdiction=message.jurisdiction,
        district=message.district,
        entry_id=message.entry_id,
        entry_version=message.entry_version,
        category=message.category,
        device_id=first.device_id,
        basis_raised_id=bytes.fromhex(message.alert_id),
        basis_token=b"",
        latitude=place.latitude if place is not None else None,
        longitude=place.longitude if place is not None else None,
        cooldown_ms=0,
    )
