"""The category of the hub's own reads."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds a category that names no person, whose alerts go at once to units of the kind canary."""
    op.execute("INSERT INTO category VALUES ('canary', '金丝雀', 'Canary', false, 2, 1, 365, 'canary')")


def downgrade() -> None:
    """The category harms nobody, and entries may be of it."""
