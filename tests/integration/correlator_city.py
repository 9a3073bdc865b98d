"""A small city for the correlator's tests: what its owners publish, and batches as gateways pack them."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from alerthub import kafka
from alerthub.api.v1 import alert_pb2, common_pb2, observation_pb2, registry_pb2, watchlist_pb2
from alerthub.domain.partitioning import partition_of
from alerthub.replica import BOOKMARK_KEY
from alerthub.settings import KafkaSettings
from alerthub.topics import TOPICS

PARTITIONS = TOPICS["observations"].partitions
OWNERS = {
    "watchlist": "watchlist",
    "matching": "watchlist",
    "devices": "registry",
    "zones": "registry",
    "rules": "registry",
}
ALWAYS_MS = 1 << 52
DWELL_SECONDS = 240


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def token_of(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def raised_id(*parts: bytes) -> bytes:
    """As the wire promises it, computed anew."""
    return hashlib.blake2b(
        b"".join(len(part).to_bytes(4, "big") + part for part in parts), digest_size=16
    ).digest()


def _observation_id(text: str) -> bytes:
    return hashlib.blake2b(b"observation" + text.encode(), digest_size=16).digest()


class City:
    """One district `name` with one device in one no-parking zone, its rules, and a stolen plate."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.device = f"camera-{name}"
        self.zone = f"zone-{name}"
        self.hit_rule = f"hit-{name}"
        self.dwell_rule = f"dwell-{name}"
        self.entry = f"entry-{name}"
        self.plate = f"plate-{name}"
        self.partition = partition_of(name, PARTITIONS)

    def registered(self) -> Mapping[str, Mapping[str, bytes]]:
        """By topic and key what is published."""
        return {
            "devices": {self.device: self.device_value()},
            "zones": {self.zone: self.zone_value()},
            "rules": {self.hit_rule: self.hit_rule_value(), self.dwell_rule: self.dwell_rule_value()},
            "matching": {
                "matching": watchlist_pb2.MatchingConfiguration(
                    version=1, masks=["exact", "confusable"], epochs=["epoch-1"]
                ).SerializeToString()
            },
            "watchlist": {self.entry: self.entry_value()},
        }

    def device_value(self, version: int = 1) -> bytes:
        return registry_pb2.Device(
            device_id=self.device,
            version=version,
            status=registry_pb2.LIFE_STATUS_ACTIVE,
            district=self.name,
            jurisdiction=f"jurisdiction-{self.name}",
            zone_ids=[self.zone],
            authentication_class=common_pb2.AUTHENTICATION_CLASS_PASSWORD_OVER_TLS,
            authorisations=[
                registry_pb2.CheckAuthorisation(
                    authorisation_id="authorisation",
                    version=1,
                    status=registry_pb2.LIFE_STATUS_ACTIVE,
                    categories=["stolen-vehicle"],
                    valid_until_ms=ALWAYS_MS,
                )
            ],
        ).SerializeToString()

    def zone_value(self) -> bytes:
        return registry_pb2.Zone(
            zone_id=self.zone,
            version=1,
            status=registry_pb2.LIFE_STATUS_ACTIVE,
            kind=registry_pb2.ZONE_KIND_NO_PARKING,
        ).SerializeToString()

    def hit_rule_value(self, version: int = 1) -> bytes:
        return registry_pb2.Rule(
            rule_id=self.hit_rule,
            version=version,
            status=registry_pb2.LIFE_STATUS_ACTIVE,
            kind=registry_pb2.RULE_KIND_WATCHLIST_HIT,
            device_ids=[self.device],
            severity=common_pb2.SEVERITY_MINOR,
            unit_kind="patrol",
            policy=common_pb2.DISPATCH_POLICY_SEND_AT_ONCE,
            officer_text=common_pb2.LocalizedText(chinese="被盗车辆", english="Stolen vehicle"),
            watchlist_hit=registry_pb2.WatchlistHitParameters(masks=["exact", "confusable"]),
        ).SerializeToString()

    def dwell_rule_value(self, version: int = 1) -> bytes:
        return registry_pb2.Rule(
            rule_id=self.dwell_rule,
            version=version,
            status=registry_pb2.LIFE_STATUS_ACTIVE,
            kind=registry_pb2.RULE_KIND_DWELL,
            zone_ids=[self.zone],
            severity=common_pb2.SEVERITY_INFORMATION,
            unit_kind="patrol",
            policy=common_pb2.DISPATCH_POLICY_CONFIRM_FIRST,
            officer_text=common_pb2.LocalizedText(english="No-parking bay"),
            allowed_lateness_seconds=3_600,
            dwell=registry_pb2.DwellParameters(dwell_seconds=DWELL_SECONDS, maximum_gap_seconds=120),
        ).SerializeToString()

    def entry_value(self, version: int = 1, *, withdrawn: bool = False) -> bytes:
        return watchlist_pb2.PublishedEntry(
            entry_id=self.entry,
            version=version,
            status=watchlist_pb2.ENTRY_STATUS_WITHDRAWN if withdrawn else watchlist_pb2.ENTRY_STATUS_ACTIVE,
            category="stolen-vehicle",
            policy=common_pb2.DISPATCH_POLICY_SEND_AT_ONCE,
            severity=common_pb2.SEVERITY_MAJOR,
            valid_until_ms=ALWAYS_MS,
            tokens=[
                watchlist_pb2.PublishedToken(
                    kind=common_pb2.IDENTIFIER_KIND_PLATE,
                    epoch="epoch-1",
                    mask="exact",
                    token=token_of(self.plate),
                )
            ],
        ).SerializeToString()

    def read(self, name: str, *, plate: str | None = None) -> observation_pb2.Observation:
        """A plate read; without `plate` one that is listed nowhere."""
        text = plate or f"unlisted-{name}"
        return self._observation(
            name,
            observation_pb2.OBSERVATION_KIND_IDENTIFIER_READ,
            at_ms=now_ms(),
            identifiers=[
                observation_pb2.BlindedIdentifier(
                    kind=common_pb2.IDENTIFIER_KIND_PLATE,
                    tokens=[token_of(text), token_of("confusable" + text)],
                    sealed_details=b"sealed",
                    data_key_id=b"key-1",
                )
            ],
        )

    def standing(self, name: str, *, track: str, at_ms: int) -> observation_pb2.Observation:
        """A vehicle without a plate that stands in the zone."""
        return self._observation(
            name, observation_pb2.OBSERVATION_KIND_VEHICLE_STANDING, at_ms=at_ms, track=track
        )

    def observation_id(self, name: str) -> bytes:
        """As gateways make it, of the device too: the same name in another city is another observation."""
        return _observation_id(f"{self.device} {name}")

    def _observation(
        self,
        name: str,
        kind: observation_pb2.ObservationKind.ValueType,
        *,
        at_ms: int,
        track: str = "",
        identifiers: Iterable[observation_pb2.BlindedIdentifier] = (),
    ) -> observation_pb2.Observation:
        return observation_pb2.Observation(
            observation_id=self.observation_id(name),
            device_id=self.device,
            kind=kind,
            device_time_ms=at_ms,
            corrected_time_ms=at_ms,
            received_time_ms=at_ms,
            track_id=track,
            district=self.name,
            authentication_class=common_pb2.AUTHENTICATION_CLASS_PASSWORD_OVER_TLS,
            authorisation_id="authorisation",
            identifiers=identifiers,
        )


