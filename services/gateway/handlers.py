"""What the gateway does with device events, whatever edge they came through.

Look up the device, decide what of the event may be taken (`alerthub.domain.admission`), blind and seal,
hand over to Kafka, and tell the edge what became of it only when the broker has it (C1).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from aiokafka.errors import KafkaError

from alerthub.api.v1.common_pb2 import AuthenticationClass as WireAuthenticationClass
from alerthub.api.v1.observation_pb2 import DirectCall, DirectCallKind
from alerthub.domain.admission import (
    AuthenticationClass,
    RateLimit,
    check_authorisation,
    effective_class,
)
from alerthub.domain.alert_trace import CALL_ACCEPTED
from alerthub.domain.device_events import CallKind, DeviceEvent, observation_id
from alerthub.domain.errors import Refuse, Retry
from alerthub.domain.light_values import light_value
from alerthub.evidence import EvidenceStore
from alerthub.sealing import SEALING_ADDS_BYTES
from alerthub.telemetry import logger
from alerthub.tracing import Traces, alert_context, headers_of
from services.gateway import metrics, spans
from services.gateway.admittance import Clocks, PeakGuard, RateGuard
from services.gateway.blinding import SealedPicture, add_identifiers, observation, position_of, seal_picture
from services.gateway.devices import DeviceDirectory
from services.gateway.keys import Blinding, KeyHolder
from services.gateway.packer import BatchPacker, Producer
from services.gateway.settings import GatewaySettings

log = logger(__name__)

CALLS_TOPIC = "calls"
_PICTURE_SECONDS = 5.0
"""A store that takes longer keeps no picture, and holds up no read."""
LATE_AFTER_MS = 60_000
"""What rules allow unless they say otherwise; only counted and told here, since each rule decides for
itself."""


@light_value
class Taken:
    """One event on its way. `outcome` is done once the broker has it, and fails with Retry."""

    outcome: asyncio.Future[None]
    late: bool = False
    stripped: bool = False


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a request's events: all of them are on Kafka."""

    acknowledged: int
    late: int
    stripped: int
    """Observations that went on without their identifiers (refusal 4)."""


@dataclass(slots=True)
class Moment:
    """When events are taken that nothing waits between, and what holds for all of them then."""

    now_ms: int
    blinding: Blinding | None = None
    """Given: all devices are known, and these keys are in force."""

    def move(self, now_ms: int) -> None:
        """Something waited: it is later, and what held may hold no more."""
        self.now_ms, self.blinding = now_ms, None


