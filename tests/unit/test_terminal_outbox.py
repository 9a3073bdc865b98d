"""What the terminal still has to tell the hub."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from alerthub.api.v1.common_pb2 import Position
from alerthub.api.v1.patrol_pb2 import CommandAnswer, Receipt, ReportPosition, TerminalMessage
from alerthub.terminal.database import TerminalDatabase
from alerthub.terminal.outbox import MAXIMUM_POSITIONS, Outbox, command_id_of


def receipt(number: int) -> TerminalMessage:
    return TerminalMessage(
        command_id=command_id_of("receipt", str(number)),
        receipt=Receipt(alert_id=f"alert-{number}", alert_version=1),
    )


async def test_commands_come_back_in_the_order_in_which_they_were_given(tmp_path: Path) -> None:
    database = await TerminalDatabase.open(tmp_path / "t.db")
    outbox = Outbox(database)
    for number in (3, 1, 2):
        await outbox.add(receipt(number))
    waiting = [command.message.receipt.alert_id for command in await outbox.unanswered()]
    await database.close()
    assert waiting == ["alert-3", "alert-1", "alert-2"]


async def test_a_command_stays_until_it_is_answered_c14(tmp_path: Path) -> None:
    database = await TerminalDatabase.open(tmp_path / "t.db")
    await Outbox(database).add(receipt(1))
    await Outbox(database).add(receipt(2))
    await database.close()

    database = await TerminalDatabase.open(tmp_path / "t.db")
    outbox = Outbox(database)
    first = (await outbox.unanswered())[0].message
    assert await outbox.answered(CommandAnswer(command_id=first.command_id)) == first
    assert await outbox.answered(CommandAnswer(command_id=first.command_id)) is None
    waiting = [command.message.receipt.alert_id for command in await outbox.unanswered()]
    await database.close()
    assert waiting == ["alert-2"]


async def test_the_same_command_is_kept_once(tmp_path: Path) -> None:
    database = await TerminalDatabase.open(tmp_path / "t.db")
    outbox = Outbox(database)
    assert await outbox.add(receipt(1))
    assert not await outbox.add(receipt(1))
    waiting = await outbox.unanswered()
    await database.close()
    assert len(waiting) == 1


def test_doing_the_same_again_has_the_same_command_id_c14() -> None:
    assert command_id_of("accept", "s1") == command_id_of("accept", "s1")
    assert command_id_of("accept", "s1") != command_id_of("decline", "s1")
    assert command_id_of("a", "bc") != command_id_of("ab", "c")
    assert uuid.UUID(command_id_of("accept", "s1")).version == 5


async def test_old_positions_give_way_and_receipts_do_not(tmp_path: Path) -> None:
    database = await TerminalDatabase.open(tmp_path / "t.db")
    outbox = Outbox(database)
    await outbox.add(receipt(1))
    for number in range(MAXIMUM_POSITIONS + 5):
        position = ReportPosition(position=Position(latitude=number / 10))
        await outbox.add(TerminalMessage(command_id=str(uuid.uuid4()), report_position=position))
    messages = [command.message for command in await outbox.unanswered()]
    await database.close()
    assert messages[0].receipt.alert_id == "alert-1"
    assert len(messages) == MAXIMUM_POSITIONS + 1
    assert messages[1].report_position.position.latitude == pytest.approx(0.5)


def _modes(folder: Path) -> set[int]:
    return {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


async def test_only_its_owner_can_read_the_file(tmp_path: Path) -> None:
    database = await TerminalDatabase.open(tmp_path / "t.db")
    await Outbox(database).add(receipt(1))
    modes = _modes(tmp_path)
    await database.close()
    assert modes == {0o600}


async def _write_and_fail(database: TerminalDatabase) -> None:
    async with database.transaction() as connection:
        await connection.execute("INSERT INTO note (name, value) VALUES ('a', 'b')")
        raise RuntimeError("half way")


async def test_a_transaction_that_fails_leaves_nothing(tmp_path: Path) -> None:
    database = await TerminalDatabase.open(tmp_path / "t.db")
    with pytest.raises(RuntimeError, match="half way"):
        await _write_and_fail(database)
    async with database.connection.execute("SELECT count(*) FROM note") as cursor:
        row = await cursor.fetchone()
    await database.close()
    assert row is not None
    assert row[0] == 0


_KILLED_WRITER = """
import asyncio, sys
from pathlib import Path
from alerthub.api.v1.patrol_pb2 import Receipt, TerminalMessage
from alerthub.terminal.database import TerminalDatabase
from alerthub.terminal.outbox import Outbox, command_id_of

async def main():
    outbox = Outbox(await TerminalDatabase.open(Path(sys.argv[1])))
    number = 0
    while True:
        receipt = Receipt(alert_id="a")
        await outbox.add(TerminalMessage(command_id=command_id_of(str(number)), receipt=receipt))
        number += 1
        print(number, flush=True)

asyncio.run(main())
"""


def _killed_after(path: Path, commands: int) -> int:
    """Kills a process that fills an outbox once it said that it kept so many; how many it said in the end."""
    with subprocess.Popen(
        [sys.executable, "-c", _KILLED_WRITER, str(path)], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        for line in writer.stdout:
            if int(line) >= commands:
                break
        os.kill(writer.pid, signal.SIGKILL)
        return max([commands, *(int(line) for line in writer.stdout if line.endswith("\n"))])


async def test_what_was_kept_survives_a_kill_in_the_middle(tmp_path: Path) -> None:
    told = _killed_after(tmp_path / "t.db", 20)
    database = await TerminalDatabase.open(tmp_path / "t.db")
    kept = len(await Outbox(database).unanswered())
    await database.close()
    assert kept >= told
