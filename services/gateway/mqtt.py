"""MQTT for devices: the gateway listens at a broker and acknowledges to it once Kafka has the events (C1).

A topic is `LOGIN/ADAPTER/...`. Who may publish below `LOGIN/` is the broker's to enforce, from the login's
credential; nothing else in topic or payload says which device it was (S3). No topic is ever logged.
"""

from __future__ import annotations

import asyncio
import random
import ssl
import time
from collections import Counter
from collections.abc import Awaitable, Callable

import aiomqtt
from paho.mqtt.reasoncodes import ReasonCode

from alerthub.domain.errors import AlertHubError, DeadLetter, NotAllowed, Refuse, Retry
from alerthub.identity import NotAuthenticatedError
from alerthub.telemetry import logger
from services.gateway import metrics
from services.gateway.adapters import ADAPTERS, AdapterContext, TooLarge, UnsupportedContent
from services.gateway.admittance import TooManyRequests
from services.gateway.authentication import Authenticator
from services.gateway.handlers import Intake
from services.gateway.settings import GatewaySettings

log = logger(__name__)

SUBSCRIPTION = "$share/gateways/+/#"
"""Shared: of several gateways each message goes to one."""
_UNKNOWN_ADAPTER = "unknown"
_FIRST_WAIT_SECONDS = 0.5
_LONGEST_WAIT_SECONDS = 15.0
_STEADY_SECONDS = 60.0
"""A connection that lasted this long was a good one: the next wait is the first again."""
_LONGEST_RETRY_SECONDS = 5.0
_SHARE = 4
"""Of the window, a quarter may wait because one login sends more than it may."""
_KEEP_ALIVE_SECONDS = 15
_ANSWER_SECONDS = 10.0
_REFUSED_FROM = 0x80
"""Return codes of a SUBACK from here on are refusals."""
_CONTENT_TYPES = (
    (b"<", "application/xml"),
    (b"{", "application/json"),
    (b"[", "application/json"),
    (b"--", "multipart/form-data"),
)
"""MQTT names no content type: it is known by the first bytes."""

Handle = Callable[[aiomqtt.Message], Awaitable[None]]


class Away(Exception):
    """The broker is not there, or took the subscription away."""


