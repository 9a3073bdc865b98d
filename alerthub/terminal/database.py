"""The terminal's own SQLite file: what it must still tell the hub, and what its screen holds.

It survives the end of the process at any point: a transaction is on the disk before anybody is told of it.
The file holds what an officer was shown, so only its owner may read it, and deleted rows are overwritten.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiosqlite

_SCHEMA = """
CREATE TABLE IF NOT EXISTS command (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    command_id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    message BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS shown_alert (
    alert_id TEXT PRIMARY KEY,
    version INTEGER NOT NULL,
    push BLOB
);
CREATE TABLE IF NOT EXISTS note (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


class TerminalDatabase:
    """One connection to the terminal's file, with one transaction at a time."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self.connection = connection
        self._one_at_a_time = asyncio.Lock()

    @classmethod
    async def open(cls, path: Path) -> TerminalDatabase:
        """Opens or creates the file at `path`, readable by its owner only."""
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Created here and not by SQLite, whose new files follow the umask.
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        connection = await aiosqlite.connect(path, isolation_level=None)
        await connection.execute("PRAGMA journal_mode = WAL")
        await connection.execute("PRAGMA synchronous = FULL")
        await connection.execute("PRAGMA secure_delete = ON")
        await connection.executescript(_SCHEMA)
        return cls(connection)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[aiosqlite.Connection]:
        """All of the block's statements, or none; durable when the block has ended."""
        async with self._one_at_a_time:
            await self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield self.connection
            except BaseException:
                await self.connection.execute("ROLLBACK")
                raise
            await self.connection.execute("COMMIT")

    async def close(self) -> None:
        """Closes the file. What was committed stays."""
        async with self._one_at_a_time:
            await self.connection.close()
