"""What a restore leaves in the audit log: one row a service, from which the chain goes on (C16, C19). Pure.

Rows that were chained after the backup are gone, and signed heads outside the database still name them. The
row says up to which link the chain is the old one, so a verifier can tell this loss from a forgery.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

RESTORED = "RestoredFromBackup"
"""The action of the row."""
APPLIED = "RestoredStateApplied"
"""The action of the row that ends the state *restored*: what the topics knew newer is applied."""

_DETAIL = re.compile(r"taken at (\d{1,15}) ms; link (\d{1,18}) is the last; topics (kept|lost)")


@dataclass(frozen=True, slots=True)
class Restore:
    """One restore as its row tells it. Times: milliseconds since 1970."""

    backup_id: str
    taken_at_ms: int
    last_link: int
    """The newest link of the chain in the backup; 0 for none."""
    topics_kept: bool
    """Kafka's topics outlived the database, so what they know newer can be applied."""


def subject_of(backup_id: str) -> str:
    """The subject of both rows."""
    return f"backup:{backup_id}"


def detail_of(restore: Restore) -> str:
    """The row's detail, which `restore_of` reads."""
    topics = "kept" if restore.topics_kept else "lost"
    return f"taken at {restore.taken_at_ms} ms; link {restore.last_link} is the last; topics {topics}"


def restore_of(*, action: str, subject: str, detail: str) -> Restore | None:
    """The restore that a row tells of; None for any other row."""
    found = _DETAIL.fullmatch(detail) if action == RESTORED else None
    if found is None or not subject.startswith("backup:"):
        return None
    return Restore(
        backup_id=subject.removeprefix("backup:"),
        taken_at_ms=int(found[1]),
        last_link=int(found[2]),
        topics_kept=found[3] == "kept",
    )
