"""What the watchlist keeps of entries: loads and saves values of `alerthub.domain.watchlist`, decides
nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Row,
    and_,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from alerthub.domain.errors import Conflict, NotFound, Refuse
from alerthub.domain.watchlist import Category, Entry, EntryStatus, Grounds, Policy
from alerthub.postgres import lock_number
from services.watchlist.tables import category, command, entry, mask_use, outbox

_JOBS_LOCK = lock_number("alerthub watchlist jobs")
ENDED = (EntryStatus.WITHDRAWN.value, EntryStatus.EXPIRED.value)
OPEN = (EntryStatus.PROPOSED.value, EntryStatus.ACTIVE.value)


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """An entry with what is kept beside it."""

    entry: Entry
    sealed_identifiers: bytes
    identifier_count: int
    masks: tuple[str, ...]
    newest_epoch: str = ""
    """The newest epoch whose tokens its published value carries; empty before the first."""
    on_topic: bool = False
    """Whether the compacted topic has a value of it."""


def _stored(row: Row[Any]) -> StoredEntry:
    return StoredEntry(
        entry=Entry(
            entry_id=row.entry_id,
            version=row.version,
            status=EntryStatus(row.status),
            category=row.category,
            names_person=row.names_person,
            grounds=Grounds(
                case_number=row.case_number,
                legal_basis=row.legal_basis,
                issuing_authority=row.issuing_authority,
                authority_contact=row.authority_contact,
                instruction_chinese=row.instruction_chinese,
                instruction_english=row.instruction_english,
            ),
            valid_until_ms=row.valid_until_ms,
            entered_by=row.entered_by,
            entered_at_ms=row.entered_at_ms,
            approved_by=row.approved_by,
            active_from_ms=row.active_from_ms,
            ended_at_ms=row.ended_at_ms,
        ),
        sealed_identifiers=row.sealed_identifiers,
        identifier_count=row.identifier_count,
        masks=tuple(row.masks),
        newest_epoch=row.newest_epoch,
        on_topic=row.on_topic,
    )


async def categories(connection: AsyncConnection) -> dict[str, Category]:
    """Every category by its name."""
    rows = await connection.execute(select(category).order_by(category.c.category))
    return {
        row.category: Category(
            category=row.category,
            chinese=row.chinese,
            english=row.english,
            names_person=row.names_person,
            policy=Policy(row.policy),
            severity=row.severity,
            maximum_days=row.maximum_days,
            unit_kind=row.unit_kind,
        )
        for row in rows
    }


async def add(connection: AsyncConnection, entries: Sequence[StoredEntry]) -> None:
    """New entries. Their masks count as in use from now on."""
    await connection.execute(
        insert(entry),
        [
            {
                "entry_id": new.entry.entry_id,
                "version": new.entry.version,
                "status": new.entry.status.value,
                "category": new.entry.category,
                "names_person": new.entry.names_person,
                "case_number": new.entry.grounds.case_number,
                "legal_basis": new.entry.grounds.legal_basis,
                "issuing_authority": new.entry.grounds.issuing_authority,
                "authority_contact": new.entry.grounds.authority_contact,
                "instruction_chinese": new.entry.grounds.instruction_chinese,
                "instruction_english": new.entry.grounds.instruction_english,
                "valid_until_ms": new.entry.valid_until_ms,
                "entered_by": new.entry.entered_by,
                "entered_at_ms": new.entry.entered_at_ms,
                "sealed_identifiers": new.sealed_identifiers,
                "identifier_count": new.identifier_count,
                "masks": list(new.masks),
                "newest_epoch": "",
                "on_topic": False,
            }
            for new in entries
        ],
    )


async def masks_in_use(connection: AsyncConnection) -> set[str]:
    """Masks of entries that wait or work, as far as they were noted."""
    return set(await connection.scalars(select(mask_use.c.mask)))


async def note_masks(connection: AsyncConnection, masks: set[str]) -> None:
    """Notes masks as in use."""
    if masks:
        await connection.execute(
            postgres_insert(mask_use).on_conflict_do_nothing(), [{"mask": mask} for mask in sorted(masks)]
        )


async def forget_unused_masks(connection: AsyncConnection) -> None:
    """Recounts: reads every open entry, so it is for the job that changes epochs."""
    used = select(func.unnest(entry.c.masks)).where(entry.c.status.in_(OPEN))
    await connection.execute(delete(mask_use).where(mask_use.c.mask.not_in(used)))


async def entry_for_change(connection: AsyncConnection, entry_id: str) -> StoredEntry:
    """The entry, locked until the transaction ends. Raises NotFound."""
    found = (
        await connection.execute(select(entry).where(entry.c.entry_id == entry_id).with_for_update())
    ).first()
    if found is None:
        raise NotFound("entry_id", "the id of an entry")
    return _stored(found)


async def entry_by_id(connection: AsyncConnection, entry_id: str) -> StoredEntry:
    """The entry. Raises NotFound."""
    found = (await connection.execute(select(entry).where(entry.c.entry_id == entry_id))).first()
    if found is None:
        raise NotFound("entry_id", "the id of an entry")
    return _stored(found)


async def entries_by_id(connection: AsyncConnection, entry_ids: Sequence[str]) -> list[StoredEntry]:
    """Those of the entries that exist."""
    rows = await connection.execute(select(entry).where(entry.c.entry_id.in_(entry_ids)))
    return [_stored(row) for row in rows]


async def page(
    connection: AsyncConnection, *, status: EntryStatus | None, after: str, limit: int
) -> list[StoredEntry]:
    """Entries in the order in which they were entered, after the id `after`."""
    wanted: ColumnElement[bool] = true() if status is None else entry.c.status == status.value
    rows = await connection.execute(
        select(entry).where(and_(wanted, entry.c.entry_id > after)).order_by(entry.c.entry_id).limit(limit)
    )
    return [_stored(row) for row in rows]


async def save(
    connection: AsyncConnection,
    changed: Entry,
    *,
    newest_epoch: str | None = None,
    on_topic: bool | None = None,
) -> None:
    """Saves what may change of an entry."""
    values: dict[str, object] = {
        "version": changed.version,
        "status": changed.status.value,
        "approved_by": changed.approved_by,
        "active_from_ms": changed.active_from_ms,
        "ended_at_ms": changed.ended_at_ms,
    }
    if newest_epoch is not None:
        values["newest_epoch"] = newest_epoch
    if on_topic is not None:
        values["on_topic"] = on_topic
    await connection.execute(update(entry).where(entry.c.entry_id == changed.entry_id).values(values))


async def overdue(connection: AsyncConnection, *, now_ms: int, limit: int) -> list[StoredEntry]:
    """Open entries whose end has come, locked; those that another transaction holds are left to it."""
    rows = await connection.execute(
        select(entry)
        .where(and_(entry.c.status.in_(OPEN), entry.c.valid_until_ms <= now_ms))
        .order_by(entry.c.valid_until_ms)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return [_stored(row) for row in rows]


async def ended_on_topic(
    connection: AsyncConnection, *, ended_before_ms: int, limit: int
) -> list[StoredEntry]:
    """Ended entries whose value on the topic may become a tombstone, locked."""
    rows = await connection.execute(
        select(entry)
        .where(and_(entry.c.on_topic, entry.c.status.in_(ENDED), entry.c.valid_until_ms <= ended_before_ms))
        .order_by(entry.c.valid_until_ms)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return [_stored(row) for row in rows]


async def without_epoch(connection: AsyncConnection, epoch: str, *, limit: int) -> list[StoredEntry]:
    """Active entries whose published value lacks the tokens of `epoch` (names sort by time), locked."""
    rows = await connection.execute(
        select(entry)
        .where(and_(entry.c.status == EntryStatus.ACTIVE.value, entry.c.newest_epoch < epoch))
        .order_by(entry.c.newest_epoch)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return [_stored(row) for row in rows]


async def note_keyed(connection: AsyncConnection, entries: Sequence[Entry], *, epoch: str) -> None:
    """The entries' new versions carry the tokens of `epoch`."""
    if not entries:
        return
    await connection.execute(
        update(entry)
        .where(entry.c.entry_id == bindparam("of_entry"))
        .values(version=bindparam("new_version"), newest_epoch=epoch, on_topic=True),
        [{"of_entry": keyed.entry_id, "new_version": keyed.version} for keyed in entries],
    )


