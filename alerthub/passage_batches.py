"""Records of `passages`: packed of what a batch of observations passes on, and read.

A passage holds of its observation what an alert needs and nothing more: one identifier, its tokens up to the
exact one, and the place that the registry knows where the observation has none (refusal 2).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from alerthub.api.v1.common_pb2 import Position as WirePosition
from alerthub.api.v1.observation_pb2 import Observation, PassagePosition, PassageWatermark, WrappedDataKey
from alerthub.api.v1.observation_pb2 import Passage as WirePassage
from alerthub.api.v1.observation_pb2 import PassageBatch as WireBatch
from alerthub.api.v1.state_pb2 import KeptPassage
from alerthub.domain.correlation import Passing
from alerthub.domain.errors import DeadLetter
from alerthub.domain.partitioning import partition_of
from alerthub.domain.passages import Passage, PassageBatch, SourcePosition, SourceWatermark
from alerthub.domain.routing import Place
from alerthub.domain.rules.cloned_plate import Read
from alerthub.domain.rules.interface import observed_ms
from alerthub.observation_batches import ReadBatch

MAXIMUM_PASSAGES = 256
"""Of a record, unless one observation alone has more: some 150 KiB."""
_LONGEST_DEVICE_ID = 64


@dataclass(frozen=True, slots=True)
class Source:
    """Where passages come from."""

    topic_id: bytes
    partition: int
    offset: int
    exact_index: int
    """The place of the mask `exact` among the tokens of the batch's identifiers."""


class Sent:
    """What each source last sent to each partition of passages, so that what goes missing is noticed."""

    def __init__(self) -> None:
        self._last: dict[tuple[int, int], PassagePosition] = {}

    def forget(self) -> None:
        """The assignment changed: what was sent is not known any more."""
        self._last = {}

    def last(self, source: int, target: int) -> PassagePosition | None:
        return self._last.get((source, target))

    def note(self, source: int, target: int, position: PassagePosition) -> None:
        self._last[source, target] = position


def packed(
    passing: Sequence[Passing], batch: ReadBatch, source: Source, sent: Sent, partitions: int
) -> Iterator[tuple[int, bytes]]:
    """The partition and the value of each record that what the batch passes on makes, in their order.
    `sent` notes them."""
    by_target: dict[int, list[Passing]] = {}
    for one in passing:
        by_target.setdefault(partition_of(one.subject, partitions), []).append(one)
    for target, those in sorted(by_target.items()):
        for some in _divided(those):
            yield target, _record(some, batch, source, sent.last(source.partition, target))
            last = PassagePosition(source_offset=source.offset, source_index=some[-1].index)
            sent.note(source.partition, target, last)


def _divided(passing: Iterable[Passing]) -> Iterator[list[Passing]]:
    """Pieces of at most `MAXIMUM_PASSAGES`; what is of one observation stays together: a mark names it."""
    piece: list[Passing] = []
    for _, group in groupby(passing, key=lambda one: one.index):
        same = list(group)
        if piece and len(piece) + len(same) > MAXIMUM_PASSAGES:
            yield piece
            piece = []
        piece += same
    if piece:
        yield piece


def _record(
    passing: Sequence[Passing], batch: ReadBatch, source: Source, previous: PassagePosition | None
) -> bytes:
    wire = WireBatch(
        received_time_ms=batch.received_time_ms,
        epoch=batch.epoch,
        gateway_id=batch.gateway_id,
        source_topic_id=source.topic_id,
        previous=previous,
        passages=[
            WirePassage(
                rule_id=one.rule.value.rule_id,
                rule_version=one.rule.number,
                correlation_key=one.subject,
                observation=_stripped(one, source.exact_index),
                source_partition=source.partition,
                source_offset=source.offset,
                source_index=one.index,
                jurisdiction=one.device.jurisdiction,
            )
            for one in passing
        ],
    )
    needed = {key_id for one in wire.passages for key_id in _data_key_ids(one.observation)}
    wire.data_keys.extend(key for key in batch.data_keys if key.data_key_id in needed)
    return wire.SerializeToString()


