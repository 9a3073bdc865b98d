"""The reference city, and what its devices send, for the correlator's benchmark."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

from alerthub.api.v1 import common_pb2, observation_pb2, registry_pb2, watchlist_pb2
from alerthub.domain.partitioning import partition_of
from alerthub.observation_batches import WrittenBatch
from alerthub.sealing import WrappedKey
from alerthub.topics import TOPICS
from services.correlator.replicas import Reference

ENTRIES = 1_000_000
DEVICES = 21_100
ZONES = 2_000
DEVICES_OF_A_DISTRICT = 264
MASKS = ["exact", "confusable", "no-province"]
STANDING_SHARE = 0.03
LISTED_SHARE = 1 / 10_000
FIRST_MS = 1_800_000_000_000
OBSERVATIONS_A_SECOND = 2_000
PARTITIONS = TOPICS["observations"].partitions
_ALWAYS_MS = 1 << 52


def device_id(number: int) -> str:
    return f"camera-{number:05d}"


def district_of(number: int) -> str:
    return f"district-{number // DEVICES_OF_A_DISTRICT:03d}"


def listed_token(number: int) -> bytes:
    """The exact token of entry `number`."""
    return b"listed" + number.to_bytes(10, "big")


def fill(reference: Reference) -> None:
    """The values that the five topics would have brought."""
    for number in range(ENTRIES):
        entry = watchlist_pb2.PublishedEntry(
            entry_id=f"entry-{number:07d}",
            version=1,
            status=watchlist_pb2.ENTRY_STATUS_ACTIVE,
            category="stolen-vehicle",
            policy=common_pb2.DISPATCH_POLICY_CONFIRM_FIRST,
            severity=common_pb2.SEVERITY_MAJOR,
            valid_until_ms=_ALWAYS_MS,
            tokens=[
                watchlist_pb2.PublishedToken(
                    kind=common_pb2.IDENTIFIER_KIND_PLATE, epoch="1", mask="exact", token=listed_token(number)
                )
            ],
        )
        reference.apply("watchlist", entry.entry_id, entry.SerializeToString())
    matching = watchlist_pb2.MatchingConfiguration(version=1, masks=MASKS)
    reference.apply("matching", "matching", matching.SerializeToString())
    for number in range(ZONES):
        _fill_zone(reference, number)
    for number in range(DEVICES):
        reference.apply("devices", device_id(number), _device(number).SerializeToString())
    hit = registry_pb2.Rule(
        rule_id="hit",
        version=1,
        status=registry_pb2.LIFE_STATUS_ACTIVE,
        kind=registry_pb2.RULE_KIND_WATCHLIST_HIT,
        severity=common_pb2.SEVERITY_MAJOR,
        policy=common_pb2.DISPATCH_POLICY_CONFIRM_FIRST,
        watchlist_hit=registry_pb2.WatchlistHitParameters(masks=MASKS),
    )
    reference.apply("rules", hit.rule_id, hit.SerializeToString())


def _fill_zone(reference: Reference, number: int) -> None:
    zone = registry_pb2.Zone(
        zone_id=f"zone-{number:04d}",
        version=1,
        status=registry_pb2.LIFE_STATUS_ACTIVE,
        kind=registry_pb2.ZONE_KIND_NO_PARKING,
    )
    rule = registry_pb2.Rule(
        rule_id=f"dwell-{number:04d}",
        version=1,
        status=registry_pb2.LIFE_STATUS_ACTIVE,
        kind=registry_pb2.RULE_KIND_DWELL,
        zone_ids=[zone.zone_id],
        severity=common_pb2.SEVERITY_MINOR,
        policy=common_pb2.DISPATCH_POLICY_CONFIRM_FIRST,
        dwell=registry_pb2.DwellParameters(dwell_seconds=240, maximum_gap_seconds=60),
    )
    reference.apply("zones", zone.zone_id, zone.SerializeToString())
    reference.apply("rules", rule.rule_id, rule.SerializeToString())


def _device(number: int) -> registry_pb2.Device:
    return registry_pb2.Device(
        device_id=device_id(number),
        version=1,
        status=registry_pb2.LIFE_STATUS_ACTIVE,
        district=district_of(number),
        jurisdiction="county-1",
        zone_ids=[f"zone-{number:04d}"] if number < ZONES else [],
        authentication_class=common_pb2.AUTHENTICATION_CLASS_PASSWORD_OVER_TLS,
        authorisations=[
            registry_pb2.CheckAuthorisation(
                authorisation_id="authorisation",
                version=1,
                status=registry_pb2.LIFE_STATUS_ACTIVE,
                categories=["stolen-vehicle"],
                valid_until_ms=_ALWAYS_MS,
            )
        ],
    )


def batches(number: int, size: int, *, seed: int) -> Iterator[tuple[int, bytes]]:
    """Partition and bytes of `number` batches of `size`: nearly all of them plates that nobody looks for."""
    chance = random.Random(seed)  # noqa: S311 - a load is to be the same each time
    by_partition: list[list[int]] = [[] for _ in range(PARTITIONS)]
    for device in range(DEVICES):
        by_partition[partition_of(district_of(device), PARTITIONS)].append(device)
    for index in range(number):
        received_ms = FIRST_MS + index * size * 1_000 // OBSERVATIONS_A_SECOND
        partition = index % PARTITIONS
        devices = by_partition[partition]
        batch = WrittenBatch("gateway-1", 1, "1")
        key = WrappedKey(b"12345678", "recipient-1", os.urandom(1_200))
        for _ in range(size):
            batch.add(_observation(chance, chance.choice(devices), received_ms), [key])
        yield partition, batch.value(received_ms, index)


def _observation(chance: random.Random, device: int, received_ms: int) -> observation_pb2.Observation:
    observation = observation_pb2.Observation(
        observation_id=chance.randbytes(16),
        device_id=device_id(device),
        kind=observation_pb2.OBSERVATION_KIND_IDENTIFIER_READ,
        device_time_ms=received_ms - 80,
        corrected_time_ms=received_ms - 80,
        received_time_ms=received_ms - 5,
        clock_uncertainty_ms=500,
        read_confidence=0.97,
        direction=observation_pb2.DIRECTION_APPROACHING,
        lane=1,
        position=common_pb2.Position(latitude=38.04, longitude=114.51),
        district=district_of(device),
        authentication_class=common_pb2.AUTHENTICATION_CLASS_PASSWORD_OVER_TLS,
        authorisation_id="authorisation",
    )
    if chance.random() < STANDING_SHARE:
        zone_device = device % ZONES
        observation.kind = observation_pb2.OBSERVATION_KIND_VEHICLE_STANDING
        observation.device_id = device_id(zone_device)
        observation.track_id = str(chance.randrange(4))
        return observation
    exact = chance.randbytes(16)
    if chance.random() < LISTED_SHARE:
        exact = listed_token(chance.randrange(ENTRIES))
    observation.identifiers.append(
        observation_pb2.BlindedIdentifier(
            kind=common_pb2.IDENTIFIER_KIND_PLATE,
            tokens=[exact, chance.randbytes(16), chance.randbytes(16)],
            sealed_details=chance.randbytes(90),
            data_key_id=b"12345678",
        )
    )
    return observation
