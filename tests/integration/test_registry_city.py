"""The city's description at a running registry: one transaction, versions ahead of time, named refusals."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Iterator
from hashlib import sha256

import grpc
import pytest
from registry_city import (
    DAY_MS,
    HOUR_MS,
    authorisation,
    device,
    jurisdiction,
    now_ms,
    rule,
    shift,
    square,
    unit,
    zone,
)
from registry_hub import RunningRegistry, running_registry

from alerthub.api.v1 import audit_pb2, audit_pb2_grpc, common_pb2, registry_pb2
from alerthub.embedded.infrastructure import Infrastructure
from alerthub.grpc_errors import field_violations

Unique = Callable[[str], str]
CREATE = registry_pb2.ResourceChange.ACTION_CREATE
UPDATE = registry_pb2.ResourceChange.ACTION_UPDATE
UNCHANGED = registry_pb2.ResourceChange.ACTION_UNCHANGED


@pytest.fixture(scope="module")
def registry(
    infrastructure: Infrastructure, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningRegistry]:
    yield from running_registry(infrastructure, tmp_path_factory.mktemp("registry"))


@pytest.fixture
async def city(registry: RunningRegistry, unique: Unique) -> str:
    """A jurisdiction of this test's own."""
    name = unique("city")
    await registry.apply(jurisdiction(name))
    return name


async def refused_field(call: Awaitable[object]) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    return field_violations(refused.value)[0].field


async def test_a_version_is_published_before_it_comes_into_force(
    registry: RunningRegistry, city: str, unique: Unique
) -> None:
    name = unique("zone")
    answer = await registry.apply(zone(name, city))
    value = await registry.published("zones", name, 1)
    assert now_ms() < answer.active_from_ms, "there was time to spare"
    published = registry_pb2.Zone.FromString(value)
    assert (published.version, published.active_from_ms) == (1, answer.active_from_ms)
    assert published.status == registry_pb2.LIFE_STATUS_ACTIVE


async def test_what_is_equal_stays_as_it_is(registry: RunningRegistry, city: str, unique: Unique) -> None:
    name, other = unique("zone"), unique("zone")
    await registry.apply(zone(name, city), zone(other, city))
    changed = zone(other, city, kind=registry_pb2.ZONE_KIND_RESTRICTED)
    answer = await registry.apply(zone(name, city), changed)
    assert [(c.id, c.action, c.version) for c in answer.changes] == [(name, UNCHANGED, 1), (other, UPDATE, 2)]
    assert [(d.field, d.before, d.after) for d in answer.changes[1].differences] == [
        ("kind", "no-parking", "restricted")
    ]


async def test_applying_the_same_again_changes_nothing(
    registry: RunningRegistry, city: str, unique: Unique
) -> None:
    wanted = [zone(unique("zone"), city), device(unique("cam"), city), unit(unique("unit"), city)]
    await registry.apply(*wanted)
    versions = registry.sql("SELECT count(*) FROM resource_version")
    again = await registry.apply(*wanted)
    assert {change.action for change in again.changes} == {UNCHANGED}
    assert registry.sql("SELECT count(*) FROM resource_version") == versions


async def test_planning_changes_nothing(registry: RunningRegistry, city: str, unique: Unique) -> None:
    name = unique("zone")
    plan = registry_pb2.PlanResourcesRequest(resources=[zone(name, city)])
    first = await registry.call("PlanResources", plan)
    second = await registry.call("PlanResources", plan)
    assert [change.action for change in first.changes] == [CREATE]
    assert first == second


async def test_a_repeated_command_gets_the_first_answer(
    registry: RunningRegistry, city: str, unique: Unique
) -> None:
    command, name = str(uuid.uuid4()), unique("zone")
    first = await registry.apply(zone(name, city), command_id=command)
    assert await registry.apply(zone(name, city), command_id=command) == first
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await registry.apply(zone(unique("zone"), city), command_id=command)
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION


async def test_one_bad_resource_changes_nothing_of_the_others(
    registry: RunningRegistry, city: str, unique: Unique
) -> None:
    good = unique("zone")
    bad = rule(unique("rule"), dwell=registry_pb2.DwellParameters(dwell_seconds=0, maximum_gap_seconds=60))
    field = await refused_field(registry.apply(zone(good, city), bad))
    assert field == "resources[1].rule.dwell.dwell_seconds"
    assert registry.sql("SELECT count(*) FROM resource WHERE id = :'id'", id=good) == "0"


