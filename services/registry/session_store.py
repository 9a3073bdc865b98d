"""Persons' sessions in PostgreSQL: a hash of each secret, never the secret."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import delete, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from alerthub.domain.accounts import SESSION_IDLE_MS, Maker, SessionTimes
from services.registry import tables


@dataclass(frozen=True, slots=True)
class StoredSession:
    """Whose session it is, with the account's roles of now. `account_ended_at_ms`: until when what the
    account was given is dead; 0: never was."""

    account: str
    roles: tuple[str, ...]
    maker: Maker
    times: SessionTimes
    revoked: bool
    account_ended_at_ms: int


async def create(
    connection: AsyncConnection, secret_sha256: bytes, account: str, times: SessionTimes
) -> None:
    await connection.execute(
        insert(tables.person_session).values(
            secret_sha256=secret_sha256,
            account=account,
            opened_at_ms=times.opened_at_ms,
            expires_at_ms=times.expires_at_ms,
            renewed_at_ms=times.renewed_at_ms,
        )
    )


async def find(connection: AsyncConnection, secret_sha256: bytes) -> StoredSession | None:
    session, account, revocation = tables.person_session, tables.account, tables.revocation
    row = (
        await connection.execute(
            select(
                session.c.account,
                session.c.opened_at_ms,
                session.c.expires_at_ms,
                session.c.renewed_at_ms,
                account.c.roles,
                account.c.made_proposed_by,
                account.c.made_approved_by,
                account.c.revoked_at_ms.is_not(None).label("revoked"),
                revocation.c.revoked_at_ms.label("ended_at_ms"),
            )
            .join(account, account.c.account == session.c.account)
            .outerjoin(revocation, revocation.c.subject == "account:" + session.c.account)
            .where(session.c.secret_sha256 == secret_sha256)
        )
    ).one_or_none()
    if row is None:
        return None
    return StoredSession(
        row.account,
        tuple(row.roles),
        Maker(row.made_proposed_by, row.made_approved_by),
        SessionTimes(row.opened_at_ms, row.expires_at_ms, row.renewed_at_ms),
        row.revoked,
        row.ended_at_ms or 0,
    )


async def note_renewal(connection: AsyncConnection, secret_sha256: bytes, now_ms: int) -> None:
    columns = tables.person_session.c
    await connection.execute(
        update(tables.person_session)
        .where(columns.secret_sha256 == secret_sha256, columns.renewed_at_ms < now_ms)
        .values(renewed_at_ms=now_ms)
    )


async def remove(connection: AsyncConnection, secret_sha256: bytes) -> str | None:
    """Ends the session; returns whose it was, None where there was none."""
    gone = await connection.execute(
        delete(tables.person_session)
        .where(tables.person_session.c.secret_sha256 == secret_sha256)
        .returning(tables.person_session.c.account)
    )
    return gone.scalar_one_or_none()


async def remove_all(connection: AsyncConnection, account: str) -> int:
    """Ends the account's sessions; returns how many there were."""
    columns = tables.person_session.c
    gone = await connection.execute(
        delete(tables.person_session).where(columns.account == account).returning(columns.opened_at_ms)
    )
    return len(gone.all())


async def forget(connection: AsyncConnection, *, now_ms: int) -> None:
    """Forgets the sessions that give no token any more: the audit log has who signed in."""
    columns = tables.person_session.c
    await connection.execute(
        delete(tables.person_session).where(
            or_(
                columns.expires_at_ms <= now_ms,
                columns.renewed_at_ms <= now_ms - SESSION_IDLE_MS,
            )
        )
    )
