"""Keys for gateways, and the steps of masks and epochs (C12)."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from alerthub import audit, outbox
from alerthub.api.v1 import watchlist_pb2
from alerthub.domain import matching as matching_rules
from alerthub.domain.errors import Retry
from alerthub.domain.masks import mask_set
from alerthub.domain.matching import Configuration, Epoch, GatewayReport, Matching, Step, Timing
from alerthub.identity import Caller
from alerthub.keys import KeyProvider, KeyUnavailableError
from alerthub.postgres import transaction
from alerthub.sealing import Recipient
from alerthub.telemetry import logger
from services.watchlist import key_store, metrics, store
from services.watchlist.handlers import now_ms
from services.watchlist.publication import MATCHING_KEY, matching_value
from services.watchlist.settings import MINUTE_MS, RECIPIENT_CHANGES_AFTER_MS, RECIPIENT_VALID_MS

log = logger(__name__)

ACTOR = "service:watchlist"


class KeyHandlers:
    """Keeps the keys in their times and gives gateways what they need."""

    def __init__(
        self,
        engine: AsyncEngine,
        keys: KeyProvider,
        timing: Timing,
        *,
        clock_ms: Callable[[], int] = now_ms,
    ) -> None:
        self._engine = engine
        self._keys = keys
        self._timing = timing
        self._now_ms = clock_ms
        self._recipient: Recipient | None = None

    async def synchronise(
        self, caller: Caller, request: watchlist_pb2.SynchroniseKeysRequest
    ) -> watchlist_pb2.SynchroniseKeysResponse:
        """Notes what the gateway has, and gives what it must have and should prepare."""
        time_ms = self._now_ms()
        report = GatewayReport(
            request.gateway_id, time_ms, request.matching_version, request.prepared_version
        )
        async with transaction(self._engine) as connection:
            state = await key_store.matching_state(connection)
            if state is None:
                raise Retry("the first blinding key is not made yet")
            before = await key_store.report_of(connection, report.gateway_id)
            await key_store.save_report(connection, report)
            if before is None or before.matching_version != report.matching_version:
                await audit.record(
                    connection,
                    action="KeysGiven",
                    actor=caller.actor,
                    subject=f"gateway:{report.gateway_id}",
                    detail=f"it blinds with {report.matching_version}, in force is "
                    f"{state.matching.in_force.version}",
                )
        following = state.matching.next
        return watchlist_pb2.SynchroniseKeysResponse(
            in_force=self._configuration(state.matching.in_force, time_ms),
            next=None if following is None else self._configuration(following, time_ms),
            recipient=self._recipient_message(time_ms),
        )

    def _configuration(
        self, configuration: Configuration, time_ms: int
    ) -> watchlist_pb2.BlindingConfiguration:
        return watchlist_pb2.BlindingConfiguration(
            version=configuration.version,
            masks=configuration.masks,
            epoch=configuration.epoch.name,
            epoch_key=self._keys.epoch_key(configuration.epoch.name, now_ms=time_ms),
            epoch_ends_at_ms=configuration.epoch.made_at_ms + self._timing.epoch_life_ms,
        )

    def _recipient_message(self, time_ms: int) -> watchlist_pb2.SealingRecipient:
        recipient = self._recipient
        if recipient is None or recipient.valid_until_ms <= time_ms:
            raise Retry("the sealing key of the hour is not made yet")
        return watchlist_pb2.SealingRecipient(
            recipient_key_id=recipient.key_id,
            public_key=recipient.public_key,
            valid_until_ms=recipient.valid_until_ms,
        )

    async def prepare_first(self, *, published_version: int = 0) -> None:
        """Before the service is ready: a key of the hour, a configuration, and its value on its way.

        `published_version` is what the topic knows; above the database's it means that the database was
        restored (C19).
        """
        await self.renew_recipient()
        async with transaction(self._engine) as connection:
            await store.lock_jobs(connection)
            state = await key_store.matching_for_change(connection)
            if state is None or published_version > state.matching.newest_version:
                await self._begin(connection, version=published_version + 1)
            elif not self._has_key(state.matching.in_force.epoch):
                # The hub was off for longer than its epoch, or the key was lost: whatever was blinded with it
                # is over.
                await self._begin(connection, version=state.matching.newest_version + 1)

    def _has_key(self, epoch: Epoch) -> bool:
        time_ms = self._now_ms()
        if time_ms >= epoch.made_at_ms + self._timing.epoch_life_ms:
            return False
        try:
            self._keys.epoch_key(epoch.name, now_ms=time_ms)
        except KeyUnavailableError:
            return False
        return True

    async def _begin(self, connection: AsyncConnection, *, version: int) -> None:
        """A configuration in force at once, with an epoch of its own: for when there is none that could go
        on."""
        time_ms = self._now_ms()
        epoch = self._make_epoch(time_ms)
        masks = mask_set(await store.masks_in_use(connection), field="masks")
        begun = Matching(in_force=Configuration(version, masks, epoch, time_ms))
        await self._put_in_force(connection, begun, time_ms)
        log.info("matching_began", version=version, masks=len(masks))

    def _make_epoch(self, time_ms: int) -> Epoch:
        # Names sort by time: that is how entries that lack the newest epoch are found.
        epoch = Epoch(f"e{time_ms:013d}-{secrets.token_hex(4)}", time_ms)
        self._keys.create_epoch(
            epoch.name, now_ms=time_ms, destroy_at_ms=time_ms + self._timing.epoch_life_ms
        )
        return epoch

    async def _put_in_force(self, connection: AsyncConnection, state: Matching, time_ms: int) -> None:
        await key_store.save_matching(connection, state, active_from_ms=time_ms)
        await outbox.enqueue(
            connection,
            topic="matching",
            key=MATCHING_KEY,
            value=matching_value(state, active_from_ms=time_ms),
            version=state.in_force.version,
        )
        await audit.record(
            connection,
            action="MatchingInForce",
            actor=ACTOR,
            subject=f"matching:{state.in_force.version}",
            detail=f"epoch {state.in_force.epoch.name}, {len(state.in_force.masks)} masks",
        )

    async def advance(self) -> Step:
        """The next step of masks and epochs that is due."""
        time_ms = self._now_ms()
        async with transaction(self._engine) as connection:
            await store.lock_jobs(connection)
            stored = await key_store.matching_for_change(connection)
            if stored is None or not self._has_key(stored.matching.in_force.epoch):
                version = 1 if stored is None else stored.matching.newest_version + 1
                await self._begin(connection, version=version)
                return Step.CAME_INTO_FORCE
            state = stored.matching
            gateways = await key_store.reports(connection)
            # The key is made only when the step is taken: the name is enough to decide.
            proposed_epoch = f"e{time_ms:013d}-{secrets.token_hex(4)}"
            done = matching_rules.advance(
                state,
                now_ms=time_ms,
                gateways=gateways,
                masks=mask_set(await store.masks_in_use(connection), field="masks"),
                entries_carry_epochs=await store.all_carry(connection, state.epochs[-1]),
                new_epoch_name=proposed_epoch,
                timing=self._timing,
            )
            self._measure(gateways, done, time_ms)
            match done.step:
                case Step.NOTHING:
                    return done.step
                case Step.CAME_INTO_FORCE:
                    await self._put_in_force(connection, done.matching, time_ms)
                case Step.PREPARED | Step.OUTGOING_ENDED:
                    if done.matching.next is not None and done.matching.next.epoch.name == proposed_epoch:
                        self._keys.create_epoch(
                            proposed_epoch,
                            now_ms=time_ms,
                            destroy_at_ms=time_ms + self._timing.epoch_life_ms,
                        )
                    await key_store.save_matching(
                        connection, done.matching, active_from_ms=stored.active_from_ms
                    )
        if done.step is Step.OUTGOING_ENDED and state.outgoing is not None:
            await asyncio.to_thread(self._keys.destroy_epoch, state.outgoing.name)
            metrics.keys_destroyed.labels("epoch").inc()
        metrics.steps.labels(done.step.value).inc()
        log.info(
            "matching_step",
            step=done.step.value,
            version=done.matching.newest_version,
            gateways_left_behind=len(done.left_behind),
        )
        return done.step

    def _measure(self, gateways: list[GatewayReport], done: matching_rules.Advance, time_ms: int) -> None:
        live = [report for report in gateways if time_ms - report.reported_at_ms < self._timing.live_ms]
        metrics.gateways_live.set(len(live))
        metrics.gateways_behind.set(len(done.waiting_for) + len(done.left_behind))
        metrics.epoch_age.set((time_ms - done.matching.in_force.epoch.made_at_ms) / 1000)

    async def forget_unused_masks(self) -> None:
        """Once an epoch: masks that no open entry uses any more need not be computed."""
        async with transaction(self._engine) as connection:
            # Whoever enters an entry with an unusual mask holds this lock too.
            await key_store.matching_for_change(connection)
            await store.forget_unused_masks(connection)

    async def renew_recipient(self) -> None:
        """Sees to it that the newest key pair is less than an hour old, and that every instance gives the
        same."""
        time_ms = self._now_ms()
        newest = await asyncio.to_thread(self._newest_recipient, time_ms)
        changed_at_ms = newest.valid_until_ms - RECIPIENT_VALID_MS if newest is not None else 0
        if newest is None or time_ms >= changed_at_ms + RECIPIENT_CHANGES_AFTER_MS:
            newest = await asyncio.to_thread(
                self._keys.create_recipient,
                now_ms=time_ms,
                valid_until_ms=time_ms + RECIPIENT_VALID_MS,
                # What was sealed in its last minute may be opened for the whole retention, and no longer.
                destroy_at_ms=time_ms
                + RECIPIENT_VALID_MS
                + min(self._timing.retention_ms + MINUTE_MS, matching_rules.DAY_MS),
            )
        self._recipient = newest

    def _newest_recipient(self, time_ms: int) -> Recipient | None:
        found = [known for known in self._keys.recipients(now_ms=time_ms) if known.valid_until_ms > time_ms]
        return found[-1] if found else None

    async def destroy_due(self) -> int:
        """Destroys the keys whose time has come."""
        destroyed = await asyncio.to_thread(self._keys.destroy_due, now_ms=self._now_ms())
        for _ in destroyed:
            metrics.keys_destroyed.labels("timed").inc()
        return len(destroyed)

    def check(self) -> str | None:
        """A readiness check: the keys can be read and the key of the hour is valid."""
        try:
            self._keys.inventory()
        except KeyUnavailableError as error:
            return error.reason
        recipient = self._recipient
        if recipient is None or recipient.valid_until_ms <= self._now_ms():
            return "no sealing key is valid"
        return None
