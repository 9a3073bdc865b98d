"""What the office is shown of units: who may be sent, and where everybody is. There is no history."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncEngine

from alerthub.api.v1 import alert_pb2, common_pb2
from alerthub.domain.denials import Denial
from alerthub.domain.errors import NotFound
from alerthub.domain.reasons import Reason
from alerthub.domain.routing import (
    POSITION_MAXIMUM_AGE_MS,
    Candidate,
    Ranked,
    RoutableUnit,
    ShiftTime,
    Workload,
    candidates,
    rank,
)
from alerthub.postgres import transaction
from services.dispatch.fleet import Fleet
from services.dispatch.store import Store

MAXIMUM_RANKED = 50
"""Of several hundred units, those that anybody would look at."""


class UnitQueries:
    """Reads in one transaction each."""

    def __init__(self, database: AsyncEngine, fleet: Fleet) -> None:
        self._database = database
        self._fleet = fleet

    async def rank(self, alert_id: str) -> alert_pb2.RankUnitsResponse:
        """The units on shift, those first that the rules would ask. Raises NotFound."""
        async with transaction(self._database) as connection:
            store = Store(connection)
            now_ms = await store.now_ms()
            stored = (await store.alerts([alert_id], lock=False)).get(alert_id)
            if stored is None:
                raise NotFound("alert_id", Denial.NO_ALERT.value)
            facts = stored.facts
            everybody = self._on_shift(now_ms)
            loads, reachable = await store.workloads(everybody)
        fitting = {
            each.unit.unit_id
            for each in candidates(
                [each.unit for each in everybody],
                kind=facts.unit_kind,
                jurisdiction=facts.jurisdiction,
                excluded=frozenset(),
                now_ms=now_ms,
            )
        }
        ranked = rank(
            everybody, place=facts.place, positions=self._fleet.positions, workloads=loads, now_ms=now_ms
        )
        # Stable: within each half the order of the rules stays.
        ordered = sorted(ranked, key=lambda each: each.unit.unit_id not in fitting)[:MAXIMUM_RANKED]
        asked = {each.unit_id for each in stored.alert.assignments}
        return alert_pb2.RankUnitsResponse(
            units=[
                _ranked(
                    each,
                    fits=each.unit.unit_id in fitting,
                    reachable=each.unit.unit_id in reachable,
                    asked_before=each.unit.unit_id in asked,
                    now_ms=now_ms,
                )
                for each in ordered
            ],
            time_ms=now_ms,
        )

    async def locate(self) -> alert_pb2.LocateUnitsResponse:
        """Every unit in force, by its name."""
        async with transaction(self._database) as connection:
            store = Store(connection)
            now_ms = await store.now_ms()
            units = sorted(self._fleet.units(now_ms), key=lambda each: each.unit_id)
            # Without a shift nothing is counted for it.
            loads, reachable = await store.workloads(
                [Candidate(each, each.shift_at(now_ms) or ShiftTime(now_ms, now_ms)) for each in units],
            )
        return alert_pb2.LocateUnitsResponse(
            units=[
                self._located(
                    each,
                    load=loads.get(each.unit_id, Workload()),
                    reachable=each.unit_id in reachable,
                    now_ms=now_ms,
                )
                for each in units
            ],
            time_ms=now_ms,
        )

    def _on_shift(self, now_ms: int) -> tuple[Candidate, ...]:
        return candidates(
            self._fleet.units(now_ms), kind="", jurisdiction="", excluded=frozenset(), now_ms=now_ms
        )

    def _located(
        self, unit: RoutableUnit, *, load: Workload, reachable: bool, now_ms: int
    ) -> alert_pb2.LocatedUnit:
        reported = self._fleet.positions.get(unit.unit_id)
        fresh = reported is not None and now_ms - reported.time_ms <= POSITION_MAXIMUM_AGE_MS
        place = reported.place if reported is not None and fresh else unit.station
        return alert_pb2.LocatedUnit(
            unit_id=unit.unit_id,
            unit_kind=unit.kind,
            position=common_pb2.Position(latitude=place.latitude, longitude=place.longitude),
            position_time_ms=reported.time_ms if reported is not None and fresh else 0,
            on_shift=unit.shift_at(now_ms) is not None,
            alerts_in_hand=load.live,
            reachable=reachable,
        )


def _ranked(
    ranked: Ranked, *, fits: bool, reachable: bool, asked_before: bool, now_ms: int
) -> alert_pb2.RankedUnit:
    fitting = Reason.FITS if fits else Reason.DOES_NOT_FIT
    why = (fitting.value, *ranked.reasons(now_ms))
    return alert_pb2.RankedUnit(
        unit_id=ranked.unit.unit_id,
        reasons=[each.english for each in why],
        reasons_chinese=[each.chinese for each in why],
        distance_metres=ranked.metres,
        position_time_ms=ranked.reported.time_ms if ranked.reported is not None else 0,
        alerts_in_hand=ranked.load.live,
        alerts_this_shift=ranked.load.this_shift,
        reachable=reachable,
        asked_before=asked_before,
    )