def _lacking(epoch: str) -> ColumnElement[bool]:
    return (
        select(entry.c.entry_id)
        .where(and_(entry.c.status == EntryStatus.ACTIVE.value, entry.c.newest_epoch < epoch))
        .exists()
    )


async def lacks(connection: AsyncConnection, epoch: str) -> bool:
    """Whether an active entry's published value lacks the tokens of `epoch`."""
    return bool(await connection.scalar(select(_lacking(epoch))))


async def all_carry(connection: AsyncConnection, epoch: str) -> bool:
    """Whether every active entry is on the topic with the tokens of `epoch`: none lacks them, none is
    unsent."""
    unsent = select(outbox.c.row_number).where(outbox.c.topic == "watchlist")
    return not await connection.scalar(select(or_(_lacking(epoch), unsent.exists())))


async def versions(connection: AsyncConnection, entry_ids: Iterable[str]) -> dict[str, int]:
    """The versions of those of the entries that exist."""
    wanted = list(entry_ids)
    found: dict[str, int] = {}
    for start in range(0, len(wanted), 10_000):
        rows = await connection.execute(
            select(entry.c.entry_id, entry.c.version).where(
                entry.c.entry_id.in_(wanted[start : start + 10_000])
            )
        )
        found.update({row.entry_id: row.version for row in rows})
    return found


async def versions_on_topic(connection: AsyncConnection) -> dict[str, int]:
    """What the topic must have: every entry that was published and is no tombstone, with its version."""
    rows = await connection.execute(select(entry.c.entry_id, entry.c.version).where(entry.c.on_topic))
    return {row.entry_id: row.version for row in rows}


async def lock_jobs(connection: AsyncConnection) -> None:
    """One instance at a time changes keys and epochs; ends with the transaction."""
    await connection.execute(select(func.pg_advisory_xact_lock(_JOBS_LOCK)))


async def claim_command(
    connection: AsyncConnection, *, command_id: str, actor: str, action: str, now_ms: int
) -> bytes | None:
    """The response that this command had before; None the first time, and then it is this transaction's.

    A repeat that comes while the first is at work waits for it. Refuses an id that was used for another
    command.
    """
    claimed = await connection.execute(
        postgres_insert(command)
        .values(command_id=command_id, actor=actor, action=action, response=b"", created_at_ms=now_ms)
        .on_conflict_do_nothing()
    )
    if claimed.rowcount == 1:
        return None
    found = (await connection.execute(select(command).where(command.c.command_id == command_id))).first()
    if found is None:
        raise Conflict("command_id", "a command whose first attempt is not being removed at this moment")
    if (found.actor, found.action) != (actor, action):
        raise Refuse("command_id", "a new id for every command")
    return bytes(found.response)


async def finish_command(connection: AsyncConnection, *, command_id: str, response: bytes) -> None:
    """Keeps the response for a repeat."""
    await connection.execute(
        update(command).where(command.c.command_id == command_id).values(response=response)
    )
