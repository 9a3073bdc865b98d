"""HTTPS for devices: `POST /v1/ingest/{adapter}`.

The answer 200 means that Kafka has every event of the request (C1). Errors are problem details (RFC 9457).
No path is ever logged: with the class URL token it holds the device's secret (S3).
"""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from functools import lru_cache
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

from alerthub.domain.errors import AlertHubError, DeadLetter, NotAllowed, Refuse, Retry
from alerthub.identity import NotAuthenticatedError
from alerthub.telemetry import logger
from services.gateway import metrics
from services.gateway.adapters import ADAPTERS, AdapterContext, TooLarge, UnsupportedContent
from services.gateway.admittance import TooManyRequests
from services.gateway.authentication import Authenticator, DigestRequired, Proven
from services.gateway.handlers import Intake, Receipt
from services.gateway.http_body import BodyTimeout, Disconnected, read_body
from services.gateway.settings import GatewaySettings

log = logger(__name__)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Authenticate = Callable[[Scope, Mapping[str, str], Sequence[str]], Proven]

_UNKNOWN_ADAPTER = "unknown"
_PROBLEM = "application/problem+json"
_BASIC = 'Basic realm="alerthub", charset="UTF-8"'


class Application:
    """The ASGI application: one path with its variants, so that a router would cost more than it finds.

    `/v1/ingest/ADAPTER`, `/v1/ingest/ADAPTER/digest`, `/v1/ingest/ADAPTER/token/DEVICE/SECRET` and, without
    TLS, `/v1/ingest/ADAPTER/network/DEVICE`.
    """

    def __init__(self, endpoints: Mapping[tuple[str, int], _Ingest]) -> None:
        """`endpoints` by the word behind the adapter and the number of further segments."""
        self._endpoints = endpoints

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        # The raw path: a percent-encoded slash in a segment is part of the segment.
        segments = scope["raw_path"].decode("latin-1").split("/")
        endpoint = None
        if segments[:3] == ["", "v1", "ingest"] and len(segments) >= 4:
            word = segments[4] if len(segments) > 4 else ""
            endpoint = self._endpoints.get((word, len(segments) - 4))
        if endpoint is None:
            await _respond(
                send, HTTPStatus.NOT_FOUND, _problem(HTTPStatus.NOT_FOUND, "no such path", ()), _PROBLEM
            )
        elif scope["method"] != "POST":
            status = HTTPStatus.METHOD_NOT_ALLOWED
            await _respond(send, status, _problem(status, "POST", ()), _PROBLEM, [(b"allow", b"POST")])
        else:
            await endpoint(scope, receive, send, [unquote(segment) for segment in segments[3:]])


def build_app(settings: GatewaySettings, intake: Intake, authenticator: Authenticator) -> Application:
    """The application behind TLS: Basic, Digest, URL token or client certificate.

    Digest has a path of its own: a device that were offered both would take it, with the password for Basic.
    """

    def by_header_or_certificate(scope: Scope, headers: Mapping[str, str], segments: Sequence[str]) -> Proven:
        header = headers.get("authorization", "")
        certificate = scope["state"].get("client_certificate", b"")
        if not header and certificate:
            return authenticator.certificate(certificate)
        return authenticator.basic(header, address=_address(scope))

    def by_url_token(scope: Scope, headers: Mapping[str, str], segments: Sequence[str]) -> Proven:
        return authenticator.url_token(segments[2], segments[3], address=_address(scope))

    def by_digest(scope: Scope, headers: Mapping[str, str], segments: Sequence[str]) -> Proven:
        target = scope["raw_path"].decode("latin-1")
        if scope["query_string"]:
            target += "?" + scope["query_string"].decode("latin-1")
        header = headers.get("authorization", "")
        return authenticator.digest(header, method=scope["method"], target=target, address=_address(scope))

    endpoints = {
        ("", 0): _Ingest(settings, intake, by_header_or_certificate),
        ("token", 3): _Ingest(settings, intake, by_url_token),
    }
    if authenticator.has_digest:
        endpoints["digest", 1] = _Ingest(settings, intake, by_digest)
    return Application(endpoints)


def build_plain_app(settings: GatewaySettings, intake: Intake, authenticator: Authenticator) -> Application:
    """The application without TLS: devices of the class network only, by address. It reads no credential."""

    def by_address(scope: Scope, headers: Mapping[str, str], segments: Sequence[str]) -> Proven:
        return authenticator.network(segments[2], address=_address(scope))

    return Application({("network", 2): _Ingest(settings, intake, by_address)})


class _Ingest:
    """One endpoint: authenticate, read, parse, accept, answer."""

    def __init__(self, settings: GatewaySettings, intake: Intake, authenticate: Authenticate) -> None:
        self._settings = settings
        self._intake = intake
        self._authenticate = authenticate

    async def __call__(self, scope: Scope, receive: Receive, send: Send, segments: Sequence[str]) -> None:
        adapter = segments[0]
        label = adapter if adapter in ADAPTERS else _UNKNOWN_ADAPTER
        try:
            body = await self._answer(segments, scope, receive)
        except Disconnected:
            metrics.refused.labels(label, "disconnected").inc()
            return
        except AlertHubError as error:
            await self._refuse(error, label, send)
            return
        await _respond(send, HTTPStatus.OK, body, "application/json")

    async def _answer(self, segments: Sequence[str], scope: Scope, receive: Receive) -> bytes:
        adapter = segments[0]
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        proven = self._authenticate(scope, headers, segments)
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
        return _receipt(receipt)

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
            challenges = error.challenges if isinstance(error, DigestRequired) else (_BASIC,)
            for challenge in challenges:
                headers.append((b"www-authenticate", challenge.encode()))
        if status in (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.REQUEST_TIMEOUT):
            # The rest of the body is not waited for.
            headers.append((b"connection", b"close"))
        await _respond(send, status, _problem(status, detail, errors), _PROBLEM, headers)


@lru_cache(maxsize=256)
def _receipt(receipt: Receipt) -> bytes:
    answer = {"acknowledged": receipt.acknowledged}
    if receipt.late:
        answer["late"] = receipt.late
    if receipt.stripped:
        answer["identifiers_dropped"] = receipt.stripped
    return json.dumps(answer).encode()


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
