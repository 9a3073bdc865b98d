"""People who work with the hub: each signs in for one service and calls it with that token."""

from __future__ import annotations

import json
from collections.abc import Awaitable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import grpc

from alerthub.api.v1 import registry_pb2_grpc
from alerthub.api.v1.registry_pb2 import SignInRequest
from alerthub.domain.errors import NotFound, Refuse, Retry
from alerthub.grpc_client import person_channel

Answer = TypeVar("Answer")
_UNREACHED = frozenset(
    {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNKNOWN}
)


@dataclass(frozen=True, slots=True)
class Account:
    """One of the accounts that the hub began with."""

    name: str
    password: str
    roles: frozenset[str]

    def __repr__(self) -> str:
        """Without the password: representations end up in logs and errors."""
        return f"Account({self.name})"


def bootstrap_accounts(accounts_file: Path) -> list[Account]:
    """The accounts in the data folder's `accounts.json`."""
    content = json.loads(accounts_file.read_text(encoding="utf-8"))
    return [
        Account(str(each["account"]), str(each["password"]), frozenset(map(str, each["roles"])))
        for each in content["accounts"]
    ]


def account_with(accounts: list[Account], role: str, *, other_than: str = "") -> Account:
    """An account that holds `role`, and is not `other_than`. `NotFound`: there is none."""
    for account in accounts:
        if role in account.roles and account.name != other_than:
            return account
    raise NotFound("accounts", f"an account with {role}")


@dataclass(frozen=True, slots=True)
class PersonAddresses:
    """The listeners for persons, host:port, by service."""

    registry: str
    watchlist: str
    dispatch: str

    def of(self, audience: str) -> str:
        """The listener of the service that is the audience of a token."""
        return {"registry": self.registry, "watchlist": self.watchlist, "dispatch": self.dispatch}[audience]


class People:
    """Everybody's channels, each signed in once: a token lives five minutes, longer than a self-test."""

    def __init__(self, addresses: PersonAddresses, ca_file: Path) -> None:
        self._addresses = addresses
        self._ca_file = ca_file
        self._channels: dict[tuple[str, str], grpc.aio.Channel] = {}

    async def sign_in(self, account: Account, audience: str) -> None:
        """From now on `channel` has one for this account and service. `Retry`: the registry is away."""
        self.use_token(account, audience, await self.token(account, audience))

    async def token(self, account: Account, audience: str) -> str:
        """A fresh token for the service `audience`. `Retry`: the registry is away."""
        async with person_channel(self._ca_file, self._addresses.registry) as channel:
            stub = registry_pb2_grpc.SessionServiceStub(channel)
            request = SignInRequest(account=account.name, password=account.password, audience=audience)
            return str((await called(stub.SignIn(request, timeout=15))).token)

    def use_token(self, account: Account, audience: str, token: str) -> None:
        """From now on `channel` has one with this token."""
        address = self._addresses.of(audience)
        self._channels[account.name, audience] = person_channel(self._ca_file, address, token)

    def channel(self, account: Account, audience: str) -> grpc.aio.Channel:
        """The channel to the service `audience` as `account`."""
        return self._channels[account.name, audience]

    async def close(self) -> None:
        """Closes every channel."""
        for channel in self._channels.values():
            await channel.close()
        self._channels.clear()


async def called(call: Awaitable[Answer]) -> Answer:
    """The answer of an RPC; its errors as `Retry` (not reached) or `Refuse` (said no)."""
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        if error.code() in _UNREACHED:
            raise Retry(f"no answer: {error.code().name}") from None
        raise Refuse("request", f"to be taken; {error.code().name}: {error.details()}") from None
