"""The watchlist's first schema. The refusals that are constraints say so in their names."""

from __future__ import annotations

from alembic import op

from alerthub.audit import create_audit
from alerthub.outbox import create_outbox

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_STATEMENTS = (
    """
    CREATE TABLE category (
        category text PRIMARY KEY,
        chinese text NOT NULL,
        english text NOT NULL,
        names_person boolean NOT NULL,
        policy smallint NOT NULL CONSTRAINT category_policy_is_known CHECK (policy IN (1, 2)),
        severity smallint NOT NULL CONSTRAINT category_severity_is_known CHECK (severity BETWEEN 1 AND 4),
        maximum_days integer NOT NULL CONSTRAINT category_ends CHECK (maximum_days BETWEEN 1 AND 3660),
        unit_kind text NOT NULL,
        UNIQUE (category, names_person),
        CONSTRAINT category_of_persons_is_confirmed_first CHECK (NOT names_person OR policy = 1)
    )
    """,
    """
    CREATE TABLE entry (
        entry_id text PRIMARY KEY,
        version bigint NOT NULL CHECK (version > 0),
        status smallint NOT NULL CHECK (status IN (1, 2, 3, 4)),
        category text NOT NULL,
        names_person boolean NOT NULL,
        case_number text NOT NULL CONSTRAINT entry_has_case_number CHECK (btrim(case_number) <> ''),
        legal_basis text NOT NULL CONSTRAINT entry_has_legal_basis CHECK (btrim(legal_basis) <> ''),
        issuing_authority text NOT NULL CONSTRAINT entry_has_authority CHECK (btrim(issuing_authority) <> ''),
        authority_contact text NOT NULL CONSTRAINT entry_has_contact CHECK (btrim(authority_contact) <> ''),
        instruction_chinese text NOT NULL
            CONSTRAINT entry_has_chinese_instruction CHECK (btrim(instruction_chinese) <> ''),
        instruction_english text NOT NULL
            CONSTRAINT entry_has_english_instruction CHECK (btrim(instruction_english) <> ''),
        valid_until_ms bigint NOT NULL,
        entered_by text NOT NULL CONSTRAINT entry_was_entered_by_somebody CHECK (entered_by <> ''),
        entered_at_ms bigint NOT NULL,
        approved_by text CONSTRAINT entry_was_approved_by_somebody CHECK (approved_by <> ''),
        active_from_ms bigint,
        ended_at_ms bigint,
        sealed_identifiers bytea NOT NULL,
        identifier_count smallint NOT NULL CONSTRAINT entry_names_something CHECK (identifier_count > 0),
        masks text[] NOT NULL,
        newest_epoch text NOT NULL DEFAULT '',
        on_topic boolean NOT NULL DEFAULT false,
        FOREIGN KEY (category, names_person) REFERENCES category (category, names_person),
        CONSTRAINT entry_needs_two_persons CHECK (approved_by <> entered_by),
        CONSTRAINT entry_works_only_approved CHECK (status <> 2 OR approved_by IS NOT NULL),
        CONSTRAINT entry_works_from_a_time CHECK (status <> 2 OR active_from_ms IS NOT NULL),
        CONSTRAINT entry_ends_once CHECK ((status IN (3, 4)) = (ended_at_ms IS NOT NULL))
    )
    """,
    "CREATE INDEX ix_entry_end ON entry (valid_until_ms) WHERE status IN (1, 2)",
    "CREATE INDEX ix_entry_epoch ON entry (newest_epoch) WHERE status = 2",
    "CREATE INDEX ix_entry_tombstone ON entry (valid_until_ms) WHERE on_topic AND status IN (3, 4)",
    # What was entered and approved stays as it was: only its state changes, and never backwards.
    """
    CREATE FUNCTION check_entry() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF ROW (
                OLD.entry_id, OLD.category, OLD.names_person,
                OLD.case_number, OLD.legal_basis, OLD.issuing_authority, OLD.authority_contact,
                OLD.instruction_chinese, OLD.instruction_english, OLD.valid_until_ms,
                OLD.entered_by, OLD.entered_at_ms, OLD.sealed_identifiers, OLD.identifier_count, OLD.masks
            ) IS DISTINCT FROM ROW (
                NEW.entry_id, NEW.category, NEW.names_person,
                NEW.case_number, NEW.legal_basis, NEW.issuing_authority, NEW.authority_contact,
                NEW.instruction_chinese, NEW.instruction_english, NEW.valid_until_ms,
                NEW.entered_by, NEW.entered_at_ms, NEW.sealed_identifiers, NEW.identifier_count, NEW.masks
            )
            OR (OLD.approved_by IS NOT NULL AND OLD.approved_by IS DISTINCT FROM NEW.approved_by)
        THEN
            RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'entry_is_final',
                MESSAGE = 'what was entered or approved does not change';
        END IF;
        IF NEW.status < OLD.status OR (OLD.status IN (3, 4) AND NEW.status <> OLD.status) THEN
            RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'entry_never_works_again',
                MESSAGE = 'an entry that ended does not begin again';
        END IF;
        IF NEW.version < OLD.version THEN
            RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'entry_version_grows',
                MESSAGE = 'a version never goes down';
        END IF;
        RETURN NEW;
    END $$
    """,
    "CREATE TRIGGER check_entry BEFORE UPDATE ON entry FOR EACH ROW EXECUTE FUNCTION check_entry()",
    # A new entry always waits: nothing is inserted as approved.
    """
    CREATE FUNCTION check_new_entry() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF NEW.status <> 1 OR NEW.approved_by IS NOT NULL THEN
            RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'entry_waits_for_approval',
                MESSAGE = 'a new entry waits for its approval';
        END IF;
        RETURN NEW;
    END $$
    """,
    "CREATE TRIGGER check_new_entry BEFORE INSERT ON entry FOR EACH ROW EXECUTE FUNCTION check_new_entry()",
    "CREATE TABLE mask_use (mask text PRIMARY KEY)",
    """
    CREATE TABLE matching (
        singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
        version bigint NOT NULL,
        masks text[] NOT NULL,
        epoch text NOT NULL,
        epoch_made_at_ms bigint NOT NULL,
        prepared_at_ms bigint NOT NULL,
        next_version bigint,
        next_masks text[],
        next_epoch text,
        next_epoch_made_at_ms bigint,
        next_prepared_at_ms bigint,
        outgoing_epoch text,
        outgoing_made_at_ms bigint,
        outgoing_until_ms bigint NOT NULL DEFAULT 0,
        active_from_ms bigint NOT NULL
    )
    """,
    """
    CREATE TABLE gateway_report (
        gateway_id text PRIMARY KEY,
        reported_at_ms bigint NOT NULL,
        matching_version bigint NOT NULL,
        prepared_version bigint NOT NULL
    )
    """,
    """
    CREATE TABLE alert_key (
        alert_id text PRIMARY KEY,
        wrapped_key bytea NOT NULL,
        entry_id text NOT NULL,
        rule_id text NOT NULL,
        made_at_ms bigint NOT NULL,
        CONSTRAINT alert_key_has_one_subject CHECK ((entry_id = '') <> (rule_id = ''))
    )
    """,
    "CREATE INDEX ix_alert_key_made ON alert_key (made_at_ms)",
    """
    CREATE TABLE open_record (
        person text NOT NULL,
        subject text NOT NULL,
        alert_id text NOT NULL,
        opened_at_ms bigint NOT NULL,
        PRIMARY KEY (person, subject, alert_id)
    )
    """,
    "CREATE INDEX ix_open_record_opened ON open_record (opened_at_ms)",
    """
    CREATE TABLE command (
        command_id text PRIMARY KEY,
        actor text NOT NULL,
        action text NOT NULL,
        response bytea NOT NULL,
        created_at_ms bigint NOT NULL
    )
    """,
    "CREATE INDEX ix_command_created ON command (created_at_ms)",
)

_CATEGORIES = (
    ("wanted_person", "在逃人员", "Wanted person", True, 1, 4, 365, "patrol"),
    ("wanted_person_vehicle", "在逃人员车辆", "Vehicle of a wanted person", True, 1, 4, 365, "patrol"),
    ("stolen_vehicle", "被盗抢车辆", "Stolen vehicle", False, 2, 3, 730, "patrol"),
    ("missing_person", "失踪人员", "Missing person", True, 1, 3, 180, "patrol"),
    ("court_ordered_tag", "法院监管标签", "Court-ordered tag", True, 1, 3, 365, "patrol"),
)


def upgrade() -> None:
    create_outbox(op)  # type: ignore[arg-type]
    create_audit(op)  # type: ignore[arg-type]
    for statement in _STATEMENTS:
        op.execute(statement)
    for category, chinese, english, names_person, policy, severity, maximum_days, unit_kind in _CATEGORIES:
        op.execute(
            "INSERT INTO category VALUES "  # noqa: S608 - constants of this file
            f"('{category}', '{chinese}', '{english}', {names_person}, {policy}, {severity}, {maximum_days}, "
            f"'{unit_kind}')"
        )
