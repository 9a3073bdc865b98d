"""The registry's gRPC edge. It decides nothing: who may call is the access rule, what is right the
handlers'."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import unquote

import grpc

from alerthub.api.v1 import registry_pb2, registry_pb2_grpc
from alerthub.identity import current_caller
from services.registry.account_handlers import AccountHandlers
from services.registry.granting import GrantHandlers
from services.registry.handlers import ResourceHandlers
from services.registry.identity_handlers import IdentityHandlers
from services.registry.identity_store import Enrolment
from services.registry.leaving import LeavingHandlers
from services.registry.session_handlers import SessionHandlers

Context = grpc.aio.ServicerContext[Any, Any]


def peer_address(peer: str) -> str:
    """The IP address in gRPC's name of a peer: `ipv4:192.0.2.1:5000`, `ipv6:%5B2001:db8::1%5D:5000`."""
    scheme, _, rest = unquote(peer).partition(":")
    return rest.rpartition(":")[0].strip("[]") if scheme in {"ipv4", "ipv6"} else ""


class RegistryServicer(registry_pb2_grpc.RegistryServiceServicer):
    """RegistryService."""

    def __init__(
        self,
        resources: ResourceHandlers,
        grants: GrantHandlers,
        leaving: LeavingHandlers,
        identities: IdentityHandlers,
    ) -> None:
        self._resources = resources
        self._grants = grants
        self._leaving = leaving
        self._identities = identities

    async def PlanResources(  # noqa: N802 - the name on the wire
        self, request: registry_pb2.PlanResourcesRequest, context: Context
    ) -> registry_pb2.PlanResourcesResponse:
        return await self._resources.plan(request.resources)

    async def ApplyResources(  # noqa: N802 - the name on the wire
        self, request: registry_pb2.ApplyResourcesRequest, context: Context
    ) -> registry_pb2.ApplyResourcesResponse:
        return await self._resources.apply(
            request.command_id, request.resources, actor=current_caller().actor
        )

    async def ListResources(  # noqa: N802 - the name on the wire
        self, request: registry_pb2.ListResourcesRequest, context: Context
    ) -> registry_pb2.ListResourcesResponse:
        return await self._resources.list(request.kind, request.page_size, request.page_token)

    async def IssueDeviceCredential(  # noqa: N802 - the name on the wire
        self, request: registry_pb2.IssueDeviceCredentialRequest, context: Context
    ) -> registry_pb2.IssueDeviceCredentialResponse:
        secret = await self._identities.issue_device_credential(
            request.device_id, actor=current_caller().actor
        )
        return registry_pb2.IssueDeviceCredentialResponse(secret=secret)

    async def IssueDeviceCertificate(  # noqa: N802 - the name on the wire
        self, request: registry_pb2.IssueDeviceCertificateRequest, context: Context
    ) -> registry_pb2.IssueDeviceCertificateResponse:
        return await self._identities.issue_device_certificate(
            request.device_id, request.signing_request_pem, actor=current_caller().actor
        )

    async def CreateEnrolmentCode(  # noqa: N802 - the name on the wire
        self, request: registry_pb2.CreateEnrolmentCodeRequest, context: Context
    ) -> registry_pb2.CreateEnrolmentCodeResponse:
        return await self._identities.create_enrolment_code(
            Enrolment(request.terminal_id, request.unit_id), actor=current_caller().actor
        )

    async def ProposeAccount(  # noqa: N802 - the name on the wire
        self, request: registry_pb2.ProposeAccountRequest, context: Context
    ) -> registry_pb2.ProposeAccountResponse:
        proposal_id = await self._grants.propose(request.account, request.roles, by=current_caller().name)
        return registry_pb2.ProposeAccountResponse(proposal_id=proposal_id)

    async def ApproveAccount(  # noqa: N802 - the name on the wire
        self, request: registry_pb2.ApproveAccountRequest, context: Context
    ) -> registry_pb2.ApproveAccountResponse:
        password = await self._grants.approve(request.proposal_id, by=current_caller().name)
        return registry_pb2.ApproveAccountResponse(first_password=password)

    async def ListAccounts(  # noqa: N802 - the name on the wire
        self, request: registry_pb2.ListAccountsRequest, context: Context
    ) -> registry_pb2.ListAccountsResponse:
        return await self._grants.list(request.page_size, request.page_token)

    async def ProposeAccounts(  # noqa: N802 - the name on the wire
        self, request: registry_pb2.ProposeAccountsRequest, context: Context
    ) -> registry_pb2.ProposeAccountsResponse:
        return await self._grants.propose_all(request.accounts, by=current_caller().name)

    async def GetAccountImport(  # noqa: N802 - the name on the wire
        self, request: registry_pb2.GetAccountImportRequest, context: Context
    ) -> registry_pb2.GetAccountImportResponse:
        return await self._grants.show(request.import_id)

    async def ApproveAccounts(  # noqa: N802 - the name on the wire
        self, request: registry_pb2.ApproveAccountsRequest, context: Context
    ) -> AsyncIterator[registry_pb2.ApproveAccountsResponse]:
        by = current_caller().name
        async for approved in self._grants.approve_all(request.import_id, request.digest, by=by):
            yield approved

    async def EndAccess(  # noqa: N802 - the name on the wire
        self, request: registry_pb2.EndAccessRequest, context: Context
    ) -> registry_pb2.EndAccessResponse:
        return await self._leaving.end_access(request.account, request.reason, actor=current_caller().actor)

    async def Revoke(  # noqa: N802 - the name on the wire
        self, request: registry_pb2.RevokeRequest, context: Context
    ) -> registry_pb2.RevokeResponse:
        await self._identities.revoke(request, actor=current_caller().actor)
        return registry_pb2.RevokeResponse()