class MqttEdge:
    """Listens at the broker of `settings.addresses.mqtt`, for as long as it runs."""

    def __init__(self, settings: GatewaySettings, intake: Intake, authenticator: Authenticator) -> None:
        self._settings = settings
        self._intake = intake
        self._authenticator = authenticator
        self._waiting: Counter[str] = Counter()
        self._away: str | None = "the MQTT broker has not answered yet"

    def not_ready_because(self) -> str | None:
        """None while it listens; else one sentence."""
        return self._away

    async def run(self) -> None:
        """Connects, again and again with a longer wait each time. Never returns."""
        wait_seconds = _FIRST_WAIT_SECONDS
        while True:
            began = time.monotonic()
            try:
                await self._connection()
            except Away as error:
                self._away = "the MQTT broker is away"
                metrics.mqtt_connections_lost.inc()
                log.warning("mqtt_broker_away", error_type=type(error.__cause__ or error).__name__)
            if time.monotonic() - began > _STEADY_SECONDS:
                wait_seconds = _FIRST_WAIT_SECONDS
            # Gateways that lost the same broker do not come back in one moment.
            await asyncio.sleep(wait_seconds * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load, hides nothing
            wait_seconds = min(_LONGEST_WAIT_SECONDS, wait_seconds * 2)

    async def _connection(self) -> None:
        client = self._client()
        try:
            async with client:
                codes = await client.subscribe(SUBSCRIPTION, qos=1)
                if any(
                    code.is_failure if isinstance(code, ReasonCode) else code >= _REFUSED_FROM
                    for code in codes
                ):
                    raise Away("the broker refuses the subscription")
                self._away = None
                log.info("mqtt_listening")
                await acknowledged(client, self._handle, window=self._settings.mqtt_window)
        except aiomqtt.MqttError as error:
            raise Away("the connection to the broker has ended") from error

    def _client(self) -> aiomqtt.Client:
        """A client that acknowledges nothing by itself.

        Its session outlives the connection: what comes while no gateway listens waits at the broker.
        """
        settings = self._settings
        host, _, port = settings.addresses.mqtt.rpartition(":")
        trust = ssl.create_default_context(cafile=str(settings.mqtt_ca_file or settings.tls.ca_file))
        trust.load_cert_chain(settings.tls.certificate_file, settings.tls.key_file)
        password = settings.mqtt_password_file
        client = aiomqtt.Client(
            host,
            int(port),
            identifier=settings.gateway_id,
            clean_session=False,
            username=settings.mqtt_username or None,
            password=None if password is None else password.read_text(encoding="utf-8").strip(),
            tls_context=trust,
            keepalive=_KEEP_ALIVE_SECONDS,
            timeout=_ANSWER_SECONDS,
            queue_type=_Incoming,
            # Of quality 0, which nobody acknowledges; the others are bounded by what the broker sends ahead.
            max_queued_incoming_messages=settings.mqtt_window,
        )
        # aiomqtt has no name for it yet (its issue 345). Before it connects: an old session's messages come
        # at once.
        client._client.manual_ack_set(True)
        return client

    async def _handle(self, message: aiomqtt.Message) -> None:
        """Returns once the message's events are on Kafka, or will never be: the reason is counted then."""
        if message.retain:
            # What the broker kept for newcomers was said long ago: a state told again is no event.
            metrics.refused.labels(_UNKNOWN_ADAPTER, "retained").inc()
            return
        login, _, rest = message.topic.value.partition("/")
        levels = tuple(rest.split("/"))
        adapter = levels[0]
        label = adapter if adapter in ADAPTERS else _UNKNOWN_ADAPTER
        while True:
            try:
                await self._accept(login, adapter, levels[1:], bytes(message.payload))
            except Retry as error:
                if await self._waited(login, error):
                    continue
                metrics.refused.labels(label, "too_many").inc()
            except (Refuse, NotAuthenticatedError, DeadLetter) as error:
                reason = _reason(error)
                metrics.refused.labels(label, reason).inc()
                log.info("mqtt_message_refused", adapter=label, reason=reason)
            return

    async def _waited(self, login: str, error: Retry) -> bool:
        """Waits until the event may be tried again. False: too many of the login's wait already, and all the
        others would wait with it."""
        bounded = isinstance(error, TooManyRequests)
        if bounded and self._waiting[login] >= self._settings.mqtt_window // _SHARE:
            return False
        self._waiting[login] += bounded
        try:
            await asyncio.sleep(min(_LONGEST_RETRY_SECONDS, error.after_seconds))
        finally:
            self._waiting[login] -= bounded
            if not self._waiting[login]:
                del self._waiting[login]
        return True

    async def _accept(self, login: str, adapter: str, levels: tuple[str, ...], payload: bytes) -> None:
        proven = self._authenticator.login(login)
        parse = ADAPTERS.get(adapter)
        if parse is None:
            raise UnsupportedContent("adapter", f"one of {', '.join(sorted(ADAPTERS))}")
        if len(payload) > self._settings.maximum_body_bytes:
            raise TooLarge("body", f"at most {self._settings.maximum_body_bytes} bytes")
        began = time.perf_counter()
        events = parse(_content_type(payload), payload, AdapterContext(topic=levels))
        await self._intake.accept(proven.device_id, proven.used, adapter, events)
        metrics.request_seconds.labels(adapter).observe(time.perf_counter() - began)


class _Incoming(asyncio.Queue[aiomqtt.Message]):
    """What has arrived and waits. Messages that somebody repeats are always taken: one that was dropped here
    would wait for its acknowledgement until the connection ends."""

    def __init__(self, maxsize: int = 0) -> None:
        super().__init__()
        self._bound = maxsize

    def put_nowait(self, item: aiomqtt.Message) -> None:
        if item.qos == 0 and self.qsize() >= self._bound:
            metrics.refused.labels(_UNKNOWN_ADAPTER, "lost_at_quality_0").inc()
            return
        super().put_nowait(item)


async def acknowledged(client: aiomqtt.Client, handle: Handle, *, window: int) -> None:
    """Handles the client's messages, at most `window` at once, and acknowledges each after its handling.

    Ends with MqttError. What is unfinished then is cancelled and never acknowledged: the broker sends it
    again, and an acknowledgement on another connection could meet another message. Acknowledgements come in
    the order in which handling ends; section 4.6 of MQTT 3.1.1 wants that of the messages, but then all would
    wait for a device that sends more than it may, and brokers know messages by their ids.
    """
    slots = asyncio.Semaphore(window)

    async def one(message: aiomqtt.Message) -> None:
        await handle(message)
        if message.qos:
            client._client.ack(message.mid, message.qos)
        slots.release()

    try:
        async with asyncio.TaskGroup() as group:
            async for message in client.messages:
                await slots.acquire()
                group.create_task(one(message))
    except BaseExceptionGroup as several:
        # One ended it, the others were cancelled for it.
        raise several.exceptions[0] from None


def _content_type(payload: bytes) -> str:
    start = payload[:64].removeprefix(b"\xef\xbb\xbf").lstrip()
    return next((kind for first, kind in _CONTENT_TYPES if start.startswith(first)), "")


def _reason(error: AlertHubError) -> str:
    for kind, reason in (
        (NotAuthenticatedError, "unauthenticated"),
        (NotAllowed, "not_allowed"),
        (TooLarge, "too_large"),
        (UnsupportedContent, "unsupported"),
    ):
        if isinstance(error, kind):
            return reason
    return "invalid"
