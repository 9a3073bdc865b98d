"""What the office is shown of units: who may be sent to an alert and why, and where everybody is."""

from __future__ import annotations

from collections.abc import Callable

import grpc
import pytest
from dispatch_support import (
    OPERATOR,
    Hub,
    command,
    eventually,
    hub_fixture,  # noqa: F401 - pytest finds it by its name
    now_ms,
    settings_changed_fixture,  # noqa: F401 - pytest finds it by its name
    start_dispatch_fixture,  # noqa: F401 - pytest finds it by its name
    unit,
    watchlist_hit,
)

from alerthub.api.v1 import alert_pb2, common_pb2, patrol_pb2
from alerthub.grpc_errors import field_violations


async def raised(hub: Hub, entry_id: str, **changed: object) -> alert_pb2.Alert:
    hit = watchlist_hit(entry_id, **changed)  # type: ignore[arg-type]
    await hub.raise_alert(hit)
    return await hub.alert(hit.raised_id.hex())


async def test_units_are_ranked_as_the_rules_would_ask_them_and_say_why(
    hub: Hub, unique: Callable[[str], str]
) -> None:
    # given one that has the alert, one that is near, one that does not fit, and one that is off
    near, far, tow, off = (unique(name) for name in ("near", "far", "tow", "off"))
    # Of a jurisdiction of their own: units of other tests would be asked too.
    place = unique("place")
    await hub.units(
        unit(near, jurisdiction=place, latitude=38.05),
        unit(far, jurisdiction=place, latitude=38.3),
        unit(tow, jurisdiction=place, kind="tow", latitude=38.041),
        unit(off, jurisdiction=place, on_shift=False),
    )
    alert = await raised(hub, unique("entry"), jurisdiction=place)
    assert alert.assignments[0].unit_id == near

    operator = hub.as_person("li.wei", OPERATOR)
    answer = await operator.RankUnits(alert_pb2.RankUnitsRequest(alert_id=alert.alert_id))

    # then the free one comes first, then the busy one, and those last that the rules would not ask
    ranked = [each for each in answer.units if each.unit_id in {near, far, tow, off}]
    assert [each.unit_id for each in ranked] == [far, near, tow]
    first, second, last = ranked
    assert first.distance_metres == pytest.approx(28_900, rel=0.01)
    assert not first.asked_before
    assert second.asked_before
    assert second.alerts_in_hand == 1
    assert first.reasons[0] == "of the kind, on shift, serves the jurisdiction"
    assert first.reasons_chinese[0] == "该类型单位，当班，辖区内"
    assert last.reasons[0] == "on shift, but of another kind or jurisdiction"
    assert not first.reachable


async def test_an_alert_that_does_not_exist_has_no_units(hub: Hub) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await hub.as_person("li.wei", OPERATOR).RankUnits(alert_pb2.RankUnitsRequest(alert_id="none"))
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_unit_is_where_it_said_lately_and_else_at_its_station(
    hub: Hub, unique: Callable[[str], str]
) -> None:
    moving, silent = unique("moving"), unique("silent")
    await hub.units(unit(moving), unit(silent, on_shift=False))
    place = common_pb2.Position(latitude=38.2, longitude=114.6)
    for unit_id, age_ms in ((moving, 5_000), (silent, 121_000)):
        said = patrol_pb2.UnitPosition(
            unit_id=unit_id, position=place, time_ms=now_ms(), received_time_ms=now_ms() - age_ms
        )
        await hub.put("positions", unit_id, said.SerializeToString())
    operator = hub.as_person("li.wei", OPERATOR)

    async def located() -> dict[str, alert_pb2.LocatedUnit] | None:
        answer = await operator.LocateUnits(alert_pb2.LocateUnitsRequest())
        found = {each.unit_id: each for each in answer.units}
        return found if found[moving].position_time_ms else None

    found = await eventually(located)

    assert found is not None
    assert found[moving].position.latitude == pytest.approx(38.2)
    assert found[moving].on_shift
    assert found[silent].position_time_ms == 0
    assert found[silent].position.latitude == pytest.approx(38.05)
    assert not found[silent].on_shift


@pytest.mark.parametrize("decision", ["reject", "assign"])
async def test_a_decision_on_what_has_changed_since_is_refused_and_changes_nothing(
    hub: Hub, unique: Callable[[str], str], decision: str
) -> None:
    first, second = unique("u"), unique("u")
    await hub.units(unit(first), unit(second, latitude=38.2))
    alert = await raised(hub, unique("entry"))
    operator = hub.as_person("li.wei", OPERATOR)

    async def decide(version: int) -> alert_pb2.Alert:
        if decision == "reject":
            rejection = alert_pb2.RejectAlertRequest(
                command_id=command(), alert_id=alert.alert_id, reason="no", alert_version=version
            )
            return (await operator.RejectAlert(rejection)).alert
        assignment = alert_pb2.AssignUnitRequest(
            command_id=command(), alert_id=alert.alert_id, unit_id=second, alert_version=version
        )
        return (await operator.AssignUnit(assignment)).alert

    current = await hub.alert(alert.alert_id)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await decide(current.version - 1)
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert field_violations(refused.value)[0].field == "alert_version"
    unchanged = await hub.alert(alert.alert_id)

    changed = await decide(unchanged.version)
    assert changed.version > unchanged.version
