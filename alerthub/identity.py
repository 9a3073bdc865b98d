"""Who calls: certificates of services, terminals and devices, and the signed tokens of persons (S2).

A service, terminal or device is known by the one SAN URI of its certificate, `spiffe://alerthub/KIND/NAME`,
which the hub's authority signed. A person is known by a token that the registry signed with Ed25519, for one
audience, for five minutes. Nothing else that a caller says about itself counts.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from pathlib import Path

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from google.protobuf.message import DecodeError

from alerthub.api.v1 import access_pb2, registry_pb2
from alerthub.domain.denials import Denial, token_not_for
from alerthub.domain.errors import AlertHubError, DeadLetter, in_words
from alerthub.domain.reasons import Reason
from alerthub.domain.texts import LocalizedText

TOKEN_LIFETIME_SECONDS = 300
"""S2: a person's token lives five minutes; a stolen one is worth no more than that."""
_CLOCK_LEEWAY_SECONDS = 5
_ISSUER = "alerthub-registry"
_ALGORITHM = "EdDSA"
_MAXIMUM_TOKEN_BYTES = 4096
_TRUST_DOMAIN = "spiffe://alerthub/"


class NotAuthenticatedError(AlertHubError):
    """The caller did not prove who it is. The reason holds nothing of what it presented."""

    def __init__(self, reason: str | LocalizedText) -> None:
        self.words = in_words(reason)
        super().__init__(self.words.english)
        self.reason = self.words.english


class CallerKind(Enum):
    """What a caller is. The value is the prefix of its name in the audit log."""

    PERSON = "person"
    SERVICE = "service"
    TERMINAL = "terminal"
    DEVICE = "device"
    ANONYMOUS = "anonymous"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, as proven by certificate or token. Times are milliseconds since 1970; 0: does not apply."""

    kind: CallerKind
    name: str = ""
    roles: frozenset[access_pb2.Role.ValueType] = frozenset()
    certificate_fingerprint: str = ""
    """SHA-256 of the certificate, lower-case hexadecimal; empty for a person."""
    token_id: str = ""
    issued_at_ms: int = 0
    expires_at_ms: int = 0
    made_by: frozenset[str] = frozenset()
    """The two persons who made a person's account; empty for those that the hub began with (S6)."""

    @property
    def actor(self) -> str:
        """How the audit log names it: person:NAME, service:NAME, terminal:ID, device:ID."""
        return f"{self.kind.value}:{self.name}" if self.name else self.kind.value

    def has_role(self, *roles: access_pb2.Role.ValueType) -> bool:
        return not self.roles.isdisjoint(roles)


ANONYMOUS = Caller(CallerKind.ANONYMOUS)
_current: ContextVar[Caller] = ContextVar("alerthub_caller", default=ANONYMOUS)


def current_caller() -> Caller:
    """Who made the call that is being answered; set by the gRPC interceptor, else anonymous."""
    return _current.get()


def set_current_caller(caller: Caller) -> None:
    """For edges that authenticate: everything that the current task does is done for `caller`."""
    _current.set(caller)


def caller_of_certificate(pem: bytes) -> Caller:
    """The caller that a certificate names. The TLS handshake has verified it against the hub's authority.

    Raises NotAuthenticatedError unless it has exactly one SAN URI and that is one of ours.
    """
    kind, name, fingerprint = _read_certificate(pem)
    return Caller(kind, name, certificate_fingerprint=fingerprint)


@lru_cache(maxsize=4096)
def _read_certificate(pem: bytes) -> tuple[CallerKind, str, str]:
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound):
        raise NotAuthenticatedError("the certificate has no subject alternative name") from None
    kind, name = parse_spiffe(names.get_values_for_type(x509.UniformResourceIdentifier))
    return kind, name, certificate.fingerprint(hashes.SHA256()).hex()


