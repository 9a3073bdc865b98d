"""Watchlist entries from YAML, for entering many at once. Each still waits for a second person's approval."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from alerthub.api.v1 import common_pb2, watchlist_pb2
from alerthub.cli.documents import Node, read_documents
from alerthub.domain.errors import Refuse

KINDS = {
    "plate": common_pb2.IDENTIFIER_KIND_PLATE,
    "document": common_pb2.IDENTIFIER_KIND_DOCUMENT,
    "tag": common_pb2.IDENTIFIER_KIND_TAG,
}
DAY_MS = 24 * 3_600_000
_TEXTS = ("category", "case_number", "legal_basis", "issuing_authority", "authority_contact")
_FIELDS = {*_TEXTS, "instruction", "valid_days", "valid_until", "identifiers"}


def kind_of(name: str, *, field: str) -> common_pb2.IdentifierKind.ValueType:
    """The kind that a person wrote."""
    try:
        return KINDS[name]
    except KeyError:
        raise Refuse(field, f"one of {', '.join(KINDS)}") from None


def valid_until_ms(*, days: str, until: str, field: str) -> int:
    """The end of an entry from a number of days, or from a time in ISO 8601 with its zone."""
    if bool(days) == bool(until):
        raise Refuse(field, "either valid_days or valid_until")
    try:
        if days:
            return time.time_ns() // 1_000_000 + int(float(days) * DAY_MS)
        moment = datetime.fromisoformat(until)
    except (ValueError, OverflowError):
        raise Refuse(field, "days as a number, or a time such as 2026-12-31T00:00:00+08:00") from None
    if moment.tzinfo is None:
        raise Refuse(field, "a time with its zone, such as 2026-12-31T00:00:00+08:00")
    return int(moment.astimezone(UTC).timestamp() * 1000)


def read_entries(path: Path) -> list[watchlist_pb2.NewEntry]:
    """Every document of the file as an entry. Raises Refuse that names the document and the field."""
    return [_entry(document, f"entries[{index}]") for index, document in enumerate(read_documents(path))]


def _entry(document: Node, where: str) -> watchlist_pb2.NewEntry:
    if not isinstance(document, dict):
        raise Refuse(where, "fields and their values")
    unknown = sorted(set(document) - _FIELDS)
    if unknown:
        raise Refuse(f"{where}.{unknown[0]}", f"one of the fields {', '.join(sorted(_FIELDS))}")
    instruction = document.get("instruction", {})
    if not isinstance(instruction, dict):
        raise Refuse(f"{where}.instruction", "chinese and english")
    identifiers = document.get("identifiers", [])
    if not isinstance(identifiers, list):
        raise Refuse(f"{where}.identifiers", "a list")
    texts = {name: _text(document, name, where) for name in _TEXTS}
    return watchlist_pb2.NewEntry(
        **texts,
        instruction=common_pb2.LocalizedText(
            chinese=_text(instruction, "chinese", f"{where}.instruction"),
            english=_text(instruction, "english", f"{where}.instruction"),
        ),
        valid_until_ms=valid_until_ms(
            days=_text(document, "valid_days", where),
            until=_text(document, "valid_until", where),
            field=f"{where}.valid_until",
        ),
        identifiers=[
            _identifier(each, f"{where}.identifiers[{index}]") for index, each in enumerate(identifiers)
        ],
    )


def _identifier(node: Node, where: str) -> watchlist_pb2.EntryIdentifier:
    if not isinstance(node, dict):
        raise Refuse(where, "kind, text and masks")
    masks: Sequence[Node] | Node = node.get("masks", [])
    if not isinstance(masks, list) or not all(isinstance(mask, str) for mask in masks):
        raise Refuse(f"{where}.masks", "a list such as [exact, confusable]")
    return watchlist_pb2.EntryIdentifier(
        kind=kind_of(_text(node, "kind", where), field=f"{where}.kind"),
        text=_text(node, "text", where),
        masks=[str(mask) for mask in masks],
    )


def _text(node: dict[str, Node], name: str, where: str) -> str:
    value = node.get(name, "")
    if not isinstance(value, str):
        raise Refuse(f"{where}.{name}", "a text")
    return value
