"""Whether this service's database was restored from a backup and its topics have not been asked yet (C19).

The audit log says so itself: a restore leaves a row in it, and whoever has applied what the topics knew newer
leaves another.
"""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

from alerthub import audit
from alerthub.domain.restores import APPLIED, RESTORED, Restore, restore_of, subject_of
from alerthub.postgres import sql

# In so many words: the index is of these rows alone.
_NEWEST = (
    "SELECT action, subject, detail FROM audit_entry "  # noqa: S608 - constants
    f"WHERE action IN ('{RESTORED}', '{APPLIED}') ORDER BY row_number DESC LIMIT 1"
)


async def pending(connection: AsyncConnection) -> Restore | None:
    """The restore that has not been followed by `note_applied`; None in the ordinary state."""
    row = (await connection.execute(sql(_NEWEST))).first()
    return None if row is None else restore_of(action=row.action, subject=row.subject, detail=row.detail)


async def note_applied(connection: AsyncConnection, restore: Restore, *, actor: str, detail: str) -> None:
    """Ends the state *restored*, in the transaction that applied the last of it."""
    await audit.record(
        connection, action=APPLIED, actor=actor, subject=subject_of(restore.backup_id), detail=detail
    )
