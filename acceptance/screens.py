"""Twenty patrol terminals as gRPC clients of their own making, each with a screen."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
import uuid
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hub import Hub
from office import Person, now_ms

RENEW_SECONDS = 180
SILENT_SECONDS = 15
"""Without a message for so long a terminal connects anew; heartbeats come every 5 s."""
OFF_EVERY_SECONDS = 60
"""About so often a terminal is switched off for some seconds."""


class Terminal:
    """One terminal: enrolled, signed on, keeping what it has to say until it is answered."""

    def __init__(
        self,
        wire: SimpleNamespace,
        hub: Hub,
        officer: Person,
        terminal_id: str,
        *,
        finishes: Callable[[Any], bool],
        chance: random.Random,
    ) -> None:
        self._wire = wire
        self._hub = hub
        self._officer = officer
        self.terminal_id = terminal_id
        self._finishes = finishes
        self._chance = chance
        self._credentials: grpc.ChannelCredentials | None = None
        self.screen: dict[str, Any] = {}
        """Alert id to the newest push."""
        self.ever_shown: dict[str, Any] = {}
        """Alert id to the first push of every alert that was ever on the screen."""
        self._versions: dict[str, int] = {}
        self._outbox: dict[str, Any] = {}
        self._answered: set[str] = set()
        self._unsent = asyncio.Event()
        self._resume_token = self._seen_token = ""
        self._snapshot: set[str] | None = None
        self.connections = 0
        self.steady = asyncio.Event()
        """Set while connected and caught up."""
        self.stays_on = False
        """No more switching off: the run is over and the screen must become whole."""

    async def enrol(self, code: str) -> None:
        """A key, a signing request, a certificate."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.terminal_id)])
        request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
        authority = grpc.ssl_channel_credentials(self._hub.ca_file.read_bytes())
        async with grpc.aio.secure_channel(self._hub.address("registry_person"), authority) as channel:
            stub = self._wire.EnrolmentServiceStub(channel)
            enrolled = await stub.EnrolTerminal(
                self._wire.EnrolTerminalRequest(
                    code=code,
                    signing_request_pem=request.public_bytes(serialization.Encoding.PEM).decode(),
                ),
                timeout=15,
            )
        self._credentials = grpc.ssl_channel_credentials(
            enrolled.authority_pem.encode(),
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            ),
            enrolled.certificate_pem.encode(),
        )

    async def run(self) -> None:
        """Connects again and again until cancelled."""
        while True:
            # InvalidStateError: the stream had ended before it was written to.
            with contextlib.suppress(
                grpc.aio.AioRpcError, asyncio.InvalidStateError, TimeoutError, ConnectionError
            ):
                await self._connect()
            self.steady.clear()
            await asyncio.sleep(self._chance.uniform(0.2, 2.0))

    async def _connect(self) -> None:
        assert self._credentials is not None, "enrolled before it runs"
        token = await self._officer.token("push")
        async with grpc.aio.secure_channel(self._hub.address("push"), self._credentials) as channel:
            stream = self._wire.PatrolServiceStub(channel).Connect()
            sign_on = self._wire.SignOn(officer_token=token, resume_token=self._resume_token)
            await stream.write(self._message(str(uuid.uuid4()), sign_on=sign_on))
            self._snapshot, self._seen_token = None, self._resume_token
            sender: asyncio.Task[None] | None = None
            off_at = time.monotonic() + self._chance.uniform(0.5, 1.5) * OFF_EVERY_SECONDS
            try:
                while self.stays_on or time.monotonic() < off_at:
                    async with asyncio.timeout(SILENT_SECONDS):
                        message = await stream.read()
                    if message is grpc.aio.EOF:
                        return
                    self._take(message)
                    if sender is None and message.WhichOneof("message") == "welcome":
                        self.connections += 1
                        sender = asyncio.create_task(self._send(stream))
            finally:
                if sender is not None:
                    sender.cancel()
                    await asyncio.gather(sender, return_exceptions=True)
                stream.cancel()

    async def _send(self, stream: Any) -> None:
        sent: set[str] = set()
        renew_at = time.monotonic() + RENEW_SECONDS
        while True:
            self._unsent.clear()
            for command_id, message in list(self._outbox.items()):
                if command_id not in sent:
                    await stream.write(message)
                    sent.add(command_id)
            if time.monotonic() > renew_at:
                renewal = self._wire.RenewToken(officer_token=await self._officer.token("push"))
                await stream.write(self._message(str(uuid.uuid4()), renew_token=renewal))
                renew_at = time.monotonic() + RENEW_SECONDS
            try:
                async with asyncio.timeout(5):
                    await self._unsent.wait()
            except TimeoutError:
                continue

    def _message(self, command_id: str, **what: Any) -> Any:
        return self._wire.TerminalMessage(command_id=command_id, time_ms=now_ms(), **what)

    def _say(self, *identity: str, **what: Any) -> None:
        command_id = str(uuid.uuid5(uuid.NAMESPACE_OID, " ".join((self.terminal_id, *identity))))
        if command_id not in self._answered:
            self._outbox.setdefault(command_id, self._message(command_id, **what))
            self._unsent.set()

    def _take(self, message: Any) -> None:
        match message.WhichOneof("message"):
            case "welcome":
                self._snapshot = set() if message.welcome.snapshot_follows else None
            case "answer":
                self._outbox.pop(message.answer.command_id, None)
                self._answered.add(message.answer.command_id)
            case "heartbeat":
                if self._snapshot is not None and message.heartbeat.snapshot_complete:
                    self.screen = {key: push for key, push in self.screen.items() if key in self._snapshot}
                    self._snapshot = None
                if self._snapshot is None:
                    self.steady.set()
            case "alert":
                self._show(message.alert)
        self._seen_token = message.resume_token or self._seen_token
        if self._snapshot is None:
            self._resume_token = self._seen_token

    def _show(self, push: Any) -> None:
        alert = push.alert
        if self._snapshot is not None:
            self._snapshot.add(alert.alert_id)
        if alert.version <= self._versions.get(alert.alert_id, 0):
            return
        self._versions[alert.alert_id] = alert.version
        over = (
            self._wire.ALERT_STATUS_CANCELLED,
            self._wire.ALERT_STATUS_CLOSED,
            self._wire.ALERT_STATUS_REJECTED,
        )
        if alert.status in over or not push.assignment_id:
            self.screen.pop(alert.alert_id, None)
            return
        self.screen[alert.alert_id] = push
        self.ever_shown.setdefault(alert.alert_id, push)
        self._answer(push)

    def _answer(self, push: Any) -> None:
        wire, alert, assignment_id = self._wire, push.alert, push.assignment_id
        receipt = wire.Receipt(
            alert_id=alert.alert_id, alert_version=alert.version, assignment_id=assignment_id
        )
        self._say("receipt", alert.alert_id, str(alert.version), receipt=receipt)
        ours = next((each for each in alert.assignments if each.assignment_id == assignment_id), None)
        status = ours.status if ours is not None else 0
        if status in (wire.ASSIGNMENT_STATUS_OFFERED, wire.ASSIGNMENT_STATUS_DELIVERED):
            accept = wire.AcceptAssignment(alert_id=alert.alert_id, assignment_id=assignment_id)
            self._say("accept", assignment_id, accept=accept)
        if status == wire.ASSIGNMENT_STATUS_ACCEPTED and self._finishes(alert):
            outcome = wire.RecordOutcome(
                alert_id=alert.alert_id, assignment_id=assignment_id, outcome=wire.OUTCOME_FOUND
            )
            self._say("outcome", assignment_id, record_outcome=outcome)

    @property
    def unanswered(self) -> list[str]:
        """Commands that the hub has not answered, in words."""
        return [
            f"{message.WhichOneof('message')} of {time.time() - message.time_ms / 1000:.0f} s ago"
            for message in self._outbox.values()
        ]
