"""What the terminal has to tell the hub, kept until the hub has answered.

A command (receipt, acceptance, refusal, outcome, position) is written to the disk with its command id before
it is sent, is sent in the order in which it was written, again after each new connection, and is forgotten
only when the hub has answered it. The hub gives a repeat the first answer again, so sending twice changes
nothing (C14).
"""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass

import aiosqlite

from alerthub.api.v1.patrol_pb2 import CommandAnswer, TerminalMessage
from alerthub.terminal.database import TerminalDatabase

MAXIMUM_POSITIONS = 60
"""Unanswered positions kept. Where a unit was an hour ago helps nobody; a receipt of an hour ago does."""

_NAMESPACE = uuid.UUID("5b1c4b0a-6c43-4c0e-9a0c-0d4f2f3c7f21")


@dataclass(frozen=True, slots=True)
class Command:
    """One entry of the outbox; `sequence` is the order in which it was written."""

    sequence: int
    message: TerminalMessage


def command_id_of(*parts: str) -> str:
    """The command id of something that is done once, such as accepting one assignment.

    The same parts give the same id, so that a terminal that was stopped between deciding and remembering
    repeats its command instead of giving a second one.
    """
    return str(uuid.uuid5(_NAMESPACE, "\x1f".join(f"{len(part)}:{part}" for part in parts)))


async def write(connection: aiosqlite.Connection, message: TerminalMessage) -> bool:
    """Adds `message` to the outbox in the caller's transaction; False: it is in it already, by its command
    id.
    """
    kind = message.WhichOneof("message") or ""
    cursor = await connection.execute(
        "INSERT INTO command (command_id, kind, message) VALUES (?, ?, ?)"
        " ON CONFLICT (command_id) DO NOTHING",
        (message.command_id, kind, message.SerializeToString()),
    )
    if kind == "report_position":
        await connection.execute(
            "DELETE FROM command WHERE kind = ? AND sequence NOT IN"
            " (SELECT sequence FROM command WHERE kind = ? ORDER BY sequence DESC LIMIT ?)",
            (kind, kind, MAXIMUM_POSITIONS),
        )
    return cursor.rowcount == 1


class Outbox:
    """The commands of one terminal that the hub has not answered yet."""

    def __init__(self, database: TerminalDatabase) -> None:
        self._database = database
        self.changed = asyncio.Event()
        """Set whenever something was added; whoever sends clears it."""

    async def add(self, message: TerminalMessage) -> bool:
        """Keeps `message` until it is answered; False: it was in the outbox already."""
        async with self._database.transaction() as connection:
            added = await write(connection, message)
        self.changed.set()
        return added

    async def unanswered(self, *, after: int = 0) -> list[Command]:
        """Everything not answered yet and written after `after`, oldest first."""
        async with self._database.connection.execute(
            "SELECT sequence, message FROM command WHERE sequence > ? ORDER BY sequence", (after,)
        ) as cursor:
            rows = await cursor.fetchall()
        return [Command(int(row[0]), TerminalMessage.FromString(bytes(row[1]))) for row in rows]

    async def answered(self, answer: CommandAnswer) -> TerminalMessage | None:
        """Forgets the command that `answer` answers, and gives it back; None: it is not in the outbox."""
        async with self._database.transaction() as connection:
            cursor = await connection.execute(
                "DELETE FROM command WHERE command_id = ? RETURNING message", (answer.command_id,)
            )
            row = await cursor.fetchone()
        return None if row is None else TerminalMessage.FromString(bytes(row[0]))
