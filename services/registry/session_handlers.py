"""Use cases on sessions at a browser: the console carries them, and cannot make one (docs/adr/0010)."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable

from sqlalchemy.ext.asyncio import AsyncEngine

from alerthub import audit
from alerthub.api.v1 import access_pb2, registry_pb2
from alerthub.domain.accounts import SESSION_LIFE_MS, SessionTimes, session_lives
from alerthub.domain.denials import Denial
from alerthub.identity import NotAuthenticatedError, TokenSigner
from alerthub.postgres import transaction
from services.registry import session_store as store
from services.registry.account_handlers import AccountHandlers

AUDIENCE = "console"
_SECRET_BYTES = 32
_REFUSED = Denial.SESSION_OVER
"""The same for every reason."""


class SessionHandlers:
    """Opens with a password, renews with a secret, closes."""

    def __init__(
        self,
        engine: AsyncEngine,
        accounts: AccountHandlers,
        *,
        signer: TokenSigner,
        now_ms: Callable[[], int],
    ) -> None:
        self._engine = engine
        self._accounts = accounts
        self._signer = signer
        self._now_ms = now_ms

    async def open(self, account: str, password: str, *, address: str) -> registry_pb2.OpenSessionResponse:
        """A session for whoever knows the password. `address`: the browser's. Raises what signing in
        raises."""
        roles = await self._accounts.authenticate(account, password, AUDIENCE, address=address)
        secret = secrets.token_urlsafe(_SECRET_BYTES)
        now_ms = self._now_ms()
        times = SessionTimes(now_ms, now_ms + SESSION_LIFE_MS, now_ms)
        async with transaction(self._engine) as connection:
            await store.create(connection, _hash(secret), account, times)
        return registry_pb2.OpenSessionResponse(
            session_secret=secret,
            opened_at_ms=times.opened_at_ms,
            expires_at_ms=times.expires_at_ms,
            roles=roles,
        )

    async def renew(self, secret: str, audience: str) -> registry_pb2.RenewTokenResponse:
        """A token with the roles of now. Raises NotAuthenticatedError where the session has ended, was not
        used for too long, or the account was revoked or given other roles after it was opened."""
        hashed = _hash(secret)
        async with transaction(self._engine) as connection:
            now_ms = self._now_ms()
            found = await store.find(connection, hashed)
            if found is None or not session_lives(
                found.times,
                account_revoked=found.revoked,
                account_ended_at_ms=found.account_ended_at_ms,
                now_ms=now_ms,
            ):
                raise NotAuthenticatedError(_REFUSED.value)
            await store.note_renewal(connection, hashed, now_ms)
        roles = [access_pb2.Role.Value(name) for name in found.roles]
        token, expires_at_ms = self._signer.sign(
            account=found.account,
            roles=roles,
            audience=audience,
            now_ms=now_ms,
            made_by=found.maker.names,
        )
        return registry_pb2.RenewTokenResponse(token=token, expires_at_ms=expires_at_ms, roles=roles)

    async def close(self, secret: str) -> None:
        """Ends it; one that is over already stays so."""
        async with transaction(self._engine) as connection:
            account = await store.remove(connection, _hash(secret))
            if account is not None:
                await audit.record(
                    connection,
                    action="SignedOut",
                    actor=f"person:{account}",
                    subject=f"account:{account}",
                    detail=f"audience {AUDIENCE}",
                )


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
