"""Wires the registry. Nothing else does."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from alerthub import kafka, postgres, witness_webhook
from alerthub.audit import AuditSequencer
from alerthub.audit_api import AuditServicer
from alerthub.audit_signing import HeadSigner
from alerthub.grpc import GrpcServer, serve
from alerthub.http import OperationsServer
from alerthub.identity import (
    NotAuthenticatedError,
    RevocationList,
    TokenSigner,
    TokenVerifier,
)
from alerthub.outbox import BookmarkPublisher, Message, OutboxRelay
from alerthub.postgres_watch import DatabaseWatch
from alerthub.process import Part, Parts
from alerthub.replica import CompactedReplica
from alerthub.republisher import Republisher
from alerthub.telemetry import logger
from services.registry import account_store, restore, store
from services.registry.account_handlers import AccountHandlers
from services.registry.certificates import CertificateAuthority
from services.registry.granting import GrantHandlers
from services.registry.grpc_api import EnrolmentServicer, RegistryServicer, SessionServicer
from services.registry.handlers import ResourceHandlers
from services.registry.housekeeping import Housekeeping
from services.registry.identity_handlers import IdentityHandlers, Lives
from services.registry.leaving import LeavingHandlers
from services.registry.passwords import Passwords
from services.registry.session_handlers import SessionHandlers
from services.registry.settings import RegistrySettings
from services.registry.topic_versions import OWNED_TOPICS, REVOCATIONS, TopicVersions

log = logger(__name__)

AUDIENCE = "registry"


def now_ms() -> int:
    """The time, milliseconds since 1970, UTC."""
    return time.time_ns() // 1_000_000


class Service:
    """The registry: `start`, `stop`, and `failed`, which ends when the process should."""

    def __init__(self, settings: RegistrySettings) -> None:
        self._settings = settings
        self._client_id = f"registry-{settings.instance}"
        self._engine = postgres.engine(settings.postgres)
        self._signer = TokenSigner.from_file(settings.token_signing_key_file)
        self._authority = CertificateAuthority.from_files(settings.tls.ca_file, settings.authority_key_file)
        self._producer = kafka.producer(settings.kafka, client_id=self._client_id)
        self._revocations = RevocationList()
        self._versions = TopicVersions()
        self._parts = Parts()
        self.operations: OperationsServer | None = None
        self.grpc: GrpcServer | None = None

    async def start(self) -> None:
        """Migrates, makes the first accounts, then listens. Raises what stands in the way."""
        settings = self._settings
        self._parts.open()
        await postgres.migrate(settings.postgres, "services.registry")
        self._parts.on_stop(self._engine.dispose)
        # Before anybody is let in or told anything: a database older than its topics is found now (C19).
        await restore.take_over(
            self._engine,
            await restore.read_published(settings.kafka, client_id=self._client_id),
            now_ms=now_ms(),
        )
        passwords = Passwords(concurrency=settings.sign_in_concurrency, queue=settings.sign_in_queue)
        accounts = AccountHandlers(
            self._engine,
            passwords=passwords,
            signer=self._signer,
            versions=self._versions,
            now_ms=now_ms,
        )
        if settings.bootstrap_accounts_file is not None:
            made = await accounts.bootstrap(
                settings.bootstrap_accounts_file, listen_host=settings.listen_host
            )
            log.info("accounts_bootstrapped", accounts=made)
        await self._producer.start()
        self._parts.on_stop(self._producer.stop)
        checks = await self._start_publishing()
        self.operations = OperationsServer(settings, checks)
        await self._parts.begin(self.operations)
        self.grpc = await serve(
            settings,
            [*self._servicers(accounts, passwords), AuditServicer(self._engine)],
            audience=AUDIENCE,
            revocations=self._revocations,
        )
        self._parts.on_stop(self.grpc.stop)

    async def _start_publishing(self) -> dict[str, Callable[[], str | None]]:
        """Outbox, bookmarks, replica of revocations, republishers, audit; returns the readiness checks."""
        settings = self._settings
        database = postgres.DatabaseCheck(self._engine)
        watch = DatabaseWatch(self._engine)
        relay = OutboxRelay(self._engine, self._producer)
        sequencer = AuditSequencer(
            self._engine,
            signer=HeadSigner.from_tls(settings.tls),
            witness_file=settings.witness_file,
            webhook=witness_webhook.from_settings(settings),
        )
        revocations = CompactedReplica(
            settings.kafka,
            REVOCATIONS,
            client_id=self._client_id,
            apply=self._revocations.apply,
            on_failure=self._parts.fail,
        )
        republishers = [self._republisher(topic) for topic in OWNED_TOPICS]
        bookmarks = BookmarkPublisher(self._producer, OWNED_TOPICS, relay)
        housekeeping = Housekeeping(
            self._engine,
            command_memory_days=settings.command_memory_days,
            now_ms=now_ms,
            on_failure=self._parts.fail,
        )
        parts: tuple[Part, ...] = (
            database,
            watch,
            relay,
            sequencer,
            revocations,
            *republishers,
            housekeeping,
        )
        for part in parts:
            await self._parts.begin(part)
        # After a Kafka that was lost: no gate opens before the topics have what the database has (C19).
        for republisher in republishers:
            await republisher.wait_until_begun()
        await self._parts.begin(bookmarks)
        checks: dict[str, Callable[[], str | None]] = {
            "database": database,
            "outbox": relay.check,
            "audit": sequencer.check,
            "revocations": revocations.not_ready_because,
            "signing_key": self._signing_key_check(),
        }
        return checks | {
            f"topic_{topic}": republisher.check
            for topic, republisher in zip(OWNED_TOPICS, republishers, strict=True)
        }

    def _republisher(self, topic: str) -> Republisher:
        if topic == REVOCATIONS:
            versions, values = account_store.revocation_versions, account_store.revocation_messages
        else:
            versions, values = partial(_versions_on, topic), partial(_messages_on, topic)
        return Republisher(
            self._settings.kafka,
            self._engine,
            self._producer,
            topic,
            client_id=self._client_id,
            version_of=partial(self._versions.note, topic),
            versions=versions,
            values=values,
            on_failure=self._parts.fail,
        )

    def _servicers(self, accounts: AccountHandlers, passwords: Passwords) -> tuple[object, ...]:
        settings = self._settings
        resources = ResourceHandlers(
            self._engine,
            versions=self._versions,
            now_ms=now_ms,
            activation_lead_ms=settings.activation_lead_ms,
        )
        identities = IdentityHandlers(
            self._engine,
            authority=self._authority,
            lives=Lives(
                enrolment_code_minutes=settings.enrolment_code_minutes,
                terminal_certificate_days=settings.terminal_certificate_days,
                device_certificate_days=settings.device_certificate_days,
            ),
            versions=self._versions,
            now_ms=now_ms,
        )
        grants = GrantHandlers(self._engine, passwords=passwords, versions=self._versions, now_ms=now_ms)
        leaving = LeavingHandlers(self._engine, resources=resources, versions=self._versions, now_ms=now_ms)
        return (
            RegistryServicer(resources, grants, leaving, identities),
            SessionServicer(
                accounts,
                SessionHandlers(self._engine, accounts, signer=self._signer, now_ms=now_ms),
            ),
            EnrolmentServicer(identities),
        )

    def _signing_key_check(self) -> Callable[[], str | None]:
        """Whether services would accept what this registry signs: the two key files are of one pair."""
        verifier = TokenVerifier.from_file(self._settings.token_verification_key_file, audience=AUDIENCE)
        token, _ = self._signer.sign(account="readiness", roles=(), audience=AUDIENCE, now_ms=now_ms())
        try:
            verifier.verify(token)
        except NotAuthenticatedError:
            return lambda: "the token verification key is not that of the signing key"
        return lambda: None

    async def failed(self) -> BaseException:
        """Returns when a part ended that only a restart mends."""
        return await self._parts.failed()

    async def stop(self) -> None:
        """Ends everything in the reverse order of its start."""
        await self._parts.stop()

    @property
    def engine(self) -> AsyncEngine:
        return self._engine


async def _versions_on(topic: str, connection: AsyncConnection) -> dict[str, int]:
    return await store.versions_on(connection, topic)


async def _messages_on(topic: str, connection: AsyncConnection, keys: Sequence[str]) -> list[Message]:
    return await store.messages_on(connection, topic, keys)


def build(settings: RegistrySettings) -> Service:
    """The registry, wired and not started. Raises OSError, TypeError or ValueError for wrong key files."""
    return Service(settings)
