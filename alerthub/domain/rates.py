"""Rates kept by key, in a bounded memory: of devices, of addresses, of failed attempts."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

from alerthub.domain.admission import RateLimit, RateState, take

Key = TypeVar("Key")
Value = TypeVar("Value")


class Bounded(Generic[Key, Value]):
    """A mapping that forgets what was used longest ago beyond `maximum` keys."""

    def __init__(self, maximum: int) -> None:
        self._maximum = maximum
        self._values: OrderedDict[Key, Value] = OrderedDict()

    def get(self, key: Key) -> Value | None:
        return self._values.get(key)

    def put(self, key: Key, value: Value) -> None:
        self._values[key] = value
        self._values.move_to_end(key)
        if len(self._values) > self._maximum:
            self._values.popitem(last=False)

    def __len__(self) -> int:
        return len(self._values)


class Rates:
    """An allowance for each key; the key that was quiet longest is forgotten first."""

    def __init__(self, limit: RateLimit, *, remembered: int) -> None:
        self._limit = limit
        self._states: Bounded[object, RateState] = Bounded(remembered)

    def take(self, key: object, count: int, *, now_ms: int) -> float:
        """0: they were taken from the key's allowance. Else the seconds after which they will be there."""
        state, wait_seconds = take(self._states.get(key), self._limit, count, now_ms=now_ms)
        self._states.put(key, state)
        return wait_seconds

    def wait_seconds(self, key: object, *, now_ms: int) -> float:
        """Until one more would be allowed, taking nothing; 0 when it would be now."""
        _, wait_seconds = take(self._states.get(key), self._limit, 1, now_ms=now_ms)
        return wait_seconds

    def give_back(self, key: object) -> None:
        """One that was taken, and is not to count after all."""
        state = self._states.get(key)
        if state is not None:
            self._states.put(key, RateState(min(self._limit.burst, state.left + 1), state.at_ms))

    def __len__(self) -> int:
        return len(self._states)
