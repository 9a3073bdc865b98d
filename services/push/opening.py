"""Opens an alert's details for the officer who gets it, on the record (C17)."""

from __future__ import annotations

from dataclasses import dataclass

import grpc

from alerthub.api.v1 import delivery_pb2, delivery_pb2_grpc, watchlist_pb2, watchlist_pb2_grpc
from alerthub.domain.errors import AlertHubError, Retry
from alerthub.domain.reasons import Reason
from alerthub.domain.texts import NO_TEXT, LocalizedText
from alerthub.grpc_errors import error_of
from alerthub.telemetry import logger
from services.push.metrics import WITHOUT_WATCHLIST
from services.push.settings import PushSettings

log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Opened:
    """What was opened of one sighting, or why it was not."""

    raised_id: bytes = b""
    details: watchlist_pb2.OpenedDetails | None = None
    picture: bytes = b""
    missing: LocalizedText = NO_TEXT

    def shows(self, raised_id: bytes, *, picture: bool) -> bool:
        """Whether all that there is of this sighting was opened."""
        return self.details is not None and self.raised_id == raised_id and bool(self.picture) == picture


class Opening:
    """Asks dispatch for what is sealed and watchlist to open it; never raises: the alert goes without, and
    says so."""

    def __init__(
        self, settings: PushSettings, dispatch: grpc.aio.Channel, watchlist: grpc.aio.Channel
    ) -> None:
        self._settings = settings
        self._dispatch = delivery_pb2_grpc.DeliveryServiceStub(dispatch)
        self._watchlist = watchlist_pb2_grpc.WatchlistServiceStub(watchlist)

    async def open(
        self,
        *,
        alert_id: str,
        entry_id: str,
        rule_id: str,
        unit_id: str,
        terminal_id: str,
        officer_token: str,
        known: Opened | None,
    ) -> Opened:
        """What may be shown now. `known` is what was opened on this stream before: it is not opened twice."""
        try:
            sealed = await self._dispatch.GetSealedEvidence(
                delivery_pb2.GetSealedEvidenceRequest(
                    alert_id=alert_id, unit_id=unit_id, wait_ms=self._settings.evidence_wait_ms
                ),
                timeout=self._settings.open_timeout_seconds + self._settings.evidence_wait_ms / 1_000,
            )
        except grpc.aio.AioRpcError as failed:
            log.warning("evidence_not_given", code=failed.code().name)
            return Opened(missing=Reason.EVIDENCE_NOT_READ.value)
        missing = LocalizedText(sealed.missing_reason_chinese, sealed.missing_reason)
        if not sealed.sealed_details and not sealed.sealed_picture:
            return Opened(sealed.raised_id, missing=missing)
        if known is not None and known.shows(sealed.raised_id, picture=bool(sealed.sealed_picture)):
            return known
        try:
            opened = await self._watchlist.OpenAlertForOfficer(
                watchlist_pb2.OpenAlertForOfficerRequest(
                    alert_id=alert_id,
                    entry_id=entry_id,
                    rule_id=rule_id,
                    sealed_details=sealed.sealed_details,
                    sealed_picture=sealed.sealed_picture,
                    officer_token=officer_token,
                    terminal_id=terminal_id,
                ),
                timeout=self._settings.open_timeout_seconds,
            )
        except grpc.aio.AioRpcError as failed:
            error: AlertHubError = error_of(failed)
            log.warning("details_not_opened", code=failed.code().name)
            if isinstance(error, Retry):
                WITHOUT_WATCHLIST.set(1)
                return Opened(sealed.raised_id, missing=Reason.DETAILS_NOT_ANSWERED.value)
            return Opened(sealed.raised_id, missing=Reason.DETAILS_NOT_OPENED.value)
        WITHOUT_WATCHLIST.set(0)
        return Opened(sealed.raised_id, opened.details, opened.picture, missing)
