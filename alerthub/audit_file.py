"""An export of the audit log as a file: one JSON object a line, rows and heads; read without the hub."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alerthub.api.v1 import audit_pb2
from alerthub.domain.audit_chain import AuditHead, AuditRow
from alerthub.domain.errors import Refuse

_MAXIMUM_LINE = 256 * 1024


@dataclass(frozen=True, slots=True)
class AuditFile:
    """What an export or a witness file holds, in its order."""

    rows: tuple[AuditRow, ...]
    heads: tuple[AuditHead, ...]


def row_of(message: audit_pb2.AuditRow) -> AuditRow:
    """A row as the audit service sends it."""
    return AuditRow(
        row_id=message.row_id,
        time_ms=message.time_ms,
        service=message.service,
        actor=message.actor,
        action=message.action,
        subject=message.subject,
        reason=message.reason,
        detail=message.detail,
        chain_index=message.chain_index,
        previous_hash=message.previous_hash,
        hash=message.hash,
    )


def head_of(message: audit_pb2.AuditHead) -> AuditHead:
    """A signed head as the audit service sends it."""
    return AuditHead(
        service=message.service,
        chain_index=message.chain_index,
        hash=message.hash,
        time_ms=message.time_ms,
        signature=message.signature,
        signer_pem=message.signer_pem,
    )


def row_line(row: AuditRow) -> str:
    """A row as one line of JSON, without the line's end."""
    return json.dumps(
        {
            "type": "row",
            "row_id": row.row_id,
            "time_ms": row.time_ms,
            "service": row.service,
            "actor": row.actor,
            "action": row.action,
            "subject": row.subject,
            "reason": row.reason,
            "detail": row.detail,
            "chain_index": row.chain_index,
            "previous_hash": row.previous_hash.hex(),
            "hash": row.hash.hex(),
        },
        sort_keys=True,
        ensure_ascii=False,
    )


def head_line(head: AuditHead) -> str:
    """A head as one line of JSON, as it stands in witness files and exports."""
    return json.dumps(
        {
            "type": "head",
            "service": head.service,
            "chain_index": head.chain_index,
            "hash": head.hash.hex(),
            "time_ms": head.time_ms,
            "signature": head.signature.hex(),
            "signer_pem": head.signer_pem,
        },
        sort_keys=True,
    )


def read(path: Path) -> AuditFile:
    """The file's rows and heads. Raises Refuse that names the line which is neither."""
    try:
        with path.open(encoding="utf-8") as lines:
            return parse(lines)
    except (FileNotFoundError, IsADirectoryError, PermissionError):
        raise Refuse(str(path), "a file that can be read") from None
    except UnicodeDecodeError:
        raise Refuse(str(path), "JSON lines in UTF-8") from None


def parse(lines: Iterable[str]) -> AuditFile:
    """Rows and heads of JSON lines; empty ones are skipped. Raises Refuse that names the first bad line."""
    rows: list[AuditRow] = []
    heads: list[AuditHead] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            found = _entry(json.loads(line)) if len(line) <= _MAXIMUM_LINE else None
        except (ValueError, TypeError, KeyError, RecursionError):
            found = None
        if found is None:
            raise Refuse(f"line {number}", "a row or a head of an audit export, as one JSON object")
        if isinstance(found, AuditRow):
            rows.append(found)
        else:
            heads.append(found)
    return AuditFile(tuple(rows), tuple(heads))


def _entry(values: Any) -> AuditRow | AuditHead:
    if values["type"] == "row":
        return AuditRow(
            row_id=_text(values["row_id"]),
            time_ms=_number(values["time_ms"]),
            service=_text(values["service"]),
            actor=_text(values["actor"]),
            action=_text(values["action"]),
            subject=_text(values["subject"]),
            reason=_text(values["reason"]),
            detail=_text(values["detail"]),
            chain_index=_number(values["chain_index"]),
            previous_hash=bytes.fromhex(_text(values["previous_hash"])),
            hash=bytes.fromhex(_text(values["hash"])),
        )
    if values["type"] == "head":
        return AuditHead(
            service=_text(values["service"]),
            chain_index=_number(values["chain_index"]),
            hash=bytes.fromhex(_text(values["hash"])),
            time_ms=_number(values["time_ms"]),
            signature=bytes.fromhex(_text(values["signature"])),
            signer_pem=_text(values["signer_pem"]),
        )
    raise ValueError("neither row nor head")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("text expected")
    # JSON can spell half a character, which has no bytes to hash.
    value.encode("utf-8")
    return value


def _number(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        raise TypeError("whole number expected")
    return value
