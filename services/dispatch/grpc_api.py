"""The gRPC edges of dispatch: for the operations office, and for push."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc

from alerthub.alert_events import AlertEventTail, TailedEvent
from alerthub.api.v1 import alert_pb2, alert_pb2_grpc, delivery_pb2, delivery_pb2_grpc
from alerthub.domain.errors import Retry
from alerthub.identity import current_caller
from alerthub.tracing import context_of
from services.dispatch import spans
from services.dispatch.handlers import Handlers
from services.dispatch.metrics import COMMANDS
from services.dispatch.queries import Queries
from services.dispatch.sealing import Sealing
from services.dispatch.unit_queries import UnitQueries
from services.dispatch.wire import STATUS_OF_WIRE

Context = grpc.aio.ServicerContext[Any, Any]
_DEFAULT_PAGE = 100
_WATCH_QUEUE = 2_000
"""Changes that a watcher may lag behind; a slower one is cut off and resumes."""


class DispatchApi(alert_pb2_grpc.DispatchServiceServicer):
    """See the proto. Decides nothing."""

    def __init__(
        self,
        handlers: Handlers,
        queries: Queries,
        units: UnitQueries,
        sealing: Sealing,
        tail: AlertEventTail,
    ) -> None:
        self._handlers = handlers
        self._queries = queries
        self._units = units
        self._sealing = sealing
        self._tail = tail

    async def ListAlerts(  # noqa: N802 - the name is the proto's
        self, request: alert_pb2.ListAlertsRequest, context: Context
    ) -> alert_pb2.ListAlertsResponse:
        statuses = [STATUS_OF_WIRE[each] for each in request.statuses if each in STATUS_OF_WIRE]
        found, token = await self._queries.page(
            statuses, size=request.page_size or _DEFAULT_PAGE, token=request.page_token
        )
        return alert_pb2.ListAlertsResponse(alerts=found, next_page_token=token)

    async def GetAlert(  # noqa: N802
        self, request: alert_pb2.GetAlertRequest, context: Context
    ) -> alert_pb2.GetAlertResponse:
        alert = await self._queries.alert(request.alert_id)
        evidence = await self._sealing.newest(request.alert_id)
        return alert_pb2.GetAlertResponse(
            alert=alert,
            sealed_details=evidence.details,
            sealed_picture=evidence.picture,
            sealed_missing_reason=evidence.missing.english,
            sealed_missing_reason_chinese=evidence.missing.chinese,
        )

    async def WatchAlerts(  # noqa: N802
        self, request: alert_pb2.WatchAlertsRequest, context: Context
    ) -> AsyncIterator[alert_pb2.WatchAlertsResponse]:
        await self._tail.wait_until_ready()
        queue: asyncio.Queue[TailedEvent | None] = asyncio.Queue(_WATCH_QUEUE + 1)

        def take(event: TailedEvent) -> None:
            if queue.qsize() < _WATCH_QUEUE:
                queue.put_nowait(event)
            elif queue.qsize() == _WATCH_QUEUE:
                queue.put_nowait(None)

        unsubscribe = self._tail.subscribe(take)
        try:
            # No await between subscribing and noting where the tail is: nothing falls in between.
            began_at = self._tail.resume_token()
            missed = self._tail.replay(request.resume_token) if request.resume_token else None
            versions: dict[str, int] = {}
            if missed is None:
                for alert in await self._queries.open_alerts():
                    versions[alert.alert_id] = alert.version
                    yield alert_pb2.WatchAlertsResponse(event=alert_pb2.AlertEvent(alert=alert))
            for each in missed or ():
                yield alert_pb2.WatchAlertsResponse(event=each.event, resume_token=each.resume_token)
            yield alert_pb2.WatchAlertsResponse(resume_token=began_at, snapshot_complete=True)
            while True:
                event = await queue.get()
                if event is None:
                    raise Retry("the watcher is too slow: resume from the last token")
                if event.event.alert.version > versions.get(event.event.alert.alert_id, 0):
                    yield alert_pb2.WatchAlertsResponse(event=event.event, resume_token=event.resume_token)
        finally:
            unsubscribe()

    async def ConfirmAlert(  # noqa: N802
        self, request: alert_pb2.ConfirmAlertRequest, context: Context
    ) -> alert_pb2.ConfirmAlertResponse:
        alert = await self._handlers.confirm(current_caller(), request)
        COMMANDS.labels("confirm", "done").inc()
        return alert_pb2.ConfirmAlertResponse(alert=alert)

    async def RejectAlert(  # noqa: N802
        self, request: alert_pb2.RejectAlertRequest, context: Context
    ) -> alert_pb2.RejectAlertResponse:
        alert = await self._handlers.reject(current_caller(), request)
        COMMANDS.labels("reject", "done").inc()
        return alert_pb2.RejectAlertResponse(alert=alert)

    async def AcknowledgeByVoice(  # noqa: N802
        self, request: alert_pb2.AcknowledgeByVoiceRequest, context: Context
    ) -> alert_pb2.AcknowledgeByVoiceResponse:
        alert = await self._handlers.acknowledge_by_voice(current_caller(), request)
        return alert_pb2.AcknowledgeByVoiceResponse(alert=alert)

    async def AssignUnit(  # noqa: N802
        self, request: alert_pb2.AssignUnitRequest, context: Context
    ) -> alert_pb2.AssignUnitResponse:
        return alert_pb2.AssignUnitResponse(alert=await self._handlers.assign(current_caller(), request))

    async def RankUnits(  # noqa: N802
        self, request: alert_pb2.RankUnitsRequest, context: Context
    ) -> alert_pb2.RankUnitsResponse:
        return await self._units.rank(request.alert_id)

    async def LocateUnits(  # noqa: N802
        self, request: alert_pb2.LocateUnitsRequest, context: Context
    ) -> alert_pb2.LocateUnitsResponse:
        return await self._units.locate()

    async def ListPrecision(  # noqa: N802
        self, request: alert_pb2.ListPrecisionRequest, context: Context
    ) -> alert_pb2.ListPrecisionResponse:
        return await self._queries.precision()

    async def LiftSuspension(  # noqa: N802
        self, request: alert_pb2.LiftSuspensionRequest, context: Context
    ) -> alert_pb2.LiftSuspensionResponse:
        return await self._handlers.lift_suspension(current_caller(), request)

    async def ProposePrecisionFloor(  # noqa: N802
        self, request: alert_pb2.ProposePrecisionFloorRequest, context: Context
    ) -> alert_pb2.ProposePrecisionFloorResponse:
        return await self._handlers.propose_floor(current_caller(), request)

    async def ApprovePrecisionFloor(  # noqa: N802
        self, request: alert_pb2.ApprovePrecisionFloorRequest, context: Context
    ) -> alert_pb2.ApprovePrecisionFloorResponse:
        return await self._handlers.approve_floor(current_caller(), request)


class DeliveryApi(delivery_pb2_grpc.DeliveryServiceServicer):
    """What push needs; only a certificate of push is let in."""

    def __init__(self, handlers: Handlers, queries: Queries, sealing: Sealing) -> None:
        self._handlers = handlers
        self._queries = queries
        self._sealing = sealing

    async def GetUnitAlerts(  # noqa: N802
        self, request: delivery_pb2.GetUnitAlertsRequest, context: Context
    ) -> delivery_pb2.GetUnitAlertsResponse:
        return delivery_pb2.GetUnitAlertsResponse(alerts=await self._queries.unit_alerts(request.unit_id))

    async def GetSealedEvidence(  # noqa: N802
        self, request: delivery_pb2.GetSealedEvidenceRequest, context: Context
    ) -> delivery_pb2.GetSealedEvidenceResponse:
        evidence = await self._sealing.for_unit(request.unit_id, request.alert_id, wait_ms=request.wait_ms)
        return delivery_pb2.GetSealedEvidenceResponse(
            sealed_details=evidence.details,
            sealed_picture=evidence.picture,
            missing_reason=evidence.missing.english,
            missing_reason_chinese=evidence.missing.chinese,
            raised_id=evidence.raised_id,
        )

    async def AnswerCommand(  # noqa: N802
        self, request: delivery_pb2.AnswerCommandRequest, context: Context
    ) -> delivery_pb2.AnswerCommandResponse:
        came_with = spans.answered(context_of(context.invocation_metadata()))
        return delivery_pb2.AnswerCommandResponse(answer=await self._handlers.answer(request, came_with))

    async def ReportConnections(  # noqa: N802
        self, request: delivery_pb2.ReportConnectionsRequest, context: Context
    ) -> delivery_pb2.ReportConnectionsResponse:
        return delivery_pb2.ReportConnectionsResponse(
            superseded_terminals=await self._queries.report_connections(request)
        )
