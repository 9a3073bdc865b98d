"""The self-test's look at exported audit logs, with the verifier that an examiner uses offline."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from alerthub.api.v1 import audit_pb2
from alerthub.audit_signing import signature_verifier
from alerthub.domain.audit_chain import AuditHead, AuditRow, verify
from alerthub.domain.errors import Refuse


def verify_export(
    service: str,
    rows: Sequence[audit_pb2.AuditRow],
    heads: Sequence[audit_pb2.AuditHead],
    *,
    authority_file: Path,
) -> None:
    """Refuses an export of `service` that is empty, not chained, or not as it was recorded."""
    verification = verify(
        [
            AuditRow(
                row_id=row.row_id,
                time_ms=row.time_ms,
                service=row.service,
                actor=row.actor,
                action=row.action,
                subject=row.subject,
                reason=row.reason,
                detail=row.detail,
                chain_index=row.chain_index,
                previous_hash=row.previous_hash,
                hash=row.hash,
            )
            for row in rows
        ],
        [
            AuditHead(
                service=head.service,
                chain_index=head.chain_index,
                hash=head.hash,
                time_ms=head.time_ms,
                signature=head.signature,
                signer_pem=head.signer_pem,
            )
            for head in heads
        ],
        signature_problem=signature_verifier(authority_pem=authority_file.read_bytes()),
    )
    if verification.finding is not None:
        raise Refuse(service, f"an audit log as it was recorded; {verification.finding.problem}")
    if verification.chained == 0:
        raise Refuse(service, f"a chained audit log; {verification.rows} rows, none of them chained")