def parse_spiffe(uris: Iterable[str]) -> tuple[CallerKind, str]:
    """Kind and name of the one URI `spiffe://alerthub/KIND/NAME`; NotAuthenticatedError for anything else."""
    found = list(uris)
    if len(found) != 1 or not found[0].startswith(_TRUST_DOMAIN):
        raise NotAuthenticatedError("the certificate must have exactly one URI, spiffe://alerthub/KIND/NAME")
    kind_text, _, name = found[0].removeprefix(_TRUST_DOMAIN).partition("/")
    kinds = {kind.value: kind for kind in (CallerKind.SERVICE, CallerKind.TERMINAL, CallerKind.DEVICE)}
    if kind_text not in kinds or not name or len(name) > 64 or "/" in name:
        raise NotAuthenticatedError("the certificate's URI must name a service, a terminal or a device")
    return kinds[kind_text], name


def spiffe(kind: CallerKind, name: str) -> str:
    """The SAN URI for a certificate of this service, terminal or device."""
    uri = f"{_TRUST_DOMAIN}{kind.value}/{name}"
    parse_spiffe([uri])
    return uri


class TokenSigner:
    """Signs persons' tokens. Only the registry has the private key."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key

    @classmethod
    def from_file(cls, path: Path) -> TokenSigner:
        key = load_pem_private_key(path.read_bytes(), password=None)
        if not isinstance(key, Ed25519PrivateKey):
            raise TypeError(f"{path.name} must hold an Ed25519 private key")
        return cls(key)

    def sign(
        self,
        *,
        account: str,
        roles: Iterable[access_pb2.Role.ValueType],
        audience: str,
        now_ms: int,
        made_by: Iterable[str] = (),
    ) -> tuple[str, int]:
        """A token for `account` at `audience`, and when it ends (milliseconds since 1970). `made_by`: who
        made the account."""
        expires_s = now_ms // 1000 + TOKEN_LIFETIME_SECONDS
        token = jwt.encode(
            {
                "iss": _ISSUER,
                "sub": account,
                "aud": audience,
                "roles": sorted(access_pb2.Role.Name(role) for role in roles),
                "made_by": sorted(made_by),
                "iat": now_ms // 1000,
                "nbf": now_ms // 1000,
                "exp": expires_s,
                "jti": uuid.uuid4().hex,
                # Seconds are too coarse to tell a sign-in after a revocation from one before it.
                "issued_ms": now_ms,
            },
            self._key,
            algorithm=_ALGORITHM,
        )
        return token, expires_s * 1000


class TokenVerifier:
    """Reads persons' tokens for one audience. `revoked` is asked for every token that is otherwise good."""

    def __init__(
        self, key: Ed25519PublicKey, *, audience: str, revocations: RevocationList | None = None
    ) -> None:
        self._key = key
        self._audience = audience
        self._revocations = revocations

    @classmethod
    def from_file(
        cls, path: Path, *, audience: str, revocations: RevocationList | None = None
    ) -> TokenVerifier:
        key = load_pem_public_key(path.read_bytes())
        if not isinstance(key, Ed25519PublicKey):
            raise TypeError(f"{path.name} must hold an Ed25519 public key")
        return cls(key, audience=audience, revocations=revocations)

    def verify(self, token: str) -> Caller:
        """The person that the token names.

        Raises NotAuthenticatedError when the token is not whole, not signed by the registry, for another
        audience, not yet or no longer valid, or revoked.
        """
        if len(token) > _MAXIMUM_TOKEN_BYTES:
            raise NotAuthenticatedError(Denial.TOKEN_TOO_LONG.value)
        try:
            claims = jwt.decode(
                token,
                self._key,
                algorithms=[_ALGORITHM],
                audience=self._audience,
                issuer=_ISSUER,
                leeway=_CLOCK_LEEWAY_SECONDS,
                options={"require": ["iss", "sub", "aud", "iat", "nbf", "exp", "jti"], "strict_aud": True},
            )
            issued_at_ms = int(claims["issued_ms"])
            expires_s = int(claims["exp"])
            account = str(claims["sub"])
            roles = frozenset(access_pb2.Role.Value(name) for name in claims["roles"])
            made_by = frozenset(str(name) for name in claims.get("made_by", ()))
        except jwt.ExpiredSignatureError:
            raise NotAuthenticatedError(Denial.TOKEN_EXPIRED.value) from None
        except jwt.InvalidAudienceError:
            raise NotAuthenticatedError(token_not_for(self._audience)) from None
        except (jwt.InvalidTokenError, KeyError, TypeError, ValueError):
            raise NotAuthenticatedError(Denial.TOKEN_NOT_SIGNED.value) from None
        # The leeway is for a registry whose clock is ahead; it must not make the five minutes longer.
        if expires_s <= time.time():
            raise NotAuthenticatedError(Denial.TOKEN_EXPIRED.value)
        if expires_s - issued_at_ms // 1000 > TOKEN_LIFETIME_SECONDS:
            raise NotAuthenticatedError(Denial.TOKEN_LIVES_TOO_LONG.value)
        caller = Caller(
            CallerKind.PERSON,
            account,
            roles=roles,
            token_id=str(claims["jti"]),
            issued_at_ms=issued_at_ms,
            expires_at_ms=expires_s * 1000,
            made_by=made_by,
        )
        if self._revocations is not None and self._revocations.is_revoked(caller):
            raise NotAuthenticatedError(Reason.ACCOUNT_REVOKED.value)
        return caller


