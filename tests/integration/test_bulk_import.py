"""A whole city from spreadsheets into a running registry: shown first, applied in parts, or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from registry_city import jurisdiction
from registry_hub import RunningRegistry, command_line, data_folder, running_registry
from typer.testing import Result

from alerthub.cli import bulk
from alerthub.embedded.infrastructure import Infrastructure

Run = Callable[..., Result]
CAMERAS = 2_500
"""Three parts. `docs/bulk-set-up.md` has the figures of 21,100."""
COLUMNS = "编号,名称,接入方式,纬度,经度,片区,辖区,认证方式,代报设备\n"


@pytest.fixture(scope="module")
def hub(
    infrastructure: Infrastructure, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningRegistry]:
    yield from running_registry(infrastructure, tmp_path_factory.mktemp("registry"))


@pytest.fixture
async def city(hub: RunningRegistry, unique: Callable[[str], str]) -> str:
    name = unique("city")
    await hub.apply(jurisdiction(name))
    return name


@pytest.fixture(scope="module")
def run(hub: RunningRegistry, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return command_line(data_folder(hub, tmp_path_factory.mktemp("data")), bulk.register)


def as_json(result: Result) -> dict[str, Any]:
    return dict(json.loads(result.stdout))


def devices_csv(city: str, count: int = CAMERAS) -> str:
    """Cameras, and an edge server at the top that speaks for the last of them."""
    lines = [f"{city}-edge,,cloudevents,39.9,116.3,{city}-edge,{city},证书,{city}-{count - 1}"]
    lines += [
        f"{city}-{number},{number}号,hikvision-anpr,39.9{number:05},116.38,{city}-{number // 300},{city},口令"
        for number in range(count)
    ]
    return COLUMNS + "\n".join(lines) + "\n"


def counted(hub: RunningRegistry, city: str) -> str:
    return hub.sql(
        "SELECT count(*) FROM resource WHERE kind = 'device' AND id LIKE :'pattern'", pattern=f"{city}-%"
    )


def test_a_city_is_looked_at_imported_and_the_same_again_changes_nothing(
    hub: RunningRegistry, run: Run, city: str, tmp_path: Path
) -> None:
    file = tmp_path / "devices.csv"
    file.write_text(devices_csv(city), encoding="gb18030")
    asked = ("import", "devices", str(file), "--datum", "gcj-02")

    look = run(*asked, "--dry-run")
    assert look.exit_code == 0
    assert "Read as GB18030" in look.stdout
    assert "converted from GCJ-02" in look.stdout
    assert "devices: 2,501 to add, 0 to change, 0 as they are." in look.stdout
    assert counted(hub, city) == "0"

    done = run(*asked, "--yes", "--no-wait")
    assert (done.exit_code, counted(hub, city)) == (0, "2501")
    assert "2,501 of 2,501 applied" in done.stderr

    again = as_json(run(*asked, "--yes", "--json"))
    assert (again["added"], again["changed"], again["unchanged"]) == (0, 0, 2_501)


def test_what_was_exported_imports_as_it_is_and_what_is_missing_is_gone(
    hub: RunningRegistry, run: Run, city: str, tmp_path: Path
) -> None:
    file = tmp_path / "devices.csv"
    file.write_text(devices_csv(city, 3), encoding="utf-8")
    assert run("import", "devices", str(file), "--datum", "wgs-84", "--yes", "--no-wait").exit_code == 0
    exported = tmp_path / "exported.csv"
    assert run("export", "devices", "-o", str(exported)).exit_code == 0

    same = as_json(run("import", "devices", str(exported), "--prune", "--dry-run", "--json"))
    assert same["changes"] == []

    shorter = exported.read_text(encoding="utf-8").splitlines()
    exported.write_text(
        "\n".join(line for line in shorter if not line.startswith(f"{city}-1,")), encoding="utf-8"
    )
    pruned = as_json(run("import", "devices", str(exported), "--prune", "--yes", "--no-wait", "--json"))
    assert [change["id"] for change in pruned["changes"]] == [f"{city}-1"]
    assert hub.sql("SELECT status FROM resource WHERE id = :'id'", id=f"{city}-1") == "removed"


def test_one_wrong_line_of_many_changes_nothing_and_every_one_is_told(
    hub: RunningRegistry, run: Run, city: str, tmp_path: Path
) -> None:
    lines = devices_csv(city, 5).splitlines()
    lines[2] = lines[2].replace(city, "nowhere")
    lines[4] = lines[4].replace("口令", "guess")
    file = tmp_path / "devices.csv"
    file.write_text("\n".join(lines), encoding="utf-8")
    answer = run("import", "devices", str(file), "--datum", "wgs-84", "--yes")
    assert answer.exit_code == 2
    assert (
        "line 3, column jurisdiction / 辖区: found text of 7 characters; expected a jurisdiction"
        in answer.stderr
    )
    assert "line 5, column authentication / 认证方式" in answer.stderr
    assert "2 problems. Nothing was changed." in answer.stderr
    assert counted(hub, city) == "0"


def test_units_and_their_roster_come_in_and_a_change_is_shown(run: Run, city: str, tmp_path: Path) -> None:
    units, roster = tmp_path / "units.csv", tmp_path / "roster.csv"
    unit = f"{city}-p1"
    row = f"{unit},一组,patrol,{city},38,114.5,WGS-84"
    units.write_text(f"编号,名称,警种,辖区,纬度,经度,坐标系\n{row}\n", encoding="utf-8")
    assert run("import", "units", str(units), "--yes", "--no-wait").exit_code == 0

    def imported(*rows: str) -> dict[str, Any]:
        roster.write_text("\n".join(["单位,开始时间,结束时间,民警", *rows]), encoding="utf-8")
        options = ("--time-zone", "Asia/Shanghai", "--prune", "--yes", "--no-wait", "--json")
        return as_json(run("import", "shifts", str(roster), *options))

    early = f"{unit},2036-11-30 00:00,2036-11-30 08:00,li.wei"
    late = f"{unit},2036-11-30 08:00,2036-11-30 16:00"
    assert imported(early, f"{late},wang.fang")["added"] == 2
    (change,) = imported(early, f"{late},zhao.min")["changes"]
    assert change["differences"] == [{"field": "officers", "before": "wang.fang", "after": "zhao.min"}]