def bad_ring() -> list[common_pb2.Position]:
    first, second, third, fourth = square()
    return [first, third, second, fourth]


@pytest.mark.parametrize(
    ("resource", "field"),
    [
        (zone("z", "no-such-place"), "resources[0].zone.jurisdiction"),
        (zone("z", "the-city", ring=bad_ring()), "resources[0].zone.ring"),
        (device("d", "the-city", zone_ids=["no-such-zone"]), "resources[0].device.zone_ids[0]"),
        (rule("r", zone_ids=["no-such-zone"]), "resources[0].rule.zone_ids[0]"),
        (rule("r", device_ids=["no-such-cam"]), "resources[0].rule.device_ids[0]"),
        (shift("s", "no-such-unit"), "resources[0].shift.unit_id"),
        (unit("u", "no-such-place"), "resources[0].unit.jurisdiction"),
        (jurisdiction("j", "no-such-place"), "resources[0].jurisdiction.parent_id"),
        (authorisation("a", "no-such-cam"), "resources[0].authorisation.device_ids[0]"),
        (zone("z", "the-city", version=4), "resources[0].zone.version"),
    ],
)
async def test_what_does_not_fit_is_refused_by_name(
    registry: RunningRegistry, resource: registry_pb2.Resource, field: str
) -> None:
    await registry.apply(jurisdiction("the-city"))
    assert await refused_field(registry.apply(resource)) == field


async def test_a_zone_in_use_is_not_removed(registry: RunningRegistry, city: str, unique: Unique) -> None:
    name, camera = unique("zone"), unique("cam")
    await registry.apply(zone(name, city), device(camera, city, zone_ids=[name]))
    removal = zone(name, city, status=registry_pb2.LIFE_STATUS_REMOVED)
    assert await refused_field(registry.apply(removal)) == "resources[0].zone.status"
    await registry.apply(removal, device(camera, city))
    value = registry_pb2.Zone.FromString(await registry.published("zones", name, 2))
    assert value.status == registry_pb2.LIFE_STATUS_REMOVED


async def test_jurisdictions_do_not_contain_themselves(
    registry: RunningRegistry, city: str, unique: Unique
) -> None:
    below = unique("county")
    await registry.apply(jurisdiction(below, city))
    field = await refused_field(registry.apply(jurisdiction(city, below)))
    assert field == "resources[0].jurisdiction.parent_id"


async def test_a_district_has_at_most_300_devices(
    registry: RunningRegistry, city: str, unique: Unique
) -> None:
    district = unique("district")
    cameras = [device(unique("cam"), city, district=district) for _ in range(300)]
    await registry.apply(*cameras)
    one_more = device(unique("cam"), city, district=district)
    assert await refused_field(registry.apply(one_more)) == "resources[0].device.district"
    await registry.apply(cameras[0], device(unique("cam"), city, district=unique("district")))


async def test_a_device_carries_its_authorisations_and_learns_of_their_end(
    registry: RunningRegistry, city: str, unique: Unique
) -> None:
    camera, other, name = unique("cam"), unique("cam"), unique("authorisation")
    await registry.apply(device(camera, city), device(other, city))
    assert not await authorisations_of(registry, camera, 1)

    granted = authorisation(name, camera, other)
    await registry.apply(granted)
    (embedded,) = await authorisations_of(registry, camera, 2)
    assert (embedded.authorisation_id, list(embedded.device_ids)) == (name, [camera])
    assert list(embedded.categories) == ["stolen-vehicle"]

    granted.authorisation.device_ids.remove(camera)
    await registry.apply(granted)
    assert not await authorisations_of(registry, camera, 3)
    assert (await authorisations_of(registry, other, 3))[0].version == 2

    granted.authorisation.status = registry_pb2.LIFE_STATUS_SUSPENDED
    await registry.apply(granted)
    assert not await authorisations_of(registry, other, 4)


