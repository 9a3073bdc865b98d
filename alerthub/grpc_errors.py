"""Errors between Python and the wire: gRPC status codes with google.rpc details, both ways. No value is
repeated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]

from alerthub.domain.errors import (
    AlertHubError,
    Conflict,
    DeadLetter,
    NotAllowed,
    NotFound,
    Refuse,
    Retry,
    TooOften,
)
from alerthub.identity import NotAuthenticatedError

STATUS_DETAILS_KEY = "grpc-status-details-bin"


@dataclass(frozen=True, slots=True)
class WireError:
    """What a failed RPC tells its caller."""

    code: grpc.StatusCode
    text: str
    details: tuple[Message, ...] = ()

    def trailing_metadata(self) -> tuple[tuple[str, bytes], ...]:
        """The google.rpc.Status for the trailer that clients read details from."""
        if not self.details:
            return ()
        number: int = self.code.value[0]
        status = status_pb2.Status(code=number, message=self.text)
        for detail in self.details:
            packed = any_pb2.Any()
            packed.Pack(detail)
            status.details.append(packed)
        return ((STATUS_DETAILS_KEY, status.SerializeToString()),)


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One field of a request that is not as expected."""

    field: str
    expected: str


def invalid(violations: Sequence[FieldViolation]) -> WireError:
    """INVALID_ARGUMENT that names every field and what was expected."""
    text = "; ".join(f"{violation.field}: {violation.expected}" for violation in violations[:3])
    request = error_details_pb2.BadRequest()
    for violation in violations[:50]:
        request.field_violations.add(field=violation.field, description=violation.expected)
    return WireError(grpc.StatusCode.INVALID_ARGUMENT, text, (request,))


_REFUSALS: tuple[tuple[type[Refuse], grpc.StatusCode], ...] = (
    (NotFound, grpc.StatusCode.NOT_FOUND),
    (NotAllowed, grpc.StatusCode.PERMISSION_DENIED),
    (Conflict, grpc.StatusCode.FAILED_PRECONDITION),
    (Refuse, grpc.StatusCode.INVALID_ARGUMENT),
)


def wire_error(error: AlertHubError) -> WireError:
    """What a caller is told about an error that was raised on purpose."""
    if isinstance(error, Refuse):
        told = invalid([FieldViolation(error.field, error.expected)])
        code = next(code for kind, code in _REFUSALS if isinstance(error, kind))
        return WireError(code, told.text, told.details)
    if isinstance(error, TooOften):
        # Not UNAVAILABLE: channels repeat that by themselves.
        code = grpc.StatusCode.RESOURCE_EXHAUSTED
        return WireError(code, error.reason, (_retry_info(error.after_seconds),))
    if isinstance(error, Retry):
        return unavailable(error.reason, error.after_seconds)
    if isinstance(error, NotAuthenticatedError):
        return WireError(grpc.StatusCode.UNAUTHENTICATED, error.reason)
    if isinstance(error, DeadLetter):
        return WireError(grpc.StatusCode.INVALID_ARGUMENT, error.reason)
    return WireError(grpc.StatusCode.INTERNAL, "an internal error")


def unavailable(reason: str, after_seconds: float = 1.0) -> WireError:
    """UNAVAILABLE with the wait that is advised."""
    return WireError(grpc.StatusCode.UNAVAILABLE, reason, (_retry_info(after_seconds),))


def _retry_info(after_seconds: float) -> Message:
    delay = duration_pb2.Duration()
    delay.FromNanoseconds(int(after_seconds * 1e9))
    told: Message = error_details_pb2.RetryInfo(retry_delay=delay)
    return told


def error_of(call_error: grpc.RpcError) -> AlertHubError:
    """The error that a failed call stands for: the reverse of `wire_error`, for clients.

    A deadline that passed and a server that is not there become Retry; what the server did not explain is a
    Refuse of the field `request` with its text.
    """
    code = call_error.code() if isinstance(call_error, grpc.Call | grpc.aio.AioRpcError) else None
    text = _text(call_error)
    if code in {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.CANCELLED,
    }:
        return Retry(text or "the service does not answer")
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        return TooOften(text)
    if code is grpc.StatusCode.UNAUTHENTICATED:
        return NotAuthenticatedError(text)
    violations = field_violations(call_error)
    first = violations[0] if violations else FieldViolation("request", text)
    for kind, refused in _REFUSALS:
        if code is refused:
            return kind(first.field, first.expected)
    return AlertHubError(f"{code.name if code else 'UNKNOWN'}: {text}")


def _text(call_error: grpc.RpcError) -> str:
    return (call_error.details() or "") if isinstance(call_error, grpc.Call | grpc.aio.AioRpcError) else ""


def field_violations(call_error: grpc.RpcError) -> list[FieldViolation]:
    """The google.rpc.BadRequest violations of a failed call; empty when it carries none."""
    if not isinstance(call_error, grpc.Call | grpc.aio.AioRpcError):
        return []
    found: list[FieldViolation] = []
    for key, value in call_error.trailing_metadata() or ():
        if key != STATUS_DETAILS_KEY or not isinstance(value, bytes):
            continue
        try:
            details = status_pb2.Status.FromString(value).details
        except DecodeError:
            continue
        for detail in details:
            request = error_details_pb2.BadRequest()
            if detail.Is(request.DESCRIPTOR):
                detail.Unpack(request)
                found += [FieldViolation(v.field, v.description) for v in request.field_violations]
    return found
