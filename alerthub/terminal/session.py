"""The officer's sign-in: a five-minute token for the audience push, renewed before it ends.

The password stays in the memory of the process for the shift; nothing writes it anywhere.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import grpc

from alerthub.api.v1 import registry_pb2_grpc
from alerthub.api.v1.registry_pb2 import SignInRequest
from alerthub.domain.denials import Denial, registry_silent
from alerthub.domain.errors import NotAllowed, Retry, TooOften
from alerthub.grpc_errors import error_of

AUDIENCE = "push"
RENEW_BEFORE_END_MS = 90_000
"""How long before its end a token is renewed: room for several tries at an unreachable registry."""
RENEWAL_SPREAD_MS = 60_000
"""Each token is renewed up to so much earlier, at random: officers whose shift began together do not sign in
together again, since a password costs the registry a tenth of a second of a core."""
_DEADLINE_SECONDS = 10.0
_FINAL = frozenset({grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED})


@dataclass(frozen=True, slots=True)
class OfficerToken:
    """A token and the end of its life, milliseconds since 1970 by the registry's clock."""

    text: str
    expires_at_ms: int
    renewed_early_ms: int = 0
    """How long before it has to be."""

    def __repr__(self) -> str:
        """Without the token: representations end up in logs and errors."""
        return f"OfficerToken(expires_at_ms={self.expires_at_ms})"


def certificate_authority(ca_file: Path) -> grpc.ChannelCredentials:
    """TLS towards a server of the hub, known by the hub's authority."""
    return grpc.ssl_channel_credentials(root_certificates=ca_file.read_bytes())


class OfficerSession:
    """One officer's shift at one terminal."""

    def __init__(
        self, *, registry_address: str, ca_file: Path, account: str, password: str, now_ms: Callable[[], int]
    ) -> None:
        self.account = account
        self._address = registry_address
        self._ca_file = ca_file
        self._password = password
        self._now_ms = now_ms
        self._token: OfficerToken | None = None
        self._signing_in = asyncio.Lock()

    async def token(self) -> OfficerToken:
        """A token that is good for at least a minute and a half.

        `Retry`: the registry cannot be reached. `TooOften`: it counts too many failures here. `NotAllowed`:
        it refused the account.
        """
        async with self._signing_in:
            held = self._token
            if held is None or self.milliseconds_until_renewal(held) <= 0:
                held = self._token = await self._sign_in()
            return held

    def milliseconds_until_renewal(self, token: OfficerToken) -> int:
        """How long `token` is used before a new one is fetched; not positive: now."""
        return token.expires_at_ms - RENEW_BEFORE_END_MS - token.renewed_early_ms - self._now_ms()

    def discard(self, token: OfficerToken) -> None:
        """The hub did not take `token`: the next call signs in again."""
        if self._token is token:
            self._token = None

    async def _sign_in(self) -> OfficerToken:
        async with grpc.aio.secure_channel(self._address, certificate_authority(self._ca_file)) as channel:
            stub = registry_pb2_grpc.SessionServiceStub(channel)
            request = SignInRequest(account=self.account, password=self._password, audience=AUDIENCE)
            try:
                response = await stub.SignIn(request, timeout=_DEADLINE_SECONDS)
            except grpc.aio.AioRpcError as error:
                if error.code() in _FINAL:
                    raise NotAllowed("account", Denial.ACCOUNT_NOT_TAKEN.value) from None
                told = error_of(error)
                if isinstance(told, TooOften):
                    raise told from None
                raise Retry(registry_silent(error.code().name)) from None
        return OfficerToken(
            response.token,
            response.expires_at_ms,
            random.randrange(RENEWAL_SPREAD_MS),  # noqa: S311 - a time, and no secret
        )
