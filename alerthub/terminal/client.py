"""The terminal's connection to the hub: one stream, kept up, resumed where it broke.

Every message of the hub is on the disk, with the receipt it is owed and the resume token it came with, before
anybody is told of it (C10). Commands wait in the outbox and go out again after each new connection (C14).
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import uuid
from collections.abc import Callable
from typing import Any

import grpc

from alerthub.api.v1 import patrol_pb2_grpc
from alerthub.api.v1.alert_pb2 import Outcome
from alerthub.api.v1.common_pb2 import Position
from alerthub.api.v1.patrol_pb2 import (
    AcceptAssignment,
    DeclineAssignment,
    HubMessage,
    Receipt,
    RecordOutcome,
    RenewToken,
    ReportPosition,
    SignOn,
    TerminalMessage,
)
from alerthub.domain.denials import Denial
from alerthub.domain.errors import NotAllowed, Retry, TooOften
from alerthub.grpc_errors import error_of
from alerthub.terminal import outbox as outgoing
from alerthub.terminal import stored_screen
from alerthub.terminal.database import TerminalDatabase
from alerthub.terminal.events import CommandAnswered, Link, LinkChanged, ScreenChanged, TerminalEvent
from alerthub.terminal.outbox import Outbox, command_id_of
from alerthub.terminal.screen_state import (
    ChangeKind,
    ScreenChange,
    ScreenState,
    apply,
    disconnected,
    known_delivered,
)
from alerthub.terminal.session import OfficerSession, OfficerToken

FIRST_WAIT_SECONDS = 0.2
LONGEST_WAIT_SECONDS = 10.0
"""Between tries to connect: doubled each time, with a random share so that a thousand terminals do not come
at once after an outage."""
LOST_AFTER_SECONDS = 15.0
"""Without any message for this long the connection is given up and made anew; heartbeats come every 5 s."""
RENEWAL_RETRY_SECONDS = 2.0
_LOOK_EVERY_SECONDS = 0.5
_REFUSED = frozenset({grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED})
_STREAM_OPTIONS = (
    ("grpc.max_receive_message_length", 4 * 1024 * 1024),
    # The client waits between its own tries, so gRPC's longer waits would only come on top.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2000),
)


def wait_before_try(failures: int, share: float) -> float:
    """Seconds to wait after `failures` failed tries in a row; `share` is random in 0 to 1."""
    longest = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2.0 ** min(failures, 16))
    return longest * (0.5 + 0.5 * share)


async def _write(stream: Any, message: TerminalMessage) -> None:
    """Writes, or does nothing where the stream has ended: why it did comes to who reads, after what the hub
    sent before, and an unanswered command goes out again on the next stream."""
    with contextlib.suppress(asyncio.InvalidStateError):
        await stream.write(message)


def _why_refused(error: grpc.aio.AioRpcError) -> tuple[str, str]:
    """In English and in Chinese."""
    told = error_of(error)
    if told.words.english:
        return str(told), told.words.chinese
    granted = Denial.NOT_GRANTED.value
    return f"expected {granted.english}", granted.chinese


class TerminalClient:
    """One terminal with one officer signed on."""

    def __init__(
        self,
        *,
        address: str,
        credentials: grpc.ChannelCredentials,
        session: OfficerSession,
        database: TerminalDatabase,
        now_ms: Callable[[], int],
        tell: Callable[[TerminalEvent], None],
    ) -> None:
        self._address = address
        self._credentials = credentials
        self._session = session
        self._database = database
        self._now_ms = now_ms
        self._tell = tell
        self._outbox = Outbox(database)
        self._screen = ScreenState()
        self._resume_token = ""
        self._seen_token = ""
        self._shown_link: Link | None = None
        self._shown_confirmed = False
        self._failures = 0

    @property
    def screen(self) -> ScreenState:
        """What the screen holds now."""
        return self._screen

    async def load(self) -> ScreenState:
        """Reads the stored screen of the session's officer; `run` goes on from there."""
        resumption = await stored_screen.load(self._database, officer=self._session.account)
        self._screen = resumption.screen
        self._resume_token = self._seen_token = resumption.resume_token
        return self._screen

    async def run(self) -> None:
        """Keeps the terminal connected until cancelled. Each end of a connection is told and tried again."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch_confirmation())
            while True:
                await self._connect_once()
                await asyncio.sleep(wait_before_try(self._failures, random.random()))  # noqa: S311
                self._failures += 1

    # What the officer does. Each returns once it is on the disk; the answer comes as an event.

    async def accept(self, alert_id: str, assignment_id: str) -> None:
        """The unit takes the assignment. Accepting it twice is one acceptance."""
        message = self._command(command_id_of("accept", assignment_id))
        message.accept.CopyFrom(AcceptAssignment(alert_id=alert_id, assignment_id=assignment_id))
        await self._outbox.add(message)

    async def decline(self, alert_id: str, assignment_id: str, reason: str) -> None:
        """The unit cannot take the assignment, because of `reason` (1 to 500 characters)."""
        message = self._command(command_id_of("decline", assignment_id))
        message.decline.CopyFrom(
            DeclineAssignment(alert_id=alert_id, assignment_id=assignment_id, reason=reason)
        )
        await self._outbox.add(message)

    async def record_outcome(
        self, alert_id: str, assignment_id: str, outcome: Outcome.ValueType, note: str = ""
    ) -> None:
        """What was found at the place (refusal 9)."""
        message = self._command(command_id_of("outcome", assignment_id, Outcome.Name(outcome)))
        message.record_outcome.CopyFrom(
            RecordOutcome(alert_id=alert_id, assignment_id=assignment_id, outcome=outcome, note=note)
        )
        await self._outbox.add(message)

    async def report_position(self, position: Position, accuracy_metres: float) -> None:
        """Where the unit is (WGS 84)."""
        message = self._command(str(uuid.uuid4()))
        message.report_position.CopyFrom(ReportPosition(position=position, accuracy_metres=accuracy_metres))
        await self._outbox.add(message)

    def _command(self, command_id: str) -> TerminalMessage:
        return TerminalMessage(command_id=command_id, time_ms=self._now_ms())

    # The connection.

    async def _connect_once(self) -> None:
        try:
            token = await self._session.token()
        except (NotAllowed, TooOften) as error:
            self._tell_link(Link.REFUSED, str(error), error.words.chinese)
            return
        except Retry as error:
            self._tell_link(Link.DISCONNECTED, error.reason)
            return
        channel = grpc.aio.secure_channel(self._address, self._credentials, options=_STREAM_OPTIONS)
        async with channel:
            stub = patrol_pb2_grpc.PatrolServiceStub(channel)
            stream: Any = stub.Connect()
            try:
                await self._converse(stream, token)
                self._tell_link(Link.DISCONNECTED, "the hub ended the stream")
            except grpc.aio.AioRpcError as error:
                if error.code() in _REFUSED:
                    self._session.discard(token)
                    self._tell_link(Link.REFUSED, *_why_refused(error))
                else:
                    self._tell_link(Link.DISCONNECTED, error.code().name)
            except TimeoutError:
                self._tell_link(Link.DISCONNECTED, "the hub was silent")
            finally:
                stream.cancel()
                self._screen = disconnected(self._screen)
                self._seen_token = self._resume_token

    async def _converse(self, stream: Any, token: OfficerToken) -> None:
        sign_on = self._command(str(uuid.uuid4()))
        sign_on.sign_on.CopyFrom(SignOn(officer_token=token.text, resume_token=self._resume_token))
        await _write(stream, sign_on)
        writer: asyncio.Task[None] | None = None
        try:
            while True:
                async with asyncio.timeout(LOST_AFTER_SECONDS):
                    message = await stream.read()
                if message is grpc.aio.EOF:
                    return
                await self._take(message)
                if writer is None and message.WhichOneof("message") == "welcome":
                    self._failures = 0
                    writer = asyncio.create_task(self._send(stream, token))
                if writer is not None and writer.done():
                    writer.result()
                if message.WhichOneof("message") == "signed_off":
                    return
        finally:
            if writer is not None:
                writer.cancel()
                await asyncio.gather(writer, return_exceptions=True)

    async def _send(self, stream: Any, token: OfficerToken) -> None:
        """Sends the outbox in order, from its start on this stream, and each fresh token once it is there: a
        sign-in takes the registry a while, and no receipt waits for it."""
        renewing = self._renewing(token)
        sent = 0
        try:
            while True:
                self._outbox.changed.clear()
                for command in await self._outbox.unanswered(after=sent):
                    await _write(stream, command.message)
                    sent = command.sequence
                if renewing.done():
                    fresh = renewing.result()
                    renewal = self._command(str(uuid.uuid4()))
                    renewal.renew_token.CopyFrom(RenewToken(officer_token=fresh.text))
                    await _write(stream, renewal)
                    renewing = self._renewing(fresh)
                await self._outbox.changed.wait()
        finally:
            renewing.cancel()

    def _renewing(self, token: OfficerToken) -> asyncio.Task[OfficerToken]:
        """Has the token that follows `token`, when it is time; wakes `_send` then."""
        renewing = asyncio.create_task(self._renewed(token))
        renewing.add_done_callback(lambda _: self._outbox.changed.set())
        return renewing

    async def _renewed(self, token: OfficerToken) -> OfficerToken:
        await asyncio.sleep(max(0.0, self._session.milliseconds_until_renewal(token) / 1000))
        while True:
            try:
                return await self._session.token()
            except (Retry, NotAllowed):
                # The held token is good for a while yet; the hub ends the stream when it is not.
                await asyncio.sleep(RENEWAL_RETRY_SECONDS)

    # What the hub says.

    async def _take(self, message: HubMessage) -> None:
        """Stores what `message` changes, then tells of it."""
        kind = message.WhichOneof("message")
        before = self._screen
        after, changes = apply(before, message, self._now_ms())
        if kind == "answer":
            await self._answered(message)
        elif kind == "signed_off":
            # The officer is no longer signed on: what was opened for them leaves the terminal.
            await stored_screen.forget(self._database, officer=self._session.account)
            after = ScreenState(signed_off_reason=after.signed_off_reason)
            self._resume_token = self._seen_token = ""
        else:
            await self._store(before, after, changes, message.resume_token)
        self._screen = after
        for change in changes:
            self._tell(ScreenChanged(change))
        if kind == "welcome":
            self._tell_link(Link.CONNECTED)
        elif kind == "signed_off":
            reason = after.signed_off_reason
            self._tell_link(Link.SIGNED_OFF, reason.english, reason.chinese)
        if after.connected:
            self._tell_confirmation()

    async def _store(
        self, before: ScreenState, after: ScreenState, changes: tuple[ScreenChange, ...], resume_token: str
    ) -> None:
        self._seen_token = resume_token or self._seen_token
        # Half a snapshot must not be resumed from: its token passes over the other half.
        token = self._seen_token if after.snapshot is None else ""
        if token == self._resume_token and not changes and after.versions is before.versions:
            return
        receipts = self._receipts(changes)
        async with self._database.transaction() as connection:
            for receipt in receipts:
                await outgoing.write(connection, receipt)
            await stored_screen.store(connection, before, after, token)
        self._resume_token = token or self._resume_token
        if receipts:
            self._outbox.changed.set()

    def _receipts(self, changes: tuple[ScreenChange, ...]) -> list[TerminalMessage]:
        """One an assignment, until the hub says itself that it was delivered."""
        receipts = []
        for change in changes:
            if change.kind not in (ChangeKind.SHOWN, ChangeKind.UPDATED) or known_delivered(change.push):
                continue
            alert, assignment_id = change.push.alert, change.push.assignment_id
            message = self._command(command_id_of("receipt", alert.alert_id, assignment_id))
            message.receipt.CopyFrom(
                Receipt(alert_id=alert.alert_id, alert_version=alert.version, assignment_id=assignment_id)
            )
            receipts.append(message)
        return receipts

    async def _answered(self, message: HubMessage) -> None:
        answer = message.answer
        command = await self._outbox.answered(answer)
        if command is None:
            return
        kind = command.WhichOneof("message") or ""
        alert_id = ""
        match kind:
            case "receipt":
                alert_id = command.receipt.alert_id
            case "accept":
                alert_id = command.accept.alert_id
            case "decline":
                alert_id = command.decline.alert_id
            case "record_outcome":
                alert_id = command.record_outcome.alert_id
        self._tell(
            CommandAnswered(
                kind, answer.command_id, alert_id, answer.result, answer.detail, answer.detail_chinese
            )
        )

    # What the officer sees of the connection.

    async def _watch_confirmation(self) -> None:
        """Says within half a second when what is shown is no longer confirmed (refusal 7)."""
        while True:
            await asyncio.sleep(_LOOK_EVERY_SECONDS)
            self._tell_confirmation()

    def _tell_confirmation(self) -> None:
        confirmed = self._screen.confirmed(self._now_ms())
        if confirmed is not self._shown_confirmed:
            self._shown_confirmed = confirmed
            self._tell(self._link_changed(Link.CONFIRMED if confirmed else Link.UNCONFIRMED))

    def _tell_link(self, link: Link, reason: str = "", reason_chinese: str = "") -> None:
        if link is not self._shown_link:
            self._shown_link = link
            self._tell(self._link_changed(link, reason, reason_chinese))

    def _link_changed(self, link: Link, reason: str = "", reason_chinese: str = "") -> LinkChanged:
        return LinkChanged(link, reason, self._screen.unit_id, self._screen.officer, reason_chinese)
