"""A plate at two places too far apart, from two cameras to the patrol that is sent (C7, C13)."""

from __future__ import annotations

import asyncio
import uuid

from town import CAMERA, UNIT, Patrol, Town

from alerthub.activation import until_in_force
from alerthub.api.v1.common_pb2 import (
    AUTHENTICATION_CLASS_PASSWORD_OVER_TLS,
    DISPATCH_POLICY_SEND_AT_ONCE,
    SEVERITY_MAJOR,
    LocalizedText,
    Position,
)
from alerthub.api.v1.registry_pb2 import (
    LIFE_STATUS_ACTIVE,
    LIFE_STATUS_REMOVED,
    RULE_KIND_CLONED_PLATE,
    ApplyResourcesRequest,
    CheckAuthorisation,
    ClonedPlateParameters,
    Device,
    IssueDeviceCredentialRequest,
    LifeStatus,
    Resource,
    Rule,
)
from alerthub.selftest.persons import called
from alerthub.terminal.events import ScreenChanged, TerminalEvent
from alerthub.terminal.headless import now_ms

FAR, RULE = "story-far-camera", "story-cloned"
TEXT = LocalizedText(chinese="疑似套牌", english="Cloned plate")


def _far_camera() -> list[Resource]:
    """A camera 100 km from the town's, in another district, that may check plates."""
    return [
        Resource(
            device=Device(
                device_id=FAR,
                name=FAR,
                adapter="hikvision-anpr",
                position=Position(latitude=40.42, longitude=116.7),
                district="story-far-district",
                jurisdiction="story",
                authentication_class=AUTHENTICATION_CLASS_PASSWORD_OVER_TLS,
            )
        ),
        Resource(
            authorisation=CheckAuthorisation(
                authorisation_id="story-far-authorisation",
                device_ids=[FAR],
                legal_basis="story",
                purpose="story",
                categories=["stolen_vehicle"],
                valid_from_ms=now_ms() - 3_600_000,
                valid_until_ms=now_ms() + 24 * 3_600_000,
            )
        ),
    ]


def _rule(status: LifeStatus.ValueType) -> Resource:
    rule = Rule(
        rule_id=RULE,
        status=status,
        name=TEXT,
        kind=RULE_KIND_CLONED_PLATE,
        device_ids=[CAMERA, FAR],
        severity=SEVERITY_MAJOR,
        unit_kind="patrol",
        policy=DISPATCH_POLICY_SEND_AT_ONCE,
        officer_text=TEXT,
        cross_district=True,
        cloned_plate=ClonedPlateParameters(maximum_speed_kmh=150, window_seconds=600),
    )
    return Resource(rule=rule)


async def _apply(town: Town, *resources: Resource) -> None:
    """Returns once it is in force."""
    request = ApplyResourcesRequest(command_id=str(uuid.uuid4()), resources=resources)
    applied = await called(town.registry.ApplyResources(request, timeout=15))
    await until_in_force(applied.active_from_ms)


async def test_a_plate_that_two_distant_cameras_read_sends_a_patrol_which_is_told_both_places(
    town: Town, patrol: Patrol
) -> None:
    # given the rule, and two cameras 100 km apart
    await _apply(town, *_far_camera(), _rule(LIFE_STATUS_ACTIVE))
    issue = IssueDeviceCredentialRequest(device_id=FAR)
    issued = await called(town.registry.IssueDeviceCredential(issue, timeout=15))
    town.hub.secrets[FAR] = issued.secret
    plate = town.new_plate()

    # when both read one plate
    await town.read(plate, CAMERA)
    await town.read(plate, FAR)

    # then the patrol is shown where it was, where else, and the plate itself, opened for it
    def is_shown(event: TerminalEvent) -> bool:
        return isinstance(event, ScreenChanged) and event.change.push.alert.rule_id == RULE

    async with asyncio.timeout(60):
        _, event = await patrol.until(is_shown)
    assert isinstance(event, ScreenChanged)
    alert = event.change.push.alert
    [sighting] = alert.sightings
    assert (sighting.device_id, sighting.cloned_plate.other_device_id) == (FAR, CAMERA)
    assert sighting.cloned_plate.speed_kmh > sighting.cloned_plate.maximum_speed_kmh == 150
    assert [each.unit_id for each in alert.assignments] == [UNIT]
    assert event.change.push.details.identifier == plate

    await _apply(town, _rule(LIFE_STATUS_REMOVED))
