"""What the watchlist keeps of epochs, gateways, alerts' keys and looks. Names and wrapped keys only, never a
key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, and_, delete, select
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from alerthub.domain.matching import Configuration, Epoch, GatewayReport, Matching
from services.watchlist.tables import alert_key, command, gateway_report, matching, open_record

FORGET_GATEWAY_AFTER_MS = 24 * 3_600_000


@dataclass(frozen=True, slots=True)
class StoredMatching:
    """The state of C12 and since when its configuration is in force."""

    matching: Matching
    active_from_ms: int


@dataclass(frozen=True, slots=True)
class AlertKey:
    """An alert's own key, wrapped, and what the alert is about."""

    alert_id: str
    wrapped_key: bytes
    entry_id: str
    rule_id: str

    @property
    def subject(self) -> str:
        """What the caps count by."""
        return f"entry:{self.entry_id}" if self.entry_id else f"rule:{self.rule_id}"


def _stored(row: Row[Any]) -> StoredMatching:
    following = None
    if row.next_version is not None:
        following = Configuration(
            version=row.next_version,
            masks=tuple(row.next_masks),
            epoch=Epoch(row.next_epoch, row.next_epoch_made_at_ms),
            prepared_at_ms=row.next_prepared_at_ms,
        )
    return StoredMatching(
        matching=Matching(
            in_force=Configuration(
                version=row.version,
                masks=tuple(row.masks),
                epoch=Epoch(row.epoch, row.epoch_made_at_ms),
                prepared_at_ms=row.prepared_at_ms,
            ),
            next=following,
            outgoing=None
            if row.outgoing_epoch is None
            else Epoch(row.outgoing_epoch, row.outgoing_made_at_ms),
            outgoing_until_ms=row.outgoing_until_ms,
        ),
        active_from_ms=row.active_from_ms,
    )


async def matching_state(connection: AsyncConnection) -> StoredMatching | None:
    """The state; None before the service's first start."""
    row = (await connection.execute(select(matching))).first()
    return None if row is None else _stored(row)


async def matching_for_publishing(connection: AsyncConnection) -> Matching:
    """The state, which cannot change before the transaction ends: what is published carries the right
    epochs."""
    row = (await connection.execute(select(matching).with_for_update(read=True))).one()
    return _stored(row).matching


async def matching_for_change(connection: AsyncConnection) -> StoredMatching | None:
    """The state, locked against everybody who publishes."""
    row = (await connection.execute(select(matching).with_for_update())).first()
    return None if row is None else _stored(row)


async def save_matching(connection: AsyncConnection, state: Matching, *, active_from_ms: int) -> None:
    """Saves the state."""
    following, outgoing = state.next, state.outgoing
    values = {
        "version": state.in_force.version,
        "masks": list(state.in_force.masks),
        "epoch": state.in_force.epoch.name,
        "epoch_made_at_ms": state.in_force.epoch.made_at_ms,
        "prepared_at_ms": state.in_force.prepared_at_ms,
        "next_version": following and following.version,
        "next_masks": following and list(following.masks),
        "next_epoch": following and following.epoch.name,
        "next_epoch_made_at_ms": following and following.epoch.made_at_ms,
        "next_prepared_at_ms": following and following.prepared_at_ms,
        "outgoing_epoch": outgoing and outgoing.name,
        "outgoing_made_at_ms": outgoing and outgoing.made_at_ms,
        "outgoing_until_ms": state.outgoing_until_ms,
        "active_from_ms": active_from_ms,
    }
    statement = postgres_insert(matching).values(singleton=True, **values)
    await connection.execute(statement.on_conflict_do_update(index_elements=["singleton"], set_=values))


async def report_of(connection: AsyncConnection, gateway_id: str) -> GatewayReport | None:
    """What the gateway said last."""
    row = (
        await connection.execute(select(gateway_report).where(gateway_report.c.gateway_id == gateway_id))
    ).first()
    return None if row is None else _report(row)


async def save_report(connection: AsyncConnection, report: GatewayReport) -> None:
    """Notes what a gateway says now."""
    values = {
        "reported_at_ms": report.reported_at_ms,
        "matching_version": report.matching_version,
        "prepared_version": report.prepared_version,
    }
    statement = postgres_insert(gateway_report).values(gateway_id=report.gateway_id, **values)
    await connection.execute(statement.on_conflict_do_update(index_elements=["gateway_id"], set_=values))


async def reports(connection: AsyncConnection) -> list[GatewayReport]:
    """What every known gateway said last."""
    return [_report(row) for row in await connection.execute(select(gateway_report))]


def _report(row: Row[Any]) -> GatewayReport:
    return GatewayReport(
        gateway_id=row.gateway_id,
        reported_at_ms=row.reported_at_ms,
        matching_version=row.matching_version,
        prepared_version=row.prepared_version,
    )


async def alert_key_of(connection: AsyncConnection, alert_id: str) -> AlertKey | None:
    """The alert's key; None where nothing was sealed for it, or its time has passed."""
    row = (await connection.execute(select(alert_key).where(alert_key.c.alert_id == alert_id))).first()
    if row is None:
        return None
    return AlertKey(row.alert_id, bytes(row.wrapped_key), row.entry_id, row.rule_id)


async def keep_alert_key(connection: AsyncConnection, proposed: AlertKey, *, now_ms: int) -> AlertKey:
    """Keeps the key unless the alert has one already; returns the one that it has."""
    kept = await connection.scalar(
        postgres_insert(alert_key)
        .values(
            alert_id=proposed.alert_id,
            wrapped_key=proposed.wrapped_key,
            entry_id=proposed.entry_id,
            rule_id=proposed.rule_id,
            made_at_ms=now_ms,
        )
        .on_conflict_do_nothing()
        .returning(alert_key.c.alert_id)
    )
    if kept is not None:
        return proposed
    return await alert_key_of(connection, proposed.alert_id) or proposed


async def opened_at(
    connection: AsyncConnection, *, person: str, subject: str, except_alert: str
) -> Sequence[int]:
    """When this person last opened each other alert about the subject."""
    rows = await connection.scalars(
        select(open_record.c.opened_at_ms).where(
            and_(
                open_record.c.person == person,
                open_record.c.subject == subject,
                open_record.c.alert_id != except_alert,
            )
        )
    )
    return rows.all()


async def note_opening(
    connection: AsyncConnection, *, person: str, subject: str, alert_id: str, now_ms: int
) -> None:
    """Notes a look, for the caps. The audit log has its own row."""
    await connection.execute(
        postgres_insert(open_record)
        .values(person=person, subject=subject, alert_id=alert_id, opened_at_ms=now_ms)
        .on_conflict_do_update(
            index_elements=["person", "subject", "alert_id"], set_={"opened_at_ms": now_ms}
        )
    )


async def forget_old(
    connection: AsyncConnection,
    *,
    alert_keys_before_ms: int,
    openings_before_ms: int,
    commands_before_ms: int,
    gateways_before_ms: int,
) -> int:
    """Ends what has had its time (docs/retention.md); returns how many alerts' keys were destroyed."""
    destroyed = await connection.execute(
        delete(alert_key).where(alert_key.c.made_at_ms < alert_keys_before_ms)
    )
    await connection.execute(delete(open_record).where(open_record.c.opened_at_ms < openings_before_ms))
    await connection.execute(delete(command).where(command.c.created_at_ms < commands_before_ms))
    await connection.execute(
        delete(gateway_report).where(gateway_report.c.reported_at_ms < gateways_before_ms)
    )
    return destroyed.rowcount
