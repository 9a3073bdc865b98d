"""gRPC for edge servers: many devices' events over one stream, acknowledged cumulatively (C1)."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

from alerthub.api.v1 import ingest_pb2, ingest_pb2_grpc
from alerthub.domain.admission import AuthenticationClass
from alerthub.domain.device_events import (
    LATEST_TIME_MS,
    MAXIMUM_EVENT_ID_CHARACTERS,
    MAXIMUM_IDENTIFIERS,
    MAXIMUM_LANE,
    MAXIMUM_PICTURE_BYTES,
    CallKind,
    DeviceEvent,
    Direction,
    ObservationKind,
    Place,
    ReadIdentifier,
    payload_digest,
    picture_format,
)
from alerthub.domain.errors import AlertHubError, NotAllowed, Refuse, Retry
from alerthub.domain.identifiers import MAXIMUM_LENGTH, IdentifierKind
from alerthub.identity import Caller, CallerKind, current_caller
from alerthub.telemetry import logger
from services.gateway import metrics
from services.gateway.adapters.reading import text, track
from services.gateway.admittance import TooManyRequests
from services.gateway.devices import DeviceDirectory
from services.gateway.handlers import Intake, Moment, Taken
from services.gateway.settings import GatewaySettings

log = logger(__name__)

ADAPTER = "grpc"
MAXIMUM_FURTHER_EVENTS = 255
HAND_VALIDATED = ("/alerthub.api.v1.IngestService/StreamEvents",)
"""Validated here: protovalidate costs ten times what the rest of an event does."""

# A dictionary answers five times as fast as an enumeration does, and each event asks three of them.
_KINDS = {each.value: each for each in ObservationKind}
_IDENTIFIER_KINDS = {each.value: each for each in IdentifierKind}
_DIRECTIONS = {each.value: each for each in Direction}
_CALLS = {each.value: each for each in CallKind}


class IngestApi(ingest_pb2_grpc.IngestServiceServicer):
    """The IngestService."""

    def __init__(self, settings: GatewaySettings, intake: Intake, devices: DeviceDirectory) -> None:
        self._settings = settings
        self._intake = intake
        self._devices = devices

    async def StreamEvents(  # noqa: N802 - the name on the wire
        self, request_iterator: AsyncIterator[ingest_pb2.StreamEventsRequest], context: Any
    ) -> AsyncIterator[ingest_pb2.StreamEventsResponse]:
        """Takes events in order; each answer covers everything up to its sequence.

        Ends with INVALID_ARGUMENT at a wrong sequence, and with UNAVAILABLE when nothing can be taken now:
        the edge server connects again and sends from its first unacknowledged event, under a new count from
        1.
        """
        caller = current_caller()
        if caller.kind is not CallerKind.DEVICE:
            raise NotAllowed("certificate", "the certificate of a registered edge server or device")
        stream = _Stream(self._settings, self._intake, self._devices, caller)
        reader = asyncio.create_task(stream.read(request_iterator), name="stream-reader")
        try:
            async for response in stream.responses(reader):
                yield response
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)


class _Stream:
    """One edge server's stream: a reader that takes events, and what became of each, in order, until it is
    settled."""

    def __init__(
        self,
        settings: GatewaySettings,
        intake: Intake,
        devices: DeviceDirectory,
        caller: Caller,
    ) -> None:
        self._settings = settings
        self._intake = intake
        self._devices = devices
        self._caller = caller
        # The event behind the last one that was acknowledged, and those after it: on their way, or refused.
        self._oldest_sequence = 1
        self._events: deque[Taken | Refuse | TooManyRequests] = deque()
        self._changed = asyncio.Event()
        self._room = asyncio.Event()

    async def read(self, requests: AsyncIterator[ingest_pb2.StreamEventsRequest]) -> None:
        """Takes the stream's events. Refuse for a sequence that does not rise by one; Retry when the
        gateway cannot take anything now."""
        sequence = 1
        async for request in requests:
            if request.sequence != sequence:
                raise Refuse("sequence", f"{sequence}: it rises by one from 1, for each event")
            if len(request.further_events) > MAXIMUM_FURTHER_EVENTS:
                raise Refuse("further_events", f"at most {MAXIMUM_FURTHER_EVENTS}")
            at = self._intake.moment()
            for event in (request.event, *request.further_events):
                self._events.append(await self._taken(event, at))
                self._changed.set()
                sequence += 1
                while len(self._events) >= self._settings.stream_window:
                    self._room.clear()
                    await self._room.wait()
                    at = self._intake.moment()

    async def _taken(self, message: ingest_pb2.DeviceEvent, at: Moment) -> Taken | Refuse | TooManyRequests:
        try:
            device_id = self._spoken_for(message.device_id, at.now_ms)
            event = event_of(message)
            self._intake.require_allowance(device_id, (event,), now_ms=at.now_ms)
            return await self._intake.take(device_id, AuthenticationClass.CERTIFICATE, ADAPTER, event, at)
        except TooManyRequests as error:
            metrics.refused.labels(ADAPTER, "too_many").inc()
            return error
        except Refuse as error:
            metrics.refused.labels(
                ADAPTER, "not_allowed" if isinstance(error, NotAllowed) else "invalid"
            ).inc()
            return error

    def _spoken_for(self, device_id: str, now_ms: int) -> str:
        """The device that the event is of: the caller itself, or one that its registration names (S3)."""
        edge = self._devices.in_force(self._caller.name, now_ms)
        if device_id != edge.device_id and device_id not in edge.speaks_for:
            self._devices.require_complete()
            raise NotAllowed("device_id", "a device for which this edge server is registered to speak")
        return device_id

    async def responses(self, reader: asyncio.Task[None]) -> AsyncIterator[ingest_pb2.StreamEventsResponse]:
        """Acknowledgements, as far as the broker's go, until the reader has ended and everything is
        settled."""
        reader.add_done_callback(lambda _: self._changed.set())
        while True:
            if self._events:
                yield await self._next_response()
            elif reader.done():
                await self._end(reader)
                return
            else:
                self._changed.clear()
                await self._changed.wait()

    async def _end(self, reader: asyncio.Task[None]) -> None:
        try:
            await reader
        except AlertHubError as error:
            reason = "not_ready" if isinstance(error, Retry) else "invalid"
            metrics.streams_closed.labels(reason).inc()
            raise
        metrics.streams_closed.labels("finished").inc()

    async def _next_response(self) -> ingest_pb2.StreamEventsResponse:
        """Waits for the oldest event, then tells everything that is settled behind it too."""
        first = self._events[0]
        if isinstance(first, Taken):
            await self._intake.settled((first,))
        response = ingest_pb2.StreamEventsResponse()
        while self._events:
            event = self._events[0]
            if not isinstance(event, Taken):
                response.refusals.append(_refusal(self._oldest_sequence, event))
            elif not event.outcome.done() or event.outcome.exception() is not None:
                break
            self._events.popleft()
            self._oldest_sequence += 1
        response.acknowledged_sequence = self._oldest_sequence - 1
        self._room.set()
        return response


def _refusal(sequence: int, error: Refuse | TooManyRequests) -> ingest_pb2.EventRefusal:
    if isinstance(error, Refuse):
        return ingest_pb2.EventRefusal(sequence=sequence, field=error.field, expected=error.expected)
    return ingest_pb2.EventRefusal(sequence=sequence, field="event", expected=error.reason)


def event_of(message: ingest_pb2.DeviceEvent) -> DeviceEvent:
    """The event in the hub's terms. Refuse, naming the field: the rules of ingest.proto, held by hand."""
    kind = _KINDS.get(message.kind)
    if kind is None:
        raise Refuse("event.kind", "a kind of observation")
    # Each look at a field of the message costs as much as a call, and at a picture a copy.
    device_time_ms = message.device_time_ms
    if not 0 <= device_time_ms <= LATEST_TIME_MS:
        raise Refuse("event.device_time_ms", "milliseconds since 1970, up to the year 9999")
    identifiers = message.identifiers
    if len(identifiers) > MAXIMUM_IDENTIFIERS:
        raise Refuse("event.identifiers", f"at most {MAXIMUM_IDENTIFIERS}")
    read_confidence = message.read_confidence
    if not 0 <= read_confidence <= 1:
        raise Refuse("event.read_confidence", "a number from 0 to 1")
    lane = message.lane
    if lane > MAXIMUM_LANE:
        raise Refuse("event.lane", f"at most {MAXIMUM_LANE}")
    picture = message.picture
    if picture and (len(picture) > MAXIMUM_PICTURE_BYTES or picture_format(picture) is None):
        raise Refuse("event.picture", f"a JPEG or PNG of at most {MAXIMUM_PICTURE_BYTES} bytes")
    event_id = text(message.event_id, "event.event_id", maximum=MAXIMUM_EVENT_ID_CHARACTERS)
    call = _call(message.call)
    return DeviceEvent(
        kind=kind,
        device_time_ms=device_time_ms,
        event_id=event_id,
        payload_digest=b"" if event_id else payload_digest(message.SerializeToString(deterministic=True)),
        identifiers=() if call else tuple([_identifier(one) for one in identifiers]),
        track_id=track(message.track_id, "event.track_id"),
        read_confidence=read_confidence,
        direction=_direction(message.direction),
        lane=lane,
        picture=b"" if call else picture,
        make=text(message.make, "event.make", maximum=64),
        colour=text(message.colour, "event.colour", maximum=32),
        plate_colour=text(message.plate_colour, "event.plate_colour", maximum=32),
        call=call,
        place=_place(message) if message.HasField("position") else None,
    )


def _identifier(message: ingest_pb2.ReadIdentifier) -> ReadIdentifier:
    kind = _IDENTIFIER_KINDS.get(message.kind)
    if kind is None:
        raise Refuse("event.identifiers.kind", "plate, document or tag")
    found = text(message.text, "event.identifiers.text", maximum=MAXIMUM_LENGTH)
    if not found:
        raise Refuse("event.identifiers.text", f"1 to {MAXIMUM_LENGTH} characters")
    return ReadIdentifier(kind, found)


def _direction(value: int) -> Direction:
    direction = _DIRECTIONS.get(value)
    if direction is None:
        raise Refuse("event.direction", "a known direction")
    return direction


def _call(value: int) -> CallKind | None:
    if value == 0:
        return None
    call = _CALLS.get(value)
    if call is None:
        raise Refuse("event.call", "a known kind of call")
    return call


def _place(message: ingest_pb2.DeviceEvent) -> Place:
    latitude, longitude = message.position.latitude, message.position.longitude
    if not (math.isfinite(latitude) and math.isfinite(longitude)):
        raise Refuse("event.position", "degrees, WGS 84")
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
        raise Refuse("event.position", "degrees, WGS 84")
    return Place(latitude, longitude)
