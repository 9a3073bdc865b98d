"""HTTPS for devices: `POST /v1/ingest/{adapter}`.

The answer 200 means that Kafka has every event of the request (C1). Errors are problem details (RFC 9457).
No path is ever logged: with the class URL token it holds the device's secret (S3).
"""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from starlette.responses import Response
from starlette.routing import Route

from alerthub.domain.errors import AlertHubError, DeadLetter, NotAllowed, Refuse, Retry
from alerthub.identity import NotAuthenticatedError
from alerthub.telemetry import logger
from services.gateway import metrics
from services.gateway.adapters import ADAPTERS, AdapterContext, TooLarge, UnsupportedContent
from services.gateway.admittance import TooManyRequests
from services.gateway.authentication import Authenticator, Proven
from services.gateway.handlers import Intake
from services.gateway.http_body import BodyTimeout, Disconnected, read_body
from services.gateway.settings import GatewaySettings

log = logger(__name__)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Authenticate = Callable[[Scope, Mapping[str, str]], Proven]

_UNKNOWN_ADAPTER = "unknown"


def build_app(settings: GatewaySettings, intake: Intake, authenticator: Authenticator) -> FastAPI:
    """The application behind TLS: Basic, URL token or client certificate."""

    def by_header_or_certificate(scope: Scope, headers: Mapping[str, str]) -> Proven:
        header = headers.get("authorization", "")
        certificate = scope["state"].get("client_certificate", b"")
        if not header and certificate:
            return authenticator.certificate(certificate)
        return authenticator.basic(header, address=_address(scope))

    def by_url_token(scope: Scope, _: Mapping[str, str]) -> Proven:
        parameters = scope["path_params"]
        return authenticator.url_token(parameters["device_id"], parameters["secret"], address=_address(scope))

    return _app(
        {
            "/v1/ingest/{adapter}": _Ingest(settings, intake, by_header_or_certificate),
            "/v1/ingest/{adapter}/token/{device_id}/{secret}": _Ingest(settings, intake, by_url_token),
        }
    )


def build_plain_app(settings: GatewaySettings, intake: Intake, authenticator: Authenticator) -> FastAPI:
    """The application without TLS: devices of the class network only, by address. It reads no credential."""

    def by_address(scope: Scope, _: Mapping[str, str]) -> Proven:
        return authenticator.network(scope["path_params"]["device_id"], address=_address(scope))

    return _app({"/v1/ingest/{adapter}/network/{device_id}": _Ingest(settings, intake, by_address)})


def _app(routes: Mapping[str, _Ingest]) -> FastAPI:
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    for path, endpoint in routes.items():
        # Straight to ASGI: what FastAPI does for typed handlers costs more than the whole rest of a request.
        app.router.routes.append(Route(path, endpoint=endpoint, methods=["POST"]))
    app.add_exception_handler(404, _not_found)
    app.add_exception_handler(405, _not_found)
    return app


async def _not_found(_: Any, __: Exception) -> Response:
    problem = _problem(HTTPStatus.NOT_FOUND, "POST /v1/ingest/{adapter}", ())
    return Response(problem, HTTPStatus.NOT_FOUND, media_type="application/problem+json")


