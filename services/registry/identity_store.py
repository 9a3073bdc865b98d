"""Terminals, enrolment codes and issued certificates in PostgreSQL."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import delete, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.registry import tables
from services.registry.certificates import IssuedCertificate


@dataclass(frozen=True, slots=True)
class Enrolment:
    """For whom an enrolment code was made."""

    terminal_id: str
    unit_id: str


async def create_code(
    connection: AsyncConnection,
    enrolment: Enrolment,
    code_sha256: bytes,
    *,
    actor: str,
    now_ms: int,
    valid_until_ms: int,
) -> None:
    """Notes a code. Those that the terminal has not used yet work no more."""
    columns = tables.enrolment_code.c
    await connection.execute(
        delete(tables.enrolment_code).where(
            columns.terminal_id == enrolment.terminal_id, columns.used_at_ms.is_(None)
        )
    )
    await connection.execute(
        insert(tables.enrolment_code).values(
            code_sha256=code_sha256,
            terminal_id=enrolment.terminal_id,
            unit_id=enrolment.unit_id,
            created_by=actor,
            created_at_ms=now_ms,
            valid_until_ms=valid_until_ms,
        )
    )


async def forget_codes(connection: AsyncConnection, *, now_ms: int) -> None:
    """Forgets the codes whose time is over, used or not: the audit log has who asked for one."""
    await connection.execute(
        delete(tables.enrolment_code).where(tables.enrolment_code.c.valid_until_ms <= now_ms)
    )


async def remove_codes(connection: AsyncConnection, created_by: str) -> int:
    """Ends the codes that this actor made and nobody has used; returns how many there were."""
    columns = tables.enrolment_code.c
    gone = await connection.execute(
        delete(tables.enrolment_code)
        .where(columns.created_by == created_by, columns.used_at_ms.is_(None))
        .returning(columns.terminal_id)
    )
    return len(gone.all())


async def use_code(connection: AsyncConnection, code_sha256: bytes, now_ms: int) -> Enrolment | None:
    """Uses a code up; None when there is none, or it was used or has expired. Of two at once one gets it."""
    columns = tables.enrolment_code.c
    row = (
        await connection.execute(
            update(tables.enrolment_code)
            .where(
                columns.code_sha256 == code_sha256,
                columns.used_at_ms.is_(None),
                columns.valid_until_ms > now_ms,
            )
            .values(used_at_ms=now_ms)
            .returning(columns.terminal_id, columns.unit_id)
        )
    ).one_or_none()
    return None if row is None else Enrolment(row.terminal_id, row.unit_id)


async def note_certificate(
    connection: AsyncConnection, subject: str, certificate: IssuedCertificate, *, actor: str
) -> None:
    """Notes a certificate that was issued to `subject` (terminal:ID or device:ID)."""
    await connection.execute(
        insert(tables.issued_certificate).values(
            fingerprint=certificate.fingerprint,
            subject=subject,
            serial_number=certificate.serial_number,
            issued_at_ms=certificate.issued_at_ms,
            valid_until_ms=certificate.valid_until_ms,
            issued_by=actor,
        )
    )


async def live_certificates(connection: AsyncConnection, subject: str, now_ms: int) -> list[str]:
    """Fingerprints of the subject's certificates that have not expired."""
    columns = tables.issued_certificate.c
    rows = await connection.execute(
        select(columns.fingerprint)
        .where(columns.subject == subject, columns.valid_until_ms > now_ms)
        .order_by(columns.issued_at_ms)
    )
    return [row.fingerprint for row in rows]


async def put_terminal(
    connection: AsyncConnection, enrolment: Enrolment, fingerprint: str, now_ms: int
) -> None:
    """Notes the terminal with its one certificate."""
    values = {
        "unit_id": enrolment.unit_id,
        "certificate_fingerprint": fingerprint,
        "enrolled_at_ms": now_ms,
    }
    await connection.execute(
        upsert(tables.terminal)
        .values(terminal_id=enrolment.terminal_id, **values)
        .on_conflict_do_update(index_elements=["terminal_id"], set_=values)
    )


async def terminal_exists(connection: AsyncConnection, terminal_id: str) -> bool:
    """Whether a terminal of this id was ever enrolled."""
    columns = tables.terminal.c
    found = await connection.scalar(select(columns.terminal_id).where(columns.terminal_id == terminal_id))
    return found is not None
