"""Has watchlist seal an alert's text and picture again under the alert's own key, and keeps them (C13).

Rows of `sealing` are the work; each is leased, so a process that dies in between delays it by seconds.
Nothing waits for it: an alert whose evidence is not sealed goes on without, and says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import grpc
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from alerthub import loops
from alerthub.api.v1 import watchlist_pb2, watchlist_pb2_grpc
from alerthub.domain import alert_life
from alerthub.domain.denials import Denial
from alerthub.domain.errors import NotFound, Refuse, Retry
from alerthub.domain.reasons import Reason, reason_of
from alerthub.domain.texts import NO_TEXT, LocalizedText
from alerthub.evidence import EvidenceStore
from alerthub.grpc_errors import error_of
from alerthub.postgres import reading, sql, transaction
from alerthub.telemetry import logger
from services.dispatch.metrics import SEALINGS
from services.dispatch.rows import OPEN, NewSealing
from services.dispatch.store import SEALING_LEASE_SECONDS
from services.dispatch.work import ACTOR, Surroundings, working

log = logger(__name__)

_MAXIMUM_BACKOFF_SECONDS = 30
_AT_ONCE = 8
_MOST_UNDER_WAY = 64
_IDLE_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class SealedEvidence:
    """What may be opened at watchlist; `pending`: sealing is under way."""

    pending: bool = False
    raised_id: bytes = b""
    details: bytes = b""
    picture: bytes = b""
    missing: LocalizedText = NO_TEXT
    """Why one of them is absent."""


@dataclass(frozen=True, slots=True)
class _Leased:
    """A row that this instance attempts. `age`: seconds since it was written."""

    raised_id: bytes
    alert_id: str
    request: bytes
    picture_id: str
    attempts: int
    age: float


class Sealing:
    """The worker, and what it made."""

    def __init__(
        self,
        database: AsyncEngine,
        surroundings: Surroundings,
        evidence: EvidenceStore,
        channel: grpc.aio.Channel,
        *,
        timeout_seconds: float,
        gives_up_after_seconds: int,
        on_failure: loops.OnFailure = loops.ignore,
    ) -> None:
        self._database = database
        self._surroundings = surroundings
        self._evidence = evidence
        self._watchlist = watchlist_pb2_grpc.WatchlistServiceStub(channel)
        self._timeout_seconds = timeout_seconds
        self._gives_up_after_seconds = gives_up_after_seconds
        self._on_failure = on_failure
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._under_way: set[asyncio.Task[None]] = set()
        self._made: dict[bytes, SealedEvidence] = {}
        self._sealed = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None
        self._failing_since: float | None = None

    def check(self) -> str | None:
        """What is degraded while watchlist does not seal; the alerts themselves go on."""
        return "the watchlist service does not seal evidence" if self._failing_since is not None else None

    async def start(self) -> None:
        self._task = loops.begin(self._run(), name="sealing", on_failure=self._on_failure)

    async def stop(self) -> None:
        await loops.end(self._task, *self._under_way)

    def begin(self, sealings: Sequence[NewSealing]) -> None:
        """Seals what was just written and is leased to this instance. What is too much now, and everything
        while watchlist is away, is left to the loop, which takes it when its lease has ended."""
        for each in sealings:
            if self._failing_since is not None or len(self._under_way) >= _MOST_UNDER_WAY:
                return
            task = loops.begin(
                self._attempt(_Leased(each.raised_id, each.alert_id, each.request, each.picture_id, 1, 0.0)),
                name="seal",
                on_failure=self._on_failure,
            )
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def _run(self) -> None:
        while True:
            try:
                leased = await self._lease()
            except (Retry, SQLAlchemyError) as error:
                log.warning("sealing_waits", error_type=type(error).__name__)
                leased = []
            await asyncio.gather(*(self._attempt(row) for row in leased))
            if not leased or self._failing_since is not None:
                await asyncio.sleep(_IDLE_SECONDS)

    async def _lease(self) -> list[_Leased]:
        async with transaction(self._database) as connection:
            rows = await connection.execute(
                sql(
                    "UPDATE sealing SET attempts = attempts + 1, next_attempt_at = clock_timestamp() + "
                    "CAST(:lease AS integer) * interval '1 second' WHERE raised_id IN (SELECT raised_id "
                    "FROM sealing WHERE pending AND next_attempt_at <= clock_timestamp() "
                    "ORDER BY next_attempt_at LIMIT :most FOR UPDATE SKIP LOCKED) "
                    "RETURNING *, extract(epoch FROM clock_timestamp() - began_at) AS age"
                ),
                # While watchlist is away one at a time asks whether it is back.
                {"lease": SEALING_LEASE_SECONDS, "most": 1 if self._failing_since is not None else _AT_ONCE},
            )
            return [
                _Leased(
                    bytes(row.raised_id),
                    row.alert_id,
                    bytes(row.request),
                    row.picture_id,
                    row.attempts,
                    float(row.age),
                )
                for row in rows
            ]

    async def _attempt(self, row: _Leased) -> None:
        """One attempt; what fails is tried again when its time comes."""
        try:
            async with self._slots:
                await self._seal(row)
        except (Retry, SQLAlchemyError) as error:
            log.warning("sealing_waits", error_type=type(error).__name__)

    async def _seal(self, row: _Leased) -> None:
        try:
            request = watchlist_pb2.SealForAlertRequest.FromString(row.request)
            missing: Reason | None = None
            if row.picture_id:
                picture = await self._evidence.get_streaming(row.picture_id)
                if picture is None:
                    missing = Reason.PICTURE_EXPIRED
                else:
                    request.sealed_picture = picture
            else:
                missing = Reason.NO_PICTURE_SENT
            sealed = await self._watchlist.SealForAlert(request, timeout=self._timeout_seconds)
            if sealed.sealed_picture:
                await self._evidence.promote(row.alert_id, row.picture_id, sealed.sealed_picture)
            elif missing is None:
                missing = Reason.PICTURE_NOT_OPENED
            await self._finish_showing(row, sealed, missing)
            self._failing_since = None
            SEALINGS.labels("sealed").inc()
        except grpc.aio.AioRpcError as failed:
            error = error_of(failed)
            if isinstance(error, Retry):
                await self._later(row)
            else:
                log.exception("sealing_refused", code=failed.code().name)
                SEALINGS.labels("refused").inc()
                await self._finish(row, details=b"", promoted=False, missing=Reason.SEALED_NOT_OPENED)
        except Refuse:
            await self._finish(row, details=b"", promoted=False, missing=Reason.PICTURE_ID_WRONG)
        except Retry:
            await self._later(row)

    async def _later(self, row: _Leased) -> None:
        SEALINGS.labels("retried").inc()
        self._failing_since = self._failing_since or asyncio.get_running_loop().time()
        if row.age > self._gives_up_after_seconds:
            await self._finish(row, details=b"", promoted=False, missing=Reason.SEALING_TIMED_OUT)
            return
        wait = min(_MAXIMUM_BACKOFF_SECONDS, 0.5 * 2 ** min(row.attempts - 1, 10))
        async with transaction(self._database) as connection:
            await connection.execute(
                sql(
                    "UPDATE sealing SET next_attempt_at = clock_timestamp() "
                    "+ CAST(:wait AS double precision) * interval '1 second' WHERE raised_id = :raised_id"
                ),
                {"wait": wait, "raised_id": row.raised_id},
            )

    async def _finish(self, row: _Leased, *, details: bytes, promoted: bool, missing: Reason | None) -> None:
        kept = missing.value.english if missing is not None else ""
        async with working(self._database, self._surroundings) as work:
            alert = await work.load(row.alert_id)
            done = await work.connection.execute(
                sql(
                    "UPDATE sealing SET pending = false, request = NULL, sealed_details = :details, "
                    "picture_promoted = :promoted, missing_reason = :missing WHERE raised_id = "
                    ":raised_id AND pending"
                ),
                {"details": details, "promoted": promoted, "missing": kept, "raised_id": row.raised_id},
            )
            if alert is not None and done.rowcount:
                await work.store.note_picture(row.raised_id, has_picture=promoted, missing_reason=kept)
                work.apply(
                    alert_life.evidence_sealed(
                        alert,
                        of_basis=bytes(work.facts(row.alert_id).basis_raised_id) == bytes(row.raised_id),
                        has_picture=promoted,
                        actor=ACTOR,
                        now_ms=work.now_ms,
                    )
                )
        await self._tell_waiting()

    async def _finish_showing(
        self, row: _Leased, sealed: watchlist_pb2.SealForAlertResponse, missing: Reason | None
    ) -> None:
        """Whoever waits for the evidence has it while it is written down: what a process that dies in between
        has not written is sealed once more, under the same key."""
        self._made[row.raised_id] = SealedEvidence(
            False,
            row.raised_id,
            sealed.sealed_details,
            sealed.sealed_picture,
            missing.value if missing is not None else NO_TEXT,
        )
        try:
            await self._tell_waiting()
            await self._finish(
                row, details=sealed.sealed_details, promoted=bool(sealed.sealed_picture), missing=missing
            )
        finally:
            del self._made[row.raised_id]

    async def _tell_waiting(self) -> None:
        async with self._sealed:
            self._sealed.notify_all()

    async def newest(self, alert_id: str) -> SealedEvidence:
        """The evidence that the office is shown: first what waits for a confirmation."""
        async with reading(self._database) as connection:
            row = (await connection.execute(_NEWEST, {"alert_id": alert_id})).one_or_none()
        return SealedEvidence(missing=Reason.NOTHING_SENT.value) if row is None else await self._given(row)

    async def for_unit(self, unit_id: str, alert_id: str, *, wait_ms: int) -> SealedEvidence:
        """The evidence of what is confirmed, for a unit that has the alert; waits up to `wait_ms` for sealing
        that is under way. Raises NotFound where the open alert is neither offered to the unit nor accepted by
        it."""
        deadline = asyncio.get_running_loop().time() + wait_ms / 1_000
        while True:
            found = await self._newest_for_unit(unit_id, alert_id)
            if not found.pending:
                return found
            remaining = deadline - asyncio.get_running_loop().time()
            if remaining <= 0:
                return found
            try:
                # Another instance may seal it, so it looks again now and then.
                async with asyncio.timeout(min(remaining, 0.1)), self._sealed:
                    await self._sealed.wait()
            except TimeoutError:
                continue
            if made := self._made.get(found.raised_id):
                return made

    async def _newest_for_unit(self, unit_id: str, alert_id: str) -> SealedEvidence:
        async with reading(self._database) as connection:
            row = (
                await connection.execute(
                    _NEWEST_FOR_UNIT, {"alert_id": alert_id, "unit_id": unit_id, "open": OPEN}
                )
            ).one_or_none()
        if row is None:
            raise NotFound("alert_id", Denial.EVIDENCE_OF_ANOTHER.value)
        if row.raised_id is None:
            return SealedEvidence(missing=Reason.NOTHING_SENT.value)
        return await self._given(row)

    async def _given(self, row: Any) -> SealedEvidence:
        raised_id = bytes(row.raised_id)
        if row.pending:
            return self._made.get(raised_id) or SealedEvidence(
                pending=True, raised_id=raised_id, missing=Reason.STILL_SEALING.value
            )
        picture, missing = b"", reason_of(row.missing_reason)
        if row.picture_promoted:
            picture = await self._evidence.get_promoted(row.alert_id, row.picture_id) or b""
            missing = NO_TEXT if picture else Reason.PICTURE_LOST.value
        return SealedEvidence(False, raised_id, bytes(row.sealed_details or b""), picture, missing)


_NEWEST = text(
    "SELECT sealing.* FROM sealing JOIN sighting USING (raised_id) WHERE sealing.alert_id = :alert_id "
    "ORDER BY needs_confirmation DESC, added_version DESC LIMIT 1"
)
_NEWEST_FOR_UNIT = text(
    # No row: the unit does not have the alert. Nulls: it has, and nothing of it was sealed.
    "SELECT newest.* FROM alert JOIN assignment USING (alert_id) LEFT JOIN LATERAL ("
    "SELECT sealing.* FROM sealing JOIN sighting USING (raised_id) WHERE sealing.alert_id = :alert_id "
    "AND NOT needs_confirmation ORDER BY added_version DESC LIMIT 1) AS newest ON true "
    "WHERE alert.alert_id = :alert_id AND alert.status = ANY(:open) AND assignment.unit_id = :unit_id "
    "AND assignment.status IN ('offered', 'delivered', 'accepted') LIMIT 1"
)
