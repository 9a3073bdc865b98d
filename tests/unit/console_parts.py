"""The console without the hub behind it: the real application on services that answer from memory."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx

from alerthub.alert_events import AlertEventTail
from alerthub.api.v1 import access_pb2, alert_pb2, common_pb2, registry_pb2, watchlist_pb2
from alerthub.domain.errors import AlertHubError
from alerthub.identity import NotAuthenticatedError, RevocationList
from alerthub.settings import KafkaSettings
from services.console.feeds import Feeds
from services.console.handlers import Handlers
from services.console.http_api import CSRF_COOKIE, Parts, build_app
from services.console.map_cache import MapCache
from services.console.models import WatchState
from services.console.page import build_router
from services.console.pictures import OpenedPictures
from services.console.security import Guard
from services.console.sessions import Session, Sessions
from services.console.settings import ConsoleSettings

ORIGIN = "https://console.test"
PASSWORD = "correct horse battery staple"  # noqa: S105 - of nobody
PLATE = "冀R7K3X9"
PICTURE = b"\xff\xd8\xff\xe0" + b"picture"
COMMAND = "00000000-0000-4000-8000-000000000001"
OPERATOR, SUPERVISOR = access_pb2.ROLE_OPERATOR, access_pb2.ROLE_SUPERVISOR
CHECKLIST = ["opened", "read_matches", "looks_match", "plausible"]
START_MS = 1_800_000_000_000


def an_alert(alert_id: str = "a1", version: int = 2, **changed: Any) -> alert_pb2.Alert:
    """A stolen vehicle that waits for confirmation, with its picture."""
    values: dict[str, Any] = {
        "status": alert_pb2.ALERT_STATUS_AWAITING_CONFIRMATION,
        "rule_id": "hits",
        "rule_version": 3,
        "rule_kind": registry_pb2.RULE_KIND_WATCHLIST_HIT,
        "fold_key": "entry:e1",
        "severity": common_pb2.SEVERITY_MAJOR,
        "policy": common_pb2.DISPATCH_POLICY_CONFIRM_FIRST,
        "unit_kind": "patrol",
        "officer_text": common_pb2.LocalizedText(chinese="拦下", english="Stop it"),
        "jurisdiction": "east",
        "district": "d1",
        "entry_id": "e1",
        "entry_version": 5,
        "category": "stolen_vehicle",
        "sightings": [a_sighting()],
        "opened_at_ms": START_MS,
        "sighting_count": 1,
    }
    return alert_pb2.Alert(alert_id=alert_id, version=version, **(values | changed))


def a_sighting(**changed: Any) -> alert_pb2.Sighting:
    values: dict[str, Any] = {
        "raised_id": b"r" * 16,
        "observation_id": b"o" * 16,
        "device_id": "camera-1",
        "position": common_pb2.Position(latitude=39.5, longitude=116.7),
        "device_time_ms": START_MS - 300,
        "corrected_time_ms": START_MS - 250,
        "received_time_ms": START_MS - 200,
        "correlated_time_ms": START_MS - 100,
        "inserted_time_ms": START_MS - 50,
        "read_confidence": 0.93,
        "clock_uncertainty_ms": 120,
        "authentication_class": common_pb2.AUTHENTICATION_CLASS_PASSWORD_OVER_TLS,
        "mask": "exact",
        "has_picture": True,
    }
    return alert_pb2.Sighting(**(values | changed))


@dataclass
class Clock:
    now_ms: int = START_MS

    def __call__(self) -> int:
        return self.now_ms

    def monotonic(self) -> float:
        return self.now_ms / 1_000


class Services:
    """Stands for `Backends`: notes what it is asked, as whom, and answers from memory."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.roles: frozenset[access_pb2.Role.ValueType] = frozenset({OPERATOR})
        self.alert = an_alert()
        self.sealed = b"sealed"
        self.calls: list[tuple[str, Any]] = []
        self.closed: list[str] = []
        self.addresses: list[str] = []
        self.failure: AlertHubError | None = None
        self.dispatch = self._stub(
            ListAlerts=lambda _: alert_pb2.ListAlertsResponse(alerts=[self.alert]),
            GetAlert=lambda _: alert_pb2.GetAlertResponse(
                alert=self.alert, sealed_details=self.sealed, sealed_picture=b"sealed"
            ),
            ConfirmAlert=lambda _: alert_pb2.ConfirmAlertResponse(alert=self.alert),
            RejectAlert=lambda _: alert_pb2.RejectAlertResponse(alert=self.alert),
            AssignUnit=lambda _: alert_pb2.AssignUnitResponse(alert=self.alert),
            AcknowledgeByVoice=lambda _: alert_pb2.AcknowledgeByVoiceResponse(alert=self.alert),
            RankUnits=lambda _: alert_pb2.RankUnitsResponse(
                units=[alert_pb2.RankedUnit(unit_id="u1", distance_metres=12.4)], time_ms=START_MS
            ),
            LocateUnits=lambda _: alert_pb2.LocateUnitsResponse(
                units=[alert_pb2.LocatedUnit(unit_id="u1", position_time_ms=START_MS - 1_000)],
                time_ms=START_MS,
            ),
        )
        self.watchlist = self._stub(
            OpenAlert=lambda _: watchlist_pb2.OpenAlertResponse(
                details=watchlist_pb2.OpenedDetails(identifier=PLATE), picture=PICTURE
            )
        )
        self.registry = self._stub(ListResources=self._resources)

    def _stub(self, **answers: Callable[[Any], Any]) -> Any:
        def method(name: str, answer: Callable[[Any], Any]) -> Callable[..., Awaitable[Any]]:
            async def call(request: Any, *, metadata: Any = (), timeout: float = 0) -> Any:
                self.calls.append((name, request))
                if self.failure is not None:
                    raise self.failure
                return answer(request)

            return call

        return SimpleNamespace(**{name: method(name, answer) for name, answer in answers.items()})

    @staticmethod
    def _resources(request: registry_pb2.ListResourcesRequest) -> registry_pb2.ListResourcesResponse:
        place = common_pb2.Position(latitude=39.5, longitude=116.7)
        if request.kind == "device":
            device = registry_pb2.Device(
                device_id="camera-1",
                district="d1",
                position=place,
                status=registry_pb2.LIFE_STATUS_ACTIVE,
                secret_sha256=b"s" * 32,
            )
            return registry_pb2.ListResourcesResponse(resources=[registry_pb2.Resource(device=device)])
        corners = [
            common_pb2.Position(latitude=latitude, longitude=longitude)
            for latitude, longitude in ((39.0, 116.0), (39.0, 117.0), (40.0, 117.0))
        ]
        zone = registry_pb2.Zone(zone_id="z1", ring=corners, status=registry_pb2.LIFE_STATUS_ACTIVE)
        return registry_pb2.ListResourcesResponse(resources=[registry_pb2.Resource(zone=zone)])

    @property
    def asked(self) -> list[str]:
        return [name for name, _ in self.calls]

    async def open_session(
        self, account: str, password: str, *, address: str
    ) -> registry_pb2.OpenSessionResponse:
        self.addresses.append(address)
        if password != PASSWORD:
            raise NotAuthenticatedError("the account or the password is wrong")
        return registry_pb2.OpenSessionResponse(
            session_secret="s" * 43,
            opened_at_ms=self._clock(),
            expires_at_ms=self._clock() + 12 * 3_600_000,
            roles=self.roles,
        )

    async def close_session(self, session: Session) -> None:
        self.closed.append(session.account)

    async def token_of_second_person(self, account: str, password: str, audience: str) -> str:
        if password != PASSWORD:
            raise NotAuthenticatedError("the account or the password is wrong")
        return f"token of {account} for {audience}"

    async def call(self, session: Session, audience: str, method: Callable[..., Any], request: Any) -> Any:
        return await method(request)


