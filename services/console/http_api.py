"""HTTPS for the page. Every route names the RPCs that it calls, and lets in whom those let in (S2).

The services behind it decide again: nothing here gives a right that the person's own token does not have.
"""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Header, Path, Query, Response
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.security import APIKeyCookie, APIKeyHeader
from starlette.exceptions import HTTPException
from starlette.requests import Request

from alerthub.domain.denials import csrf_expected
from alerthub.domain.errors import AlertHubError, NotAllowed
from alerthub.grpc_access import access_rule
from services.console import map_models, models, problems, vocabulary
from services.console.feeds import Feeds
from services.console.handlers import Handlers
from services.console.security import SAFE_METHODS
from services.console.sessions import RoleValue, Session, Sessions, csrf_matches
from services.console.settings import ConsoleSettings
from services.console.sse import feed_response

SESSION_COOKIE = "__Host-session"
CSRF_COOKIE = "__Host-csrf"
CSRF_HEADER = "X-CSRF-Token"
_PICTURE_POLICY = "default-src 'none'; sandbox"
_cookie = APIKeyCookie(name=SESSION_COOKIE, auto_error=False, scheme_name="session")
_csrf = APIKeyHeader(name=CSRF_HEADER, auto_error=False, scheme_name="csrf")


@dataclass(frozen=True, slots=True)
class Parts:
    """What the routes use."""

    settings: ConsoleSettings
    sessions: Sessions
    handlers: Handlers
    feeds: Feeds


# Coroutines, though they wait for nothing: FastAPI runs what is none on a thread, and sessions and their
# streams belong to the loop.
async def _parts(request: Request) -> Parts:
    made: Callable[[], Parts] = request.app.state.parts
    return made()


InParts = Annotated[Parts, Depends(_parts)]


async def _session(
    request: Request,
    parts: InParts,
    cookie: Annotated[str | None, Depends(_cookie)],
    csrf: Annotated[str | None, Depends(_csrf)],
) -> Session:
    """The person's session. Whatever is not only read carries the session's CSRF token."""
    session = parts.sessions.find(cookie or "")
    if request.method not in SAFE_METHODS and not csrf_matches(session, csrf or ""):
        raise NotAllowed(CSRF_HEADER, csrf_expected(CSRF_COOKIE))
    return session


InSession = Annotated[Session, Depends(_session)]


def roles_of(*methods: str) -> frozenset[RoleValue]:
    """The roles that may call every one of these RPCs (`Service/Method`)."""
    allowed = [access_rule(f"/alerthub.api.v1.{method}").roles for method in methods]
    return frozenset.intersection(*allowed)


def calls(*methods: str, at_the_desk: bool = True) -> Any:
    """A dependency: the session of a person who may call these RPCs. `at_the_desk`: somebody did this, so the
    session is not idle."""
    roles = roles_of(*methods)

    async def admitted(parts: InParts, session: InSession) -> Session:
        session.require(roles)
        if at_the_desk:
            parts.sessions.touch(session)
        return session

    return Depends(admitted)


LISTS = calls("DispatchService/ListAlerts")
READS = calls("DispatchService/GetAlert")
OPENS = calls("DispatchService/GetAlert", "WatchlistService/OpenAlert")
CONFIRMS = calls("DispatchService/GetAlert", "DispatchService/ConfirmAlert")
REJECTS = calls("DispatchService/RejectAlert")
RANKS = calls("DispatchService/RankUnits")
ASSIGNS = calls("DispatchService/AssignUnit")
ACKNOWLEDGES = calls("DispatchService/AcknowledgeByVoice")
FOLLOWS = calls("DispatchService/ListAlerts", "DispatchService/WatchAlerts", at_the_desk=False)
SEES_MAP = calls(
    "RegistryService/ListResources",
    "DispatchService/ListAlerts",
    "DispatchService/LocateUnits",
    at_the_desk=False,
)

AlertId = Annotated[str, Path(pattern=r"^[A-Za-z0-9_.:-]{1,64}$")]
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "Refused; nothing was changed.",
        "content": {problems.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
}
router = APIRouter(prefix="/api", responses=_PROBLEMS)


