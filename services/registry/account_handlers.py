"""Use cases on accounts: signing in, and two persons for every grant (S6)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from pydantic import BaseModel, Field, ValidationError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from alerthub import audit
from alerthub.api.v1 import access_pb2, registry_pb2
from alerthub.domain import accounts as decide
from alerthub.domain.accounts import SignInState
from alerthub.domain.denials import Denial
from alerthub.domain.errors import Refuse, TooOften
from alerthub.domain.rates import Rates
from alerthub.domain.sign_in_addresses import (
    ADDRESS_LIMIT,
    ADDRESSES_REMEMBERED,
    NO_ADDRESS,
    address_key,
)
from alerthub.identity import NotAuthenticatedError, TokenSigner
from alerthub.kafka import is_loopback
from alerthub.postgres import transaction
from services.registry import account_store as store
from services.registry import metrics
from services.registry.passwords import Passwords
from services.registry.topic_versions import TopicVersions

_REFUSED = Denial.SIGN_IN_WRONG
"""The same for every reason: what differs would tell who has an account."""


class _BootstrapAccount(BaseModel):
    account: str = Field(pattern=decide.ACCOUNT_PATTERN)
    password: str = Field(min_length=12, max_length=256)
    roles: list[str] = Field(min_length=1, max_length=8)


class _BootstrapAccounts(BaseModel):
    accounts: list[_BootstrapAccount] = Field(min_length=2, max_length=1_000)


class AccountHandlers:
    """Everything about persons' accounts but revoking them."""

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        passwords: Passwords,
        signer: TokenSigner,
        versions: TopicVersions,
        now_ms: Callable[[], int],
    ) -> None:
        self._engine = engine
        self._passwords = passwords
        self._signer = signer
        self._versions = versions
        self._now_ms = now_ms
        # Each try takes its place before it is looked at, so that many at once are counted too; one that does
        # not fail gives it back.
        self._addresses = Rates(ADDRESS_LIMIT, remembered=ADDRESSES_REMEMBERED)

    async def sign_in(
        self, account: str, password: str, audience: str, *, address: str
    ) -> registry_pb2.SignInResponse:
        """A token for one audience. `address`: the caller's IP address.

        Raises NotAuthenticatedError, with one text for every reason and after the same work for every reason.
        Failures lock the account out for a growing time; tries while it is locked are refused and not
        counted, so nobody can keep a person out for ever. Raises TooOften to an address that failed too
        often.
        """
        known = await self._known(account, password, audience, address)
        roles = [access_pb2.Role.Value(name) for name in known.roles]
        token, expires_at_ms = self._signer.sign(
            account=account,
            roles=roles,
            audience=audience,
            now_ms=self._now_ms(),
            made_by=known.maker.names,
        )
        return registry_pb2.SignInResponse(token=token, expires_at_ms=expires_at_ms, roles=roles)

    async def authenticate(
        self, account: str, password: str, audience: str, *, address: str
    ) -> list[access_pb2.Role.ValueType]:
        """The roles of whoever knows the password; raises as `sign_in` does. `audience`: for the record."""
        known = await self._known(account, password, audience, address)
        return [access_pb2.Role.Value(name) for name in known.roles]

    async def change_password(self, account: str, old: str, new: str, *, address: str) -> None:
        """Another password for who knows the one of now, after which every session and token that the account
        had is dead.

        Raises what signing in raises, counted as there, and Refuse for a new password that will not do.
        """
        decide.check_new_password(account=account, old=old, new=new)
        proven = await self._known(account, old, "registry", address)
        async with self._passwords.turn():
            password_hash = await self._passwords.hash(new)
        async with transaction(self._engine) as connection:
            known = await store.find_account(connection, account, lock=True)
            if known is None or known.revoked or known.password_hash != proven.password_hash:
                raise NotAuthenticatedError(_REFUSED.value)
            await store.set_password(connection, account, password_hash)
            await store.put_revocation(
                connection,
                self._versions,
                f"account:{account}",
                now_ms=self._now_ms(),
                reinstated=True,
                reason="password changed",
                actor=f"person:{account}",
            )
            await audit.record(
                connection,
                action="PasswordChanged",
                actor=f"person:{account}",
                subject=f"account:{account}",
            )

    async def _known(self, account: str, password: str, audience: str, address: str) -> store.Account:
        """The account of whoever knows the password."""
        key = address_key(address)
        self._begin(key)
        failed = False
        try:
            async with self._passwords.turn(), transaction(self._engine) as connection:
                # Held until the answer: guesses at one account are counted one by one, whatever comes at
                # once.
                known = await store.find_account(connection, account, lock=True)
                now_ms = self._now_ms()
                outcome = await self._outcome(known, password, now_ms)
                failed = outcome != "accepted"
                metrics.sign_ins.labels(outcome).inc()
                if known is not None:
                    await _remember(connection, known, outcome, now_ms, audience)
        finally:
            if not failed:
                self._addresses.give_back(key)
        if known is None or failed:
            raise NotAuthenticatedError(_REFUSED.value)
        return known

    def _begin(self, key: str) -> None:
        wait_seconds = 0.0 if key == NO_ADDRESS else self._addresses.take(key, 1, now_ms=self._now_ms())
        if wait_seconds:
            metrics.sign_ins.labels("too_often").inc()
            raise TooOften(Denial.SIGN_IN_TOO_OFTEN.value, after_seconds=wait_seconds)

    async def _outcome(self, known: store.Account | None, password: str, now_ms: int) -> str:
        matches = await self._passwords.matches(known.password_hash if known else None, password)
        if known is None:
            return "unknown"
        if known.revoked:
            return "revoked"
        if decide.is_locked(known.state, now_ms):
            return "locked"
        return "accepted" if matches else "wrong"

    async def bootstrap(self, path: Path, *, listen_host: str) -> int:
        """Makes the file's accounts when there is none yet; returns how many.

        Refuses a wrong file, and accounts of a demo where the registry listens beyond the loopback (S7).
        """
        if not is_loopback(listen_host) and _for_the_loopback_only(path):
            raise Refuse(
                "bootstrap_accounts_file",
                "accounts of a hub's own: those of a demo work on the loopback only; make others with"
                " `alerthub provision files`",
            )
        async with transaction(self._engine) as connection:
            if await store.has_accounts(connection):
                return 0
        wanted = _read_bootstrap(path)
        hashed = [
            (each.account, await self._passwords.hash(each.password), each.roles) for each in wanted.accounts
        ]
        async with transaction(self._engine) as connection:
            if await store.has_accounts(connection):
                return 0
            await store.create_bootstrap_accounts(connection, hashed, now_ms=self._now_ms())
            for each in wanted.accounts:
                await audit.record(
                    connection,
                    action="AccountBootstrapped",
                    actor="service:registry",
                    subject=f"account:{each.account}",
                    detail=", ".join(sorted(each.roles)),
                )
        return len(hashed)