async def authorisations_of(
    registry: RunningRegistry, camera: str, version: int
) -> list[registry_pb2.CheckAuthorisation]:
    value = registry_pb2.Device.FromString(await registry.published("devices", camera, version))
    assert value.version == version
    return list(value.authorisations)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"legal_basis": " "}, "legal_basis"),
        ({"purpose": " "}, "purpose"),
        ({"categories": []}, "categories"),
        ({"categories": ["*"]}, "categories[0]"),
        ({"valid_from_ms": 0}, "valid_from_ms"),
        ({"valid_from_ms": now_ms() + 31 * DAY_MS}, "valid_until_ms"),
        ({"valid_until_ms": now_ms() - 1}, "valid_until_ms"),
    ],
)
async def test_an_authorisation_without_its_grounds_is_refused(
    registry: RunningRegistry, city: str, unique: Unique, fields: dict[str, object], field: str
) -> None:
    camera = unique("cam")
    await registry.apply(device(camera, city))
    refused = await refused_field(registry.apply(authorisation(unique("authorisation"), camera, **fields)))
    assert refused == f"resources[0].authorisation.{field}"


async def test_a_unit_carries_its_shifts_and_every_jurisdiction_below(
    registry: RunningRegistry, city: str, unique: Unique
) -> None:
    county, township, patrol, morning = unique("county"), unique("township"), unique("unit"), unique("shift")
    await registry.apply(jurisdiction(county, city), unit(patrol, city))
    value = registry_pb2.Unit.FromString(await registry.published("units", patrol, 1))
    assert sorted(value.serves_jurisdictions) == sorted([city, county])

    await registry.apply(jurisdiction(township, county))
    value = registry_pb2.Unit.FromString(await registry.published("units", patrol, 2))
    assert sorted(value.serves_jurisdictions) == sorted([city, county, township])

    await registry.apply(shift(morning, patrol, "li.wei"))
    value = registry_pb2.Unit.FromString(await registry.published("units", patrol, 3))
    assert [(each.shift_id, list(each.officers)) for each in value.shifts] == [(morning, ["li.wei"])]
    assert sorted(value.serves_jurisdictions) == sorted([city, county, township])


async def test_a_shift_that_moves_leaves_its_unit(
    registry: RunningRegistry, city: str, unique: Unique
) -> None:
    one, two, name = unique("unit"), unique("unit"), unique("shift")
    await registry.apply(unit(one, city), unit(two, city), shift(name, one))
    await registry.apply(shift(name, two))
    assert not registry_pb2.Unit.FromString(await registry.published("units", one, 2)).shifts
    assert len(registry_pb2.Unit.FromString(await registry.published("units", two, 2)).shifts) == 1


async def test_a_shift_that_ended_yesterday_is_left_out(
    registry: RunningRegistry, city: str, unique: Unique
) -> None:
    patrol = unique("unit")
    past = shift(unique("shift"), patrol, from_ms=now_ms() - 40 * HOUR_MS, until_ms=now_ms() - 32 * HOUR_MS)
    await registry.apply(unit(patrol, city), past)
    assert not registry_pb2.Unit.FromString(await registry.published("units", patrol, 1)).shifts


async def test_a_devices_secret_is_shown_once_and_kept_as_a_hash(
    registry: RunningRegistry, city: str, unique: Unique
) -> None:
    camera = unique("cam")
    await registry.apply(device(camera, city))
    request = registry_pb2.IssueDeviceCredentialRequest(device_id=camera)
    secret = (await registry.call("IssueDeviceCredential", request)).secret
    value = registry_pb2.Device.FromString(await registry.published("devices", camera, 2))
    assert value.secret_sha256 == sha256(secret.encode()).digest()
    assert value.active_from_ms <= now_ms(), "a secret that may be stolen ends now"

    newer = (await registry.call("IssueDeviceCredential", request)).secret
    value = registry_pb2.Device.FromString(await registry.published("devices", camera, 3))
    assert value.secret_sha256 == sha256(newer.encode()).digest()
    listing = await registry.call("ListResources", registry_pb2.ListResourcesRequest(kind="device"))
    assert all(not resource.device.secret_sha256 for resource in listing.resources)
    assert secret not in registry.log_file.read_text()


