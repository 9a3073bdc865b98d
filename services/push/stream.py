"""One terminal's stream: what it is sent, in order, and what it answers (C10, C17)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from opentelemetry.trace import SpanContext

from alerthub import loops
from alerthub.alert_events import AlertEventTail, TailedEvent
from alerthub.api.v1 import alert_pb2, patrol_pb2
from alerthub.domain.canary import is_canary
from alerthub.domain.denials import Denial
from alerthub.domain.errors import Refuse, Retry, in_words
from alerthub.domain.reasons import Reason
from alerthub.domain.texts import NO_TEXT, LocalizedText
from alerthub.identity import Caller, NotAuthenticatedError
from alerthub.telemetry import logger
from services.push.cards import UnconfirmedError, card_for, read_age_ms
from services.push.commands import Commands
from services.push.common_part import CommonParts
from services.push.metrics import PUSH_SECONDS, PUSHED, REFUSED
from services.push.opening import Opened, Opening
from services.push.settings import PushSettings
from services.push.signing_on import SigningOn
from services.push.spans import Deliveries

log = logger(__name__)

Write = Callable[[bytes], Awaitable[None]]
"""Takes a HubMessage as it is on the wire."""


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class End:
    """Why a stream ends. `signed_off`: the terminal forgets what was opened for the officer."""

    label: str
    words: LocalizedText = NO_TEXT
    """The reason; empty where nobody is to be told."""
    signed_off: bool = False
    unauthenticated: bool = False


@dataclass(frozen=True, slots=True)
class _LastOpened:
    """What was opened of an alert on this stream, and how many sightings the alert had then."""

    opened: Opened
    sighting_count: int


class TerminalStream:
    """A connected terminal with an officer signed on."""

    def __init__(
        self,
        settings: PushSettings,
        *,
        terminal_id: str,
        unit_id: str,
        officer: Caller,
        officer_token: str,
        tail: AlertEventTail,
        common_parts: CommonParts,
        opening: Opening,
        commands: Commands,
        signing_on: SigningOn,
        load: Callable[[str], Awaitable[list[alert_pb2.Alert]]],
        deliveries: Deliveries | None = None,
    ) -> None:
        self._settings = settings
        self.terminal_id = terminal_id
        self.unit_id = unit_id
        self.officer = officer
        self.connected_at_ms = now_ms()
        self._officer_token = officer_token
        self._tail = tail
        self._common_parts = common_parts
        self._opening = opening
        self._commands = commands
        self._signing_on = signing_on
        self._load = load
        self._deliveries = deliveries
        self._queue: asyncio.Queue[TailedEvent | patrol_pb2.CommandAnswer | None] = asyncio.Queue()
        self._positions: asyncio.Queue[patrol_pb2.TerminalMessage] = asyncio.Queue()
        self._end: End | None = None
        self._held: set[str] = set()
        self._gone: set[str] = set()
        self._may_hold_more = False
        self._versions: dict[str, int] = {}
        self._opened: dict[str, _LastOpened] = {}
        self._heartbeat_at = 0.0

    def end(self, end: End) -> None:
        """Ends the stream after the message that is being written. The first reason counts."""
        if self._end is None:
            self._end = end
            self._queue.put_nowait(None)

    def check(self) -> None:
        """Ends it where the officer may no longer see it: revoked, off shift, or the token ran out (S2)."""
        why = self._signing_on.signed_off_because(self.officer, self.unit_id, now_ms())
        if why is not None:
            self.end(End("signed_off", why.value, signed_off=True))
        elif self.officer.expires_at_ms <= now_ms():
            self.end(End("token_expired", Denial.TOKEN_NOT_RENEWED.value, unauthenticated=True))

    # To the terminal

    async def run(self, resume_token: str, write: Write) -> End:
        """Sends until the stream ends; returns why it did."""
        unsubscribe = self._tail.subscribe(self._take)
        try:
            # No await between subscribing, noting the place and replaying: nothing falls in between (C10).
            began_at = self._tail.resume_token()
            missed = self._tail.replay(resume_token, self.unit_id) if resume_token else None
            open_alerts = await self._load(self.unit_id)
            await self._write(write, welcome=self._welcome(snapshot=missed is None))
            if missed is None:
                for alert in open_alerts:
                    await self._forward(
                        write, alert, alert_pb2.ALERT_EVENT_KIND_UNSPECIFIED, "", occurred_at_ms=0
                    )
                await self._write(write, began_at, heartbeat=self._heartbeat(snapshot_complete=True))
            else:
                # What the terminal holds is known to itself alone, and the database may be ahead of the
                # tail: whatever ends from here on is told.
                self._may_hold_more = True
                for each in missed:
                    await self._forward_event(write, each)
                await self._write(write, began_at, heartbeat=self._heartbeat())
            return await self._follow(write)
        finally:
            unsubscribe()

    async def _follow(self, write: Write) -> End:
        while self._end is None:
            wait = self._heartbeat_at + self._settings.heartbeat_seconds - time.monotonic()
            if wait <= 0:
                self.check()
                if self._end is None:
                    await self._write(write, heartbeat=self._heartbeat())
                continue
            try:
                async with asyncio.timeout(wait):
                    item = await self._queue.get()
            except TimeoutError:
                continue
            if self._end is not None:
                break
            if isinstance(item, TailedEvent):
                await self._forward_event(write, item)
            elif item is not None:
                await self._write(write, answer=item)
        end = self._end or End("ended")
        if end.signed_off:
            await self._write(write, signed_off=_signed_off(end))
        return end

    def _take(self, event: TailedEvent) -> None:
        if self.unit_id not in event.unit_ids or self._end is not None:
            return
        if self._queue.qsize() >= self._settings.queue_messages:
            self.end(End("too_slow", in_words("the terminal is too slow: it resumes where it was")))
            return
        self._queue.put_nowait(event)

    async def _forward_event(self, write: Write, tailed: TailedEvent) -> None:
        event = tailed.event
        await self._forward(
            write, event.alert, event.kind, tailed.resume_token, occurred_at_ms=event.occurred_at_ms
        )
        if self._deliveries is not None:
            self._tell(self._deliveries, tailed)

    def _tell(self, deliveries: Deliveries, tailed: TailedEvent) -> None:
        event = tailed.event
        alert_id = event.alert.alert_id
        if alert_id not in self._held:
            deliveries.forget(alert_id)
        elif event.kind == alert_pb2.ALERT_EVENT_KIND_UNIT_ASSIGNED:
            newest = event.alert.assignments[-1]
            if newest.unit_id == self.unit_id:
                deliveries.sent(newest.assignment_id, tailed.span, event.occurred_at_ms)

    async def _forward(
        self,
        write: Write,
        alert: alert_pb2.Alert,
        because: alert_pb2.AlertEventKind.ValueType,
        resume_token: str,
        *,
        occurred_at_ms: int,
    ) -> None:
        if alert.version <= self._versions.get(alert.alert_id, 0):
            return
        try:
            card = card_for(alert, self.unit_id)
        except UnconfirmedError:
            REFUSED.inc()
            log.exception("unconfirmed_alert_not_sent", alert_id=alert.alert_id)
            return
        if card is None or (not card.shown and not self._may_hold(alert.alert_id)):
            return
        common = self._common_parts.of(alert, shown=card.shown)
        own = patrol_pb2.HubMessage(resume_token=resume_token)
        push = own.alert
        push.alert.assignments.extend(card.assignments)
        push.assignment_id = card.assignment_id
        push.because = because
        self._versions[alert.alert_id] = alert.version
        if card.shown:
            self._held.add(alert.alert_id)
            self._gone.discard(alert.alert_id)
            await self._add_details(push, alert, because)
            push.read_age_ms = read_age_ms(common.newest_read_ms, now_ms())
        else:
            self._held.discard(alert.alert_id)
            self._gone.add(alert.alert_id)
            self._opened.pop(alert.alert_id, None)
        await self._write_encoded(write, common.encoded + own.SerializeToString())
        PUSHED.labels("with" if push.HasField("details") else "without").inc()
        if occurred_at_ms:
            PUSH_SECONDS.observe(max(0, now_ms() - occurred_at_ms) / 1_000)

    def _may_hold(self, alert_id: str) -> bool:
        """Whether the alert may be on the terminal's screen."""
        return alert_id in self._held or (self._may_hold_more and alert_id not in self._gone)

    async def _add_details(
        self,
        push: patrol_pb2.AlertPush,
        alert: alert_pb2.Alert,
        because: alert_pb2.AlertEventKind.ValueType,
    ) -> None:
        if is_canary(alert.category):
            # A look is for an officer, and costs a row of the audit log.
            _say_missing(push, Reason.CANARY_HAS_NONE.value)
            return
        last = self._opened.get(alert.alert_id)
        known = None if last is None else last.opened
        opened, fresh = known, False
        if last is None or last.opened.details is None or _may_open_more(last, alert, because):
            opened = await self._opening.open(
                alert_id=alert.alert_id,
                entry_id=alert.entry_id,
                rule_id=alert.rule_id,
                unit_id=self.unit_id,
                terminal_id=self.terminal_id,
                officer_token=self._officer_token,
                known=known,
            )
            fresh = opened is not known
            if opened.details is not None or known is None:
                self._opened[alert.alert_id] = _LastOpened(opened, alert.sighting_count)
            elif known.details is not None:
                opened = known
        if opened is None or opened.details is None:
            _say_missing(push, opened.missing if opened is not None else Reason.DETAILS_NOT_OPENED.value)
        else:
            push.details.CopyFrom(opened.details)
            if fresh:
                # Later messages leave the picture out: the terminal has it.
                push.picture = opened.picture

    def _welcome(self, *, snapshot: bool) -> patrol_pb2.Welcome:
        return patrol_pb2.Welcome(
            unit_id=self.unit_id,
            officer=self.officer.name,
            server_time_ms=now_ms(),
            snapshot_follows=snapshot,
        )

    def _heartbeat(self, *, snapshot_complete: bool = False) -> patrol_pb2.HubHeartbeat:
        self._heartbeat_at = time.monotonic()
        return patrol_pb2.HubHeartbeat(server_time_ms=now_ms(), snapshot_complete=snapshot_complete)

    async def _write(self, write: Write, resume_token: str = "", **message: Any) -> None:
        encoded = patrol_pb2.HubMessage(resume_token=resume_token, **message).SerializeToString()
        await self._write_encoded(write, encoded)

    async def _write_encoded(self, write: Write, encoded: bytes) -> None:
        try:
            async with asyncio.timeout(self._settings.write_timeout_seconds):
                await write(encoded)
        except TimeoutError:
            raise Retry("the terminal takes nothing: it resumes where it was") from None

    # From the terminal

    async def read(self, messages: AsyncIterator[patrol_pb2.TerminalMessage]) -> None:
        """Takes the terminal's commands in order until it hangs up. Each is answered once the hub has it;
        positions, which go to Kafka, hold up no other while that is away."""
        reporting = loops.begin(
            self._report(),
            name="terminal-positions",
            on_failure=lambda _: self.end(End("position_not_taken", in_words("an internal error"))),
        )
        try:
            async for message in messages:
                kind = message.WhichOneof("message")
                if kind == "sign_on":
                    raise Refuse("sign_on", "once, as the first message of a stream")
                if kind == "report_position":
                    self._positions.put_nowait(message)
                elif kind == "renew_token":
                    self._queue.put_nowait(self._renew(message))
                else:
                    self._queue.put_nowait(await self._carried_out(message, self._answered(message)))
                await self._room()
        finally:
            await loops.end(reporting)
        self.end(End("hung_up"))

    async def _report(self) -> None:
        try:
            while True:
                self._queue.put_nowait(await self._carried_out(await self._positions.get(), None))
        except Retry as error:
            # The terminal sends again on its next stream what was not answered.
            self.end(End("position_not_taken", in_words(error.reason)))

    async def _carried_out(
        self, message: patrol_pb2.TerminalMessage, span: SpanContext | None
    ) -> patrol_pb2.CommandAnswer:
        return await self._commands.carry_out(
            message,
            terminal_id=self.terminal_id,
            unit_id=self.unit_id,
            officer=self.officer.name,
            span=span,
        )

    def _answered(self, message: patrol_pb2.TerminalMessage) -> SpanContext | None:
        kind = message.WhichOneof("message")
        if self._deliveries is None or kind is None:
            return None
        return self._deliveries.answered(kind, getattr(message, kind).assignment_id, message.time_ms)

    async def _room(self) -> None:
        """A terminal that sends and does not read must not fill the memory."""
        while True:
            waiting = self._queue.qsize() + self._positions.qsize()
            if waiting < self._settings.queue_messages or self._end is not None:
                return
            await asyncio.sleep(0.05)

    def _renew(self, message: patrol_pb2.TerminalMessage) -> patrol_pb2.CommandAnswer:
        token = message.renew_token.officer_token
        officer = self._signing_on.admit(token, self.unit_id, now_ms())
        if officer.name != self.officer.name:
            raise NotAuthenticatedError(Denial.TOKEN_OF_ANOTHER.value)
        self.officer, self._officer_token = officer, token
        return patrol_pb2.CommandAnswer(
            command_id=message.command_id, result=patrol_pb2.CommandAnswer.RESULT_DONE
        )


def _say_missing(push: patrol_pb2.AlertPush, why: LocalizedText) -> None:
    push.details_missing_reason = why.english
    push.details_missing_reason_chinese = why.chinese


def _may_open_more(
    last: _LastOpened, alert: alert_pb2.Alert, because: alert_pb2.AlertEventKind.ValueType
) -> bool:
    """Whether there may be newer evidence than what was opened. What watchlist seals it gives whole, and the
    first push often has it before the event that says so."""
    if because == alert_pb2.ALERT_EVENT_KIND_EVIDENCE_SEALED:
        return last.sighting_count != alert.sighting_count
    return because == alert_pb2.ALERT_EVENT_KIND_CONFIRMED


def _signed_off(end: End) -> patrol_pb2.SignedOff:
    return patrol_pb2.SignedOff(reason=end.words.english, reason_chinese=end.words.chinese)
