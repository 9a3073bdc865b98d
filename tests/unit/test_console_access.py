"""Every route against everybody who could use it (S2): the table `console_http_access.txt` is what a person
agreed to.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest
from console_parts import CHECKLIST, COMMAND, ORIGIN, PASSWORD, Console, a_console

from alerthub.api.v1 import access_pb2
from services.console.http_api import CSRF_COOKIE, openapi_document
from services.console.security import SAFE_METHODS

TABLE = Path(__file__).with_name("console_http_access.txt")
ROLES = [role for role in access_pb2.Role.values() if role]
BODIES = {
    "/api/session": {"account": "li.wei", "password": PASSWORD},
    "/api/alerts/{alert_id}/open": {"reason": "compare"},
    "/api/alerts/{alert_id}/confirm": {"version": 2, "checklist": CHECKLIST, "command_id": COMMAND},
    "/api/alerts/{alert_id}/reject": {"version": 2, "reason": "another plate", "command_id": COMMAND},
    "/api/alerts/{alert_id}/dispatch": {"version": 2, "unit_id": "u1", "command_id": COMMAND},
    "/api/alerts/{alert_id}/acknowledge-by-voice": {
        "assignment_id": "a1-1",
        "spoken_with": "7-12",
        "command_id": COMMAND,
    },
}


def read_table() -> dict[tuple[str, str], frozenset[str]]:
    lines = (line.split("#")[0].split() for line in TABLE.read_text(encoding="utf-8").splitlines())
    return {(method, path): frozenset(names) for method, path, *names in filter(None, lines)}


AGREED = read_table()
ROUTES = sorted(AGREED)
SIGNED_IN = [route for route in ROUTES if "anyone" not in AGREED[route]]
UNSAFE = [route for route in SIGNED_IN if route[0] not in SAFE_METHODS]


@pytest.fixture
def console(tmp_path: Path) -> Console:
    return a_console(tmp_path)


async def ask(console: Console, route: tuple[str, str], **headers: str) -> httpx.Response:
    """The answer; of the feed, its beginning."""
    method, path = route
    request = console.browser.build_request(
        method, path.replace("{alert_id}", "a1"), json=BODIES.get(path), headers=headers
    )
    asking = asyncio.create_task(console.browser.send(request))
    # A feed never ends by itself: it is admitted once it has sent its snapshot.
    while not asking.done() and not console.parts.feeds._open:  # noqa: ASYNC110 - of another's state
        await asyncio.sleep(0.001)
    if console.parts.feeds._open:
        console.parts.feeds.end_all("the test has seen enough")
    return await asking


def test_every_route_is_in_the_table_and_nothing_else(console: Console) -> None:
    paths = openapi_document(console.app)["paths"]
    present = {(method.upper(), path) for path, operations in paths.items() for method in operations}
    assert present == AGREED.keys()


@pytest.mark.parametrize("role", ROLES, ids=access_pb2.Role.Name)
async def test_a_route_lets_in_whom_the_table_names_and_nobody_else(
    console: Console, role: access_pb2.Role.ValueType
) -> None:
    for route in SIGNED_IN:
        await console.sign_in(role)
        await console.browser.post("/api/alerts/a1/open", json=BODIES["/api/alerts/{alert_id}/open"])
        console.services.calls.clear()

        answer = await ask(console, route)

        if AGREED[route] & {"person", access_pb2.Role.Name(role)}:
            assert answer.status_code in (200, 204), (route, answer.text)
        else:
            assert answer.status_code == 403, route
            assert console.services.calls == [], route
            assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("cookie", ["", "x", "A" * 43, "é" * 500])
async def test_without_a_session_nobody_is_let_in(console: Console, cookie: str) -> None:
    await console.sign_in()
    console.browser.cookies.clear()
    for route in SIGNED_IN:
        sent = {"cookie": f"__Host-session={cookie}".encode()} if cookie else {}
        answer = await ask(console, route, **sent)  # type: ignore[arg-type]
        assert answer.status_code == 401, route
    assert console.services.calls == []


@pytest.mark.parametrize("token", ["", "x", "of another session"])
async def test_without_the_sessions_csrf_token_nothing_is_changed(console: Console, token: str) -> None:
    if token == "of another session":  # noqa: S105
        await console.sign_in(account="wang")
        token = console.browser.cookies[CSRF_COOKIE]
    await console.sign_in()
    for route in UNSAFE:
        answer = await ask(console, route, **{"x-csrf-token": token})
        assert answer.status_code == 403, route
    assert console.services.calls == []
    assert (await console.browser.get("/api/session")).status_code == 200


@pytest.mark.parametrize(
    "origin", ["", "null", "https://elsewhere.test", ORIGIN.replace("https", "http"), f"{ORIGIN}.test"]
)
async def test_from_another_origin_nothing_is_changed_and_nobody_signs_in(
    console: Console, origin: str
) -> None:
    await console.sign_in()
    for route in [*UNSAFE, ("POST", "/api/session")]:
        answer = await ask(console, route, origin=origin)
        assert answer.status_code == 403, route
    assert console.services.calls == []
    assert len(console.parts.sessions) == 1


async def test_behind_a_proxy_the_origin_is_that_of_the_setting(tmp_path: Path) -> None:
    console = a_console(tmp_path, public_origin="https://hub.example")
    body = BODIES["/api/session"]
    refused = await console.browser.post("/api/session", json=body)
    taken = await console.browser.post("/api/session", json=body, headers={"origin": "https://hub.example"})
    assert (refused.status_code, taken.status_code) == (403, 204)


async def test_a_role_that_was_taken_away_lets_nobody_in(console: Console) -> None:
    # given a session whose token was renewed after its roles changed
    session = await console.sign_in()
    session.roles = frozenset({access_pb2.ROLE_AUDITOR})

    assert (await console.browser.get("/api/alerts")).status_code == 403
