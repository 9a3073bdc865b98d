"""The gRPC edge of the audit log: the same for every service that has one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
from sqlalchemy.ext.asyncio import AsyncEngine

from alerthub import audit
from alerthub.api.v1 import audit_pb2, audit_pb2_grpc
from alerthub.identity import current_caller
from alerthub.postgres import transaction

Context = grpc.aio.ServicerContext[Any, Any]


class AuditServicer(audit_pb2_grpc.AuditServiceServicer):
    """AuditService over the service's own database. Reading the log is itself recorded."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def Export(  # noqa: N802 - the name on the wire
        self, request: audit_pb2.ExportRequest, context: Context
    ) -> AsyncIterator[audit_pb2.AuditRow]:
        async with transaction(self._engine) as connection:
            await audit.record(
                connection, action="AuditExported", actor=current_caller().actor, subject="audit:log"
            )
        async for row in audit.export(self._engine):
            yield audit_pb2.AuditRow(
                row_id=row.row_id,
                chain_index=row.chain_index,
                time_ms=row.time_ms,
                service=row.service,
                actor=row.actor,
                action=row.action,
                subject=row.subject,
                reason=row.reason,
                detail=row.detail,
                previous_hash=row.previous_hash,
                hash=row.hash,
            )

    async def ListHeads(  # noqa: N802 - the name on the wire
        self, request: audit_pb2.ListHeadsRequest, context: Context
    ) -> audit_pb2.ListHeadsResponse:
        return audit_pb2.ListHeadsResponse(
            heads=[
                audit_pb2.AuditHead(
                    service=head.service,
                    chain_index=head.chain_index,
                    hash=head.hash,
                    time_ms=head.time_ms,
                    signature=head.signature,
                    signer_pem=head.signer_pem,
                )
                for head in await audit.heads(self._engine)
            ]
        )
