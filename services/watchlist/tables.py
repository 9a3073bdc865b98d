"""The tables of the schema `watchlist`, as the newest migration leaves them."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, LargeBinary, SmallInteger, Table, Text
from sqlalchemy.dialects.postgresql import ARRAY

from alerthub.outbox import outbox_table
from alerthub.postgres import metadata

METADATA = metadata()

category = Table(
    "category",
    METADATA,
    Column("category", Text, primary_key=True),
    Column("chinese", Text, nullable=False),
    Column("english", Text, nullable=False),
    Column("names_person", Boolean, nullable=False),
    Column("policy", SmallInteger, nullable=False),
    Column("severity", SmallInteger, nullable=False),
    Column("maximum_days", SmallInteger, nullable=False),
    Column("unit_kind", Text, nullable=False),
)

entry = Table(
    "entry",
    METADATA,
    Column("entry_id", Text, primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("status", SmallInteger, nullable=False),
    Column("category", Text, nullable=False),
    Column("names_person", Boolean, nullable=False),
    Column("case_number", Text, nullable=False),
    Column("legal_basis", Text, nullable=False),
    Column("issuing_authority", Text, nullable=False),
    Column("authority_contact", Text, nullable=False),
    Column("instruction_chinese", Text, nullable=False),
    Column("instruction_english", Text, nullable=False),
    Column("valid_until_ms", BigInteger, nullable=False),
    Column("entered_by", Text, nullable=False),
    Column("entered_at_ms", BigInteger, nullable=False),
    Column("approved_by", Text),
    Column("active_from_ms", BigInteger),
    Column("ended_at_ms", BigInteger),
    Column("sealed_identifiers", LargeBinary, nullable=False),
    Column("identifier_count", SmallInteger, nullable=False),
    Column("masks", ARRAY(Text), nullable=False),
    Column("newest_epoch", Text, nullable=False),
    Column("on_topic", Boolean, nullable=False),
)

mask_use = Table("mask_use", METADATA, Column("mask", Text, primary_key=True))

matching = Table(
    "matching",
    METADATA,
    Column("singleton", Boolean, primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("masks", ARRAY(Text), nullable=False),
    Column("epoch", Text, nullable=False),
    Column("epoch_made_at_ms", BigInteger, nullable=False),
    Column("prepared_at_ms", BigInteger, nullable=False),
    Column("next_version", BigInteger),
    Column("next_masks", ARRAY(Text)),
    Column("next_epoch", Text),
    Column("next_epoch_made_at_ms", BigInteger),
    Column("next_prepared_at_ms", BigInteger),
    Column("outgoing_epoch", Text),
    Column("outgoing_made_at_ms", BigInteger),
    Column("outgoing_until_ms", BigInteger, nullable=False),
    Column("active_from_ms", BigInteger, nullable=False),
)

gateway_report = Table(
    "gateway_report",
    METADATA,
    Column("gateway_id", Text, primary_key=True),
    Column("reported_at_ms", BigInteger, nullable=False),
    Column("matching_version", BigInteger, nullable=False),
    Column("prepared_version", BigInteger, nullable=False),
)

alert_key = Table(
    "alert_key",
    METADATA,
    Column("alert_id", Text, primary_key=True),
    Column("wrapped_key", LargeBinary, nullable=False),
    Column("entry_id", Text, nullable=False),
    Column("rule_id", Text, nullable=False),
    Column("made_at_ms", BigInteger, nullable=False),
)

open_record = Table(
    "open_record",
    METADATA,
    Column("person", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("alert_id", Text, primary_key=True),
    Column("opened_at_ms", BigInteger, nullable=False),
)

command = Table(
    "command",
    METADATA,
    Column("command_id", Text, primary_key=True),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("response", LargeBinary, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
)

outbox = outbox_table(METADATA)
