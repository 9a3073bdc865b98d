"""A browser at the console, as the stories use one."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
from running_hub import RunningHub

from alerthub.selftest.persons import Account

_SOON_SECONDS = 60.0


class Browser:
    """A browser at the console: a cookie jar, the CSRF token, and the feed."""

    def __init__(self, hub: RunningHub) -> None:
        self.url = str(hub.folder.read_hub()["console_url"])
        self.client = httpx.AsyncClient(
            base_url=self.url,
            verify=ssl.create_default_context(cafile=str(hub.folder.ca_file)),
            headers={"origin": self.url},
            timeout=15,
        )

    async def sign_in(self, account: Account) -> httpx.Response:
        answer = await self.client.post(
            "/api/session", json={"account": account.name, "password": account.password}
        )
        if answer.status_code == 204:
            self.client.headers["x-csrf-token"] = self.client.cookies["__Host-csrf"]
        return answer

    async def get(self, path: str, status: int = 200) -> Any:
        answer = await self.client.get(path)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def post(self, path: str, status: int = 200, **body: Any) -> Any:
        answer = await self.client.post(path, json=body)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    async def alert_of(self, entry_id: str, state: str = "awaiting_confirmation") -> Any:
        """The card of the entry's alert in this state, once there is one with its picture."""

        async def look() -> Any:
            page = await self.get(f"/api/alerts?state={state}&size=500")
            for summary in page["alerts"]:
                if summary["has_picture"]:
                    card = await self.get(f"/api/alerts/{summary['alert_id']}")
                    if card["entry_id"] == entry_id:
                        return card
            return None

        return await eventually(look)

    @asynccontextmanager
    async def feed(self, since: str = "") -> AsyncIterator[Feed]:
        """The stream, from the answer's beginning on."""
        params = {"since": since} if since else {}
        async with self.client.stream("GET", "/api/feed", params=params, timeout=_SOON_SECONDS) as answer:
            assert answer.status_code == 200
            feed = Feed(answer)
            try:
                yield feed
            finally:
                await feed.close()


class Feed:
    """Events of one stream. Everything that came is kept."""

    def __init__(self, answer: httpx.Response) -> None:
        self.told: list[tuple[str, Any, str]] = []
        self.last_id = ""
        self.ended = asyncio.Event()
        self._reading = asyncio.create_task(self._read(answer))
        self._changed = asyncio.Event()

    async def _read(self, answer: httpx.Response) -> None:
        fields: dict[str, str] = {}
        try:
            async for line in answer.aiter_lines():
                if line:
                    name, _, value = line.partition(": ")
                    fields[name] = value
                elif "event" in fields:
                    self.last_id = fields.get("id", self.last_id)
                    self.told.append((fields["event"], json.loads(fields["data"]), self.last_id))
                    self._changed.set()
                    fields = {}
        except httpx.HTTPError:
            pass
        finally:
            self.ended.set()
            self._changed.set()

    async def until(
        self, wanted: Callable[[str, Any], bool], *, seconds: float = _SOON_SECONDS, after: int = 0
    ) -> Any:
        """The data of the first such event, come or to come, that is not among the first `after`."""
        async with asyncio.timeout(seconds):
            seen = after
            while True:
                self._changed.clear()
                for name, data, _ in self.told[seen:]:
                    if wanted(name, data):
                        return data
                seen = len(self.told)
                assert not self.ended.is_set(), "the stream ended"
                await self._changed.wait()

    async def alert(self, alert_id: str, status: str) -> Any:
        return await self.until(
            lambda name, data: (
                name == "alert"
                and data["alert"]["alert_id"] == alert_id
                and data["alert"]["status"] == status
            )
        )

    def versions(self) -> list[tuple[str, int]]:
        """Of the alerts that were told, in order."""
        return [
            (data["alert"]["alert_id"], data["alert"]["version"])
            for name, data, _ in self.told
            if name == "alert"
        ]

    async def close(self) -> None:
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)


async def eventually(question: Callable[[], Awaitable[Any]], *, within: float = _SOON_SECONDS) -> Any:
    deadline = time.monotonic() + within
    while True:
        answer = await question()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"not within {within} s"
        await asyncio.sleep(0.1)


def command_id() -> str:
    return str(uuid.uuid4())
