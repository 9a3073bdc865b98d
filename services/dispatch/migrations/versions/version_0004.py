"""Why a unit was chosen is kept in Chinese beside English."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds a column. The release before this one leaves it empty, and reads the English one alone."""
    op.execute("ALTER TABLE assignment ADD COLUMN reasons_chinese text[] NOT NULL DEFAULT '{}'")


def downgrade() -> None:
    """The column harms nobody."""
