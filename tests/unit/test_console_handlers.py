"""What a person does at the page, and what the services are asked for it."""

from __future__ import annotations

from pathlib import Path

import pytest
from console_parts import (
    CHECKLIST,
    COMMAND,
    OPERATOR,
    SUPERVISOR,
    Console,
    a_console,
    a_sighting,
    an_alert,
    asked_for,
)

from alerthub.api.v1 import alert_pb2, common_pb2, registry_pb2
from alerthub.domain.texts import NO_TEXT, LocalizedText
from services.console import map_models, views
from services.console.vocabulary import LifeEventKind

ACTIVE = registry_pb2.LIFE_STATUS_ACTIVE
CONFIRMATION = {"version": 2, "checklist": CHECKLIST, "command_id": COMMAND}


@pytest.fixture
async def console(tmp_path: Path) -> Console:
    made = a_console(tmp_path)
    await made.sign_in()
    return made


# The card


async def test_the_card_of_a_cloned_plate_names_both_places(console: Console) -> None:
    # given an alert on the later of two reads
    seen = a_sighting()
    match = seen.cloned_plate
    match.other_device_id, match.speed_kmh, match.maximum_speed_kmh = "camera-2", 1_970, 150
    match.other_position.latitude, match.distance_metres = 38.3, 33_400.4
    alert = an_alert(rule_kind=registry_pb2.RULE_KIND_CLONED_PLATE, sightings=[seen])

    card = views.card_of(alert, evidence_missing=NO_TEXT, has_evidence=True, roles=frozenset())

    assert card.summary.rule_kind == "cloned_plate"
    [sighting] = card.sightings
    assert sighting.device_id == "camera-1"
    assert sighting.other_place is not None
    assert sighting.other_place.device_id == "camera-2"
    assert (sighting.other_place.position.latitude, sighting.other_place.distance_metres) == (38.3, 33_400)
    assert (sighting.other_place.speed_kmh, sighting.other_place.maximum_speed_kmh) == (1_970, 150)


async def test_the_card_says_why_each_sighting_counts(console: Console) -> None:
    card = (await console.browser.get("/api/alerts/a1")).json()

    assert (card["summary"]["rule_id"], card["rule_version"]) == ("hits", 3)
    assert (card["entry_id"], card["entry_version"]) == ("e1", 5)
    (sighting,) = card["sightings"]
    assert sighting["mask"] == "exact"
    assert sighting["read_confidence"] == pytest.approx(0.93)
    assert sighting["clock_uncertainty_ms"] == 120
    assert sighting["authentication_class"] == "password_over_tls"
    assert sighting["device_id"] == "camera-1"


async def test_a_device_that_gave_no_confidence_has_none(console: Console) -> None:
    console.services.alert = an_alert(sightings=[a_sighting(read_confidence=0)])
    card = (await console.browser.get("/api/alerts/a1")).json()
    assert card["sightings"][0]["read_confidence"] is None


def test_the_card_gives_the_hubs_own_sentences_in_chinese_too() -> None:
    # given an alert that ended with its entry
    seen = a_sighting(picture_missing_reason="no picture", picture_missing_reason_chinese="设备未上传图片")
    asked = alert_pb2.Assignment(
        assignment_id="a1-1",
        unit_id="u1",
        status=alert_pb2.ASSIGNMENT_STATUS_CANCELLED,
        offered_at_ms=5,
        reasons=["on shift", "free"],
        reasons_chinese=["当班", "空闲"],
    )
    alert = an_alert(
        status=alert_pb2.ALERT_STATUS_CANCELLED,
        cancelled_reason="it ended",
        cancelled_reason_chinese="布控条目已失效",
        closed_at_ms=9,
        sightings=[seen],
        assignments=[asked],
    )
    missing = LocalizedText("证据已过保存期", "no longer kept")

    card = views.card_of(alert, evidence_missing=missing, has_evidence=False, roles=frozenset())

    assert card.sightings[0].picture_missing_reason_chinese == "设备未上传图片"
    assert card.assignments[0].reasons_chinese == ["当班", "空闲"]
    assert card.cancelled_reason_chinese == "布控条目已失效"
    assert card.evidence_missing_reason_chinese == "证据已过保存期"
    details = {each.kind: each.detail_chinese for each in card.life}
    assert details[LifeEventKind.UNIT_ASSIGNED] == "当班"
    assert details[LifeEventKind.CANCELLED] == "布控条目已失效"


def test_the_card_says_why_nobody_was_left_to_ask_and_when() -> None:
    alert = an_alert(
        status=alert_pb2.ALERT_STATUS_ESCALATED,
        escalated_at_ms=9,
        escalated_reason="no unit fits",
        escalated_reason_chinese="无合适单位",
    )

    card = views.card_of(alert, evidence_missing=NO_TEXT, has_evidence=False, roles=frozenset())

    assert (card.escalated_reason, card.escalated_reason_chinese) == ("no unit fits", "无合适单位")
    told = next(each for each in card.life if each.kind == "escalated")
    assert (told.at_ms, told.detail, told.detail_chinese) == (9, "no unit fits", "无合适单位")