class SessionServicer(registry_pb2_grpc.SessionServiceServicer):
    """SessionService: the password is the proof, or the secret of a session that began with one."""

    def __init__(self, accounts: AccountHandlers, sessions: SessionHandlers) -> None:
        self._accounts = accounts
        self._sessions = sessions

    async def SignIn(  # noqa: N802 - the name on the wire
        self, request: registry_pb2.SignInRequest, context: Context
    ) -> registry_pb2.SignInResponse:
        return await self._accounts.sign_in(
            request.account, request.password, request.audience, address=peer_address(context.peer())
        )

    async def ChangePassword(  # noqa: N802 - the name on the wire
        self, request: registry_pb2.ChangePasswordRequest, context: Context
    ) -> registry_pb2.ChangePasswordResponse:
        await self._accounts.change_password(
            request.account,
            request.old_password,
            request.new_password,
            address=peer_address(context.peer()),
        )
        return registry_pb2.ChangePasswordResponse()

    async def OpenSession(  # noqa: N802 - the name on the wire
        self, request: registry_pb2.OpenSessionRequest, context: Context
    ) -> registry_pb2.OpenSessionResponse:
        return await self._sessions.open(request.account, request.password, address=request.client_address)

    async def RenewToken(  # noqa: N802 - the name on the wire
        self, request: registry_pb2.RenewTokenRequest, context: Context
    ) -> registry_pb2.RenewTokenResponse:
        return await self._sessions.renew(request.session_secret, request.audience)

    async def CloseSession(  # noqa: N802 - the name on the wire
        self, request: registry_pb2.CloseSessionRequest, context: Context
    ) -> registry_pb2.CloseSessionResponse:
        await self._sessions.close(request.session_secret)
        return registry_pb2.CloseSessionResponse()


class EnrolmentServicer(registry_pb2_grpc.EnrolmentServiceServicer):
    """EnrolmentService: the one-time code is the proof."""

    def __init__(self, identities: IdentityHandlers) -> None:
        self._identities = identities

    async def EnrolTerminal(  # noqa: N802 - the name on the wire
        self, request: registry_pb2.EnrolTerminalRequest, context: Context
    ) -> registry_pb2.EnrolTerminalResponse:
        return await self._identities.enrol_terminal(request.code, request.signing_request_pem)
