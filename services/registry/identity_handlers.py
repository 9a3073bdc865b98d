"""Use cases on identities of machines: secrets and certificates of devices, enrolment of terminals,
revocation."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from alerthub import audit
from alerthub.api.v1 import registry_pb2
from alerthub.domain.denials import Denial
from alerthub.domain.errors import NotFound, Refuse
from alerthub.domain.resources import AuthenticationClass, Device, Key, Kind, LifeStatus
from alerthub.identity import CallerKind, NotAuthenticatedError
from alerthub.postgres import transaction
from services.registry import account_store, metrics, publication, store
from services.registry import identity_store as identities
from services.registry.certificates import CertificateAuthority
from services.registry.identity_store import Enrolment
from services.registry.topic_versions import TopicVersions

_SECRET_BYTES = 32
_CODE_BYTES = 10
"""80 random bits in 16 characters that can be read out and typed."""
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")
_WITH_SECRET = (AuthenticationClass.PASSWORD_OVER_TLS, AuthenticationClass.URL_TOKEN)


@dataclass(frozen=True, slots=True)
class Lives:
    """How long what is issued lives."""

    enrolment_code_minutes: int
    terminal_certificate_days: int
    device_certificate_days: int


def code_sha256(code: str) -> bytes:
    """What is kept of an enrolment code, however it was typed: without hyphens and blanks, in capitals."""
    plain = "".join(code.split()).replace("-", "").upper()
    return hashlib.sha256(plain.encode("utf-8")).digest()


def secret_sha256(secret: str) -> bytes:
    """What is kept of a device's secret: SHA-256 of its text as the device sends it."""
    return hashlib.sha256(secret.encode("utf-8")).digest()


