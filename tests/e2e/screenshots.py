"""Takes the pictures of `docs/screenshots`: `make screenshots`. A whole hub, the demo city, and Chromium."""

from __future__ import annotations

import base64
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

from desk import Browser, Desk
from office import CAMERA, OTHER_CAMERA, PERSON, VEHICLE, Listed, Office

SIZE = {"width": 1600, "height": 900}
_STANDS_SECONDS = 62.0
"""The demo city's fire lane allows a minute."""
_REPORTS_SECONDS = 10.0
"""How often its sensor says that a vehicle is still there."""
_LOADED_SECONDS = 3.0
"""Software draws the map a few times a second."""


def main(folder: Path) -> None:
    """Writes the pictures into `folder`."""
    with tempfile.TemporaryDirectory(prefix="alerthub-screenshots-") as around:
        office = Office(Path(around))
        try:
            office.start()
            browser = Browser(office.address)
            try:
                _take(office, browser, folder)
            finally:
                browser.stop()
        finally:
            office.stop()


def _take(office: Office, browser: Browser, folder: Path) -> None:
    desk = Desk(browser, "english", viewport=SIZE)
    desk.goes_to_the_page()
    desk.screenshot(folder / "sign-in.png")

    office.stands("van-1")
    began = time.monotonic()
    accepted = _drives(office, browser, VEHICLE, OTHER_CAMERA)
    desk.fills_in("operator", office.password("operator"))
    desk.waits_for_row(office.alert_of(accepted).alert_id, "accepted")
    rejected = office.alert_of(_drives(office, browser, PERSON, CAMERA))
    office.another_desk_rejects(rejected)
    waiting = _drives(office, browser, PERSON, "demo-camera-03")
    while time.monotonic() < began + _STANDS_SECONDS:
        office.stands("van-1")
        time.sleep(_REPORTS_SECONDS)
    office.stands("van-1")
    person = office.alert_of(_drives(office, browser, PERSON, CAMERA))
    desk.waits_for_row(person.alert_id)
    desk.waits_for_row(office.alert_of(waiting).alert_id)
    desk.waits_for(".row.is-zone", seconds=30)
    _decides(desk, person.alert_id)
    desk.screenshot(folder / "person-alert.png")

    chinese = Desk(browser, "chinese", viewport=SIZE, locale="zh-CN")
    chinese.signs_in("supervisor", office.password("supervisor"))
    _decides(chinese, person.alert_id)
    chinese.screenshot(folder / "person-alert-zh.png")

    for item in desk.items()[2:]:
        desk.ticks(item)
    desk.presses("c")
    desk.waits_for_row(person.alert_id, "accepted", seconds=30)
    time.sleep(_LOADED_SECONDS)
    desk.screenshot(folder / "accepted.png")

    pids = [each["pid"] for each in office.folder.read_hub()["services"] if each["service"] == "correlator"]
    for pid in pids:
        os.kill(int(pid), signal.SIGSTOP)
    try:
        desk.waits_for(".state-notWatching", seconds=40)
        time.sleep(_LOADED_SECONDS)
        desk.screenshot(folder / "not-watching.png")
    finally:
        for pid in pids:
            os.kill(int(pid), signal.SIGCONT)


def _drives(office: Office, browser: Browser, category: str, camera: str) -> Listed:
    listed = office.lists(category)
    office.drives_past(listed, camera, picture=_drawing(browser, listed.plate))
    return listed


def _decides(desk: Desk, alert_id: str) -> None:
    """As far as half of the checklist."""
    desk.opens(alert_id)
    desk.opens_evidence()
    for item in desk.items()[:2]:
        desk.ticks(item)
    desk.waits_for(".maplibregl-canvas")
    desk.run("await page.mouse.move(800, 4)")
    time.sleep(_LOADED_SECONDS)


def _drawing(browser: Browser, plate: str) -> bytes:
    """A vehicle that nobody owns: drawn, so that nobody takes it for a photograph."""
    svg = _VEHICLE.replace("PLATE", f"{plate[:2]}·{plate[2:]}")
    code = (
        f"await page.setContent({svg!r});"
        "const taken = await page.screenshot({ type: 'jpeg', quality: 80 });"
        "return taken.toString('base64')"
    )
    drawn = browser.run("drawing", code, {"viewport": {"width": 640, "height": 400}})
    return base64.b64decode(drawn)


_VEHICLE = (
    '<body style="margin:0"><svg width="640" height="400"><rect width="640" height="400" fill="#1d2329"/>'
    '<rect width="640" height="130" fill="#141a20"/><path d="M0 400 250 130h140l250 270z" fill="#30363d"/>'
    '<path d="M318 400v-60h6v60zM318 300v-40h5v40z" fill="#8d949b"/>'
    '<path d="M176 250q4-22 22-26l30-66q6-14 22-14h140q16 0 22 14l30 66q18 4 22 26v76q0 12-12 12H188'
    'q-12 0-12-12z" fill="#c9ced3"/><path d="M216 222l24-54q3-8 12-8h136q9 0 12 8l24 54z" fill="#27313a"/>'
    '<rect x="200" y="328" width="46" height="26" rx="6" fill="#111"/>'
    '<rect x="394" y="328" width="46" height="26" rx="6" fill="#111"/>'
    '<ellipse cx="206" cy="258" rx="22" ry="13" fill="#fff6cf"/>'
    '<ellipse cx="434" cy="258" rx="22" ry="13" fill="#fff6cf"/>'
    '<rect x="236" y="276" width="168" height="44" rx="5" fill="#1550b8" stroke="#fff" stroke-width="3"/>'
    '<text x="320" y="308" font-size="30" font-weight="700" fill="#fff" text-anchor="middle"'
    ' textLength="146" lengthAdjust="spacingAndGlyphs"'
    " font-family=\"'Noto Sans Mono CJK SC', monospace\">PLATE</text></svg>"
)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
