"""Which device is speaking: proven by its secret, its certificate or its address, never by what a body says
(S3)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
import ssl
from collections.abc import Callable
from dataclasses import dataclass

from alerthub.domain import http_digest
from alerthub.domain.admission import AuthenticationClass, RateLimit
from alerthub.domain.errors import Retry
from alerthub.domain.rates import Bounded
from alerthub.identity import CallerKind, NotAuthenticatedError, RevocationList, caller_of_certificate
from services.gateway.admittance import RateGuard, TooManyRequests
from services.gateway.devices import DeviceDirectory

_MAXIMUM_HEADER = 1_024
_MAXIMUM_DEVICE_ID = 64
_MAXIMUM_SECRET = 256
_MAXIMUM_NONCES = 100_000
"""In use at one gateway: one a device, for five minutes."""
_NO_SECRET = hashlib.sha256(b"").digest()
"""What an unknown device's secret is held against, so that it takes as long. No device has it: secrets are
not empty."""


@dataclass(frozen=True, slots=True)
class Proven:
    """The device that a credential proves, and how."""

    device_id: str
    used: AuthenticationClass


class DigestRequired(NotAuthenticatedError):
    """The device has not answered a challenge of HTTP Digest: here is one."""

    def __init__(self, challenges: tuple[str, ...]) -> None:
        super().__init__(
            "an answer to the challenge (HTTP Digest) with the device's digest password is needed"
        )
        self.challenges = challenges


class Authenticator:
    """Holds credentials against the registered devices.

    Retry while it is not known which devices are registered, or which certificates are revoked: a device
    that is told that it has not proven itself gives up what it saw.
    """

    def __init__(
        self,
        devices: DeviceDirectory,
        revocations: RevocationList,
        *,
        failures_per_minute: float,
        now_ms: Callable[[], int],
        revocations_incomplete: Callable[[], str | None] = lambda: None,
        digest_key: bytes = b"",
    ) -> None:
        """`digest_key`: what Digest passwords and nonces are made with; empty: there is no HTTP Digest."""
        self._devices = devices
        self._revocations = revocations
        self._revocations_incomplete = revocations_incomplete
        self._now_ms = now_ms
        self._digest_key = digest_key
        self._nonce_counts: Bounded[str, int] = Bounded(_MAXIMUM_NONCES)
        self._failures = RateGuard(RateLimit(failures_per_minute / 60, failures_per_minute))

    def basic(self, header: str, *, address: str) -> Proven:
        """HTTP Basic (RFC 7617): device id and secret, over TLS. NotAuthenticatedError or TooManyRequests."""
        scheme, _, encoded = header.partition(" ")
        if scheme.lower() != "basic" or len(header) > _MAXIMUM_HEADER:
            raise _unproven()
        try:
            device_id, separator, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, ValueError):
            raise _unproven() from None
        if not separator:
            raise _unproven()
        return self._secret(device_id, secret, AuthenticationClass.PASSWORD_OVER_TLS, address)

    @property
    def has_digest(self) -> bool:
        """Whether devices may use HTTP Digest."""
        return bool(self._digest_key)

    def digest(self, header: str, *, method: str, target: str, address: str) -> Proven:
        """HTTP Digest (RFC 7616) over TLS; `target` is the request's path as it came. DigestRequired with a
        challenge, or TooManyRequests."""
        answer = http_digest.answer_of(header)
        if answer is None or answer.uri != target:
            raise self._challenge(stale=False)
        if not self._is_fresh(answer):
            # Not the device's fault: it asks again with the new nonce, and nobody's password.
            raise self._challenge(stale=True)

        def matches(secret_sha256: bytes) -> bool:
            password = http_digest.password_of(self._digest_key, answer.username, secret_sha256)
            expected = http_digest.expected_response(answer, password, method=method)
            return hmac.compare_digest(expected.encode(), answer.response.encode("utf-8", "replace"))

        try:
            proven = self._proven(answer.username, matches, AuthenticationClass.PASSWORD_OVER_TLS, address)
        except NotAuthenticatedError:
            raise self._challenge(stale=False) from None
        # Counted only for who knows the password: others must not use up a device's nonce.
        self._nonce_counts.put(answer.nonce, answer.count)
        return proven

    def _is_fresh(self, answer: http_digest.Answer) -> bool:
        used = self._nonce_counts.get(answer.nonce) or 0
        in_order = used < answer.count <= http_digest.NONCE_USES
        return in_order and http_digest.is_fresh(self._digest_key, answer.nonce, now_ms=self._now_ms())

    def _challenge(self, *, stale: bool) -> DigestRequired:
        nonce = http_digest.nonce_of(self._digest_key, now_ms=self._now_ms(), random=secrets.token_bytes(8))
        return DigestRequired(http_digest.challenges(nonce, stale=stale))

    def url_token(self, device_id: str, secret: str, *, address: str) -> Proven:
        """A secret in the URL, which proxies and logs on its way may have kept: the weaker class."""
        return self._secret(device_id, secret, AuthenticationClass.URL_TOKEN, address)

    def certificate(self, der: bytes) -> Proven:
        """A client certificate of the hub's authority, which the TLS handshake has verified."""
        try:
            caller = caller_of_certificate(ssl.DER_cert_to_PEM_cert(der).encode())
        except NotAuthenticatedError:
            raise _unproven() from None
        reason = self._revocations_incomplete()
        if reason is not None:
            raise Retry(reason, after_seconds=2)
        if caller.kind is not CallerKind.DEVICE or self._revocations.is_revoked(caller):
            raise _unproven()
        return Proven(caller.name, AuthenticationClass.CERTIFICATE)

    def network(self, device_id: str, *, address: str) -> Proven:
        """A device that has no credential, by the address from which it speaks."""
        device = self._devices.newest(device_id[:_MAXIMUM_DEVICE_ID])
        if (
            device is None
            or device.registered_class is not AuthenticationClass.NETWORK_ONLY
            or address not in device.addresses
        ):
            self._devices.require_complete()
            raise _unproven()
        return Proven(device.device_id, AuthenticationClass.NETWORK_ONLY)

    def login(self, name: str) -> Proven:
        """The login under which an MQTT broker let a message in.

        The broker has held the credential against the registered one and let the login publish below its own
        name only; it admits a device of the class certificate by nothing else.
        """
        device = self._devices.newest(name[:_MAXIMUM_DEVICE_ID])
        if device is None or device.registered_class is AuthenticationClass.NETWORK_ONLY:
            self._devices.require_complete()
            raise _unproven()
        by_certificate = device.registered_class is AuthenticationClass.CERTIFICATE
        used = AuthenticationClass.CERTIFICATE if by_certificate else AuthenticationClass.PASSWORD_OVER_TLS
        return Proven(device.device_id, used)

    def _secret(self, device_id: str, secret: str, used: AuthenticationClass, address: str) -> Proven:
        if not 0 < len(secret) <= _MAXIMUM_SECRET:
            raise _unproven()
        given = hashlib.sha256(secret.encode("utf-8", errors="replace")).digest()
        return self._proven(device_id, lambda expected: hmac.compare_digest(given, expected), used, address)

    def _proven(
        self, device_id: str, matches: Callable[[bytes], bool], used: AuthenticationClass, address: str
    ) -> Proven:
        """The device, if `matches` holds for the hash of its secret."""
        if not 0 < len(device_id) <= _MAXIMUM_DEVICE_ID:
            raise _unproven()
        now_ms = self._now_ms()
        who = (address, device_id)
        wait_seconds = self._failures.exhausted_for(who, now_ms=now_ms)
        if wait_seconds > 0:
            raise TooManyRequests("too many failed attempts", after_seconds=max(1.0, wait_seconds))
        # A changed or withdrawn credential counts at once, so the newest version is asked, in force or not.
        device = self._devices.newest(device_id)
        known = device is not None and bool(device.secret_sha256)
        # Computed for the unknown too, so that it takes as long.
        right = matches(device.secret_sha256 if device is not None and known else _NO_SECRET)
        if device is None or not known or not right:
            self._devices.require_complete()
            self._failures.require(who, 1, now_ms=now_ms)
            raise _unproven()
        return Proven(device.device_id, used)


def _unproven() -> NotAuthenticatedError:
    """What every device is told that did not prove who it is: nothing about what was wrong."""
    return NotAuthenticatedError(
        "a registered device's id and secret (HTTP Basic), its URL token or its certificate is needed"
    )
