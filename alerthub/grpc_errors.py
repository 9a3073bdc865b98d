"""Errors between Python and the wire: gRPC status codes with google.rpc details, both ways. No value is
repeated.

The status and its details are in English; what a person may read has its Chinese beside it, as the detail
google.rpc.LocalizedMessage.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]

from alerthub.domain.denials import Denial
from alerthub.domain.errors import (
    AlertHubError,
    Conflict,
    DeadLetter,
    NotAllowed,
    NotFound,
    Refuse,
    Retry,
    TooOften,
    in_words,
)
from alerthub.domain.texts import LocalizedText
from alerthub.identity import NotAuthenticatedError

STATUS_DETAILS_KEY = "grpc-status-details-bin"
CHINESE = "zh-CN"
_LONGEST_ADVISED_SECONDS = 3_600.0
_UNANSWERED = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.CANCELLED,
    }
)


@dataclass(frozen=True, slots=True)
class WireError:
    """What a failed RPC tells its caller."""

    code: grpc.StatusCode
    words: LocalizedText
    details: tuple[Message, ...] = ()

    @property
    def text(self) -> str:
        """In English, for the status."""
        return self.words.english

    def trailing_metadata(self) -> tuple[tuple[str, bytes], ...]:
        """The google.rpc.Status for the trailer that clients read details from."""
        details = self.details
        if self.words.chinese:
            told: Message = error_details_pb2.LocalizedMessage(locale=CHINESE, message=self.words.chinese)
            details = (*details, told)
        if not details:
            return ()
        number: int = self.code.value[0]
        status = status_pb2.Status(code=number, message=self.text)
        for detail in details:
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
    return WireError(grpc.StatusCode.INVALID_ARGUMENT, in_words(text), (request,))


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
        return WireError(code, LocalizedText(error.words.chinese, told.text), told.details)
    if isinstance(error, TooOften):
        # Not UNAVAILABLE: channels repeat that by themselves.
        code = grpc.StatusCode.RESOURCE_EXHAUSTED
        return WireError(code, error.words, (_retry_info(error.after_seconds),))
    if isinstance(error, Retry):
        return WireError(grpc.StatusCode.UNAVAILABLE, error.words, (_retry_info(error.after_seconds),))
    if isinstance(error, NotAuthenticatedError):
        return WireError(grpc.StatusCode.UNAUTHENTICATED, error.words)
    if isinstance(error, DeadLetter):
        return WireError(grpc.StatusCode.INVALID_ARGUMENT, in_words(error.reason))
    return WireError(grpc.StatusCode.INTERNAL, Denial.INTERNAL.value)


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
    text, chinese = _text(call_error), _chinese(call_error)
    if code in _UNANSWERED:
        unexplained = Denial.NOT_ANSWERED.value
        words = LocalizedText(chinese or unexplained.chinese, text or unexplained.english)
        return Retry(words, after_seconds=_advised_wait(call_error))
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        return TooOften(LocalizedText(chinese, text), after_seconds=_advised_wait(call_error))
    if code is grpc.StatusCode.UNAUTHENTICATED:
        return NotAuthenticatedError(LocalizedText(chinese, text))
    violations = field_violations(call_error)
    first = violations[0] if violations else FieldViolation("request", text)
    for kind, refused in _REFUSALS:
        if code is refused:
            return kind(first.field, LocalizedText(chinese, first.expected))
    return AlertHubError(f"{code.name if code else 'UNKNOWN'}: {text}")


def _text(call_error: grpc.RpcError) -> str:
    return (call_error.details() or "") if isinstance(call_error, grpc.Call | grpc.aio.AioRpcError) else ""


def _chinese(call_error: grpc.RpcError) -> str:
    """What the server said in Chinese; empty where it did not."""
    messages = _details(call_error, error_details_pb2.LocalizedMessage)
    return next((str(each.message) for each in messages if each.locale == CHINESE), "")


def _advised_wait(call_error: grpc.RpcError) -> float:
    """The seconds that the server advised, at most an hour; one where it advised nothing."""
    advised = (each.retry_delay for each in _details(call_error, error_details_pb2.RetryInfo))
    seconds = next((delay.seconds + delay.nanos / 1e9 for delay in advised), 1.0)
    return min(max(0.0, seconds), _LONGEST_ADVISED_SECONDS)


def field_violations(call_error: grpc.RpcError) -> list[FieldViolation]:
    """The google.rpc.BadRequest violations of a failed call; empty when it carries none."""
    return [
        FieldViolation(violation.field, violation.description)
        for request in _details(call_error, error_details_pb2.BadRequest)
        for violation in request.field_violations
    ]


def _details(call_error: grpc.RpcError, kind: type[Message]) -> list[Any]:
    """The details of this kind that a failed call carries."""
    if not isinstance(call_error, grpc.Call | grpc.aio.AioRpcError):
        return []
    found: list[Any] = []
    for key, value in call_error.trailing_metadata() or ():
        if key != STATUS_DETAILS_KEY or not isinstance(value, bytes):
            continue
        try:
            details = status_pb2.Status.FromString(value).details
        except DecodeError:
            continue
        for packed in details:
            detail = kind()
            if packed.Unpack(detail):
                found.append(detail)
    return found
