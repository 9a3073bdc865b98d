"""Passwords cost the same whoever asks, and never more memory than was set aside."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import Any

import pytest
from argon2 import PasswordHasher

from alerthub.domain.errors import Retry
from services.registry.passwords import Passwords, first_password

QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


def _niceness() -> int:
    """Of the thread that asks."""
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


class CountingHasher(PasswordHasher):
    """Quick, and remembers what it was held against."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.verified: list[str] = []
        self.niceness: list[int] = []

    def verify(self, hash: Any, password: Any) -> Any:  # noqa: A002 - argon2's own name
        self.verified.append(str(hash))
        self.niceness.append(_niceness())
        return super().verify(hash, password)


async def test_a_password_matches_what_was_kept_of_it() -> None:
    passwords = Passwords(concurrency=1, queue=1, hasher=QUICK)
    kept = await passwords.hash("the password")
    assert await passwords.matches(kept, "the password")
    assert not await passwords.matches(kept, "another")


async def test_an_unknown_account_costs_as_much_as_a_known_one() -> None:
    hasher = CountingHasher()
    passwords = Passwords(concurrency=1, queue=1, hasher=hasher)
    kept = await passwords.hash("the password")
    assert not await passwords.matches(None, "the password")
    await passwords.matches(kept, "the password")
    unknown, known = hasher.verified
    assert unknown.rpartition("$")[0].rpartition("$")[0] == known.rpartition("$")[0].rpartition("$")[0]


async def test_verifying_gives_way_to_what_an_alert_waits_for() -> None:
    before = _niceness()
    hasher = CountingHasher()
    passwords = Passwords(concurrency=1, queue=1, hasher=hasher)
    await passwords.matches(await passwords.hash("the password"), "the password")
    assert hasher.niceness == [min(19, before + 10)]
    assert _niceness() == before


async def test_what_is_no_hash_matches_nothing() -> None:
    assert not await Passwords(concurrency=1, queue=1, hasher=QUICK).matches("readable", "readable")


async def test_no_more_verify_at_once_than_were_allowed() -> None:
    passwords = Passwords(concurrency=2, queue=8, hasher=QUICK)
    inside = most = 0

    async def one() -> None:
        nonlocal inside, most
        async with passwords.turn():
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            inside -= 1

    await asyncio.gather(*(one() for _ in range(8)))
    assert most == 2


async def test_who_finds_too_many_waiting_is_asked_to_come_again() -> None:
    passwords = Passwords(concurrency=1, queue=1, hasher=QUICK)
    release = asyncio.Event()

    async def hold() -> None:
        async with passwords.turn():
            await release.wait()

    holding = asyncio.create_task(hold())
    await asyncio.sleep(0)
    waiting = asyncio.create_task(hold())
    await asyncio.sleep(0)
    with pytest.raises(Retry):
        async with passwords.turn():
            pass
    release.set()
    await asyncio.gather(holding, waiting)


def test_first_passwords_are_long_and_never_the_same() -> None:
    made = {first_password() for _ in range(50)}
    assert len(made) == 50
    assert all(len(password) == 20 for password in made)
