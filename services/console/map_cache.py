"""Devices and zones for the map: the same for everybody who may list them, and kept for moments."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from alerthub.api.v1 import registry_pb2
from alerthub.domain import canary
from services.console import map_models, views

Page = Callable[[str, str], Awaitable[registry_pb2.ListResourcesResponse]]
"""Kind and page token to a page of resources; raises where this person may not list them."""


@dataclass(frozen=True, slots=True)
class Place:
    """What has a place and does not move."""

    devices: tuple[registry_pb2.Device, ...] = ()
    zones: tuple[registry_pb2.Zone, ...] = ()


class MapCache:
    """Asked by many pages, asks the registry once."""

    def __init__(self, *, seconds: float, monotonic: Callable[[], float]) -> None:
        self._seconds = seconds
        self._monotonic = monotonic
        self._place = Place()
        self._districts: frozenset[str] = frozenset()
        self._canary_set_up: bool | None = None
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()

    def districts(self) -> frozenset[str]:
        """Of the devices that are known so far."""
        return self._districts

    def canary_set_up(self) -> bool | None:
        """Whether the canary has a device in force; None: not known yet."""
        return self._canary_set_up

    async def get(self, page: Page) -> Place:
        """What the registry says, at most `seconds` old. Raises what `page` raises."""
        async with self._reading:
            if self._monotonic() - self._read_at > self._seconds:
                devices = [each.device for each in await _all(page, "device")]
                self._canary_set_up = any(_of_the_canary(each) for each in devices)
                zones = [each.zone for each in await _all(page, "zone")]
                self._place = Place(
                    tuple(each for each in devices if _of_the_city(each)),
                    tuple(each for each in zones if each.status == registry_pb2.LIFE_STATUS_ACTIVE),
                )
                self._districts = frozenset(each.district for each in self._place.devices)
                self._read_at = self._monotonic()
            return self._place


class EncodedPlaces:
    """Devices and zones in JSON, made once for each state of them: a city's take half a second."""

    def __init__(self) -> None:
        self._of: tuple[Place, frozenset[str]] | None = None
        self._encoded = b""
        self._making = asyncio.Lock()

    async def of(self, place: Place, silent: frozenset[str]) -> bytes:
        """A `PlacesView`. Made on a thread of its own: streams go on meanwhile."""
        async with self._making:
            known = self._of
            if known is None or known[0] is not place or known[1] != silent:
                self._encoded = await asyncio.to_thread(_encode, place, silent)
                self._of = (place, silent)
            return self._encoded


def _encode(place: Place, silent: frozenset[str]) -> bytes:
    view = map_models.PlacesView(
        devices=[views.map_device_of(each, silent=silent) for each in place.devices],
        zones=map_models.ZoneCollection(features=[views.zone_feature_of(each) for each in place.zones]),
    )
    return view.model_dump_json().encode()


def _of_the_canary(device: registry_pb2.Device) -> bool:
    return device.jurisdiction == canary.JURISDICTION and device.status == registry_pb2.LIFE_STATUS_ACTIVE


def _of_the_city(device: registry_pb2.Device) -> bool:
    return device.jurisdiction != canary.JURISDICTION and device.status != registry_pb2.LIFE_STATUS_REMOVED


async def _all(page: Page, kind: str) -> list[registry_pb2.Resource]:
    found: list[registry_pb2.Resource] = []
    token = ""
    while True:
        answer = await page(kind, token)
        found.extend(answer.resources)
        token = answer.next_page_token
        if not token:
            return found
