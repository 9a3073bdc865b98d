"""The embedded broker's listener: who connects is admitted or turned away, and put out when what it was
admitted by holds no more."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections import defaultdict
from collections.abc import Callable

from alerthub.domain.admission import RateLimit
from alerthub.domain.errors import AlertHubError, Refuse, Retry
from alerthub.domain.rates import Rates
from alerthub.embedded.mqtt import metrics, packets
from alerthub.embedded.mqtt.connection import Connection, ConnectionEnded, read_packet, refuse
from alerthub.embedded.mqtt.logins import Login, Logins
from alerthub.embedded.mqtt.relay import Relay
from alerthub.embedded.mqtt.settings import BrokerSettings
from alerthub.identity import NotAuthenticatedError, RevocationList
from alerthub.telemetry import logger

log = logger(__name__)

_CONNECT_BYTES = 4_096
"""A CONNECT: names, a secret and a will that nobody is told of."""
_MAXIMUM_FAILURES = 10_000
"""Addresses and logins whose failed attempts are remembered."""


class Broker:
    """Devices publish below their own names, gateways listen. Built in the loop that runs it."""

    def __init__(
        self,
        settings: BrokerSettings,
        logins: Logins,
        revocations: RevocationList,
        *,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._settings = settings
        self._logins = logins
        self._now_ms = now_ms
        self._relay = Relay(waiting_bytes=settings.waiting_bytes)
        self._connections: dict[str, set[Connection]] = defaultdict(set)
        self._open = 0
        self._failures = Rates(
            RateLimit(settings.failed_logins_per_minute / 60, settings.failed_logins_per_minute),
            remembered=_MAXIMUM_FAILURES,
        )
        self._server: asyncio.Server | None = None
        logins.on_change = self._check
        revocations.subscribe(self._check_all)

    @property
    def port(self) -> int:
        """The port that it listens on. Raises RuntimeError before `start`."""
        if self._server is None:
            raise RuntimeError("the broker was not started")
        return int(self._server.sockets[0].getsockname()[1])

    async def start(self) -> None:
        """Listens, with TLS alone."""
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(self._settings.tls.ca_file))
        tls.minimum_version = ssl.TLSVersion.TLSv1_2
        tls.load_cert_chain(self._settings.tls.certificate_file, self._settings.tls.key_file)
        # Devices with a certificate prove themselves by it, the others by a secret.
        tls.verify_mode = ssl.CERT_OPTIONAL
        self._server = await asyncio.start_server(
            self._serve,
            self._settings.listen_host,
            self._settings.mqtt_port,
            ssl=tls,
            ssl_handshake_timeout=self._settings.packet_seconds,
        )
        log.info("mqtt_broker_listening", port=self.port)

    async def stop(self) -> None:
        """Takes no more connections and ends the open ones: what they have not acknowledged comes again."""
        if self._server is None:
            return
        self._server.close()
        for connection in self._all():
            connection.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        metrics.connections.set(self._open)
        try:
            if self._open > self._settings.maximum_connections:
                metrics.refused.labels("connections").inc()
                return
            connection = await self._admitted(reader, writer)
            if connection is not None:
                await self._run(connection)
        except (ConnectionEnded, ConnectionError, TimeoutError):
            log.debug("mqtt_connection_ended")
        except Refuse as error:
            metrics.refused.labels("packet").inc()
            log.info("mqtt_connection_closed", field=error.field, expected=error.expected)
        finally:
            self._open -= 1
            metrics.connections.set(self._open)
            writer.close()
            with contextlib.suppress(ConnectionError, TimeoutError, ssl.SSLError):
                await writer.wait_closed()

    async def _admitted(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> Connection | None:
        seconds = self._settings.packet_seconds
        kind, _, content = await read_packet(
            reader, silence_seconds=seconds, packet_seconds=seconds, maximum_bytes=_CONNECT_BYTES
        )
        if kind != packets.Kind.CONNECT:
            raise Refuse("packet", "CONNECT as the first packet")
        try:
            connect = packets.decode_connect(content)
            login = self._login(connect, writer)
        except (NotAuthenticatedError, Retry, packets.UnacceptableLevel) as error:
            metrics.refused.labels(_reason(error)).inc()
            log.info("mqtt_login_refused", reason=_reason(error))
            await refuse(writer, error)
            return None
        writer.write(packets.connack(packets.ReturnCode.ACCEPTED))
        return Connection(reader, writer, login, connect, self._relay, self._settings)

    def _login(self, connect: packets.Connect, writer: asyncio.StreamWriter) -> Login:
        address = str((writer.get_extra_info("peername") or ("",))[0])
        who = (address, connect.username or "")
        now_ms = self._now_ms()
        wait_seconds = self._failures.wait_seconds(who, now_ms=now_ms)
        if wait_seconds > 0:
            raise Retry("too many failed attempts", after_seconds=wait_seconds)
        certificate = writer.get_extra_info("ssl_object").getpeercert(True) or b""
        try:
            return self._logins.admit(connect.username, connect.password, certificate)
        except NotAuthenticatedError:
            self._failures.take(who, 1, now_ms=now_ms)
            raise

    async def _run(self, connection: Connection) -> None:
        name = connection.login.name
        for other in [one for one in self._connections[name] if _is_same_client(one, connection)]:
            # Section 3.1.4: of two connections of one client the newer one counts. A client is a name of a
            # login's own: nobody ends another's connection by it.
            other.close()
        self._connections[name].add(connection)
        try:
            if not self._logins.holds(connection.login):
                return
            await connection.run()
        finally:
            self._connections[name].discard(connection)
            if not self._connections[name]:
                del self._connections[name]

    def _check(self, device_id: str) -> None:
        """What is known of the device changed: connections that would not be admitted now end."""
        for connection in self._connections.get(device_id, ()):
            self._put_out_unless_held(connection)

    def _check_all(self) -> None:
        for connection in self._all():
            self._put_out_unless_held(connection)

    def _put_out_unless_held(self, connection: Connection) -> None:
        if not self._logins.holds(connection.login):
            metrics.refused.labels("revoked").inc()
            connection.close()

    def _all(self) -> list[Connection]:
        return [connection for each in self._connections.values() for connection in each]


def _is_same_client(one: Connection, other: Connection) -> bool:
    return bool(other.connect.client_id) and (one.connect.client_id, one.login.listens) == (
        other.connect.client_id,
        other.login.listens,
    )


def _reason(error: AlertHubError) -> str:
    if isinstance(error, NotAuthenticatedError):
        return "unauthenticated"
    return "not_ready" if isinstance(error, Retry) else "protocol"