@router.post("/session", status_code=HTTPStatus.NO_CONTENT, tags=["session"])
async def sign_in(request: Request, parts: InParts, body: models.SignIn) -> Response:
    """Signs in, and sets the two cookies. Needs no CSRF token: there is no session yet; its Origin is
    checked."""
    # The connection's own end: what a proxy says about others is not taken.
    address = request.client.host if request.client is not None else ""
    cookie, session = await parts.handlers.sign_in(body.account, body.password, address=address)
    await parts.handlers.sign_out_of(request.cookies.get(SESSION_COOKIE, ""))
    answer = Response(status_code=HTTPStatus.NO_CONTENT)
    _set_cookie(answer, SESSION_COOKIE, cookie, readable=False)
    _set_cookie(answer, CSRF_COOKIE, session.csrf_token, readable=True)
    return answer


@router.get("/session", tags=["session"])
async def show_session(parts: InParts, session: InSession) -> models.SessionView:
    """Who is signed in. Does not keep the session from becoming idle."""
    return parts.handlers.session_view(session)


@router.post("/session/activity", status_code=HTTPStatus.NO_CONTENT, tags=["session"])
async def note_activity(parts: InParts, session: InSession) -> None:
    """Somebody is at the desk: keeps the session from becoming idle."""
    parts.sessions.touch(session)


@router.delete("/session", status_code=HTTPStatus.NO_CONTENT, tags=["session"])
async def sign_out(parts: InParts, session: InSession) -> Response:
    """Ends the session here and at the registry, and its streams."""
    await parts.handlers.sign_out(session)
    answer = Response(status_code=HTTPStatus.NO_CONTENT)
    for name in (SESSION_COOKIE, CSRF_COOKIE):
        answer.delete_cookie(name, path="/", secure=True, samesite="strict", httponly=name == SESSION_COOKIE)
    return answer


@router.get("/alerts", tags=["alerts"])
async def list_alerts(
    parts: InParts,
    session: Annotated[Session, LISTS],
    state: Annotated[list[vocabulary.AlertStatus] | None, Query(max_length=7)] = None,
    cursor: Annotated[str | None, Query(pattern=r"^\d{1,18}$")] = None,
    size: Annotated[int, Query(ge=1, le=500)] = 100,
) -> models.AlertPage:
    """Alerts of these states (none named: the open ones), newest first."""
    return await parts.handlers.list_alerts(session, state or [], cursor or "", size)


@router.get("/alerts/{alert_id}", tags=["alerts"])
async def show_alert(
    parts: InParts, session: Annotated[Session, READS], alert_id: AlertId
) -> models.AlertCard:
    """The card: life, sightings and why each counts, deliveries, checklist."""
    return await parts.handlers.card(session, alert_id)


@router.post("/alerts/{alert_id}/open", tags=["alerts"])
async def open_evidence(
    parts: InParts, session: Annotated[Session, OPENS], alert_id: AlertId, body: models.OpenEvidence
) -> models.OpenedEvidence:
    """A look at the identifying data, on the record before it is given."""
    return await parts.handlers.open_evidence(session, alert_id, body)


@router.get(
    "/alerts/{alert_id}/picture",
    tags=["alerts"],
    response_class=Response,
    responses={200: {"content": {"image/jpeg": {}, "image/png": {}}, "description": "The picture."}},
)
async def show_picture(parts: InParts, session: Annotated[Session, OPENS], alert_id: AlertId) -> Response:
    """The picture that this session opened less than two minutes ago."""
    picture = parts.handlers.picture(session, alert_id)
    return Response(
        picture.content, media_type=picture.media_type, headers={"content-security-policy": _PICTURE_POLICY}
    )


@router.post("/alerts/{alert_id}/confirm", tags=["alerts"])
async def confirm_alert(
    parts: InParts, session: Annotated[Session, CONFIRMS], alert_id: AlertId, body: models.ConfirmAlert
) -> models.AlertCard:
    """Confirms against the evidence. Refused unless every item of the card's checklist is named."""
    return await parts.handlers.confirm(session, alert_id, body)


@router.post("/alerts/{alert_id}/reject", tags=["alerts"])
async def reject_alert(
    parts: InParts, session: Annotated[Session, REJECTS], alert_id: AlertId, body: models.RejectAlert
) -> models.AlertCard:
    """Rejects, with the reason."""
    return await parts.handlers.reject(session, alert_id, body)


@router.get("/alerts/{alert_id}/units", tags=["alerts"])
async def rank_units(
    parts: InParts, session: Annotated[Session, RANKS], alert_id: AlertId
) -> models.UnitCandidates:
    """The units that may be sent, best first, each with why."""
    return await parts.handlers.rank_units(session, alert_id)


