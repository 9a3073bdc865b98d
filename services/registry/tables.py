"""The registry's tables as its queries see them. `migrations/` makes them, with their constraints."""

from __future__ import annotations

from sqlalchemy import ARRAY, BigInteger, Boolean, Column, Integer, LargeBinary, Table, Text

from alerthub.postgres import lock_number, metadata

_metadata = metadata()

RESOURCE_LOCK = lock_number("alerthub registry resources")
"""Held by every transaction that changes resources, so that versions are decided one at a time."""

resource = Table(
    "resource",
    _metadata,
    Column("kind", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("status", Text, nullable=False),
    Column("active_from_ms", BigInteger, nullable=False),
    Column("district", Text),
    Column("topic", Text),
    Column("declared", LargeBinary, nullable=False),
    Column("published", LargeBinary, nullable=False),
)

resource_version = Table(
    "resource_version",
    _metadata,
    Column("kind", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("version", BigInteger, primary_key=True),
    Column("active_from_ms", BigInteger, nullable=False),
    Column("published", LargeBinary, nullable=False),
    Column("changed_by", Text, nullable=False),
    Column("changed_at_ms", BigInteger, nullable=False),
)

resource_reference = Table(
    "resource_reference",
    _metadata,
    Column("source_kind", Text, primary_key=True),
    Column("source_id", Text, primary_key=True),
    Column("target_kind", Text, primary_key=True),
    Column("target_id", Text, primary_key=True),
)

check_authorisation = Table(
    "check_authorisation",
    _metadata,
    Column("authorisation_id", Text, primary_key=True),
    Column("legal_basis", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("categories", ARRAY(Text), nullable=False),
    Column("valid_from_ms", BigInteger, nullable=False),
    Column("valid_until_ms", BigInteger, nullable=False),
)

device_secret = Table(
    "device_secret",
    _metadata,
    Column("device_id", Text, primary_key=True),
    Column("secret_sha256", LargeBinary, nullable=False),
    Column("issued_at_ms", BigInteger, nullable=False),
    Column("issued_by", Text, nullable=False),
)

command = Table(
    "command",
    _metadata,
    Column("command_id", Text, primary_key=True),
    Column("request_sha256", LargeBinary, nullable=False),
    Column("response", LargeBinary, nullable=False),
    Column("actor", Text, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
)

account = Table(
    "account",
    _metadata,
    Column("account", Text, primary_key=True),
    Column("password_hash", Text, nullable=False),
    Column("roles", ARRAY(Text), nullable=False),
    Column("failures", Integer, nullable=False),
    Column("locked_until_ms", BigInteger, nullable=False),
    Column("revoked_at_ms", BigInteger),
    Column("bootstrap", Boolean, nullable=False),
    Column("made_proposed_by", Text, nullable=False),
    Column("made_approved_by", Text, nullable=False),
    Column("proposal_id", Text),
    Column("created_at_ms", BigInteger, nullable=False),
)

person_session = Table(
    "person_session",
    _metadata,
    Column("secret_sha256", LargeBinary, primary_key=True),
    Column("account", Text, nullable=False),
    Column("opened_at_ms", BigInteger, nullable=False),
    Column("expires_at_ms", BigInteger, nullable=False),
    Column("renewed_at_ms", BigInteger, nullable=False),
)

account_proposal = Table(
    "account_proposal",
    _metadata,
    Column("proposal_id", Text, primary_key=True),
    Column("account", Text, nullable=False),
    Column("roles", ARRAY(Text), nullable=False),
    Column("proposed_by", Text, nullable=False),
    Column("proposed_at_ms", BigInteger, nullable=False),
    Column("approved_by", Text),
    Column("approved_at_ms", BigInteger),
    Column("import_id", Text),
    Column("ended_at_ms", BigInteger),
)

terminal = Table(
    "terminal",
    _metadata,
    Column("terminal_id", Text, primary_key=True),
    Column("unit_id", Text, nullable=False),
    Column("certificate_fingerprint", Text, nullable=False),
    Column("enrolled_at_ms", BigInteger, nullable=False),
)

enrolment_code = Table(
    "enrolment_code",
    _metadata,
    Column("code_sha256", LargeBinary, primary_key=True),
    Column("terminal_id", Text, nullable=False),
    Column("unit_id", Text, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("valid_until_ms", BigInteger, nullable=False),
    Column("used_at_ms", BigInteger),
)

issued_certificate = Table(
    "issued_certificate",
    _metadata,
    Column("fingerprint", Text, primary_key=True),
    Column("subject", Text, nullable=False),
    Column("serial_number", Text, nullable=False),
    Column("issued_at_ms", BigInteger, nullable=False),
    Column("valid_until_ms", BigInteger, nullable=False),
    Column("issued_by", Text, nullable=False),
)

revocation = Table(
    "revocation",
    _metadata,
    Column("subject", Text, primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("revoked_at_ms", BigInteger, nullable=False),
    Column("reinstated", Boolean, nullable=False),
    Column("reason", Text, nullable=False),
    Column("changed_by", Text, nullable=False),
)
