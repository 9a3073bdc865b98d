"""Who is signed in. In the memory of the process: a restart signs everybody out.

A session's cookie is random and known to the browser alone; here it is kept as its hash. What is done for
the person is done with the person's own five-minute token for the service that is asked, which the registry
gives while the session at the registry lives (docs/adr/0010). No password is kept.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from alerthub.api.v1 import access_pb2
from alerthub.domain.denials import Denial, needs_role
from alerthub.domain.errors import NotAllowed, Retry
from alerthub.identity import Caller, CallerKind, NotAuthenticatedError, RevocationList

_SECRET_BYTES = 32
RoleValue: TypeAlias = access_pb2.Role.ValueType


@dataclass(slots=True, eq=False)
class Session:
    """One person at one browser; equal to nothing but itself. Times are milliseconds since 1970."""

    account: str
    roles: frozenset[RoleValue]
    renewal: str = field(repr=False)
    """The registry's secret for this session: gives tokens to the console alone."""
    csrf_token: str = field(repr=False)
    opened_at_ms: int
    expires_at_ms: int
    touched_at_ms: int
    ended: Denial | None = None
    """Why it is over; None while it is not."""
    tokens: dict[str, tuple[str, int]] = field(default_factory=dict, repr=False)
    """By audience: the token, and when it ends."""
    _on_end: set[Callable[[Denial], None]] = field(default_factory=set, repr=False)

    def require(self, roles: frozenset[RoleValue]) -> None:
        """Raises NotAllowed unless the person holds one of these roles."""
        if self.roles.isdisjoint(roles):
            names = sorted(access_pb2.Role.Name(role) for role in roles)
            raise NotAllowed("session", needs_role(names))

    def on_end(self, callback: Callable[[Denial], None]) -> Callable[[], None]:
        """Calls `callback` with the reason when the session ends; returns what takes it back."""
        self._on_end.add(callback)
        return lambda: self._on_end.discard(callback)

    def end(self, reason: Denial) -> None:
        """Ends it, once."""
        if self.ended:
            return
        self.ended = reason
        self.tokens.clear()
        for callback in tuple(self._on_end):
            callback(reason)


class Sessions:
    """All sessions of this process."""

    def __init__(
        self,
        *,
        lifetime_ms: int,
        idle_ms: int,
        maximum: int,
        revocations: RevocationList,
        now_ms: Callable[[], int],
    ) -> None:
        self._lifetime_ms = lifetime_ms
        self._idle_ms = idle_ms
        self._maximum = maximum
        self._revocations = revocations
        self._now_ms = now_ms
        self._sessions: dict[bytes, Session] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def __iter__(self) -> Iterator[Session]:
        return iter(tuple(self._sessions.values()))

    def open(
        self,
        account: str,
        roles: frozenset[RoleValue],
        renewal: str,
        *,
        opened_at_ms: int,
        expires_at_ms: int,
    ) -> tuple[str, Session]:
        """The cookie's value, and the session. `opened_at_ms` is the registry's time, by which a later
        revocation is told from an earlier one. Raises Retry where there is no room."""
        now = self._now_ms()
        self.sweep()
        if len(self._sessions) >= self._maximum:
            raise Retry(Denial.DESKS_FULL.value, after_seconds=60)
        cookie = secrets.token_urlsafe(_SECRET_BYTES)
        session = Session(
            account,
            roles,
            renewal,
            secrets.token_urlsafe(_SECRET_BYTES),
            opened_at_ms=opened_at_ms,
            expires_at_ms=min(expires_at_ms, now + self._lifetime_ms),
            touched_at_ms=now,
        )
        self._sessions[_key(cookie)] = session
        return cookie, session

    def find(self, cookie: str) -> Session:
        """The session of this cookie. Raises NotAuthenticatedError where there is none in force."""
        session = self._sessions.get(_key(cookie)) if cookie else None
        if session is None or self._ended(session):
            raise NotAuthenticatedError(Denial.NO_SESSION.value)
        return session

    def touch(self, session: Session) -> None:
        """Somebody is at the desk."""
        session.touched_at_ms = self._now_ms()

    def ends_at_ms(self, session: Session) -> int:
        """When it ends unless it is touched before."""
        return min(session.expires_at_ms, session.touched_at_ms + self._idle_ms)

    def end(self, session: Session, reason: Denial) -> None:
        session.end(reason)
        self._sessions = {key: each for key, each in self._sessions.items() if not each.ended}

    def sweep(self) -> None:
        """Ends what has run out or was revoked. Call it on every revocation and each second."""
        for session in self:
            self._ended(session)
        if any(session.ended for session in self):
            self._sessions = {key: each for key, each in self._sessions.items() if not each.ended}

    def _ended(self, session: Session) -> bool:
        """Whether it is over; ends it where its time has come."""
        caller = Caller(CallerKind.PERSON, session.account, issued_at_ms=session.opened_at_ms)
        if self._revocations.is_revoked(caller):
            session.end(Denial.SESSION_REVOKED)
        elif self._now_ms() >= self.ends_at_ms(session):
            session.end(Denial.SESSION_IDLE)
        return bool(session.ended)


def csrf_matches(session: Session, presented: str) -> bool:
    """Compares in constant time."""
    return hmac.compare_digest(session.csrf_token.encode(), presented.encode("utf-8", "replace"))


def _key(cookie: str) -> bytes:
    return hashlib.sha256(cookie.encode("utf-8", "replace")).digest()