@dataclass
class Console:
    """One console and one browser at it."""

    app: Any
    parts: Parts
    services: Services
    revocations: RevocationList
    tail: AlertEventTail
    clock: Clock
    browser: httpx.AsyncClient
    offset: int = 0
    watch: WatchState = field(
        default_factory=lambda: WatchState(
            watching=True,
            silent_districts=[],
            silent_district_count=0,
            silent_gateways=[],
            reason="",
            reason_chinese="",
        )
    )

    async def sign_in(self, *roles: access_pb2.Role.ValueType, account: str = "li.wei") -> Session:
        """Signs in with these roles (none named: as operator)."""
        self.services.roles = frozenset(roles or {OPERATOR})
        before = set(map(id, self.parts.sessions))
        answer = await self.browser.post("/api/session", json={"account": account, "password": PASSWORD})
        assert answer.status_code == 204, answer.text
        self.browser.headers["x-csrf-token"] = self.browser.cookies[CSRF_COOKIE]
        return next(each for each in self.parts.sessions if id(each) not in before)

    def happen(self, alert: alert_pb2.Alert) -> None:
        """An event on the topic."""
        event = alert_pb2.AlertEvent(kind=alert_pb2.ALERT_EVENT_KIND_SIGHTING_ADDED, alert=alert)
        self.tail._take(0, self.offset, event.SerializeToString())
        self.offset += 1


