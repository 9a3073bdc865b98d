"""Requests are held against the rules in the protos (protovalidate) before a handler sees them; no value is
told.
"""

from __future__ import annotations

from typing import Any

import protovalidate
from google.protobuf.message import Message

from alerthub.grpc_errors import FieldViolation
from buf.validate import validate_pb2

_validator: Any = protovalidate.Validator()  # type: ignore[no-untyped-call]


def violations_of(message: Message) -> list[FieldViolation]:
    """What is wrong with `message`: the fields by name and what each expects. Empty: nothing."""
    return [
        FieldViolation(_path(violation.proto.field), violation.proto.message or violation.proto.rule_id)
        for violation in _validator.collect_violations(message)
    ]


def _path(path: validate_pb2.FieldPath) -> str:
    """`resources[3].device.name`. A map's key is the caller's text, so it is left out."""
    parts = []
    for element in path.elements:
        index = f"[{element.index}]" if element.HasField("index") else ""
        parts.append(f"{element.field_name}{index}")
    return ".".join(parts) or "request"
