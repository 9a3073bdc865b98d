"""Devices, units and shifts as rows: what a cell must hold, and that what is exported imports as it is."""

from __future__ import annotations

import string
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerthub.cli.bulk import table_of
from alerthub.cli.bulk_columns import LAYOUTS, Reading, check_reading, read_row
from alerthub.cli.csv_table import Problems, parse_table
from alerthub.domain.bulk_changes import plan_bulk
from alerthub.domain.datum import Datum
from alerthub.domain.errors import Refuse
from alerthub.domain.resource_changes import Current
from alerthub.domain.resources import (
    AuthenticationClass,
    Device,
    LifeStatus,
    Position,
    Resource,
    Shift,
    Unit,
    key_of,
)
from alerthub.domain.texts import LocalizedText

GCJ_02 = Reading(datum=Datum.GCJ_02)
WGS_84 = Reading(datum=Datum.WGS_84)
PAGE = Path(__file__).parents[2] / "docs" / "bulk-set-up.md"


def read(what: str, text: str, reading: Reading = WGS_84) -> tuple[list[Resource], list[str]]:
    problems = Problems()
    layout = LAYOUTS[what]
    table = parse_table(text.encode(), layout.columns, problems)
    check_reading(layout, table.columns, reading)
    found = [read_row(layout, row, problems, reading) for row in table.rows]
    return [each for each in found if each is not None], [str(problem) for problem in problems.told]


# Built of two draws: the same from a regular expression costs seven times as much.
IDS = st.builds(
    str.__add__, st.sampled_from("AZaz09"), st.text(string.ascii_letters + string.digits + "_.-", max_size=20)
)
TEXTS = st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=20).map(str.strip)
LISTS = st.lists(IDS, max_size=4, unique=True).map(tuple)
PLACES = st.builds(Position, st.floats(-90, 90), st.floats(-180, 180))
STATUSES = st.sampled_from([LifeStatus.ACTIVE, LifeStatus.SUSPENDED])
MOMENTS = st.integers(1, 4_000_000_000_000)
RESOURCES: dict[str, st.SearchStrategy[Resource]] = {
    "devices": st.builds(
        Device,
        device_id=IDS,
        status=STATUSES,
        name=TEXTS,
        adapter=IDS,
        position=PLACES,
        district=TEXTS.filter(bool),
        jurisdiction=IDS,
        zone_ids=LISTS,
        authentication_class=st.sampled_from(list(AuthenticationClass)),
        speaks_for=LISTS,
        addresses=st.lists(st.ip_addresses().map(str), max_size=3).map(tuple),
    ),
    "units": st.builds(
        Unit,
        unit_id=IDS,
        status=STATUSES,
        name=st.builds(LocalizedText, TEXTS, TEXTS),
        unit_kind=IDS,
        jurisdiction=IDS,
        station=PLACES,
        radio_call_sign=TEXTS,
    ),
    "shifts": st.builds(
        Shift,
        shift_id=IDS,
        status=STATUSES,
        unit_id=IDS,
        from_ms=MOMENTS,
        until_ms=MOMENTS,
        officers=LISTS,
    ),
}


@pytest.mark.parametrize("what", sorted(LAYOUTS))
@given(st.data())
def test_what_was_exported_imports_without_a_difference(what: str, data: st.DataObject) -> None:
    there = data.draw(st.lists(RESOURCES[what], max_size=5, unique_by=lambda each: key_of(each).id))
    found, told = read(what, table_of(LAYOUTS[what], there), Reading())
    assert told == []
    current = {key_of(resource): Current(1, resource) for resource in there}
    bulk = plan_bulk(found, current, prune=True)
    assert (bulk.changing, len(found)) == ((), len(there))


def test_a_file_in_chinese_is_read() -> None:
    text = (
        "编号,名称,接入方式,纬度,经度,片区,辖区,认证方式,区域,状态\n"
        "cam-1,北门,hikvision-anpr,39.91334545536069,116.38404722455657,north-1,city,口令,bay;gate、lane,停用\n"
    )
    (device,), told = read("devices", text, GCJ_02)
    assert told == []
    assert isinstance(device, Device)
    assert device.position == Position(39.911954, 116.377817), "converted to WGS 84"
    assert (device.zone_ids, device.status) == (("bay", "gate", "lane"), LifeStatus.SUSPENDED)
    assert device.authentication_class is AuthenticationClass.PASSWORD_OVER_TLS


def test_places_name_their_datum() -> None:
    text = "id,adapter,latitude,longitude,district,jurisdiction,authentication\n"
    with pytest.raises(Refuse) as error:
        read("devices", text, Reading())
    assert error.value.field == "--datum"


def test_a_datum_that_contradicts_the_command_is_told() -> None:
    text = (
        "id,unit_kind,jurisdiction,latitude,longitude,datum\n"
        "u1,patrol,city,38,114,WGS-84\nu2,patrol,city,38,114,gcj02\nu3,patrol,city,38,114,bd09\n"
    )
    found, told = read("units", text)
    assert [key_of(unit).id for unit in found] == ["u1"]
    assert [line.partition(":")[0] for line in told] == [
        "line 3, column datum / 坐标系",
        "line 4, column datum / 坐标系",
    ]


def test_every_wrong_cell_of_a_row_is_told_by_kind_and_never_repeated() -> None:
    text = (
        "id,adapter,latitude,longitude,district,jurisdiction,authentication\n"
        "cam-1,x,north,1140.5,d,city,fingerprint\n"
    )
    found, told = read("devices", text)
    assert found == []
    assert told == [
        (
            "line 2, column latitude / 纬度: found text of 5 characters; "
            "expected degrees from -90 to 90, such as 38.0422"
        ),
        (
            "line 2, column longitude / 经度: found a decimal number; "
            "expected degrees from -180 to 180, such as 38.0422"
        ),
        (
            "line 2, column authentication / 认证方式: found text of 11 characters; "
            "expected one of certificate, password-over-tls, url-token, network-only, "
            "证书, 口令, 网址令牌, 仅网络地址"
        ),
    ]


def test_a_roster_without_ids_and_offsets_is_read_with_its_time_zone() -> None:
    text = "单位,开始时间,结束时间,民警\npatrol-12,2026-11-30 08:00,2026/11/30 16:00,li.wei wang.fang\n"
    (found,), told = read("shifts", text, Reading(time_zone=ZoneInfo("Asia/Shanghai")))
    assert told == []
    assert isinstance(found, Shift)
    assert (found.shift_id, found.officers) == ("patrol-12-20261130T0000", ("li.wei", "wang.fang"))
    assert found.until_ms - found.from_ms == 8 * 3_600_000
    assert len(read("shifts", text)[1]) == 2, "without an offset and a time zone nobody knows when"


def test_the_page_lists_every_column_in_both_languages() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for layout in LAYOUTS.values():
        for column in layout.columns:
            row = (
                f"| `{column.name}` | {'、'.join(f'`{name}`' for name in column.names if not name.isascii())}"
            )
            assert row in page
