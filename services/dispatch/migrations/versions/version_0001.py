"""The first schema of dispatch."""

from __future__ import annotations

from alembic import op

from alerthub.audit import create_audit
from alerthub.outbox import create_outbox

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_OPEN = "('awaiting_confirmation', 'dispatching', 'accepted', 'escalated')"
_LIVE = "('offered', 'delivered', 'accepted')"

_STATEMENTS = (
    # What dispatch knows of watchlist entries. Raising, confirming and withdrawing lock the same row (C8).
    """
    CREATE TABLE entry_status (
        entry_id text PRIMARY KEY,
        version bigint NOT NULL,
        active boolean NOT NULL,
        valid_until_ms bigint NOT NULL
    )
    """,
    # How far a compacted topic has been applied, in the same transactions.
    """
    CREATE TABLE topic_position (
        topic text NOT NULL,
        partition integer NOT NULL,
        topic_id text NOT NULL,
        next_offset bigint NOT NULL,
        PRIMARY KEY (topic, partition)
    )
    """,
    # Every raised id, folded or not, so that a repeat changes nothing after the topic has forgotten it (C6).
    """
    CREATE TABLE raised (
        raised_id bytea PRIMARY KEY CONSTRAINT raised_id_is_16_bytes CHECK (octet_length(raised_id) = 16),
        alert_id text,
        disposition text NOT NULL,
        taken_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    "CREATE INDEX ix_raised_taken_at ON raised (taken_at)",
    f"""
    CREATE TABLE alert (
        alert_id text PRIMARY KEY,
        ordinal bigint GENERATED ALWAYS AS IDENTITY,
        version bigint NOT NULL CHECK (version > 0),
        status text NOT NULL CONSTRAINT alert_status_is_known
            CHECK (status IN {_OPEN} OR status IN ('closed', 'rejected', 'cancelled')),
        policy text NOT NULL CONSTRAINT alert_policy_is_known
            CHECK (policy IN ('confirm_first', 'send_at_once')),
        names_person boolean NOT NULL,
        severity integer NOT NULL,
        opened_at_ms bigint NOT NULL,
        supervisor_required boolean NOT NULL,
        has_picture boolean NOT NULL,
        confirmed_by text NOT NULL,
        confirmed_at_ms bigint NOT NULL,
        rejected_reason text NOT NULL,
        cancelled_reason text NOT NULL,
        outcome text CONSTRAINT alert_outcome_is_known
            CHECK (outcome IN ('found', 'misread', 'entry_wrong', 'not_found', 'other')),
        closed_at_ms bigint NOT NULL,
        call_by_radio boolean NOT NULL,
        sighting_count integer NOT NULL,
        pending bigint[] NOT NULL,
        waiting_kind text,
        waiting_since bigint,
        waiting_assignment text,
        fold_key text NOT NULL,
        rule_id text NOT NULL,
        rule_version bigint NOT NULL,
        rule_kind integer NOT NULL,
        unit_kind text NOT NULL,
        officer_text_chinese text NOT NULL,
        officer_text_english text NOT NULL,
        jurisdiction text NOT NULL,
        district text NOT NULL,
        entry_id text NOT NULL,
        entry_version bigint NOT NULL,
        category text NOT NULL,
        device_id text NOT NULL,
        basis_raised_id bytea NOT NULL,
        basis_token bytea NOT NULL,
        latitude double precision,
        longitude double precision,
        cooldown_ms bigint NOT NULL,
        -- Refusal 6, twice: nothing that names a person is ever sent at once, and nothing that must be
        -- confirmed first has gone on without the name of who confirmed it.
        CONSTRAINT person_alert_is_confirmed_first CHECK (NOT names_person OR policy = 'confirm_first'),
        CONSTRAINT dispatched_alert_was_confirmed CHECK (
            policy = 'send_at_once'
            OR status IN ('awaiting_confirmation', 'rejected', 'cancelled')
            OR confirmed_by <> ''
        ),
        CONSTRAINT closed_alert_has_outcome CHECK (status <> 'closed' OR outcome IS NOT NULL)
    )
    """,
    # One open alert a fold key (C6).
    f"CREATE UNIQUE INDEX alert_one_open_per_fold_key ON alert (fold_key) WHERE status IN {_OPEN}",
    "CREATE INDEX ix_alert_fold_key ON alert (fold_key, ordinal DESC)",
    f"CREATE INDEX ix_alert_open_entry ON alert (entry_id) WHERE status IN {_OPEN}",
    "CREATE INDEX ix_alert_status ON alert (status, ordinal DESC)",
    # A state that is over stays over, whatever program writes.
    """
    CREATE FUNCTION alert_end_is_final() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      IF OLD.status IN ('closed', 'rejected', 'cancelled') AND NEW.status <> OLD.status THEN
        RAISE EXCEPTION 'an alert that is over stays so' USING ERRCODE = 'restrict_violation';
      END IF;
      IF NEW.version < OLD.version THEN
        RAISE EXCEPTION 'versions ascend' USING ERRCODE = 'restrict_violation';
      END IF;
      RETURN NEW;
    END $$
    """,
    """
    CREATE TRIGGER alert_end_is_final BEFORE UPDATE ON alert
    FOR EACH ROW EXECUTE FUNCTION alert_end_is_final()
    """,
    """
    CREATE TABLE sighting (
        raised_id bytea PRIMARY KEY REFERENCES raised (raised_id),
        alert_id text NOT NULL REFERENCES alert (alert_id),
        added_version bigint NOT NULL,
        device_id text NOT NULL,
        token bytea NOT NULL,
        needs_confirmation boolean NOT NULL,
        has_picture boolean NOT NULL,
        picture_missing_reason text NOT NULL,
        body bytea NOT NULL
    )
    """,
    "CREATE INDEX ix_sighting_alert ON sighting (alert_id, added_version DESC)",
    f"""
    CREATE TABLE assignment (
        assignment_id text PRIMARY KEY,
        alert_id text NOT NULL REFERENCES alert (alert_id),
        ordinal integer NOT NULL,
        unit_id text NOT NULL,
        status text NOT NULL CONSTRAINT assignment_status_is_known
            CHECK (status IN {_LIVE} OR status IN ('declined', 'timed_out', 'superseded', 'cancelled')),
        offered_at_ms bigint NOT NULL,
        delivered_at_ms bigint NOT NULL,
        answered_at_ms bigint NOT NULL,
        reasons text[] NOT NULL,
        by_voice boolean NOT NULL,
        officer text NOT NULL
    )
    """,
    # Never two owners (C14).
    f"CREATE UNIQUE INDEX assignment_one_live_per_alert ON assignment (alert_id) WHERE status IN {_LIVE}",
    "CREATE INDEX ix_assignment_unit ON assignment (unit_id, offered_at_ms)",
    "CREATE INDEX ix_assignment_alert ON assignment (alert_id, ordinal)",
    # An assignment of an alert that nobody confirmed cannot be written either.
    """
    CREATE FUNCTION assignment_needs_confirmed_alert() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      IF EXISTS (
        SELECT FROM alert WHERE alert_id = NEW.alert_id AND policy = 'confirm_first' AND confirmed_by = ''
      ) THEN
        RAISE EXCEPTION 'nobody has confirmed this alert' USING ERRCODE = 'restrict_violation';
      END IF;
      RETURN NEW;
    END $$
    """,
    """
    CREATE TRIGGER assignment_needs_confirmed_alert BEFORE INSERT ON assignment
    FOR EACH ROW EXECUTE FUNCTION assignment_needs_confirmed_alert()
    """,
    # Rows, so that whichever instance is alive fires them; void where the alert no longer waits since then.
    """
    CREATE TABLE deadline (
        alert_id text NOT NULL REFERENCES alert (alert_id),
        since_version bigint NOT NULL,
        kind text NOT NULL,
        due_at timestamptz NOT NULL,
        PRIMARY KEY (alert_id, since_version)
    )
    """,
    "CREATE INDEX ix_deadline_due ON deadline (due_at)",
    # A repeat of a command gets the first answer again.
    """
    CREATE TABLE command (
        actor text NOT NULL,
        command_id text NOT NULL,
        request_sha256 bytea NOT NULL,
        answer bytea NOT NULL,
        answered_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (actor, command_id)
    )
    """,
    "CREATE INDEX ix_command_answered_at ON command (answered_at)",
    # A rejection suppresses the same token at the same device only (C6).
    """
    CREATE TABLE suppression (
        fold_key text NOT NULL,
        token bytea NOT NULL,
        device_id text NOT NULL,
        until_ms bigint NOT NULL,
        PRIMARY KEY (fold_key, token, device_id)
    )
    """,
    # What has to be sealed again under the alert's own key, and what came of it (C13).
    """
    CREATE TABLE sealing (
        raised_id bytea PRIMARY KEY REFERENCES raised (raised_id),
        alert_id text NOT NULL REFERENCES alert (alert_id),
        pending boolean NOT NULL,
        request bytea,
        picture_id text NOT NULL,
        attempts integer NOT NULL DEFAULT 0,
        next_attempt_at timestamptz NOT NULL DEFAULT now(),
        began_at timestamptz NOT NULL DEFAULT now(),
        sealed_details bytea,
        picture_promoted boolean NOT NULL DEFAULT false,
        missing_reason text NOT NULL DEFAULT ''
    )
    """,
    "CREATE INDEX ix_sealing_pending ON sealing (next_attempt_at) WHERE pending",
    "CREATE INDEX ix_sealing_alert ON sealing (alert_id)",
    """
    CREATE TABLE connection (
        terminal_id text PRIMARY KEY,
        unit_id text NOT NULL,
        instance text NOT NULL,
        connected_at_ms bigint NOT NULL,
        seen_at timestamptz NOT NULL
    )
    """,
    "CREATE INDEX ix_connection_unit ON connection (unit_id)",
    """
    CREATE TABLE precision_record (
        kind text NOT NULL CHECK (kind IN ('rule', 'source', 'device', 'operator')),
        subject text NOT NULL,
        outcomes integer NOT NULL,
        right_outcomes integer NOT NULL,
        suspended_at_ms bigint NOT NULL DEFAULT 0,
        PRIMARY KEY (kind, subject)
    )
    """,
)


def upgrade() -> None:
    """Creates everything."""
    create_outbox(op)  # type: ignore[arg-type]
    create_audit(op)  # type: ignore[arg-type]
    for statement in _STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """There is nothing before the first version."""
    raise NotImplementedError
