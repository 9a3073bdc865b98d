"""Batches of observations on Kafka: written with an index, and read closed.

Nearly no observation is looked for, so whoever reads a batch should open nearly none. The index holds what
decides it, in columns. A batch without one is read all the same: its observations are opened for it.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import lru_cache

from alerthub.api.v1.observation_pb2 import (
    ClosedObservationBatch,
    Observation,
    ObservationBatch,
    ObservationIndex,
    WrappedDataKey,
)

_BYTES = 16
"""Of an observation's id and of a token."""
_NO_TOKEN = bytes(_BYTES)
_MOST = 255


def with_index(batch: ObservationBatch) -> bytes:
    """The batch's value, with the index of its observations where they fit one."""
    index = _index_of(batch.observations)
    if index is not None:
        batch.index.CopyFrom(index)
    return batch.SerializeToString()


def _index_of(observations: Sequence[Observation]) -> ObservationIndex | None:
    """None where an id, a kind or a token has another size than the index has room for."""
    columns = _Columns(observations)
    width = max(map(len, columns.rows), default=0)
    rows = [row or (_NO_TOKEN,) * width for row in columns.rows]
    if any(len(row) != width or any(len(token) not in {0, _BYTES} for token in row) for row in rows):
        return None
    if any(len(one) != _BYTES for one in columns.observation_ids) or max(columns.kinds, default=0) > _MOST:
        return None
    return ObservationIndex(
        observation_ids=b"".join(columns.observation_ids),
        kinds=bytes(columns.kinds),
        identifier_counts=bytes(columns.identifier_counts),
        tokens=[b"".join(row[place] or _NO_TOKEN for row in rows) for place in range(width)],
    )


class _Columns:
    """The columns of opened observations."""

    __slots__ = ("identifier_counts", "kinds", "observation_ids", "rows")

    def __init__(self, observations: Sequence[Observation]) -> None:
        self.observation_ids: Sequence[bytes] = [one.observation_id for one in observations]
        self.kinds: Sequence[int] = [one.kind for one in observations]
        identifiers = [one.identifiers for one in observations]
        self.identifier_counts: Sequence[int] = [min(len(some), _MOST) for some in identifiers]
        self.rows = [tuple(some[0].tokens) if len(some) == 1 else () for some in identifiers]
        """The tokens of the one identifier, by mask."""

    def tokens(self, place: int) -> Sequence[bytes] | None:
        if any(len(row) <= place for row in self.rows if row):
            return None
        return [row[place] if row else b"" for row in self.rows]


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
            self._columns = _Columns(self._opened)
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
