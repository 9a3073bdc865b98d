"""Errors as the page gets them: problem details (RFC 9457). No value is repeated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus

from fastapi.exceptions import RequestValidationError
from starlette.requests import Request
from starlette.responses import Response

from alerthub.domain.denials import Denial
from alerthub.domain.errors import (
    AlertHubError,
    Conflict,
    NotAllowed,
    NotFound,
    Refuse,
    Retry,
    TooOften,
    in_words,
)
from alerthub.domain.texts import LocalizedText
from alerthub.identity import NotAuthenticatedError
from alerthub.telemetry import logger
from services.console import metrics
from services.console.models import FieldError, Problem

log = logger(__name__)

MEDIA_TYPE = "application/problem+json"
VERSION_FIELD = "alert_version"
"""A conflict in it means: the alert is not as the operator saw it."""

_STATUSES: tuple[tuple[type[AlertHubError], HTTPStatus], ...] = (
    (NotAuthenticatedError, HTTPStatus.UNAUTHORIZED),
    (NotAllowed, HTTPStatus.FORBIDDEN),
    (NotFound, HTTPStatus.NOT_FOUND),
    (Conflict, HTTPStatus.CONFLICT),
    (Refuse, HTTPStatus.BAD_REQUEST),
    (TooOften, HTTPStatus.TOO_MANY_REQUESTS),
    (Retry, HTTPStatus.SERVICE_UNAVAILABLE),
)


def status_of(error: AlertHubError) -> HTTPStatus:
    """The status that tells the page what happens next."""
    if isinstance(error, Conflict) and error.field == VERSION_FIELD:
        return HTTPStatus.PRECONDITION_FAILED
    return next(
        (status for kind, status in _STATUSES if isinstance(error, kind)), HTTPStatus.INTERNAL_SERVER_ERROR
    )


def problem(
    status: HTTPStatus,
    detail: str | LocalizedText,
    errors: Sequence[FieldError] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The answer."""
    words = in_words(detail)
    body = Problem(
        type=f"urn:alerthub:problem:{status.phrase.lower().replace(' ', '-')}",
        title=status.phrase,
        status=status.value,
        detail=words.english,
        detail_chinese=words.chinese,
        errors=list(errors),
    )
    return Response(body.model_dump_json(), status.value, headers, MEDIA_TYPE)


def problem_of(error: AlertHubError) -> Response:
    """The answer to an error that was raised on purpose."""
    status = status_of(error)
    if isinstance(error, Refuse):
        chinese = error.words.chinese
        found = FieldError(field=error.field, expected=error.expected, expected_chinese=chinese)
        english = f"{error.field}: expected {error.expected}"
        return problem(status, LocalizedText(chinese, english), [found])
    if isinstance(error, Retry):
        return problem(status, error.words, headers={"retry-after": str(max(1, round(error.after_seconds)))})
    if isinstance(error, NotAuthenticatedError):
        return problem(status, error.words)
    return problem(status, Denial.INTERNAL.value)


async def answer_error(request: Request, error: Exception) -> Response:
    """For FastAPI: what handlers raised."""
    if isinstance(error, AlertHubError):
        answer = problem_of(error)
        if answer.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            log.warning("request_not_answered", route=route_of(request), error_type=type(error).__name__)
    elif isinstance(error, RequestValidationError):
        # The validator's text can repeat the input; the field and the kind of its fault do not. The name of a
        # field that there is not is input too.
        found = [
            FieldError(
                field="request"
                if each["type"] == "extra_forbidden"
                else ".".join(str(part) for part in each["loc"][1:]),
                expected=str(each["type"]),
            )
            for each in error.errors()[:20]
        ]
        answer = problem(HTTPStatus.BAD_REQUEST, Denial.REQUEST_MALFORMED.value, found)
    else:
        log.error(
            "request_failed", route=route_of(request), exc_info=(type(error), error, error.__traceback__)
        )
        answer = problem(HTTPStatus.INTERNAL_SERVER_ERROR, Denial.INTERNAL.value)
    metrics.REFUSED.labels(route_of(request), str(answer.status_code)).inc()
    return answer


def route_of(request: Request) -> str:
    """The route as it is written in the interface: never a path, which holds what was asked for."""
    return str(getattr(request.scope.get("route"), "path", "none"))