class Intake:
    """Takes device events. One in a process."""

    def __init__(
        self,
        settings: GatewaySettings,
        *,
        devices: DeviceDirectory,
        keys: KeyHolder,
        packer: BatchPacker,
        calls: Producer,
        evidence: EvidenceStore,
        now_ms: Callable[[], int],
        traces: Traces | None = None,
    ) -> None:
        """`calls` is a producer of its own: a direct call waits behind no observation."""
        self._settings = settings
        self._devices = devices
        self._keys = keys
        self._packer = packer
        self._calls = calls
        self._evidence = evidence
        self._now_ms = now_ms
        self._traces = traces
        self._clocks = Clocks()
        self._peaks = PeakGuard()
        self._rates = RateGuard(RateLimit(settings.device_events_per_second, settings.device_burst))
        self._call_rates = RateGuard(RateLimit(settings.calls_per_second, settings.call_burst))
        self._in_flight: dict[bytes, Taken] = {}
        packer.when_settled(self._forget)

    def not_ready_because(self) -> str | None:
        """None while observations are taken; else one sentence."""
        return self._devices.incomplete() or self._keys.not_ready_because()

    async def accept(
        self, device_id: str, used: AuthenticationClass, adapter: str, events: Sequence[DeviceEvent]
    ) -> Receipt:
        """Takes a request's events and returns when all of them are on Kafka.

        Refuse (NotAllowed where the device may not), TooManyRequests or Retry; some of the events may then
        be on Kafka, and sending the request again changes nothing about those.
        """
        at = self.moment()
        self.require_allowance(device_id, events, now_ms=at.now_ms)
        taken = [await self.take(device_id, used, adapter, event, at) for event in events]
        await self.settled(taken)
        return Receipt(
            acknowledged=len(taken),
            late=sum(one.late for one in taken),
            stripped=sum(one.stripped for one in taken),
        )

    def moment(self) -> Moment:
        """Now. `take` moves it where it waits; others who wait move it themselves."""
        return Moment(self._now_ms())

    def require_allowance(self, device_id: str, events: Sequence[DeviceEvent], *, now_ms: int) -> None:
        """Counts the events against the device's rate and peak before any of them is taken."""
        calls = len([event for event in events if event.call is not None])
        if calls:
            self._call_rates.require(device_id, calls, now_ms=now_ms)
        observations = len(events) - calls
        if observations:
            self._rates.require(device_id, observations, now_ms=now_ms)
            self._peaks.require(device_id, observations, now_ms=now_ms)

    async def settled(self, taken: Iterable[Taken]) -> None:
        """Returns once the broker has all of them; Retry after a bounded wait."""
        for outcome in {one.outcome for one in taken}:
            # Others wait for the same outcome: a device that goes away must not cancel it for them.
            await asyncio.shield(outcome)

    async def take(
        self, device_id: str, used: AuthenticationClass, adapter: str, event: DeviceEvent, at: Moment
    ) -> Taken:
        """Starts one event on its way. A repeat of one that is in flight shares its fate (C1)."""
        now_ms = at.now_ms
        if event.call is not None:
            return self._take_call(
                device_id, used, adapter=adapter, event=event, kind=event.call, now_ms=now_ms
            )
        blinding = at.blinding or self._require_ready(at)
        device = self._devices.in_force(device_id, now_ms)
        proven = effective_class(device.registered_class, used)
        self._packer.require_room(1)
        event_id = observation_id(device_id, event, key=blinding.id_key)
        known = self._in_flight.get(event_id)
        if known is not None:
            metrics.observations_repeated.labels(adapter).inc()
            return known

        picture = None
        if event.picture:
            picture = await self._kept_picture(event, event_id, now_ms)
            # While it was written what held may have ended, and a repeat may have gone ahead.
            at.move(self._now_ms())
            if self._require_ready(at) is not blinding:
                raise Retry("the keys changed", after_seconds=1)
            device = self._devices.in_force(device_id, at.now_ms)
            proven = effective_class(device.registered_class, used)
            known = self._in_flight.get(event_id)
            if known is not None:
                return known
            self._packer.require_room(1)
        corrected = self._clocks.correct(device_id, event.device_time_ms, now_ms)
        late = now_ms - corrected.time_ms > LATE_AFTER_MS
        if late:
            metrics.observations_late.labels(adapter).inc()
        made = observation(
            event,
            device,
            observation_id=event_id,
            authentication_class=proven,
            corrected=corrected,
            received_time_ms=now_ms,
            picture=picture,
        )
        keys = [] if picture is None else [picture.key]
        stripped = False
        if event.identifiers:
            authorisation = check_authorisation(device.authorisations, now_ms=at.now_ms)
            if authorisation is None:
                stripped = True
                metrics.identifiers_dropped.labels(adapter).inc(len(event.identifiers))
                metrics.observations_stripped.labels(adapter).inc()
            else:
                key = add_identifiers(
                    made,
                    event,
                    blinding,
                    self._keys.keyring,
                    authorisation_id=authorisation,
                    now_ms=at.now_ms,
                )
                if key is not None:
                    keys.append(key)
        outcome = self._packer.add(
            made, partition=device.partition, blinding=blinding, keys=keys, adapter=adapter
        )
        taken = self._in_flight[event_id] = Taken(outcome, late, stripped)
        return taken

    def _require_ready(self, at: Moment) -> Blinding:
        self._devices.require_complete()
        at.blinding = self._keys.in_force(at.now_ms)
        return at.blinding

    def _forget(self, event_ids: Sequence[bytes]) -> None:
        for event_id in event_ids:
            self._in_flight.pop(event_id, None)

    async def _kept_picture(self, event: DeviceEvent, event_id: bytes, now_ms: int) -> SealedPicture | None:
        try:
            picture_id = self._evidence.reserve(len(event.picture) + SEALING_ADDS_BYTES, now_ms)
            picture = seal_picture(
                self._keys.keyring, event_id, event.picture, picture_id=picture_id, now_ms=now_ms
            )
            async with asyncio.timeout(_PICTURE_SECONDS):
                await self._evidence.put_streaming(picture.picture_id, picture.sealed)
        except (Retry, Refuse, TimeoutError):
            # The read matters more than its picture; the card says that there is none.
            metrics.pictures.labels("lost").inc()
            return None
        metrics.pictures.labels("kept").inc()
        return picture

    def _take_call(
        self,
        device_id: str,
        used: AuthenticationClass,
        *,
        adapter: str,
        event: DeviceEvent,
        kind: CallKind,
        now_ms: int,
    ) -> Taken:
        """A direct call goes to its own topic at once. It needs no keys: it carries nothing to blind."""
        device = self._devices.in_force(device_id, now_ms)
        call_id = observation_id(device_id, event, key=b"")
        known = self._in_flight.get(call_id)
        if known is not None:
            return known
        call = DirectCall(
            call_id=call_id,
            device_id=device_id,
            kind=DirectCallKind.ValueType(kind),
            device_time_ms=event.device_time_ms,
            received_time_ms=now_ms,
            position=position_of(event.place, device),
            district=device.district,
            authentication_class=WireAuthenticationClass.ValueType(
                effective_class(device.registered_class, used)
            ),
        )
        outcome = asyncio.ensure_future(self._sent(call, adapter))
        outcome.add_done_callback(lambda done: done.cancelled() or done.exception())
        outcome.add_done_callback(lambda _: self._in_flight.pop(call_id, None))
        taken = Taken(outcome)
        self._in_flight[call_id] = taken
        return taken

    async def _sent(self, call: DirectCall, adapter: str) -> None:
        context = None if self._traces is None else alert_context(call.call_id.hex(), CALL_ACCEPTED)
        try:
            async with asyncio.timeout(self._settings.kafka_wait_seconds):
                acknowledgement = await self._calls.send(
                    CALLS_TOPIC,
                    call.SerializeToString(),
                    key=call.device_id.encode(),
                    headers=headers_of(context),
                )
                await asyncio.shield(acknowledgement)
        except (KafkaError, TimeoutError) as error:
            log.warning("call_not_acknowledged", error_type=type(error).__name__)
            raise Retry("Kafka did not take the call", after_seconds=1) from None
        metrics.calls_accepted.labels(adapter).inc()
        if self._traces is not None:
            spans.tell_call(self._traces, call, now_ms=self._now_ms())
