"""When and why an alert was escalated is kept with it."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds columns. The release before this one leaves them as they are: what it escalates has no reason, or
    still that of the time before, where this one escalated it first."""
    op.execute(
        "ALTER TABLE alert ADD COLUMN escalated_at_ms bigint NOT NULL DEFAULT 0, "
        "ADD COLUMN escalated_reason text NOT NULL DEFAULT '', "
        "ADD COLUMN escalated_reason_chinese text NOT NULL DEFAULT ''"
    )


def downgrade() -> None:
    """The columns harm nobody."""
