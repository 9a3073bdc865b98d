"""The registry's first schema."""

from __future__ import annotations

from alembic import op

from alerthub.audit import create_audit
from alerthub.outbox import create_outbox

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_RESOURCES = """
CREATE TABLE resource (
    kind text NOT NULL,
    id text NOT NULL,
    version bigint NOT NULL CHECK (version > 0),
    status text NOT NULL CHECK (status IN ('active', 'suspended', 'removed')),
    active_from_ms bigint NOT NULL,
    district text,
    topic text,
    declared bytea NOT NULL,
    published bytea NOT NULL,
    PRIMARY KEY (kind, id)
);
CREATE INDEX ix_resource_district ON resource (district) WHERE district IS NOT NULL;
CREATE INDEX ix_resource_topic ON resource (topic) WHERE topic IS NOT NULL;

CREATE TABLE resource_version (
    kind text NOT NULL,
    id text NOT NULL,
    version bigint NOT NULL CHECK (version > 0),
    active_from_ms bigint NOT NULL,
    published bytea NOT NULL,
    changed_by text NOT NULL,
    changed_at_ms bigint NOT NULL,
    PRIMARY KEY (kind, id, version)
);

CREATE TABLE resource_reference (
    source_kind text NOT NULL,
    source_id text NOT NULL,
    target_kind text NOT NULL,
    target_id text NOT NULL,
    PRIMARY KEY (source_kind, source_id, target_kind, target_id),
    FOREIGN KEY (target_kind, target_id) REFERENCES resource (kind, id) DEFERRABLE INITIALLY DEFERRED
);
CREATE INDEX ix_resource_reference_target ON resource_reference (target_kind, target_id);

CREATE TABLE check_authorisation (
    authorisation_id text PRIMARY KEY,
    legal_basis text NOT NULL
        CONSTRAINT check_authorisation_has_legal_basis CHECK (btrim(legal_basis) <> ''),
    purpose text NOT NULL CONSTRAINT check_authorisation_has_purpose CHECK (btrim(purpose) <> ''),
    categories text[] NOT NULL
        CONSTRAINT check_authorisation_has_categories CHECK (cardinality(categories) > 0),
    valid_from_ms bigint NOT NULL CONSTRAINT check_authorisation_has_from CHECK (valid_from_ms > 0),
    valid_until_ms bigint NOT NULL,
    CONSTRAINT check_authorisation_from_before_until CHECK (valid_from_ms < valid_until_ms)
);

CREATE TABLE device_secret (
    device_id text PRIMARY KEY,
    secret_sha256 bytea NOT NULL CONSTRAINT device_secret_is_a_hash CHECK (octet_length(secret_sha256) = 32),
    issued_at_ms bigint NOT NULL,
    issued_by text NOT NULL
);

CREATE TABLE command (
    command_id text PRIMARY KEY,
    request_sha256 bytea NOT NULL,
    response bytea NOT NULL,
    actor text NOT NULL,
    created_at_ms bigint NOT NULL
);
CREATE INDEX ix_command_created ON command (created_at_ms);
"""

_ACCOUNTS = """
CREATE TABLE account (
    account text PRIMARY KEY,
    password_hash text NOT NULL
        CONSTRAINT account_password_is_argon2id CHECK (password_hash LIKE '$argon2id$%'),
    roles text[] NOT NULL CONSTRAINT account_has_roles CHECK (cardinality(roles) > 0),
    failures integer NOT NULL DEFAULT 0 CHECK (failures >= 0),
    locked_until_ms bigint NOT NULL DEFAULT 0,
    revoked_at_ms bigint,
    bootstrap boolean NOT NULL DEFAULT false,
    made_proposed_by text NOT NULL DEFAULT '',
    made_approved_by text NOT NULL DEFAULT '',
    proposal_id text,
    created_at_ms bigint NOT NULL,
    CONSTRAINT account_has_an_origin CHECK (bootstrap OR proposal_id IS NOT NULL)
);

CREATE TABLE account_proposal (
    proposal_id text PRIMARY KEY,
    account text NOT NULL,
    roles text[] NOT NULL CONSTRAINT account_proposal_has_roles CHECK (cardinality(roles) > 0),
    proposed_by text NOT NULL REFERENCES account (account),
    proposed_at_ms bigint NOT NULL,
    approved_by text REFERENCES account (account),
    approved_at_ms bigint,
    CONSTRAINT account_proposal_not_to_oneself CHECK (proposed_by <> account),
    CONSTRAINT account_proposal_two_persons CHECK (approved_by <> proposed_by),
    CONSTRAINT account_proposal_not_by_who_gains CHECK (approved_by <> account),
    CONSTRAINT account_proposal_approval_is_whole CHECK ((approved_by IS NULL) = (approved_at_ms IS NULL))
);
ALTER TABLE account ADD FOREIGN KEY (proposal_id) REFERENCES account_proposal (proposal_id);
CREATE INDEX ix_account_proposal_account ON account_proposal (account);
"""

