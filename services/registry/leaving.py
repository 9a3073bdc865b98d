"""The use case of a person who leaves: everything that they could still do ends, in one transaction."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from alerthub import audit
from alerthub.api.v1 import registry_pb2
from alerthub.domain.errors import NotFound, Refuse
from alerthub.domain.resources import Shift
from alerthub.postgres import transaction
from services.registry import account_store, identity_store, metrics, session_store, store
from services.registry.handlers import ResourceHandlers
from services.registry.topic_versions import TopicVersions

TOLD_DEVICES = 1_000
"""Devices that are named as having a secret which the person saw."""


class LeavingHandlers:
    """Ends a person's access."""

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        resources: ResourceHandlers,
        versions: TopicVersions,
        now_ms: Callable[[], int],
    ) -> None:
        self._engine = engine
        self._resources = resources
        self._versions = versions
        self._now_ms = now_ms

    async def end_access(self, account: str, reason: str, *, actor: str) -> registry_pb2.EndAccessResponse:
        """Ends sign-in, sessions, tokens and streams, takes the person off every shift from now on, and ends
        what waits for approval by them or for them, and the enrolment codes that they made.

        Whatever ended before stays as it is, so a repeat ends only what has come since. Raises NotFound, or
        Refuse without a reason.
        """
        if not reason.strip():
            raise Refuse("reason", "why the access ends")
        async with transaction(self._engine) as connection:
            # In the order in which every change of resources takes its locks.
            await store.lock(connection)
            known = await account_store.find_account(connection, account, lock=True)
            if known is None:
                raise NotFound("account", "an account that exists")
            now_ms = self._now_ms()
            if not known.revoked:
                await self._revoke(connection, account, reason, actor, now_ms)
            shifts = await self._leave_shifts(connection, account, actor, now_ms)
            ended = registry_pb2.EndAccessResponse(
                account_ended=not known.revoked,
                sessions=await session_store.remove_all(connection, account),
                shift_ids=[shift.shift_id for shift in shifts],
                proposals=await account_store.end_proposals(connection, account, now_ms),
                enrolment_codes=await identity_store.remove_codes(connection, f"person:{account}"),
                device_ids=await store.secrets_shown_to(connection, f"person:{account}", TOLD_DEVICES),
            )
            if _changed(ended):
                await audit.record(
                    connection,
                    action="AccessEnded",
                    actor=actor,
                    subject=f"account:{account}",
                    reason=reason,
                    detail=_detail(ended),
                )
        if ended.account_ended:
            metrics.revocations.labels("account").inc()
        return ended

    async def _revoke(
        self, connection: AsyncConnection, account: str, reason: str, actor: str, now_ms: int
    ) -> None:
        await account_store.mark_revoked(connection, account, now_ms)
        await account_store.put_revocation(
            connection,
            self._versions,
            f"account:{account}",
            now_ms=now_ms,
            reinstated=False,
            reason=reason,
            actor=actor,
        )

    async def _leave_shifts(
        self, connection: AsyncConnection, account: str, actor: str, now_ms: int
    ) -> list[Shift]:
        shifts = [
            shift
            for shift in await store.shifts_naming(connection, account)
            if account in shift.officers and shift.until_ms > now_ms
        ]
        without = [
            dataclasses.replace(shift, officers=tuple(name for name in shift.officers if name != account))
            for shift in shifts
        ]
        if without:
            await self._resources.apply_within(connection, without, actor=actor)
        return shifts


def _changed(ended: registry_pb2.EndAccessResponse) -> bool:
    return bool(
        ended.account_ended or ended.sessions or ended.shift_ids or ended.proposals or ended.enrolment_codes
    )


def _detail(ended: registry_pb2.EndAccessResponse) -> str:
    return (
        f"{ended.sessions} sessions, {len(ended.shift_ids)} shifts, {ended.proposals} proposals, "
        f"{ended.enrolment_codes} enrolment codes; {len(ended.device_ids)} devices with a secret shown"
    )