async def test_the_life_of_an_alert_is_told_in_its_order(console: Console) -> None:
    opened = an_alert().opened_at_ms
    console.services.alert = an_alert(
        status=alert_pb2.ALERT_STATUS_CLOSED,
        confirmed_by="person:li.wei",
        confirmed_at_ms=opened + 10,
        assignments=[
            alert_pb2.Assignment(
                assignment_id="a1-1",
                unit_id="u1",
                status=alert_pb2.ASSIGNMENT_STATUS_DECLINED,
                offered_at_ms=opened + 11,
                answered_at_ms=opened + 20,
            ),
            alert_pb2.Assignment(
                assignment_id="a1-2",
                unit_id="u2",
                status=alert_pb2.ASSIGNMENT_STATUS_ACCEPTED,
                offered_at_ms=opened + 21,
                delivered_at_ms=opened + 22,
                answered_at_ms=opened + 30,
                officer="wang",
            ),
        ],
        outcome=alert_pb2.OUTCOME_FOUND,
        closed_at_ms=opened + 90,
    )
    life = (await console.browser.get("/api/alerts/a1")).json()["life"]
    assert [event["kind"] for event in life] == [
        "sighting",
        "opened",
        "confirmed",
        "unit_assigned",
        "declined",
        "unit_assigned",
        "delivered",
        "accepted",
        "closed",
    ]
    assert life[-1]["detail"] == "found"


@pytest.mark.parametrize(
    ("alert", "role", "actions"),
    [
        (an_alert(), OPERATOR, ["open", "confirm", "reject"]),
        (an_alert(supervisor_required=True), OPERATOR, ["open", "reject"]),
        (an_alert(supervisor_required=True), SUPERVISOR, ["open", "confirm", "reject"]),
        (
            an_alert(names_person=True, sightings=[a_sighting(has_picture=False)]),
            OPERATOR,
            ["open", "reject"],
        ),
        (an_alert(status=alert_pb2.ALERT_STATUS_ESCALATED), OPERATOR, ["open", "reject", "dispatch"]),
        (
            an_alert(
                status=alert_pb2.ALERT_STATUS_DISPATCHING,
                assignments=[alert_pb2.Assignment(status=alert_pb2.ASSIGNMENT_STATUS_OFFERED)],
                sightings=[a_sighting(needs_confirmation=True)],
            ),
            OPERATOR,
            ["open", "confirm", "reject", "dispatch", "acknowledge_by_voice"],
        ),
        (an_alert(status=alert_pb2.ALERT_STATUS_ACCEPTED), OPERATOR, ["open", "dispatch"]),
        (an_alert(status=alert_pb2.ALERT_STATUS_CLOSED), SUPERVISOR, ["open"]),
    ],
)
def test_the_card_offers_what_this_person_may_do_now(
    alert: alert_pb2.Alert, role: int, actions: list[str]
) -> None:
    found = views.actions_of(alert, has_evidence=True, roles=frozenset({role}))
    assert [each.value for each in found] == actions


# Decisions


async def test_a_confirmation_is_of_the_version_that_was_seen_with_what_was_compared(
    console: Console,
) -> None:
    answer = await console.browser.post(
        "/api/alerts/a1/confirm", json=CONFIRMATION | {"note": "scratch on the left"}
    )
    assert answer.status_code == 200
    request = asked_for(console, "ConfirmAlert")
    assert (request.alert_version, request.command_id) == (2, COMMAND)
    assert request.note == f"compared: {', '.join(CHECKLIST)}; scratch on the left"


@pytest.mark.parametrize("left_out", CHECKLIST)
async def test_refusal_6_nothing_is_confirmed_before_everything_was_compared(
    console: Console, left_out: str
) -> None:
    ticked = [each for each in CHECKLIST if each != left_out]
    answer = await console.browser.post("/api/alerts/a1/confirm", json=CONFIRMATION | {"checklist": ticked})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "checklist"
    assert "ConfirmAlert" not in console.services.asked


async def test_refusal_6_the_list_is_that_of_the_alert_as_it_is_now(console: Console) -> None:
    # given a list that was shown before it was known that the device proves itself weakly
    console.services.alert = an_alert(
        sightings=[a_sighting(authentication_class=common_pb2.AUTHENTICATION_CLASS_URL_TOKEN)]
    )
    answer = await console.browser.post("/api/alerts/a1/confirm", json=CONFIRMATION)
    assert answer.status_code == 400
    assert "ConfirmAlert" not in console.services.asked


async def test_the_other_decisions_say_what_was_seen_too(console: Console) -> None:
    base = {"version": 2, "command_id": COMMAND}
    await console.browser.post("/api/alerts/a1/reject", json=base | {"reason": "another plate"})
    await console.browser.post("/api/alerts/a1/dispatch", json=base | {"unit_id": "u7"})
    rejected, assigned = asked_for(console, "RejectAlert"), asked_for(console, "AssignUnit")
    assert (rejected.alert_version, rejected.reason) == (2, "another plate")
    assert (assigned.alert_version, assigned.unit_id) == (2, "u7")