def batch_of(observations: Iterable[observation_pb2.Observation], *, received_ms: int | None = None) -> bytes:
    return observation_pb2.ObservationBatch(
        gateway_id="gateway-test",
        received_time_ms=received_ms or now_ms(),
        matching_version=1,
        epoch="epoch-1",
        observations=observations,
        data_keys=[
            observation_pb2.WrappedDataKey(data_key_id=b"key-1", wrapped=b"w"),
            observation_pb2.WrappedDataKey(data_key_id=b"key-2", wrapped=b"w"),
        ],
    ).SerializeToString()


class Kafka:
    """Who publishes and who reads, as each principal may. Bookmarks go out while `bookmarks` is set."""

    def __init__(self, settings: Callable[[str], KafkaSettings]) -> None:
        self._settings = settings
        self._producers: dict[str, AIOKafkaProducer] = {}
        self.bookmarks = asyncio.Event()
        self.bookmarks.set()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        for principal in ("registry", "watchlist", "gateway", "correlator"):
            producer = kafka.producer(self._settings(principal), client_id=f"test-{principal}")
            await producer.start()
            self._producers[principal] = producer
        self._task = asyncio.create_task(self._publish_bookmarks())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for producer in self._producers.values():
            await producer.stop()

    async def _publish_bookmarks(self) -> None:
        while True:
            await self.bookmarks.wait()
            value = common_pb2.Bookmark(time_ms=now_ms(), count=1).SerializeToString()
            for topic in OWNERS:
                await self.publish(topic, BOOKMARK_KEY, value)
            await asyncio.sleep(1)

    async def publish(self, topic: str, key: bytes, value: bytes | None) -> None:
        await self._producers[OWNERS[topic]].send_and_wait(topic, value, key=key)

    async def publish_city(self, city: City) -> None:
        for topic, values in city.registered().items():
            for key, value in values.items():
                await self.publish(topic, key.encode(), value)

    async def observe(self, partition: int, value: bytes) -> int:
        """Writes a batch as the gateway does; returns its offset."""
        written = await self._producers["gateway"].send_and_wait("observations", value, partition=partition)
        return int(written.offset)

    async def write_state(self, partition: int, key: bytes, value: bytes) -> None:
        await self._producers["correlator"].send_and_wait(
            "correlator-state-changelog", value, key=key, partition=partition
        )

    def reader(self, principal: str, topic: str) -> Reader:
        return Reader(self._settings(principal), topic)


