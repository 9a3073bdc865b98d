"""Pulls ONVIF notifications from cameras that cannot push, and posts each at the gateway as its device.

What was pulled is posted until the gateway acknowledges it. C1 cannot be promised all the same: ONVIF has no
acknowledgement, so a camera forgets a message when it hands it out, and all when its subscription ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path

from alerthub.domain.errors import AlertHubError, NotAllowed, Refuse, Retry
from alerthub.edge import onvif_soap as soap
from alerthub.edge.gateway_door import GatewayDoor
from alerthub.edge.kept_messages import KEPT_SECONDS, Kept, KeptMessages
from alerthub.edge.onvif_camera import CameraSettings, PullPoint
from alerthub.telemetry import logger

log = logger(__name__)

ADAPTER = "onvif"
MESSAGES_A_POST = 32
_BYTES_A_POST = 1024 * 1024
_CONTENT_TYPE = "application/xml; charset=utf-8"
_FIRST_WAIT_SECONDS = 1.0
_LONGEST_WAIT_SECONDS = 60.0
_AFTER_REFUSAL_SECONDS = 300.0
"""Cameras lock a user out after a few wrong passwords."""
_GATEWAY_REFUSAL_SECONDS = 15.0
_BETWEEN_EMPTY_SECONDS = 1.0
_GOODBYE_SECONDS = 5.0
DRAIN_SECONDS = 10.0
"""At the end: for what was pulled to reach the gateway."""


@dataclass(frozen=True, slots=True)
class Pairing:
    """A camera, and the registered device as which its messages are posted."""

    device: str
    secret_file: Path
    camera: CameraSettings


@dataclass(frozen=True, slots=True)
class EdgeSettings:
    """One edge program: one gateway, some cameras."""

    gateway: str
    ca_file: Path
    cameras: tuple[Pairing, ...]


@dataclass(slots=True)
class Counts:
    """What became of messages. Those that a camera lost itself are in none."""

    subscriptions: int = 0
    pulled: int = 0
    acknowledged: int = 0
    refused: int = 0
    """By the gateway, each for itself: it is in no form that the hub takes."""
    expired: int = 0
    """Older than an hour before the gateway took them."""
    left: int = 0
    """Pulled, and not acknowledged when the program ended."""

    def add(self, other: Counts) -> None:
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))


async def pull_all(
    settings: EdgeSettings,
    stopping: asyncio.Event,
    *,
    now: Callable[[], float] = time.time,
    monotonic: Callable[[], float] = time.monotonic,
) -> Counts:
    """Pulls from every camera until `stopping`; what became of everything."""
    pullers = [_Puller(pairing, settings, now=now, monotonic=monotonic) for pairing in settings.cameras]
    total = Counts()
    async with asyncio.TaskGroup() as group:
        for puller in pullers:
            group.create_task(puller.run(stopping))
    for puller in pullers:
        total.add(puller.counts)
    return total


class _Puller:
    """One camera: a loop that pulls, and a loop that posts."""

    def __init__(
        self,
        pairing: Pairing,
        settings: EdgeSettings,
        *,
        now: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        self.counts = Counts()
        self._pairing = pairing
        self._settings = settings
        self._now = now
        self._monotonic = monotonic
        self._kept = KeptMessages()
        self._said: dict[str, str] = {}
        self._wait = _FIRST_WAIT_SECONDS

    async def run(self, stopping: asyncio.Event) -> None:
        door = GatewayDoor(
            self._settings.gateway,
            ca_file=self._settings.ca_file,
            device=self._pairing.device,
            secret_file=self._pairing.secret_file,
            adapter=ADAPTER,
        )
        async with (
            door,
            PullPoint(self._pairing.camera, clock=self._now) as camera,
            asyncio.TaskGroup() as group,
        ):
            pulling = group.create_task(self._pull(camera))
            posting = group.create_task(self._post(door))
            await stopping.wait()
            pulling.cancel()
            await asyncio.wait({pulling})
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._kept.empty(), DRAIN_SECONDS)
            posting.cancel()
        self.counts.left = len(self._kept)

    async def _pull(self, camera: PullPoint) -> None:
        while True:
            before = self.counts.subscriptions
            try:
                await self._follow(camera)
            except NotAllowed as error:
                self._say("camera", error)
                # Where a subscription was given, the camera's clock may have been set meanwhile.
                subscribed = self.counts.subscriptions > before
                await asyncio.sleep(self._wait if subscribed else _AFTER_REFUSAL_SECONDS)
                self._wait = min(_LONGEST_WAIT_SECONDS, 2 * self._wait)
            except (Retry, Refuse) as error:
                self._say("camera", error)
                await asyncio.sleep(self._wait)
                self._wait = min(_LONGEST_WAIT_SECONDS, 2 * self._wait)

    async def _follow(self, camera: PullPoint) -> None:
        """One subscription, until it ends with an error."""
        made = await camera.subscribe()
        try:
            self.counts.subscriptions += 1
            log.info("onvif_subscribed", device_id=self._pairing.device, count=self.counts.subscriptions)
            self._said.pop("camera", None)
            granted = made.granted_seconds or float(self._pairing.camera.lease_seconds)
            renew_at = self._monotonic() + granted / 2
            while True:
                if self._monotonic() >= renew_at:
                    granted = await self._renewed(camera, made.address) or granted
                    renew_at = self._monotonic() + granted / 2
                if self._kept.has_room:
                    await self._pull_once(camera, made.address, seconds=granted / 4)
                    self._wait = _FIRST_WAIT_SECONDS
                else:
                    # The camera's own queue holds what comes meanwhile, while its subscription lives.
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._kept.room(), max(0.0, renew_at - self._monotonic()))
        finally:
            # What the camera forgot already it refuses, and where it does not answer nothing can be done.
            with contextlib.suppress(AlertHubError, TimeoutError):
                await asyncio.wait_for(camera.unsubscribe(made.address), _GOODBYE_SECONDS)

    async def _renewed(self, camera: PullPoint, subscription: soap.Address) -> float:
        try:
            return await camera.renew(subscription)
        except soap.FaultError:
            # Some makes know no renewal, and prolong a subscription by each pull instead.
            return 0.0

    async def _pull_once(self, camera: PullPoint, subscription: soap.Address, *, seconds: float) -> None:
        began = self._monotonic()
        pulled = await camera.pull(subscription, seconds=seconds, limit=MESSAGES_A_POST)
        at = self._monotonic()
        self.counts.pulled += len(pulled.messages)
        if pulled.messages:
            await self._kept.put([Kept(each, pulled.declared, at) for each in pulled.messages])
            return
        if not len(self._kept):
            await self._kept.put([Kept(b"", "", at)])
        # Some makes do not wait for something to tell.
        await asyncio.sleep(max(0.0, _BETWEEN_EMPTY_SECONDS - (at - began)))

    async def _post(self, door: GatewayDoor) -> None:
        while True:
            await self._expire()
            first = await self._kept.first(limit=MESSAGES_A_POST, maximum_bytes=_BYTES_A_POST)
            try:
                await self._hand_over(door, first)
                self._said.pop("gateway", None)
            except Retry as error:
                self._say("gateway", error)
                await asyncio.sleep(error.after_seconds)
            except NotAllowed as error:
                self._say("gateway", error)
                await asyncio.sleep(_GATEWAY_REFUSAL_SECONDS)

    async def _expire(self) -> None:
        count = await self._kept.forget_older(self._monotonic() - KEPT_SECONDS)
        if count:
            self.counts.expired += count
            log.error("onvif_messages_expired", device_id=self._pairing.device, count=count)

    async def _hand_over(self, door: GatewayDoor, messages: Sequence[Kept]) -> None:
        """Posts them together; where the gateway refuses that for good, each for itself."""
        try:
            await door.post(self._body(messages), content_type=_CONTENT_TYPE)
        except (Retry, NotAllowed):
            raise
        except Refuse as error:
            if len(messages) > 1:
                for each in messages:
                    await self._hand_over(door, [each])
                return
            self.counts.refused += 1
            log.warning("onvif_message_refused", device_id=self._pairing.device, field=error.field)
        else:
            self.counts.acknowledged += sum(bool(each.content) for each in messages)
        await self._kept.forget(len(messages))

    def _body(self, messages: Sequence[Kept]) -> bytes:
        told = [each.content for each in messages if each.content]
        return soap.notify(told, messages[0].declared) if told else soap.alive(self._time())

    def _time(self) -> datetime:
        return datetime.fromtimestamp(self._now(), UTC)

    def _say(self, about: str, error: AlertHubError) -> None:
        """Once for each new reason: a camera that is away for a night fills no disk."""
        reason = f"{about}: {error}"
        if self._said.get(about) != reason:
            self._said[about] = reason
            log.warning("onvif_waited", device_id=self._pairing.device, reason=reason)
