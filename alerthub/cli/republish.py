"""`alerthub republish`: the compacted topics are what PostgreSQL says (C19).

Owners compare topic and database when they start and every minute, and publish again what the topic lacks. So
after a Kafka that was lost the hub is started, and this command waits for the owners' next whole comparison
of every topic.
"""

from __future__ import annotations

import http.client
import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import typer

from alerthub.cli.context import DEFAULT_DATA, DataOption, JsonOption, fail
from alerthub.domain.errors import AlertHubError, Retry
from alerthub.embedded.folder import HubFolder
from alerthub.topics import COMPACTED_TOPICS

OWNERS = ("registry", "watchlist")
WAIT_SECONDS = 90.0
"""A comparison begins each minute, and takes seconds for a million entries."""
_TICK_SECONDS = 0.5
_LINE = re.compile(
    r"^alerthub_(topic_compared_as_of_seconds|republished_total|topic_ahead_keys)"
    r'\{topic="([a-z-]+)"\} (\S+)$',
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Compared:
    """What an owner has told of one topic since its process began."""

    as_of: float = 0.0
    """When its newest whole comparison began, seconds since 1970; 0 for none."""
    published: int = 0
    ahead: int = 0


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("republish", epilog="Example:  alerthub republish --data /srv/hub")(republish)


def republish(data: DataOption = DEFAULT_DATA, as_json: JsonOption = False) -> None:
    """Wait until every compacted topic holds what PostgreSQL does. Exit 2 when a topic knows more than it."""
    try:
        found = wait_until_compared(
            lambda: _told(data), tell=(lambda _: None) if as_json else lambda line: typer.echo(line, err=True)
        )
    except AlertHubError as error:
        fail(error, as_json=as_json)
    ahead = {topic: each.ahead for topic, each in found.items() if each.ahead}
    if as_json:
        published = {topic: each.published for topic, each in found.items()}
        typer.echo(json.dumps({"ok": not ahead, "published": published, "ahead": ahead}))
    else:
        for topic, each in sorted(found.items()):
            typer.echo(f"{topic:<12} compared; {each.published} values published again since its owner began")
        for topic, keys in ahead.items():
            typer.echo(f"{topic} has {keys} keys newer than the database: was that one restored?", err=True)
    raise typer.Exit(2 if ahead else 0)


def wait_until_compared(
    ask: Callable[[], Mapping[str, Compared]],
    *,
    tell: Callable[[str], None],
    wait_seconds: float = WAIT_SECONDS,
    tick_seconds: float = _TICK_SECONDS,
    since: float | None = None,
) -> Mapping[str, Compared]:
    """Returns what the owners tell once each topic was compared by a comparison that began after `since`,
    seconds since 1970 (None: now).

    Raises Retry, naming the topics, when that does not happen in time.
    """
    since = time.time() if since is None else since
    deadline = time.monotonic() + wait_seconds
    told_at = time.monotonic()
    while True:
        now = ask()
        missing = [topic for topic in COMPACTED_TOPICS if now.get(topic, Compared()).as_of < since]
        if not missing:
            return now
        if time.monotonic() > deadline:
            raise Retry(
                f"not compared within {wait_seconds:.0f} s: {', '.join(missing)}; see the owners' logs"
            )
        if time.monotonic() - told_at > 2:
            told_at = time.monotonic()
            tell(f"waiting for {', '.join(missing)}")
        time.sleep(tick_seconds)


def _told(data: Path) -> dict[str, Compared]:
    services = HubFolder(data).read_hub().get("services", [])
    found: dict[str, Compared] = {}
    for each in services:
        if each["service"] in OWNERS:
            found |= told_by(_metrics(int(each["operations_port"])))
    return found


def told_by(metrics: str) -> dict[str, Compared]:
    """What a page of metrics says of each topic."""
    numbers: dict[str, dict[str, float]] = {}
    for name, topic, value in _LINE.findall(metrics):
        numbers.setdefault(topic, {})[name] = float(value)
    return {
        topic: Compared(
            as_of=of.get("topic_compared_as_of_seconds", 0.0),
            published=int(of.get("republished_total", 0)),
            ahead=int(of.get("topic_ahead_keys", 0)),
        )
        for topic, of in numbers.items()
    }


def _metrics(port: int) -> str:
    """The owner's page; empty while it does not answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2.0)
    try:
        connection.request("GET", "/metrics")
        return connection.getresponse().read().decode("utf-8", "replace")
    except (OSError, http.client.HTTPException):
        return ""
    finally:
        connection.close()