@dataclass(frozen=True, slots=True)
class RevocationEntry:
    """The newest word on one subject: account:NAME, terminal:ID, device:ID or certificate:FINGERPRINT."""

    subject: str
    version: int
    revoked_at_ms: int
    reinstated: bool = False


class RevocationList:
    """What was revoked, fed by the replica of the topic `revocations`; tells open streams the moment it
    changes.
    """

    def __init__(self) -> None:
        self._entries: dict[str, RevocationEntry] = {}
        self._subscribers: set[Callable[[], None]] = set()

    def put(self, entry: RevocationEntry) -> None:
        """Notes the entry unless a newer version is known (C9), then tells the subscribers."""
        known = self._entries.get(entry.subject)
        if known is not None and known.version >= entry.version:
            return
        self._entries[entry.subject] = entry
        for subscriber in tuple(self._subscribers):
            subscriber()

    def apply(self, key: str, value: bytes | None) -> None:
        """Takes a record of the topic `revocations`: made to be a CompactedReplica's `apply`.

        Raises DeadLetter for a value that nobody of us wrote.
        """
        if value is None:
            self.forget(key)
            return
        try:
            told = registry_pb2.Revocation.FromString(value)
        except DecodeError:
            raise DeadLetter("a value that is no revocation") from None
        self.put(RevocationEntry(told.subject, told.version, told.revoked_at_ms, told.reinstated))

    def forget(self, subject: str) -> None:
        """The owner removed the subject for good."""
        self._entries.pop(subject, None)

    def is_revoked(self, caller: Caller) -> bool:
        """Whether this caller's certificate, name or token may not be used any more."""
        if caller.kind is CallerKind.PERSON:
            return self._is_refused(f"account:{caller.name}", caller.issued_at_ms)
        if caller.kind is CallerKind.ANONYMOUS:
            return False
        subjects = (f"{caller.kind.value}:{caller.name}", f"certificate:{caller.certificate_fingerprint}")
        return any(self._is_refused(subject, None) for subject in subjects)

    def has_left(self, account: str) -> bool:
        """Whether a person's account has ended and did not return."""
        return self._is_refused(f"account:{account}", None)

    def _is_refused(self, subject: str, issued_at_ms: int | None) -> bool:
        entry = self._entries.get(subject)
        if entry is None:
            return False
        if entry.reinstated:
            # A reinstated account signs in again; what it was given before the revocation stays dead.
            return issued_at_ms is not None and issued_at_ms <= entry.revoked_at_ms
        return True

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Calls `callback` after every change; returns what ends the subscription."""
        self._subscribers.add(callback)
        return lambda: self._subscribers.discard(callback)

    def __len__(self) -> int:
        return len(self._entries)
