"""The terminal program: what it shows and what its keys do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from textual.widgets import DataTable, Static

from alerthub.api.v1.alert_pb2 import (
    ALERT_STATUS_ACCEPTED,
    ALERT_STATUS_CANCELLED,
    ALERT_STATUS_DISPATCHING,
    ASSIGNMENT_STATUS_ACCEPTED,
    ASSIGNMENT_STATUS_DELIVERED,
    OUTCOME_NOT_FOUND,
    Alert,
    AlertStatus,
    Assignment,
)
from alerthub.api.v1.common_pb2 import LocalizedText
from alerthub.api.v1.patrol_pb2 import AlertPush, CommandAnswer
from alerthub.api.v1.watchlist_pb2 import OpenedDetails
from alerthub.terminal.client import TerminalClient
from alerthub.terminal.database import TerminalDatabase
from alerthub.terminal.events import CommandAnswered, Link, LinkChanged, ScreenChanged, TerminalEvent
from alerthub.terminal.outbox import Outbox
from alerthub.terminal.program import TerminalProgram, card
from alerthub.terminal.screen_state import ChangeKind, RemovalReason, ScreenChange, ScreenState
from alerthub.terminal.session import OfficerSession
from alerthub.terminal.words import Language


def push(status: AlertStatus.ValueType = ALERT_STATUS_DISPATCHING, *, details: bool = True) -> AlertPush:
    accepted = status == ALERT_STATUS_ACCEPTED
    alert = Alert(
        alert_id="a1",
        version=1,
        status=status,
        officer_text=LocalizedText(chinese="在逃人员车辆", english="Wanted person's vehicle"),
        assignments=[
            Assignment(
                assignment_id="s1",
                status=ASSIGNMENT_STATUS_ACCEPTED if accepted else ASSIGNMENT_STATUS_DELIVERED,
            )
        ],
    )
    opened = OpenedDetails(identifier="[b]冀R12345", make="sedan") if details else None
    reason = "" if details else "watchlist did not answer"
    return AlertPush(alert=alert, assignment_id="s1", details=opened, details_missing_reason=reason)


class Shown(TerminalClient):
    """A client whose screen the test sets and which never connects."""

    def __init__(self, database: TerminalDatabase, tell: Callable[[TerminalEvent], None]) -> None:
        session = OfficerSession(
            registry_address="", ca_file=Path(), account="li", password="", now_ms=lambda: 0
        )
        super().__init__(
            address="",
            credentials=grpc.local_channel_credentials(),
            session=session,
            database=database,
            now_ms=lambda: 0,
            tell=tell,
        )
        self.now_shown = ScreenState()

    @property
    def screen(self) -> ScreenState:
        return self.now_shown

    async def run(self) -> None:
        return


class Desk:
    """A program with a database, in the test's hands."""

    def __init__(self, database: TerminalDatabase) -> None:
        self.database = database
        self.clients: list[Shown] = []
        self.program = TerminalProgram(self._client_for, language=Language.ENGLISH, now_ms=lambda: 0)

    def _client_for(self, tell: Callable[[TerminalEvent], None]) -> TerminalClient:
        self.clients.append(Shown(self.database, tell))
        return self.clients[-1]

    def shows(self, shown: AlertPush) -> None:
        self.clients[0].now_shown = ScreenState(alerts={shown.alert.alert_id: shown})
        self.program.take(ScreenChanged(ScreenChange(ChangeKind.SHOWN, shown)))

    def text(self, name: str) -> str:
        return str(self.program.query_one(f"#{name}", Static).render())

    async def commands(self) -> list[str]:
        waiting = await Outbox(self.database).unanswered()
        return [command.message.WhichOneof("message") or "" for command in waiting]


@pytest.fixture
async def desk(tmp_path: Path) -> Desk:
    return Desk(await TerminalDatabase.open(tmp_path / "t.db"))


@pytest.fixture(autouse=True)
async def _closed(desk: Desk) -> object:
    yield
    await desk.database.close()


async def test_a_lost_hub_is_said_in_words_refusal_7(desk: Desk) -> None:
    async with desk.program.run_test():
        desk.program.take(LinkChanged(Link.CONFIRMED))
        assert "NO LONGER" not in desk.text("link")
        desk.program.take(LinkChanged(Link.UNCONFIRMED))
        assert "NO LONGER CONFIRMED" in desk.text("link")


async def test_a_accepts_the_chosen_alert_once(desk: Desk) -> None:
    async with desk.program.run_test() as pilot:
        desk.shows(push())
        await pilot.pause()
        await pilot.press("a", "a")
        await pilot.pause()
        assert await desk.commands() == ["accept"]


async def test_o_asks_what_was_found_and_records_it(desk: Desk) -> None:
    async with desk.program.run_test() as pilot:
        desk.shows(push(ALERT_STATUS_ACCEPTED))
        await pilot.pause()
        await pilot.press("o", "4")
        await pilot.pause()
        (command,) = await Outbox(desk.database).unanswered()
        assert command.message.record_outcome.outcome == OUTCOME_NOT_FOUND


async def test_nothing_is_recorded_of_what_was_not_accepted_or_when_the_officer_goes_back(
    desk: Desk,
) -> None:
    async with desk.program.run_test() as pilot:
        desk.shows(push())
        await pilot.pause()
        await pilot.press("o", "1")
        desk.shows(push(ALERT_STATUS_ACCEPTED))
        await pilot.pause()
        await pilot.press("o", "escape", "a")
        await pilot.pause()
        assert await desk.commands() == []


