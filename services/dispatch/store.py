"""The tables of dispatch, inside one transaction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from alerthub.api.v1 import alert_pb2
from alerthub.domain import alerts as domain
from alerthub.domain.deadlines import Waiting
from alerthub.domain.folding import KnownEntry
from alerthub.domain.routing import Candidate, Workload
from alerthub.postgres import sql
from services.dispatch.rows import (
    INSERT_ALERT,
    UPDATE_ALERT,
    UPSERT_ASSIGNMENT,
    NewSealing,
    NewSighting,
    StoredAlert,
    assignment_of,
    assignment_values,
    inserted_values,
    sighting_of,
    stored_alert,
    updated_values,
)
from services.dispatch.wire import NEWEST_SIGHTINGS

SEALING_LEASE_SECONDS = 10
"""Whoever attempts to seal evidence has so long before another may; three times an attempt's timeout."""

REACHABLE_SECONDS = 15
"""Push reports every few seconds: a terminal that it has not named for this long is not reachable."""


class Store:
    """Reads and writes within the transaction of `connection`."""

    def __init__(self, connection: AsyncConnection) -> None:
        self.connection = connection

    async def _rows(self, statement: str, **values: object) -> Sequence[Any]:
        return (await self.connection.execute(sql(statement), values)).all()

    async def _write_many(self, statement: Any, rows: Sequence[Mapping[str, Any]]) -> None:
        if rows:
            await self.connection.execute(statement, list(rows))

    async def now_ms(self) -> int:
        """The database's clock, which all instances share (C14)."""
        value = await self.connection.scalar(
            sql("SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint")
        )
        return int(value)

    async def lock_entries(self, entries: Mapping[str, tuple[int, int]]) -> dict[str, KnownEntry]:
        """Locks the rows of these entries (id to version and end of validity) until the transaction ends.

        An entry that dispatch has not heard of yet gets its row from what the match said (C8).
        """
        if not entries:
            return {}
        ordered = sorted(entries)
        rows = await self._rows(
            "INSERT INTO entry_status AS known (entry_id, version, active, valid_until_ms) "
            "SELECT e, v, true, u FROM unnest(CAST(:ids AS text[]), CAST(:versions AS bigint[]), "
            "CAST(:untils AS bigint[])) AS given (e, v, u) ORDER BY e "
            # A change of nothing locks the row that is there, and gives it as it is once it was free.
            "ON CONFLICT (entry_id) DO UPDATE SET version = known.version RETURNING *",
            ids=ordered,
            versions=[entries[each][0] for each in ordered],
            untils=[entries[each][1] for each in ordered],
        )
        return {row.entry_id: KnownEntry(row.active, row.valid_until_ms) for row in rows}

    async def note_raised(self, rows: Sequence[tuple[bytes, str | None, str]]) -> None:
        """Raised id, the alert (None: none) and what became of it."""
        await self._write_many(
            sql(
                "INSERT INTO raised (raised_id, alert_id, disposition) VALUES (:raised_id, :alert_id, :what)"
            ),
            [{"raised_id": each[0], "alert_id": each[1], "what": each[2]} for each in rows],
        )

    async def raised_before(self, raised_ids: Iterable[bytes]) -> set[bytes]:
        rows = await self._rows(
            "SELECT raised_id FROM raised WHERE raised_id = ANY(:ids)", ids=list(raised_ids)
        )
        return {bytes(row.raised_id) for row in rows}

    async def newest_of_fold_keys(self, fold_keys: Iterable[str]) -> dict[str, StoredAlert]:
        """The newest alert of each fold key, locked."""
        rows = await self._rows(
            "SELECT * FROM alert WHERE alert_id IN (SELECT DISTINCT ON (fold_key) alert_id FROM alert "
            "WHERE fold_key = ANY(:keys) ORDER BY fold_key, ordinal DESC) ORDER BY alert_id FOR UPDATE",
            keys=sorted(set(fold_keys)),
        )
        return {each.facts.fold_key: each for each in await self._with_assignments(rows)}

    async def alerts(self, alert_ids: Iterable[str], *, lock: bool = True) -> dict[str, StoredAlert]:
        """The alerts that exist among these, locked in one order that everybody keeps."""
        statement = "SELECT * FROM alert WHERE alert_id = ANY(:ids) ORDER BY alert_id"
        if lock:
            statement += " FOR UPDATE"
        rows = await self._rows(statement, ids=sorted(set(alert_ids)))
        return {each.alert.alert_id: each for each in await self._with_assignments(rows)}

    async def _with_assignments(self, rows: Sequence[Any]) -> list[StoredAlert]:
        if not rows:
            return []
        found: dict[str, list[domain.Assignment]] = defaultdict(list)
        for row in await self._rows(
            "SELECT * FROM assignment WHERE alert_id = ANY(:ids) ORDER BY alert_id, ordinal",
            ids=[row.alert_id for row in rows],
        ):
            found[row.alert_id].append(assignment_of(row))
        return [stored_alert(row, found[row.alert_id]) for row in rows]

    async def open_alerts_of_entries(self, entry_ids: Iterable[str]) -> list[str]:
        rows = await self._rows(
            "SELECT alert_id FROM alert WHERE entry_id = ANY(:ids) AND entry_id <> '' AND status IN "
            "('awaiting_confirmation', 'dispatching', 'accepted', 'escalated') ORDER BY alert_id",
            ids=sorted(set(entry_ids)),
        )
        return [row.alert_id for row in rows]

    async def insert_alerts(self, stored: Sequence[StoredAlert]) -> None:
        await self._write_many(
            INSERT_ALERT,
            [inserted_values(each) for each in stored],
        )

    async def update_alerts(self, alerts: Sequence[domain.Alert]) -> None:
        await self._write_many(UPDATE_ALERT, [updated_values(each) for each in alerts])

    async def put_assignments(self, alerts: Sequence[domain.Alert]) -> None:
        """In order: one that ended frees the alert before the next is written."""
        await self._write_many(
            UPSERT_ASSIGNMENT,
            [each for alert in alerts for each in assignment_values(alert)],
        )

    async def insert_sightings(self, sightings: Sequence[NewSighting]) -> None:
        await self._write_many(
            sql(
                "INSERT INTO sighting (raised_id, alert_id, added_version, device_id, token, "
                "needs_confirmation, "
                "has_picture, picture_missing_reason, body) VALUES (:raised_id, :alert_id, :added_version, "
                ":device_id, :token, :needs_confirmation, false, :picture_missing_reason, :body)"
            ),
            [asdict(each) for each in sightings],
        )

    async def confirm_sightings(self, alert_id: str, still_pending: Sequence[int]) -> None:
        await self.connection.execute(
            sql(
                "UPDATE sighting SET needs_confirmation = false WHERE alert_id = :alert_id "
                "AND needs_confirmation AND NOT added_version = ANY(CAST(:pending AS bigint[]))"
            ),
            {"alert_id": alert_id, "pending": list(still_pending)},
        )

    async def note_picture(self, raised_id: bytes, *, has_picture: bool, missing_reason: str) -> None:
        await self.connection.execute(
            sql(
                "UPDATE sighting SET has_picture = :has, picture_missing_reason = :why WHERE "
                "raised_id = :raised_id"
            ),
            {"raised_id": raised_id, "has": has_picture, "why": missing_reason},
        )

    async def newest_sightings(self, alert_ids: Iterable[str]) -> dict[str, list[alert_pb2.Sighting]]:
        """The newest sightings of each alert, oldest first."""
        wanted = list(alert_ids)
        if not wanted:
            return {}
        rows = await self._rows(
            "SELECT * FROM (SELECT *, row_number() OVER (PARTITION BY alert_id ORDER BY "
            "added_version DESC) AS rank "
            "FROM sighting WHERE alert_id = ANY(:ids)) AS ranked WHERE rank <= :newest ORDER BY "
            "added_version",
            ids=wanted,
            newest=NEWEST_SIGHTINGS,
        )
        found: dict[str, list[alert_pb2.Sighting]] = defaultdict(list)
        for row in rows:
            found[row.alert_id].append(
                sighting_of(
                    row.body,
                    needs_confirmation=row.needs_confirmation,
                    has_picture=row.has_picture,
                    picture_missing_reason=row.picture_missing_reason,
                )
            )
        return found

    async def insert_deadlines(self, rows: Sequence[tuple[str, Waiting, int]]) -> None:
        """Alert, what it waits for, and for how many milliseconds from the database's now."""
        await self._write_many(
            sql(
                "INSERT INTO deadline (alert_id, since_version, kind, due_at) VALUES (:alert_id, "
                ":since, :kind, "
                "clock_timestamp() + CAST(:after_ms AS bigint) * interval '1 millisecond')"
            ),
            [
                {
                    "alert_id": alert_id,
                    "since": waiting.since_version,
                    "kind": waiting.kind.value,
                    "after_ms": after,
                }
                for alert_id, waiting, after in rows
            ],
        )

    async def suppressed_until(
        self, hits: Sequence[tuple[str, bytes, str]]
    ) -> dict[tuple[str, bytes, str], int]:
        """Of these (fold key, token, device): until when they are suppressed."""
        if not hits:
            return {}
        rows = await self._rows(
            "SELECT s.* FROM suppression AS s JOIN unnest(CAST(:keys AS text[]), CAST(:tokens AS bytea[]), "
            "CAST(:devices AS text[])) AS given (k, t, d) ON s.fold_key = k AND s.token = t AND "
            "s.device_id = d",
            keys=[hit[0] for hit in hits],
            tokens=[hit[1] for hit in hits],
            devices=[hit[2] for hit in hits],
        )
        return {(row.fold_key, bytes(row.token), row.device_id): row.until_ms for row in rows}

    async def suppress(self, alert_id: str, fold_key: str, until_ms: int) -> None:
        """Suppresses every token at every device of the alert's sightings."""
        await self.connection.execute(
            sql(
                "INSERT INTO suppression (fold_key, token, device_id, until_ms) "
                "SELECT DISTINCT CAST(:fold_key AS text), token, device_id, CAST(:until_ms AS "
                "bigint) FROM sighting "
                "WHERE alert_id = :alert_id ON CONFLICT (fold_key, token, device_id) DO UPDATE "
                "SET until_ms = greatest(suppression.until_ms, excluded.until_ms)"
            ),
            {"alert_id": alert_id, "fold_key": fold_key, "until_ms": until_ms},
        )

    async def workloads(self, available: Sequence[Candidate]) -> tuple[dict[str, Workload], frozenset[str]]:
        """What each of these units has in hand, and what it was given this shift; and which of them have a
        terminal that push has seen lately."""
        rows = await self._rows(
            "SELECT u AS unit_id, count(a.*) FILTER (WHERE a.status IN ('offered', 'delivered', 'accepted') "
            "AND alert.status IN ('dispatching', 'accepted', 'escalated')) AS live, "
            "count(a.*) FILTER (WHERE a.offered_at_ms >= f) AS this_shift, "
            "EXISTS (SELECT FROM connection WHERE unit_id = u AND seen_at > clock_timestamp() - "
            "CAST(:seconds AS integer) * interval '1 second') AS reachable "
            "FROM unnest(CAST(:units AS text[]), CAST(:froms AS bigint[])) AS given (u, f) "
            "LEFT JOIN assignment AS a ON a.unit_id = u AND a.offered_at_ms >= f - 86400000 "
            "LEFT JOIN alert ON alert.alert_id = a.alert_id GROUP BY u",
            units=[each.unit.unit_id for each in available],
            froms=[each.shift.from_ms for each in available],
            seconds=REACHABLE_SECONDS,
        )
        loads = {row.unit_id: Workload(row.live, row.this_shift) for row in rows}
        return loads, frozenset(row.unit_id for row in rows if row.reachable)

    async def is_reachable(self, unit_id: str) -> bool:
        """Whether the unit has a terminal that push has seen lately."""
        return bool(
            await self.connection.scalar(
                sql(
                    "SELECT EXISTS (SELECT FROM connection WHERE unit_id = :unit_id AND seen_at > "
                    "clock_timestamp() - CAST(:seconds AS integer) * interval '1 second')"
                ),
                {"unit_id": unit_id, "seconds": REACHABLE_SECONDS},
            )
        )

    async def insert_sealings(self, sealings: Sequence[NewSealing]) -> None:
        """Leased to this instance, which begins at once; the next attempt is anybody's."""
        await self._write_many(
            sql(
                "INSERT INTO sealing (raised_id, alert_id, pending, request, picture_id, attempts, "
                "next_attempt_at) VALUES (:raised_id, :alert_id, true, :request, :picture_id, 1, "
                "clock_timestamp() + CAST(:lease AS integer) * interval '1 second')"
            ),
            [{**asdict(each), "lease": SEALING_LEASE_SECONDS} for each in sealings],
        )
