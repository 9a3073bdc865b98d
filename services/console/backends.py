"""The other services, called for a person: with the person's own token, never with the console's right.

The one thing that the console does with its certificate is to carry a session to the registry and back.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import grpc

from alerthub.api.v1 import alert_pb2_grpc, registry_pb2, registry_pb2_grpc, watchlist_pb2_grpc
from alerthub.domain.denials import Denial
from alerthub.grpc import person_channel, service_channel
from alerthub.grpc_errors import error_of
from alerthub.identity import NotAuthenticatedError
from services.console.sessions import Session
from services.console.settings import ConsoleSettings

Asked = TypeVar("Asked")
Answered = TypeVar("Answered")
Metadata = tuple[tuple[str, str], ...]
_RENEWED_BEFORE_MS = 45_000
"""A token is renewed while it is still good for any call."""


class Backends:
    """Channels and stubs. Made within the loop that uses them."""

    def __init__(self, settings: ConsoleSettings, *, now_ms: Callable[[], int]) -> None:
        addresses, ca_file = settings.addresses, settings.tls.ca_file
        self._timeout = settings.call_timeout_seconds
        self._now_ms = now_ms
        self._channels = {
            "sessions": service_channel(settings, addresses.registry),
            "registry": person_channel(ca_file, addresses.registry_person),
            "watchlist": person_channel(ca_file, addresses.watchlist_person),
            "dispatch": person_channel(ca_file, addresses.dispatch_person),
        }
        self._sessions: registry_pb2_grpc.SessionServiceAsyncStub = registry_pb2_grpc.SessionServiceStub(
            self._channels["sessions"]
        )
        self._sign_in: registry_pb2_grpc.SessionServiceAsyncStub = registry_pb2_grpc.SessionServiceStub(
            self._channels["registry"]
        )
        self.registry: registry_pb2_grpc.RegistryServiceAsyncStub = registry_pb2_grpc.RegistryServiceStub(
            self._channels["registry"]
        )
        self.watchlist: watchlist_pb2_grpc.WatchlistServiceAsyncStub = (
            watchlist_pb2_grpc.WatchlistServiceStub(self._channels["watchlist"])
        )
        self.dispatch: alert_pb2_grpc.DispatchServiceAsyncStub = alert_pb2_grpc.DispatchServiceStub(
            self._channels["dispatch"]
        )

    async def close(self) -> None:
        for channel in self._channels.values():
            await channel.close()

    async def open_session(
        self, account: str, password: str, *, address: str
    ) -> registry_pb2.OpenSessionResponse:
        """`address` is the browser's, at which failures are counted. Raises NotAuthenticatedError, with one
        text whatever is wrong, or Retry."""
        request = registry_pb2.OpenSessionRequest(account=account, password=password, client_address=address)
        return await self._told(self._sessions.OpenSession(request, timeout=2 * self._timeout))

    async def close_session(self, session: Session) -> None:
        """Ends it at the registry. Raises Retry."""
        request = registry_pb2.CloseSessionRequest(session_secret=session.renewal)
        await self._told(self._sessions.CloseSession(request, timeout=self._timeout))

    async def token_of_second_person(self, account: str, password: str, audience: str) -> str:
        """The token of somebody who looks over the shoulder. Raises NotAuthenticatedError or Retry."""
        request = registry_pb2.SignInRequest(account=account, password=password, audience=audience)
        answer = await self._told(self._sign_in.SignIn(request, timeout=2 * self._timeout))
        return answer.token

    async def call(
        self,
        session: Session,
        audience: str,
        method: grpc.aio.UnaryUnaryMultiCallable[Asked, Answered],
        request: Asked,
    ) -> Answered:
        """The answer to a call with the person's token for `audience`.

        A token that is refused is renewed once; where the registry gives none the session is over. Raises
        what the service said, as `alerthub.grpc_errors.error_of` reads it.
        """
        for _ in range(2):
            metadata = await self._credentials(session, audience)
            try:
                return await self._told(method(request, metadata=metadata, timeout=self._timeout))
            except NotAuthenticatedError as error:
                session.tokens.pop(audience, None)
                refused = error
        raise refused

    async def _credentials(self, session: Session, audience: str) -> Metadata:
        token, ends_at_ms = session.tokens.get(audience, ("", 0))
        if ends_at_ms - _RENEWED_BEFORE_MS <= self._now_ms():
            request = registry_pb2.RenewTokenRequest(session_secret=session.renewal, audience=audience)
            try:
                renewed = await self._told(self._sessions.RenewToken(request, timeout=self._timeout))
            except NotAuthenticatedError:
                session.end(Denial.SESSION_ENDED_BY_REGISTRY)
                raise
            if session.ended is not None:
                raise NotAuthenticatedError(session.ended.value)
            token = renewed.token
            session.roles = frozenset(renewed.roles)
            session.tokens[audience] = (token, renewed.expires_at_ms)
        return (("authorization", f"Bearer {token}"),)

    @staticmethod
    async def _told(call: Awaitable[Answered]) -> Answered:
        try:
            return await call
        except grpc.RpcError as error:
            raise error_of(error) from None