class IdentityHandlers:
    """Everything about machines' identities, and revoking anybody's."""

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        authority: CertificateAuthority,
        lives: Lives,
        versions: TopicVersions,
        now_ms: Callable[[], int],
    ) -> None:
        self._engine = engine
        self._authority = authority
        self._lives = lives
        self._versions = versions
        self._now_ms = now_ms

    async def issue_device_credential(self, device_id: str, *, actor: str) -> str:
        """A new secret for a device, in force at once; the one before ends. Raises NotFound or Refuse."""
        secret = secrets.token_urlsafe(_SECRET_BYTES)
        async with transaction(self._engine) as connection:
            await store.lock(connection)
            device = await _device(connection, device_id)
            if device.authentication_class not in _WITH_SECRET:
                expected = "a device of class password-over-tls or url-token: no other has a secret"
                raise Refuse("device_id", expected)
            now_ms = self._now_ms()
            await store.put_secret(connection, device_id, secret_sha256(secret), actor=actor, now_ms=now_ms)
            made = await publication.republication(
                connection,
                Key(Kind.DEVICE, device_id),
                published=self._versions.of_resource,
                active_from_ms=now_ms,
                now_ms=now_ms,
            )
            await store.save(connection, made, declared=set(), actor=actor, now_ms=now_ms)
            await audit.record(
                connection, action="DeviceCredentialIssued", actor=actor, subject=f"device:{device_id}"
            )
        return secret

    async def issue_device_certificate(
        self, device_id: str, signing_request_pem: str, *, actor: str
    ) -> registry_pb2.IssueDeviceCertificateResponse:
        """A certificate for a device or an edge server. Raises NotFound or Refuse."""
        async with transaction(self._engine) as connection:
            device = await _device(connection, device_id)
            if device.authentication_class is not AuthenticationClass.CERTIFICATE:
                raise Refuse("device_id", "a device of class certificate")
            issued = self._authority.issue(
                signing_request_pem,
                kind=CallerKind.DEVICE,
                name=device_id,
                days=self._lives.device_certificate_days,
                now_ms=self._now_ms(),
            )
            subject = f"device:{device_id}"
            await identities.note_certificate(connection, subject, issued, actor=actor)
            await audit.record(
                connection,
                action="DeviceCertificateIssued",
                actor=actor,
                subject=subject,
                detail=f"certificate {issued.fingerprint}",
            )
        metrics.certificates.labels("device").inc()
        return registry_pb2.IssueDeviceCertificateResponse(
            certificate_pem=issued.pem, authority_pem=self._authority.pem
        )

    async def create_enrolment_code(
        self, enrolment: Enrolment, *, actor: str
    ) -> registry_pb2.CreateEnrolmentCodeResponse:
        """A code with which the terminal enrols once, within the hour. Raises NotFound for an unknown
        unit."""
        code = base64.b32encode(secrets.token_bytes(_CODE_BYTES)).decode("ascii")
        now_ms = self._now_ms()
        valid_until_ms = now_ms + self._lives.enrolment_code_minutes * 60_000
        async with transaction(self._engine) as connection:
            unit = Key(Kind.UNIT, enrolment.unit_id)
            if unit not in await store.existing(connection, [unit]):
                raise NotFound("unit_id", "a unit that exists")
            await identities.create_code(
                connection,
                enrolment,
                code_sha256(code),
                actor=actor,
                now_ms=now_ms,
                valid_until_ms=valid_until_ms,
            )
            await audit.record(
                connection,
                action="EnrolmentCodeCreated",
                actor=actor,
                subject=f"terminal:{enrolment.terminal_id}",
                detail=f"unit {enrolment.unit_id}",
            )
        spelled = "-".join(code[start : start + 4] for start in range(0, len(code), 4))
        return registry_pb2.CreateEnrolmentCodeResponse(code=spelled, valid_until_ms=valid_until_ms)

    async def enrol_terminal(self, code: str, signing_request_pem: str) -> registry_pb2.EnrolTerminalResponse:
        """A certificate for the terminal that the code was made for; those it had before end.

        Raises NotAuthenticatedError for a code that is unknown, used or expired (which of them is not said),
        Refuse for a signing request that is not sound, which leaves the code unused.
        """
        try:
            response = await self._enrol(code, signing_request_pem)
        except (NotAuthenticatedError, Refuse):
            metrics.enrolments.labels("refused").inc()
            raise
        metrics.enrolments.labels("enrolled").inc()
        metrics.certificates.labels("terminal").inc()
        return response

    async def _enrol(self, code: str, signing_request_pem: str) -> registry_pb2.EnrolTerminalResponse:
        async with transaction(self._engine) as connection:
            now_ms = self._now_ms()
            enrolment = await identities.use_code(connection, code_sha256(code), now_ms)
            if enrolment is None:
                raise NotAuthenticatedError(Denial.CODE_SPENT.value)
            issued = self._authority.issue(
                signing_request_pem,
                kind=CallerKind.TERMINAL,
                name=enrolment.terminal_id,
                unit_id=enrolment.unit_id,
                days=self._lives.terminal_certificate_days,
                now_ms=now_ms,
            )
            subject = f"terminal:{enrolment.terminal_id}"
            await self._end_certificates(
                connection, subject, actor=subject, reason="enrolled anew", now_ms=now_ms
            )
            if await account_store.is_revoked(connection, subject):
                await account_store.put_revocation(
                    connection,
                    self._versions,
                    subject,
                    now_ms=now_ms,
                    reinstated=True,
                    reason="enrolled anew",
                    actor=subject,
                )
            await identities.note_certificate(connection, subject, issued, actor=subject)
            await identities.put_terminal(connection, enrolment, issued.fingerprint, now_ms)
            await audit.record(
                connection,
                action="TerminalEnrolled",
                actor=subject,
                subject=subject,
                detail=f"unit {enrolment.unit_id}, certificate {issued.fingerprint}",
            )
        return registry_pb2.EnrolTerminalResponse(
            terminal_id=enrolment.terminal_id,
            unit_id=enrolment.unit_id,
            certificate_pem=issued.pem,
            authority_pem=self._authority.pem,
        )

    async def revoke(self, request: registry_pb2.RevokeRequest, *, actor: str) -> None:
        """Ends an account, a terminal or a certificate, everywhere and at once. Raises NotFound or Refuse."""
        if not request.reason.strip():
            raise Refuse("reason", "why it is revoked")
        kind = request.WhichOneof("subject")
        async with transaction(self._engine) as connection:
            now_ms = self._now_ms()
            match kind:
                case "account":
                    subject = f"account:{request.account}"
                    if await account_store.find_account(connection, request.account, lock=True) is None:
                        raise NotFound("account", "an account that exists")
                    await account_store.mark_revoked(connection, request.account, now_ms)
                    # Else an approval of last week's proposal would bring the person back.
                    await account_store.end_proposals(connection, request.account, now_ms)
                case "terminal_id":
                    subject = f"terminal:{request.terminal_id}"
                    if not await identities.terminal_exists(connection, request.terminal_id):
                        raise NotFound("terminal_id", "a terminal that was enrolled")
                    # Each by itself as well: a terminal that enrols anew returns, its old certificates do
                    # not.
                    await self._end_certificates(
                        connection, subject, actor=actor, reason=request.reason, now_ms=now_ms
                    )
                case _:
                    fingerprint = request.certificate_fingerprint.replace(":", "").lower()
                    if not _FINGERPRINT.fullmatch(fingerprint):
                        expected = "the SHA-256 fingerprint of a certificate, 64 hexadecimal digits"
                        raise Refuse("certificate_fingerprint", expected)
                    subject = f"certificate:{fingerprint}"
            await account_store.put_revocation(
                connection,
                self._versions,
                subject,
                now_ms=now_ms,
                reinstated=False,
                reason=request.reason,
                actor=actor,
            )
            await audit.record(
                connection, action="Revoked", actor=actor, subject=subject, reason=request.reason
            )
        metrics.revocations.labels(subject.partition(":")[0]).inc()

    async def _end_certificates(
        self, connection: AsyncConnection, subject: str, *, actor: str, reason: str, now_ms: int
    ) -> None:
        for fingerprint in await identities.live_certificates(connection, subject, now_ms):
            certificate = f"certificate:{fingerprint}"
            if not await account_store.is_revoked(connection, certificate):
                await account_store.put_revocation(
                    connection,
                    self._versions,
                    certificate,
                    now_ms=now_ms,
                    reinstated=False,
                    reason=reason,
                    actor=actor,
                )


async def _device(connection: AsyncConnection, device_id: str) -> Device:
    key = Key(Kind.DEVICE, device_id)
    found = (await store.load(connection, [key])).get(key)
    if found is None or not isinstance(found.resource, Device) or found.resource.status is LifeStatus.REMOVED:
        raise NotFound("device_id", "a device that exists")
    return found.resource
