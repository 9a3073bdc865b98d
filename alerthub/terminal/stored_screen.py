"""The screen on the disk: what a terminal that was switched off and on again still shows, and where it
resumes.

The resume token is written in the transaction that stores the message it came with, never before: what the
token passes over is on the disk.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import aiosqlite

from alerthub.api.v1.patrol_pb2 import AlertPush
from alerthub.terminal.database import TerminalDatabase
from alerthub.terminal.screen_state import ScreenState

_RESUME_TOKEN = "resume_token"  # noqa: S105  (the name of a row; the value is no secret)
_OFFICER = "officer"


@dataclass(frozen=True, slots=True)
class Resumption:
    """Where to go on: the screen as it was stored, and the token of the last message stored with it."""

    screen: ScreenState = field(default_factory=ScreenState)
    resume_token: str = ""


async def load(database: TerminalDatabase, *, officer: str) -> Resumption:
    """What was stored for `officer`. Another officer's screen is forgotten: the data on it was opened for
    them.
    """
    async with database.connection.execute("SELECT name, value FROM note") as cursor:
        notes = {str(name): str(value) async for name, value in cursor}
    if notes.get(_OFFICER) != officer:
        await forget(database, officer=officer)
        return Resumption()
    async with database.connection.execute(
        "SELECT alert_id, version, push FROM shown_alert ORDER BY rowid"
    ) as cursor:
        rows = [(str(row[0]), int(row[1]), row[2]) async for row in cursor]
    screen = ScreenState(
        alerts={
            alert_id: AlertPush.FromString(bytes(push)) for alert_id, _, push in rows if push is not None
        },
        versions={alert_id: version for alert_id, version, _ in rows},
    )
    return Resumption(screen, notes.get(_RESUME_TOKEN, ""))


async def forget(database: TerminalDatabase, *, officer: str) -> None:
    """Empties the stored screen and hands the terminal to `officer`; the outbox stays."""
    async with database.transaction() as connection:
        await connection.execute("DELETE FROM shown_alert")
        await connection.execute("DELETE FROM note")
        await connection.execute("INSERT INTO note (name, value) VALUES (?, ?)", (_OFFICER, officer))


async def store(
    connection: aiosqlite.Connection, before: ScreenState, after: ScreenState, resume_token: str
) -> None:
    """Writes what changed between the two screens, and the token, in the caller's transaction."""
    for alert_id, version in after.versions.items():
        push = after.alerts.get(alert_id)
        if before.versions.get(alert_id) == version and before.alerts.get(alert_id) is push:
            continue
        await connection.execute(
            "INSERT INTO shown_alert (alert_id, version, push) VALUES (?, ?, ?)"
            " ON CONFLICT (alert_id) DO UPDATE SET version = excluded.version, push = excluded.push",
            (alert_id, version, None if push is None else push.SerializeToString()),
        )
    for alert_id in before.versions.keys() - after.versions.keys():
        await connection.execute("DELETE FROM shown_alert WHERE alert_id = ?", (alert_id,))
    if resume_token:
        await connection.execute(
            "INSERT INTO note (name, value) VALUES (?, ?)"
            " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (_RESUME_TOKEN, resume_token),
        )
