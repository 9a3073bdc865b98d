"""What a resource must be, and what applying a set would change."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerthub import resource_wire as wire
from alerthub.domain.errors import Refuse
from alerthub.domain.resource_changes import Action, Current, differences, plan
from alerthub.domain.resource_checks import (
    check_distinct,
    check_districts,
    check_jurisdictions,
    check_references,
    check_resource,
    check_unused,
)
from alerthub.domain.resources import (
    AuthenticationClass,
    CheckAuthorisation,
    ClonedPlateParameters,
    Device,
    DispatchPolicy,
    DwellParameters,
    Jurisdiction,
    Key,
    Kind,
    LifeStatus,
    Position,
    Resource,
    Rule,
    RuleKind,
    Severity,
    Shift,
    Unit,
    WatchlistHitParameters,
    Zone,
    ZoneKind,
    above,
    below,
    key_of,
)
from alerthub.domain.schedule import Hours, Schedule
from alerthub.domain.texts import LocalizedText

NOW = 1_800_000_000_000
HOUR = 3_600_000
ACTIVE = LifeStatus.ACTIVE
TEXT = LocalizedText("文字", "text")

CITY = Jurisdiction("city", ACTIVE, TEXT, "")
RING = (Position(38.0, 114.0), Position(38.0, 114.1), Position(38.1, 114.1), Position(38.1, 114.0))
BAY = Zone("bay", ACTIVE, TEXT, ZoneKind.NO_PARKING, "city", RING)
CAMERA = Device(
    "cam",
    ACTIVE,
    "camera",
    "hikvision-anpr",
    Position(38.05, 114.05),
    "north",
    "city",
    ("bay",),
    AuthenticationClass.PASSWORD_OVER_TLS,
    (),
    (),
)
GRANT = CheckAuthorisation(
    "grant", ACTIVE, ("cam",), "a law", "a purpose", ("stolen",), NOW - HOUR, NOW + HOUR
)
DWELL = Rule(
    "dwell",
    ACTIVE,
    TEXT,
    RuleKind.DWELL,
    ("bay",),
    (),
    Schedule("Asia/Shanghai", (Hours((1,), 0, 600),)),
    Severity.MINOR,
    60,
    "traffic",
    DispatchPolicy.CONFIRM_FIRST,
    TEXT,
    0,
    False,
    None,
    DwellParameters(240, 60),
)
HIT = replace(
    DWELL,
    rule_id="hit",
    kind=RuleKind.WATCHLIST_HIT,
    watchlist_hit=WatchlistHitParameters(("exact",), 0.5),
    dwell=None,
)
CLONED = replace(
    DWELL,
    rule_id="cloned",
    kind=RuleKind.CLONED_PLATE,
    cross_district=True,
    dwell=None,
    cloned_plate=ClonedPlateParameters(150, 1_800, 0.5),
)
PATROL = Unit("patrol", ACTIVE, TEXT, "patrol", "city", Position(38.0, 114.0), "P1")
EARLY = Shift("early", ACTIVE, "patrol", NOW, NOW + 8 * HOUR, ("li.wei",))
ALL: tuple[Resource, ...] = (CITY, BAY, CAMERA, GRANT, DWELL, HIT, CLONED, PATROL, EARLY)


@pytest.mark.parametrize("resource", ALL)
def test_a_whole_resource_is_taken(resource: Resource) -> None:
    check_resource(resource, "r", now_ms=NOW)


@pytest.mark.parametrize("resource", ALL)
def test_a_resource_is_the_same_after_the_wire(resource: Resource) -> None:
    assert wire.from_wire(wire.to_wire(resource), 0) == resource


@pytest.mark.parametrize(
    ("resource", "field"),
    [
        (replace(CITY, name=LocalizedText(" ", "")), "name"),
        (replace(CITY, jurisdiction_id="../etc"), "jurisdiction_id"),
        (replace(BAY, ring=RING[:2]), "ring"),
        (replace(BAY, ring=(RING[0], RING[1], RING[0])), "ring"),
        (replace(BAY, ring=(RING[0], RING[2], RING[1], RING[3])), "ring"),
        (replace(BAY, ring=(Position(0, 0), Position(1, 1), Position(2, 2))), "ring"),
        (replace(BAY, ring=(*RING, Position(91, 0))), "ring[4].latitude"),
        (replace(BAY, ring=(Position(0, float("nan")), *RING)), "ring[0].longitude"),
        (replace(CAMERA, position=Position(0, 181)), "position.longitude"),
        (replace(CAMERA, adapter=""), "adapter"),
        (replace(CAMERA, district=" "), "district"),
        (replace(CAMERA, zone_ids=("bay", "bay")), "zone_ids[1]"),
        (replace(CAMERA, speaks_for=("other",)), "speaks_for"),
        (
            replace(CAMERA, authentication_class=AuthenticationClass.CERTIFICATE, speaks_for=("*",)),
            "speaks_for[0]",
        ),
        (replace(CAMERA, authentication_class=AuthenticationClass.NETWORK_ONLY), "addresses"),
        (replace(CAMERA, addresses=("10.0.0.1",)), "addresses"),
        (
            replace(CAMERA, authentication_class=AuthenticationClass.NETWORK_ONLY, addresses=("10.0.0.0/8",)),
            "addresses[0]",
        ),
        (replace(DWELL, dwell=None), "dwell"),
        (replace(DWELL, dwell=DwellParameters(0, 60)), "dwell.dwell_seconds"),
        (replace(DWELL, dwell=DwellParameters(240, 0)), "dwell.maximum_gap_seconds"),
        (replace(DWELL, watchlist_hit=WatchlistHitParameters(("exact",), 0)), "watchlist_hit"),
        (replace(DWELL, officer_text=LocalizedText("文字", "")), "officer_text.english"),
        (replace(DWELL, officer_text=LocalizedText("", "text")), "officer_text.chinese"),
        (replace(DWELL, unit_kind=""), "unit_kind"),
        (replace(DWELL, schedule=Schedule("Nowhere")), "schedule.time_zone"),
        (replace(HIT, watchlist_hit=None), "watchlist_hit"),
        (replace(HIT, watchlist_hit=WatchlistHitParameters((), 0)), "watchlist_hit.masks"),
        (replace(HIT, watchlist_hit=WatchlistHitParameters(("fuzzy",), 0)), "watchlist_hit.masks[0]"),
        (
            replace(HIT, watchlist_hit=WatchlistHitParameters(("exact",), 1.5)),
            "watchlist_hit.minimum_confidence",
        ),
        (replace(CLONED, cloned_plate=None), "cloned_plate"),
        (replace(CLONED, cross_district=False), "cross_district"),
        (replace(DWELL, cross_district=True), "cross_district"),
        (replace(HIT, cloned_plate=CLONED.cloned_plate), "cloned_plate"),
        (
            replace(CLONED, cloned_plate=ClonedPlateParameters(20, 1_800, 0.9)),
            "cloned_plate.maximum_speed_kmh",
        ),
        (
            replace(CLONED, cloned_plate=ClonedPlateParameters(150, 3_601, 0.9)),
            "cloned_plate.window_seconds",
        ),
        (
            replace(CLONED, cloned_plate=ClonedPlateParameters(150, 1_800, float("nan"))),
            "cloned_plate.minimum_confidence",
        ),
        (replace(PATROL, unit_kind=" "), "unit_kind"),
        (replace(PATROL, station=Position(-91, 0)), "station.latitude"),
        (replace(EARLY, from_ms=0), "from_ms"),
        (replace(EARLY, until_ms=EARLY.from_ms), "until_ms"),
        (replace(EARLY, until_ms=EARLY.from_ms + 25 * HOUR), "until_ms"),
        (replace(EARLY, officers=("li.wei", "li.wei")), "officers[1]"),
    ],
)
def test_what_is_wrong_by_itself_is_refused_by_name(resource: Resource, field: str) -> None:
    with pytest.raises(Refuse) as refused:
        check_resource(resource, "r", now_ms=NOW)
    assert refused.value.field == f"r.{field}"


@pytest.mark.parametrize(
    ("grant", "field"),
    [
        (replace(GRANT, legal_basis="  "), "legal_basis"),
        (replace(GRANT, purpose=""), "purpose"),
        (replace(GRANT, device_ids=()), "device_ids"),
        (replace(GRANT, categories=()), "categories"),
        (replace(GRANT, categories=("*",)), "categories[0]"),
        (replace(GRANT, categories=("stolen", "stolen")), "categories[1]"),
        (replace(GRANT, valid_from_ms=0), "valid_from_ms"),
        (replace(GRANT, valid_from_ms=GRANT.valid_until_ms), "valid_until_ms"),
        (replace(GRANT, valid_until_ms=NOW), "valid_until_ms"),
    ],
)
def test_a_check_authorisation_needs_all_its_grounds(grant: CheckAuthorisation, field: str) -> None:
    with pytest.raises(Refuse) as refused:
        check_resource(grant, "r", now_ms=NOW)
    assert refused.value.field == f"r.{field}"


def test_an_authorisation_that_ended_can_still_be_removed() -> None:
    check_resource(replace(GRANT, status=LifeStatus.REMOVED), "r", now_ms=NOW + 2 * HOUR)


def named(index: int) -> str:
    return f"resources[{index}]"


def test_what_is_referred_to_must_exist() -> None:
    with pytest.raises(Refuse) as refused:
        check_references([CAMERA], fields=named, exists=lambda key: key != Key(Kind.ZONE, "bay"))
    assert refused.value.field == "resources[0].zone_ids[0]"


def test_what_is_removed_refers_to_nothing() -> None:
    check_references([replace(CAMERA, status=LifeStatus.REMOVED)], fields=named, exists=lambda _: False)


def test_what_is_in_use_is_not_removed() -> None:
    removed = replace(BAY, status=LifeStatus.REMOVED)
    with pytest.raises(Refuse) as refused:
        check_unused([removed], fields=named, users=lambda _: [Key(Kind.DEVICE, "cam")])
    assert refused.value.field == "resources[0].status"
    check_unused([removed], fields=named, users=lambda _: [])
    check_unused([BAY], fields=named, users=lambda _: [Key(Kind.DEVICE, "cam")])


def test_the_same_resource_twice_in_a_request_is_refused() -> None:
    with pytest.raises(Refuse) as refused:
        check_distinct([BAY, replace(BAY, jurisdiction="other")])
    assert refused.value.field == "resources[1].zone.zone_id"


@pytest.mark.parametrize("parents", [{"city": "city"}, {"city": "a", "a": "b", "b": "city"}])
def test_a_jurisdiction_is_not_above_itself(parents: dict[str, str]) -> None:
    with pytest.raises(Refuse):
        check_jurisdictions([CITY], fields=named, parents=parents)


def test_jurisdictions_nest_sixteen_levels_and_no_more() -> None:
    chain = {f"j{n}": f"j{n + 1}" for n in range(15)} | {"j15": ""}
    lowest = replace(CITY, jurisdiction_id="j0")
    check_jurisdictions([lowest], fields=named, parents=chain)
    with pytest.raises(Refuse):
        check_jurisdictions([lowest], fields=named, parents=chain | {"j15": "j16", "j16": ""})


def test_a_district_has_at_most_300_devices() -> None:
    check_districts([CAMERA], fields=named, devices_of=lambda _: 300)
    with pytest.raises(Refuse) as refused:
        check_districts([CAMERA], fields=named, devices_of=lambda _: 301)
    assert refused.value.field == "resources[0].district"


def test_the_plan_creates_changes_and_leaves_alone() -> None:
    changed = replace(BAY, kind=ZoneKind.RESTRICTED)
    current = {key_of(BAY): Current(4, BAY), key_of(CAMERA): Current(2, CAMERA)}
    found = plan([CITY, changed, CAMERA], current)
    assert [(change.action, change.version) for change in found] == [
        (Action.CREATE, 1),
        (Action.UPDATE, 5),
        (Action.UNCHANGED, 2),
    ]
    assert [(each.field, each.before, each.after) for each in found[1].differences] == [
        ("kind", "no-parking", "restricted")
    ]


def test_no_version_is_given_below_one_that_consumers_know() -> None:
    """After a restore the topics can be ahead of the database (C19)."""
    changed = replace(BAY, kind=ZoneKind.RESTRICTED)
    current = {key_of(BAY): Current(4, BAY), key_of(CAMERA): Current(2, CAMERA)}
    found = plan([CITY, changed, CAMERA], current, published=lambda _: 9)
    assert [change.version for change in found] == [10, 10, 2]


def test_a_long_list_is_told_by_what_came_and_went() -> None:
    many = tuple(f"cam-{n}" for n in range(40))
    before, after = replace(GRANT, device_ids=many), replace(GRANT, device_ids=(*many[1:], "new"))
    (difference,) = differences(before, after)
    assert (difference.before, difference.after) == ("40 items, without cam-0", "40 items, with new")


@given(st.dictionaries(st.sampled_from("abcdefgh"), st.sampled_from(["", *"abcdefgh"])))
def test_below_is_the_reverse_of_above(parents: dict[str, str]) -> None:
    """Even where a mistake in the data closes a circle, both come to an end and agree."""
    for root in parents:
        assert set(below(parents, root)) == {root} | {
            each for each in parents if root in above(parents, each)
        }


def test_what_the_registry_sets_is_refused_on_the_wire() -> None:
    message = wire.to_wire(CAMERA)
    message.device.secret_sha256 = b"x"
    with pytest.raises(Refuse) as refused:
        wire.from_wire(message, 2)
    assert refused.value.field == "resources[2].device.secret_sha256"


def test_a_status_that_nobody_wrote_is_active() -> None:
    message = wire.to_wire(BAY)
    message.zone.ClearField("status")
    assert wire.from_wire(message, 0).status is LifeStatus.ACTIVE
