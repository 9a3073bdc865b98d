"""The keys that the gateway blinds and seals with: from watchlist, in memory only, and only while they are
fresh (C12)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

import grpc

from alerthub.api.v1 import watchlist_pb2
from alerthub.domain.errors import Retry
from alerthub.sealing import DataKeyring, Recipient
from alerthub.telemetry import logger
from alerthub.tokens import Blinder
from services.gateway import metrics

log = logger(__name__)

_CALL_SECONDS = 3.0


class KeyStub(Protocol):
    """What is used of the KeyService's stub."""

    def SynchroniseKeys(  # noqa: N802 - the name on the wire
        self, request: watchlist_pb2.SynchroniseKeysRequest, *, timeout: float
    ) -> Awaitable[watchlist_pb2.SynchroniseKeysResponse]: ...


@dataclass(frozen=True, slots=True)
class Blinding:
    """One configuration of blinding, ready for use."""

    version: int
    epoch: str
    ends_at_ms: int
    blinder: Blinder = field(repr=False)
    id_key: bytes = field(repr=False)
    """Keys the ids of observations without an event id, apart from tokens by its own personalisation."""


class KeyHolder:
    """Reports to watchlist each second what this gateway blinds with, and holds what it should blind with.

    In force is only what watchlist named in its last answer, not older than `maximum_age_ms`, in an epoch
    that has not ended: a gateway that lags would make tokens that match nothing, so it takes nothing.
    """

    def __init__(
        self,
        stub: KeyStub,
        *,
        gateway_id: str,
        interval_seconds: float,
        maximum_age_ms: int,
        now_ms: Callable[[], int],
    ) -> None:
        self.keyring = DataKeyring()
        self._stub = stub
        self._gateway_id = gateway_id
        self._interval_seconds = interval_seconds
        self._maximum_age_ms = maximum_age_ms
        self._now_ms = now_ms
        self._in_force: Blinding | None = None
        self._prepared: Blinding | None = None
        self._answered_at_ms = 0
        self._reason = "watchlist has not given any keys yet"
        metrics.key_age.set_function(lambda: (self._now_ms() - self._answered_at_ms) / 1000)

    def not_ready_because(self) -> str | None:
        """None while observations can be blinded and sealed; else one sentence."""
        return self._not_ready_because(self._now_ms())

    def _not_ready_because(self, now_ms: int) -> str | None:
        if self._in_force is None:
            return self._reason
        if now_ms - self._answered_at_ms > self._maximum_age_ms:
            return "watchlist has not confirmed the keys in force for too long"
        if now_ms >= self._in_force.ends_at_ms:
            return "the blinding epoch has ended and watchlist has not given the next"
        if not self.keyring.ready(now_ms):
            return "no sealing key of watchlist is valid"
        return None

    def in_force(self, now_ms: int) -> Blinding:
        """What to blind with at `now_ms`. Retry when there is nothing, or it may be outdated."""
        reason = self._not_ready_because(now_ms)
        if reason is not None or self._in_force is None:
            raise Retry(reason or self._reason, after_seconds=2)
        return self._in_force

    def in_force_or_none(self) -> Blinding | None:
        """The same, for who goes on without."""
        return self._in_force if self.not_ready_because() is None else None

    async def run(self) -> None:
        """Synchronises until it is cancelled."""
        while True:
            try:
                await self.synchronise()
            except grpc.aio.AioRpcError as error:
                self._reason = f"watchlist does not give keys: {error.code().name}"
                log.warning("key_synchronisation_failed", code=error.code().name)
            except ValueError:
                # The answer could not be used; what was held stays, and ages.
                self._reason = "watchlist gave keys that cannot be used"
                log.exception("key_synchronisation_answer_unusable")
            await asyncio.sleep(self._interval_seconds)

    async def synchronise(self) -> None:
        """One report and its answer. Raises AioRpcError, or ValueError for keys that cannot be used."""
        asked_at_ms = self._now_ms()
        request = watchlist_pb2.SynchroniseKeysRequest(
            gateway_id=self._gateway_id,
            matching_version=self._in_force.version if self._in_force else 0,
            prepared_version=self._prepared.version if self._prepared else 0,
        )
        answer = await self._stub.SynchroniseKeys(request, timeout=_CALL_SECONDS)
        in_force = self._wanted(answer.in_force) if answer.HasField("in_force") else None
        prepared = self._wanted(answer.next) if answer.HasField("next") else in_force
        if answer.HasField("recipient"):
            self.keyring.use(
                Recipient(
                    key_id=answer.recipient.recipient_key_id,
                    public_key=answer.recipient.public_key,
                    valid_until_ms=answer.recipient.valid_until_ms,
                )
            )
        if in_force is None:
            self._reason = "watchlist has no blinding configuration in force"
        elif self._in_force is None or self._in_force.version != in_force.version:
            log.info("blinding_in_force", version=in_force.version, epoch=in_force.epoch)
        self._in_force, self._prepared = in_force, prepared
        # As of the question: what watchlist changed while the answer was on its way is not in it.
        self._answered_at_ms = asked_at_ms

    def _wanted(self, told: watchlist_pb2.BlindingConfiguration) -> Blinding:
        """What the answer tells, made only once: the tables of its masks cost a millisecond."""
        for known in (self._in_force, self._prepared):
            if known is not None and (known.version, known.epoch, known.ends_at_ms) == (
                told.version,
                told.epoch,
                told.epoch_ends_at_ms,
            ):
                return known
        return Blinding(
            version=told.version,
            epoch=told.epoch,
            ends_at_ms=told.epoch_ends_at_ms,
            blinder=Blinder(told.epoch, told.epoch_key, told.masks),
            id_key=told.epoch_key,
        )
