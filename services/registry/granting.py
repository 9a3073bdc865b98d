"""Use cases on grants: one person proposes accounts and roles, another approves (S6)."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable, Sequence

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from alerthub import audit
from alerthub.api.v1 import access_pb2, registry_pb2
from alerthub.domain import accounts as decide
from alerthub.domain.accounts import Grant
from alerthub.domain.errors import Conflict, NotFound, Refuse
from alerthub.postgres import transaction
from services.registry import account_store as store
from services.registry.passwords import Passwords, first_password
from services.registry.topic_versions import TopicVersions

PROPOSAL_LIFE_MS = 7 * 24 * 3_600_000
"""A grant that nobody approved for a week is not what anybody has in mind any more."""
_DEFAULT_PAGE = 200


class GrantHandlers:
    """Proposes and approves accounts, one by one or as a whole, and lists them."""

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        passwords: Passwords,
        versions: TopicVersions,
        now_ms: Callable[[], int],
    ) -> None:
        self._engine = engine
        self._passwords = passwords
        self._versions = versions
        self._now_ms = now_ms

    async def propose(self, account: str, roles: Sequence[int], *, by: str) -> str:
        """Notes a new account, or other roles for one; returns the id. Raises NotAllowed to oneself."""
        names = _role_names(roles, "roles")
        decide.check_proposer(gainer=account, proposer=by)
        proposal_id = uuid.uuid4().hex
        async with transaction(self._engine) as connection:
            await store.create_proposals(
                connection, [(proposal_id, account, names)], by=by, now_ms=self._now_ms()
            )
            await audit.record(
                connection,
                action="AccountProposed",
                actor=f"person:{by}",
                subject=f"account:{account}",
                detail=f"proposal {proposal_id}: {', '.join(names)}",
            )
        return proposal_id

    async def approve(self, proposal_id: str, *, by: str) -> str:
        """Puts a proposal into force; returns the first password of an account that is new or returns.

        Raises NotFound, Conflict for one that is approved already, ended or too old, and NotAllowed for
        anybody but a second person.
        """
        async with transaction(self._engine) as connection:
            proposal = await store.find_proposal(connection, proposal_id)
            if proposal is None:
                raise NotFound("proposal_id", "a proposal that exists")
            await self._check(connection, [proposal], by, field="proposal_id")
            if proposal.approved_by is not None:
                raise Conflict("proposal_id", "a proposal that waits for approval: this one was approved")
            return await self._grant(connection, proposal, by)

    async def propose_all(
        self, grants: Sequence[registry_pb2.AccountGrant], *, by: str
    ) -> registry_pb2.ProposeAccountsResponse:
        """Notes all of the grants, to be approved as a whole. Raises Refuse or NotAllowed that names the
        line at fault, and then has noted none."""
        wanted = _wanted(grants, by)
        digest = decide.digest_of(wanted)
        async with transaction(self._engine) as connection:
            now_ms = self._now_ms()
            for import_id in await store.waiting_imports(connection, by, since_ms=now_ms - PROPOSAL_LIFE_MS):
                if _digest(await store.proposals_of_import(connection, import_id)) == digest:
                    return registry_pb2.ProposeAccountsResponse(import_id=import_id, digest=digest)
            import_id = uuid.uuid4().hex
            proposals = [(uuid.uuid4().hex, grant.account, grant.roles) for grant in wanted]
            await store.create_proposals(connection, proposals, by=by, now_ms=now_ms, import_id=import_id)
            await audit.record_all(
                connection,
                [
                    audit.Entry(
                        action="AccountProposed",
                        actor=f"person:{by}",
                        subject=f"account:{account}",
                        detail=f"proposal {proposal_id} of import {import_id}: {', '.join(roles)}",
                    )
                    for proposal_id, account, roles in proposals
                ],
            )
        return registry_pb2.ProposeAccountsResponse(import_id=import_id, digest=digest)

    async def show(self, import_id: str) -> registry_pb2.GetAccountImportResponse:
        """What an import grants, by account. Raises NotFound."""
        async with transaction(self._engine) as connection:
            proposals = await _import(connection, import_id)
            accounts = await store.find_accounts(connection, [each.account for each in proposals])
        return registry_pb2.GetAccountImportResponse(
            digest=_digest(proposals),
            proposed_by=proposals[0].proposed_by,
            proposed_at_ms=proposals[0].proposed_at_ms,
            lines=[_line(proposal, accounts.get(proposal.account)) for proposal in proposals],
        )

    async def approve_all(
        self, import_id: str, digest: str, *, by: str
    ) -> AsyncIterator[registry_pb2.ApproveAccountsResponse]:
        """Puts an import into force, account by account, and tells each with its first password.

        Nothing is granted unless every line may be approved by this person and all of them have the digest.
        Each account is a transaction of its own, since a first password that is lost on its way cannot be
        told again: cut off in between, those that were told are in force and a repeat goes on with the rest.
        """
        async with transaction(self._engine) as connection:
            proposals = await _import(connection, import_id)
            if _digest(proposals) != digest.lower():
                raise Conflict("digest", "that of the import as it is: look at it again")
            await self._check(connection, proposals, by, field="import_id")
        waiting = [proposal for proposal in proposals if proposal.approved_by is None]
        done = len(proposals) - len(waiting)
        for proposal in waiting:
            # A turn each, so that who signs in meanwhile waits for one account and not for all.
            async with self._passwords.turn(), transaction(self._engine) as connection:
                held = await store.find_proposal(connection, proposal.proposal_id)
                if held is None or held.ended or held.approved_by is not None:
                    raise Conflict("import_id", "an import that nobody else approves or ends meanwhile")
                password = await self._grant(connection, held, by)
            done += 1
            yield registry_pb2.ApproveAccountsResponse(
                account=proposal.account, first_password=password, done=done, whole=len(proposals)
            )

    async def list(self, page_size: int, page_token: str) -> registry_pb2.ListAccountsResponse:
        """One page of the accounts in order of their names."""
        size = page_size or _DEFAULT_PAGE
        async with transaction(self._engine) as connection:
            found = await store.page(connection, page_token, size + 1)
        return registry_pb2.ListAccountsResponse(
            accounts=[
                registry_pb2.ListedAccount(
                    account=each.account, roles=_role_numbers(each.roles), revoked=each.revoked
                )
                for each in found[:size]
            ],
            next_page_token=found[size - 1].account if len(found) > size else "",
        )

    async def _check(
        self, connection: AsyncConnection, proposals: Sequence[store.Proposal], by: str, *, field: str
    ) -> None:
        """Refuses unless this person may approve every one of the proposals, and they are still meant.
        `field` names them in the request."""
        names = {by, *(proposal.proposed_by for proposal in proposals)}
        persons = await store.find_accounts(connection, names)
        for proposal in proposals:
            proposer, approver = persons.get(proposal.proposed_by), persons.get(by)
            if proposer is None or approver is None:
                raise NotFound(field, "proposed and approved by accounts that exist")
            decide.check_approver(
                field=field,
                gainer=proposal.account,
                proposer=proposal.proposed_by,
                approver=by,
                proposer_made_by=proposer.maker,
                approver_made_by=approver.maker,
            )
            too_old = self._now_ms() - proposal.proposed_at_ms > PROPOSAL_LIFE_MS
            if proposal.approved_by is None and (proposer.revoked or proposal.ended or too_old):
                raise Conflict(field, "a proposal of this week by an account in force: propose it anew")

    async def _grant(self, connection: AsyncConnection, proposal: store.Proposal, by: str) -> str:
        """Approves one proposal and puts it into force; returns the first password, empty where the account
        keeps its own."""
        now_ms = self._now_ms()
        await store.approve(connection, proposal, by, now_ms)
        password = await self._put_into_force(connection, proposal, by, now_ms)
        await audit.record(
            connection,
            action="AccountApproved",
            actor=f"person:{by}",
            subject=f"account:{proposal.account}",
            detail=f"proposal {proposal.proposal_id} by {proposal.proposed_by}: {', '.join(proposal.roles)}",
        )
        return password

    async def _put_into_force(
        self, connection: AsyncConnection, proposal: store.Proposal, by: str, now_ms: int
    ) -> str:
        known = await store.find_account(connection, proposal.account, lock=True)
        if known is not None and not known.revoked:
            await store.grant(connection, proposal, password_hash=None)
            password = ""
        else:
            password = first_password()
            password_hash = await self._passwords.hash(password)
            if known is None:
                await store.create_account(connection, proposal, password_hash, by, now_ms)
            else:
                await store.grant(connection, proposal, password_hash=password_hash)
        if known is not None:
            # Tokens with the roles of before end now, not in five minutes.
            await store.put_revocation(
                connection,
                self._versions,
                f"account:{proposal.account}",
                now_ms=now_ms,
                reinstated=True,
                reason="roles changed",
                actor=f"person:{by}",
            )
        return password


def _wanted(grants: Sequence[registry_pb2.AccountGrant], by: str) -> list[Grant]:
    wanted: dict[str, Grant] = {}
    for index, grant in enumerate(grants):
        if grant.account in wanted:
            raise Refuse(f"accounts[{index}].account", "each account once")
        decide.check_proposer(gainer=grant.account, proposer=by)
        roles = tuple(_role_names(grant.roles, f"accounts[{index}].roles"))
        wanted[grant.account] = Grant(grant.account, roles)
    return list(wanted.values())


async def _import(connection: AsyncConnection, import_id: str) -> list[store.Proposal]:
    proposals = await store.proposals_of_import(connection, import_id)
    if not proposals:
        raise NotFound("import_id", "an import that exists")
    return proposals


def _digest(proposals: Sequence[store.Proposal]) -> str:
    return decide.digest_of(Grant(each.account, each.roles) for each in proposals)


def _line(proposal: store.Proposal, account: store.Account | None) -> registry_pb2.AccountImportLine:
    return registry_pb2.AccountImportLine(
        account=proposal.account,
        roles=_role_numbers(proposal.roles),
        roles_now=_role_numbers(account.roles) if account is not None else (),
        revoked=account is not None and account.revoked,
        approved=proposal.approved_by is not None,
    )


def _role_numbers(names: Sequence[str]) -> list[access_pb2.Role.ValueType]:
    return [access_pb2.Role.Value(name) for name in names]


def _role_names(roles: Sequence[int], field: str) -> list[str]:
    for index, role in enumerate(roles):
        if role not in access_pb2.Role.values() or role == access_pb2.ROLE_UNSPECIFIED:
            raise Refuse(f"{field}[{index}]", "a role that the hub knows")
    return sorted({access_pb2.Role.Name(access_pb2.Role.ValueType(role)) for role in roles})
