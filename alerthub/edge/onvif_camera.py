"""A camera's pull point over HTTP: subscribe, pull, renew, unsubscribe.

The one address that is connected to is the configured one. A camera answers with further addresses, of its
event service and of each subscription: one of another host is refused, and of the others the path alone is
used (S4).
"""

from __future__ import annotations

import asyncio
import os
import ssl
import time
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import httpx

from alerthub.domain.errors import NotAllowed, Refuse, Retry
from alerthub.edge import onvif_soap as soap

MAXIMUM_ANSWER_BYTES = 4 * 1024 * 1024
DEVICE_SERVICE = "/onvif/device_service"
"""Fixed by the Core Specification."""
_ANSWER_SECONDS = 10.0
_FAULT_STATUSES = frozenset({200, 400, 500})
"""With which SOAP 1.2 over HTTP answers, faults included."""

Answer = TypeVar("Answer")


class CameraAuthentication(StrEnum):
    """How the client proves itself to the camera: HTTP Digest, or a UsernameToken with a digest in each
    request. Neither sends the password."""

    DIGEST = "digest"
    WS_SECURITY = "ws-security"


@dataclass(frozen=True, slots=True)
class CameraSettings:
    """Where a camera is and how to sign in there."""

    origin: str
    """`https://10.1.2.3`: no path."""
    user: str
    password: str = field(repr=False)
    authentication: CameraAuthentication = CameraAuthentication.DIGEST
    ca_file: Path | None = None
    """The authority of the camera's certificate, for https."""
    lease_seconds: int = 120
    """Short: that long a killed client's subscription takes one of the camera's few places."""
    pull_seconds: int = 20
    """How long the camera waits for something to tell."""


def path_of(address: str, *, origin: str, peer: str) -> str:
    """Path and query of an address that a camera named. Refuses an address that is not of the camera: of the
    host and port of `origin`, by the name there or by the address `peer` that it turned out to have."""
    try:
        named, own = httpx.URL(address), httpx.URL(origin)
    except httpx.InvalidURL:
        raise Refuse("the camera's answer", "an address of its own") from None
    hosts = {own.host.lower(), peer.lower()}
    if named.scheme not in ("http", "https") or named.host.lower() not in hosts or named.userinfo:
        raise Refuse("the camera's answer", "an address of its own; it names another host")
    if named.scheme == own.scheme and _port(named) != _port(own):
        raise Refuse("the camera's answer", "an address of its own; it names another port")
    return named.raw_path.decode("ascii")


def _port(url: httpx.URL) -> int:
    return url.port or (443 if url.scheme == "https" else 80)


