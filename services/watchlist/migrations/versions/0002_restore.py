"""Whether the database was restored is found at once."""

from __future__ import annotations

from alembic import op

from alerthub.audit_tables import create_restore_index

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds an index."""
    create_restore_index(op)  # type: ignore[arg-type]


def downgrade() -> None:
    """The index harms nobody."""
