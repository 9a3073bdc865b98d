"""What holds for every answer and every request, before any route sees it."""

from __future__ import annotations

import time
from http import HTTPStatus

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from alerthub.domain.denials import Denial
from services.console import metrics, problems

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_METHODS = SAFE_METHODS | {"POST", "DELETE"}
API_POLICY = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'"
_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "strict-transport-security": "max-age=31536000",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


def page_policy(nonce: str) -> str:
    """The policy of the page: nothing from elsewhere, no script in the text, styles with this nonce."""
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            f"style-src 'self' 'nonce-{nonce}'",
            "img-src 'self' blob: data:",
            "font-src 'self'",
            "worker-src 'self' blob:",
            "connect-src 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "form-action 'self'",
        )
    )


class Guard:
    """Refuses what comes from another origin or is too large, and puts the headers on every answer."""

    def __init__(self, app: ASGIApp, *, public_origin: str, maximum_body_bytes: int) -> None:
        self._app = app
        self._public_origin = public_origin
        self._maximum_body_bytes = maximum_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        began = time.perf_counter()
        is_api = request.url.path.startswith("/api/")

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("content-security-policy", API_POLICY)
                if is_api:
                    headers["cache-control"] = "no-store"
                # Whoever sends may invent methods.
                label = request.method if request.method in _METHODS else "other"
                metrics.SECONDS.labels(label).observe(time.perf_counter() - began)
            await send(message)

        if request.method not in SAFE_METHODS and not self._is_own_origin(request):
            status, denial = HTTPStatus.FORBIDDEN, Denial.OTHER_ORIGIN
        elif self._is_too_large(request):
            status, denial = HTTPStatus.REQUEST_ENTITY_TOO_LARGE, Denial.BODY_TOO_LARGE
        else:
            await self._app(scope, receive, send_with_headers)
            return
        metrics.REFUSED.labels("none", str(status.value)).inc()
        await problems.problem(status, denial.value)(scope, receive, send_with_headers)

    def _is_own_origin(self, request: Request) -> bool:
        """Browsers name the origin of every request that is not only read; whoever names none is refused."""
        own = self._public_origin or f"https://{request.headers.get('host', '')}"
        return request.headers.get("origin", "") == own

    def _is_too_large(self, request: Request) -> bool:
        """A body comes with its length: one of unknown length is not taken."""
        if "transfer-encoding" in request.headers:
            return True
        length = request.headers.get("content-length", "0")
        return not length.isdecimal() or len(length) > 9 or int(length) > self._maximum_body_bytes