def _stripped(passing: Passing, exact_index: int) -> Observation:
    whole = passing.observation
    if not isinstance(whole, Observation):
        raise TypeError("the observation of a batch is the wire's own")
    observation = Observation.FromString(whole.SerializeToString())
    identifier = observation.identifiers[passing.identifier_index]
    # The first token is part of what the text was sealed with.
    for place in range(1, exact_index):
        identifier.tokens[place] = b""
    del identifier.tokens[exact_index + 1 :]
    del observation.identifiers[passing.identifier_index + 1 :]
    del observation.identifiers[: passing.identifier_index]
    observation.ClearField("track_id")
    if not observation.HasField("position"):
        known = passing.device.position
        observation.position.CopyFrom(WirePosition(latitude=known.latitude, longitude=known.longitude))
    return observation


def _data_key_ids(observation: Observation) -> tuple[bytes, ...]:
    ids = [observation.picture_data_key_id, *(one.data_key_id for one in observation.identifiers)]
    return tuple(dict.fromkeys(key_id for key_id in ids if key_id))


def watermarks(
    topic_id: bytes, received_ms: Mapping[int, int], sent: Sent, target: int, *, now_ms: int
) -> bytes:
    """The record that tells a partition of passages how far these sources are."""
    return WireBatch(
        received_time_ms=now_ms,
        source_topic_id=topic_id,
        watermarks=[
            PassageWatermark(
                source_partition=source, received_time_ms=time_ms, sent=sent.last(source, target)
            )
            for source, time_ms in sorted(received_ms.items())
        ],
    ).SerializeToString()


def read(value: bytes) -> PassageBatch:
    """The record's value. Raises DecodeError, DeadLetter for what no correlator writes."""
    wire = WireBatch.FromString(value)
    sources = {(one.source_partition, one.source_offset) for one in wire.passages}
    if len(sources) > 1:
        raise DeadLetter("passages of several batches in one record")
    partition, offset = next(iter(sources), (0, 0))
    return PassageBatch(
        source_topic_id=wire.source_topic_id,
        source_partition=partition,
        source_offset=offset,
        received_ms=wire.received_time_ms,
        previous=_position(wire.previous) if wire.HasField("previous") else None,
        passages=tuple(_passage(one, wire) for one in wire.passages),
        watermarks=tuple(
            SourceWatermark(
                told.source_partition,
                told.received_time_ms,
                _position(told.sent) if told.HasField("sent") else None,
            )
            for told in wire.watermarks
        ),
        data_keys={key.data_key_id: key.SerializeToString() for key in wire.data_keys},
    )


def _position(wire: PassagePosition) -> SourcePosition:
    return SourcePosition(wire.source_offset, wire.source_index)


def _passage(wire: WirePassage, batch: WireBatch) -> Passage:
    if len(wire.observation.device_id) > _LONGEST_DEVICE_ID:
        raise DeadLetter("a device id of more than 64 characters")
    kept = KeptPassage(
        rule_id=wire.rule_id,
        subject=wire.correlation_key,
        at_ms=observed_ms(wire.observation, batch.received_time_ms),
        gateway_id=batch.gateway_id,
        epoch=batch.epoch,
        jurisdiction=wire.jurisdiction,
        observation=wire.observation,
    )
    return Passage(wire.rule_id, wire.correlation_key, wire.source_index, read_of(kept))


def read_of(kept: KeptPassage) -> Read:
    """The read as the rule is given it."""
    observation = kept.observation
    return Read(
        observation_id=observation.observation_id,
        device_id=observation.device_id,
        at_ms=kept.at_ms,
        uncertainty_ms=observation.clock_uncertainty_ms,
        place=Place(observation.position.latitude, observation.position.longitude),
        kept=kept.SerializeToString(),
        data_key_ids=_data_key_ids(observation),
    )


@dataclass(frozen=True, slots=True)
class KeptBatch:
    """What an alert needs of the batch in which a kept read came."""

    gateway_id: str
    epoch: str
    data_keys: Sequence[WrappedDataKey]


def opened(read: Read) -> KeptPassage:
    """What was kept of the read."""
    return KeptPassage.FromString(read.kept)


def batch_of(kept: KeptPassage, data_keys: Mapping[bytes, bytes]) -> KeptBatch:
    """The part of its batch that is known still; `data_keys` as `PassageBatch` holds them."""
    keys = [data_keys[key_id] for key_id in _data_key_ids(kept.observation) if key_id in data_keys]
    return KeptBatch(kept.gateway_id, kept.epoch, [WrappedDataKey.FromString(key) for key in keys])