def a_tail() -> AlertEventTail:
    """As after its start on an empty topic."""
    tail = AlertEventTail(KafkaSettings(), client_id="t")
    tail._topic_id, tail._positions, tail._oldest = "topic", {0: 0}, {0: 0}
    tail._caught_up.set()
    return tail


def a_console(folder: Path, **changed: Any) -> Console:
    """`changed` are settings."""
    settings = ConsoleSettings(web_folder=folder, **changed)
    clock = Clock()
    revocations = RevocationList()
    services = Services(clock)
    sessions = Sessions(
        lifetime_ms=round(settings.session_hours * 3_600_000),
        idle_ms=round(settings.idle_minutes * 60_000),
        maximum=settings.maximum_sessions,
        revocations=revocations,
        now_ms=clock,
    )
    revocations.subscribe(sessions.sweep)
    handlers = Handlers(
        sessions,
        services,  # type: ignore[arg-type]
        OpenedPictures(
            seconds=settings.picture_seconds,
            bound_bytes=settings.picture_bound_bytes,
            monotonic=clock.monotonic,
        ),
        MapCache(seconds=settings.map_seconds, monotonic=clock.monotonic),
        silent_districts=frozenset,
        now_ms=clock,
    )
    tail = a_tail()
    console: Console
    feeds = Feeds(
        tail,
        sessions,
        read_snapshot=handlers.snapshot,
        watch=lambda: console.watch,
        now_ms=lambda: time.time_ns() // 1_000_000,
        heartbeat_seconds=settings.heartbeat_seconds,
        queue_events=settings.feed_queue_events,
        per_session=settings.feeds_per_session,
    )
    parts = Parts(settings, sessions, handlers, feeds)
    app = build_app(lambda: parts)
    app.include_router(build_router(settings.web_folder))
    guarded = Guard(app, public_origin=settings.public_origin, maximum_body_bytes=settings.maximum_body_bytes)
    browser = httpx.AsyncClient(
        transport=httpx.ASGITransport(guarded, raise_app_exceptions=False),
        base_url=ORIGIN,
        headers={"origin": ORIGIN},
    )
    console = Console(app, parts, services, revocations, tail, clock, browser)
    return console


def asked_for(console: Console, name: str) -> Any:
    """The one request to this RPC."""
    (request,) = [request for asked, request in console.services.calls if asked == name]
    return request