async def _remember(
    connection: AsyncConnection, known: store.Account, outcome: str, now_ms: int, audience: str
) -> None:
    if outcome == "accepted" and known.state != SignInState():
        await store.save_state(connection, known.account, decide.after_success())
    if outcome == "wrong":
        await store.save_state(connection, known.account, decide.after_failure(known.state, now_ms))
    await audit.record(
        connection,
        action="SignedIn" if outcome == "accepted" else "SignInRefused",
        actor=f"person:{known.account}",
        subject=f"account:{known.account}",
        reason="" if outcome == "accepted" else outcome,
        detail=f"audience {audience}",
    )


def _for_the_loopback_only(path: Path) -> bool:
    """What the file says of itself, also once its accounts are made and passwords were taken out of it."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        # No such file is needed once there are accounts, and before that a wrong one is refused.
        return False
    return isinstance(content, dict) and content.get("loopback_only") is True


def _read_bootstrap(path: Path) -> _BootstrapAccounts:
    try:
        wanted = _BootstrapAccounts.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        # The error's own text repeats the input, which holds passwords.
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise Refuse(f"bootstrap_accounts_file: {where}", error.errors()[0]["type"]) from None
    except (OSError, ValueError) as error:
        raise Refuse("bootstrap_accounts_file", f"a readable JSON file ({type(error).__name__})") from None
    for index, each in enumerate(wanted.accounts):
        for name in each.roles:
            if name not in access_pb2.Role.keys()[1:]:
                raise Refuse(
                    f"bootstrap_accounts_file: accounts[{index}].roles", "names such as ROLE_OPERATOR"
                )
    return wanted