_TWO_PERSONS = """
CREATE FUNCTION refuse(name text, message text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = name,
        MESSAGE = name || ': ' || message;
END $$;

-- Nobody approves alone with an account that they made, and what was approved stays as it was approved (S6).
CREATE FUNCTION check_account_proposal() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND (
        OLD.approved_by IS NOT NULL
        OR (OLD.proposal_id, OLD.account, OLD.roles, OLD.proposed_by)
            IS DISTINCT FROM (NEW.proposal_id, NEW.account, NEW.roles, NEW.proposed_by)
    ) THEN
        PERFORM refuse('account_proposal_is_final', 'a proposal changes once, by its approval');
    END IF;
    IF NEW.approved_by IS NOT NULL AND EXISTS (
        SELECT FROM account AS a WHERE
            (a.account = NEW.approved_by AND NEW.proposed_by IN (a.made_proposed_by, a.made_approved_by))
            OR (a.account = NEW.proposed_by AND NEW.approved_by IN (a.made_proposed_by, a.made_approved_by))
    ) THEN
        PERFORM refuse('account_proposal_not_by_an_own_account', 'one of the accounts was made by the other');
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER check_account_proposal BEFORE INSERT OR UPDATE ON account_proposal
    FOR EACH ROW EXECUTE FUNCTION check_account_proposal();

-- A new account, other roles and a return after a revocation need an approved proposal of their own (S6).
CREATE FUNCTION check_new_account() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF NOT NEW.bootstrap AND NOT EXISTS (
        SELECT FROM account_proposal AS p
        WHERE p.proposal_id = NEW.proposal_id AND p.account = NEW.account AND p.roles = NEW.roles
            AND p.proposed_by = NEW.made_proposed_by AND p.approved_by = NEW.made_approved_by
    ) THEN
        PERFORM refuse('account_needs_two_persons', 'an account is made by both persons of its proposal');
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER check_new_account BEFORE INSERT ON account
    FOR EACH ROW EXECUTE FUNCTION check_new_account();

CREATE FUNCTION check_changed_account() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF (OLD.account, OLD.bootstrap, OLD.made_proposed_by, OLD.made_approved_by)
        IS DISTINCT FROM (NEW.account, NEW.bootstrap, NEW.made_proposed_by, NEW.made_approved_by) THEN
        PERFORM refuse('account_origin_is_final', 'how an account came to be does not change');
    END IF;
    IF OLD.roles = NEW.roles AND (OLD.revoked_at_ms IS NULL OR NEW.revoked_at_ms IS NOT NULL) THEN
        RETURN NEW;
    END IF;
    IF NEW.proposal_id IS NOT DISTINCT FROM OLD.proposal_id OR NOT EXISTS (
        SELECT FROM account_proposal AS p
        WHERE p.proposal_id = NEW.proposal_id AND p.account = NEW.account AND p.roles = NEW.roles
            AND p.approved_by IS NOT NULL AND NOT EXISTS (
                SELECT FROM account_proposal AS later
                WHERE later.account = p.account AND later.approved_at_ms > p.approved_at_ms
            )
    ) THEN
        PERFORM refuse('account_needs_two_persons', 'roles come from the newest approved proposal');
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER check_changed_account BEFORE UPDATE ON account
    FOR EACH ROW EXECUTE FUNCTION check_changed_account();

CREATE FUNCTION check_bootstrap() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF EXISTS (SELECT FROM added WHERE bootstrap) AND EXISTS (
        SELECT FROM account AS a WHERE NOT EXISTS (SELECT FROM added WHERE added.account = a.account)
    ) THEN
        PERFORM refuse('account_bootstrap_is_first', 'accounts by one person only before all others');
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER check_bootstrap AFTER INSERT ON account REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION check_bootstrap();
"""

_IDENTITIES = """
CREATE TABLE terminal (
    terminal_id text PRIMARY KEY,
    unit_id text NOT NULL,
    certificate_fingerprint text NOT NULL,
    enrolled_at_ms bigint NOT NULL
);

CREATE TABLE enrolment_code (
    code_sha256 bytea PRIMARY KEY CONSTRAINT enrolment_code_is_a_hash CHECK (octet_length(code_sha256) = 32),
    terminal_id text NOT NULL,
    unit_id text NOT NULL,
    created_by text NOT NULL,
    created_at_ms bigint NOT NULL,
    valid_until_ms bigint NOT NULL,
    used_at_ms bigint,
    CONSTRAINT enrolment_code_lives_an_hour CHECK (valid_until_ms <= created_at_ms + 3600000),
    CONSTRAINT enrolment_code_used_in_time CHECK (used_at_ms < valid_until_ms)
);
CREATE INDEX ix_enrolment_code_terminal ON enrolment_code (terminal_id);

CREATE TABLE issued_certificate (
    fingerprint text PRIMARY KEY,
    subject text NOT NULL,
    serial_number text NOT NULL,
    issued_at_ms bigint NOT NULL,
    valid_until_ms bigint NOT NULL,
    issued_by text NOT NULL
);
CREATE INDEX ix_issued_certificate_subject ON issued_certificate (subject);

CREATE TABLE revocation (
    subject text PRIMARY KEY,
    version bigint NOT NULL CHECK (version > 0),
    revoked_at_ms bigint NOT NULL,
    reinstated boolean NOT NULL DEFAULT false,
    reason text NOT NULL,
    changed_by text NOT NULL
);
"""


def upgrade() -> None:
    create_outbox(op)  # type: ignore[arg-type]
    create_audit(op)  # type: ignore[arg-type]
    for script in (_RESOURCES, _ACCOUNTS, _TWO_PERSONS, _IDENTITIES):
        for statement in _statements(script):
            op.execute(statement)


def _statements(script: str) -> list[str]:
    """One statement at a time, as asyncpg wants them. A function's body has semicolons of its own."""
    statements: list[str] = []
    waiting: list[str] = []
    for line in script.strip().splitlines():
        waiting.append(line)
        if line.endswith(";") and "\n".join(waiting).count("$$") % 2 == 0:
            statements.append("\n".join(waiting))
            waiting = []
    return statements
