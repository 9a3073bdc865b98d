"""YAML without surprises, and resources out of it (S4)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerthub import resource_wire as wire
from alerthub.api.v1 import common_pb2, registry_pb2
from alerthub.cli import documents
from alerthub.cli.apply import LARGEST_PART, in_parts
from alerthub.cli.documents import parse_documents
from alerthub.cli.resource_documents import Document, read_resources
from alerthub.domain.errors import Refuse
from alerthub.domain.resource_checks import check_distinct, check_resource

EXAMPLE = Path(__file__).parents[2] / "docs" / "resources.md"


def read(text: str) -> list[Document]:
    return read_resources(parse_documents(text.encode()))


def refused(text: str) -> Refuse:
    with pytest.raises(Refuse) as error:
        read(text)
    return error.value


def test_every_scalar_is_what_was_written() -> None:
    assert parse_documents(b"{a: no, b: 007, c: 22:00, d: 1e3, e: ~, f: 2026-10-01}") == [
        {"a": "no", "b": "007", "c": "22:00", "d": "1e3", "e": "~", "f": "2026-10-01"}
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: &x 1\nb: 2", "no anchor"),
        ("a: 1\nb: *x", "no alias"),
        ("a: !!python/object/apply:os.system [ls]", "no tag"),
        ("a: !!int 1", "no tag"),
        ("a: 1\na: 2", "each field once"),
        ("? [a]\n: 1", "a name before the colon"),
        ("a: [1", "YAML"),
        ("a: {{{{{{{{{{{{{{{{{b: 1}}}}}}}}}}}}}}}}}", "at most 16 levels"),
    ],
)
def test_what_makes_yaml_dangerous_or_surprising_is_refused(text: str, expected: str) -> None:
    with pytest.raises(Refuse) as error:
        parse_documents(text.encode())
    assert expected in error.value.expected
    assert re.fullmatch(r"line \d+", error.value.field)


def test_a_laugh_that_doubles_itself_is_refused_before_it_is_built() -> None:
    laugh = "a: &a [x, x]\n" + "\n".join(f"b{n}: &b{n} [*a, *a]" for n in range(50))
    with pytest.raises(Refuse):
        parse_documents(laugh.encode())


def test_a_file_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MAXIMUM_BYTES", 10)
    with pytest.raises(Refuse):
        parse_documents(b"a: 123456789")


def test_a_file_with_too_many_values_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MAXIMUM_NODES", 10)
    with pytest.raises(Refuse):
        parse_documents(b"[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]")


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    try:
        read_resources(parse_documents(content))
    except Refuse:
        return


@given(st.text(alphabet="kind: DeviceRulnam\n-[]{},'\"&*!|>#?%@`:", max_size=200))
def test_anything_like_yaml_is_read_or_refused(text: str) -> None:
    try:
        read_resources(parse_documents(text.encode()))
    except Refuse:
        return


def test_the_example_in_the_documentation_is_whole() -> None:
    found = read(example())
    assert {document.resource.WhichOneof("resource") for document in found} == {
        "jurisdiction",
        "zone",
        "device",
        "authorisation",
        "rule",
        "unit",
        "shift",
    }
    wanted = [wire.from_wire(document.resource, index) for index, document in enumerate(found)]
    check_distinct(wanted)
    for resource in wanted:
        check_resource(resource, "resource", now_ms=1_790_000_000_000)


def example() -> str:
    (text,) = re.findall(r"```yaml\n(.*?)```", EXAMPLE.read_text(encoding="utf-8"), re.DOTALL)
    return str(text)


def test_names_as_people_write_them_become_the_wires() -> None:
    rule = next(each.resource.rule for each in read(example()) if each.resource.rule.rule_id == "bay-dwell")
    assert rule.kind == registry_pb2.RULE_KIND_DWELL
    assert list(rule.zone_ids) == ["station-bay"]
    assert rule.policy == common_pb2.DISPATCH_POLICY_CONFIRM_FIRST
    weekdays, weekend = rule.schedule.hours
    assert (list(weekdays.days), weekdays.from_minute, weekdays.until_minute) == ([1, 2, 3, 4, 5], 420, 1320)
    assert (list(weekend.days), weekend.from_minute, weekend.until_minute) == ([6, 7], 1200, 1560)
    shift = next(each.resource.shift for each in read(example()) if each.resource.HasField("shift"))
    assert shift.until_ms - shift.from_ms == 8 * 3_600_000
    assert shift.from_ms == 1_795_384_800_000


def test_a_rule_for_cloned_plates_is_written_as_any_other() -> None:
    [document] = read(
        "kind: Rule\nid: cloned\nrule_kind: cloned-plate\ncross_district: true\n"
        "cloned_plate: {maximum_speed_kmh: 150, window_seconds: 1800, minimum_confidence: 0.5}"
    )
    rule = document.resource.rule
    assert (rule.kind, rule.cross_district) == (registry_pb2.RULE_KIND_CLONED_PLATE, True)
    assert (rule.cloned_plate.maximum_speed_kmh, rule.cloned_plate.window_seconds) == (150, 1_800)


@pytest.mark.parametrize(
    ("text", "field", "expected"),
    [
        ("[]", "document 1", "fields"),
        ("kind: Spaceship", "document 1: kind", "Device"),
        ("kind: Zone\nid: z\ncolour: red", "document 1 (Zone z): colour", "a field of Zone"),
        ("kind: Zone\nid: z\nzone_kind: parking", "document 1 (Zone z): zone_kind", "no-parking"),
        ("kind: Zone\nid: z\nzone_kind: unspecified", "document 1 (Zone z): zone_kind", "no-parking"),
        ("kind: Zone\nid: z\nversion: 3", "document 1 (Zone z): version", "left out"),
        ("kind: Device\nid: d\nsecret_sha256: ab", "document 1 (Device d): secret_sha256", "left out"),
        ("kind: Device\nid: d\nzones: bay", "document 1 (Device d): zones", "a list"),
        ("kind: Device\nid: d\nposition: here", "document 1 (Device d): position", "latitude"),
        (
            "kind: Device\nid: d\nposition: {latitude: nan}",
            "document 1 (Device d): position.latitude",
            "a number",
        ),
        (
            "kind: Rule\nid: r\ndwell: {dwell_seconds: four}",
            "document 1 (Rule r): dwell.dwell_seconds",
            "a whole number",
        ),
        (
            "kind: Rule\nid: r\ndwell: {dwell_seconds: -4}",
            "document 1 (Rule r): dwell.dwell_seconds",
            "a whole number",
        ),
        (
            "kind: Rule\nid: r\nschedule: {hours: [{days: [mon], from: 25h}]}",
            "document 1 (Rule r): schedule.hours[0].from",
            "07:30",
        ),
        (
            "kind: Rule\nid: r\ncross_district: yes",
            "document 1 (Rule r): cross_district",
            "true or false",
        ),
        (
            "kind: Zone\nid: a\n---\nkind: Shift\nid: s\nfrom: 2026-11-24T08:00:00",
            "document 2 (Shift s): from",
            "offset",
        ),
    ],
)
def test_a_bad_document_is_refused_by_document_and_field(text: str, field: str, expected: str) -> None:
    error = refused(text)
    assert error.field == field
    assert expected in error.expected


def test_a_city_that_fits_is_one_request() -> None:
    found = read(example())
    assert list(in_parts(found)) == [found]


def test_a_city_that_does_not_fit_goes_in_the_order_of_its_references() -> None:
    device = registry_pb2.Resource(device=registry_pb2.Device(device_id="d"))
    jurisdiction = registry_pb2.Resource(jurisdiction=registry_pb2.Jurisdiction(jurisdiction_id="j"))
    wanted = [Document("device", device)] * (LARGEST_PART + 5) + [Document("jurisdiction", jurisdiction)] * 3
    first, second = in_parts(wanted)
    assert [len(first), len(second)] == [LARGEST_PART, 8]
    assert [document.name for document in first[:4]] == ["jurisdiction"] * 3 + ["device"]
