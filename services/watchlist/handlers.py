"""Use cases of entries: enter, import, approve, withdraw, list. Load, decide in the domain, save, publish,
record."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from alerthub import audit, outbox
from alerthub.api.v1 import watchlist_pb2
from alerthub.domain import canary, watchlist
from alerthub.domain import masks as mask_rules
from alerthub.domain.accounts import check_author_stays
from alerthub.domain.denials import Denial
from alerthub.domain.errors import NotAllowed, Refuse
from alerthub.domain.identifiers import IdentifierKind, required
from alerthub.domain.matching import Matching
from alerthub.domain.watchlist import Category, Entry, EntryStatus, Grounds
from alerthub.identity import Caller, CallerKind
from alerthub.keys import KeyProvider
from alerthub.postgres import transaction, violated_constraint
from services.watchlist import key_store, metrics, store
from services.watchlist.publication import Publisher, seal_identifiers
from services.watchlist.store import StoredEntry


def now_ms() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def person(caller: Caller) -> str:
    """The account of whoever calls. Two persons decide here, so a service or terminal never does."""
    if caller.kind is not CallerKind.PERSON or not caller.name:
        raise NotAllowed("caller", Denial.PERSON_SIGNED_IN.value)
    return caller.name


def new_entry_id(time_ms: int) -> str:
    """Sorts by time of entry; its end cannot be guessed."""
    return f"{time_ms:011x}{secrets.token_hex(8)}"


class EntryHandlers:
    """What persons do with entries."""

    def __init__(
        self,
        engine: AsyncEngine,
        keys: KeyProvider,
        *,
        has_left: Callable[[str], bool],
        clock_ms: Callable[[], int] = now_ms,
    ) -> None:
        """`has_left` says whether a person's account has ended."""
        self._engine = engine
        self._keys = keys
        self._has_left = has_left
        self._publisher = Publisher(keys)
        self._now_ms = clock_ms

    async def add(
        self, caller: Caller, command_id: str, entries: Sequence[watchlist_pb2.NewEntry], *, imported: bool
    ) -> list[str]:
        """Enters all of them or none; returns their ids. Each waits for the approval of another person.

        What is listed already is entered again without a word: a refusal would tell the caller that it is
        listed.
        """
        entered_by = person(caller)
        action = "EntriesImported" if imported else "EntryAdded"
        time_ms = self._now_ms()
        async with transaction(self._engine) as connection:
            before = await store.claim_command(
                connection, command_id=command_id, actor=caller.actor, action=action, now_ms=time_ms
            )
            if before is not None:
                return list(watchlist_pb2.ImportEntriesResponse.FromString(before).entry_ids)
            categories = await store.categories(connection)
            stored = [
                self._proposed(
                    new,
                    categories,
                    entered_by=entered_by,
                    time_ms=time_ms,
                    prefix=f"entries[{index}]." if imported else "entry.",
                )
                for index, new in enumerate(entries)
            ]
            await self._check_masks(connection, {mask for new in stored for mask in new.masks})
            await store.add(connection, stored)
            for new in stored:
                await audit.record(
                    connection,
                    action=action,
                    actor=caller.actor,
                    subject=f"entry:{new.entry.entry_id}",
                    reason=new.entry.grounds.case_number,
                    detail=f"category {new.entry.category}, {new.identifier_count} identifiers",
                )
            entry_ids = [new.entry.entry_id for new in stored]
            await store.finish_command(
                connection,
                command_id=command_id,
                response=watchlist_pb2.ImportEntriesResponse(entry_ids=entry_ids).SerializeToString(),
            )
        for new in stored:
            metrics.changes.labels("proposed", new.entry.category).inc()
        return entry_ids

    def _proposed(
        self,
        new: watchlist_pb2.NewEntry,
        categories: dict[str, Category],
        *,
        entered_by: str,
        time_ms: int,
        prefix: str,
    ) -> StoredEntry:
        category = categories.get(new.category)
        if category is None:
            raise Refuse(f"{prefix}category", f"one of {', '.join(sorted(categories))}")
        entry = watchlist.propose(
            entry_id=new_entry_id(time_ms),
            category=category,
            grounds=Grounds(
                case_number=new.case_number,
                legal_basis=new.legal_basis,
                issuing_authority=new.issuing_authority,
                authority_contact=new.authority_contact,
                instruction_chinese=new.instruction.chinese,
                instruction_english=new.instruction.english,
            ),
            valid_until_ms=new.valid_until_ms,
            entered_by=entered_by,
            now_ms=time_ms,
            prefix=prefix,
        )
        if not new.identifiers:
            raise Refuse(f"{prefix}identifiers", "at least one")
        identifiers = [
            _normal_form(identifier, f"{prefix}identifiers[{index}]")
            for index, identifier in enumerate(new.identifiers)
        ]
        if canary.is_canary(category.category):
            for index, each in enumerate(identifiers):
                field = f"{prefix}identifiers[{index}].text"
                canary.check_identifier(IdentifierKind(each.kind), each.text, each.masks, field=field)
        return StoredEntry(
            entry=entry,
            sealed_identifiers=seal_identifiers(self._keys.entry_key(), entry.entry_id, identifiers),
            identifier_count=len(identifiers),
            masks=tuple(sorted({mask for identifier in identifiers for mask in identifier.masks})),
        )

    async def _check_masks(self, connection: AsyncConnection, wanted: set[str]) -> None:
        unusual = wanted - set(mask_rules.ALWAYS_IN_USE)
        if not unusual:
            return
        # One at a time, or two entries could together take more masks than gateways compute.
        await key_store.matching_for_change(connection)
        mask_rules.mask_set(unusual | await store.masks_in_use(connection), field="masks")
        await store.note_masks(connection, unusual)

    async def approve(self, caller: Caller, command_id: str, entry_id: str) -> int:
        """Puts the entry in force; returns from when reads match. Refuses whoever entered it, and everybody
        where who entered it has left."""
        approved_by = person(caller)
        time_ms = self._now_ms()
        try:
            async with transaction(self._engine) as connection:
                before = await store.claim_command(
                    connection,
                    command_id=command_id,
                    actor=caller.actor,
                    action=f"EntryApproved {entry_id}",
                    now_ms=time_ms,
                )
                if before is not None:
                    return watchlist_pb2.ApproveEntryResponse.FromString(before).active_from_ms
                matching = await key_store.matching_for_publishing(connection)
                stored = await store.entry_for_change(connection, entry_id)
                check_author_stays(field="entry_id", left=self._has_left(stored.entry.entered_by))
                approved = watchlist.approve(stored.entry, approved_by=approved_by, now_ms=time_ms)
                await store.save(connection, approved, newest_epoch=matching.epochs[-1], on_topic=True)
                await self._publish(connection, stored, approved, matching, time_ms)
                await audit.record(
                    connection,
                    action="EntryApproved",
                    actor=caller.actor,
                    subject=f"entry:{entry_id}",
                    reason=approved.grounds.case_number,
                )
                active_from_ms = approved.active_from_ms or 0
                response = watchlist_pb2.ApproveEntryResponse(active_from_ms=active_from_ms)
                await store.finish_command(
                    connection, command_id=command_id, response=response.SerializeToString()
                )
        except IntegrityError as error:
            if violated_constraint(error) in {"entry_needs_two_persons", "entry_works_only_approved"}:
                raise NotAllowed(
                    "entry_id", "approval by another person than the one who entered it"
                ) from None
            raise
        metrics.changes.labels("active", approved.category).inc()
        return active_from_ms

    async def withdraw(self, caller: Caller, command_id: str, entry_id: str, reason: str) -> int:
        """Ends the entry at once; returns when."""
        person(caller)
        time_ms = self._now_ms()
        async with transaction(self._engine) as connection:
            before = await store.claim_command(
                connection,
                command_id=command_id,
                actor=caller.actor,
                action=f"EntryWithdrawn {entry_id}",
                now_ms=time_ms,
            )
            if before is not None:
                return watchlist_pb2.WithdrawEntryResponse.FromString(before).withdrawn_at_ms
            matching = await key_store.matching_for_publishing(connection)
            stored = await store.entry_for_change(connection, entry_id)
            withdrawn = watchlist.withdraw(stored.entry, now_ms=time_ms)
            await store.save(connection, withdrawn)
            if stored.on_topic:
                await self._publish(connection, stored, withdrawn, matching, time_ms)
            await audit.record(
                connection,
                action="EntryWithdrawn",
                actor=caller.actor,
                subject=f"entry:{entry_id}",
                reason=reason,
            )
            response = watchlist_pb2.WithdrawEntryResponse(withdrawn_at_ms=time_ms)
            await store.finish_command(
                connection, command_id=command_id, response=response.SerializeToString()
            )
        metrics.changes.labels("withdrawn", withdrawn.category).inc()
        return time_ms

    async def _publish(
        self,
        connection: AsyncConnection,
        stored: StoredEntry,
        changed: Entry,
        matching: Matching,
        time_ms: int,
    ) -> None:
        """Puts the entry as it is now on its way, in the transaction that changed it."""
        categories = await store.categories(connection)
        await outbox.enqueue(
            connection,
            topic="watchlist",
            key=changed.entry_id,
            value=self._publisher.at(matching, now_ms=time_ms).value(
                replace(stored, entry=changed), categories[changed.category]
            ),
            version=changed.version,
        )

    async def page(
        self, *, status: EntryStatus | None, after: str, limit: int
    ) -> tuple[list[StoredEntry], str]:
        """Entries without identifiers, and where the next page begins (empty: nowhere)."""
        async with transaction(self._engine) as connection:
            found = await store.page(connection, status=status, after=after, limit=limit + 1)
        more = len(found) > limit
        return found[:limit], found[limit - 1].entry.entry_id if more else ""

    async def categories(self) -> list[Category]:
        """Every category."""
        async with transaction(self._engine) as connection:
            return list((await store.categories(connection)).values())


def _normal_form(identifier: watchlist_pb2.EntryIdentifier, field: str) -> watchlist_pb2.EntryIdentifier:
    try:
        kind = IdentifierKind(identifier.kind)
    except ValueError:
        raise Refuse(f"{field}.kind", "plate, document or tag") from None
    text = required(kind, identifier.text, field=f"{field}.text")
    wanted = mask_rules.wanted(identifier.masks, kind, text, field=f"{field}.masks")
    return watchlist_pb2.EntryIdentifier(kind=identifier.kind, text=text, masks=wanted)
