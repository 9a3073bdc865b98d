"""What is read of alerts, from the primary."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from alerthub.api.v1 import alert_pb2, delivery_pb2
from alerthub.domain.alerts import OPEN_STATUSES, Status
from alerthub.domain.denials import Denial
from alerthub.domain.errors import NotFound, Refuse
from alerthub.postgres import sql, transaction
from services.dispatch import precision, precision_floor
from services.dispatch.rows import OPEN
from services.dispatch.store import Store
from services.dispatch.wire import alert_message

SNAPSHOT_PAGE = 500


class Queries:
    """Reads in one transaction each."""

    def __init__(self, database: AsyncEngine, *, precision_floor: float) -> None:
        self._database = database
        self._precision_floor = precision_floor

    async def page(
        self, statuses: Sequence[Status], *, size: int, token: str
    ) -> tuple[list[alert_pb2.Alert], str]:
        """Newest first, and the token of the next page (empty: the last one)."""
        if token and not (token.isdecimal() and len(token) < 19):
            raise Refuse("page_token", "the token of an earlier answer")
        wanted = [status.value for status in statuses] or [status.value for status in Status]
        async with transaction(self._database) as connection:
            rows = (
                await connection.execute(
                    sql(
                        "SELECT alert_id, ordinal FROM alert WHERE status = ANY(:statuses) AND "
                        "ordinal < :before "
                        "ORDER BY ordinal DESC LIMIT :size"
                    ),
                    {"statuses": wanted, "before": int(token) if token else 2**62, "size": size},
                )
            ).all()
            found = await self._messages(connection, [row.alert_id for row in rows])
        return found, str(rows[-1].ordinal) if len(rows) == size else ""

    async def alert(self, alert_id: str) -> alert_pb2.Alert:
        """Raises NotFound."""
        async with transaction(self._database) as connection:
            found = await self._messages(connection, [alert_id])
        if not found:
            raise NotFound("alert_id", Denial.NO_ALERT.value)
        return found[0]

    async def open_alerts(self) -> list[alert_pb2.Alert]:
        """Every open alert, oldest first."""
        found: list[alert_pb2.Alert] = []
        token = ""
        while True:
            page, token = await self.page(sorted(OPEN_STATUSES), size=SNAPSHOT_PAGE, token=token)
            found.extend(page)
            if not token:
                return found[::-1]

    async def unit_alerts(self, unit_id: str) -> list[alert_pb2.Alert]:
        """What the unit has now: offered to it or accepted by it, and open."""
        async with transaction(self._database) as connection:
            rows = await connection.execute(
                sql(
                    "SELECT alert_id FROM alert JOIN assignment USING (alert_id) WHERE unit_id = :unit_id "
                    "AND assignment.status IN ('offered', 'delivered', 'accepted') AND alert.status "
                    "= ANY(:open) "
                    "ORDER BY alert.ordinal"
                ),
                {"unit_id": unit_id, "open": OPEN},
            )
            return await self._messages(connection, [row.alert_id for row in rows])

    @staticmethod
    async def _messages(connection: AsyncConnection, alert_ids: Sequence[str]) -> list[alert_pb2.Alert]:
        if not alert_ids:
            return []
        store = Store(connection)
        stored = await store.alerts(alert_ids, lock=False)
        sightings = await store.newest_sightings(alert_ids)
        return [
            alert_message(stored[each].facts, stored[each].alert, sightings.get(each, ()))
            for each in alert_ids
            if each in stored
        ]

    async def precision(self) -> alert_pb2.ListPrecisionResponse:
        """All that was measured, the floor in force, and floors that wait for a second person."""
        async with transaction(self._database) as connection:
            return alert_pb2.ListPrecisionResponse(
                records=await precision.records(connection),
                floor=await precision_floor.in_force(connection, before_any_change=self._precision_floor),
                floor_proposals=await precision_floor.waiting(
                    connection, now_ms=await Store(connection).now_ms()
                ),
            )

    async def report_connections(self, request: delivery_pb2.ReportConnectionsRequest) -> list[str]:
        """Notes who is connected to one instance of push; returns terminals with a newer stream elsewhere."""
        terminals = sorted(request.terminals, key=lambda each: each.terminal_id)
        names = [each.terminal_id for each in terminals]
        async with transaction(self._database) as connection:
            if terminals:
                await connection.execute(
                    sql(
                        "INSERT INTO connection AS known (terminal_id, unit_id, instance, "
                        "connected_at_ms, seen_at) "
                        "SELECT t, u, :instance, c, clock_timestamp() FROM unnest(CAST(:terminals AS "
                        "text[]), "
                        "CAST(:units AS text[]), CAST(:connected AS bigint[])) AS given (t, u, c) "
                        "ON CONFLICT (terminal_id) DO UPDATE SET unit_id = excluded.unit_id, "
                        "instance = excluded.instance, connected_at_ms = excluded.connected_at_ms, "
                        "seen_at = excluded.seen_at WHERE known.connected_at_ms <= excluded.connected_at_ms "
                        "OR known.instance = excluded.instance OR known.seen_at < clock_timestamp() "
                        "- interval '30 s'"
                    ),
                    {
                        "instance": request.instance,
                        "terminals": names,
                        "units": [each.unit_id for each in terminals],
                        "connected": [each.connected_at_ms for each in terminals],
                    },
                )
            await connection.execute(
                sql(
                    "DELETE FROM connection WHERE instance = :instance AND NOT terminal_id = ANY(:terminals)"
                ),
                {"instance": request.instance, "terminals": names},
            )
            rows = await connection.execute(
                sql(
                    "SELECT terminal_id FROM connection WHERE terminal_id = ANY(:terminals) AND "
                    "instance <> :instance"
                ),
                {"instance": request.instance, "terminals": names},
            )
            return [row.terminal_id for row in rows]
