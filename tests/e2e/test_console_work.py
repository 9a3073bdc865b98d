"""The operations office at work: Chromium, the console's page, and everything behind it, real."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from desk import Desk
from office import OTHER_CAMERA, PERSON, VEHICLE, Office

from alerthub.api.v1.alert_pb2 import (
    ALERT_STATUS_ACCEPTED,
    ALERT_STATUS_AWAITING_CONFIRMATION,
    ALERT_STATUS_REJECTED,
)

NewDesk = Callable[..., Desk]
pytestmark = pytest.mark.timeout(180)
CONFIRM = ".decision-buttons .confirm"


@pytest.fixture
def desk(new_desk: NewDesk, office: Office) -> Desk:
    signed_in = new_desk()
    signed_in.signs_in("operator", office.password("operator"))
    return signed_in


def test_a_wrong_password_opens_nothing_and_the_right_one_does(new_desk: NewDesk, office: Office) -> None:
    desk = new_desk()
    desk.goes_to_the_page()
    desk.fills_in("operator", "not the password")
    desk.waits_for(".sign-in-failure:not(:empty)")
    assert "wrong" in desk.text(".sign-in-failure")
    assert desk.count(".console") == 0

    desk.fills_in("operator", office.password("operator"))
    desk.waits_for(".console")
    desk.waits_for(".state-watching")


def test_an_alert_arrives_live_and_reaches_a_patrol_only_once_it_is_confirmed(
    desk: Desk, office: Office
) -> None:
    listed, alert = office.raises(PERSON)
    desk.waits_for_row(alert.alert_id, "awaiting_confirmation")
    desk.opens(alert.alert_id)
    assert "PERSON ALERT" in desk.text(".person-band")
    assert [desk.count(f"[data-why={what}]") for what in ("rule", "entry", "mask", "device")] == [1, 1, 1, 1]
    assert listed.plate not in desk.text("body")

    desk.opens_evidence()
    assert desk.text(".plate") == listed.plate

    items = desk.items()
    assert len(items) >= 3
    for item in items:
        assert not desk.is_enabled(CONFIRM), f"Confirm before {item} is ticked"
        desk.ticks(item)
    assert office.alert_of(listed).status == ALERT_STATUS_AWAITING_CONFIRMATION

    desk.clicks(CONFIRM)
    desk.waits_for("[data-result=done]")
    office.becomes(listed, lambda each: each.status == ALERT_STATUS_ACCEPTED, "accepted by the patrol")
    desk.waits_for_row(alert.alert_id, "accepted")
    assert "demo-patrol" in desk.text(".history .units")


def test_items_that_rest_on_the_evidence_wait_for_it(desk: Desk, office: Office) -> None:
    _, alert = office.raises(PERSON)
    desk.waits_for_row(alert.alert_id)
    desk.opens(alert.alert_id)
    assert not desk.is_enabled("[data-item=opened]")
    assert not desk.is_enabled("[data-item=read_matches]")
    desk.opens_evidence()
    assert desk.is_enabled("[data-item=opened]")


def test_rejecting_needs_a_reason_and_shows_it(desk: Desk, office: Office) -> None:
    listed, alert = office.raises(PERSON)
    desk.waits_for_row(alert.alert_id)
    desk.opens(alert.alert_id)
    desk.presses("r")
    desk.waits_for("dialog")
    assert not desk.is_enabled("dialog .does-it")
    desk.types("the plate in the picture is another one")
    desk.clicks("dialog .does-it")
    desk.waits_for("[data-result=done]")
    rejected = office.becomes(listed, lambda each: each.status == ALERT_STATUS_REJECTED, "rejected")
    assert rejected.rejected_reason == "the plate in the picture is another one"
    desk.waits_for_row(alert.alert_id, "rejected")
    assert "the plate in the picture is another one" in desk.text(".card")


def test_nothing_is_shown_as_done_before_the_hub_says_so(desk: Desk, office: Office) -> None:
    listed, alert = office.raises(PERSON)
    desk.waits_for_row(alert.alert_id)
    desk.opens(alert.alert_id)
    desk.opens_evidence()
    for item in desk.items():
        desk.ticks(item)
    # The answer waits on its way: the request itself has not left.
    desk.run("await page.route('**/confirm', (route) => { page.held = route })")
    desk.clicks(CONFIRM)
    desk.waits_for("[data-result=sent]")
    assert desk.count("[data-result=done]") == 0
    assert not desk.is_enabled(CONFIRM)
    assert desk.count(f'[data-alert="{alert.alert_id}"][data-status=awaiting_confirmation]') == 1

    desk.run("await page.held.abort()")
    desk.waits_for("[data-result=unknown]")
    assert office.alert_of(listed).status == ALERT_STATUS_AWAITING_CONFIRMATION

    desk.run("await page.unroute('**/confirm')")
    desk.clicks("[data-result=unknown] button")
    desk.waits_for("[data-result=done]")


def test_asking_again_after_no_answer_is_the_same_command(desk: Desk, office: Office) -> None:
    _, alert = office.raises(PERSON)
    desk.waits_for_row(alert.alert_id)
    desk.opens(alert.alert_id)
    desk.opens_evidence()
    for item in desk.items():
        desk.ticks(item)
    # The hub does it, and its answer is lost.
    desk.run(
        """
        page.ids = []
        await page.route('**/confirm', async (route) => {
          page.ids.push(route.request().postDataJSON().command_id)
          if (page.ids.length > 1) return route.continue()
          await route.fetch()
          await route.abort()
        })
        """
    )
    desk.clicks(CONFIRM)
    desk.waits_for("[data-result=unknown]")
    desk.clicks("[data-result=unknown] button")
    desk.waits_for("[data-result=done]")
    first, second = desk.run("return page.ids")
    assert first == second


def test_a_decision_on_what_has_moved_is_refused_and_shown(desk: Desk, office: Office) -> None:
    listed, alert = office.raises(PERSON)
    office.drives_past(listed)
    office.becomes(listed, lambda each: each.sighting_count == 2, "a second sighting")
    desk.waits_for_row(alert.alert_id)
    desk.opens(alert.alert_id)
    desk.opens_evidence()
    for item in desk.items():
        desk.ticks(item)
    assert desk.is_enabled(CONFIRM)
    # The page's version is one behind when the command arrives.
    desk.run(
        """
        await page.route('**/reject', (route) => {
          const body = route.request().postDataJSON()
          return route.continue({ postData: JSON.stringify({ ...body, version: body.version - 1 }) })
        })
        """
    )
    desk.presses("r")
    desk.waits_for("dialog")
    desk.types("not the vehicle")
    desk.presses("Enter")
    desk.waits_for("[data-result]:not([data-result=sent])")
    assert desk.count("[data-result=stale]") == 1, desk.text("[data-result]")
    # What was ticked was ticked of something else.
    assert not desk.is_enabled(CONFIRM)
    assert office.alert_of(listed).status == ALERT_STATUS_AWAITING_CONFIRMATION


def test_what_another_desk_decided_takes_the_ticks_off(desk: Desk, office: Office) -> None:
    _, alert = office.raises(PERSON)
    desk.waits_for_row(alert.alert_id)
    desk.opens(alert.alert_id)
    desk.opens_evidence()
    for item in desk.items():
        desk.ticks(item)
    assert desk.is_enabled(CONFIRM)
    office.another_desk_rejects(alert)
    desk.waits_for("[data-result=moved]")
    assert desk.count(CONFIRM) == 0
    assert "seen at another desk" in desk.text(".card")


def test_the_same_vehicle_seen_again_keeps_the_ticks(desk: Desk, office: Office) -> None:
    listed, alert = office.raises(PERSON)
    desk.waits_for_row(alert.alert_id)
    desk.opens(alert.alert_id)
    desk.ticks("plausible")
    before = office.alert_of(listed).version
    office.drives_past(listed)
    office.becomes(listed, lambda each: each.sighting_count == 2, "a second sighting")
    desk.waits_for(".row-open .row-count")
    after = office.becomes(listed, lambda each: each.version > before, "a newer version")
    desk.waits_for(f'[data-card="{alert.alert_id}"][data-version="{after.version}"]')
    assert desk.count("[data-result=moved]") == 0
    assert desk.text(".checklist legend b").startswith("1 ")


def test_withdrawing_an_entry_takes_its_alert_from_the_desk(desk: Desk, office: Office) -> None:
    listed, alert = office.raises(PERSON)
    desk.waits_for_row(alert.alert_id)
    office.withdraws(listed)
    desk.waits_for_row(alert.alert_id, "cancelled")


def test_another_unit_is_sent_by_hand(desk: Desk, office: Office) -> None:
    listed, alert = office.raises(VEHICLE, OTHER_CAMERA)
    desk.waits_for_row(alert.alert_id)
    desk.opens(alert.alert_id)
    desk.presses("d")
    desk.waits_for(".candidates li")
    unit = desk.text(".candidates li:last-child strong")
    desk.clicks(".candidates li:last-child button")
    desk.waits_for("[data-result]:not([data-result=sent])")
    assert desk.count("[data-result=done]") == 1, desk.text("[data-result]")
    office.becomes(
        listed, lambda each: any(one.unit_id == unit for one in each.assignments), f"{unit} is asked"
    )


def test_a_refusal_is_told_in_the_language_of_the_page(desk: Desk, office: Office) -> None:
    # given an alert that a unit has in hand, and a desk in Chinese
    listed, alert = office.raises(VEHICLE)
    taken = office.becomes(
        listed, lambda each: each.status == ALERT_STATUS_ACCEPTED, "accepted by the patrol"
    )
    desk.waits_for_row(alert.alert_id, "accepted")
    desk.opens(alert.alert_id)
    desk.presses("l")

    # when the same unit is sent once more
    desk.presses("d")
    desk.waits_for(".candidates li")
    desk.clicks(f'.candidates li:has(strong:text-is("{taken.assignments[-1].unit_id}")) button')

    # then why not is said in Chinese alone
    desk.waits_for("[data-result=refused]")
    told = desk.text("[data-result=refused]")
    assert "该单位已持有此警情" in told
    assert "expected" not in told


def test_person_alerts_look_like_nothing_else(desk: Desk, office: Office) -> None:
    _, person = office.raises(PERSON)
    _, vehicle = office.raises(VEHICLE)
    for alert, kind in ((person, "is-person"), (vehicle, "is-vehicle")):
        desk.waits_for_row(alert.alert_id)
        assert desk.count(f'[data-alert="{alert.alert_id}"].{kind}') == 1
    colour = "return await page.locator(at).evaluate(e => getComputedStyle(e).backgroundColor)"
    one = desk.run(colour, at=f'[data-alert="{person.alert_id}"] .row-kind')
    other = desk.run(colour, at=f'[data-alert="{vehicle.alert_id}"] .row-kind')
    assert one != other
    shape = "return await page.locator(at).evaluate(e => e.innerHTML)"
    assert desk.run(shape, at=f'[data-alert="{person.alert_id}"] svg') != desk.run(
        shape, at=f'[data-alert="{vehicle.alert_id}"] svg'
    )
    desk.opens(vehicle.alert_id)
    assert desk.count(".person-band") == 0
