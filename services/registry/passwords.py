"""Passwords: argon2id (RFC 9106, the choice for 64 MiB), off the event loop, a bounded number at a time."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from alerthub.domain.denials import Denial
from alerthub.domain.errors import Retry

_NICENESS = 10
"""A password takes a tenth of a second of a core, of several cores at once: whatever an alert waits for goes
first."""
FIRST_PASSWORD_BYTES = 15
"""120 random bits: a first password is typed once or twice."""


def first_password() -> str:
    """A random password for a new account. It begins with a letter or a digit: a hyphen at the beginning is
    taken for an option by commands, and for a formula by spreadsheets."""
    while True:
        password = secrets.token_urlsafe(FIRST_PASSWORD_BYTES)
        if password[0].isalnum():
            return password


class Passwords:
    """Hashes and verifies. An unknown account costs as much as a known one."""

    def __init__(self, *, concurrency: int, queue: int, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._slots = asyncio.Semaphore(concurrency)
        # Linux has a niceness for each thread, and argon2's own threads inherit it.
        self._threads = ThreadPoolExecutor(concurrency, "passwords", initializer=partial(os.nice, _NICENESS))
        self._queue = queue
        self._waiting = 0
        # Nobody knows its password; it is what the password for an unknown account is held against.
        self._nobody = self._hasher.hash(secrets.token_bytes(32))

    async def hash(self, password: str) -> str:
        """The text to keep of a password."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._hasher.hash, password)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Waits for a place among those who verify. Raises Retry when too many wait already.

        Taken before a database connection is: those who wait hold nothing that others need.
        """
        if self._waiting >= self._queue:
            raise Retry(Denial.SIGN_IN_CROWDED.value, after_seconds=2.0)
        self._waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._slots.release()

    async def matches(self, kept: str | None, password: str) -> bool:
        """Whether `password` is the one that `kept` was made of; None takes as long and is False."""
        verified = await asyncio.get_running_loop().run_in_executor(
            self._threads, self._verify, kept or self._nobody, password
        )
        return verified and kept is not None

    def _verify(self, kept: str, password: str) -> bool:
        try:
            return self._hasher.verify(kept, password)
        except (VerificationError, InvalidHashError):
            return False
