"""The console's page in Chromium: languages, keyboard, accessibility, what it asks for, and after a crash."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from desk import Desk
from office import PERSON, VEHICLE, Office

from alerthub.api.v1.alert_pb2 import ALERT_STATUS_AWAITING_CONFIRMATION, ALERT_STATUS_REJECTED

NewDesk = Callable[..., Desk]
pytestmark = pytest.mark.timeout(180)


def test_the_whole_work_is_done_by_keyboard(new_desk: NewDesk, office: Office) -> None:
    listed, alert = office.raises(PERSON)
    desk = new_desk()
    desk.goes_to_the_page()
    # The account has the focus.
    desk.types("operator")
    desk.presses("Tab")
    desk.types(office.password("operator"))
    desk.presses("Enter")
    desk.waits_for_row(alert.alert_id)

    for _ in desk.rows():
        desk.presses("j")
        if desk.count(f'.row-at[data-alert="{alert.alert_id}"]'):
            break
    desk.presses("Enter")
    desk.waits_for(f'[data-card="{alert.alert_id}"]')
    desk.presses("o")
    desk.waits_for(".evidence-opened")
    for number, _ in enumerate(desk.items(), start=1):
        desk.presses("c")
        assert desk.count("[data-result]") == 0
        desk.presses(str(number))
    desk.presses("c")
    desk.waits_for("[data-result=done]")
    office.becomes(
        listed, lambda each: each.status != ALERT_STATUS_AWAITING_CONFIRMATION, "confirmed by keyboard"
    )

    desk.presses("?")
    desk.waits_for("dialog")
    desk.presses("Escape")
    desk.waits_for("dialog", state="hidden")
    desk.presses("Escape")
    desk.waits_for(".card-none")


def test_a_rejection_is_done_by_keyboard(new_desk: NewDesk, office: Office) -> None:
    listed, alert = office.raises(PERSON)
    desk = new_desk()
    desk.signs_in("operator", office.password("operator"))
    desk.opens(alert.alert_id)
    desk.presses("r")
    desk.waits_for("dialog")
    # The first letter of a reason is a letter, not another key of the page.
    desk.types("cannot be the car")
    desk.presses("Enter")
    desk.waits_for("[data-result=done]")
    office.becomes(listed, lambda each: each.status == ALERT_STATUS_REJECTED, "rejected by keyboard")


def test_the_office_works_in_chinese_and_in_english(new_desk: NewDesk, office: Office) -> None:
    listed, alert = office.raises(PERSON)
    desk = new_desk(locale="zh-CN")
    desk.signs_in("operator", office.password("operator"))
    desk.opens(alert.alert_id)
    assert desk.run("return await page.evaluate(() => document.documentElement.lang)") == "zh-CN"
    assert "涉人警情" in desk.text(".person-band")
    assert "正在监看" in desk.text(".top-state")
    assert "完全一致" in desk.text(".sightings")

    # Why the hub took it back is its own sentence, and not the page's.
    office.withdraws(listed)
    desk.waits_for("text=布控条目已撤销")

    desk.presses("l")
    desk.waits_for("text=the watchlist entry was withdrawn")
    desk.waits_for("text=PERSON ALERT")
    assert desk.run("return await page.evaluate(() => document.documentElement.lang)") == "en"
    assert "涉人警情" not in desk.text("body")

    # It is remembered for this desk.
    desk.run("await page.reload()")
    desk.waits_for(".console")
    desk.waits_for("text=WATCHING")


def test_nobody_is_kept_out_by_a_barrier(new_desk: NewDesk, office: Office) -> None:
    _, person = office.raises(PERSON)
    _, vehicle = office.raises(VEHICLE)
    desk = new_desk()
    desk.goes_to_the_page()
    assert desk.serious_barriers() == []
    desk.fills_in("operator", office.password("operator"))
    desk.waits_for_row(person.alert_id)
    desk.waits_for(".maplibregl-canvas")
    desk.opens(person.alert_id)
    assert desk.serious_barriers() == []
    desk.opens_evidence()
    desk.ticks("plausible")
    assert desk.serious_barriers() == []
    desk.presses("r")
    desk.waits_for("dialog")
    assert desk.serious_barriers() == []
    desk.presses("Escape")
    desk.waits_for("dialog", state="hidden")
    desk.presses("?")
    desk.waits_for("dialog")
    assert desk.serious_barriers() == []
    desk.presses("Escape")
    desk.waits_for("dialog", state="hidden")
    desk.opens(vehicle.alert_id)
    desk.presses("d")
    desk.waits_for(".candidates li")
    assert desk.serious_barriers() == []


def test_the_page_asks_nobody_but_the_hub(new_desk: NewDesk, office: Office) -> None:
    _, alert = office.raises(PERSON)
    desk = new_desk()
    desk.signs_in("operator", office.password("operator"))
    desk.opens(alert.alert_id)
    desk.opens_evidence()
    desk.waits_for(".maplibregl-canvas")
    hub = urlsplit(office.address).netloc
    asked = [urlsplit(each) for each in desk.requested()]
    assert len(asked) > 5
    assert {each.netloc for each in asked if each.scheme not in ("blob", "data")} == {hub}
    assert desk.violations() == []


def test_the_picture_and_the_plate_go_with_the_card(new_desk: NewDesk, office: Office) -> None:
    listed, alert = office.raises(PERSON)
    desk = new_desk()
    desk.signs_in("operator", office.password("operator"))
    desk.opens(alert.alert_id)
    desk.opens_evidence()
    desk.presses("Escape")
    desk.waits_for(".card-none")
    desk.opens(alert.alert_id)
    assert desk.count(".evidence-sealed") == 1
    assert listed.plate not in desk.text("body")
    assert desk.run("return await page.evaluate(() => Object.keys(localStorage).join())") in (
        "",
        "alerthub.language",
    )


def test_after_the_console_was_killed_nothing_is_lost_and_nothing_is_double(
    new_desk: NewDesk, office: Office
) -> None:
    _, before = office.raises(PERSON)
    desk = new_desk()
    desk.signs_in("operator", office.password("operator"))
    desk.waits_for_row(before.alert_id)

    killed = office.console_pid()
    office.kill_console()
    desk.waits_for(".banner-loud, .sign-in")
    _, meanwhile = office.raises(PERSON)
    office.wait_for_console(other_than=killed)
    # Sessions lived in the process: everybody signs in again, and goes on where they were.
    desk.waits_for(".sign-in", seconds=40)
    desk.fills_in("operator", office.password("operator"))
    desk.waits_for_row(meanwhile.alert_id, seconds=30)
    _, after = office.raises(PERSON)
    desk.waits_for_row(after.alert_id)
    rows = desk.rows()
    assert [rows.count(each.alert_id) for each in (before, meanwhile, after)] == [1, 1, 1]
    assert len(rows) == len(set(rows))


def test_a_page_without_its_stream_says_so_loudly_until_it_has_it_again(
    new_desk: NewDesk, office: Office
) -> None:
    desk = new_desk()
    desk.signs_in("operator", office.password("operator"))
    desk.waits_for(".state-watching")
    assert desk.count(".banner-loud") == 0
    office.hang_console()
    # No connection breaks: only the watchdog notices.
    desk.waits_for(".banner-loud", seconds=30)
    assert "NOT LIVE" in desk.text(".banner-loud")
    assert "NOT LIVE" in desk.text(".top-state")
    assert desk.count(".state-watching") == 0
    office.wake_console()
    # One that slept longer than a watermark holds is "not watching" until it has heard the correlators.
    desk.waits_for(".live:not(.live-not)", seconds=30)
    desk.waits_for(".state-watching")
    desk.waits_for(".banner-loud", state="hidden")