class PullPoint:
    """One camera. An async context manager; not for several tasks at a time.

    Raises Retry where the camera does not answer, `SubscriptionEnded` where it forgot, NotAllowed where it
    refuses the user, and Refuse where its answer makes no sense.
    """

    def __init__(self, settings: CameraSettings, *, clock: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._clock = clock
        self._ahead = timedelta(0)
        self._peer = ""
        self._events = ""
        trust: ssl.SSLContext | bool = True
        if settings.ca_file is not None:
            trust = ssl.create_default_context(cafile=str(settings.ca_file))
        digest = settings.authentication is CameraAuthentication.DIGEST
        self._http = httpx.AsyncClient(
            base_url=settings.origin,
            auth=httpx.DigestAuth(settings.user, settings.password) if digest else None,
            transport=_BoundedTransport(trust),
            trust_env=False,
            follow_redirects=False,
            headers={"accept-encoding": "identity"},
            timeout=_ANSWER_SECONDS,
        )

    async def __aenter__(self) -> PullPoint:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def subscribe(self) -> soap.Subscribed:
        """A new pull point, for `lease_seconds` unless the camera grants another time."""
        if self._settings.authentication is CameraAuthentication.WS_SECURITY:
            await self._learn_clock()
        if not self._events:
            self._events = await self._event_service()
        request = soap.create_pull_point_subscription(self._settings.lease_seconds)
        made = await self._ask(
            request, soap.Address(self._uri(self._events)), self._events, soap.read_subscription
        )
        self._path(made.address)
        return made

    async def pull(self, subscription: soap.Address, *, seconds: float, limit: int) -> soap.Pulled:
        """What the camera has to tell, as soon as there is something; nothing after `seconds`, at most
        `pull_seconds`."""
        seconds = max(1, min(self._settings.pull_seconds, int(seconds)))
        return await self._ask(
            soap.pull_messages(seconds=seconds, limit=limit),
            subscription,
            self._path(subscription),
            soap.read_messages,
            seconds=seconds + _ANSWER_SECONDS,
        )

    async def renew(self, subscription: soap.Address) -> float:
        """For how many seconds more; 0 where the camera does not say."""
        request = soap.renew(self._settings.lease_seconds)
        return await self._ask(request, subscription, self._path(subscription), soap.read_renewal)

    async def unsubscribe(self, subscription: soap.Address) -> None:
        await self._ask(soap.unsubscribe(), subscription, self._path(subscription), soap.read_end)

    async def _learn_clock(self) -> None:
        """A camera refuses a token that its own clock does not call fresh."""
        told = await self._ask(
            soap.get_system_date_and_time(),
            soap.Address(self._uri(DEVICE_SERVICE)),
            DEVICE_SERVICE,
            soap.read_clock,
            anonymous=True,
        )
        self._ahead = told - self._now()

    async def _event_service(self) -> str:
        to = soap.Address(self._uri(DEVICE_SERVICE))
        try:
            found = await self._ask(soap.get_services(), to, DEVICE_SERVICE, soap.read_event_service)
        except soap.FaultError:
            found = await self._ask(soap.get_capabilities(), to, DEVICE_SERVICE, soap.read_event_service)
        return path_of(found, origin=self._settings.origin, peer=self._peer)

    def _path(self, subscription: soap.Address) -> str:
        return path_of(subscription.uri, origin=self._settings.origin, peer=self._peer)

    def _uri(self, path: str) -> str:
        return f"{self._settings.origin.rstrip('/')}{path}"

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)

    def _token(self) -> soap.UsernameToken | None:
        if self._settings.authentication is not CameraAuthentication.WS_SECURITY:
            return None
        created = self._now() + self._ahead
        return soap.UsernameToken(self._settings.user, self._settings.password, os.urandom(16), created)

    async def _ask(
        self,
        request: soap.Request,
        to: soap.Address,
        path: str,
        read: Callable[[bytes], Answer],
        *,
        seconds: float = _ANSWER_SECONDS,
        anonymous: bool = False,
    ) -> Answer:
        content = request.envelope(
            to, message_id=uuid.uuid4().urn, token=None if anonymous else self._token()
        )
        kind = f'application/soap+xml; charset=utf-8; action="{request.action}"'
        try:
            async with asyncio.timeout(seconds):
                answer = await self._http.post(
                    path, content=content, headers={"content-type": kind}, timeout=seconds
                )
        except (httpx.HTTPError, TimeoutError) as error:
            raise Retry(f"the camera does not answer: {type(error).__name__}") from None
        if answer.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            raise NotAllowed("user", "a user of the camera that may read events, with its password")
        if answer.status_code not in _FAULT_STATUSES:
            raise Retry(f"the camera answered {answer.status_code}")
        self._peer = _peer(answer) or self._peer
        return read(answer.content)


def _peer(answer: httpx.Response) -> str:
    """The address that the answer came from."""
    stream = answer.extensions.get("network_stream")
    address = stream.get_extra_info("server_addr") if stream is not None else None
    return str(address[0]) if address else ""


class _BoundedTransport(httpx.AsyncBaseTransport):
    """Ends a connection whose answer is too long or packed, whoever reads it, also while signing in."""

    def __init__(self, trust: ssl.SSLContext | bool) -> None:
        self._inner = httpx.AsyncHTTPTransport(verify=trust, limits=httpx.Limits(max_connections=2))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = await self._inner.handle_async_request(request)
        if answer.headers.get("content-encoding", "identity").lower() != "identity":
            await answer.aclose()
            raise httpx.DecodingError("packed", request=request)
        if not isinstance(answer.stream, httpx.AsyncByteStream):
            raise httpx.ReadError("no stream", request=request)
        return httpx.Response(
            answer.status_code,
            headers=answer.headers,
            stream=_BoundedStream(answer.stream, request),
            extensions=answer.extensions,
        )

    async def aclose(self) -> None:
        await self._inner.aclose()


class _BoundedStream(httpx.AsyncByteStream):
    def __init__(self, inner: httpx.AsyncByteStream, request: httpx.Request) -> None:
        self._inner = inner
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        total = 0
        async for chunk in self._inner:
            total += len(chunk)
            if total > MAXIMUM_ANSWER_BYTES:
                raise httpx.ReadError("too long", request=self._request)
            yield chunk

    async def aclose(self) -> None:
        await self._inner.aclose()
