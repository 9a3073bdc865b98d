"""What holds for every answer of the console: policies, cookies, bounds, and errors that repeat nothing."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from console_parts import CHECKLIST, COMMAND, PASSWORD, PICTURE, PLATE, Console, a_console
from prometheus_client import generate_latest
from structlog.testing import capture_logs

from alerthub.domain.alerts import Status
from alerthub.domain.denials import not_open
from alerthub.domain.errors import Conflict, NotAllowed, NotFound, Refuse, Retry, TooOften
from alerthub.identity import NotAuthenticatedError

PAGE = '<meta property="csp-nonce" nonce="__CSP_NONCE__"><script src="/assets/a-1.js"></script>'


@pytest.fixture
def console(tmp_path: Path) -> Console:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text(PAGE, encoding="utf-8")
    (tmp_path / "assets" / "a-1.js").write_text("1", encoding="utf-8")
    (tmp_path / "favicon.svg").write_text("<svg/>", encoding="utf-8")
    return a_console(tmp_path)


def policy_of(answer: httpx.Response) -> dict[str, str]:
    parts = [part.strip().partition(" ") for part in answer.headers["content-security-policy"].split(";")]
    return {name: value for name, _, value in parts}


# Headers


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 200),
        ("/alerts/a1", 200),
        ("/assets/a-1.js", 200),
        ("/assets/gone.js", 404),
        ("/api/session", 401),
        ("/api/nothing", 404),
    ],
)
async def test_every_answer_has_the_headers(console: Console, path: str, status: int) -> None:
    answer = await console.browser.get(path)

    assert answer.status_code == status
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["strict-transport-security"].startswith("max-age=")
    assert "server" not in answer.headers
    policy = policy_of(answer)
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    if path.startswith("/api"):
        assert answer.headers["cache-control"] == "no-store"


async def test_the_page_runs_no_script_but_its_own_and_asks_nobody_else(console: Console) -> None:
    policy = policy_of(await console.browser.get("/"))
    assert policy["script-src"] == policy["connect-src"] == policy["font-src"] == "'self'"
    assert policy["worker-src"] == "'self' blob:"
    assert policy["img-src"] == "'self' blob: data:"
    assert policy["form-action"] == "'self'"
    assert not re.search(r"unsafe|https?:|\*", str(policy))


async def test_the_page_has_a_nonce_of_its_own_each_time(console: Console) -> None:
    nonces = set()
    for _ in range(3):
        answer = await console.browser.get("/")
        (nonce,) = re.findall(r'nonce="([^"]+)"', answer.text)
        assert policy_of(answer)["style-src"] == f"'self' 'nonce-{nonce}'"
        nonces.add(nonce)
    assert len(nonces) == 3


async def test_only_files_whose_name_holds_their_hash_are_kept_by_browsers(console: Console) -> None:
    hashed = await console.browser.get("/assets/a-1.js")
    other = await console.browser.get("/favicon.svg")
    assert "immutable" in hashed.headers["cache-control"]
    assert hashed.headers["content-type"].startswith("text/javascript")
    assert other.headers["cache-control"] == "no-cache"
    assert (await console.browser.get("/")).headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["/../secret.txt", "/%2e%2e/secret.txt", "/assets/..%2f..%2fsecret.txt"])
async def test_nothing_beside_the_page_is_served(console: Console, tmp_path: Path, path: str) -> None:
    (tmp_path.parent / "secret.txt").write_text("secret", encoding="utf-8")
    answer = await console.browser.get(path)
    assert answer.status_code == 404
    assert "secret" not in answer.text


async def test_a_page_that_was_not_built_says_what_builds_it(tmp_path: Path) -> None:
    answer = await a_console(tmp_path / "nothing").browser.get("/")
    assert answer.status_code == 503
    assert "make web" in answer.json()["detail"]


# Cookies


async def test_the_sessions_cookie_is_read_by_no_script_and_sent_to_no_other_site(console: Console) -> None:
    answer = await console.browser.post("/api/session", json={"account": "li.wei", "password": PASSWORD})
    session, csrf = sorted(answer.headers.get_list("set-cookie"), key=lambda each: "csrf" in each)
    assert session.startswith("__Host-session=")
    assert "HttpOnly" in session
    assert csrf.startswith("__Host-csrf=")
    assert "HttpOnly" not in csrf
    for cookie in (session, csrf):
        assert "Secure" in cookie
        assert "Path=/" in cookie
        assert "samesite=strict" in cookie.lower()
        assert "domain" not in cookie.lower()
    assert len(session.split(";")[0].split("=")[1]) >= 43


async def test_failures_are_counted_at_the_address_that_connects_whatever_a_header_says(
    console: Console,
) -> None:
    console.browser.headers["x-forwarded-for"] = "203.0.113.9"
    await console.sign_in()
    assert console.services.addresses == ["127.0.0.1"]


async def test_signing_in_again_is_another_session_and_ends_the_one_before(console: Console) -> None:
    first = await console.sign_in()
    cookie = console.browser.cookies["__Host-session"]
    second = await console.sign_in(account="wang")
    assert console.browser.cookies["__Host-session"] != cookie
    assert first.ended
    assert not second.ended
    assert console.services.closed == ["li.wei"]


async def test_signing_out_ends_the_session_here_and_at_the_registry(console: Console) -> None:
    await console.sign_in()
    cookie = console.browser.cookies["__Host-session"]

    answer = await console.browser.delete("/api/session")

    assert answer.status_code == 204
    assert "__Host-session" not in console.browser.cookies
    assert console.services.closed == ["li.wei"]
    console.browser.cookies.set("__Host-session", cookie, domain="console.test")
    assert (await console.browser.get("/api/session")).status_code == 401


# The picture


async def test_the_picture_is_sandboxed_and_never_kept(console: Console) -> None:
    await console.sign_in()
    await console.browser.post("/api/alerts/a1/open", json={"reason": "compare"})

    answer = await console.browser.get("/api/alerts/a1/picture")

    assert answer.content == PICTURE
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"


# Bounds


async def test_a_body_that_is_too_large_is_not_read(console: Console) -> None:
    await console.sign_in()
    body = json.dumps({"reason": "x" * 70_000})
    answer = await console.browser.post(
        "/api/alerts/a1/open", content=body, headers={"content-type": "application/json"}
    )
    assert answer.status_code == 413
    assert console.services.calls == []


async def test_a_body_of_unknown_length_is_not_read(console: Console) -> None:
    async def endless() -> Any:
        while True:
            yield b"x"

    answer = await console.browser.post("/api/session", content=endless())
    assert answer.status_code == 413


@pytest.mark.parametrize(
    "path",
    [
        "/api/alerts?size=501",
        "/api/alerts?state=anything",
        "/api/alerts?cursor=x",
        f"/api/alerts/{'a' * 65}",
        "/api/alerts/a%20b",
        f"/api/feed?since={'x' * 1_025}",
    ],
)
async def test_what_the_interface_does_not_describe_is_refused(console: Console, path: str) -> None:
    await console.sign_in()
    answer = await console.browser.get(path)
    assert answer.status_code == 400
    assert answer.json()["errors"]
    assert console.services.calls == []


CONFIRMATION = {"version": 2, "checklist": CHECKLIST, "command_id": COMMAND}


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"version": 0}, "version"),
        ({"command_id": "not a uuid"}, "command_id"),
        ({"checklist": ["x"] * 33}, "checklist"),
        ({"note": "x" * 301}, "note"),
        ({"more": 1}, "request"),
    ],
)
async def test_a_command_that_is_not_as_described_is_refused_by_field(
    console: Console, changed: dict[str, object], field: str
) -> None:
    await console.sign_in()
    answer = await console.browser.post("/api/alerts/a1/confirm", json=CONFIRMATION | changed)
    assert answer.status_code == 400
    assert [each["field"] for each in answer.json()["errors"]] == [field]
    assert console.services.calls == []


async def test_an_invented_method_is_no_label_of_a_metric(console: Console) -> None:
    answer = await console.browser.request("INVENTED", "/api/session")
    assert answer.status_code == 405
    assert b"INVENTED" not in generate_latest()


# Errors


@pytest.mark.parametrize(
    ("failure", "status"),
    [
        (Refuse("reason", "a reason"), 400),
        (NotAuthenticatedError("sign in again"), 401),
        (NotAllowed("role", "a supervisor"), 403),
        (NotFound("alert_id", "an alert that exists"), 404),
        (Conflict("alert_id", "an open alert"), 409),
        (Conflict("alert_version", "the alert as it is now"), 412),
        (TooOften("too many failed sign-ins", after_seconds=3), 429),
        (Retry("dispatch does not answer", after_seconds=3), 503),
        (RuntimeError(PLATE), 500),
    ],
)
async def test_an_error_is_a_problem_whose_status_says_what_happens_next(
    console: Console, failure: Exception, status: int
) -> None:
    await console.sign_in()
    console.services.failure = failure  # type: ignore[assignment]

    with capture_logs():
        answer = await console.browser.get("/api/alerts/a1")

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert set(problem) == {"type", "title", "status", "detail", "detail_chinese", "errors"}
    assert problem["status"] == status
    if isinstance(failure, Retry):
        assert answer.headers["retry-after"] == "3"
    assert PLATE not in answer.text


async def test_what_a_service_refused_is_told_in_chinese_beside_its_english(console: Console) -> None:
    await console.sign_in()
    console.services.failure = Conflict("alert_id", not_open(Status.CLOSED))

    problem = (await console.browser.get("/api/alerts/a1")).json()

    assert problem["detail"] == "alert_id: expected an open alert: this one is closed"
    assert problem["detail_chinese"] == "该警情已办结"
    assert problem["errors"] == [
        {
            "field": "alert_id",
            "expected": "an open alert: this one is closed",
            "expected_chinese": "该警情已办结",
        }
    ]


async def test_what_the_console_refused_itself_is_told_in_chinese_too(console: Console) -> None:
    await console.sign_in()
    answer = await console.browser.get("/api/alerts/a1/picture")
    assert answer.json()["detail_chinese"] == "图片已收回：请重新打开证据"


@pytest.mark.parametrize(
    "body",
    [{"account": PLATE, "password": "x" * 300}, {"account": "li", "password": 1}, [PLATE], {PLATE: PLATE}],
)
async def test_what_was_sent_wrong_is_never_repeated(console: Console, body: object) -> None:
    answer = await console.browser.post("/api/session", json=body)
    assert answer.status_code == 400
    assert "xxx" not in answer.text
    assert PLATE not in answer.text


async def test_text_that_is_no_json_is_refused(console: Console) -> None:
    answer = await console.browser.post(
        "/api/session", content=f"{PLATE}{{", headers={"content-type": "application/json"}
    )
    assert answer.status_code == 400
    assert PLATE not in answer.text
