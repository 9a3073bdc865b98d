"""What a person at the page opens: the identifier and the picture, for whom and how long."""

from __future__ import annotations

from pathlib import Path

import pytest
from console_parts import PASSWORD, PICTURE, PLATE, Clock, Console, a_console, asked_for

from alerthub.api.v1 import watchlist_pb2
from alerthub.domain.denials import Denial
from alerthub.domain.errors import NotFound
from services.console.pictures import OpenedPictures, picture_of
from services.console.sessions import Session


@pytest.fixture
async def console(tmp_path: Path) -> Console:
    made = a_console(tmp_path)
    await made.sign_in()
    return made


async def test_a_look_is_asked_for_with_its_reason_and_gives_the_identifier_and_the_picture(
    console: Console,
) -> None:
    answer = await console.browser.post("/api/alerts/a1/open", json={"reason": "compare the plate"})

    assert answer.json()["identifier"] == PLATE
    request = asked_for(console, "OpenAlert")
    assert request.reason == "compare the plate"
    assert (request.alert_id, request.entry_id, request.sealed_details) == ("a1", "e1", b"sealed")
    assert (await console.browser.get("/api/alerts/a1/picture")).content == PICTURE


async def test_over_the_cap_a_second_person_looks_over_the_shoulder(console: Console) -> None:
    await console.browser.post(
        "/api/alerts/a1/open",
        json={"reason": "compare", "second_person": {"account": "chen", "password": PASSWORD}},
    )
    assert asked_for(console, "OpenAlert").second_person_token == "token of chen for watchlist"  # noqa: S105


async def test_a_second_person_who_mistypes_signs_nobody_out(console: Console) -> None:
    answer = await console.browser.post(
        "/api/alerts/a1/open",
        json={"reason": "compare", "second_person": {"account": "chen", "password": "wrong"}},
    )
    assert answer.status_code == 403
    assert answer.json()["errors"][0]["field"] == "second_person_token"
    assert "OpenAlert" not in console.services.asked
    assert (await console.browser.get("/api/session")).status_code == 200


async def test_where_nothing_is_sealed_nothing_is_opened(console: Console) -> None:
    console.services.sealed = b""
    answer = await console.browser.post("/api/alerts/a1/open", json={"reason": "compare"})
    assert answer.status_code == 409
    assert "OpenAlert" not in console.services.asked


async def test_a_picture_is_only_for_the_session_that_opened_it(console: Console) -> None:
    await console.browser.post("/api/alerts/a1/open", json={"reason": "compare"})
    await console.sign_in(account="wang")
    assert (await console.browser.get("/api/alerts/a1/picture")).status_code == 404


async def test_a_picture_is_there_for_two_minutes(console: Console) -> None:
    await console.browser.post("/api/alerts/a1/open", json={"reason": "compare"})
    console.clock.now_ms += 120_000
    assert (await console.browser.get("/api/alerts/a1/picture")).status_code == 200
    console.clock.now_ms += 1
    assert (await console.browser.get("/api/alerts/a1/picture")).status_code == 404


def a_session(account: str = "li.wei") -> Session:
    return Session(account, frozenset(), "", "", 0, 1, 0)


def test_pictures_go_with_their_session() -> None:
    pictures = OpenedPictures(seconds=60, bound_bytes=1_000, monotonic=Clock().monotonic)
    session = a_session()
    picture = picture_of(PICTURE)
    assert picture is not None
    pictures.put(session, "a1", picture)
    session.end(Denial.SIGNED_OUT)
    with pytest.raises(NotFound):
        pictures.get(session, "a1")


def test_pictures_are_bounded_in_bytes_and_the_oldest_gives_way() -> None:
    pictures = OpenedPictures(seconds=60, bound_bytes=2 * len(PICTURE), monotonic=Clock().monotonic)
    session = a_session()
    picture = picture_of(PICTURE)
    assert picture is not None
    for alert_id in ("a1", "a2", "a2", "a3"):
        pictures.put(session, alert_id, picture)
    with pytest.raises(NotFound):
        pictures.get(session, "a1")
    assert pictures.get(session, "a2") is pictures.get(session, "a3") is picture


@pytest.mark.parametrize("content", [b"", b"<svg onload=alert(1)>", b"GIF89a", b"\xff\xd8", b"%PDF"])
def test_what_is_no_picture_by_its_first_bytes_is_not_served(content: bytes) -> None:
    assert picture_of(content) is None


async def test_a_card_without_its_picture_says_why(console: Console) -> None:
    console.services.watchlist = console.services._stub(
        OpenAlert=lambda _: watchlist_pb2.OpenAlertResponse(picture=b"")
    )
    opened = (await console.browser.post("/api/alerts/a1/open", json={"reason": "compare"})).json()
    assert not opened["has_picture"]
    assert opened["picture_missing_reason"]
    assert opened["picture_missing_reason_chinese"]
