"""The shared tables, and one with a constraint to violate."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from alerthub.audit import create_audit
from alerthub.outbox import create_outbox

revision = "0001"
down_revision = None


def upgrade() -> None:
    create_outbox(op)  # type: ignore[arg-type]  # a module with the functions of Operations
    create_audit(op)  # type: ignore[arg-type]
    op.create_table(
        "thing",
        sa.Column("thing_id", sa.Text, nullable=False),
        sa.Column("amount", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("thing_id", name="pk_thing"),
    )
