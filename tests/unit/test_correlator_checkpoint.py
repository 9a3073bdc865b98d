"""The checkpoint's order: alerts, districts, ledgers, acknowledgements; and what stops it (C3)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass, field

import pytest

from services.correlator.checkpoint import Checkpoint
from services.correlator.snapshots import Captured, Snapshot


async def turns() -> None:
    """Lets every task go as far as it can."""
    for _ in range(10):
        await asyncio.sleep(0)


@dataclass
class Event:
    name: str
    happened: list[str]

    def ack(self) -> None:
        self.happened.append(f"ack {self.name}")


@dataclass
class Worker:
    """A worker whose broker answers when it is told to."""

    happened: list[str] = field(default_factory=list)
    answers: dict[str, asyncio.Future[object]] = field(default_factory=dict)
    kept: list[Snapshot] = field(default_factory=list)
    generation: int = 1
    changed: tuple[str, ...] = ("district", "ledger")

    def __post_init__(self) -> None:
        self.checkpoint = Checkpoint(
            capture=self.capture,
            send=self.send,
            keep=self.kept.append,
            generation=lambda: self.generation,
        )

    def capture(self) -> list[Captured]:
        self.happened.append("capture")
        changed, self.changed = self.changed, ()
        districts = tuple(Snapshot(0, name.encode(), b"value") for name in changed if name != "ledger")
        return [Captured(districts, Snapshot(0, b"ledger", b"value") if "ledger" in changed else None)]

    def send(self, record: Snapshot) -> Awaitable[object]:
        self.happened.append(f"send {record.key.decode()}")
        return self.delivery(record.key.decode())

    def delivery(self, name: str) -> asyncio.Future[object]:
        self.answers[name] = asyncio.get_running_loop().create_future()
        return self.answers[name]

    def apply(self, name: str, *, raises: bool = False) -> None:
        self.checkpoint.note(Event(name, self.happened), [self.delivery(f"alert {name}")] if raises else [])

    async def answer(self, name: str) -> None:
        self.answers[name].set_result(None)
        await turns()


async def test_each_step_waits_for_the_brokers_answer_to_the_one_before() -> None:
    worker = Worker()
    worker.apply("a", raises=True)
    worker.apply("b")

    running = asyncio.create_task(worker.checkpoint.run())
    await asyncio.sleep(0)
    assert worker.happened == ["capture"]
    await worker.answer("alert a")
    assert worker.happened == ["capture", "send district"]
    await worker.answer("district")
    assert worker.happened == ["capture", "send district", "send ledger"]
    await worker.answer("ledger")

    assert await running
    assert worker.happened[3:] == ["ack a", "ack b"]
    assert [record.key for record in worker.kept] == [b"district", b"ledger"]


# One that went on would wait for an answer that never comes.
@pytest.mark.timeout(10)
@pytest.mark.parametrize("moment", ["alert a", "district", "ledger"])
async def test_it_acknowledges_nothing_when_the_assignment_changed_meanwhile(moment: str) -> None:
    worker = Worker()
    worker.apply("a", raises=True)

    running = asyncio.create_task(worker.checkpoint.run())
    await asyncio.sleep(0)
    for step in ("alert a", "district", "ledger"):
        if step == moment:
            worker.generation += 1
        await worker.answer(step)
        if step == moment:
            break

    assert not await running
    assert not any(one.startswith("ack") for one in worker.happened)


async def test_what_is_applied_while_it_runs_waits_for_the_next_one() -> None:
    worker = Worker()
    worker.apply("a", raises=True)
    running = asyncio.create_task(worker.checkpoint.run())
    await asyncio.sleep(0)

    worker.apply("b")
    for step in ("alert a", "district", "ledger"):
        await worker.answer(step)

    assert await running
    assert "ack b" not in worker.happened
    assert worker.checkpoint.waiting == 1


async def test_two_do_not_run_at_once() -> None:
    worker = Worker()
    worker.apply("a", raises=True)

    first = asyncio.create_task(worker.checkpoint.run())
    second = asyncio.create_task(worker.checkpoint.run())
    for step in ("alert a", "district", "ledger"):
        await worker.answer(step)

    assert await first
    assert await second
    assert worker.happened.index("ack a") < len(worker.happened) - 1
    assert worker.happened[-1] == "capture"


async def test_an_alert_that_was_not_delivered_ends_it_without_an_acknowledgement() -> None:
    worker = Worker()
    worker.apply("a", raises=True)

    running = asyncio.create_task(worker.checkpoint.run())
    await asyncio.sleep(0)
    worker.answers["alert a"].set_exception(ConnectionError())

    with pytest.raises(ConnectionError):
        await running
    assert worker.happened == ["capture"]


async def test_what_a_lost_assignment_left_is_not_acknowledged_later() -> None:
    worker = Worker(changed=())
    worker.apply("a")

    worker.checkpoint.forget()

    assert await worker.checkpoint.run()
    assert worker.happened == ["capture"]
