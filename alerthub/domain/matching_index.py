"""The watchlist as matching needs it: from a token to the entries that published it.

Made for 1,000,000 entries in one process: an entry is kept as the bytes that its topic carried and is
unpacked only when one of its tokens is met, which is rare. Whether a token is listed is asked of a set.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass

from alerthub.domain.resources import DispatchPolicy, Severity


@dataclass(frozen=True, slots=True)
class EntryToken:
    """A token that an entry published. `kind` is the wire's number of the identifier's kind."""

    kind: int
    epoch: str
    mask: str
    token: bytes


@dataclass(frozen=True, slots=True)
class Entry:
    """One version of a watchlist entry, without anything that names anybody. Times in milliseconds since
    1970.

    `active`: approved, neither withdrawn nor expired. `unit_kind` empty: the rule's.
    """

    entry_id: str
    version: int
    active: bool
    category: str
    names_person: bool
    policy: DispatchPolicy
    severity: Severity
    unit_kind: str
    active_from_ms: int
    valid_until_ms: int
    tokens: tuple[EntryToken, ...]


Packed = bytes | tuple[bytes, ...]


class MatchingIndex:
    """Entries by token. `unpack` makes an Entry of its topic's bytes; its errors pass through `apply`."""

    def __init__(self, unpack: Callable[[bytes], Entry]) -> None:
        self._unpack = unpack
        self._by_token: dict[bytes, Packed] = {}
        self._by_entry: dict[str, Packed] = {}
        self._superseded: deque[tuple[int, str]] = deque()
        self._listed: dict[str, set[bytes]] = {}

    def __len__(self) -> int:
        return len(self._by_entry)

    def apply(self, entry_id: str, packed: bytes | None) -> bool:
        """Takes in a version of an entry; None (a tombstone) removes all of it.

        False when this version or a higher one is known already: an older value never replaces a newer one
        (C9).
        """
        known = _several(self._by_entry.get(entry_id, ()))
        if packed is None:
            self._unlist(*known)
            return self._by_entry.pop(entry_id, None) is not None
        entry = self._unpack(packed)
        if known and self._unpack(known[-1]).version >= entry.version:
            return False
        if not entry.active:
            # A withdrawal holds at once, for observations received before it too: nothing of the entry is
            # listed.
            self._unlist(*known)
            self._by_entry[entry_id] = packed
            return True
        if known:
            self._superseded.append((entry.active_from_ms, entry_id))
        self._by_entry[entry_id] = (*known, packed) if known else packed
        self._list(packed, entry)
        return True

    def lookups(self, masks: Sequence[str]) -> list[tuple[int, Set[bytes]]]:
        """Where to look for listed tokens in an identifier that was blinded with `masks`, in their order.

        Each is a place among its tokens, and the tokens that any version of any entry lists under that mask;
        masks that no entry uses are left out. A set for each mask, since what a miss costs is memory: most
        masks' few tokens are in the processor's cache.
        """
        return [(place, self._listed[mask]) for place, mask in enumerate(masks) if self._listed.get(mask)]

    def forget_superseded(self, before_ms: int, *, at_most: int = 5_000) -> None:
        """Drops versions whose successor was in force before `before_ms`: nothing received since needs them.

        At most so many at a time: a new epoch supersedes every entry at once, and nobody may wait for that.
        """
        for _ in range(at_most):
            if not self._superseded or self._superseded[0][0] > before_ms:
                return
            _, entry_id = self._superseded.popleft()
            kept = _several(self._by_entry.get(entry_id, ()))
            while len(kept) > 1 and self._unpack(kept[1]).active_from_ms <= before_ms:
                self._unlist(kept[0])
                kept = kept[1:]
            if kept:
                self._by_entry[entry_id] = kept[0] if len(kept) == 1 else kept

    def matches(self, token: bytes, *, received_ms: int, now_ms: int) -> list[tuple[Entry, EntryToken]]:
        """Every entry that `token` hits in an observation received at `received_ms`.

        The version in force then decides (C5), except that the newest version's withdrawal, expiry and end
        of validity hold at once (C5, C8): for `now_ms` as well as for the time of the observation.
        """
        found: list[tuple[Entry, EntryToken]] = []
        for packed in _several(self._by_token.get(token, ())):
            entry = self._unpack(packed)
            if received_ms >= entry.valid_until_ms or not self._in_force(entry, received_ms):
                continue
            newest = self._unpack(_several(self._by_entry[entry.entry_id])[-1])
            if not newest.active or max(received_ms, now_ms) >= newest.valid_until_ms:
                continue
            found.extend((entry, listed) for listed in entry.tokens if listed.token == token)
        return found

    def _in_force(self, entry: Entry, received_ms: int) -> bool:
        if not entry.active or entry.active_from_ms > received_ms:
            return False
        later = (self._unpack(packed) for packed in _several(self._by_entry[entry.entry_id]))
        return not any(
            other.version > entry.version and other.active_from_ms <= received_ms for other in later
        )

    def _list(self, packed: bytes, entry: Entry) -> None:
        for mask, token in {(listed.mask, listed.token) for listed in entry.tokens if listed.token}:
            known = self._by_token.get(token)
            self._by_token[token] = packed if known is None else (*_several(known), packed)
            self._listed.setdefault(mask, set()).add(token)

    def _unlist(self, *versions: bytes) -> None:
        for packed in versions:
            entry = self._unpack(packed)
            for mask, token in {(listed.mask, listed.token) for listed in entry.tokens}:
                rest = tuple(
                    other for other in _several(self._by_token.get(token, ())) if other is not packed
                )
                if rest:
                    self._by_token[token] = rest[0] if len(rest) == 1 else rest
                elif self._by_token.pop(token, None) is not None:
                    self._listed[mask].discard(token)


def _several(packed: Packed) -> tuple[bytes, ...]:
    """Nearly every token and entry has one version: the lone bytes are kept without a tuple around them."""
    return (packed,) if isinstance(packed, bytes) else packed
