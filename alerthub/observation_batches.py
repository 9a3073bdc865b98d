"""Batches of observations on Kafka: written with an index, and read closed.

Nearly no observation is looked for, so whoever reads a batch should open nearly none. The index holds what
decides it, in columns. A batch without one is read all the same: its observations are opened for it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from functools import lru_cache

from alerthub.api.v1.observation_pb2 import (
    ClosedObservationBatch,
    Observation,
    ObservationIndex,
    WrappedDataKey,
)
from alerthub.sealing import WrappedKey

_BYTES = 16
"""Of an observation's id and of a token."""
_NO_TOKEN = bytes(_BYTES)
_MOST = 255


class WrittenBatch:
    """A batch that is being written. Each observation is closed when it is added, and its part of the index
    noted."""

    __slots__ = ("_blinding", "_closed", "_columns", "_key_ids", "size_bytes")

    def __init__(self, gateway_id: str, matching_version: int, epoch: str) -> None:
        self._blinding = (matching_version, epoch)
        self._closed = ClosedObservationBatch(
            gateway_id=gateway_id, matching_version=matching_version, epoch=epoch
        )
        self._columns = _Columns()
        self._key_ids: set[bytes] = set()
        self.size_bytes = 0
        """Of the observations, without keys and index."""

    def __len__(self) -> int:
        return len(self._columns.kinds)

    @property
    def observation_ids(self) -> Sequence[bytes]:
        return self._columns.observation_ids

    def is_of(self, matching_version: int, epoch: str) -> bool:
        return self._blinding == (matching_version, epoch)

    def add(self, observation: Observation, keys: Iterable[WrappedKey]) -> None:
        """The observation, and the data keys that open what is sealed in it."""
        closed = observation.SerializeToString()
        self._closed.observations.append(closed)
        self.size_bytes += len(closed)
        self._columns.add(observation)
        for key in keys:
            if key.data_key_id not in self._key_ids:
                self._key_ids.add(key.data_key_id)
                self._closed.data_keys.add(
                    data_key_id=key.data_key_id,
                    recipient_key_id=key.recipient_key_id,
                    wrapped=key.wrapped,
                )

    def value(self, received_time_ms: int, sequence: int) -> bytes:
        """The record's value, with the index of the observations where they fit one."""
        self._closed.received_time_ms = received_time_ms
        self._closed.sequence = sequence
        index = self._columns.index()
        if index is not None:
            self._closed.index.CopyFrom(index)
        return self._closed.SerializeToString()


class _Columns:
    """The columns of opened observations."""

    __slots__ = ("identifier_counts", "kinds", "observation_ids", "rows")

    def __init__(self) -> None:
        self.observation_ids: list[bytes] = []
        self.kinds: list[int] = []
        self.identifier_counts: list[int] = []
        self.rows: list[Sequence[bytes]] = []
        """The tokens of the one identifier, by mask."""

    def add(self, observation: Observation) -> None:
        identifiers = observation.identifiers
        count = len(identifiers)
        self.observation_ids.append(observation.observation_id)
        self.kinds.append(observation.kind)
        self.identifier_counts.append(min(count, _MOST))
        self.rows.append(tuple(identifiers[0].tokens) if count == 1 else ())

    def tokens(self, place: int) -> Sequence[bytes] | None:
        if any(len(row) <= place for row in self.rows if row):
            return None
        return [row[place] if row else b"" for row in self.rows]

    def index(self) -> ObservationIndex | None:
        """None where an id, a kind or a token has another size than the index has room for."""
        width = max(map(len, self.rows), default=0)
        rows = [row or (_NO_TOKEN,) * width for row in self.rows]
        if any(len(row) != width or any(len(token) not in {0, _BYTES} for token in row) for row in rows):
            return None
        if any(len(one) != _BYTES for one in self.observation_ids) or max(self.kinds, default=0) > _MOST:
            return None
        return ObservationIndex(
            observation_ids=b"".join(self.observation_ids),
            kinds=bytes(self.kinds),
            identifier_counts=bytes(self.identifier_counts),
            tokens=[b"".join([row[place] or _NO_TOKEN for row in rows]) for place in range(width)],
        )


class _Index:
    """The columns that a batch brought with it."""

    __slots__ = ("_number", "_wire", "identifier_counts", "kinds", "observation_ids")

    def __init__(self, wire: ObservationIndex, number: int) -> None:
        self._wire = wire
        self._number = number
        self.observation_ids: Sequence[bytes] = _pieces(wire.observation_ids, number)
        self.kinds: Sequence[int] = wire.kinds
        self.identifier_counts: Sequence[int] = wire.identifier_counts

    def tokens(self, place: int) -> Sequence[bytes] | None:
        columns = self._wire.tokens
        return _pieces(columns[place], self._number) if place < len(columns) else None


class ReadBatch:
    """A batch of observations whose observations are opened one by one, when they are asked for."""

    __slots__ = ("_closed", "_columns", "_opened", "identifier_counts", "kinds", "observation_ids")

    def __init__(self, value: bytes) -> None:
        """Raises DecodeError for what is no batch; `observation` does for what is no observation."""
        self._closed = closed = ClosedObservationBatch.FromString(value)
        self._opened: Sequence[Observation] | None = None
        number = len(closed.observations)
        self._columns: _Index | _Columns
        if closed.HasField("index") and _fits(closed.index, number):
            self._columns = _Index(closed.index, number)
        else:
            self._opened = [Observation.FromString(one) for one in closed.observations]
            self._columns = _Columns()
            for each in self._opened:
                self._columns.add(each)
        self.observation_ids = self._columns.observation_ids
        self.kinds = self._columns.kinds
        self.identifier_counts = self._columns.identifier_counts

    @property
    def gateway_id(self) -> str:
        return self._closed.gateway_id

    @property
    def received_time_ms(self) -> int:
        return self._closed.received_time_ms

    @property
    def matching_version(self) -> int:
        return self._closed.matching_version

    @property
    def epoch(self) -> str:
        return self._closed.epoch

    @property
    def data_keys(self) -> Sequence[WrappedDataKey]:
        return self._closed.data_keys

    def tokens(self, place: int) -> Sequence[bytes] | None:
        return self._columns.tokens(place)

    def observation(self, index: int) -> Observation:
        if self._opened is not None:
            return self._opened[index]
        return Observation.FromString(self._closed.observations[index])


def _fits(index: ObservationIndex, number: int) -> bool:
    return (
        len(index.observation_ids) == number * _BYTES
        and len(index.kinds) == len(index.identifier_counts) == number
        and all(len(column) == number * _BYTES for column in index.tokens)
    )


def _pieces(joined: bytes, number: int) -> Sequence[bytes]:
    return _split(number).unpack(joined)


@lru_cache(maxsize=1_024)
def _split(number: int) -> struct.Struct:
    return struct.Struct(f"{_BYTES}s" * number)
