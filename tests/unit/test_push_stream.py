"""One terminal's stream, with a tail and an opener that stand still."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from alerthub.alert_events import TailedEvent
from alerthub.api.v1 import alert_pb2, common_pb2, patrol_pb2, watchlist_pb2
from alerthub.domain.errors import Retry
from alerthub.domain.reasons import Reason
from alerthub.identity import Caller, CallerKind
from services.push.common_part import CommonParts
from services.push.opening import Opened
from services.push.settings import PushSettings
from services.push.stream import TerminalStream, now_ms

DISPATCHING = alert_pb2.ALERT_STATUS_DISPATCHING


def event(
    version: int,
    *,
    alert_id: str = "a1",
    sighting: str = "d1",
    sightings: int = 1,
    kind: alert_pb2.AlertEventKind.ValueType = alert_pb2.ALERT_EVENT_KIND_SIGHTING_ADDED,
) -> TailedEvent:
    alert = alert_pb2.Alert(
        alert_id=alert_id,
        version=version,
        status=DISPATCHING,
        policy=common_pb2.DISPATCH_POLICY_SEND_AT_ONCE,
        assignments=[
            alert_pb2.Assignment(
                assignment_id=f"{alert_id}-1", unit_id="u1", status=alert_pb2.ASSIGNMENT_STATUS_OFFERED
            )
        ],
        sightings=[alert_pb2.Sighting(device_id=sighting, received_time_ms=now_ms())],
        sighting_count=sightings,
    )
    told = alert_pb2.AlertEvent(kind=kind, alert=alert)
    return TailedEvent(told, frozenset({"u1"}), f"topic.0-{version}")


class Tail:
    """Hands on what a test gives it."""

    def __init__(self, history: list[TailedEvent] | None = None) -> None:
        self.history = history
        self.subscriber: Callable[[TailedEvent], None] = lambda _: None

    def subscribe(self, subscriber: Callable[[TailedEvent], None]) -> Callable[[], None]:
        self.subscriber = subscriber
        return lambda: None

    def resume_token(self) -> str:
        return "topic.0-0"

    def replay(self, token: str, unit_id: str | None = None) -> list[TailedEvent] | None:
        return self.history


class Opener:
    """Opens every alert with a picture, and counts."""

    def __init__(self, answer: Opened | None = None) -> None:
        self.count = 0
        self.answer = answer or Opened(b"r1", watchlist_pb2.OpenedDetails(identifier="X"), b"picture")

    async def open(self, **_: object) -> Opened:
        self.count += 1
        return self.answer


class Shift:
    """Says why the officer may no longer see it."""

    def __init__(self, why: Reason | None = None) -> None:
        self.why = why

    def signed_off_because(self, *_: object) -> Reason | None:
        return self.why


class Carrying:
    """Dispatch answers; of Kafka a test says when, and whether it takes a position."""

    def __init__(self) -> None:
        self.kafka: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def carry_out(self, message: patrol_pb2.TerminalMessage, **_: object) -> patrol_pb2.CommandAnswer:
        if message.HasField("report_position"):
            await asyncio.shield(self.kafka)
        return patrol_pb2.CommandAnswer(
            command_id=message.command_id, result=patrol_pb2.CommandAnswer.RESULT_DONE
        )


async def _commands(*messages: patrol_pb2.TerminalMessage) -> AsyncIterator[patrol_pb2.TerminalMessage]:
    for message in messages:
        yield message
    await asyncio.Event().wait()


POSITION = patrol_pb2.TerminalMessage(
    command_id="position", report_position=patrol_pb2.ReportPosition(accuracy_metres=5)
)
ACCEPTANCE = patrol_pb2.TerminalMessage(
    command_id="acceptance", accept=patrol_pb2.AcceptAssignment(alert_id="a1", assignment_id="a1-1")
)


async def _nothing(_: str) -> list[alert_pb2.Alert]:
    return []


def stream(
    tail: Tail,
    opener: Opener | None = None,
    shift: Shift | None = None,
    *,
    commands: Carrying | None = None,
    common_parts: CommonParts | None = None,
    expires_in_ms: int = 300_000,
    queue: int = 8,
) -> TerminalStream:
    officer = Caller(CallerKind.PERSON, "wang", expires_at_ms=now_ms() + expires_in_ms)
    return TerminalStream(
        PushSettings(queue_messages=queue, heartbeat_seconds=0.2),
        terminal_id="t1",
        unit_id="u1",
        officer=officer,
        officer_token="token",  # noqa: S106 - nobody verifies it here
        tail=tail,  # type: ignore[arg-type]
        common_parts=common_parts or CommonParts(),
        opening=opener or Opener(),  # type: ignore[arg-type]
        commands=commands,  # type: ignore[arg-type]
        signing_on=shift or Shift(),  # type: ignore[arg-type]
        load=_nothing,
    )


class Written:
    """What the terminal was sent."""

    def __init__(self, *, stuck: bool = False) -> None:
        self.messages: list[patrol_pb2.HubMessage] = []
        self.encoded: list[bytes] = []
        self.stuck = stuck
        self.changed = asyncio.Event()

    async def __call__(self, encoded: bytes) -> None:
        message = patrol_pb2.HubMessage.FromString(encoded)
        self.encoded.append(encoded)
        self.messages.append(message)
        self.changed.set()
        if self.stuck and message.WhichOneof("message") == "alert":
            await asyncio.Event().wait()

    async def answers(self, count: int) -> list[str]:
        answers = await self._at_least(count, "answer")
        return [each.answer.command_id for each in answers]

    async def last_is(self, kind: str) -> None:
        async with asyncio.timeout(5):
            while not self.messages or self.messages[-1].WhichOneof("message") != kind:
                self.changed.clear()
                await self.changed.wait()

    async def alerts(self, count: int) -> list[patrol_pb2.AlertPush]:
        return [each.alert for each in await self._at_least(count, "alert")]

    async def _at_least(self, count: int, kind: str) -> list[patrol_pb2.HubMessage]:
        """All of the kind, once there are so many."""
        async with asyncio.timeout(5):
            while True:
                found = [each for each in self.messages if each.WhichOneof("message") == kind]
                if len(found) >= count:
                    return found
                self.changed.clear()
                await self.changed.wait()


async def test_a_slow_terminal_is_cut_off_when_its_queue_is_full() -> None:
    # given a terminal that takes nothing after its first alert
    tail, written = Tail(), Written(stuck=True)
    slow = stream(tail, queue=8)
    running = asyncio.create_task(slow.run("", written))
    await written.last_is("heartbeat")
    tail.subscriber(event(1))
    await written.alerts(1)

    # when more comes than its queue holds
    for version in range(2, 30):
        tail.subscriber(event(version))

    # then no more is kept for it, and its stream ends
    assert slow._queue.qsize() <= 9
    assert slow._end is not None
    assert slow._end.label == "too_slow"
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_details_are_opened_once_and_the_picture_is_sent_once() -> None:
    # given a stream with an alert on it
    tail, opener, written = Tail(), Opener(), Written()
    running = asyncio.create_task(stream(tail, opener).run("", written))
    await written.last_is("heartbeat")

    # when it changes twice
    for version in (1, 2, 3):
        tail.subscriber(event(version))
    sent = await written.alerts(3)

    # then one look was taken, and every message has the details
    assert opener.count == 1
    assert [each.details.identifier for each in sent] == ["X", "X", "X"]
    assert [bool(each.picture) for each in sent] == [True, False, False]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_evidence_that_was_opened_is_not_asked_for_again_when_it_is_said_to_be_sealed() -> None:
    # given an alert whose evidence the first push had already
    tail, opener, written = Tail(), Opener(), Written()
    running = asyncio.create_task(stream(tail, opener).run("", written))
    await written.last_is("heartbeat")
    tail.subscriber(event(1, sightings=1))
    await written.alerts(1)

    # when the event of its sealing comes
    tail.subscriber(event(2, sightings=1, kind=alert_pb2.ALERT_EVENT_KIND_EVIDENCE_SEALED))
    await written.alerts(2)

    # then nobody is asked; and when that of a further sighting comes, somebody is
    assert opener.count == 1
    tail.subscriber(event(3, sightings=2))
    tail.subscriber(event(4, sightings=2, kind=alert_pb2.ALERT_EVENT_KIND_EVIDENCE_SEALED))
    await written.alerts(4)
    assert opener.count == 2
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_canarys_plate_is_not_opened_for_its_card() -> None:
    # given a stream of the canary's terminal
    tail, opener, written = Tail(), Opener(), Written()
    running = asyncio.create_task(stream(tail, opener).run("", written))
    await written.last_is("heartbeat")

    # when a canary is assigned
    canary = event(1)
    canary.event.alert.category = "canary"
    tail.subscriber(canary)
    (sent,) = await written.alerts(1)

    # then it comes without a look at anything
    assert opener.count == 0
    assert sent.details_missing_reason
    assert not sent.HasField("details")
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_c17_without_watchlist_the_alert_goes_without_details_and_says_so() -> None:
    tail, written = Tail(), Written()
    away = Opener(Opened(missing=Reason.DETAILS_NOT_ANSWERED.value))
    running = asyncio.create_task(stream(tail, away).run("", written))
    await written.last_is("heartbeat")

    tail.subscriber(event(1))
    tail.subscriber(event(2))
    sent = await written.alerts(2)

    assert [each.details_missing_reason for each in sent] == ["the watchlist service does not answer"] * 2
    assert [each.details_missing_reason_chinese for each in sent] == ["布控服务没有应答"] * 2
    assert not any(each.HasField("details") for each in sent)
    # and it is tried again with each change
    assert away.count == 2
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_an_older_version_is_not_sent_after_a_newer_one() -> None:
    tail, written = Tail(), Written()
    running = asyncio.create_task(stream(tail).run("", written))
    await written.last_is("heartbeat")
    for version in (2, 1, 3):
        tail.subscriber(event(version))
    sent = await written.alerts(2)
    assert [each.alert.version for each in sent] == [2, 3]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_the_heartbeat_comes_after_what_was_missed() -> None:
    written = Written()
    running = asyncio.create_task(stream(Tail([event(1), event(2)])).run("topic.0-0", written))
    await written.alerts(2)
    await written.last_is("heartbeat")
    kinds = [each.WhichOneof("message") for each in written.messages]
    assert kinds[:4] == ["welcome", "alert", "alert", "heartbeat"]
    assert not written.messages[0].welcome.snapshot_follows
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_s2_an_officer_who_may_no_longer_see_it_is_signed_off() -> None:
    written, shift = Written(), Shift()
    held = stream(Tail(), shift=shift)
    running = asyncio.create_task(held.run("", written))
    shift.why = Reason.ACCOUNT_REVOKED

    held.check()

    async with asyncio.timeout(2):
        end = await running
    assert (end.signed_off, end.words.english) == (True, "the account was revoked")
    told = written.messages[-1].signed_off
    assert (told.reason, told.reason_chinese) == ("the account was revoked", "账号已被吊销")


async def test_a_stream_whose_token_ran_out_ends_without_signing_off() -> None:
    held = stream(Tail(), expires_in_ms=0)
    async with asyncio.timeout(5):
        end = await held.run("", Written())
    assert (end.label, end.signed_off) == ("token_expired", False)


async def test_an_acceptance_does_not_wait_for_a_position_that_kafka_does_not_take() -> None:
    # given a position that waits for a Kafka that is away, and an acceptance behind it
    carrying, written = Carrying(), Written()
    one = stream(Tail(), commands=carrying)
    working = [
        asyncio.create_task(one.run("", written)),
        asyncio.create_task(one.read(_commands(POSITION, ACCEPTANCE))),
    ]
    # then the acceptance is answered, and the position once Kafka is back
    assert await written.answers(1) == ["acceptance"]
    carrying.kafka.set_result(None)
    assert await written.answers(2) == ["acceptance", "position"]
    await _ended(working)


async def test_a_position_that_kafka_refused_ends_the_stream_so_that_it_is_sent_again() -> None:
    carrying = Carrying()
    one = stream(Tail(), commands=carrying)
    running = asyncio.create_task(one.run("", Written()))
    reading = asyncio.create_task(one.read(_commands(POSITION)))
    carrying.kafka.set_exception(Retry("Kafka does not answer: send the position again"))
    async with asyncio.timeout(5):
        end = await running
    assert end.label == "position_not_taken"
    assert end.words.english == "Kafka does not answer: send the position again"
    await _ended([reading])


async def _ended(tasks: list[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
