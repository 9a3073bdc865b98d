"""Accounts, proposals and revocations in PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, func, insert, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from alerthub import outbox
from alerthub.api.v1 import registry_pb2
from alerthub.domain.accounts import Maker, SignInState
from services.registry import tables
from services.registry.topic_versions import TopicVersions


@dataclass(frozen=True, slots=True)
class Account:
    """An account as its handlers see it. `roles` are names such as ROLE_OPERATOR."""

    account: str
    password_hash: str
    roles: tuple[str, ...]
    state: SignInState
    revoked: bool
    maker: Maker


@dataclass(frozen=True, slots=True)
class Proposal:
    """A grant that waits for, or has, its second person."""

    proposal_id: str
    account: str
    roles: tuple[str, ...]
    proposed_by: str
    proposed_at_ms: int
    approved_by: str | None
    ended: bool


async def find_account(connection: AsyncConnection, account: str, *, lock: bool = False) -> Account | None:
    """The account; with `lock`, nobody else changes it until the transaction ends."""
    query = select(tables.account).where(tables.account.c.account == account)
    row = (await connection.execute(query.with_for_update() if lock else query)).one_or_none()
    return None if row is None else _account(row)


def _account(row: Row[Any]) -> Account:
    return Account(
        row.account,
        row.password_hash,
        tuple(row.roles),
        SignInState(row.failures, row.locked_until_ms),
        row.revoked_at_ms is not None,
        Maker(row.made_proposed_by, row.made_approved_by),
    )


async def find_accounts(connection: AsyncConnection, names: Iterable[str]) -> dict[str, Account]:
    """Those of the accounts that exist, by name."""
    columns = tables.account.c
    rows = await connection.execute(select(tables.account).where(columns.account.in_(sorted(set(names)))))
    return {row.account: _account(row) for row in rows}


async def page(connection: AsyncConnection, after: str, size: int) -> list[Account]:
    """The next accounts in order of their names."""
    columns = tables.account.c
    rows = await connection.execute(
        select(tables.account).where(columns.account > after).order_by(columns.account).limit(size)
    )
    return [_account(row) for row in rows]


async def has_accounts(connection: AsyncConnection) -> bool:
    """Whether there is any account."""
    return bool(await connection.scalar(select(func.count()).select_from(tables.account)))


async def set_password(connection: AsyncConnection, account: str, password_hash: str) -> None:
    """Puts another password into force."""
    await connection.execute(
        update(tables.account).where(tables.account.c.account == account).values(password_hash=password_hash)
    )


async def save_state(connection: AsyncConnection, account: str, state: SignInState) -> None:
    """Notes what the account remembers about failed sign-ins."""
    await connection.execute(
        update(tables.account)
        .where(tables.account.c.account == account)
        .values(failures=state.failures, locked_until_ms=state.locked_until_ms)
    )


async def create_bootstrap_accounts(
    connection: AsyncConnection, accounts: Sequence[tuple[str, str, Sequence[str]]], *, now_ms: int
) -> None:
    """The accounts (name, password hash, roles) that the hub begins with. Later the database refuses."""
    rows = [
        {
            "account": name,
            "password_hash": password_hash,
            "roles": sorted(roles),
            "failures": 0,
            "locked_until_ms": 0,
            "bootstrap": True,
            "made_proposed_by": "",
            "made_approved_by": "",
            "created_at_ms": now_ms,
        }
        for name, password_hash, roles in accounts
    ]
    # One statement: the database tells first accounts from later ones by it.
    await connection.execute(insert(tables.account).values(rows))


async def create_proposals(
    connection: AsyncConnection,
    proposals: Sequence[tuple[str, str, Iterable[str]]],
    *,
    by: str,
    now_ms: int,
    import_id: str | None = None,
) -> None:
    """Notes proposals (id, account, roles) that wait for their second person. Those of one import have its id
    in common."""
    await connection.execute(
        insert(tables.account_proposal),
        [
            {
                "proposal_id": proposal_id,
                "account": account,
                "roles": sorted(roles),
                "proposed_by": by,
                "proposed_at_ms": now_ms,
                "import_id": import_id,
            }
            for proposal_id, account, roles in proposals
        ],
    )


def _proposal(row: Row[Any]) -> Proposal:
    return Proposal(
        row.proposal_id,
        row.account,
        tuple(row.roles),
        row.proposed_by,
        row.proposed_at_ms,
        row.approved_by,
        row.ended_at_ms is not None,
    )


async def find_proposal(connection: AsyncConnection, proposal_id: str) -> Proposal | None:
    """The proposal, held until the transaction ends."""
    row = (
        await connection.execute(
            select(tables.account_proposal)
            .where(tables.account_proposal.c.proposal_id == proposal_id)
            .with_for_update()
        )
    ).one_or_none()
    return None if row is None else _proposal(row)


async def proposals_of_import(connection: AsyncConnection, import_id: str) -> list[Proposal]:
    """The import's proposals by account."""
    columns = tables.account_proposal.c
    rows = await connection.execute(
        select(tables.account_proposal).where(columns.import_id == import_id).order_by(columns.account)
    )
    return [_proposal(row) for row in rows]


