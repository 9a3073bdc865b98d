"""Commands that were carried out: what a repeat of one is answered."""

from __future__ import annotations

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.registry import tables


async def earlier_response(connection: AsyncConnection, command_id: str) -> tuple[bytes, bytes] | None:
    """Request hash and response of a command that was carried out before."""
    columns = tables.command.c
    row = (
        await connection.execute(
            select(columns.request_sha256, columns.response).where(columns.command_id == command_id)
        )
    ).one_or_none()
    return None if row is None else (row.request_sha256, row.response)


async def remember_response(
    connection: AsyncConnection,
    command_id: str,
    request_sha256: bytes,
    response: bytes,
    *,
    actor: str,
    now_ms: int,
) -> None:
    """Notes a command's response for repeats."""
    await connection.execute(
        insert(tables.command).values(
            command_id=command_id,
            request_sha256=request_sha256,
            response=response,
            actor=actor,
            created_at_ms=now_ms,
        )
    )


async def forget_commands(connection: AsyncConnection, *, before_ms: int) -> None:
    """Forgets the responses to commands of before then: a repeat of one is a new command."""
    await connection.execute(delete(tables.command).where(tables.command.c.created_at_ms < before_ms))