async def test_d_declines_with_the_reason_that_was_typed(desk: Desk) -> None:
    async with desk.program.run_test() as pilot:
        desk.shows(push())
        await pilot.pause()
        await pilot.press("d", *"busy", "enter")
        await pilot.pause()
        (command,) = await Outbox(desk.database).unanswered()
        assert command.message.decline.reason == "busy"


async def test_a_cancelled_alert_says_why(desk: Desk) -> None:
    async with desk.program.run_test() as pilot:
        cancelled = push(ALERT_STATUS_CANCELLED)
        cancelled.alert.cancelled_reason = "entry withdrawn"
        change = ScreenChange(ChangeKind.REMOVED, cancelled, RemovalReason.CANCELLED)
        desk.program.take(ScreenChanged(change))
        await pilot.pause()
        assert "Cancelled" in desk.text("message")
        assert "entry withdrawn" in desk.text("message")
        assert desk.program.query_one("#alerts", DataTable).row_count == 0


async def test_what_comes_while_the_program_ends_does_not_break_it(desk: Desk) -> None:
    async with desk.program.run_test() as pilot:
        desk.shows(push())
        await pilot.pause()
    desk.shows(push(ALERT_STATUS_ACCEPTED))
    desk.program.on_data_table_row_highlighted()


async def test_a_late_acceptance_is_told_superseded(desk: Desk) -> None:
    async with desk.program.run_test() as pilot:
        superseded = CommandAnswer.Result.RESULT_SUPERSEDED
        desk.program.take(CommandAnswered("accept", "c1", "a1", superseded, ""))
        await pilot.pause()
        assert "Another unit has it" in desk.text("message")


async def test_l_changes_the_language(desk: Desk) -> None:
    async with desk.program.run_test() as pilot:
        desk.shows(push())
        await pilot.press("l")
        await pilot.pause()
        assert "在逃人员车辆" in desk.text("card")


def test_a_card_without_details_says_why() -> None:
    text = card(push(details=False), Language.ENGLISH, now_ms=0)
    assert "watchlist did not answer" in text


async def test_the_screen_says_in_its_language_what_the_hub_said_in_two(desk: Desk) -> None:
    # given a terminal in Chinese
    async with desk.program.run_test() as pilot:
        await pilot.press("l")
        told = []

        # when an alert is cancelled, an answer came too late, and the officer is signed off and refused
        cancelled = push(ALERT_STATUS_CANCELLED)
        cancelled.alert.cancelled_reason = "the watchlist entry was withdrawn"
        cancelled.alert.cancelled_reason_chinese = "布控条目已撤销"
        late = CommandAnswer.Result.RESULT_SUPERSEDED
        for event in (
            ScreenChanged(ScreenChange(ChangeKind.REMOVED, cancelled, RemovalReason.CANCELLED)),
            CommandAnswered("accept", "c1", "a1", late, "it came too late", "接受太迟"),
            LinkChanged(Link.SIGNED_OFF, "the shift has ended", reason_chinese="本班已结束"),
            LinkChanged(Link.REFUSED, "the token of an officer", reason_chinese="该账号不是警员账号"),
        ):
            desk.program.take(event)
            await pilot.pause()
            told.append(desk.text("message"))

    # then each is said in Chinese alone
    for text, said in zip(told, ("布控条目已撤销", "接受太迟", "本班已结束", "不是警员账号"), strict=True):
        assert said in text
    assert not any("the " in text or "it came" in text for text in told)


async def test_a_refusal_that_is_over_is_said_no_longer(desk: Desk) -> None:
    async with desk.program.run_test() as pilot:
        desk.program.take(LinkChanged(Link.REFUSED, "the token of an officer"))
        await pilot.pause()
        assert "the token of an officer" in desk.text("message")
        desk.program.take(LinkChanged(Link.CONNECTED))
        await pilot.pause()
        assert desk.text("message") == ""


async def test_what_was_said_of_an_alert_outlives_a_short_break(desk: Desk) -> None:
    async with desk.program.run_test() as pilot:
        superseded = CommandAnswer.Result.RESULT_SUPERSEDED
        desk.program.take(CommandAnswered("accept", "c1", "a1", superseded, ""))
        desk.program.take(LinkChanged(Link.DISCONNECTED, "UNAVAILABLE"))
        desk.program.take(LinkChanged(Link.CONNECTED))
        await pilot.pause()
        assert "Another unit has it" in desk.text("message")


def test_a_card_says_in_its_language_what_is_missing() -> None:
    shown = push(details=False)
    shown.details_missing_reason_chinese = "布控服务没有应答"
    shown.alert.sightings.add(
        picture_missing_reason="the device sent no picture", picture_missing_reason_chinese="设备未上传图片"
    )

    chinese = card(shown, Language.CHINESE, now_ms=0)
    english = card(shown, Language.ENGLISH, now_ms=0)

    assert "布控服务没有应答" in chinese
    assert "设备未上传图片" in chinese
    assert "watchlist did not answer" in english
    assert "the device sent no picture" in english


def test_a_hub_of_an_earlier_release_is_understood_in_english() -> None:
    assert "watchlist did not answer" in card(push(details=False), Language.CHINESE, now_ms=0)


def test_text_from_outside_is_no_markup() -> None:
    assert "\\[b]冀R12345" in card(push(), Language.ENGLISH, now_ms=0)