async def waiting_imports(connection: AsyncConnection, by: str, *, since_ms: int) -> list[str]:
    """The imports of this person since then of which something waits, the newest first."""
    columns = tables.account_proposal.c
    rows = await connection.execute(
        select(columns.import_id)
        .where(
            columns.proposed_by == by,
            columns.import_id.is_not(None),
            columns.proposed_at_ms >= since_ms,
            columns.approved_by.is_(None),
            columns.ended_at_ms.is_(None),
        )
        .group_by(columns.import_id)
        .order_by(func.max(columns.proposed_at_ms).desc())
    )
    return [row.import_id for row in rows]


async def end_proposals(connection: AsyncConnection, account: str, now_ms: int) -> int:
    """Ends what waits for approval and was proposed by the account or for it; returns how many."""
    columns = tables.account_proposal.c
    ended = await connection.execute(
        update(tables.account_proposal)
        .where(
            or_(columns.proposed_by == account, columns.account == account),
            columns.approved_by.is_(None),
            columns.ended_at_ms.is_(None),
        )
        .values(ended_at_ms=now_ms)
        .returning(columns.proposal_id)
    )
    return len(ended.all())


async def approve(connection: AsyncConnection, proposal: Proposal, by: str, now_ms: int) -> None:
    """Notes the second person."""
    await connection.execute(
        update(tables.account_proposal)
        .where(tables.account_proposal.c.proposal_id == proposal.proposal_id)
        .values(approved_by=by, approved_at_ms=now_ms)
    )


async def create_account(
    connection: AsyncConnection, proposal: Proposal, password_hash: str, by: str, now_ms: int
) -> None:
    """The account that an approved proposal makes."""
    await connection.execute(
        insert(tables.account).values(
            account=proposal.account,
            password_hash=password_hash,
            roles=list(proposal.roles),
            failures=0,
            locked_until_ms=0,
            bootstrap=False,
            made_proposed_by=proposal.proposed_by,
            made_approved_by=by,
            proposal_id=proposal.proposal_id,
            created_at_ms=now_ms,
        )
    )


async def grant(connection: AsyncConnection, proposal: Proposal, *, password_hash: str | None) -> None:
    """Gives an account an approved proposal's roles; with a password hash it returns from revocation too."""
    values: dict[str, object] = {"roles": list(proposal.roles), "proposal_id": proposal.proposal_id}
    if password_hash is not None:
        values |= {
            "password_hash": password_hash,
            "revoked_at_ms": None,
            "failures": 0,
            "locked_until_ms": 0,
        }
    await connection.execute(
        update(tables.account).where(tables.account.c.account == proposal.account).values(**values)
    )


async def mark_revoked(connection: AsyncConnection, account: str, now_ms: int) -> None:
    """The account signs in no more."""
    await connection.execute(
        update(tables.account).where(tables.account.c.account == account).values(revoked_at_ms=now_ms)
    )


# --- revocations


async def is_revoked(connection: AsyncConnection, subject: str) -> bool:
    """Whether the newest word on the subject is that it is revoked."""
    columns = tables.revocation.c
    return (
        await connection.scalar(
            select(columns.subject).where(columns.subject == subject, columns.reinstated.is_(False))
        )
        is not None
    )


async def put_revocation(
    connection: AsyncConnection,
    versions: TopicVersions,
    subject: str,
    *,
    now_ms: int,
    reinstated: bool,
    reason: str,
    actor: str,
) -> None:
    """The next word on a subject (account:NAME, terminal:ID, certificate:FINGERPRINT), told to all at
    once."""
    columns = tables.revocation.c
    values = {"revoked_at_ms": now_ms, "reinstated": reinstated, "reason": reason, "changed_by": actor}
    known = versions.of_revocation(subject)
    version = await connection.scalar(
        upsert(tables.revocation)
        .values(subject=subject, version=known + 1, **values)
        .on_conflict_do_update(
            index_elements=["subject"],
            set_={"version": func.greatest(columns.version, known) + 1, **values},
        )
        .returning(columns.version)
    )
    message = registry_pb2.Revocation(
        version=version or 0, subject=subject, revoked_at_ms=now_ms, reinstated=reinstated
    )
    await outbox.enqueue(
        connection,
        topic="revocations",
        key=subject,
        value=message.SerializeToString(),
        version=message.version,
    )


async def take_over_revocation(
    connection: AsyncConnection, told: registry_pb2.Revocation, *, reason: str, actor: str
) -> None:
    """Notes a word that the topic has already and this database has lost (C19)."""
    values = {
        "version": told.version,
        "revoked_at_ms": told.revoked_at_ms,
        "reinstated": told.reinstated,
        "reason": reason,
        "changed_by": actor,
    }
    await connection.execute(
        upsert(tables.revocation)
        .values(subject=told.subject, **values)
        .on_conflict_do_update(index_elements=["subject"], set_=values)
    )


async def revocation_versions(connection: AsyncConnection) -> dict[str, int]:
    """Every subject with its version, for the republisher."""
    columns = tables.revocation.c
    rows = await connection.execute(select(columns.subject, columns.version))
    return {row.subject: row.version for row in rows}


async def revocation_messages(connection: AsyncConnection, subjects: Sequence[str]) -> list[outbox.Message]:
    """The newest word on these subjects, for the republisher."""
    rows = await connection.execute(
        select(tables.revocation).where(tables.revocation.c.subject.in_(list(subjects)))
    )
    return [
        outbox.Message(
            "revocations",
            row.subject,
            row.version,
            registry_pb2.Revocation(
                version=row.version,
                subject=row.subject,
                revoked_at_ms=row.revoked_at_ms,
                reinstated=row.reinstated,
            ).SerializeToString(),
        )
        for row in rows
    ]
