"""What batches are evaluated against: replicas of watchlist, matching, devices, zones and rules (C9).

The gate is open while all of them have read their topic to the end and have a fresh bookmark. While it is
closed no batch is applied: an entry could have been withdrawn meanwhile. Nor is a batch applied before all
that can have been in force when it was received has arrived: owners publish a version
`ACTIVATION_LEAD_MS` ahead of its activation, and a bookmark says up to when everything committed is there.
So a slow replica delays an alert and never misses one (C5).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Protocol

from alerthub.api.v1.watchlist_pb2 import MatchingConfiguration
from alerthub.domain.catalogue import Catalogue
from alerthub.domain.correlation import Knowledge
from alerthub.domain.errors import Retry
from alerthub.domain.matching_index import MatchingIndex
from alerthub.replica import CompactedReplica
from alerthub.settings import KafkaSettings
from services.correlator import metrics, records

TOPICS = ("watchlist", "matching", "devices", "zones", "rules")
_EXACT = "exact"
_KEPT_MATCHING_VERSIONS = 64


class Gate(Protocol):
    """Whether batches may be applied now."""

    def closed_because(self, as_of_ms: int = 0) -> str | None:
        """None while it is open, and everything committed until `as_of_ms` is known; else one sentence."""

    async def wait(self, as_of_ms: int = 0) -> None:
        """Returns while it is open, and everything committed until `as_of_ms` is known."""


class Source(Gate, Protocol):
    """What fills the reference."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


class Reference:
    """The values of the five topics, by which the handlers evaluate. Filled by replicas, or by a bench."""

    def __init__(self) -> None:
        self.entries = MatchingIndex(records.entry_of)
        self.catalogue = Catalogue()
        self.suspended: set[tuple[str, int]] = set()
        self._masks: dict[int, tuple[str, ...]] = {}

    def apply(self, topic: str, key: str, value: bytes | None) -> bool:
        """Takes in a value of `topic`; None is a tombstone. False for an entry of which this version or a
        newer one is known. Raises DecodeError, DeadLetter."""
        match topic:
            case "watchlist":
                changed = self.entries.apply(key, value)
                metrics.ENTRIES.set(len(self.entries))
                return changed
            case "devices":
                self.catalogue.put_device(key, None if value is None else records.device_of(value))
            case "zones":
                self.catalogue.put_zone(key, None if value is None else records.zone_of(value))
            case "rules":
                self.catalogue.put_rule(key, None if value is None else records.rule_of(value))
            case "matching" if value is not None:
                wire = MatchingConfiguration.FromString(value)
                self._masks[wire.version] = tuple(wire.masks)
                while len(self._masks) > _KEPT_MATCHING_VERSIONS:
                    del self._masks[min(self._masks)]
        return True

    def knowledge(self, received_ms: int, matching_version: int) -> Knowledge:
        """What was in force for a batch that was received then and blinded with that matching
        configuration."""
        masks = self._masks.get(matching_version, ())
        return Knowledge(
            configuration=self.catalogue.at(received_ms),
            entries=self.entries,
            masks=masks,
            # Gateways compute the exact mask first; a configuration that is not known any more did so too.
            exact_index=masks.index(_EXACT) if _EXACT in masks else 0,
            suspended=self.suspended,
        )


class Replicas:
    """The five replicas and their gate."""

    def __init__(
        self,
        settings: KafkaSettings,
        reference: Reference,
        *,
        client_id: str,
        on_failure: Callable[[BaseException], None],
    ) -> None:
        self._reference = reference
        self._replicas = [
            CompactedReplica(
                settings,
                topic,
                client_id=client_id,
                apply=partial(self._apply, topic),
                on_failure=on_failure,
            )
            for topic in TOPICS
        ]
        self._watchlist = next(replica for replica in self._replicas if replica.topic == "watchlist")

    def _apply(self, topic: str, key: str, value: bytes | None) -> None:
        changed = self._reference.apply(topic, key, value)
        # What was withdrawn before this process had read the topic was never matched here.
        if topic == "watchlist" and changed and value is not None and self._watchlist.caught_up:
            ended_at_ms = records.ended_at_ms_of(value)
            if ended_at_ms:
                metrics.WITHDRAWN_TO_UNMATCHED.observe(max(0.0, time.time() - ended_at_ms / 1_000))

    async def start(self) -> None:
        for replica in self._replicas:
            await replica.start()

    async def stop(self) -> None:
        for replica in self._replicas:
            await replica.stop()

    def closed_because(self, as_of_ms: int = 0) -> str | None:
        for replica in self._replicas:
            reason = replica.behind_because(as_of_ms)
            if reason is not None:
                return reason
        return None

    async def wait(self, as_of_ms: int = 0) -> None:
        while self.closed_because(as_of_ms) is not None:
            for replica in self._replicas:
                try:
                    await replica.wait_until_ready(1.0, as_of_ms=as_of_ms)
                except Retry:
                    # It says so again until it is ready; a replica that failed ends the process.
                    break
