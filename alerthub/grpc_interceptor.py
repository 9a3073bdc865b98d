"""What happens around every RPC: who calls, may they, is the request valid, what do errors tell, how long it
took.

Order: authenticate, refuse the revoked, authorise, validate, handle. Nothing of a request or of a caller's
name is logged; what is not allowed changes nothing, because the handler is never reached.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from typing import Any, NoReturn

import grpc
from google.protobuf.message import Message
from prometheus_client import Counter, Gauge, Histogram

from alerthub.domain.denials import Denial, no_answer_within
from alerthub.domain.errors import AlertHubError
from alerthub.grpc_access import AccessRule, access_rule
from alerthub.grpc_errors import WireError, invalid, wire_error
from alerthub.grpc_validation import violations_of
from alerthub.identity import (
    ANONYMOUS,
    Caller,
    CallerKind,
    NotAuthenticatedError,
    RevocationList,
    TokenVerifier,
    caller_of_certificate,
    set_current_caller,
)
from alerthub.telemetry import logger

log = logger(__name__)

DEFAULT_DEADLINE_SECONDS = 30.0
"""For a unary call whose caller set none. Nothing of the hub waits longer for an answer."""
LAST_WRITE_SECONDS = 1.0
"""How long a message that is being written when its stream must end may take: S2 gives 2 s for everything."""

_handled = Counter("grpc_server_handled_total", "RPCs that ended, by how.", ["method", "code"])
_seconds = Histogram(
    "grpc_server_handling_seconds",
    "Time to answer a unary RPC.",
    ["method"],
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)
_streams = Gauge("grpc_server_open_streams", "Streams that are open.", ["method"])

_CODE_NAMES = {code.value[0]: code.name for code in grpc.StatusCode}

Context = grpc.aio.ServicerContext[Any, Any]


class _Told(Exception):
    """Carries a WireError from where it is found to where the RPC ends."""

    def __init__(self, error: WireError) -> None:
        super().__init__(error.text)
        self.error = error


class HubInterceptor(grpc.aio.ServerInterceptor):
    """One listener's interceptor. `verifier` given: persons' listener, tokens only. Absent: certificates
    only.
    """

    def __init__(
        self,
        *,
        verifier: TokenVerifier | None,
        revocations: RevocationList | None,
        hand_validated: Collection[str] = (),
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        """`hand_validated` are methods whose streamed messages the handler validates: the hot path."""
        self._verifier = verifier
        self._revocations = revocations
        self._hand_validated = frozenset(hand_validated)
        self._now_ms = now_ms

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Wraps the method's handler. A method that no servicer has stays UNIMPLEMENTED."""
        handler: Any = await continuation(handler_call_details)
        if handler is None:
            return None
        method: str = handler_call_details.method
        metadata = _single_values(handler_call_details.invocation_metadata)
        call = _Call(self, method, access_rule(method), metadata, handler)
        codec = {
            "request_deserializer": handler.request_deserializer,
            "response_serializer": handler.response_serializer,
        }
        if not handler.request_streaming and not handler.response_streaming:
            return grpc.unary_unary_rpc_method_handler(call.unary, **codec)
        if not handler.request_streaming:
            return grpc.unary_stream_rpc_method_handler(call.stream, **codec)
        if not handler.response_streaming:
            return grpc.stream_unary_rpc_method_handler(call.unary, **codec)
        return grpc.stream_stream_rpc_method_handler(call.stream, **codec)

    def caller(self, context: Context, metadata: Mapping[str, str], rule: AccessRule) -> Caller:
        """Who calls, from what the transport proved; raises NotAuthenticatedError."""
        if self._verifier is None:
            certificates = context.auth_context().get("x509_pem_cert", ())
            if len(tuple(certificates)) != 1:
                raise NotAuthenticatedError(Denial.CERTIFICATE_NEEDED.value)
            found = caller_of_certificate(bytes(next(iter(certificates))))
        elif rule.anyone:
            # Signing on brings its own proof; an old token must not keep anybody from a new one.
            return ANONYMOUS
        else:
            scheme, _, token = metadata.get("authorization", "").partition(" ")
            if scheme.lower() != "bearer" or not token:
                raise NotAuthenticatedError(Denial.TOKEN_NEEDED.value)
            found = self._verifier.verify(token.strip())
        if self._revocations is not None and self._revocations.is_revoked(found):
            raise NotAuthenticatedError(Denial.IDENTITY_REVOKED.value)
        return found

    def validated(self, method: str, request: Message) -> Message:
        """The request, or an answer that names what is wrong with it."""
        if method not in self._hand_validated:
            violations = violations_of(request)
            if violations:
                raise _Told(invalid(violations))
        return request

    def watch(self, caller: Caller, end: Callable[[Denial], None]) -> Callable[[], None]:
        """Calls `end` with the reason when `caller` is revoked or its token runs out; returns what stops
        that.
        """
        stops: list[Callable[[], None]] = []
        revocations = self._revocations
        if revocations is not None:
            stops.append(
                revocations.subscribe(
                    lambda: end(Denial.IDENTITY_REVOKED) if revocations.is_revoked(caller) else None
                )
            )
        if caller.kind is CallerKind.PERSON:
            seconds = (caller.expires_at_ms - self._now_ms()) / 1000
            timer = asyncio.get_running_loop().call_later(seconds, end, Denial.TOKEN_EXPIRED)
            stops.append(timer.cancel)

        def stop_watching() -> None:
            for stop in stops:
                stop()

        return stop_watching


