"""What others may know of an entry: the token-only value of the topic `watchlist`, and the value of
`matching`."""

from __future__ import annotations

from collections.abc import Sequence

from google.protobuf.message import DecodeError

from alerthub.api.v1 import common_pb2, watchlist_pb2
from alerthub.domain.identifiers import IdentifierKind
from alerthub.domain.matching import Matching
from alerthub.domain.watchlist import Category, EntryStatus
from alerthub.keys import KeyProvider, KeyUnavailableError
from alerthub.sealing import CannotOpenError, open_sealed, seal
from alerthub.tokens import Blinder
from services.watchlist.store import StoredEntry

MATCHING_KEY = "matching"
"""The one key of the topic `matching`."""


def seal_identifiers(
    key: bytes, entry_id: str, identifiers: Sequence[watchlist_pb2.EntryIdentifier]
) -> bytes:
    """An entry's identifiers (normal forms and masks) as they lie in the database."""
    plain = watchlist_pb2.NewEntry(identifiers=identifiers).SerializeToString(deterministic=True)
    return seal(key, plain, _associated(entry_id))


def open_identifiers(key: bytes, stored: StoredEntry) -> Sequence[watchlist_pb2.EntryIdentifier]:
    """The reverse. Raises CannotOpenError where the entry's key or the row was changed."""
    plain = open_sealed(key, stored.sealed_identifiers, _associated(stored.entry.entry_id))
    try:
        return watchlist_pb2.NewEntry.FromString(plain).identifiers
    except DecodeError as error:
        raise CannotOpenError("an entry's identifiers are not what was sealed") from error


def _associated(entry_id: str) -> bytes:
    return b"entry|" + entry_id.encode()


class Publisher:
    """Makes published values. It reads an entry's identifiers only to compute their tokens."""

    def __init__(self, keys: KeyProvider) -> None:
        self._keys = keys

    def at(self, matching: Matching, *, now_ms: int) -> Publication:
        """For the entries of one transaction, in which `matching` cannot change."""
        return Publication(self._keys, matching, now_ms)


class Publication:
    """The values of one transaction. It holds keys, so it must not outlive the transaction."""

    def __init__(self, keys: KeyProvider, matching: Matching, now_ms: int) -> None:
        self._keys = keys
        self._matching = matching
        self._now_ms = now_ms
        self._entry_key = b""
        self._blinders: dict[tuple[str, ...], list[Blinder]] = {}

    def value(self, stored: StoredEntry, category: Category) -> bytes:
        """The value of `watchlist` for the entry as it is. Tokens only while it is active.

        Raises Retry while a key that is needed cannot be read.
        """
        entry = stored.entry
        tokens = self._tokens(stored) if entry.status is EntryStatus.ACTIVE else []
        return watchlist_pb2.PublishedEntry(
            entry_id=entry.entry_id,
            version=entry.version,
            status=watchlist_pb2.EntryStatus.ValueType(entry.status.value),
            category=entry.category,
            names_person=entry.names_person,
            policy=common_pb2.DispatchPolicy.ValueType(category.policy.value),
            severity=common_pb2.Severity.ValueType(category.severity),
            unit_kind=category.unit_kind,
            active_from_ms=entry.active_from_ms or 0,
            valid_until_ms=entry.valid_until_ms,
            tokens=tokens,
            ended_at_ms=entry.ended_at_ms or 0,
        ).SerializeToString()

    def _tokens(self, stored: StoredEntry) -> list[watchlist_pb2.PublishedToken]:
        self._entry_key = self._entry_key or self._keys.entry_key()
        identifiers = open_identifiers(self._entry_key, stored)
        return [
            watchlist_pb2.PublishedToken(
                kind=identifier.kind,
                epoch=blinder.epoch,
                mask=mask,
                token=blinder.token(IdentifierKind(identifier.kind), identifier.text, mask),
            )
            for blinder in self._blinders_for(stored.masks)
            for identifier in identifiers
            for mask in identifier.masks
        ]

    def _blinders_for(self, masks: tuple[str, ...]) -> list[Blinder]:
        """One for each epoch that entries must carry, newest last.

        The outgoing epoch's key may have ended a moment ago; without the others nothing can be published.
        """
        found = self._blinders.get(masks)
        if found is not None:
            return found
        found = []
        for epoch in self._matching.epochs:
            try:
                found.append(Blinder(epoch, self._keys.epoch_key(epoch, now_ms=self._now_ms), masks))
            except KeyUnavailableError:
                if self._matching.outgoing is None or epoch != self._matching.outgoing.name:
                    raise
        self._blinders[masks] = found
        return found


def matching_value(matching: Matching, *, active_from_ms: int) -> bytes:
    """The value of `matching`: which masks gateways compute, and the epochs' names."""
    return watchlist_pb2.MatchingConfiguration(
        version=matching.in_force.version,
        masks=matching.in_force.masks,
        epochs=matching.epochs,
        active_from_ms=active_from_ms,
    ).SerializeToString()
