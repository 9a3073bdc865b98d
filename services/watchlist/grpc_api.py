"""The gRPC edge: messages to use cases and back. Who may call what stands in the protos (S2)."""

from __future__ import annotations

from typing import Any

import grpc

from alerthub.api.v1 import common_pb2, watchlist_pb2, watchlist_pb2_grpc
from alerthub.domain.errors import Refuse
from alerthub.domain.watchlist import EntryStatus
from alerthub.identity import current_caller
from services.watchlist.handlers import EntryHandlers
from services.watchlist.key_handlers import KeyHandlers
from services.watchlist.openings import OpeningHandlers
from services.watchlist.store import StoredEntry

Context = grpc.aio.ServicerContext[Any, Any]
PAGE_SIZE = 100


class WatchlistServicer(watchlist_pb2_grpc.WatchlistServiceServicer):
    """WatchlistService. No answer but the two of opening holds an identifier."""

    def __init__(self, entries: EntryHandlers, openings: OpeningHandlers) -> None:
        self._entries = entries
        self._openings = openings

    async def AddEntry(  # noqa: N802 - the name on the wire
        self, request: watchlist_pb2.AddEntryRequest, context: Context
    ) -> watchlist_pb2.AddEntryResponse:
        (entry_id,) = await self._entries.add(
            current_caller(), request.command_id, [request.entry], imported=False
        )
        return watchlist_pb2.AddEntryResponse(entry_id=entry_id)

    async def ImportEntries(  # noqa: N802
        self, request: watchlist_pb2.ImportEntriesRequest, context: Context
    ) -> watchlist_pb2.ImportEntriesResponse:
        entry_ids = await self._entries.add(
            current_caller(), request.command_id, request.entries, imported=True
        )
        return watchlist_pb2.ImportEntriesResponse(entry_ids=entry_ids)

    async def ApproveEntry(  # noqa: N802
        self, request: watchlist_pb2.ApproveEntryRequest, context: Context
    ) -> watchlist_pb2.ApproveEntryResponse:
        active_from_ms = await self._entries.approve(current_caller(), request.command_id, request.entry_id)
        return watchlist_pb2.ApproveEntryResponse(active_from_ms=active_from_ms)

    async def WithdrawEntry(  # noqa: N802
        self, request: watchlist_pb2.WithdrawEntryRequest, context: Context
    ) -> watchlist_pb2.WithdrawEntryResponse:
        withdrawn_at_ms = await self._entries.withdraw(
            current_caller(), request.command_id, request.entry_id, request.reason
        )
        return watchlist_pb2.WithdrawEntryResponse(withdrawn_at_ms=withdrawn_at_ms)

    async def ListEntries(  # noqa: N802
        self, request: watchlist_pb2.ListEntriesRequest, context: Context
    ) -> watchlist_pb2.ListEntriesResponse:
        status = None
        if request.status != watchlist_pb2.ENTRY_STATUS_UNSPECIFIED:
            try:
                status = EntryStatus(request.status)
            except ValueError:
                raise Refuse("status", "proposed, active, withdrawn or expired") from None
        found, next_page_token = await self._entries.page(
            status=status, after=request.page_token, limit=request.page_size or PAGE_SIZE
        )
        return watchlist_pb2.ListEntriesResponse(
            entries=[_summary(stored) for stored in found], next_page_token=next_page_token
        )

    async def ListCategories(  # noqa: N802
        self, request: watchlist_pb2.ListCategoriesRequest, context: Context
    ) -> watchlist_pb2.ListCategoriesResponse:
        return watchlist_pb2.ListCategoriesResponse(
            categories=[
                watchlist_pb2.Category(
                    category=category.category,
                    name=common_pb2.LocalizedText(chinese=category.chinese, english=category.english),
                    names_person=category.names_person,
                    policy=common_pb2.DispatchPolicy.ValueType(category.policy.value),
                    severity=common_pb2.Severity.ValueType(category.severity),
                    maximum_days=category.maximum_days,
                    unit_kind=category.unit_kind,
                )
                for category in await self._entries.categories()
            ]
        )

    async def OpenAlert(  # noqa: N802
        self, request: watchlist_pb2.OpenAlertRequest, context: Context
    ) -> watchlist_pb2.OpenAlertResponse:
        opened = await self._openings.open_alert(current_caller(), request)
        return watchlist_pb2.OpenAlertResponse(details=opened.details, picture=opened.picture)

    async def OpenAlertForOfficer(  # noqa: N802
        self, request: watchlist_pb2.OpenAlertForOfficerRequest, context: Context
    ) -> watchlist_pb2.OpenAlertForOfficerResponse:
        opened = await self._openings.open_for_officer(current_caller(), request)
        return watchlist_pb2.OpenAlertForOfficerResponse(details=opened.details, picture=opened.picture)

    async def SealForAlert(  # noqa: N802
        self, request: watchlist_pb2.SealForAlertRequest, context: Context
    ) -> watchlist_pb2.SealForAlertResponse:
        return await self._openings.seal_for_alert(current_caller(), request)


class KeyServicer(watchlist_pb2_grpc.KeyServiceServicer):
    """KeyService."""

    def __init__(self, keys: KeyHandlers) -> None:
        self._keys = keys

    async def SynchroniseKeys(  # noqa: N802
        self, request: watchlist_pb2.SynchroniseKeysRequest, context: Context
    ) -> watchlist_pb2.SynchroniseKeysResponse:
        return await self._keys.synchronise(current_caller(), request)


def _summary(stored: StoredEntry) -> watchlist_pb2.EntrySummary:
    entry = stored.entry
    return watchlist_pb2.EntrySummary(
        entry_id=entry.entry_id,
        version=entry.version,
        status=watchlist_pb2.EntryStatus.ValueType(entry.status.value),
        category=entry.category,
        names_person=entry.names_person,
        case_number=entry.grounds.case_number,
        legal_basis=entry.grounds.legal_basis,
        issuing_authority=entry.grounds.issuing_authority,
        authority_contact=entry.grounds.authority_contact,
        instruction=common_pb2.LocalizedText(
            chinese=entry.grounds.instruction_chinese, english=entry.grounds.instruction_english
        ),
        valid_until_ms=entry.valid_until_ms,
        entered_by=entry.entered_by,
        approved_by=entry.approved_by or "",
        identifier_count=stored.identifier_count,
        active_from_ms=entry.active_from_ms or 0,
    )