def _single_values(metadata: Any) -> dict[str, str]:
    """Text metadata. A key that comes twice is dropped: which of the two counts must not be guessable."""
    values: dict[str, str] = {}
    repeated = set()
    for key, value in metadata or ():
        if key in values:
            repeated.add(key)
        if isinstance(value, str):
            values[key] = value
    return {key: value for key, value in values.items() if key not in repeated}


class _WritingContext:
    """What a handler that writes for itself is given: its writes go the way of everybody's."""

    def __init__(self, context: Context, write: Callable[[Any], Awaitable[None]]) -> None:
        self._context = context
        self.write = write

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)


class _Call:
    """One RPC on its way through."""

    def __init__(
        self,
        interceptor: HubInterceptor,
        method: str,
        rule: AccessRule,
        metadata: Mapping[str, str],
        handler: Any,
    ) -> None:
        self._interceptor = interceptor
        self._method = method
        self._rule = rule
        self._metadata = metadata
        if handler.request_streaming:
            self._behaviour = handler.stream_stream if handler.response_streaming else handler.stream_unary
        else:
            self._behaviour = handler.unary_stream if handler.response_streaming else handler.unary_unary
        self._request_streaming = bool(handler.request_streaming)
        self._writing = False

    async def unary(self, request: Any, context: Context) -> Any:
        """An RPC with one response."""
        began = time.perf_counter()
        try:
            self._admit(context)
            seconds = context.time_remaining()
            limit = None if seconds is not None or self._request_streaming else DEFAULT_DEADLINE_SECONDS
            async with asyncio.timeout(limit) as deadline:
                response = await self._behaviour(self._incoming(request), context)
        except TimeoutError:
            if deadline.expired():
                code, seconds = grpc.StatusCode.DEADLINE_EXCEEDED, DEFAULT_DEADLINE_SECONDS
                await self._end(context, WireError(code, no_answer_within(seconds)))
            await self._fail(context)
        except (asyncio.CancelledError, grpc.aio.AbortError):
            self._count(context, grpc.StatusCode.CANCELLED)
            raise
        except Exception as error:  # noqa: BLE001 - the edge: whatever was raised becomes a status without text
            await self._answer(context, error)
        self._count(context, grpc.StatusCode.OK)
        _seconds.labels(self._method).observe(time.perf_counter() - began)
        return response

    async def stream(self, request: Any, context: Context) -> None:
        """An RPC with a stream of responses. It ends when the caller is revoked or its token runs out."""
        task = asyncio.current_task()
        reasons: list[Denial] = []
        stops: list[Callable[[], None]] = []

        def end(reason: Denial) -> None:
            if reasons or task is None:
                return
            reasons.append(reason)
            if self._writing:
                # gRPC cannot tell a status while it writes a message: cut there, the caller would never
                # learn that the stream has ended. Only one who does not read at all is cut.
                cut = asyncio.get_running_loop().call_later(LAST_WRITE_SECONDS, cut_write)
                stops.append(cut.cancel)
            else:
                task.cancel()

        def cut_write() -> None:
            if self._writing and task is not None:
                task.cancel()

        open_streams = _streams.labels(self._method)
        open_streams.inc()
        try:
            caller = self._admit(context)
            stops.append(self._interceptor.watch(caller, end))
            await self._respond(request, context, reasons)
        except asyncio.CancelledError:
            if not reasons or task is None:
                self._count(context, grpc.StatusCode.CANCELLED)
                raise
            task.uncancel()
            await self._end(context, WireError(grpc.StatusCode.UNAUTHENTICATED, reasons[0].value))
        except grpc.aio.AbortError:
            self._count(context, grpc.StatusCode.CANCELLED)
            raise
        except Exception as error:  # noqa: BLE001 - the edge: whatever was raised becomes a status without text
            await self._answer(context, error)
        finally:
            for stop in stops:
                stop()
            open_streams.dec()
        self._count(context, grpc.StatusCode.OK)

    async def _respond(self, request: Any, context: Context, reasons: list[Denial]) -> None:
        async def write(response: Any) -> None:
            # Also before: whoever writes in a task of its own may not have been stopped yet.
            require_open()
            self._writing = True
            await context.write(response)
            self._writing = False
            require_open()

        def require_open() -> None:
            if reasons:
                raise _Told(WireError(grpc.StatusCode.UNAUTHENTICATED, reasons[0].value))

        responses = self._behaviour(self._incoming(request), _WritingContext(context, write))
        if inspect.isawaitable(responses):
            await responses
            return
        try:
            async for response in responses:
                await write(response)
        finally:
            await responses.aclose()

    def _admit(self, context: Context) -> Caller:
        caller = self._interceptor.caller(context, self._metadata, self._rule)
        if not self._rule.allows(caller):
            log.warning("rpc_not_allowed", method=self._method, caller_kind=caller.kind.value)
            raise _Told(WireError(grpc.StatusCode.PERMISSION_DENIED, self._rule.words))
        set_current_caller(caller)
        return caller

    def _incoming(self, request: Any) -> Any:
        if self._request_streaming:
            return self._valid_messages(request)
        return self._interceptor.validated(self._method, request)

    async def _valid_messages(self, requests: AsyncIterator[Message]) -> AsyncIterator[Message]:
        async for request in requests:
            yield self._interceptor.validated(self._method, request)

    async def _answer(self, context: Context, error: Exception) -> NoReturn:
        if isinstance(error, _Told):
            await self._end(context, error.error)
        if isinstance(error, AlertHubError) and type(error) is not AlertHubError:
            await self._end(context, wire_error(error))
        if isinstance(error, NotImplementedError):
            await self._end(context, WireError(grpc.StatusCode.UNIMPLEMENTED, Denial.NOT_SERVED.value))
        await self._fail(context)

    async def _fail(self, context: Context) -> NoReturn:
        log.exception("rpc_failed", method=self._method)
        await self._end(context, WireError(grpc.StatusCode.INTERNAL, Denial.INTERNAL.value))

    async def _end(self, context: Context, error: WireError) -> NoReturn:
        self._count(context, error.code)
        await context.abort(error.code, error.text, error.trailing_metadata())

    def _count(self, context: Context, code: grpc.StatusCode) -> None:
        # A handler that ended the call itself has told its own code.
        told: Any = context.code()
        number = told.value[0] if isinstance(told, grpc.StatusCode) else told
        _handled.labels(self._method, _CODE_NAMES.get(number or code.value[0], code.name)).inc()
