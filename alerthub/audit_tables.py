"""The tables of the audit log, and what makes them append-only in the database itself (C16)."""

from __future__ import annotations

from alembic.operations import Operations
from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Identity,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    func,
)
from sqlalchemy.dialects.postgresql import UUID


def audit_tables(metadata: MetaData) -> tuple[Table, Table]:
    """The tables `audit_entry` and `audit_head` of a service's schema."""
    entry = Table(
        "audit_entry",
        metadata,
        Column("row_number", BigInteger, Identity(always=True), primary_key=True),
        Column("row_id", UUID(as_uuid=False), nullable=False, server_default=func.gen_random_uuid()),
        Column("time_ms", BigInteger, nullable=False),
        Column("service", Text, nullable=False),
        Column("actor", Text, nullable=False),
        Column("action", Text, nullable=False),
        Column("subject", Text, nullable=False),
        Column("reason", Text, nullable=False, server_default=""),
        Column("detail", Text, nullable=False, server_default=""),
        Column("chain_index", BigInteger, nullable=True),
        Column("previous_hash", LargeBinary, nullable=True),
        Column("hash", LargeBinary, nullable=True),
        UniqueConstraint("row_id", name="uq_audit_entry_row_id"),
        UniqueConstraint("chain_index", name="uq_audit_entry_chain_index"),
        CheckConstraint(
            "(chain_index IS NULL) = (hash IS NULL) AND (hash IS NULL) = (previous_hash IS NULL)",
            name="ck_audit_entry_chained_whole",
        ),
    )
    head = Table(
        "audit_head",
        metadata,
        Column("row_number", BigInteger, Identity(always=True), primary_key=True),
        Column("service", Text, nullable=False),
        Column("chain_index", BigInteger, nullable=False),
        Column("hash", LargeBinary, nullable=False),
        Column("time_ms", BigInteger, nullable=False),
        Column("signature", LargeBinary, nullable=False),
        Column("signer_pem", Text, nullable=False),
    )
    return entry, head


_GUARDS = (
    "CREATE INDEX ix_audit_entry_unchained ON audit_entry (row_number) WHERE chain_index IS NULL",
    """
    CREATE FUNCTION audit_entry_guard() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      IF TG_OP = 'INSERT' THEN
        NEW.time_ms := floor(extract(epoch FROM clock_timestamp()) * 1000);
        NEW.service := current_schema();
        NEW.chain_index := NULL;
        NEW.previous_hash := NULL;
        NEW.hash := NULL;
        RETURN NEW;
      END IF;
      IF TG_OP = 'UPDATE' AND OLD.chain_index IS NULL AND NEW.chain_index IS NOT NULL
         AND (OLD.row_number, OLD.row_id, OLD.time_ms, OLD.service, OLD.actor, OLD.action, OLD.subject,
              OLD.reason, OLD.detail)
           = (NEW.row_number, NEW.row_id, NEW.time_ms, NEW.service, NEW.actor, NEW.action, NEW.subject,
              NEW.reason, NEW.detail)
      THEN
        RETURN NEW;
      END IF;
      RAISE EXCEPTION 'the audit log is append-only' USING ERRCODE = 'restrict_violation';
    END $$
    """,
    """
    CREATE FUNCTION audit_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      RAISE EXCEPTION 'the audit log is append-only' USING ERRCODE = 'restrict_violation';
    END $$
    """,
    """
    CREATE TRIGGER audit_entry_guard BEFORE INSERT OR UPDATE OR DELETE ON audit_entry
    FOR EACH ROW EXECUTE FUNCTION audit_entry_guard()
    """,
    """
    CREATE TRIGGER audit_entry_no_truncate BEFORE TRUNCATE ON audit_entry
    FOR EACH STATEMENT EXECUTE FUNCTION audit_append_only()
    """,
    """
    CREATE TRIGGER audit_head_append_only BEFORE UPDATE OR DELETE ON audit_head
    FOR EACH ROW EXECUTE FUNCTION audit_append_only()
    """,
    """
    CREATE TRIGGER audit_head_no_truncate BEFORE TRUNCATE ON audit_head
    FOR EACH STATEMENT EXECUTE FUNCTION audit_append_only()
    """,
    # The trigger refuses as well; a role that cannot even try leaves less to a mistake.
    "REVOKE DELETE, TRUNCATE, UPDATE ON audit_entry FROM CURRENT_USER",
    "GRANT UPDATE (chain_index, previous_hash, hash) ON audit_entry TO CURRENT_USER",
    "REVOKE DELETE, TRUNCATE, UPDATE ON audit_head FROM CURRENT_USER",
)


def create_audit(op: Operations) -> None:
    """For a service's first migration: `create_audit(op)`. Makes the tables, and makes them append-only.

    It is part of versions that have run: a change is another function, called by a newer version.
    """
    metadata = MetaData()
    for table in audit_tables(metadata):
        table.create(op.get_bind())
    for statement in _GUARDS:
        op.execute(statement)


def create_restore_index(op: Operations) -> None:
    """For a later migration: finds in a log of any length whether the database was restored (C19)."""
    op.execute(
        "CREATE INDEX ix_audit_entry_restore ON audit_entry (row_number) "
        "WHERE action IN ('RestoredFromBackup', 'RestoredStateApplied')"
    )
