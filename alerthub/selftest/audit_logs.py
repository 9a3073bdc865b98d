"""The self-test's look at exported audit logs, with the verifier that an examiner uses offline."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from alerthub.api.v1 import audit_pb2
from alerthub.audit_file import head_of, row_of
from alerthub.audit_signing import signature_verifier
from alerthub.domain.audit_chain import verify
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
        [row_of(row) for row in rows],
        [head_of(head) for head in heads],
        signature_problem=signature_verifier(authority_pem=authority_file.read_bytes()),
    )
    if verification.finding is not None:
        raise Refuse(service, f"an audit log as it was recorded; {verification.finding.problem}")
    if verification.chained == 0:
        raise Refuse(service, f"a chained audit log; {verification.rows} rows, none of them chained")
