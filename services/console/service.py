"""Wires the console. Nothing else does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from alerthub import loops
from alerthub.alert_events import AlertEventTail
from alerthub.http import OperationsServer
from alerthub.identity import RevocationList
from alerthub.process import Parts as ServiceParts
from alerthub.replica import CompactedReplica
from alerthub.web_server import WebServer
from services.console import metrics
from services.console.backends import Backends
from services.console.feeds import Feeds
from services.console.handlers import Handlers
from services.console.http_api import Parts, build_app
from services.console.map_cache import MapCache
from services.console.page import build_router
from services.console.pictures import OpenedPictures
from services.console.security import Guard
from services.console.sessions import Sessions
from services.console.settings import ConsoleSettings
from services.console.watch import Watch

_KEEP_ALIVE_SECONDS = 30
_STOP_SECONDS = 2
_SWEEP_SECONDS = 1.0


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class Service:
    """The console: `start`, `stop`, and `failed`, which ends when the process should."""

    def __init__(self, settings: ConsoleSettings) -> None:
        self._settings = settings
        self._client_id = f"console-{settings.instance}"
        self._parts = ServiceParts()
        self._revocations = RevocationList()
        self._http: WebServer | None = None
        self._waiting = "it does not listen for browsers yet"
        self.sessions = Sessions(
            lifetime_ms=round(settings.session_hours * 3_600_000),
            idle_ms=round(settings.idle_minutes * 60_000),
            maximum=settings.maximum_sessions,
            revocations=self._revocations,
            now_ms=now_ms,
        )
        self.feeds: Feeds | None = None
        self.operations: OperationsServer | None = None

    @property
    def http_port(self) -> int:
        """Where browsers connect. Raises RuntimeError before `start` returned."""
        if self._http is None:
            raise RuntimeError("the console was not started")
        return self._http.port

    async def start(self) -> None:
        """Reads who is revoked and what happened last, then lets people in."""
        settings = self._settings
        self._parts.open()
        # Within the call in which a revocation becomes known, long before two seconds (S2).
        self._revocations.subscribe(self.sessions.sweep)
        tail = AlertEventTail(
            settings.kafka, client_id=f"{self._client_id}-events", on_failure=self._parts.fail
        )
        revoked = CompactedReplica(
            settings.kafka,
            "revocations",
            client_id=f"{self._client_id}-revocations",
            apply=self._revocations.apply,
            on_failure=self._parts.fail,
        )
        places = MapCache(seconds=settings.map_seconds, monotonic=time.monotonic)
        watch = Watch(
            settings.kafka,
            client_id=f"{self._client_id}-watermarks",
            maximum_age_ms=round(settings.watch_seconds * 1_000),
            districts=places.districts,
            canary_set_up=places.canary_set_up,
            canary_age_ms=round(settings.canary_seconds * 1_000),
            now_ms=now_ms,
            on_failure=self._parts.fail,
        )
        tail.subscribe(watch.take_alert_event)
        for part in (tail, revoked, watch):
            await self._parts.begin(part)
        self.operations = OperationsServer(
            settings,
            {
                "alert_events": tail.check,
                "revocations": revoked.not_ready_because,
                "pages": lambda: self._waiting or None,
            },
        )
        await self._parts.begin(self.operations)
        # Who is revoked must be known before anybody is let in.
        await revoked.wait_until_caught_up()
        await tail.wait_until_ready()
        await self._listen(self._made(tail, watch, places))

    def _made(self, tail: AlertEventTail, watch: Watch, places: MapCache) -> Parts:
        settings = self._settings
        backends = Backends(settings, now_ms=now_ms)
        self._parts.on_stop(backends.close)
        pictures = OpenedPictures(
            seconds=settings.picture_seconds,
            bound_bytes=settings.picture_bound_bytes,
            monotonic=time.monotonic,
        )
        handlers = Handlers(
            self.sessions,
            backends,
            pictures,
            places,
            silent_districts=watch.silent_districts,
            now_ms=now_ms,
        )
        feeds = Feeds(
            tail,
            self.sessions,
            read_snapshot=handlers.snapshot,
            watch=watch.view,
            now_ms=now_ms,
            heartbeat_seconds=settings.heartbeat_seconds,
            queue_events=settings.feed_queue_events,
            per_session=settings.feeds_per_session,
        )
        self.feeds = feeds
        sweeping = loops.begin(
            _sweeps(self.sessions, pictures.sweep), name="sweeps", on_failure=self._parts.fail
        )
        self._parts.on_stop(lambda: loops.end(sweeping))
        return Parts(settings, self.sessions, handlers, feeds)

    async def _listen(self, parts: Parts) -> None:
        settings = self._settings
        app = build_app(lambda: parts)
        app.include_router(build_router(settings.web_folder))
        self._http = WebServer(
            Guard(
                app,
                public_origin=settings.public_origin,
                maximum_body_bytes=settings.maximum_body_bytes,
            ),
            host=settings.listen_host,
            port=settings.http_port,
            tls=settings.tls,
            maximum_connections=settings.maximum_connections,
            keep_alive_seconds=_KEEP_ALIVE_SECONDS,
            stop_seconds=_STOP_SECONDS,
        )
        await self._parts.begin(self._http)
        self._waiting = ""

    async def failed(self) -> BaseException:
        """Returns when a part ended that only a restart mends."""
        return await self._parts.failed()

    async def stop(self) -> None:
        """Tells every page, then ends everything in the reverse order of its start."""
        if self.feeds is not None:
            self.feeds.end_all("the console stops: connect again")
        await self._parts.stop()


async def _sweeps(sessions: Sessions, sweep_pictures: Callable[[], None]) -> None:
    while True:
        sessions.sweep()
        sweep_pictures()
        metrics.SESSIONS.set(len(sessions))
        await asyncio.sleep(_SWEEP_SECONDS)


def build(settings: ConsoleSettings) -> Service:
    """The console, wired and not started."""
    return Service(settings)
