"""Sessions of persons at a browser (docs/adr/0010)."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE person_session (
            secret_sha256 bytea PRIMARY KEY
                CONSTRAINT person_session_is_a_hash CHECK (octet_length(secret_sha256) = 32),
            account text NOT NULL REFERENCES account (account),
            opened_at_ms bigint NOT NULL,
            expires_at_ms bigint NOT NULL,
            renewed_at_ms bigint NOT NULL,
            CONSTRAINT person_session_lives_twelve_hours CHECK (expires_at_ms <= opened_at_ms + 43200000)
        )
        """
    )


def downgrade() -> None:
    op.execute("DROP TABLE person_session")
