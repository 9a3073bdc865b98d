"""The terminal's stream: resumed where it broke, commands sent until they are answered."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from terminal_parts import Hub, hub_on, terminal_on

from alerthub.api.v1 import patrol_pb2_grpc
from alerthub.api.v1.alert_pb2 import (
    ALERT_STATUS_CANCELLED,
    ASSIGNMENT_STATUS_ACCEPTED,
    ASSIGNMENT_STATUS_DELIVERED,
    OUTCOME_FOUND,
    Alert,
)
from alerthub.api.v1.patrol_pb2 import (
    AlertPush,
    HubMessage,
    SignedOff,
    TerminalMessage,
    Welcome,
)
from alerthub.domain.denials import Denial
from alerthub.domain.errors import AlertHubError, NotAllowed, TooOften
from alerthub.identity import NotAuthenticatedError
from alerthub.terminal.client import LONGEST_WAIT_SECONDS, wait_before_try
from alerthub.terminal.events import CommandAnswered, Link, LinkChanged, ScreenChanged, TerminalEvent
from alerthub.terminal.outbox import Outbox


def is_screen(event: TerminalEvent) -> bool:
    return isinstance(event, ScreenChanged)


def is_answer(event: TerminalEvent) -> bool:
    return isinstance(event, CommandAnswered)


async def test_an_alert_is_shown_and_its_receipt_sent(tmp_path: Path) -> None:
    async with hub_on() as (hub, address), terminal_on(address, tmp_path / "t.db") as terminal:
        hub.welcomes()
        sign_on = (await hub.hears("sign_on")).sign_on
        hub.pushes("a1", 3, after="r1")
        receipt = (await hub.hears("receipt")).receipt
        await terminal.until(is_answer)
    assert (sign_on.officer_token, sign_on.resume_token) == ("token-1", "")
    assert (receipt.alert_id, receipt.alert_version, receipt.assignment_id) == ("a1", 3, "s-a1")
    assert terminal.names() == ["connected", "alert_shown", "command_answered"]


async def test_a_terminal_that_was_off_resumes_after_the_last_message_that_it_stored_c10(
    tmp_path: Path,
) -> None:
    async with hub_on() as (hub, address):
        async with terminal_on(address, tmp_path / "t.db") as terminal:
            hub.welcomes()
            await hub.hears("sign_on")
            hub.pushes("a1", after="r1")
            await terminal.until(is_answer)
        hub.hangs_up()
        async with terminal_on(address, tmp_path / "t.db") as terminal:
            hub_resumed = await _next_sign_on(hub)
            shown = list(terminal.client.screen.alerts)
    assert hub_resumed == "r1"
    assert shown == ["a1"]


async def _next_sign_on(hub: Hub) -> str:
    while True:
        message = await asyncio.wait_for(hub.from_terminal.get(), 10)
        if message.WhichOneof("message") == "sign_on":
            return message.sign_on.resume_token


async def test_half_a_snapshot_is_not_resumed_from_c10(tmp_path: Path) -> None:
    async with hub_on() as (hub, address), terminal_on(address, tmp_path / "t.db") as terminal:
        hub.welcomes(snapshot=True)
        await hub.hears("sign_on")
        hub.pushes("a1", after="half")
        await terminal.until(is_screen)
        hub.hangs_up()
        after_half = await _next_sign_on(hub)
        hub.welcomes(snapshot=True)
        hub.pushes("a1", after="half")
        hub.beats(complete=True)
        await terminal.until(lambda e: isinstance(e, LinkChanged) and e.link.value == "confirmed")
        hub.hangs_up()
        after_whole = await _next_sign_on(hub)
    assert (after_half, after_whole) == ("", "half")


async def test_a_repeat_after_a_reconnection_is_shown_and_receipted_once_c10(tmp_path: Path) -> None:
    async with hub_on() as (hub, address), terminal_on(address, tmp_path / "t.db") as terminal:
        hub.welcomes()
        hub.pushes("a1")
        await terminal.until(is_answer)
        hub.hangs_up()
        hub.welcomes(snapshot=True)
        hub.pushes("a1")
        hub.pushes("a2")
        await terminal.until(is_answer, 2)
        shown = [event.change.alert_id for event in terminal.events if isinstance(event, ScreenChanged)]
        receipts = [event.alert_id for event in terminal.events if isinstance(event, CommandAnswered)]
    assert shown == ["a1", "a2"]
    assert receipts == ["a1", "a2"]


async def test_a_receipt_is_given_once_an_assignment(tmp_path: Path) -> None:
    async with hub_on() as (hub, address), terminal_on(address, tmp_path / "t.db") as terminal:
        # Given an alert that changes before the hub has answered its receipt
        hub.answers = False
        hub.welcomes()
        await hub.hears("sign_on")
        hub.pushes("a1", 1)
        hub.pushes("a1", 2)
        await terminal.until(is_screen, 2)
        # When the hub says that it was delivered, and then accepted
        hub.pushes("a1", 3, assigned=ASSIGNMENT_STATUS_DELIVERED)
        hub.pushes("a1", 4, assigned=ASSIGNMENT_STATUS_ACCEPTED)
        hub.pushes("a2", 1)
        # Then the first receipt was the only one
        receipts = [(await hub.hears("receipt")).receipt for _ in range(2)]
        await terminal.until(is_screen, 5)
    assert [(each.alert_id, each.alert_version) for each in receipts] == [("a1", 1), ("a2", 1)]


async def test_a_receipt_that_the_hub_does_not_show_is_given_again(tmp_path: Path) -> None:
    async with hub_on() as (hub, address), terminal_on(address, tmp_path / "t.db") as terminal:
        # Given a hub that answered a receipt and lost it, as one that was restored from a backup
        hub.welcomes()
        await hub.hears("sign_on")
        hub.pushes("a1", 1)
        await hub.hears("receipt")
        await terminal.until(is_answer)
        # When it still says that the alert is only offered
        hub.pushes("a1", 2)
        # Then it gets one more
        assert (await hub.hears("receipt")).receipt.alert_version == 2


class EndedStream:
    """A stream that has ended, with messages that came before: gRPC gives them, and takes nothing more."""

    def __init__(self) -> None:
        pushes = [AlertPush(alert=Alert(alert_id=name, version=1), assignment_id=name) for name in "ab"]
        self._messages = [
            HubMessage(welcome=Welcome(unit_id="u1")),
            *(HubMessage(alert=push) for push in pushes),
        ]
        self._refused = asyncio.Event()

    async def write(self, message: TerminalMessage) -> None:
        if message.WhichOneof("message") != "sign_on":
            self._refused.set()
            raise asyncio.InvalidStateError("RPC already finished.")

    async def read(self) -> Any:
        if len(self._messages) == 1:
            await self._refused.wait()
        return self._messages.pop(0) if self._messages else grpc.aio.EOF

    def cancel(self) -> None:
        pass


async def test_a_stream_that_ends_while_its_last_messages_are_taken_is_made_anew_s2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given streams that are over, the receipts of which nobody takes any more.
    opened: asyncio.Queue[EndedStream] = asyncio.Queue()

    def connect() -> EndedStream:
        stream = EndedStream()
        opened.put_nowait(stream)
        return stream

    monkeypatch.setattr(patrol_pb2_grpc, "PatrolServiceStub", lambda _: SimpleNamespace(Connect=connect))
    # When the terminal takes what came before, then it says that the stream is over, and connects again:
    # there it is told why.
    async with terminal_on("127.0.0.1:1", tmp_path / "t.db") as terminal, asyncio.timeout(10):
        await opened.get()
        await opened.get()
    assert terminal.names()[:4] == ["connected", "alert_shown", "alert_shown", "disconnected"]


async def test_an_unanswered_command_is_sent_again_with_the_same_command_id_c14(tmp_path: Path) -> None:
    async with hub_on() as (hub, address), terminal_on(address, tmp_path / "t.db") as terminal:
        hub.answers = False
        hub.welcomes()
        await hub.hears("sign_on")
        await terminal.client.accept("a1", "s1")
        await terminal.client.record_outcome("a1", "s1", OUTCOME_FOUND)
        first = [(await hub.hears(kind)).command_id for kind in ("accept", "record_outcome")]
        hub.hangs_up()
        hub.answers = True
        hub.welcomes()
        await hub.hears("sign_on")
        again = [(await hub.hears(kind)).command_id for kind in ("accept", "record_outcome")]
        await terminal.until(is_answer, 2)
        waiting = await Outbox(terminal.database).unanswered()
    assert first == again
    assert waiting == []


async def test_what_was_decided_while_the_hub_was_away_is_sent_when_it_is_back_c14(tmp_path: Path) -> None:
    async with terminal_on("127.0.0.1:1", tmp_path / "t.db") as terminal:
        await terminal.client.accept("a1", "s1")
        await terminal.until(lambda e: isinstance(e, LinkChanged) and e.link.value == "disconnected")
    async with hub_on() as (hub, address), terminal_on(address, tmp_path / "t.db"):
        hub.welcomes()
        await hub.hears("sign_on")
        assert (await hub.hears("accept")).accept.assignment_id == "s1"


async def test_a_cancellation_takes_the_alert_off_and_off_the_disk(tmp_path: Path) -> None:
    async with hub_on() as (hub, address), terminal_on(address, tmp_path / "t.db") as terminal:
        hub.welcomes()
        hub.pushes("a1", 1)
        hub.pushes("a1", 2, status=ALERT_STATUS_CANCELLED)
        await terminal.until(is_screen, 2)
        async with terminal.database.connection.execute("SELECT version, push FROM shown_alert") as cursor:
            rows = await cursor.fetchall()
    assert [event for event in terminal.names() if "alert" in event] == ["alert_shown", "alert_removed"]
    assert [tuple(row) for row in rows] == [(2, None)]


async def test_a_terminal_says_when_what_it_shows_is_no_longer_confirmed_refusal_7(tmp_path: Path) -> None:
    clock = [1_000_000]
    async with (
        hub_on() as (hub, address),
        terminal_on(address, tmp_path / "t.db", now_ms=lambda: clock[0]) as terminal,
    ):
        hub.welcomes()
        hub.beats()
        await terminal.until(lambda e: isinstance(e, LinkChanged) and e.link.value == "confirmed")
        clock[0] += 10_000
        await terminal.until(lambda e: isinstance(e, LinkChanged) and e.link.value == "unconfirmed")
        hub.beats()
        await terminal.until(lambda e: isinstance(e, LinkChanged) and e.link.value == "confirmed", 2)
    assert terminal.names() == ["connected", "confirmed", "unconfirmed", "confirmed"]


async def test_a_session_that_the_hub_ended_leaves_nothing_on_the_terminal(tmp_path: Path) -> None:
    async with hub_on() as (hub, address), terminal_on(address, tmp_path / "t.db") as terminal:
        hub.welcomes()
        hub.pushes("a1", after="r1")
        await hub.hears("sign_on")
        await hub.hears("receipt")
        hub.to_terminal.put_nowait(HubMessage(signed_off=SignedOff(reason="revoked")))
        await terminal.until(lambda e: isinstance(e, LinkChanged) and e.link.value == "signed_off")
        async with terminal.database.connection.execute("SELECT * FROM shown_alert") as cursor:
            rows = list(await cursor.fetchall())
        resumed = await _next_sign_on(hub)
    assert rows == []
    assert resumed == ""


async def test_another_officer_does_not_see_what_was_opened_for_the_first(tmp_path: Path) -> None:
    async with hub_on() as (hub, address):
        async with terminal_on(address, tmp_path / "t.db", account="li") as terminal:
            hub.welcomes()
            hub.pushes("a1", after="r1")
            await terminal.until(is_answer)
            await hub.hears("sign_on")
            await hub.hears("receipt")
        hub.hangs_up()
        async with terminal_on(address, tmp_path / "t.db", account="wang") as terminal:
            shown = list(terminal.client.screen.alerts)
            resumed = await _next_sign_on(hub)
    assert shown == []
    assert resumed == ""


async def test_the_officer_s_token_is_renewed_before_it_ends(tmp_path: Path) -> None:
    async with hub_on() as (hub, address), terminal_on(address, tmp_path / "t.db") as terminal:
        # A life that is over for the session's clock (0) at once: renewed as soon as signed on.
        terminal.session.life_ms = 1
        hub.welcomes()
        first = (await hub.hears("sign_on")).sign_on.officer_token
        fresh = (await hub.hears("renew_token")).renew_token.officer_token
    assert (first, fresh) == ("token-1", "token-2")


async def test_a_receipt_does_not_wait_for_a_renewal_that_takes_long(tmp_path: Path) -> None:
    async with hub_on() as (hub, address), terminal_on(address, tmp_path / "t.db") as terminal:
        # Given a token that is renewed as soon as the officer is signed on, and a registry that is busy.
        terminal.session.life_ms = 1
        await hub.hears("sign_on")
        terminal.session.answers.clear()
        hub.welcomes()
        # When an alert comes meanwhile, its receipt goes out, and the fresh token once it is there.
        hub.pushes("a1")
        assert (await hub.hears("receipt")).receipt.alert_id == "a1"
        terminal.session.answers.set()
        await hub.hears("renew_token")


def is_refusal(event: TerminalEvent) -> bool:
    return isinstance(event, LinkChanged) and event.link is Link.REFUSED


@pytest.mark.parametrize(
    ("refusal", "english", "chinese"),
    [
        (
            NotAllowed("officer_token", Denial.OFF_SHIFT.value),
            "current shift",
            "该警员当前不在本单位的班次内",
        ),
        (NotAuthenticatedError(Denial.IDENTITY_REVOKED.value), "revoked", "该身份已被吊销"),
        (NotAuthenticatedError(""), "an officer and a certificate", "中枢不接受此警员或此证书"),
    ],
)
async def test_the_officer_is_told_why_the_hub_refuses_in_both_languages(
    tmp_path: Path, refusal: AlertHubError, english: str, chinese: str
) -> None:
    async with hub_on() as (hub, address):
        hub.refuses = refusal
        async with terminal_on(address, tmp_path / "t.db") as terminal:
            (told,) = await terminal.until(is_refusal)
    assert isinstance(told, LinkChanged)
    assert english in told.reason
    assert told.reason_chinese == chinese


@pytest.mark.parametrize(
    ("refusal", "chinese"),
    [
        (NotAllowed("account", Denial.ACCOUNT_NOT_TAKEN.value), "账号或密码错误，或账号已锁定或吊销"),
        (TooOften(Denial.SIGN_IN_TOO_OFTEN.value), "该地址登录失败次数过多，请稍后再试"),
    ],
)
async def test_the_officer_is_told_why_the_registry_refuses_in_both_languages(
    tmp_path: Path, refusal: AlertHubError, chinese: str
) -> None:
    async with hub_on() as (hub, address), terminal_on(address, tmp_path / "t.db") as terminal:
        hub.welcomes()
        await hub.hears("sign_on")
        terminal.session.discard(await terminal.session.token())
        terminal.session.refused = refusal
        hub.hangs_up()
        (told,) = await terminal.until(is_refusal)
    assert isinstance(told, LinkChanged)
    assert told.reason
    assert told.reason_chinese == chinese


async def test_waits_between_tries_grow_are_bounded_and_differ() -> None:
    waits = [wait_before_try(failures, 1.0) for failures in range(12)]
    assert waits == sorted(waits)
    assert waits[-1] == LONGEST_WAIT_SECONDS
    assert wait_before_try(20, 0.0) == LONGEST_WAIT_SECONDS / 2