async def test_a_device_that_proves_itself_otherwise_gets_no_secret(
    registry: RunningRegistry, city: str, unique: Unique
) -> None:
    camera = unique("cam")
    by_certificate = common_pb2.AUTHENTICATION_CLASS_CERTIFICATE
    await registry.apply(device(camera, city, authentication_class=by_certificate))
    request = registry_pb2.IssueDeviceCredentialRequest(device_id=camera)
    assert await refused_field(registry.call("IssueDeviceCredential", request)) == "device_id"


async def test_pages_list_everything_once(registry: RunningRegistry, city: str, unique: Unique) -> None:
    zones = sorted(unique("zone") for _ in range(5))
    await registry.apply(*(zone(name, city) for name in zones))
    found: list[str] = []
    token = ""
    while True:
        request = registry_pb2.ListResourcesRequest(kind="zone", page_size=2, page_token=token)
        page = await registry.call("ListResources", request, as_account="operator")
        found += [resource.zone.zone_id for resource in page.resources]
        token = page.next_page_token
        if not token:
            break
    assert len(found) == len(set(found))
    assert set(zones) <= set(found)


async def test_every_change_is_in_the_audit_log(registry: RunningRegistry, city: str, unique: Unique) -> None:
    name = unique("zone")
    await registry.apply(zone(name, city))
    await registry.apply(zone(name, city, kind=registry_pb2.ZONE_KIND_AREA), as_account="editor-2")
    async with registry.channel("auditor") as channel:
        export = audit_pb2_grpc.AuditServiceStub(channel).Export(audit_pb2.ExportRequest())
        rows = [row async for row in export if row.subject == f"zone:{name}"]
    assert [(row.action, row.actor) for row in rows] == [
        ("ResourceCreated", "person:editor"),
        ("ResourceUpdated", "person:editor-2"),
    ]
    assert rows[1].detail == "version 2: kind"


async def test_only_those_who_may_change_resources_do(registry: RunningRegistry, city: str) -> None:
    for account in ("operator", "auditor", "officer", "supervisor"):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await registry.apply(zone("z", city), as_account=account)
        assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_what_was_committed_when_the_process_died_is_published_after_it_returns(
    registry: RunningRegistry, city: str, unique: Unique
) -> None:
    name = unique("zone")
    await registry.apply(zone(name, city))
    registry.kill()
    registry.start()
    assert registry_pb2.Zone.FromString(await registry.published("zones", name, 1)).zone_id == name


async def test_what_the_topic_does_not_have_is_published_again(
    registry: RunningRegistry, city: str, unique: Unique
) -> None:
    """A version never reached the topic: nothing but the owner's comparison can find that out."""
    name = unique("zone")
    await registry.apply(zone(name, city))
    await registry.published("zones", name, 1)
    registry.stop()
    newer = zone(name, city, version=2, status=registry_pb2.LIFE_STATUS_SUSPENDED)
    registry.sql(
        "UPDATE resource SET version = 2, published = decode(:'published', 'hex') WHERE id = :'id'",
        id=name,
        published=newer.SerializeToString().hex(),
    )
    registry.start()
    value = registry_pb2.Zone.FromString(await registry.published("zones", name, 2, seconds=20))
    assert value.status == registry_pb2.LIFE_STATUS_SUSPENDED


async def test_a_restored_registry_gives_no_version_again(
    registry: RunningRegistry, city: str, unique: Unique
) -> None:
    """The database forgot all three versions, which consumers have: it takes the third over from the topic,
    and the next one is 4 (C19)."""
    name = unique("zone")
    for kind in (
        registry_pb2.ZONE_KIND_NO_PARKING,
        registry_pb2.ZONE_KIND_AREA,
        registry_pb2.ZONE_KIND_CHECKPOINT,
    ):
        await registry.apply(zone(name, city, kind=kind))
    await registry.published("zones", name, 3)
    registry.stop()
    registry.sql("DELETE FROM resource_reference WHERE source_id = :'id'", id=name)
    registry.sql("DELETE FROM resource WHERE id = :'id'", id=name)
    registry.sql("DELETE FROM resource_version WHERE id = :'id'", id=name)
    registry.start()

    answer = await registry.apply(zone(name, city, kind=registry_pb2.ZONE_KIND_RESTRICTED))
    assert answer.changes[0].version == 4
    value = registry_pb2.Zone.FromString(await registry.published("zones", name, 4))
    assert value.kind == registry_pb2.ZONE_KIND_RESTRICTED