# List and map


async def test_the_list_is_of_open_alerts_unless_others_are_named(console: Console) -> None:
    await console.browser.get("/api/alerts")
    await console.browser.get("/api/alerts", params={"state": ["closed", "rejected"], "cursor": "12"})
    open_ones, named = (request for name, request in console.services.calls if name == "ListAlerts")
    assert len(open_ones.statuses) == 4
    assert list(named.statuses) == [alert_pb2.ALERT_STATUS_CLOSED, alert_pb2.ALERT_STATUS_REJECTED]
    assert named.page_token == "12"  # noqa: S105


async def test_the_map_has_zones_as_closed_polygons_longitude_first(console: Console) -> None:
    view = (await console.browser.get("/api/map")).json()
    (zone,) = view["zones"]["features"]
    (ring,) = zone["geometry"]["coordinates"]
    assert ring == [[116.0, 39.0], [117.0, 39.0], [117.0, 40.0], [116.0, 39.0]]
    assert view["alerts"][0]["position"] == {"latitude": 39.5, "longitude": 116.7}
    assert view["units"][0]["position_age_ms"] == 1_000


async def test_many_maps_ask_the_registry_once(console: Console) -> None:
    for _ in range(5):
        await console.browser.get("/api/map")
    assert console.services.asked.count("ListResources") == 2
    console.clock.now_ms += 16_000
    await console.browser.get("/api/map")
    assert console.services.asked.count("ListResources") == 4


async def test_the_map_is_what_the_interface_describes_compressed_or_not(console: Console) -> None:
    answers = [
        await console.browser.get("/api/map", headers={"accept-encoding": encoding})
        for encoding in ("gzip", "identity")
    ]
    assert [answer.headers.get("content-encoding") for answer in answers] == ["gzip", None]
    for answer in answers:
        map_models.MapView.model_validate_json(answer.text)


async def test_a_district_that_falls_silent_is_on_the_next_map(console: Console) -> None:
    silent: set[str] = set()
    console.parts.handlers._silent_districts = lambda: frozenset(silent)

    async def watched() -> bool:
        return bool((await console.browser.get("/api/map")).json()["devices"][0]["watched"])

    assert await watched()
    silent.add("d1")
    assert not await watched()


async def test_a_suspended_device_is_not_watched() -> None:
    device = registry_pb2.Device(device_id="d", district="d1", status=registry_pb2.LIFE_STATUS_SUSPENDED)
    active = registry_pb2.Device(device_id="d", district="d1", status=registry_pb2.LIFE_STATUS_ACTIVE)
    assert not views.map_device_of(device, silent=frozenset()).watched
    assert views.map_device_of(active, silent=frozenset()).watched
    assert not views.map_device_of(active, silent=frozenset({"d1"})).watched


# Idleness


@pytest.mark.parametrize(
    ("path", "keeps"),
    [("/api/alerts", True), ("/api/alerts/a1", True), ("/api/session", False), ("/api/map/moving", False)],
)
async def test_what_a_page_asks_by_itself_keeps_no_session_from_becoming_idle(
    console: Console, path: str, keeps: bool
) -> None:
    (session,) = console.parts.sessions
    before = console.parts.sessions.ends_at_ms(session)
    console.clock.now_ms += 60_000
    await console.browser.get(path)
    assert (console.parts.sessions.ends_at_ms(session) > before) is keeps


async def test_somebody_who_only_watches_says_that_they_are_there(console: Console) -> None:
    (session,) = console.parts.sessions
    before = console.parts.sessions.ends_at_ms(session)
    console.clock.now_ms += 60_000
    assert (await console.browser.post("/api/session/activity")).status_code == 204
    assert console.parts.sessions.ends_at_ms(session) == before + 60_000


async def test_a_canary_is_on_no_list_and_on_no_map(console: Console) -> None:
    # given a canary with its device and its unit, and nothing else
    console.services.alert = an_alert(category="canary")
    place = common_pb2.Position(latitude=39.5, longitude=116.7)
    device = registry_pb2.Device(
        device_id="canary-1", jurisdiction="canary", district="canary-1", position=place, status=ACTIVE
    )
    unit = alert_pb2.LocatedUnit(unit_id="canary", unit_kind="canary", position=place)
    console.services.registry = console.services._stub(
        ListResources=lambda _: registry_pb2.ListResourcesResponse(
            resources=[registry_pb2.Resource(device=device)] if _.kind == "device" else []
        )
    )
    console.services.dispatch.LocateUnits = console.services._stub(
        LocateUnits=lambda _: alert_pb2.LocateUnitsResponse(units=[unit])
    ).LocateUnits

    # when an operator looks
    listed = (await console.browser.get("/api/alerts")).json()
    view = (await console.browser.get("/api/map")).json()

    # then there is nothing to look at
    assert listed["alerts"] == []
    assert (view["alerts"], view["devices"], view["units"]) == ([], [], [])
