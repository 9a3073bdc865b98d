"""The terminals' edge: one stream a terminal."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message

from alerthub.api.v1 import patrol_pb2, patrol_pb2_grpc
from alerthub.domain.errors import Refuse, Retry
from alerthub.identity import NotAuthenticatedError, RevocationList, current_caller
from alerthub.telemetry import logger
from services.push.metrics import CONNECTED, ENDED
from services.push.signing_on import unit_of_certificate
from services.push.stream import End
from services.push.streams import StreamMaker, Streams

log = logger(__name__)

Context = grpc.aio.ServicerContext[Any, Any]
_SIGN_ON_SECONDS = 10.0


class PatrolApi(patrol_pb2_grpc.PatrolServiceServicer):
    """See the proto."""

    def __init__(self, maker: StreamMaker, streams: Streams, revocations: RevocationList) -> None:
        self._maker = maker
        self._streams = streams
        # Within the call in which a revocation becomes known, long before two seconds (S2).
        revocations.subscribe(streams.check)

    # A coroutine that writes to the context, which grpc.aio takes as well as a generator.
    async def Connect(  # type: ignore[override]  # noqa: N802 - the name is the proto's
        self, messages: AsyncIterator[patrol_pb2.TerminalMessage], context: Context
    ) -> None:
        caller = current_caller()
        certificate = bytes(next(iter(context.auth_context()["x509_pem_cert"])))
        unit_id = unit_of_certificate(certificate)
        sign_on = await _first(messages)
        stream = self._maker.make(caller.name, unit_id, sign_on.officer_token)
        self._streams.add(stream)
        CONNECTED.set(len(self._streams))

        async def write(encoded: bytes) -> None:
            await context.write(written_as(encoded))

        # Unless the stream says why it ended, the terminal or its network has ended it.
        why = "broken_off"
        reader = asyncio.create_task(stream.read(messages), name="terminal-read")
        writer = asyncio.create_task(stream.run(sign_on.resume_token, write), name="terminal-write")
        try:
            done, _ = await asyncio.wait({reader, writer}, return_when=asyncio.FIRST_COMPLETED)
            if reader in done:
                # Raises what the terminal sent wrong; otherwise it hung up, and the writer ends too.
                reader.result()
            end = await writer
            why = end.label
        finally:
            ENDED.labels(why).inc()
            self._streams.remove(stream)
            CONNECTED.set(len(self._streams))
            for task in (reader, writer):
                task.cancel()
            await asyncio.gather(reader, writer, return_exceptions=True)
        _finish(end)


def written_as(encoded: bytes) -> Message:
    """A message that gRPC writes as these bytes.

    The serializer that the generated code registers is the one that every message has, and an Empty, which
    knows no field, gives back unchanged what it was read from.
    """
    return Empty.FromString(encoded)


async def _first(messages: AsyncIterator[patrol_pb2.TerminalMessage]) -> patrol_pb2.SignOn:
    try:
        async with asyncio.timeout(_SIGN_ON_SECONDS):
            first = await anext(messages, None)
    except TimeoutError:
        raise NotAuthenticatedError("no officer signed on within 10 s") from None
    if first is None or first.WhichOneof("message") != "sign_on":
        raise Refuse("sign_on", "the first message of a stream")
    return first.sign_on


def _finish(end: End) -> None:
    if end.unauthenticated or end.signed_off:
        raise NotAuthenticatedError(end.words)
    if end.words.english:
        raise Retry(end.words)
