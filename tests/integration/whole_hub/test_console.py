"""The office's console on a whole hub: what a person sees and does at a browser, and what ends it."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from browsing import Browser, command_id, eventually
from running_hub import RunningHub
from town import CAMERA, PERSON, UNIT, VEHICLE, Patrol, Town

from alerthub.api.v1 import access_pb2, registry_pb2_grpc
from alerthub.api.v1.registry_pb2 import ApproveAccountRequest, ProposeAccountRequest, RevokeRequest
from alerthub.selftest.persons import Account, People, account_with, bootstrap_accounts, called

_SOON_SECONDS = 60.0
_SILENT_SECONDS = 40.0


@pytest.fixture
async def browser(hub: RunningHub, town: Town) -> AsyncIterator[Browser]:
    """Somebody signed in as operator."""
    browser = Browser(hub)
    try:
        assert (await browser.sign_in(town.operator)).status_code == 204
        yield browser
    finally:
        await browser.client.aclose()


async def new_person(town: Town, hub: RunningHub, *roles: access_pb2.Role.ValueType) -> Account:
    """An account of its own for a story that ends it."""
    accounts = bootstrap_accounts(hub.folder.accounts_file)
    first, second = (each for each in accounts if "ROLE_REGISTRY_EDITOR" in each.roles)
    name = f"story-{secrets.token_hex(4)}"
    people = People(hub.facts.persons, hub.folder.ca_file)
    try:
        for account in (first, second):
            people.use_token(account, "registry", await people.token(account, "registry"))
        proposing = registry_pb2_grpc.RegistryServiceStub(people.channel(first, "registry"))
        approving = registry_pb2_grpc.RegistryServiceStub(people.channel(second, "registry"))
        proposed = await called(
            proposing.ProposeAccount(ProposeAccountRequest(account=name, roles=roles), timeout=15)
        )
        approved = await called(
            approving.ApproveAccount(ApproveAccountRequest(proposal_id=proposed.proposal_id), timeout=15)
        )
    finally:
        await people.close()
    return Account(name, approved.first_password, frozenset(access_pb2.Role.Name(role) for role in roles))


# An alert's life, from the browser


async def test_an_operator_compares_confirms_and_the_patrol_has_it(
    town: Town, patrol: Patrol, browser: Browser
) -> None:
    plate, entry_id = await town.list_plate(PERSON)
    await town.read(plate)
    card = await browser.alert_of(entry_id)
    alert_id = card["summary"]["alert_id"]

    # when it is opened on the record
    opened = await browser.post(f"/api/alerts/{alert_id}/open", reason="compare with the picture")
    picture = await browser.client.get(f"/api/alerts/{alert_id}/picture")

    # then the plate and the picture are there, and nowhere else
    assert opened["identifier"] == plate
    assert opened["case_number"] == "STORY-1"
    assert picture.headers["content-type"] == "image/jpeg"
    assert plate not in json.dumps(card, ensure_ascii=False)
    (sighting,) = card["sightings"]
    assert (sighting["mask"], sighting["device_id"]) == ("exact", CAMERA)
    assert sighting["authentication_class"] == "password_over_tls"

    # when it is confirmed without everything compared, and then with
    wish = {"version": card["summary"]["version"], "command_id": command_id()}
    refused = await browser.post(f"/api/alerts/{alert_id}/confirm", 400, checklist=[], **wish)
    ticked = [each["item"] for each in card["checklist"]]
    confirmed = await browser.post(f"/api/alerts/{alert_id}/confirm", checklist=ticked, **wish)
    again = await browser.post(f"/api/alerts/{alert_id}/confirm", checklist=ticked, **wish)

    assert refused["errors"][0]["field"] == "checklist"
    assert confirmed["confirmed_by"] == again["confirmed_by"] == f"person:{town.operator.name}"
    shown = await patrol.shows_entry(entry_id)
    assert shown.push.alert.confirmed_by == f"person:{town.operator.name}"


async def test_what_was_seen_otherwise_is_neither_rejected_nor_sent(town: Town, browser: Browser) -> None:
    plate, entry_id = await town.list_plate(PERSON)
    await town.read(plate)
    card = await browser.alert_of(entry_id)
    alert_id, version = card["summary"]["alert_id"], card["summary"]["version"]

    seen = {"version": version - 1, "command_id": command_id()}
    await browser.post(f"/api/alerts/{alert_id}/reject", 412, reason="another vehicle", **seen)
    rejected = await browser.post(
        f"/api/alerts/{alert_id}/reject", reason="another vehicle", version=version, command_id=command_id()
    )

    assert rejected["summary"]["status"] == "rejected"
    assert rejected["rejected_reason"] == "another vehicle"
    assert rejected["actions"] == ["open"]


async def test_an_operator_sends_a_unit_and_hears_it_by_radio(town: Town, browser: Browser) -> None:
    # given an alert that no terminal can take: nobody is signed on
    plate, entry_id = await town.list_plate(VEHICLE)
    await town.read(plate)
    alert_id = (await town.opened(entry_id)).alert_id

    async def asked() -> Any:
        card = await browser.get(f"/api/alerts/{alert_id}")
        return card if "acknowledge_by_voice" in card["actions"] else None

    card = await eventually(asked)
    units = await browser.get(f"/api/alerts/{alert_id}/units")
    assert units["candidates"][0]["unit_id"] == UNIT
    assert units["candidates"][0]["asked_before"]
    assert units["candidates"][0]["reasons"]
    assert units["candidates"][0]["reasons_chinese"][0] == "该类型单位，当班，辖区内"

    live = next(each for each in card["assignments"] if each["live"])
    heard = await browser.post(
        f"/api/alerts/{alert_id}/acknowledge-by-voice",
        assignment_id=live["assignment_id"],
        spoken_with="7-12",
        command_id=command_id(),
    )

    assert heard["summary"]["status"] == "accepted"
    assert heard["assignments"][-1]["by_voice"]
    # and the unit that has it already is not sent again
    current = await browser.get(f"/api/alerts/{alert_id}")
    await browser.post(
        f"/api/alerts/{alert_id}/dispatch",
        409,
        version=current["summary"]["version"],
        unit_id=UNIT,
        command_id=command_id(),
    )


async def test_the_map_shows_devices_units_and_open_alerts(town: Town, browser: Browser) -> None:
    plate, entry_id = await town.list_plate(VEHICLE)
    await town.read(plate)
    alert_id = (await town.opened(entry_id)).alert_id

    async def shown() -> Any:
        view = await browser.get("/api/map")
        return view if alert_id in {each["alert_id"] for each in view["alerts"]} else None

    view = await eventually(shown)
    device = next(each for each in view["devices"] if each["device_id"] == CAMERA)
    assert device["state"] == "active"
    assert device["watched"]
    assert UNIT in {each["unit_id"] for each in view["units"]}
    moving = await browser.get("/api/map/moving")
    assert "devices" not in moving
    assert moving["units"]


# The feed


async def test_c10_a_page_that_was_away_gets_what_it_missed_once(town: Town, browser: Browser) -> None:
    # given a page that has a first alert, and loses its stream
    plate, entry_id = await town.list_plate(PERSON)
    async with browser.feed() as feed:
        await feed.until(lambda name, _: name == "heartbeat")
        await town.read(plate)
        first = await browser.alert_of(entry_id)
        alert_id = first["summary"]["alert_id"]
        await feed.until(
            lambda name, data: name == "alert" and data["alert"]["version"] == first["summary"]["version"]
        )
        before, last_id = feed.versions(), feed.last_id

    # when things happen without it, and it comes back
    wish = {"version": first["summary"]["version"], "command_id": command_id()}
    await browser.post(f"/api/alerts/{alert_id}/reject", reason="another vehicle", **wish)
    other_plate, other_entry = await town.list_plate(PERSON)
    await town.read(other_plate)
    other = await browser.alert_of(other_entry)
    async with browser.feed(last_id) as feed:
        await feed.alert(alert_id, "rejected")
        await feed.until(
            lambda name, data: (
                name == "alert"
                and data["alert"]["alert_id"] == other["summary"]["alert_id"]
                and data["alert"]["version"] == other["summary"]["version"]
            )
        )
        after = feed.versions()
        names = [name for name, _, _ in feed.told]

    # then it has every version of both alerts once, and no snapshot
    assert "snapshot" not in names
    told = before + after
    assert len(told) == len(set(told))
    for each, newest in ((alert_id, first["summary"]["version"] + 1), (other["summary"]["alert_id"], None)):
        versions = [version for name, version in told if name == each]
        assert versions == list(range(1, (newest or other["summary"]["version"]) + 1))


async def test_c10_an_id_that_says_nothing_any_more_gets_a_snapshot(town: Town, browser: Browser) -> None:
    plate, entry_id = await town.list_plate(PERSON)
    await town.read(plate)
    card = await browser.alert_of(entry_id)
    async with browser.feed("AAAAAAAAAAAAAAAAAAAAAA.0-3") as feed:
        snapshot = await feed.until(lambda name, _: name == "snapshot")
    assert card["summary"]["alert_id"] in {each["alert_id"] for each in snapshot["alerts"]}


async def test_the_feed_says_not_watching_while_no_gateway_writes(
    town: Town, browser: Browser, hub: RunningHub
) -> None:
    async with browser.feed() as feed:
        await feed.until(lambda name, data: name == "heartbeat" and data["watch"]["watching"])
        with hub.hung("gateway"):
            beat = await feed.until(
                lambda name, data: name == "heartbeat" and not data["watch"]["watching"],
                seconds=_SILENT_SECONDS,
            )
        # Its neighbours' districts may be there too.
        assert "story-district" in beat["watch"]["silent_districts"]
        assert beat["watch"]["silent_gateways"]
        await feed.until(
            lambda name, data: name == "heartbeat" and data["watch"]["watching"], after=len(feed.told)
        )


# Who is let in, and until when


async def test_a_wrong_password_gets_one_sentence(hub: RunningHub, town: Town) -> None:
    browser = Browser(hub)
    answers = [
        await browser.sign_in(Account(name, "wrong", frozenset()))
        for name in (f"nobody-{secrets.token_hex(3)}", f"nobody-{secrets.token_hex(3)}")
    ]
    assert {each.status_code for each in answers} == {401}
    assert len({each.json()["detail"] for each in answers}) == 1
    await browser.client.aclose()


async def test_an_auditor_signs_in_and_sees_no_alert(hub: RunningHub, town: Town) -> None:
    browser = Browser(hub)
    auditor = account_with(bootstrap_accounts(hub.folder.accounts_file), "ROLE_AUDITOR")
    assert (await browser.sign_in(auditor)).status_code == 204
    assert (await browser.get("/api/session"))["roles"] == ["auditor"]
    for path in ("/api/alerts", "/api/feed", "/api/map"):
        await browser.get(path, 403)
    await browser.client.aclose()


async def test_s2_a_revoked_persons_stream_ends_within_two_seconds(hub: RunningHub, town: Town) -> None:
    person = await new_person(town, hub, access_pb2.ROLE_OPERATOR)
    browser = Browser(hub)
    assert (await browser.sign_in(person)).status_code == 204
    async with browser.feed() as feed:
        await feed.until(lambda name, _: name == "heartbeat")
        revocation = RevokeRequest(account=person.name, reason="story")
        await called(town.registry.Revoke(revocation, timeout=15))
        revoked_at = time.monotonic()
        end = await feed.until(lambda name, _: name == "end", seconds=10)
        took = time.monotonic() - revoked_at
        async with asyncio.timeout(5):
            await feed.ended.wait()
    assert end["signed_out"]
    assert took < 2
    await browser.get("/api/session", 401)
    assert (await browser.sign_in(person)).status_code == 401
    await browser.client.aclose()


async def test_who_signs_out_is_out_at_the_registry_too(
    hub: RunningHub, town: Town, browser: Browser
) -> None:
    async with browser.feed() as feed:
        await feed.until(lambda name, _: name == "heartbeat")
        answer = await browser.client.delete("/api/session")
        assert answer.status_code == 204
        end = await feed.until(lambda name, _: name == "end")
    assert end["signed_out"]
    await browser.get("/api/alerts", 401)


async def test_a_session_outlives_a_registry_that_was_killed(
    hub: RunningHub, town: Town, browser: Browser
) -> None:
    # given somebody who has not asked watchlist for anything yet
    plate, entry_id = await town.list_plate(PERSON)
    await town.read(plate)
    card = await browser.alert_of(entry_id)

    await asyncio.to_thread(hub.kill, "registry")

    # then the token for it is given by the registry that was started again
    opened = await browser.post(f"/api/alerts/{card['summary']['alert_id']}/open", reason="compare")
    assert opened["identifier"] == plate


async def test_a_console_that_was_killed_signs_everybody_out_and_lets_them_in_again(
    hub: RunningHub, town: Town, browser: Browser
) -> None:
    await asyncio.to_thread(hub.kill, "console")
    await browser.get("/api/session", 401)
    assert (await browser.sign_in(town.operator)).status_code == 204
    await browser.get("/api/alerts")


async def test_the_page_is_served_with_its_policy(browser: Browser) -> None:
    answer = await browser.client.get("/")
    assert answer.status_code in (200, 503)
    assert "default-src 'none'" in answer.headers["content-security-policy"]


# S5


async def test_s5_no_plate_cookie_or_token_is_in_the_consoles_log(
    town: Town, browser: Browser, hub: RunningHub
) -> None:
    plate, entry_id = await town.list_plate(PERSON)
    await town.read(plate)
    card = await browser.alert_of(entry_id)
    alert_id = card["summary"]["alert_id"]
    await browser.post(f"/api/alerts/{alert_id}/open", reason="compare")
    # Not among the reasons: those are the person's own words, and are on the record as they are.
    await browser.post(f"/api/alerts/{alert_id}/confirm", 400, note=plate, more=plate)
    await browser.get(f"/api/alerts/{plate}", 400)

    logs = _logs(hub.folder.logs)
    operations = next(
        each["operations_port"] for each in hub.folder.read_hub()["services"] if each["service"] == "console"
    )
    async with httpx.AsyncClient() as client:
        metrics = (await client.get(f"http://127.0.0.1:{operations}/metrics")).content
    for secret in (
        plate,
        town.operator.password,
        browser.client.cookies["__Host-session"],
        browser.client.cookies["__Host-csrf"],
    ):
        assert secret.encode() not in logs + metrics


def _logs(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.glob("console*.log"))
