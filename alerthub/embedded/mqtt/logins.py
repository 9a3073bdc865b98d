"""Who may log in to the embedded broker, and what a login may do: devices publish, gateways listen."""

from __future__ import annotations

import hashlib
import hmac
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field

from alerthub.api.v1 import common_pb2, registry_pb2
from alerthub.domain.errors import DeadLetter, Retry
from alerthub.identity import (
    Caller,
    CallerKind,
    NotAuthenticatedError,
    RevocationList,
    caller_of_certificate,
)

GATEWAY = "gateway"
_MAXIMUM_PASSWORD = 256
_WITH_SECRET = (
    common_pb2.AUTHENTICATION_CLASS_PASSWORD_OVER_TLS,
    common_pb2.AUTHENTICATION_CLASS_URL_TOKEN,
)
"""Classes of devices that may prove themselves by a secret; one registered for a certificate may not."""


@dataclass(frozen=True, slots=True)
class Login:
    """A client that has proven who it is."""

    name: str
    listens: bool
    """A gateway: it may subscribe and publish nothing. Otherwise a device: it may publish below its own name
    and is told nothing."""
    caller: Caller | None = field(default=None, repr=False)
    """Whom its certificate names; None where it gave a secret."""
    secret_sha256: bytes = field(default=b"", repr=False)
    """Of the secret that it gave."""

    def may_publish(self, topic: str) -> bool:
        """Whether the topic is one of its own: `NAME/...`."""
        return not self.listens and topic.startswith(f"{self.name}/")


@dataclass(frozen=True, slots=True)
class _Device:
    version: int
    active: bool
    by_secret: bool
    secret_sha256: bytes = field(repr=False)


class Logins:
    """The registered devices and what is revoked, as two replicas of compacted topics say.

    `incomplete` says why not everything may be known yet; None: it is. Until then nobody is turned away for
    what is not known.
    """

    def __init__(self, revocations: RevocationList, *, incomplete: Callable[[], str | None]) -> None:
        self._revocations = revocations
        self.incomplete = incomplete
        self._devices: dict[str, _Device] = {}
        self.on_change: Callable[[str], None] = lambda _: None
        """Called with a device's id after what is known of it has changed."""

    def apply(self, key: str, value: bytes | None) -> None:
        """Takes a record of the topic `devices`. A changed credential or status counts at once; an older
        version than the newest known changes nothing (C9)."""
        if value is None:
            self._devices.pop(key, None)
        else:
            told = registry_pb2.Device.FromString(value)
            if told.device_id != key:
                raise DeadLetter("a device under the key of another")
            known = self._devices.get(key)
            if known is not None and known.version >= told.version:
                return
            self._devices[key] = _Device(
                told.version,
                told.status == registry_pb2.LIFE_STATUS_ACTIVE,
                told.authentication_class in _WITH_SECRET,
                told.secret_sha256,
            )
        self.on_change(key)

    def admit(self, username: str | None, password: bytes | None, certificate: bytes) -> Login:
        """The login that the credentials prove; `certificate` (DER) was verified by the handshake, empty:
        there was none.

        NotAuthenticatedError, which says nothing of what was wrong, or Retry while it cannot be known.
        """
        login = (
            self._by_certificate(certificate, username)
            if certificate
            else self._by_secret(username or "", password or b"")
        )
        if not self.holds(login):
            self._require_complete()
            raise _unproven()
        return login

    def holds(self, login: Login) -> bool:
        """Whether the login would be admitted now."""
        if login.caller is not None and self._revocations.is_revoked(login.caller):
            return False
        if login.listens:
            return True
        device = self._devices.get(login.name)
        if device is None or not device.active:
            return False
        return login.caller is not None or (
            device.by_secret
            and bool(device.secret_sha256)
            and hmac.compare_digest(login.secret_sha256, device.secret_sha256)
        )

    def _by_certificate(self, der: bytes, username: str | None) -> Login:
        caller = caller_of_certificate(ssl.DER_cert_to_PEM_cert(der).encode())
        # Revocations are waited for: a revoked certificate must not slip in while they are read.
        self._require_complete()
        if username not in (None, "", caller.name):
            raise _unproven()
        if caller.kind is CallerKind.SERVICE and caller.name == GATEWAY:
            return Login(caller.name, listens=True, caller=caller)
        if caller.kind is CallerKind.DEVICE:
            return Login(caller.name, listens=False, caller=caller)
        raise _unproven()

    def _by_secret(self, name: str, secret: bytes) -> Login:
        if not name or not 0 < len(secret) <= _MAXIMUM_PASSWORD:
            raise _unproven()
        return Login(name, listens=False, secret_sha256=hashlib.sha256(secret).digest())

    def _require_complete(self) -> None:
        reason = self.incomplete()
        if reason is not None:
            raise Retry(reason, after_seconds=2)


def _unproven() -> NotAuthenticatedError:
    return NotAuthenticatedError("a registered device's id and secret, or a certificate, is needed")
