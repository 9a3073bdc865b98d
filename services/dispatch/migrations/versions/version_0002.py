"""The precision floor changes by two persons (S6)."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_STATEMENTS = (
    # `*_made_by`: the two persons who made the account, as its token said at the time.
    """
    CREATE TABLE precision_floor_change (
        proposal_id text PRIMARY KEY,
        floor double precision NOT NULL
            CONSTRAINT precision_floor_is_a_share CHECK (floor >= 0 AND floor <= 1),
        reason text NOT NULL CONSTRAINT precision_floor_has_a_reason CHECK (btrim(reason) <> ''),
        proposed_by text NOT NULL,
        proposed_at_ms bigint NOT NULL,
        proposer_made_by text[] NOT NULL,
        approved_by text,
        approved_at_ms bigint,
        approver_made_by text[],
        CONSTRAINT precision_floor_two_persons CHECK (approved_by <> proposed_by),
        CONSTRAINT precision_floor_not_by_a_made_account CHECK (
            NOT (approved_by = ANY (proposer_made_by)) AND NOT (proposed_by = ANY (approver_made_by))
        ),
        CONSTRAINT precision_floor_approval_is_whole CHECK (
            (approved_by IS NULL) = (approved_at_ms IS NULL)
            AND (approved_by IS NULL) = (approver_made_by IS NULL)
        )
    )
    """,
    """
    CREATE FUNCTION check_precision_floor_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'INSERT' THEN
            IF NEW.approved_by IS NOT NULL THEN
                RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'precision_floor_is_proposed',
                    MESSAGE = 'a change of the floor begins as a proposal';
            END IF;
            RETURN NEW;
        END IF;
        IF TG_OP = 'DELETE' OR OLD.approved_by IS NOT NULL OR NEW.approved_by IS NULL
            OR (OLD.proposal_id, OLD.floor, OLD.reason, OLD.proposed_by, OLD.proposed_at_ms,
                OLD.proposer_made_by)
            IS DISTINCT FROM (NEW.proposal_id, NEW.floor, NEW.reason, NEW.proposed_by, NEW.proposed_at_ms,
                NEW.proposer_made_by)
        THEN
            RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'precision_floor_is_final',
                MESSAGE = 'a proposal changes once, by its approval, and stays';
        END IF;
        RETURN NEW;
    END $$
    """,
    """
    CREATE TRIGGER check_precision_floor_change BEFORE INSERT OR UPDATE OR DELETE ON precision_floor_change
        FOR EACH ROW EXECUTE FUNCTION check_precision_floor_change()
    """,
)


def upgrade() -> None:
    """Adds the table."""
    for statement in _STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Who changed the floor is never forgotten."""
    raise NotImplementedError