class _Ingest:
    """One endpoint: authenticate, read, parse, accept, answer."""

    def __init__(self, settings: GatewaySettings, intake: Intake, authenticate: Authenticate) -> None:
        self._settings = settings
        self._intake = intake
        self._authenticate = authenticate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        adapter = scope["path_params"]["adapter"]
        label = adapter if adapter in ADAPTERS else _UNKNOWN_ADAPTER
        try:
            body = await self._answer(adapter, scope, receive)
        except Disconnected:
            metrics.refused.labels(label, "disconnected").inc()
            return
        except AlertHubError as error:
            await self._refuse(error, label, send)
            return
        await _respond(send, HTTPStatus.OK, body, "application/json")

    async def _answer(self, adapter: str, scope: Scope, receive: Receive) -> bytes:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        proven = self._authenticate(scope, headers)
        parse = ADAPTERS.get(adapter)
        if parse is None:
            raise UnsupportedContent("adapter", f"one of {', '.join(sorted(ADAPTERS))}")
        body = await read_body(
            receive,
            headers,
            maximum_bytes=self._settings.maximum_body_bytes,
            seconds=self._settings.body_seconds,
        )
        began = time.perf_counter()
        events = parse(headers.get("content-type", ""), body, AdapterContext(headers))
        receipt = await self._intake.accept(proven.device_id, proven.used, adapter, events)
        metrics.request_seconds.labels(adapter).observe(time.perf_counter() - began)
        answer = {"acknowledged": receipt.acknowledged}
        if receipt.late:
            answer["late"] = receipt.late
        if receipt.stripped:
            answer["identifiers_dropped"] = receipt.stripped
        return json.dumps(answer).encode()

    async def _refuse(self, error: AlertHubError, label: str, send: Send) -> None:
        status, reason = _status(error)
        metrics.refused.labels(label, reason).inc()
        log.info("request_refused", adapter=label, status=status.value, reason=reason)
        headers = []
        errors: tuple[tuple[str, str], ...] = ()
        detail = ""
        if isinstance(error, Refuse):
            errors = ((error.field, error.expected),)
            detail = f"{error.field}: expected {error.expected}"
        elif isinstance(error, Retry):
            detail = error.reason
            headers.append((b"retry-after", str(max(1, round(error.after_seconds))).encode()))
        elif isinstance(error, NotAuthenticatedError):
            detail = error.reason
            headers.append((b"www-authenticate", b'Basic realm="alerthub", charset="UTF-8"'))
        if status in (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.REQUEST_TIMEOUT):
            # The rest of the body is not waited for.
            headers.append((b"connection", b"close"))
        await _respond(send, status, _problem(status, detail, errors), "application/problem+json", headers)


_STATUSES: tuple[tuple[type[AlertHubError], HTTPStatus, str], ...] = (
    (NotAuthenticatedError, HTTPStatus.UNAUTHORIZED, "unauthenticated"),
    (NotAllowed, HTTPStatus.FORBIDDEN, "not_allowed"),
    (BodyTimeout, HTTPStatus.REQUEST_TIMEOUT, "too_slow"),
    (TooLarge, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large"),
    (UnsupportedContent, HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "unsupported"),
    (Refuse, HTTPStatus.UNPROCESSABLE_ENTITY, "invalid"),
    (TooManyRequests, HTTPStatus.TOO_MANY_REQUESTS, "too_many"),
    (Retry, HTTPStatus.SERVICE_UNAVAILABLE, "not_ready"),
    (DeadLetter, HTTPStatus.UNPROCESSABLE_ENTITY, "invalid"),
)


def _status(error: AlertHubError) -> tuple[HTTPStatus, str]:
    for kind, status, reason in _STATUSES:
        if isinstance(error, kind):
            return status, reason
    return HTTPStatus.INTERNAL_SERVER_ERROR, "failed"


def _problem(status: HTTPStatus, detail: str, errors: tuple[tuple[str, str], ...]) -> bytes:
    return json.dumps(
        {
            "type": f"urn:alerthub:problem:{status.phrase.lower().replace(' ', '-')}",
            "title": status.phrase,
            "status": status.value,
            "detail": detail,
            "errors": [{"field": field, "expected": expected} for field, expected in errors],
        },
        ensure_ascii=False,
    ).encode()


async def _respond(
    send: Send,
    status: HTTPStatus,
    body: bytes,
    media_type: str,
    headers: list[tuple[bytes, bytes]] | None = None,
) -> None:
    fixed = [
        (b"content-type", media_type.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
    ]
    await send({"type": "http.response.start", "status": status.value, "headers": [*fixed, *(headers or ())]})
    await send({"type": "http.response.body", "body": body})


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else ""
