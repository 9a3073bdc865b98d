"""Loops that go on through what may work later, and end with what nobody foresaw."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy.exc import SQLAlchemyError

from alerthub import loops, postgres
from alerthub.domain.errors import Retry


@pytest.mark.parametrize(
    ("waits", "waits_out"),
    [(Retry("not now"), ()), (SQLAlchemyError("the database is away"), postgres.ERRORS)],
)
async def test_what_may_work_later_is_done_again(
    waits: Exception, waits_out: tuple[type[Exception], ...]
) -> None:
    done = asyncio.Event()
    tries = 0

    async def work() -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise waits
        done.set()

    repeating = asyncio.create_task(
        loops.repeat(work, every_seconds=0, waiting_event="work_waits", waits_out=waits_out)
    )
    async with asyncio.timeout(5):
        await done.wait()

    await loops.end(repeating)
    assert tries >= 2


async def test_what_nobody_foresaw_ends_it() -> None:
    async def work() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await loops.repeat(work, every_seconds=0, waiting_event="work_waits")
