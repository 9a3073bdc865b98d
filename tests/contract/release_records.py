"""What a release is on the wire and in PostgreSQL: samples of every Kafka value, and what each migration
does."""

from __future__ import annotations

import hashlib
import importlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from sqlalchemy import create_mock_engine
from sqlalchemy.engine.mock import MockConnection

from alerthub.api.v1 import (
    alert_pb2,
    common_pb2,
    observation_pb2,
    patrol_pb2,
    registry_pb2,
    state_pb2,
    watchlist_pb2,
)

RELEASES = Path(__file__).parent / "releases"
MIGRATIONS_FILE = RELEASES / "migrations.txt"
ROOT = Path(__file__).resolve().parents[2]
SCHEMAS = ("dispatch", "registry", "watchlist")

VALUES: dict[str, tuple[type[Message], ...]] = {
    "observations": (observation_pb2.ObservationBatch,),
    "passages": (observation_pb2.PassageBatch,),
    "calls": (observation_pb2.DirectCall,),
    "alerts": (alert_pb2.AlertRaised,),
    "alert-events": (alert_pb2.AlertEvent,),
    "watchlist": (watchlist_pb2.PublishedEntry, common_pb2.Bookmark),
    "matching": (watchlist_pb2.MatchingConfiguration,),
    "devices": (registry_pb2.Device,),
    "zones": (registry_pb2.Zone,),
    "rules": (registry_pb2.Rule,),
    "units": (registry_pb2.Unit,),
    "revocations": (registry_pb2.Revocation,),
    "positions": (patrol_pb2.UnitPosition,),
    "watermarks": (observation_pb2.Watermarks,),
    "dead-letter": (observation_pb2.DeadLetter,),
    "correlator-state-changelog": (state_pb2.StateRecord,),
}
"""Every topic of the table, and what its values are."""


def wire_records() -> list[dict[str, Any]]:
    """A value of each kind with every field set, one for each side of its oneofs."""
    return [
        {
            "topic": topic,
            "message": message.DESCRIPTOR.full_name,
            "bytes": sample.SerializeToString(deterministic=True).hex(),
            "read": as_read(sample),
        }
        for topic, kinds in VALUES.items()
        for message in kinds
        for sample in _samples(message)
    ]


def as_read(message: Message) -> dict[str, Any]:
    """What whoever knows the fields sees."""
    return dict(MessageToDict(message, preserving_proto_field_name=True))


def _samples(kind: type[Message]) -> Iterator[Message]:
    sides = max((len(each.fields) for each in kind.DESCRIPTOR.oneofs), default=1)
    for side in range(sides):
        message = kind()
        _fill(message, side)
        yield message


def _fill(message: Any, side: int) -> None:
    chosen = {
        each.fields[min(side, len(each.fields) - 1)].name for each in message.DESCRIPTOR.oneofs if each.fields
    }
    for field in message.DESCRIPTOR.fields:
        if field.containing_oneof is not None and field.name not in chosen:
            continue
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            inner = getattr(message, field.name)
            _fill(inner.add() if field.is_repeated else inner, side)
            if not field.is_repeated:
                inner.SetInParent()
            continue
        value = _value(field)
        if field.is_repeated:
            getattr(message, field.name).append(value)
        else:
            setattr(message, field.name, value)


def _value(field: FieldDescriptor) -> Any:
    match field.type:
        case FieldDescriptor.TYPE_STRING:
            # A device's schedule has dates.
            return "2026-10-01" if "date" in field.name else f"{field.name}-样"
        case FieldDescriptor.TYPE_BYTES:
            return hashlib.blake2b(field.name.encode(), digest_size=16).digest()
        case FieldDescriptor.TYPE_BOOL:
            return True
        case FieldDescriptor.TYPE_ENUM:
            assert field.enum_type is not None
            return field.enum_type.values[min(1, len(field.enum_type.values) - 1)].number
        case FieldDescriptor.TYPE_DOUBLE | FieldDescriptor.TYPE_FLOAT:
            return field.number + 0.5
        case _:
            return field.number + 1


# --- migrations


@dataclass(frozen=True, slots=True)
class Migration:
    """One migration: the statements that it runs, and the revision whose leftovers it removes, if it says
    so."""

    schema: str
    revision: str
    statements: tuple[str, ...]
    contracts: str

    @property
    def digest(self) -> str:
        """Of what it does, however it is written."""
        return hashlib.sha256("\n".join(self.statements).encode()).hexdigest()[:32]


def every_migration() -> list[Migration]:
    """All of them, in order."""
    found = []
    for schema in SCHEMAS:
        folder = ROOT / "services" / schema / "migrations" / "versions"
        for path in sorted(folder.glob("*.py")):
            if path.name != "__init__.py":
                found.append(_migration(schema, path))
    return found


def _migration(schema: str, path: Path) -> Migration:
    specification = importlib.util.spec_from_file_location(f"migration_{schema}_{path.stem}", path)
    if specification is None or specification.loader is None:
        raise ImportError(str(path))
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    recorded: list[str] = []
    engine: MockConnection = create_mock_engine(
        "postgresql://", lambda sql, *_, **__: recorded.append(str(sql.compile(dialect=engine.dialect)))
    )

    class Recorder:
        @staticmethod
        def execute(statement: object) -> None:
            recorded.append(str(statement))

        @staticmethod
        def get_bind() -> object:
            return engine

    with patch.object(module, "op", Recorder):
        module.upgrade()
    statements = tuple(re.sub(r"\s+", " ", each).strip() for each in recorded)
    return Migration(schema, module.revision, statements, getattr(module, "contracts", ""))
