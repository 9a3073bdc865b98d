"""Carries terminals' commands to dispatch, and positions to Kafka."""

from __future__ import annotations

import asyncio
import time

import grpc
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from opentelemetry.trace import SpanContext

from alerthub.api.v1 import delivery_pb2, delivery_pb2_grpc, patrol_pb2
from alerthub.domain.errors import Refuse, Retry
from alerthub.grpc_errors import error_of
from alerthub.telemetry import logger
from alerthub.tracing import metadata_of
from services.push.metrics import ANSWERED

log = logger(__name__)

POSITIONS = "positions"
_CALL_SECONDS = 5.0
_GIVES_UP_AFTER_SECONDS = 20.0
"""Then the stream ends, and the terminal sends everything unanswered on its next one."""


class Commands:
    """Answers only what the hub has: after the database, or after Kafka."""

    def __init__(self, dispatch: grpc.aio.Channel, producer: AIOKafkaProducer) -> None:
        self._dispatch = delivery_pb2_grpc.DeliveryServiceStub(dispatch)
        self._producer = producer

    async def carry_out(
        self,
        message: patrol_pb2.TerminalMessage,
        *,
        terminal_id: str,
        unit_id: str,
        officer: str,
        span: SpanContext | None = None,
    ) -> patrol_pb2.CommandAnswer:
        """The answer for the terminal; dispatch's part of it follows `span`. Raises Retry when dispatch or
        Kafka did not answer in time."""
        kind = message.WhichOneof("message") or ""
        if kind == "report_position":
            answer = await self._report_position(message, unit_id)
        else:
            request = delivery_pb2.AnswerCommandRequest(
                terminal_id=terminal_id,
                unit_id=unit_id,
                officer=officer,
                command_id=message.command_id,
                time_ms=message.time_ms,
            )
            getattr(request, kind).CopyFrom(getattr(message, kind))
            answer = await self._forward(request, span)
        ANSWERED.labels(kind, patrol_pb2.CommandAnswer.Result.Name(answer.result)).inc()
        return answer

    async def _forward(
        self, request: delivery_pb2.AnswerCommandRequest, span: SpanContext | None
    ) -> patrol_pb2.CommandAnswer:
        deadline = time.monotonic() + _GIVES_UP_AFTER_SECONDS
        wait = 0.1
        while True:
            try:
                answered = await self._dispatch.AnswerCommand(
                    request, timeout=_CALL_SECONDS, metadata=metadata_of(span)
                )
            except grpc.aio.AioRpcError as failed:
                error = error_of(failed)
                if isinstance(error, Refuse):
                    return patrol_pb2.CommandAnswer(
                        command_id=request.command_id,
                        result=patrol_pb2.CommandAnswer.RESULT_REFUSED,
                        detail=str(error),
                        detail_chinese=error.words.chinese,
                    )
                if time.monotonic() > deadline:
                    raise Retry("dispatch does not answer: send it again") from None
                log.warning("command_waits_for_dispatch", code=failed.code().name)
            else:
                return answered.answer
            await asyncio.sleep(wait)
            wait = min(2.0, wait * 2)

    async def _report_position(
        self, message: patrol_pb2.TerminalMessage, unit_id: str
    ) -> patrol_pb2.CommandAnswer:
        reported = message.report_position
        value = patrol_pb2.UnitPosition(
            unit_id=unit_id,
            position=reported.position,
            accuracy_metres=reported.accuracy_metres,
            time_ms=message.time_ms,
            received_time_ms=time.time_ns() // 1_000_000,
        )
        try:
            await self._producer.send_and_wait(POSITIONS, value.SerializeToString(), key=unit_id.encode())
        except KafkaError:
            raise Retry("Kafka does not answer: send the position again") from None
        return patrol_pb2.CommandAnswer(
            command_id=message.command_id, result=patrol_pb2.CommandAnswer.RESULT_DONE
        )
