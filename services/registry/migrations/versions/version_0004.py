"""Accounts that are proposed and approved as a whole, and proposals that end with who made them."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_CHECK = """
CREATE OR REPLACE FUNCTION check_account_proposal() RETURNS trigger LANGUAGE plpgsql
SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND (
        OLD.approved_by IS NOT NULL
        OR OLD.ended_at_ms IS NOT NULL
        OR (OLD.proposal_id, OLD.account, OLD.roles, OLD.proposed_by, OLD.import_id)
            IS DISTINCT FROM (NEW.proposal_id, NEW.account, NEW.roles, NEW.proposed_by, NEW.import_id)
    ) THEN
        PERFORM refuse('account_proposal_is_final', 'a proposal changes once, by its approval or its end');
    END IF;
    IF NEW.approved_by IS NOT NULL AND NEW.ended_at_ms IS NOT NULL THEN
        PERFORM refuse('account_proposal_ended_is_not_approved', 'what has ended is proposed anew');
    END IF;
    IF NEW.approved_by IS NOT NULL AND EXISTS (
        SELECT FROM account AS a WHERE
            (a.account = NEW.approved_by AND NEW.proposed_by IN (a.made_proposed_by, a.made_approved_by))
            OR (a.account = NEW.proposed_by AND NEW.approved_by IN (a.made_proposed_by, a.made_approved_by))
    ) THEN
        PERFORM refuse('account_proposal_not_by_an_own_account', 'one of the accounts was made by the other');
    END IF;
    RETURN NEW;
END $$
"""


def upgrade() -> None:
    op.execute("ALTER TABLE account_proposal ADD COLUMN import_id text, ADD COLUMN ended_at_ms bigint")
    op.execute(
        "CREATE INDEX ix_account_proposal_import ON account_proposal (import_id) WHERE import_id IS NOT NULL"
    )
    op.execute(_CHECK)