@router.post("/alerts/{alert_id}/dispatch", tags=["alerts"])
async def dispatch_unit(
    parts: InParts, session: Annotated[Session, ASSIGNS], alert_id: AlertId, body: models.DispatchUnit
) -> models.AlertCard:
    """Sends this unit, whatever the rules chose."""
    return await parts.handlers.dispatch(session, alert_id, body)


@router.post("/alerts/{alert_id}/acknowledge-by-voice", tags=["alerts"])
async def acknowledge_by_voice(
    parts: InParts,
    session: Annotated[Session, ACKNOWLEDGES],
    alert_id: AlertId,
    body: models.AcknowledgeByVoice,
) -> models.AlertCard:
    """The unit answered by radio: records it and stops the deadlines."""
    return await parts.handlers.acknowledge_by_voice(session, alert_id, body)


@router.get(
    "/feed",
    tags=["feed"],
    response_class=Response,
    responses={
        200: {
            "description": "Events `snapshot`, `alert`, `heartbeat` and `end`; their data are FeedSnapshot, "
            "FeedAlert, FeedHeartbeat and FeedEnd.",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        }
    },
)
async def follow(
    parts: InParts,
    session: Annotated[Session, FOLLOWS],
    since: Annotated[str | None, Query(max_length=1024)] = None,
    last_event_id: Annotated[str | None, Header(max_length=1024)] = None,
) -> Response:
    """What happens, as it happens. `since`, or the header that a browser sends when it connects again: the id
    of the last event that the page has. A too old one gets a snapshot."""
    return await feed_response(parts.feeds, session, last_event_id or since or "")


@router.get("/map", tags=["map"], response_model=map_models.MapView)
async def show_map(request: Request, parts: InParts, session: Annotated[Session, SEES_MAP]) -> Response:
    """Devices, zones, units and open alerts, as they are now."""
    content = await parts.handlers.map_view(session)
    headers = {"vary": "accept-encoding"}
    # Nothing in it is secret or the caller's: its length tells nobody anything.
    if "gzip" in request.headers.get("accept-encoding", ""):
        content = await asyncio.to_thread(gzip.compress, content, 1)
        headers["content-encoding"] = "gzip"
    return Response(content, media_type="application/json", headers=headers)


@router.get("/map/moving", tags=["map"])
async def show_moving(parts: InParts, session: Annotated[Session, SEES_MAP]) -> map_models.MovingView:
    """Of the map, what changes from moment to moment."""
    return await parts.handlers.moving_view(session)


def build_app(parts: Callable[[], Parts]) -> FastAPI:
    """The interface. `parts` gives what the routes use, once there is a request."""
    app = FastAPI(
        title="Alert Hub console", version="1", openapi_url=None, docs_url=None, redoc_url=None, debug=False
    )
    app.state.parts = parts
    app.include_router(router)
    for kind in (AlertHubError, RequestValidationError, Exception):
        app.add_exception_handler(kind, problems.answer_error)
    app.add_exception_handler(HTTPException, _answer_http_exception)
    app.openapi = lambda: openapi_document(app)  # type: ignore[method-assign]
    return app


def openapi_document(app: FastAPI) -> dict[str, Any]:
    """The interface in OpenAPI 3.1, with the data of the feed's events among its components."""
    document = get_openapi(title=app.title, version=app.version, routes=app.routes)
    schemas = document["components"]["schemas"]
    published: list[type[models.Answer]] = [models.Problem, *models.FEED_EVENTS.values()]
    for model in published:
        schema = model.model_json_schema(mode="serialization", ref_template="#/components/schemas/{model}")
        schemas.update(schema.pop("$defs", {}))
        schemas[model.__name__] = schema
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    for path in document["paths"].values():
        for operation in path.values():
            # Refused as a problem, as everything else is.
            operation["responses"].pop("422", None)
    document["components"]["schemas"] = dict(sorted(schemas.items()))
    return document


async def _answer_http_exception(request: Request, error: Exception) -> Response:
    status = HTTPStatus(error.status_code if isinstance(error, HTTPException) else 500)
    return problems.problem(status, status.description or status.phrase)


def _set_cookie(answer: Response, name: str, value: str, *, readable: bool) -> None:
    # Without an age: it goes with the browser. The backend knows when the session ends.
    answer.set_cookie(name, value, path="/", secure=True, httponly=not readable, samesite="strict")