class Reader:
    """Reads what is written to a topic from now on, without a group."""

    def __init__(self, settings: KafkaSettings, topic: str) -> None:
        self._consumer: AIOKafkaConsumer = kafka.consumer(settings, topic, group_id=None)

    async def __aenter__(self) -> Self:
        await self._consumer.start()
        ends = await self._consumer.end_offsets(list(self._consumer.assignment()))
        for partition, end in ends.items():
            self._consumer.seek(partition, end)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()

    async def until(
        self, enough: Callable[[list[tuple[bytes, bytes]]], bool], *, seconds: float = 20
    ) -> list[tuple[bytes, bytes]]:
        """Key and value of every record, as soon as they are enough. Raises TimeoutError."""
        records: list[tuple[bytes, bytes]] = []
        async with asyncio.timeout(seconds):
            while not enough(records):
                batches = await self._consumer.getmany(timeout_ms=200)
                records.extend((one.key, one.value) for batch in batches.values() for one in batch)
        return records

    async def all_now(self) -> list[tuple[bytes, bytes]]:
        """Every record up to the ends of this moment."""
        assigned = list(self._consumer.assignment())
        ends = await self._consumer.end_offsets(assigned)
        records: list[tuple[bytes, bytes]] = []
        while not await self._at(ends):
            batches = await self._consumer.getmany(timeout_ms=200)
            records.extend((one.key, one.value) for batch in batches.values() for one in batch)
        return records

    async def _at(self, ends: Mapping[TopicPartition, int]) -> bool:
        return all([await self._consumer.position(partition) >= end for partition, end in ends.items()])


def alerts_of(records: Iterable[tuple[bytes, bytes]]) -> list[alert_pb2.AlertRaised]:
    return [alert_pb2.AlertRaised.FromString(value) for _, value in records]
